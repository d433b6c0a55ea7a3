//! The quota, end to end: it is never exceeded, is shared by an account, and a wait that is too long fails at once; throttling by the vendor.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use ota_core::clock::{Clock, ManualClock, SystemClock};
use ota_sim::{Fault, FaultKind, FleetShape, Quota, Refusal, Server, alibaba, huawei};
use ota_tests::gateway::{head, keeping_head};
use ota_tests::token::minted;
use ota_tests::vendors::{alibaba_config, alibaba_sim, huawei_config};
use ota_tests::wire;
use ota_tests::{Gateway, Section};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::setup::{ALI, HUA, World};

/// An account of ten calls a second.
fn ten_a_second(name: &str, sim: &Server) -> Section {
    Section::alibaba(name, &sim.url()).limit("calls = 10")
}

async fn strict_alibaba(jobs: u32) -> Server {
    alibaba::start(alibaba::Config {
        quota: Some(Quota {
            calls: 10,
            window: Duration::from_secs(1),
        }),
        ..alibaba_config(FleetShape::uniform(jobs, 3).frozen())
    })
    .await
    .unwrap()
}

fn job_paths(sim: &Server, provider: &str) -> Vec<String> {
    let jobs = sim.fleet().jobs.into_iter();
    jobs.map(|job| format!("{}/{}", World::jobs_path(provider), job.id))
        .collect()
}

fn overran(sim: &Server, most: u64) {
    let counters = sim.counters();
    assert_eq!(counters.refused_for(Refusal::Throttled), 0, "{counters:?}");
    let seen = counters.max_in_window.values().max().copied();
    assert!(seen.is_some_and(|seen| seen <= most), "{counters:?}");
}

#[tokio::test]
async fn many_readers_never_overrun_a_quota_and_all_of_them_are_answered() {
    let sim = strict_alibaba(35).await;
    let gateway = Gateway::start(&[ten_a_second(ALI, &sim)]).await;
    let paths = job_paths(&sim, ALI);
    let reads = paths.iter().map(|path| gateway.get(path));
    for reply in join_all(reads).await {
        reply.ok();
    }
    overran(&sim, 10);
    assert_eq!(sim.counters().total_calls(), 35);
}

#[tokio::test]
async fn statistics_are_eight_or_nine_calls_each_and_share_the_quota() {
    let sim = strict_alibaba(3).await;
    let gateway = Gateway::start(&[ten_a_second(ALI, &sim)]).await;
    let paths = job_paths(&sim, ALI);
    let reads: Vec<_> = paths.iter().map(|path| format!("{path}/stats")).collect();
    for reply in join_all(reads.iter().map(|path| gateway.get(path))).await {
        // The batch itself is asked for where its counts could prove how it ended.
        let calls = match reply.ok().get("outcome") {
            Some(_) => "calls=9",
            None => "calls=8",
        };
        assert!(reply.must("server-timing").contains(calls));
    }
    overran(&sim, 10);
}

#[tokio::test]
async fn two_providers_of_one_account_share_its_quota() {
    let sim = strict_alibaba(12).await;
    let section = |name| ten_a_second(name, &sim).limit("account = \"one\"");
    let gateway = Gateway::start(&[section("first"), section("second")]).await;
    let mut paths = job_paths(&sim, "first");
    paths.extend(job_paths(&sim, "second"));
    for reply in join_all(paths.iter().map(|path| gateway.get(path))).await {
        reply.ok();
    }
    overran(&sim, 10);
    assert_eq!(sim.counters().total_calls(), 24);
}

#[tokio::test]
async fn the_default_account_is_the_vendors_key() {
    // Neither section names an account, and both have the same key.
    let sim = strict_alibaba(8).await;
    let sections = ["first", "second"].map(|name| ten_a_second(name, &sim));
    let gateway = Gateway::start(&sections).await;
    let mut paths = job_paths(&sim, "first");
    paths.extend(job_paths(&sim, "second"));
    for reply in join_all(paths.iter().map(|path| gateway.get(path))).await {
        reply.ok();
    }
    overran(&sim, 10);
}

