//! Live reads that a gateway passes on to the one that holds the vendor account.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use ota_core::clock::{Clock, ManualClock, SystemClock};
use ota_gateway::forward::Standing;
use ota_sim::{Fault, FaultKind, FleetShape, Server};
use ota_tests::gateway::keeping_head;
use ota_tests::token::{claims_with, minted, signed};
use ota_tests::vendors::{alibaba_sim, huawei_sim};
use ota_tests::wire::Reply;
use ota_tests::{Answer, Gateway, PlantedStanding, Script, Section, Seen};
use serde_json::json;

use crate::setup::{ALI, HUA, World};

/// Nothing listens there: a vendor call of a gateway that is not the holder fails.
const NOBODY: &str = "http://127.0.0.1:1";

fn url(gateway: &Gateway) -> String {
    format!("http://{}", gateway.address())
}

/// Starts a gateway that does not hold the accounts.
async fn other(address: Option<String>, head: &str) -> (Gateway, Arc<PlantedStanding>) {
    other_on(address, head, Arc::new(SystemClock)).await
}

async fn other_on(
    address: Option<String>,
    head: &str,
    clock: Arc<dyn Clock>,
) -> (Gateway, Arc<PlantedStanding>) {
    let standing = PlantedStanding::not_holder(address);
    let sections = [Section::alibaba(ALI, NOBODY), Section::huawei(HUA, NOBODY)];
    let sections = sections.map(|section| section.to_toml());
    let text = format!("{head}{}", sections.concat());
    let gateway = Gateway::among(&text, clock, Some(Arc::<PlantedStanding>::clone(&standing)));
    (gateway.await, standing)
}

/// A holder with its vendors, and another gateway, on one clock.
struct Two {
    clock: ManualClock,
    alibaba: Server,
    holder: Gateway,
    other: Gateway,
    standing: Arc<PlantedStanding>,
}

impl Two {
    async fn start() -> Self {
        let clock = ManualClock::new(ota_sim::Clock::system().now());
        let fleet = FleetShape::uniform(5, 30).frozen();
        let alibaba = alibaba_sim(fleet.clone()).await;
        let sections = [Section::alibaba(ALI, &alibaba.url())];
        let holder = Gateway::keeping(&sections, Arc::new(clock.clone())).await;
        let address = Some(url(&holder));
        let (other, standing) = other_on(address, &keeping_head(), Arc::new(clock.clone())).await;
        Self {
            clock,
            alibaba,
            holder,
            other,
            standing,
        }
    }

    fn pass(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
        self.clock.set_wall(ota_sim::Clock::system().now());
    }

    fn calls(&self) -> u64 {
        self.alibaba.counters().total_calls()
    }

    /// The vendor fails from now on.
    fn vendor_fails(&self) {
        let fault = Fault::always(FaultKind::GatewayError);
        self.alibaba.set_faults(vec![fault]);
    }

    async fn counted(&self, result: &str) -> f64 {
        let sample = format!("ota_forwarded_reads_total{{provider=\"{ALI}\",result=\"{result}\"}}");
        self.other.metric(&sample).await
    }
}

fn same(other: &Reply, holder: &Reply) {
    assert_eq!(other.status, holder.status, "{}", other.shown());
    assert_eq!(other.text(), holder.text());
    for name in ["etag", "ota-as-of", "ota-stale", "content-type"] {
        assert_eq!(other.must(name), holder.must(name), "{name}");
    }
}

