//! `POST /v1/providers/{provider}/check`

use ota_sim::{Fault, FaultKind};

use crate::setup::{ALI, HUA, World};

#[tokio::test]
async fn a_check_is_one_cheap_call_and_tells_the_health() {
    let world = World::small().await;
    for (name, operation) in [(ALI, "ListOTAFirmware"), (HUA, "list_operations")] {
        let path = format!("/v1/providers/{name}/check");
        let health = world.gateway.ask("POST", &path).send().await.ok();
        assert_eq!(health["state"], "ok");
        assert!(health["checked_at"].is_string() && health.get("problem").is_none());
        assert_eq!(world.sim(name).counters().calls_of(operation), 1);
        let shown = world
            .gateway
            .get(&format!("/v1/providers/{name}"))
            .await
            .ok();
        assert_eq!(shown["health"], health);
    }
    assert_eq!(world.alibaba.counters().total_calls(), 1);
    assert_eq!(
        world.huawei.counters().total_calls(),
        2,
        "a login and the call"
    );
}

#[tokio::test]
async fn a_check_answers_200_whatever_the_health_is() {
    let world = World::small().await;
    for (name, kind, code) in [
        (ALI, FaultKind::Drop, "provider_unavailable"),
        (ALI, FaultKind::EchoSignature, "provider_auth"),
        (ALI, FaultKind::Html200, "provider_protocol"),
        (ALI, FaultKind::Throttle, "provider_throttled"),
        (HUA, FaultKind::GatewayError, "provider_unavailable"),
        (HUA, FaultKind::Throttle, "provider_throttled"),
        (HUA, FaultKind::ProductError, "provider_misconfigured"),
    ] {
        world.sim(name).set_faults(vec![Fault::always(kind)]);
        let path = format!("/v1/providers/{name}/check");
        let health = world.gateway.ask("POST", &path).send().await.ok();
        assert!(
            ["degraded", "down"].contains(&health["state"].as_str().unwrap()),
            "{health}"
        );
        assert_eq!(health["problem"]["code"], code, "{name} {kind:?}");
        let list = world.gateway.get("/v1/providers").await.ok();
        let listed = list["items"].as_array().unwrap().iter();
        let listed = listed.filter(|item| item["health"]["problem"]["code"] == code);
        assert_eq!(listed.count(), 1, "{list}");
        world.sim(name).set_faults(Vec::new());
        let health = world.gateway.ask("POST", &path).send().await.ok();
        assert_eq!(health["state"], "ok");
    }
}
