//! Cached responses: for how long, for whom, in which encodings, and stale ones when a vendor fails.

use std::sync::Arc;
use std::time::Duration;

use ota_core::clock::ManualClock;
use ota_sim::{Fault, FaultKind, FleetShape, Server};
use ota_tests::gateway::keeping_head;
use ota_tests::token::minted;
use ota_tests::vendors::{alibaba_sim, huawei_sim};
use ota_tests::wire::{self, Reply};
use ota_tests::{Gateway, Section};
use serde_json::Value;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::setup::{ALI, HUA, World, with};

/// A gateway on a clock of its own that keeps answers as by default, and a vendor.
struct Kept {
    clock: ManualClock,
    gateway: Gateway,
    sim: Server,
    provider: &'static str,
}

impl Kept {
    async fn alibaba() -> Self {
        let sim = alibaba_sim(FleetShape::uniform(3, 30).frozen()).await;
        let section = Section::alibaba(ALI, &sim.url());
        Self::of(sim, ALI, &keeping_head(), section).await
    }

    async fn huawei() -> Self {
        let sim = huawei_sim(FleetShape::uniform(3, 30).frozen()).await;
        let section = Section::huawei(HUA, &sim.url());
        Self::of(sim, HUA, &keeping_head(), section).await
    }

    async fn of(sim: Server, provider: &'static str, head: &str, section: Section) -> Self {
        let clock = ManualClock::new(ota_sim::Clock::system().now());
        let text = format!("{head}{}", section.to_toml());
        let gateway = Gateway::on_clock(&text, Arc::new(clock.clone())).await;
        Self {
            clock,
            gateway,
            sim,
            provider,
        }
    }

    /// Lets time pass for ages; the wall time stays the machine's, which the vendor's clock shows and signatures are made with.
    fn pass(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
        self.clock.set_wall(ota_sim::Clock::system().now());
    }

    fn job(&self) -> String {
        format!(
            "{}/{}",
            World::jobs_path(self.provider),
            self.sim.fleet().jobs[0].id
        )
    }

    /// Reads and returns the answer with the vendor calls that it took.
    async fn read(&self, path: &str, cache_control: &str) -> (Reply, u64) {
        let before = self.sim.counters().total_calls();
        let ask = self.gateway.ask("GET", path);
        let reply = match cache_control {
            "" => ask.send().await,
            wish => ask.header("Cache-Control", wish).send().await,
        };
        (reply, self.sim.counters().total_calls() - before)
    }

    /// Checks how many vendor calls a read takes and how old its answer is.
    async fn check(&self, path: &str, wish: &str, calls: u64, age: &str) -> Reply {
        let (reply, made) = self.read(path, wish).await;
        reply.ok();
        assert_eq!(made, calls, "{path} with `{wish}`: {}", reply.shown());
        assert_eq!((reply.must("age"), reply.must("ota-stale")), (age, "false"));
        let hit = reply.must("server-timing").contains("cache;desc=\"hit\"");
        assert_eq!(hit, calls == 0, "{}", reply.shown());
        reply
    }
}

#[tokio::test]
async fn an_answer_is_given_again_for_its_age_and_no_longer() {
    let kept = Kept::alibaba().await;
    let job = kept.job();
    for path in [job.clone(), World::jobs_path(ALI), format!("{job}/tasks")] {
        let calls = kept.read(&path, "").await.1;
        assert!(calls > 0);
        let again = kept.check(&path, "", 0, "0").await;
        kept.pass(5);
        let old = kept.check(&path, "", 0, "5").await;
        assert_eq!(old.must("ota-as-of"), again.must("ota-as-of"));
        assert_eq!(old.body, again.body);
        kept.pass(1);
        let fresh = kept.check(&path, "", calls, "0").await;
        assert_ne!(fresh.must("ota-as-of"), old.must("ota-as-of"));
        assert_eq!(fresh.must("etag"), old.must("etag"));
    }
    // Counts cost more and may be older.
    let stats = format!("{job}/stats");
    kept.check(&stats, "", 9, "0").await;
    kept.pass(60);
    kept.check(&stats, "", 0, "60").await;
    kept.pass(1);
    kept.check(&stats, "", 9, "0").await;
}