#[tokio::test]
async fn every_read_is_answered_as_the_holder_answers_it() {
    let fleet = FleetShape::uniform(5, 30).frozen();
    let (alibaba, huawei) = (alibaba_sim(fleet.clone()).await, huawei_sim(fleet).await);
    let sections = [
        Section::alibaba(ALI, &alibaba.url()),
        Section::huawei(HUA, &huawei.url()),
    ];
    let holder = Gateway::keeping(&sections, Arc::new(SystemClock)).await;
    let (other, _) = other(Some(url(&holder)), &keeping_head()).await;
    for (provider, sim) in [(ALI, &alibaba), (HUA, &huawei)] {
        let jobs = World::jobs_path(provider);
        let job = format!("{jobs}/{}", sim.fleet().jobs[0].id);
        for path in [
            format!("{jobs}?page_size=2"),
            job.clone(),
            format!("{job}/stats"),
            format!("{job}/tasks?page_size=3"),
        ] {
            let reply = other.get(&path).await;
            let calls = reply.must("server-timing").to_owned();
            assert!(!calls.contains("calls=0"), "{path}: {calls}");
            same(&reply, &holder.get(&path).await);
            let unchanged = other
                .ask("GET", &path)
                .header("If-None-Match", reply.must("etag"));
            assert_eq!(unchanged.send().await.status, 304);
            let head = other.ask("HEAD", &path).send().await;
            assert_eq!((head.status, head.must("etag")), (200, reply.must("etag")));
        }
        // The cursor of one gateway goes on at the other.
        let page = other.get(&format!("{jobs}?page_size=2")).await.ok();
        let next = page["next_cursor"].as_str().unwrap();
        let next = format!("{jobs}?page_size=2&cursor={next}");
        same(&other.get(&next).await, &holder.get(&next).await);
        other
            .ask("POST", &format!("/v1/providers/{provider}/check"))
            .send()
            .await
            .ok();
    }
    // Not once did the other gateway call a vendor.
    let text = other.metrics().await;
    assert!(!text.contains("ota_vendor_calls_total{"), "{text}");
    assert!(text.contains("result=\"forwarded\"}"), "{text}");
}

#[tokio::test]
async fn an_answer_ages_on_the_way_and_is_cached_as_an_own_one() {
    let two = Two::start().await;
    let jobs = World::jobs_path(ALI);
    two.holder.get(&jobs).await.ok();
    two.pass(3);
    let calls = two.calls();
    let reply = two.other.get(&jobs).await;
    assert_eq!((reply.must("age"), reply.must("ota-stale")), ("3", "false"));
    assert!(reply.must("server-timing").contains("cache;desc=\"hit\""));
    assert_eq!(two.calls(), calls);
    two.pass(2);
    assert_eq!(two.other.get(&jobs).await.must("age"), "5");
    assert_eq!(two.counted("answered").await, 1.0);
    // What the caller says about freshness is passed on.
    let fresh = two
        .other
        .ask("GET", &jobs)
        .header("Cache-Control", "no-cache");
    assert_eq!(fresh.send().await.must("age"), "0");
    assert!(two.calls() > calls);
    let none = format!("{jobs}?page_size=7");
    let none = two
        .other
        .ask("GET", &none)
        .header("Cache-Control", "only-if-cached");
    none.send().await.problem(504, "nothing_cached");
    // Many at the same time are one read at the holder.
    two.pass(60);
    let calls = two.calls();
    let replies = join_all((0..20).map(|_| two.other.get(&jobs))).await;
    assert!(replies.iter().all(|reply| reply.status == 200));
    assert_eq!(two.counted("answered").await, 3.0);
    let one = two.calls() - calls;
    two.pass(60);
    two.holder.get(&jobs).await.ok();
    assert_eq!(two.calls(), calls + 2 * one);
}

#[tokio::test]
async fn a_stale_answer_of_the_holder_stays_stale() {
    let two = Two::start().await;
    let jobs = World::jobs_path(ALI);
    two.holder.get(&jobs).await.ok();
    two.pass(60);
    two.vendor_fails();
    let reply = two.other.get(&jobs).await;
    assert_eq!(reply.ok()["stale"], json!(true));
    assert_eq!((reply.must("age"), reply.must("ota-stale")), ("60", "true"));
    same(&reply, &two.holder.get(&jobs).await);
    assert_eq!(two.counted("stale").await, 1.0);
    two.alibaba.set_faults(Vec::new());
    two.pass(60);
    let reply = two.other.get(&jobs).await;
    assert_eq!(reply.ok()["stale"], json!(false));
    same(&reply, &two.holder.get(&jobs).await);
}

