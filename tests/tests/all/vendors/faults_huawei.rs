//! Faults of Huawei, one by one.

use ota_sim::{Fault, FaultKind, FleetShape, huawei::operation};
use ota_tests::vendors::{APP_SECRET, huawei_config, huawei_sim};
use ota_tests::{Gateway, Section};

use crate::setup::{HUA, World};
use crate::vendors::faults::{
    self, AUTH, MISCONFIGURED, PROTOCOL, THROTTLED, TIMEOUT, UNAVAILABLE,
};

#[tokio::test]
async fn every_trouble_has_its_code_and_leaves_the_next_request_unharmed() {
    let world = World::small().await;
    faults::common(&world, HUA).await;
    for (kind, expected) in [
        (FaultKind::ProductError, MISCONFIGURED),
        (FaultKind::Xml4xx, PROTOCOL),
        (FaultKind::TokenExpired, AUTH),
    ] {
        faults::fault(&world, HUA, Fault::always(kind), expected).await;
    }
}

#[tokio::test]
async fn rows_that_surprise_arrive_as_far_as_they_can() {
    let world = World::small().await;
    faults::odd_rows(&world, HUA, "createTime").await;
}

#[tokio::test]
async fn a_vendor_that_never_answers_is_a_timeout() {
    let sim = huawei_sim(FleetShape::uniform(5, 30).frozen()).await;
    let section = Section::huawei(HUA, &sim.url()).limit("timeout_ms = 300");
    let gateway = Gateway::start(&[section]).await;
    let path = format!("{}/{}", World::jobs_path(HUA), sim.fleet().jobs[0].id);
    for path in [
        path.clone(),
        format!("{path}/stats"),
        format!("{path}/tasks"),
        World::jobs_path(HUA),
    ] {
        sim.set_faults(vec![Fault::always(FaultKind::Hang)]);
        faults::is(&gateway.get(&path).await, HUA, TIMEOUT);
        sim.set_faults(Vec::new());
        gateway.get(&path).await.ok();
    }
}

/// The login has troubles of its own.
#[tokio::test]
async fn trouble_at_the_login_has_its_code_and_the_next_request_logs_in() {
    for (kind, expected) in [
        (FaultKind::Html200, PROTOCOL),
        (FaultKind::Html502, UNAVAILABLE),
        (FaultKind::CutJson, PROTOCOL),
        (FaultKind::EmptyBody, PROTOCOL),
        (FaultKind::HugeBody, PROTOCOL),
        (FaultKind::Drop, UNAVAILABLE),
        (FaultKind::Throttle, THROTTLED),
        (FaultKind::GatewayError, UNAVAILABLE),
        (FaultKind::ProductError, MISCONFIGURED),
        (FaultKind::Redirect, PROTOCOL),
        (FaultKind::Xml4xx, PROTOCOL),
    ] {
        let sim = huawei_sim(FleetShape::uniform(1, 3).frozen()).await;
        let gateway = Gateway::start(&[Section::huawei(HUA, &sim.url())]).await;
        sim.set_faults(vec![Fault::always(kind).on(operation::LOGIN)]);
        let reply = gateway.get(&World::jobs_path(HUA)).await;
        faults::is(&reply, HUA, expected);
        assert_eq!(sim.counters().calls_of(operation::LIST_OPERATIONS), 0);
        sim.set_faults(Vec::new());
        sim.reset_counters();
        if kind == FaultKind::ProductError {
            // The platform has refused what the login was made with, so it is not used for a while.
            let reply = gateway.get(&World::jobs_path(HUA)).await;
            faults::is(&reply, HUA, expected);
            assert_eq!(sim.counters().logins, 0);
            continue;
        }
        gateway.get(&World::jobs_path(HUA)).await.ok();
        assert_eq!(sim.counters().logins, 1, "{kind:?}");
    }
}

#[tokio::test]
async fn errors_under_http_200_are_errors() {
    let mut config = huawei_config(FleetShape::uniform(2, 5).frozen());
    config.errors_with_200 = true;
    let sim = ota_sim::huawei::start(config).await.unwrap();
    let gateway = Gateway::start(&[Section::huawei(HUA, &sim.url())]).await;
    let path = World::jobs_path(HUA);
    gateway.get(&path).await.ok();
    for (kind, expected) in [
        (FaultKind::Throttle, THROTTLED),
        (FaultKind::GatewayError, UNAVAILABLE),
        (FaultKind::TokenExpired, AUTH),
    ] {
        sim.set_faults(vec![Fault::always(kind)]);
        faults::is(&gateway.get(&path).await, HUA, expected);
        sim.set_faults(Vec::new());
        gateway.get(&path).await.ok();
    }
    for suffix in ["", "/stats", "/tasks"] {
        gateway
            .get(&format!("{path}/nope{suffix}"))
            .await
            .problem(404, "not_found");
    }
}

#[tokio::test]
async fn a_wrong_secret_and_a_frozen_application_are_told_apart() {
    let mut config = huawei_config(FleetShape::uniform(1, 3).frozen());
    config.secret = "another secret".to_owned();
    let sim = ota_sim::huawei::start(config.clone()).await.unwrap();
    let gateway = Gateway::start(&[Section::huawei(HUA, &sim.url())]).await;
    let reply = gateway.get(&World::jobs_path(HUA)).await;
    faults::is(&reply, HUA, AUTH);
    assert_eq!(reply.json()["vendor"]["code"], "100208");
    assert!(reply.header("www-authenticate").is_none());

    config.secret = APP_SECRET.to_owned();
    config.app_frozen = true;
    let sim = ota_sim::huawei::start(config).await.unwrap();
    let gateway = Gateway::start(&[Section::huawei(HUA, &sim.url())]).await;
    let reply = gateway.get(&World::jobs_path(HUA)).await;
    let problem = reply.problem(502, "provider_rejected");
    assert_eq!(problem["vendor"]["code"], "100247");
}

#[tokio::test]
async fn a_throttle_costs_no_login() {
    let world = World::small().await;
    world.gateway.get(&World::jobs_path(HUA)).await.ok();
    world
        .huawei
        .set_faults(vec![Fault::always(FaultKind::Throttle)]);
    for _ in 0..3 {
        let reply = world.gateway.get(&World::jobs_path(HUA)).await;
        faults::is(&reply, HUA, THROTTLED);
        assert_eq!(reply.json()["vendor"]["code"], "1010009");
    }
    assert_eq!(world.huawei.counters().calls_of(operation::LOGIN), 1);
}