#[tokio::test]
async fn a_caller_asks_for_a_fresher_answer_and_nobody_burns_the_quota() {
    let kept = Kept::alibaba().await;
    let job = kept.job();
    kept.check(&job, "no-cache", 1, "0").await;
    for wish in ["no-cache", "max-age=0", "no-cache, max-age=9", "no-store"] {
        kept.check(&job, wish, 0, "0").await;
    }
    kept.pass(1);
    kept.check(&job, "no-cache", 0, "1").await;
    kept.pass(2);
    kept.check(&job, "max-age=3", 0, "3").await;
    kept.check(&job, "max-age=2", 1, "0").await;
    kept.pass(2);
    kept.check(&job, "no-cache", 1, "0").await;
    // Older than usual cannot be asked for.
    kept.pass(6);
    kept.check(&job, "max-age=3600", 1, "0").await;
}

#[tokio::test]
async fn an_answer_without_a_vendor_call_is_what_is_kept_or_nothing() {
    let kept = Kept::huawei().await;
    let job = kept.job();
    let only = "only-if-cached";
    kept.read(&job, only).await.0.problem(504, "nothing_cached");
    assert_eq!(kept.sim.counters().total_calls(), 0);
    kept.read(&job, "").await.0.ok();
    kept.pass(4);
    kept.check(&job, only, 0, "4").await;
    kept.pass(400);
    let (old, calls) = kept.read(&job, only).await;
    assert_eq!(
        (calls, old.must("ota-stale"), old.must("age")),
        (0, "true", "404")
    );
    kept.pass(200);
    kept.read(&job, only).await.0.problem(504, "nothing_cached");
}

#[tokio::test]
async fn a_page_that_did_not_change_is_a_304_however_often_it_was_refreshed() {
    let kept = Kept::alibaba().await;
    let path = format!("{}/tasks", kept.job());
    let first = kept.read(&path, "").await.0;
    let etag = first.must("etag").to_owned();
    for round in 0..3 {
        kept.pass(10);
        let ask = kept
            .gateway
            .ask("GET", &path)
            .header("If-None-Match", &etag);
        let reply = ask.send().await;
        assert_eq!(reply.status, 304, "round {round}");
        assert_eq!((reply.must("age"), reply.must("ota-stale")), ("0", "false"));
        assert_ne!(reply.must("ota-as-of"), first.must("ota-as-of"));
    }
    assert_eq!(kept.sim.counters().total_calls(), 4);
}

#[tokio::test]
async fn equal_questions_are_one_whatever_their_spelling() {
    let kept = Kept::alibaba().await;
    let tasks = format!("{}/tasks", kept.job());
    let calls = kept
        .read(&format!("{tasks}?status=failed,succeeded&page_size=10"), "")
        .await
        .1;
    assert!(calls > 0);
    for same in [
        "?page_size=10&status=succeeded,failed",
        "?page_size=10&status=failed&status=succeeded&status=failed",
        "?status=%66ailed,succeeded&page_size=10",
    ] {
        kept.check(&format!("{tasks}{same}"), "", 0, "0").await;
    }
    for other in [
        "",
        "?page_size=10",
        "?status=failed&page_size=10",
        "?status=failed,succeeded",
    ] {
        let made = kept.read(&format!("{tasks}{other}"), "").await.1;
        assert!(made > 0, "{other}");
    }
    let page = kept.read(&format!("{tasks}?page_size=10"), "").await.0.ok();
    let next = with(
        &format!("{tasks}?page_size=10"),
        "cursor",
        page["next_cursor"].as_str().unwrap(),
    );
    kept.check(&next, "", 1, "0").await;
    kept.check(&next, "", 0, "0").await;
}