#[tokio::test]
async fn problems_of_the_holder_come_as_they_are() {
    let two = Two::start().await;
    let jobs = World::jobs_path(ALI);
    let missing = format!("{jobs}/no-such-job");
    let reply = two.other.get(&missing).await;
    let mut problem = reply.problem(404, "not_found");
    let mut expected = two.holder.get(&missing).await.json();
    for problem in [&mut problem, &mut expected] {
        problem["request_id"] = json!("any");
    }
    assert_eq!(problem, expected);
    two.vendor_fails();
    let reply = two.other.get(&jobs).await;
    let problem = reply.problem(503, "provider_unavailable");
    assert_eq!(
        (&problem["provider"], problem["vendor"].is_object()),
        (&json!(ALI), true)
    );
    assert_eq!(two.counted("problem").await, 2.0);
    // A provider that the holder does not have is one that nobody answers for.
    let hua = World::jobs_path(HUA);
    two.other
        .get(&hua)
        .await
        .problem(503, "provider_unavailable");
}

#[tokio::test]
async fn a_refusal_of_the_holder_concerns_its_caller_alone() {
    let alibaba = alibaba_sim(FleetShape::uniform(5, 30).frozen()).await;
    // The holder wants another scope than this gateway, and takes only three requests of a caller.
    let head = keeping_head().replacen("[server]\n", "[server]\nrate_limit = 3\n", 1);
    let text = head + &Section::alibaba(ALI, &alibaba.url()).to_toml();
    let holder = Gateway::with_file(&text).await;
    let (other, _) = other(Some(url(&holder)), &keeping_head()).await;
    let jobs = World::jobs_path(ALI);
    let of = |subject: &str| {
        signed(
            ota_tests::token::SECRET,
            &claims_with(json!({"sub": subject})),
        )
    };
    let ask = |subject: &str, size: u32| {
        let target = format!("{jobs}?page_size={size}");
        other.ask("GET", &target).token(&of(subject))
    };
    for size in 1..=3 {
        ask("greedy", size).send().await.ok();
    }
    let reply = ask("greedy", 4).send().await;
    let problem = reply.problem(429, "rate_limited");
    assert!(problem["retry_after_s"].as_u64().unwrap() > 0);
    assert!(reply.must("retry-after").parse::<u64>().unwrap() > 0);
    // Neither was it cached, nor is it shared with another caller who waits for the same.
    let (greedy, modest) = tokio::join!(ask("greedy", 4).send(), ask("modest", 4).send());
    greedy.problem(429, "rate_limited");
    modest.ok();
    // What is cached here needs nobody's leave.
    ask("greedy", 4).send().await.ok();
}

#[tokio::test]
async fn a_token_that_only_the_holder_refuses_is_refused() {
    let alibaba = alibaba_sim(FleetShape::uniform(5, 30).frozen()).await;
    let head = keeping_head().replace(ota_tests::token::AUDIENCE, "another-audience");
    let text = head + &Section::alibaba(ALI, &alibaba.url()).to_toml();
    let holder = Gateway::with_file(&text).await;
    let (other, _) = other(Some(url(&holder)), &keeping_head()).await;
    let reply = other.get(&World::jobs_path(ALI)).await;
    reply.problem(401, "unauthenticated");
    assert!(reply.must("www-authenticate").contains("invalid_token"));
}

