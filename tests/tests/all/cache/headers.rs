//! The age of a response, conditional requests, the cost in vendor calls, content coding.

use ota_tests::wire::{self, Reply};
use serde_json::Value;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::setup::{ALI, HUA, World};

/// The paths whose answers come from a vendor, with the number of vendor calls behind each.
fn live(world: &World) -> Vec<(String, u64)> {
    let mut all = Vec::new();
    // The first job has ended: eight counts, and the batch itself.
    for (provider, stats) in [(ALI, 9), (HUA, 1)] {
        all.push((world.job_path(provider), 1));
        all.push((format!("{}/stats", world.job_path(provider)), stats));
        all.push((format!("{}?page_size=10", world.tasks_path(provider)), 1));
    }
    all
}

fn every_get(world: &World) -> Vec<String> {
    let mut all: Vec<String> = live(world).into_iter().map(|(path, _)| path).collect();
    all.extend(["/v1/providers".to_owned(), format!("/v1/providers/{ALI}")]);
    all.extend([World::jobs_path(ALI), World::jobs_path(HUA)]);
    all
}

fn time(text: &str) -> OffsetDateTime {
    OffsetDateTime::parse(text, &Rfc3339).unwrap()
}

fn has_fresh_headers(reply: &Reply, before: OffsetDateTime) {
    let as_of = reply.must("ota-as-of");
    let now = ota_sim::Clock::system().now();
    assert!(as_of.ends_with('Z') && time(as_of) <= now, "{as_of}");
    // The time may be in whole seconds or milliseconds.
    let before = before.replace_nanosecond(0).unwrap();
    assert!(time(as_of) >= before, "{as_of} is before {before}");
    assert_eq!(reply.must("ota-stale"), "false");
    assert!(reply.must("age").parse::<u64>().is_ok());
    let etag = reply.must("etag");
    assert!(etag.starts_with("W/\"") && etag.ends_with('"'), "{etag}");
    assert_eq!(reply.must("cache-control"), "private, no-cache");
    assert!(!reply.must("x-request-id").is_empty());
    assert!(reply.must("server-timing").contains("calls="));
}

#[tokio::test]
async fn every_answer_says_how_old_it_is() {
    let world = World::small().await;
    for path in every_get(&world) {
        let before = ota_sim::Clock::system().now();
        let reply = world.gateway.get(&path).await;
        let body = reply.ok();
        has_fresh_headers(&reply, before);
        if let Some(as_of) = body["as_of"].as_str() {
            assert_eq!(as_of, reply.must("ota-as-of"), "{path}");
            assert_eq!(body["stale"], false);
        }
        let page_or_counts = body.get("items").is_some() || path.ends_with("/stats");
        let listed = page_or_counts && path != "/v1/providers";
        assert_eq!(body.get("as_of").is_some(), listed, "{path}");
    }
}

#[tokio::test]
async fn server_timing_tells_the_number_of_vendor_calls() {
    let world = World::small().await;
    world.gateway.get(&World::jobs_path(HUA)).await.ok();
    for (path, calls) in live(&world) {
        let counted =
            || world.alibaba.counters().total_calls() + world.huawei.counters().total_calls();
        let before = counted();
        let reply = world.gateway.get(&path).await;
        let timing = reply.must("server-timing");
        assert!(
            timing.contains(&format!("calls={calls}\"")),
            "{path}: {timing}"
        );
        assert_eq!(counted() - before, calls, "{path}");
    }
    for path in ["/v1/providers".to_owned(), format!("/v1/providers/{ALI}")] {
        let reply = world.gateway.get(&path).await;
        assert!(reply.must("server-timing").contains("calls=0\""), "{path}");
    }
}

/// Asks with tags made of the present one, again where the answer has changed meanwhile: the quota in `/v1/providers` changes with time.
async fn conditional(world: &World, path: &str, tags: impl Fn(&str) -> Vec<String>) -> Reply {
    let end = tokio::time::Instant::now() + wire::PATIENCE;
    loop {
        let etag = world.gateway.get(path).await.must("etag").to_owned();
        let mut ask = world.gateway.ask("GET", path);
        for tag in tags(&etag) {
            ask = ask.header("If-None-Match", &tag);
        }
        let reply = ask.send().await;
        if reply.must("etag") == etag || tokio::time::Instant::now() > end {
            return reply;
        }
    }
}

