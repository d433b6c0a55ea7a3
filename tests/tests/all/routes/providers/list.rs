//! `GET /v1/providers`

use ota_tests::Gateway;
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
        "sync": {"state": "off"}, "holder": true,
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
