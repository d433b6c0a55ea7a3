//! Vendor responses that are in no document: odd values, floods, codings, waits, dates.

use std::io::Write as _;
use std::sync::Arc;
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use ota_core::clock::{Clock, ManualClock};
use ota_sim::{Fault, FaultKind, FleetShape};
use ota_tests::script::{Answer, Script};
use ota_tests::vendors::{alibaba_config, huawei_sim};
use ota_tests::{Gateway, Section, wire};
use serde_json::json;
use time::macros::datetime;

use crate::setup::{ALI, HUA, World, ids};
use crate::vendors::faults::{self, Expected, PROTOCOL, THROTTLED};

const VENDORS: [&str; 2] = [ALI, HUA];

#[tokio::test]
async fn one_odd_value_costs_no_row() {
    let world = World::small().await;
    for provider in VENDORS {
        let sim = world.sim(provider);
        for path in [World::jobs_path(provider), world.tasks_path(provider)] {
            let path = format!("{path}?page_size=30");
            let plain = world.gateway.get(&path).await.ok();
            for kind in [
                FaultKind::BadUtf8,
                FaultKind::HalfSurrogate,
                FaultKind::DoubleName,
                FaultKind::HugeNumber,
                FaultKind::DeepValue,
            ] {
                sim.set_faults(vec![Fault::always(kind)]);
                let odd = world.gateway.get(&path).await.ok();
                sim.set_faults(Vec::new());
                assert_eq!(ids(&odd), ids(&plain), "{kind:?} {path}");
                assert_ne!(odd, plain, "{kind:?} {path}");
                let text = odd.to_string();
                let shown = match kind {
                    FaultKind::BadUtf8 => "broken \u{fffd}\u{fffd} text",
                    FaultKind::HalfSurrogate => "half \u{fffd} pair",
                    FaultKind::HugeNumber => "\"1e999\"",
                    FaultKind::DoubleName => "other",
                    _ => "[[[[",
                };
                assert!(text.contains(shown), "{kind:?} {path}: {text}");
            }
        }
    }
}

#[tokio::test]
async fn odd_values_are_counted_without_the_vendors_names() {
    let sim = huawei_sim(FleetShape::uniform(2, 5).frozen()).await;
    let clock = Arc::new(ManualClock::new(datetime!(2026-11-27 12:00 UTC)));
    let section = Section::huawei(HUA, &sim.url());
    let gateway = Gateway::keeping(&[section], Arc::clone(&clock) as Arc<dyn Clock>).await;
    sim.set_faults(vec![Fault::always(FaultKind::BadUtf8)]);
    gateway.get(&World::jobs_path(HUA)).await.ok();
    let sample = format!(
        "ota_vendor_drift_total{{field=\"(any)\",kind=\"malformed\",operation=\"queryUpgradeTaskList\",provider=\"{HUA}\"}}"
    );
    assert!(gateway.metric(&sample).await >= 1.0);
}

#[tokio::test]
async fn millions_of_rows_are_an_honest_error() {
    let world = World::small().await;
    for provider in VENDORS {
        let sim = world.sim(provider);
        for path in [World::jobs_path(provider), world.tasks_path(provider)] {
            sim.set_faults(vec![Fault::always(FaultKind::ManyRows)]);
            let reply = world.gateway.get(&path).await;
            sim.set_faults(Vec::new());
            faults::is(&reply, provider, PROTOCOL);
            let detail = reply.json()["detail"].as_str().unwrap().to_owned();
            assert!(detail.contains("10000 rows"), "{detail}");
            world.gateway.get(&path).await.ok();
        }
    }
}

#[tokio::test]
async fn gzip_is_asked_for_and_read_and_another_coding_is_named() {
    let world = World::small().await;
    for provider in VENDORS {
        let sim = world.sim(provider);
        let gzip = Fault::always(FaultKind::Compress);
        faults::fault(&world, provider, gzip.clone(), Expected::Good).await;
        faults::fault(&world, provider, gzip.clone().coding("br"), PROTOCOL).await;
        sim.set_faults(vec![gzip.coding("zstd")]);
        let reply = world.gateway.get(&World::jobs_path(provider)).await;
        let detail = reply.json()["detail"].as_str().unwrap().to_owned();
        assert!(detail.contains("`zstd`"), "{detail}");
        let requests = sim.requests();
        assert!(requests.iter().all(|seen| {
            seen.headers
                .contains(&("accept-encoding".to_owned(), "gzip".to_owned()))
        }));
    }
}

#[tokio::test]
async fn words_for_slower_are_a_throttle() {
    let world = World::small().await;
    for provider in VENDORS {
        for code in ["SystemBusy", "FlowControlError", "LastTokenProcessing"] {
            let fault = Fault::always(FaultKind::Throttle).code(code);
            faults::fault(&world, provider, fault, THROTTLED).await;
        }
    }
}