#[tokio::test]
async fn an_unchanged_answer_is_a_304_without_body() {
    type Form = fn(&str) -> Vec<String>;
    fn strong(etag: &str) -> &str {
        etag.trim_start_matches("W/")
    }
    fn open(etag: &str) -> &str {
        etag.trim_end_matches('"')
    }
    let same: &[Form] = &[
        |etag| vec![etag.to_owned()],
        |etag| vec![strong(etag).to_owned()],
        |_| vec!["*".to_owned()],
        |etag| vec![format!("\"other\", {etag} , W/\"another\"")],
        |etag| vec!["\"other\"".to_owned(), etag.to_owned()],
        // As proxies leave them when they have compressed the answer.
        |etag| vec![format!("{}-gzip\"", open(etag))],
        |etag| vec![format!("{}-br\"", open(etag))],
        |etag| vec![format!("{}--gzip\"", open(strong(etag)))],
        |etag| vec![format!("{};gzip\"", open(etag))],
        |etag| vec![format!("{}-gzip", strong(etag))],
    ];
    let other: &[Form] = &[
        |_| vec!["\"other\"".to_owned()],
        |_| vec!["W/\"other\"".to_owned()],
        |_| vec![String::new()],
        |etag| vec![strong(etag)[1..].to_owned()],
        |_| vec!["\"*\"".to_owned()],
        |_| vec!["\"other-gzip\"".to_owned()],
        |_| vec!["\"-gzip\"".to_owned()],
        |etag| vec![format!("{}-other\"", open(etag))],
        |etag| vec![format!("{}gzip\"", open(etag))],
        |etag| vec![format!("{}-gzip", open(etag))],
    ];
    let world = World::small().await;
    for path in every_get(&world) {
        for tags in same {
            let before = ota_sim::Clock::system().now();
            let reply = conditional(&world, &path, tags).await;
            assert_eq!(
                reply.status,
                304,
                "{path} {:?}: {}",
                tags("W/\"x\""),
                reply.shown()
            );
            assert!(reply.body.is_empty());
            has_fresh_headers(&reply, before);
        }
        for tags in other {
            conditional(&world, &path, tags).await.ok();
        }
    }
}

#[tokio::test]
async fn different_content_has_a_different_etag() {
    let world = World::small().await;
    let mut seen = Vec::new();
    for path in every_get(&world) {
        let etag = world.gateway.get(&path).await.must("etag").to_owned();
        assert!(!seen.contains(&etag), "{path}");
        seen.push(etag);
    }
    // An ETag of another list does not make this one look unchanged.
    let reply = world.gateway.ask("GET", &World::jobs_path(ALI));
    reply.header("If-None-Match", &seen[0]).send().await.ok();
}

#[tokio::test]
async fn answers_are_packed_as_asked_for() {
    let world = World::small().await;
    for path in [world.tasks_path(ALI), World::jobs_path(HUA)] {
        let plain = world.gateway.get(&path).await;
        assert!(plain.header("content-encoding").is_none());
        for (accepted, coding) in [
            ("gzip", "gzip"),
            ("br", "br"),
            ("gzip;q=0.1, br", "br"),
            ("br;q=0, gzip", "gzip"),
        ] {
            let reply = world
                .gateway
                .ask("GET", &path)
                .header("Accept-Encoding", accepted);
            let reply = reply.send().await;
            assert_eq!(reply.must("content-encoding"), coding, "{accepted}");
            assert_eq!(reply.must("etag"), plain.must("etag"));
            assert!(
                reply
                    .must("vary")
                    .to_lowercase()
                    .contains("accept-encoding")
            );
            assert!(reply.body.len() < plain.body.len());
            let mut body: Value = serde_json::from_str(&reply.decoded().await).unwrap();
            body["as_of"] = plain.json()["as_of"].clone();
            assert_eq!(body, plain.json());
        }
        for accepted in ["identity", "zstd", "gzip;q=0, br;q=0"] {
            let reply = world
                .gateway
                .ask("GET", &path)
                .header("Accept-Encoding", accepted);
            let reply = reply.send().await;
            assert!(reply.header("content-encoding").is_none(), "{accepted}");
            reply.ok();
        }
    }
}

