//! The paths under `/_sim`.

use ota_sim::{Fault, FaultKind};

use crate::client::{Alibaba, Huawei, send};

#[tokio::test(flavor = "multi_thread")]
async fn faults_are_set_and_removed_over_http() {
    let sim = Huawei::start(|_| {}).await;
    let call = |method: &str, body: &str| {
        send(
            sim.server.addr(),
            method,
            "/_sim/faults",
            &[],
            body.as_bytes(),
        )
        .unwrap()
    };
    let faults =
        r#"[{"kind":"delay","delay_ms":1},{"kind":"html_502","operation":"login","remaining":1}]"#;
    assert_eq!(call("PUT", faults).status, 204);
    assert_eq!(
        sim.server.faults()[1],
        Fault::once(FaultKind::Html502).on("login")
    );
    assert_eq!(sim.try_login().status, 502);
    assert_eq!(sim.try_login().status, 200);
    assert_eq!(call("GET", "").json()[1]["remaining"], 0);
    assert_eq!(call("DELETE", "").status, 204);
    assert!(sim.server.faults().is_empty());
    for wrong in [
        "{}",
        "[{\"kind\":\"explode\"}]",
        "[{\"kind\":\"drop\",\"odd\":1}]",
        "",
    ] {
        assert_eq!(call("PUT", wrong).status, 400, "{wrong}");
    }
    assert_eq!(call("POST", "").status, 405);
}

#[tokio::test(flavor = "multi_thread")]
async fn counters_fleet_and_health_are_shown() {
    let sim = Alibaba::start(|_| {}).await;
    sim.ok("QueryOTAJob", &[("JobId", &sim.some_job())]);
    let get = |path: &str| send(sim.server.addr(), "GET", path, &[], b"").unwrap();
    let counters = get("/_sim/counters").json();
    assert_eq!(counters["calls"]["QueryOTAJob"], 1);
    assert_eq!(counters["max_in_window"]["QueryOTAJob"], 1);
    assert_eq!(get("/_sim/health").json()["status"], "ok");
    let fleet = get("/_sim/fleet").json();
    assert_eq!(
        fleet["jobs"].as_array().unwrap().len(),
        sim.server.fleet().jobs.len()
    );
    let page = get("/_sim/");
    assert!(page.text().contains("QueryOTAJob") && !page.text().contains("demo-access-key-secret"));
    assert_eq!(get("/_sim/nothing").status, 404);
    assert_eq!(
        sim.server.counters().total_calls(),
        1,
        "looking is not counted"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_are_recorded_as_received() {
    let sim = Alibaba::start(|_| {}).await;
    sim.clock.advance(std::time::Duration::from_secs(3));
    let job = sim.some_job();
    sim.ok("QueryOTAJob", &[("JobId", &job)]);
    let requests = sim.server.requests();
    let request = &requests[0];
    assert_eq!(
        (request.operation.as_str(), request.method.as_str()),
        ("QueryOTAJob", "GET")
    );
    assert!(request.target.contains(&format!("JobId={job}")));
    assert!(request.params.contains(&("JobId".to_owned(), job)));
    assert!(request.params.iter().all(|(name, _)| name != "Signature"));
    assert_eq!(request.at, std::time::Duration::from_secs(3));
}

#[tokio::test(flavor = "multi_thread")]
async fn stopped_server_accepts_no_connection() {
    let sim = Alibaba::start(|_| {}).await;
    let addr = sim.server.addr();
    assert_eq!(sim.server.url(), format!("http://{addr}"));
    sim.server.stop().await;
    assert!(std::net::TcpStream::connect(addr).is_err());
}
