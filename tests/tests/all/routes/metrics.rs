//! `GET /metrics`, on its own listener.

use std::sync::Arc;

use ota_core::clock::SystemClock;
use ota_sim::{Fault, FaultKind, FleetShape};
use ota_tests::vendors::{alibaba_sim, huawei_sim};
use ota_tests::{Gateway, Section, wire};

use crate::setup::{ALI, HUA, World};

#[tokio::test]
async fn requests_calls_and_states_are_counted() {
    let (ali, hua) = (
        alibaba_sim(FleetShape::uniform(3, 5).frozen()).await,
        huawei_sim(FleetShape::uniform(3, 5).frozen()).await,
    );
    let sections = [
        Section::alibaba(ALI, &ali.url()).limit("max_attempts = 3"),
        Section::huawei(HUA, &hua.url()),
    ];
    let gateway = Gateway::keeping(&sections, Arc::new(SystemClock)).await;
    let job = ali.fleet().jobs[0].id.clone();
    let path = format!("{}/{job}", World::jobs_path(ALI));
    ali.set_faults(vec![
        Fault::always(FaultKind::GatewayError).times(2),
        Fault::always(FaultKind::UnknownStatus),
    ]);
    gateway.get(&path).await.ok();
    gateway.get(&path).await.ok();
    gateway.get(&World::jobs_path(HUA)).await.ok();
    gateway
        .get("/v1/nothing/here")
        .await
        .problem(404, "not_found");
    gateway.ask("GET", &path).anonymous().send().await;
    for (sample, value) in [
        (
            "ota_http_requests_total{route=\"/v1/providers/{provider}/jobs/{job_id}\",status=\"200\"}",
            2.0,
        ),
        (
            "ota_http_requests_total{route=\"/v1/providers/{provider}/jobs/{job_id}\",status=\"401\"}",
            1.0,
        ),
        (
            "ota_http_requests_total{route=\"(none)\",status=\"404\"}",
            1.0,
        ),
        ("ota_http_requests_in_flight", 0.0),
        (
            "ota_reads_total{operation=\"get_job\",provider=\"ali\",result=\"fetched\"}",
            1.0,
        ),
        (
            "ota_reads_total{operation=\"get_job\",provider=\"ali\",result=\"hit\"}",
            1.0,
        ),
        (
            "ota_vendor_calls_total{operation=\"QueryOTAJob\",outcome=\"ok\",provider=\"ali\"}",
            1.0,
        ),
        (
            "ota_vendor_attempts_total{operation=\"QueryOTAJob\",outcome=\"ok\",provider=\"ali\"}",
            1.0,
        ),
        (
            "ota_vendor_attempts_total{operation=\"QueryOTAJob\",outcome=\"unavailable\",provider=\"ali\"}",
            2.0,
        ),
        (
            "ota_vendor_attempt_duration_seconds_count{operation=\"QueryOTAJob\",provider=\"ali\"}",
            3.0,
        ),
        (
            "ota_quota_wait_seconds_count{operation=\"QueryOTAJob\",provider=\"ali\"}",
            3.0,
        ),
        (
            "ota_vendor_attempts_total{operation=\"login\",outcome=\"ok\",provider=\"hua\"}",
            1.0,
        ),
        (
            "ota_vendor_drift_total{field=\"JobStatus\",kind=\"word\",operation=\"QueryOTAJob\",provider=\"ali\"}",
            1.0,
        ),
        ("ota_breaker_state{provider=\"ali\",state=\"closed\"}", 1.0),
        ("ota_breaker_state{provider=\"hua\",state=\"open\"}", 0.0),
        ("ota_cache_entries", 2.0),
    ] {
        assert_eq!(
            gateway.metric(sample).await,
            value,
            "{sample} in\n{}",
            gateway.metrics().await
        );
    }
    let memory = gateway.metric("process_resident_memory_bytes").await;
    assert!(!cfg!(target_os = "linux") || memory > 1e6);
    assert!(gateway.metric("process_start_time_seconds").await > 1.7e9);
}

#[tokio::test]
async fn no_label_is_an_identifier() {
    let sim = alibaba_sim(FleetShape::uniform(3, 5).frozen()).await;
    let section = Section::alibaba(ALI, &sim.url());
    let gateway = Gateway::keeping(&[section], Arc::new(SystemClock)).await;
    sim.set_faults(vec![Fault::always(FaultKind::UnknownField)]);
    let job = sim.fleet().jobs[0].id.clone();
    for path in [
        format!(
            "{}/{job}/tasks?device_name=dev-x1&status=failed",
            World::jobs_path(ALI)
        ),
        format!("{}/{job}", World::jobs_path(ALI)),
        "/v1/providers/nobody-x2/jobs".to_owned(),
        "/some/path-x3".to_owned(),
    ] {
        gateway.get(&path).await;
    }
    let text = gateway.metrics().await;
    for identifier in [
        job.as_str(),
        "dev-x1",
        "nobody-x2",
        "path-x3",
        "RolloutRing",
        "127.0.0.1",
    ] {
        assert!(!text.contains(identifier), "{identifier} in\n{text}");
    }
    assert!(text.contains("field=\"(new)\""));
}

#[tokio::test]
async fn metrics_are_on_their_own_listener_only() {
    let sim = alibaba_sim(FleetShape::uniform(1, 1).frozen()).await;
    let section = Section::alibaba(ALI, &sim.url());
    let gateway = Gateway::keeping(&[section], Arc::new(SystemClock)).await;
    gateway.get("/metrics").await.problem(404, "not_found");
    assert!(gateway.metrics().await.contains("ota_build_info"));
    let address = gateway.metrics_address();
    let headers = [("Host".to_owned(), address.to_string())];
    for path in ["/", "/v1/providers", "/healthz"] {
        let request = wire::request("GET", path, &headers, b"");
        assert_eq!(
            wire::exchange(address, &request).await.status,
            404,
            "{path}"
        );
    }
}