#[tokio::test]
async fn a_holder_that_is_away_leaves_older_answers_or_a_problem() {
    let Two {
        clock,
        alibaba: _alibaba,
        holder,
        other,
        standing,
    } = Two::start().await;
    let jobs = World::jobs_path(ALI);
    other.get(&jobs).await.ok();
    holder.stop().await;
    clock.advance(Duration::from_secs(60));
    let check = async |target: &str, status: u16| {
        let reply = other.get(target).await;
        match status {
            200 => assert_eq!(reply.must("ota-stale"), "true"),
            _ => {
                reply.problem(503, "provider_unavailable");
                assert_eq!(reply.must("retry-after"), "5");
            }
        }
    };
    let never_read = format!("{jobs}?page_size=9");
    check(&jobs, 200).await;
    check(&never_read, 503).await;
    standing.set(Standing::NotHolder { address: None });
    clock.advance(Duration::from_secs(60));
    check(&jobs, 200).await;
    check(&never_read, 503).await;
    let check = other.ask("POST", &format!("/v1/providers/{ALI}/check"));
    check.send().await.problem(503, "provider_unavailable");
}

#[tokio::test]
async fn a_request_is_passed_on_only_once() {
    let (first, standing) = other(None, &keeping_head()).await;
    let (second, _) = other(Some(url(&first)), &keeping_head()).await;
    // Each takes the other for the holder.
    standing.set(Standing::NotHolder {
        address: Some(url(&second)),
    });
    let jobs = World::jobs_path(ALI);
    for gateway in [&first, &second] {
        gateway
            .get(&jobs)
            .await
            .problem(503, "provider_unavailable");
    }
    let check = first.ask("POST", &format!("/v1/providers/{ALI}/check"));
    check.send().await.problem(503, "provider_unavailable");
    let twice = format!("ota_forwarded_reads_total{{provider=\"{ALI}\",result=\"not_holder\"}}");
    assert_eq!(first.metric(&twice).await, 1.0);
    assert_eq!(second.metric(&twice).await, 2.0);
    // Nor does anyone else get it passed on who marks it.
    let marked = first.ask("GET", &jobs).header("OTA-Forwarded", "1");
    marked.send().await.problem(503, "provider_unavailable");
    assert_eq!(first.metric(&twice).await, 2.0);
    // The holder answers a marked request.
    let alibaba = alibaba_sim(FleetShape::uniform(2, 3).frozen()).await;
    let holder = Gateway::start(&[Section::alibaba(ALI, &alibaba.url())]).await;
    let marked = holder.ask("GET", &jobs).header("OTA-Forwarded", "1");
    marked.send().await.ok();
}

/// The answer of a holder to any read.
fn answer() -> Answer {
    let body = json!({"items": [], "total": 0, "as_of": "2026-11-28T18:00:00.000Z", "stale": false, "truncated": false});
    let body = body.to_string();
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\nOTA-As-Of: 2026-11-28T18:00:00.000Z\r\nOTA-Stale: false\r\nAge: 0\r\nConnection: close\r\n\r\n",
        body.len()
    );
    Answer::Raw((head + &body).into_bytes())
}

#[tokio::test]
async fn the_holder_is_given_what_it_needs_and_nothing_else() {
    let holder = Script::start(|_: &Seen| answer()).await;
    let (other, _) = other(Some(holder.url()), &keeping_head()).await;
    let token = minted("ota:read", None);
    let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let target = format!(
        "{}?page_size=2&status=pending,%20paused",
        World::jobs_path(ALI)
    );
    let ask = other.ask("GET", &target).token(&token);
    let ask = ask
        .header("X-Request-Id", "request-7")
        .header("traceparent", trace)
        .header("Cache-Control", "max-age=1")
        .header("Cookie", "session=1")
        .header("X-Forwarded-For", "10.1.2.3")
        .header("If-None-Match", "\"x\"");
    ask.send().await.ok();
    let seen = holder.seen();
    let [seen] = &seen[..] else {
        panic!("one request: {seen:?}");
    };
    assert_eq!(
        (seen.method.as_str(), seen.target.as_str()),
        ("GET", target.as_str())
    );
    for (name, value) in [
        ("ota-forwarded", "1"),
        ("authorization", &format!("Bearer {token}")),
        ("x-request-id", "request-7"),
        ("cache-control", "max-age=1"),
    ] {
        assert_eq!(seen.header(name), Some(value), "{name}");
    }
    // Its vendor calls belong to the caller's trace, under the span of this gateway.
    let given = seen.header("traceparent").unwrap();
    assert_eq!(given[..36], trace[..36]);
    for name in ["cookie", "x-forwarded-for", "if-none-match"] {
        assert_eq!(seen.header(name), None, "{name}");
    }
}