#[tokio::test]
async fn only_if_cached_makes_no_vendor_call() {
    let world = World::small().await;
    let mut paths: Vec<String> = live(&world).into_iter().map(|(path, _)| path).collect();
    paths.extend([World::jobs_path(ALI), World::jobs_path(HUA)]);
    for path in paths {
        for value in ["only-if-cached", "max-age=60, ONLY-IF-CACHED"] {
            let reply = world
                .gateway
                .ask("GET", &path)
                .header("Cache-Control", value);
            reply.send().await.problem(504, "nothing_cached");
        }
    }
    assert_eq!(world.alibaba.counters().total_calls(), 0);
    assert_eq!(world.huawei.counters().total_calls(), 0);
    // What the gateway knows without a call is there.
    for path in ["/v1/providers".to_owned(), format!("/v1/providers/{ALI}")] {
        let reply = world
            .gateway
            .ask("GET", &path)
            .header("Cache-Control", "only-if-cached");
        reply.send().await.ok();
    }
}

#[tokio::test]
async fn what_cannot_be_answered_at_all_is_refused_as_that_before_the_cache_is_asked() {
    let world = World::small().await;
    for (path, field) in [
        (format!("{}?model=m", World::jobs_path(ALI)), "model"),
        (
            format!("{}?package_id=p", World::jobs_path(HUA)),
            "package_id",
        ),
    ] {
        let ask = world
            .gateway
            .ask("GET", &path)
            .header("Cache-Control", "only-if-cached");
        let problem = ask.send().await.problem(422, "unsupported_by_provider");
        assert_eq!(problem["field"], field);
    }
}

#[tokio::test]
async fn a_request_that_takes_no_form_of_the_answer_is_told_so() {
    let world = World::small().await;
    let ask = world
        .gateway
        .ask("GET", "/v1/providers")
        .header("Accept-Encoding", "identity;q=0");
    ask.send().await.problem(406, "not_acceptable");
}

#[tokio::test]
async fn a_malformed_etag_matches_nothing() {
    let world = World::small().await;
    let known = world
        .gateway
        .get("/v1/providers")
        .await
        .must("etag")
        .to_owned();
    let ask = world
        .gateway
        .ask("GET", "/v1/providers")
        .header("If-None-Match", &format!("W/{known}"));
    ask.send().await.ok();
    let ask = world
        .gateway
        .ask("GET", "/v1/providers")
        .header("If-None-Match", &known);
    let unchanged = ask.send().await;
    assert_eq!(
        (unchanged.status, unchanged.must("vary")),
        (304, "accept-encoding")
    );
}

#[tokio::test]
async fn other_wishes_about_freshness_are_fulfilled_or_passed_over() {
    let world = World::small().await;
    for value in [
        "no-cache",
        "max-age=0",
        "max-age=5, no-transform",
        "max-age=-1",
        "max-age=99999999999999999999",
        "max-age=\"3\"",
        "=,,;",
        "no-store",
    ] {
        let reply = world
            .gateway
            .ask("GET", &world.job_path(ALI))
            .header("Cache-Control", value);
        reply.send().await.ok();
    }
}

#[tokio::test]
async fn a_request_identifier_is_taken_over_or_made() {
    let world = World::small().await;
    let paths = [
        world.job_path(ALI),
        "/v1/providers".to_owned(),
        "/v1/no/such/path".to_owned(),
        "/healthz".to_owned(),
        "/v1/providers?bad=1".to_owned(),
    ];
    for path in &paths {
        let given = "dash-42_A.b";
        let reply = world
            .gateway
            .ask("GET", path)
            .header("X-Request-Id", given)
            .send()
            .await;
        assert_eq!(reply.must("x-request-id"), given, "{path}");
        if reply.status >= 400 {
            assert_eq!(reply.json()["request_id"], given);
        }
        let mut made = Vec::new();
        for bad in ["", "a b", "<script>", "a\"b", "a,b", "é", &"x".repeat(65)] {
            let reply = world
                .gateway
                .ask("GET", path)
                .header("X-Request-Id", bad)
                .send()
                .await;
            let id = reply.must("x-request-id").to_owned();
            assert!(
                id != bad && id.len() >= 16 && !made.contains(&id),
                "{path}: {id}"
            );
            made.push(id);
        }
    }
}

#[tokio::test]
async fn head_is_get_without_the_body() {
    let world = World::small().await;
    for path in [world.job_path(ALI), "/v1/providers".to_owned()] {
        let get = world.gateway.get(&path).await;
        let head = world.gateway.ask("HEAD", &path).send().await;
        assert_eq!(head.status, 200);
        assert!(head.body.is_empty());
        assert_eq!(head.must("etag"), get.must("etag"));
        let nobody = world.gateway.ask("HEAD", &path).anonymous().send().await;
        assert_eq!(nobody.status, 401);
    }
}