#[tokio::test]
async fn equal_questions_under_way_are_one_call_and_a_caller_who_goes_away_ends_nobody_elses() {
    let kept = Kept::alibaba().await;
    let job = kept.job();
    kept.sim.set_faults(vec![
        Fault::once(FaultKind::Delay).delay(Duration::from_millis(700)),
    ]);
    // The first one asks and hangs up.
    let headers = [
        ("Host".to_owned(), kept.gateway.address().to_string()),
        (
            "Authorization".to_owned(),
            format!("Bearer {}", minted("ota:read", None)),
        ),
    ];
    let mut gone = TcpStream::connect(kept.gateway.address()).await.unwrap();
    let request = wire::request("GET", &job, &headers, b"");
    gone.write_all(&request).await.unwrap();
    while kept.sim.counters().total_calls() == 0 {
        tokio::task::yield_now().await;
    }
    let asks = (0..100).map(|_| kept.gateway.ask("GET", &job).send());
    let (replies, ()) = tokio::join!(futures_util::future::join_all(asks), async { drop(gone) });
    for reply in &replies {
        reply.ok();
        assert!(reply.must("server-timing").contains("calls=0"));
    }
    assert_eq!(kept.sim.counters().total_calls(), 1);
    let joined = "ota_reads_total{operation=\"get_job\",provider=\"ali\",result=\"joined\"}";
    let hit = "ota_reads_total{operation=\"get_job\",provider=\"ali\",result=\"hit\"}";
    let counted = kept.gateway.metric(joined).await + kept.gateway.metric(hit).await;
    assert_eq!(counted, 100.0);
}

#[tokio::test]
async fn an_older_answer_stands_in_when_the_vendor_fails_and_says_so() {
    for fault in [
        FaultKind::Throttle,
        FaultKind::GatewayError,
        FaultKind::ProductError,
        FaultKind::Html502,
        FaultKind::Html200,
        FaultKind::CutBody,
        FaultKind::CutJson,
        FaultKind::EmptyBody,
        FaultKind::Drop,
        FaultKind::Redirect,
    ] {
        let kept = Kept::alibaba().await;
        let job = kept.job();
        for path in [job.clone(), format!("{job}/tasks"), format!("{job}/stats")] {
            kept.sim.set_faults(Vec::new());
            // Whatever the account or the breaker pauses for is over.
            kept.pass(60);
            let good = kept.read(&path, "").await.0;
            assert_eq!(good.status, 200, "{fault:?} {path}: {}", good.shown());
            kept.pass(300);
            kept.sim.set_faults(vec![Fault::always(fault)]);
            let old = kept.read(&path, "").await.0;
            assert_eq!(old.status, 200, "{fault:?} {path}: {}", old.shown());
            let body = old.ok();
            assert_eq!(
                (old.must("ota-stale"), old.must("age")),
                ("true", "300"),
                "{fault:?} {path}"
            );
            assert_eq!(old.must("ota-as-of"), good.must("ota-as-of"));
            assert_ne!(old.must("etag"), good.must("etag"));
            assert!(old.must("server-timing").contains("cache;desc=\"stale\""));
            let mut expected = good.ok();
            if expected.get("stale").is_some() {
                expected["stale"] = Value::Bool(true);
            }
            assert_eq!(body, expected);
            // Packed, it is the same.
            for coding in ["gzip", "br"] {
                let ask = kept
                    .gateway
                    .ask("GET", &path)
                    .header("Accept-Encoding", coding);
                let packed = ask.send().await;
                // What is short is not packed.
                let long = old.body.len() >= 200;
                assert_eq!(packed.header("content-encoding"), long.then_some(coding));
                let text = packed.decoded().await;
                assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), expected);
            }
            kept.pass(301);
            let none = kept.read(&path, "").await.0;
            assert!(none.status >= 502, "{fault:?} {path}: {}", none.shown());
        }
    }
}

/// A proxy that has lost its way to the vendor says nothing about a job: neither is it forgotten, nor is its absence remembered.
#[tokio::test]
async fn a_404_of_a_proxy_takes_no_answer_away() {
    for kept in [Kept::alibaba().await, Kept::huawei().await] {
        let job = kept.job();
        let check = format!("/v1/providers/{}/check", kept.provider);
        for path in [job.clone(), format!("{job}/tasks"), format!("{job}/stats")] {
            kept.read(&path, "").await.0.ok();
            kept.pass(300);
            kept.sim
                .set_faults(vec![Fault::always(FaultKind::Foreign404)]);
            let checked = kept.gateway.ask("POST", &check).send().await;
            assert_ne!(checked.ok()["state"], "ok", "{}", checked.shown());
            for wish in ["", "no-cache"] {
                let old = kept.read(&path, wish).await.0;
                assert_eq!(old.status, 200, "{path}: {}", old.shown());
                assert_eq!(old.must("ota-stale"), "true", "{path}");
            }
            kept.sim.set_faults(Vec::new());
            kept.pass(60);
            let new = kept.read(&path, "").await.0;
            assert_eq!(new.must("ota-stale"), "false", "{path}");
        }
    }
}