#[tokio::test]
async fn what_no_gateway_answers_is_no_answer() {
    let head = keeping_head().replacen("[server]\n", "[server]\nrequest_timeout_ms = 1000\n", 1);
    let raw = |text: &str| Answer::Raw(text.replace('\n', "\r\n").into_bytes());
    let answers = [
        Answer::Whole(200, "text/html", "<html>welcome</html>".to_owned()),
        Answer::json("{}"),
        Answer::Whole(502, "text/plain", "bad gateway".to_owned()),
        Answer::Whole(503, "application/problem+json", "{".to_owned()),
        Answer::Whole(
            418,
            "application/problem+json",
            json!({"code": "teapot", "detail": "x"}).to_string(),
        ),
        raw("HTTP/1.1 302 Found\nLocation: http://127.0.0.1:1/\nContent-Length: 0\n\n"),
        raw(
            "HTTP/1.1 200 OK\nContent-Type: application/json\nOTA-As-Of: yesterday\nAge: 0\nContent-Length: 2\n\n{}",
        ),
        raw(
            "HTTP/1.1 200 OK\nContent-Type: application/json\nOTA-As-Of: 2026-11-28T18:00:00.000Z\nAge: 0\nContent-Length: 2\n\n{\"",
        ),
        raw(
            "HTTP/1.1 200 OK\nContent-Type: application/json\nOTA-As-Of: 2026-11-28T18:00:00.000Z\nAge: 0\nContent-Length: 200\n\n{",
        ),
        raw("no HTTP at all\n\n"),
        Answer::Endless,
        Answer::Silent,
    ];
    for (number, answer) in answers.into_iter().enumerate() {
        let given = answer.clone();
        let holder = Script::start(move |_: &Seen| given.clone()).await;
        let (other, _) = other(Some(holder.url()), &head).await;
        let reply = other.get(&World::jobs_path(ALI)).await;
        let problem = reply.problem(503, "provider_unavailable");
        assert_eq!(reply.must("retry-after"), "5", "{number}: {answer:?}");
        assert!(
            problem["detail"]
                .as_str()
                .unwrap()
                .contains("gateway that holds")
        );
    }
}

#[tokio::test]
async fn an_identifier_reaches_the_holder_as_it_is_or_not_at_all() {
    let holder = Script::start(|_: &Seen| answer()).await;
    let (other, _) = other(Some(holder.url()), &keeping_head()).await;
    let jobs = World::jobs_path(ALI);
    for (id, sent) in [
        ("a%2Fb", Some("a%2Fb")),
        ("a\\b", Some("a%5Cb")),
        ("c%5cd", Some("c%5cd")),
        ("a%0Ab", Some("a%0Ab")),
        ("%E4%BD%A0", Some("%E4%BD%A0")),
        ("..", None),
        ("%2e%2E", None),
        (".%2e", None),
        ("%2E", None),
        ("...", Some("...")),
    ] {
        let before = holder.seen().len();
        let reply = other.get(&format!("{jobs}/{id}/tasks")).await;
        let seen = holder.seen();
        match sent {
            Some(sent) => {
                reply.ok();
                assert_eq!(seen[before].target, format!("{jobs}/{sent}/tasks"));
            }
            None => {
                reply.problem(404, "not_found");
                assert_eq!(seen.len(), before, "{id}");
            }
        }
    }
}