#[tokio::test]
async fn an_endless_wait_still_leaves_the_cached_response() {
    let sim = huawei_sim(FleetShape::uniform(3, 5).frozen()).await;
    let clock = Arc::new(ManualClock::new(datetime!(2026-11-27 12:00 UTC)));
    let section = Section::huawei(HUA, &sim.url()).limit("max_attempts = 3");
    let gateway = Gateway::keeping(&[section], Arc::clone(&clock) as Arc<dyn Clock>).await;
    let path = World::jobs_path(HUA);
    let fresh = gateway.get(&path).await.ok();
    for (kind, wait) in [
        (FaultKind::Throttle, u64::MAX.to_string()),
        (FaultKind::GatewayError, u64::MAX.to_string()),
        (FaultKind::Html502, "9".repeat(30)),
        (
            FaultKind::Html502,
            "Fri, 31 Dec 9999 23:59:59 GMT".to_owned(),
        ),
    ] {
        // Behind every pause that the trouble before has led to.
        clock.advance(Duration::from_secs(400));
        sim.set_faults(Vec::new());
        let before = gateway
            .ask("GET", &path)
            .header("cache-control", "no-cache");
        before.send().await.ok();
        clock.advance(Duration::from_secs(10));
        sim.set_faults(vec![Fault::always(kind).retry_after(wait)]);
        let reply = gateway.get(&path).await;
        let stale = reply.ok();
        assert_eq!(stale["items"], fresh["items"], "{kind:?}");
        assert_eq!(stale["stale"], true, "{kind:?}");
    }
}

#[tokio::test]
async fn a_clock_that_is_hours_off_heals_under_every_word_for_it() {
    let mut config = alibaba_config(FleetShape::uniform(2, 5).frozen());
    config.clock_offset = time::Duration::hours(3);
    let sim = ota_sim::alibaba::start(config).await.unwrap();
    let section = Section::alibaba(ALI, &sim.url()).limit("max_attempts = 2");
    let gateway = Gateway::start(&[section]).await;
    let path = World::jobs_path(ALI);
    sim.set_faults(vec![Fault::once(FaultKind::IllegalTimestamp)]);
    gateway.get(&path).await.ok();

    // A date of 1970 is no correction.
    let sim = ota_sim::alibaba::start(alibaba_config(FleetShape::uniform(2, 5).frozen()))
        .await
        .unwrap();
    let section = Section::alibaba(ALI, &sim.url()).limit("max_attempts = 2");
    let gateway = Gateway::start(&[section]).await;
    let odd = Fault::once(FaultKind::IllegalTimestamp).date("Thu, 01 Jan 1970 00:00:00 GMT");
    sim.set_faults(vec![odd]);
    let problem = gateway.get(&path).await.problem(502, "provider_auth");
    assert!(problem["detail"].as_str().unwrap().contains("clock"));
    gateway.get(&path).await.ok();
}

#[tokio::test]
async fn a_megabyte_of_marks_in_a_vendors_text_is_an_error_like_others() {
    for part in ["a:// ", "signature=,", "a:\\\\/\\\\/ ", "http://u@"] {
        let text = part.repeat(1_000_000 / part.len());
        let refusal = format!(
            "{{\"RequestId\":\"r\",\"Code\":\"InvalidPageSize\",\"Message\":\"{text}\",\"error_code\":\"999\",\"error_desc\":\"{text}\"}}"
        );
        let told = refusal.clone();
        let vendor =
            Script::start(move |_| Answer::Whole(400, "application/json", told.clone())).await;
        let sections = [
            Section::alibaba(ALI, &vendor.url()),
            Section::huawei(HUA, &vendor.url()),
        ];
        let gateway = Gateway::start(&sections).await;
        for provider in VENDORS {
            let reply = gateway.get(&World::jobs_path(provider)).await;
            let problem = reply.json();
            assert!(reply.status >= 400 && problem.to_string().len() < 2000);
        }
    }
}

#[tokio::test]
async fn rows_full_of_marks_are_read_whole() {
    let text = "a:// signature=, ".repeat(60_000);
    let task =
        json!({"subOperationId": "s1", "deviceId": "d", "status": "fail", "detailInfo": text});
    let page = json!({"data": [task], "totalCount": 1}).to_string();
    let token = json!({"accessToken": "t", "expiresIn": 3600}).to_string();
    let vendor = Script::start(move |seen| {
        Answer::json(match seen.path().contains("/sec/") {
            true => token.clone(),
            false => page.clone(),
        })
    })
    .await;
    let gateway = Gateway::start(&[Section::huawei(HUA, &vendor.url())]).await;
    let page = gateway
        .get(&format!("{}/j1/tasks", World::jobs_path(HUA)))
        .await
        .ok();
    let message = page["items"][0]["message"].as_str().unwrap();
    assert_eq!(message, "a:// signature=***, ".repeat(60_000));
}

/// An answer whose body has a content coding.
fn coded(coding: &str, body: &[u8]) -> Answer {
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Encoding: {coding}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    Answer::Raw([head.as_bytes(), body].concat())
}

#[tokio::test]
async fn a_key_set_in_gzip_with_an_odd_value_is_read() {
    let (key, token) = crate::access::key_sets::plain();
    let mut set = json!({"keys": [key], "note": "NOTE"})
        .to_string()
        .into_bytes();
    let note = set.windows(4).position(|part| part == b"NOTE").unwrap();
    set[note] = 0xff;
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(&set).unwrap();
    let packed = encoder.finish().unwrap();
    for (coding, good) in [("gzip", true), ("br", false)] {
        let body = packed.clone();
        let server = Script::start(move |_| coded(coding, &body)).await;
        let line = format!("jwks_url = \"{}/jwks\"", server.url());
        let text = crate::access::keys::head(&line);
        let gateway = Gateway::on_clock(&text, crate::access::issuers::clock()).await;
        let ask = async || {
            let request = gateway.ask("GET", "/v1/providers").token(&token);
            request.send().await
        };
        match good {
            true => wire::until(async || ask().await.status == 200).await,
            false => {
                wire::until(async || !server.seen().is_empty()).await;
                ask().await.problem(503, "keys_unavailable");
            }
        }
        let asked = server.seen();
        let accepted = asked
            .first()
            .and_then(|seen| seen.header("accept-encoding"));
        assert_eq!(accepted, Some("gzip"));
    }
}
