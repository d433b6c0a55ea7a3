//! The configured accounts: what they can do and how they are.

use ota_sim::{Fault, FaultKind};
use ota_tests::{Gateway, Section};
use serde_json::{Value, json};

use crate::setup::{ALI, HUA, World};

fn expected(world: &World, name: &str) -> Value {
    let support = |native: &[&str], here: &[&str], all: &[&str]| -> Value {
        let words = all.iter().map(|filter| {
            let word = match filter {
                filter if native.contains(filter) => "native",
                filter if here.contains(filter) => "here",
                _ => "no",
            };
            ((*filter).to_owned(), json!(word))
        });
        Value::Object(words.collect())
    };
    const JOBS: &[&str] = &[
        "status",
        "outcome",
        "kind",
        "package_id",
        "product_id",
        "device_id",
        "device_name",
        "device_type",
        "model",
        "manufacturer",
    ];
    const TASKS: &[&str] = &["status", "device_name", "device_id"];
    let capabilities = if name == ALI {
        json!({
            "job_filters": support(&["package_id", "product_id", "device_name"], &["status", "kind"], JOBS),
            "task_filters": support(&["status", "device_name"], &["device_id"], TASKS),
            "max_page_size": 100, "needs": {"device_name": ["package_id", "product_id"]}, "max_device_names": 50, "actions": [],
            "job_stats": {"native": false, "calls": 9},
            "documented_quota": {
                "calls": 10, "window_s": 1, "per": "account_and_operation",
                "exceptions": {
                    "CancelOTATaskByJob": 5, "ConfirmOTATask": 20, "CreateOTADynamicUpgradeJob": 20,
                    "CreateOTAStaticUpgradeJob": 20, "QueryOTAFirmware": 20, "ReupgradeOTATask": 20,
                },
            },
        })
    } else {
        json!({
            "job_filters": support(&["status", "kind", "device_id", "device_type", "model", "manufacturer"], &["outcome"], JOBS),
            "task_filters": support(&["status"], &["device_id"], TASKS),
            "max_page_size": 100, "max_device_names": 0, "actions": [], "needs": {},
            "job_stats": {"native": true, "calls": 1},
            "documented_quota": {"calls": 100, "window_s": 60, "per": "application"},
        })
    };
    let (vendor, window) = if name == ALI {
        ("alibaba-iot", 1)
    } else {
        ("huawei-iot", 60)
    };
    json!({
        "name": name, "vendor": vendor, "endpoint": world.sim(name).url(), "capabilities": capabilities,
        "quota": {"limit": 1_000_000, "window_s": window}, "health": {"state": "unknown"},
    })
}

#[tokio::test]
async fn the_list_is_every_provider_whole_and_makes_no_vendor_call() {
    let world = World::small().await;
    let mut list = world.gateway.get("/v1/providers").await.ok();
    for item in list["items"].as_array_mut().unwrap() {
        let name = item["name"].as_str().unwrap().to_owned();
        let mut one = world
            .gateway
            .get(&format!("/v1/providers/{name}"))
            .await
            .ok();
        assert_eq!(*item, one);
        for shown in [&mut *item, &mut one] {
            let left = shown["quota"].as_object_mut().unwrap().remove("remaining");
            assert_eq!(left, Some(json!(1_000_000)));
        }
    }
    assert_eq!(
        list,
        json!({"items": [expected(&world, ALI), expected(&world, HUA)]})
    );
    assert_eq!(world.alibaba.counters().total_calls(), 0);
    assert_eq!(world.huawei.counters().total_calls(), 0);
}

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

#[tokio::test]
async fn one_vendors_trouble_is_not_the_others() {
    let world = World::small().await;
    world
        .alibaba
        .set_faults(vec![Fault::always(FaultKind::Drop)]);
    for _ in 0..3 {
        let reply = world.gateway.get(&World::jobs_path(ALI)).await;
        reply.problem(503, "provider_unavailable");
        world.gateway.get(&World::jobs_path(HUA)).await.ok();
    }
    let list = world.gateway.get("/v1/providers").await.ok();
    assert_eq!(list["items"][0]["health"]["state"], "down");
    assert_eq!(list["items"][1]["health"]["state"], "ok");
    // The gateway itself is well.
    assert_eq!(
        world
            .gateway
            .ask("GET", "/readyz")
            .anonymous()
            .send()
            .await
            .status,
        200
    );
}

#[tokio::test]
async fn one_broken_job_does_not_move_the_health_of_its_provider() {
    let world = World::small().await;
    let jobs = &world.alibaba.fleet().jobs;
    let (broken, other, third) = (&jobs[0].id, &jobs[1].id, &jobs[2].id);
    let path = |id: &str| format!("{}/{id}", World::jobs_path(ALI));
    let broken_at_the_vendor = |ids: &[&str]| {
        let faults = ids
            .iter()
            .map(|id| Fault::always(FaultKind::ProductError).about(*id));
        world.alibaba.set_faults(faults.collect());
    };
    let health = async || {
        let shown = world.gateway.get(&format!("/v1/providers/{ALI}")).await;
        shown.ok()["health"].clone()
    };
    broken_at_the_vendor(&[broken]);
    world.gateway.get(&path(other)).await.ok();
    for _ in 0..2 {
        for _ in 0..3 {
            let reply = world.gateway.get(&path(broken)).await;
            reply.problem(503, "provider_unavailable");
            assert_eq!(health().await["state"], "ok");
        }
        world.gateway.get(&path(other)).await.ok();
        assert_eq!(health().await["state"], "ok");
    }
    // Another one that fails, too, with no answer in between: it may be the vendor.
    broken_at_the_vendor(&[broken, other, third]);
    for (id, state) in [(other, "ok"), (third, "down")] {
        let reply = world.gateway.get(&path(id)).await;
        reply.problem(503, "provider_unavailable");
        assert_eq!(health().await["state"], state);
    }
    assert_eq!(health().await["problem"]["code"], "provider_unavailable");
    broken_at_the_vendor(&[broken, other]);
    world.gateway.get(&path(third)).await.ok();
    assert_eq!(health().await["state"], "ok");
}

#[tokio::test]
async fn a_vendor_that_is_not_there_is_unavailable() {
    let port = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap().port()
    };
    let url = format!("http://127.0.0.1:{port}");
    let sections = [Section::alibaba(ALI, &url), Section::huawei(HUA, &url)];
    let gateway = Gateway::start(&sections).await;
    for name in [ALI, HUA] {
        let reply = gateway.get(&World::jobs_path(name)).await;
        let problem = reply.problem(503, "provider_unavailable");
        assert_eq!(problem["provider"], name);
        assert!(reply.must("retry-after").parse::<u64>().unwrap() > 0);
    }
}

#[tokio::test]
async fn a_gateway_without_providers_answers() {
    let gateway = Gateway::start(&[]).await;
    assert_eq!(
        gateway.get("/v1/providers").await.ok(),
        json!({"items": []})
    );
    gateway
        .get("/v1/providers/x")
        .await
        .problem(404, "not_found");
    assert_eq!(
        gateway
            .ask("GET", "/readyz")
            .anonymous()
            .send()
            .await
            .status,
        200
    );
    gateway.stop().await;
}

#[tokio::test]
async fn names_of_providers_are_compared_letter_for_letter() {
    let world = World::small().await;
    for name in ["ALI", "ali%20", "al", "ali%2F", "%61li%00", "ali."] {
        let reply = world.gateway.get(&format!("/v1/providers/{name}")).await;
        reply.problem(404, "not_found");
    }
    // An escape that is not needed means the same.
    world.gateway.get("/v1/providers/%61li").await.ok();
}