#[tokio::test]
async fn what_is_left_is_shown() {
    let sim = strict_alibaba(4).await;
    let clock = ManualClock::new(ota_sim::Clock::system().now());
    let section = Section::alibaba(ALI, &sim.url()).limit("calls = 10");
    let gateway = Gateway::keeping(&[section], Arc::new(clock.clone())).await;
    let left = || async {
        let shown = gateway.get(&format!("/v1/providers/{ALI}")).await.ok();
        assert_eq!(shown["quota"]["limit"], 10);
        assert_eq!(shown["quota"]["window_s"], 1);
        shown["quota"]["remaining"].as_u64().unwrap()
    };
    assert_eq!(left().await, 10);
    for path in job_paths(&sim, ALI) {
        gateway.get(&path).await.ok();
    }
    assert_eq!(left().await, 6);
    assert_eq!(
        gateway
            .metric("ota_quota_remaining{provider=\"ali\"}")
            .await,
        6.0
    );
    clock.advance(Duration::from_millis(1001));
    assert_eq!(left().await, 10);
}

#[tokio::test]
async fn a_wait_that_would_be_too_long_is_told_at_once() {
    let sim = alibaba_sim(FleetShape::uniform(14, 3).frozen()).await;
    // The clock stands still, so a call that waited would wait for ever.
    let clock = ManualClock::new(ota_sim::Clock::system().now());
    let text = head().replace("[server]", "[server]\nrequest_timeout_ms = 800")
        + &Section::alibaba(ALI, &sim.url())
            .limit("calls = 10")
            .to_toml();
    let gateway = Gateway::on_clock(&text, Arc::new(clock.clone())).await;
    let paths = job_paths(&sim, ALI);
    for path in &paths[..10] {
        gateway.get(path).await.ok();
    }
    let reply = gateway.get(&paths[10]).await;
    let problem = reply.problem(503, "provider_throttled");
    assert_eq!(
        (reply.must("retry-after"), &problem["retry_after_s"]),
        ("1", &1.into())
    );
    assert!(problem.get("vendor").is_none(), "the vendor was not asked");
    assert_eq!(sim.counters().total_calls(), 10);
    clock.advance(Duration::from_secs(1));
    gateway.get(&paths[10]).await.ok();
}

#[tokio::test]
async fn a_throttle_of_the_vendors_is_waited_for_and_the_read_succeeds() {
    for (style, least_ms) in [(Some(400), 400), (None, 250)] {
        let mut config = alibaba_config(FleetShape::uniform(2, 3).frozen());
        config.throttle_style.retry_after_ms = style;
        let sim = alibaba::start(config).await.unwrap();
        let section = Section::alibaba(ALI, &sim.url()).limit("max_attempts = 3");
        let gateway = Gateway::keeping(&[section], Arc::new(SystemClock)).await;
        sim.set_faults(vec![Fault::once(FaultKind::Throttle)]);
        let paths = job_paths(&sim, ALI);
        let begin = SystemClock.monotonic();
        let (first, second) = tokio::join!(gateway.get(&paths[0]), async {
            while sim.counters().total_calls() == 0 {
                tokio::task::yield_now().await;
            }
            gateway.get(&paths[1]).await
        });
        first.ok();
        second.ok();
        // Not a matter of speed: the vendor must not be asked earlier.
        assert!(begin.elapsed() >= Duration::from_millis(least_ms));
        assert_eq!(sim.counters().faults_of(FaultKind::Throttle), 1);
        let throttles = "ota_vendor_throttles_total{operation=\"QueryOTAJob\",provider=\"ali\"}";
        assert_eq!(gateway.metric(throttles).await, 1.0);
        let attempts = "ota_vendor_attempts_total{operation=\"QueryOTAJob\",outcome=\"throttled\",provider=\"ali\"}";
        assert_eq!(gateway.metric(attempts).await, 1.0);
    }
}