#[tokio::test]
async fn no_older_answer_stands_in_for_a_refusal() {
    let kept = Kept::alibaba().await;
    let job = kept.job();
    kept.read(&job, "").await.0.ok();
    kept.pass(10);
    kept.sim
        .set_faults(vec![Fault::always(FaultKind::EchoSignature)]);
    kept.read(&job, "").await.0.problem(502, "provider_auth");
    kept.read(&job, "no-cache")
        .await
        .0
        .problem(502, "provider_auth");
    // The credential is good again, then the vendor is away.
    kept.pass(5);
    kept.sim
        .set_faults(vec![Fault::always(FaultKind::GatewayError)]);
    let old = kept.read(&job, "").await.0;
    assert_eq!(old.must("ota-stale"), "true");
    kept.sim.set_faults(Vec::new());
    let gone = format!("{}/no-such-job", World::jobs_path(ALI));
    for (wish, expected) in [("", 1), ("", 0), ("no-cache", 0)] {
        let (reply, calls) = kept.read(&gone, wish).await;
        reply.problem(404, "not_found");
        assert_eq!(calls, expected, "{wish}");
    }
    kept.pass(2);
    for (wish, expected) in [("", 0), ("no-cache", 1)] {
        let (reply, calls) = kept.read(&gone, wish).await;
        reply.problem(404, "not_found");
        assert_eq!(calls, expected, "{wish}");
    }
}

#[tokio::test]
async fn what_is_kept_is_shown_only_to_those_who_may_see_it() {
    let kept = Kept::alibaba().await;
    let job = kept.job();
    kept.read(&job, "").await.0.ok();
    let others = [HUA.to_owned()];
    for (token, status, code) in [
        (minted("ota:read", Some(&others)), 404, "not_found"),
        (minted("ota:admin", None), 403, "forbidden"),
        ("no.token.at-all".to_owned(), 401, "unauthenticated"),
    ] {
        for wish in ["max-age=60", "only-if-cached"] {
            let ask = kept.gateway.ask("GET", &job).token(&token);
            let reply = ask.header("Cache-Control", wish).send().await;
            reply.problem(status, code);
        }
    }
    let own = [ALI.to_owned()];
    let ask = kept.gateway.ask("GET", &job);
    ask.token(&minted("ota:read", Some(&own))).send().await.ok();
    assert_eq!(kept.sim.counters().total_calls(), 1);
}

#[tokio::test]
async fn memory_is_bounded_and_packed_forms_count() {
    let sim = alibaba_sim(FleetShape::uniform(40, 30).frozen()).await;
    let head = keeping_head() + "[cache]\nmax_bytes = 100000\n";
    let section = Section::alibaba(ALI, &sim.url());
    let kept = Kept::of(sim, ALI, &head, section).await;
    for job in &kept.sim.fleet().jobs {
        let path = format!("{}/{}/tasks", World::jobs_path(ALI), job.id);
        for coding in ["identity", "gzip", "br"] {
            let ask = kept
                .gateway
                .ask("GET", &path)
                .header("Accept-Encoding", coding);
            assert_eq!(ask.send().await.status, 200);
        }
    }
    let bytes = kept.gateway.metric("ota_cache_bytes").await;
    let entries = kept.gateway.metric("ota_cache_entries").await;
    assert!((20_000.0..=100_000.0).contains(&bytes), "{bytes}");
    assert!((1.0..40.0).contains(&entries), "{entries}");
    // The newest is there.
    let last = kept.sim.fleet().jobs.last().unwrap().id.clone();
    let path = format!("{}/{last}/tasks", World::jobs_path(ALI));
    kept.check(&path, "", 0, "0").await;
}

#[tokio::test]
async fn a_step_of_the_wall_clock_changes_no_age() {
    let kept = Kept::huawei().await;
    let job = kept.job();
    kept.read(&job, "").await.0.ok();
    let now = ota_core::clock::Clock::now(&kept.clock);
    // Not so far that the token is over.
    kept.clock.set_wall(now + time::Duration::minutes(5));
    kept.check(&job, "", 0, "0").await;
    kept.pass(3);
    kept.check(&job, "", 0, "3").await;
}