#[tokio::test]
async fn a_throttled_account_is_left_in_peace_by_all_its_callers() {
    let mut config = alibaba_config(FleetShape::uniform(5, 3).frozen());
    config.throttle_style.retry_after_ms = Some(20_000);
    let sim = alibaba::start(config).await.unwrap();
    let clock = ManualClock::new(ota_sim::Clock::system().now());
    let text = keeping_head().replace("[server]", "[server]\nrequest_timeout_ms = 5000")
        + &Section::alibaba(ALI, &sim.url()).to_toml();
    let gateway = Gateway::on_clock(&text, Arc::new(clock.clone())).await;
    sim.set_faults(vec![Fault::once(FaultKind::Throttle)]);
    for (number, path) in job_paths(&sim, ALI).iter().enumerate() {
        let reply = gateway.get(path).await;
        let problem = reply.problem(503, "provider_throttled");
        assert_eq!(reply.must("retry-after"), "20");
        assert_eq!(problem.get("vendor").is_some(), number == 0, "{problem}");
    }
    assert_eq!(sim.counters().total_calls(), 1);
    let shown = gateway.get(&format!("/v1/providers/{ALI}")).await.ok();
    assert_eq!(shown["quota"]["remaining"], 0);
    clock.advance(Duration::from_secs(20));
    gateway.get(&job_paths(&sim, ALI)[0]).await.ok();
}

#[tokio::test]
async fn huawei_counts_all_calls_of_an_application_together() {
    let sim = huawei::start(huawei::Config {
        quota: Some(Quota {
            calls: 100,
            window: Duration::from_secs(60),
        }),
        ..huawei_config(FleetShape::uniform(100, 3).frozen())
    })
    .await
    .unwrap();
    let clock = ManualClock::new(ota_sim::Clock::system().now());
    let text = head()
        + &Section::huawei(HUA, &sim.url())
            .limit("calls = 90")
            .to_toml();
    let gateway = Gateway::on_clock(&text, Arc::new(clock.clone())).await;
    let (mut good, mut told) = (0, 0);
    for (number, path) in job_paths(&sim, HUA).iter().enumerate() {
        let path = if number % 2 == 0 {
            path.clone()
        } else {
            format!("{path}/tasks")
        };
        let reply = gateway.get(&path).await;
        match reply.status {
            200 => good += 1,
            _ => {
                reply.problem(503, "provider_throttled");
                told += 1;
            }
        }
    }
    // One of the ninety was the login.
    assert_eq!((good, told), (89, 11));
    assert_eq!(sim.counters().total_calls(), 90);
    assert_eq!(sim.counters().refused_for(Refusal::Throttled), 0);
}

#[tokio::test]
async fn a_clock_that_is_off_is_corrected_once_from_the_vendors_date() {
    for hours in [-3, 3] {
        let sim = alibaba::start(alibaba::Config {
            clock_offset: time::Duration::hours(hours),
            ..alibaba_config(FleetShape::uniform(2, 3).frozen())
        })
        .await
        .unwrap();
        let section = Section::alibaba(ALI, &sim.url()).limit("max_attempts = 3");
        let gateway = Gateway::start(&[section]).await;
        for path in job_paths(&sim, ALI) {
            gateway.get(&path).await.ok();
        }
        let counters = sim.counters();
        assert_eq!(counters.refused_for(Refusal::Clock), 1, "{counters:?}");
        assert_eq!(counters.total_calls(), 3);
    }
}

#[tokio::test]
async fn a_refused_signature_is_never_sent_again() {
    let sim = alibaba_sim(FleetShape::uniform(1, 3).frozen()).await;
    let section = Section::alibaba(ALI, &sim.url()).limit("max_attempts = 10");
    let gateway = Gateway::start(&[section]).await;
    sim.set_faults(vec![Fault::always(FaultKind::EchoSignature)]);
    let path = &job_paths(&sim, ALI)[0];
    gateway.get(path).await.problem(502, "provider_auth");
    assert_eq!(sim.counters().total_calls(), 1);
}

#[tokio::test]
async fn every_attempt_has_a_signature_of_its_own() {
    let sim = alibaba_sim(FleetShape::uniform(1, 3).frozen()).await;
    let section = Section::alibaba(ALI, &sim.url()).limit("max_attempts = 3");
    let gateway = Gateway::start(&[section]).await;
    sim.set_faults(vec![Fault::always(FaultKind::GatewayError).times(2)]);
    gateway.get(&job_paths(&sim, ALI)[0]).await.ok();
    let mut nonces: Vec<String> = sim
        .requests()
        .iter()
        .flat_map(|request| request.headers.clone())
        .filter(|(name, _)| name == "x-acs-signature-nonce")
        .map(|(_, nonce)| nonce)
        .collect();
    nonces.sort();
    nonces.dedup();
    assert_eq!(nonces.len(), 3);
}

/// Sends a request and does not read the answer.
async fn pause(gateway: &Gateway, path: &str) -> TcpStream {
    let headers = [
        ("Host".to_owned(), gateway.address().to_string()),
        (
            "Authorization".to_owned(),
            format!("Bearer {}", minted("ota:read", None)),
        ),
    ];
    let mut stream = TcpStream::connect(gateway.address()).await.unwrap();
    let request = wire::request("GET", path, &headers, b"");
    stream.write_all(&request).await.unwrap();
    stream
}

#[tokio::test]
async fn a_paused_client_holds_nothing_that_others_need() {
    let sim = alibaba_sim(FleetShape::uniform(20, 30).frozen()).await;
    let section = Section::alibaba(ALI, &sim.url()).limit("max_concurrent = 2");
    let gateway = Gateway::keeping(&[section], Arc::new(SystemClock)).await;
    let paths = job_paths(&sim, ALI);
    let mut paused = Vec::new();
    for path in &paths[..10] {
        // One of two sends its whole request and never reads; the other stops in the middle of its request.
        paused.push(pause(&gateway, &format!("{path}/tasks")).await);
        let mut half = TcpStream::connect(gateway.address()).await.unwrap();
        half.write_all(b"GET /v1/providers HTTP/1.1\r\nHost: x\r\n")
            .await
            .unwrap();
        paused.push(half);
    }
    for path in &paths[10..] {
        gateway.get(path).await.ok();
    }
    // Whatever the paused ones asked for was read and kept, and no slot is taken.
    while sim.counters().total_answered() < 20 {
        tokio::task::yield_now().await;
    }
    while gateway
        .metric("ota_vendor_attempts_in_flight{provider=\"ali\"}")
        .await
        > 0.0
    {
        tokio::task::yield_now().await;
    }
    assert_eq!(
        gateway.metric("ota_quota_waiting{provider=\"ali\"}").await,
        0.0
    );
    drop(paused);
}

#[tokio::test]
async fn a_vendor_whose_pages_repeat_ends_the_list() {
    let sim = alibaba_sim(FleetShape::uniform(1, 50).frozen()).await;
    let gateway = Gateway::start(&[Section::alibaba(ALI, &sim.url())]).await;
    let path = format!("{}/tasks?page_size=20", job_paths(&sim, ALI)[0]);
    let first = gateway.get(&path).await.ok();
    sim.set_faults(vec![Fault::always(FaultKind::RepeatPage)]);
    let cursor = first["next_cursor"].as_str().unwrap();
    let reply = gateway.get(&format!("{path}&cursor={cursor}")).await;
    let problem = reply.problem(502, "provider_protocol");
    assert!(
        problem["detail"]
            .as_str()
            .unwrap()
            .contains("previous page")
    );
    sim.set_faults(Vec::new());
    gateway.get(&format!("{path}&cursor={cursor}")).await.ok();
}
