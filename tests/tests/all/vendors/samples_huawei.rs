//! Sample answers of Huawei, compared as whole documents.

use ota_tests::{Answer, Gateway, Script, Section};
use serde_json::{Value, json};

use crate::setup::{HUA, World};

/// A platform that logs everyone in and gives every other call the same answer.
async fn answer(body: &'static str, path: &str) -> Value {
    let script = Script::start(move |seen| match seen.path() {
        "/iocm/app/sec/v1.1.0/login" => {
            Answer::json(include_str!("../../fixtures/huawei.login.json"))
        }
        _ => Answer::json(body),
    })
    .await;
    let gateway = Gateway::start(&[Section::huawei(HUA, &script.url())]).await;
    let reply = gateway
        .get(&format!("{}{path}", World::jobs_path(HUA)))
        .await;
    for token in ["access-token-0001", "refresh-token-0001"] {
        assert!(!reply.shown().contains(token));
    }
    let seen = script.seen();
    assert_eq!(seen.len(), 2, "a login and the call");
    assert_eq!(
        seen[1].header("authorization"),
        Some("Bearer access-token-0001")
    );
    let mut document = reply.ok();
    document.as_object_mut().unwrap().remove("as_of");
    document
}

#[tokio::test]
async fn the_example_of_the_task_list_arrives_whole() {
    let page = answer(
        include_str!("../../fixtures/huawei.list_vendor_example.json"),
        "",
    )
    .await;
    let expected = json!({
        "items": [{
            "provider": HUA,
            "id": "34190c61-2a4e-4f4e-88fa-a5b10f2c764c",
            "status": "completed",
            "outcome": "failed",
            "kind": "firmware",
            "purpose": "upgrade",
            "target": {"scope": "devices", "device_ids": ["09691354-872d-49a1-9c1c-a18512f10ae2"]},
            "stats": {
                "total": 1, "pending": 0, "in_progress": 0, "succeeded": 0, "failed": 1, "canceled": 0, "timed_out": 0,
                "finished_percent": 100.0,
                "outcome": "failed",
            },
            "created_at": "2024-01-02T10:32:56Z",
            "started_at": "2024-01-02T10:34:56Z",
            "vendor": {"name": "huawei-iot", "status": "FAIL", "fields": {"extendPara": {"fileVersion": "V1.1.10"}}},
            "detail": "full",
        }],
        "total": 1,
        "stale": false,
        "truncated": false,
    });
    assert_eq!(page, expected);
}

#[tokio::test]
async fn every_field_of_a_task_has_its_home() {
    let job = answer(
        include_str!("../../fixtures/huawei.get_all_fields.json"),
        "/op-groups",
    )
    .await;
    let expected = json!({
        "provider": HUA,
        "id": "op-groups",
        "status": "completed",
        "outcome": "partial",
        "kind": "software",
        "purpose": "upgrade",
        "target": {
            "scope": "groups", "groups": [{"name": "north"}, {"name": "south"}],
            "device_type": "WaterMeter", "model": "NBIoTDevice", "manufacturer": "Acme",
        },
        "schedule": {
            "mode": "scheduled", "starts_at": "2024-01-03T00:00:00Z", "ends_at": "2024-01-04T00:00:00Z",
        },
        "policy": {"max_retries": 3},
        "stats": {
            "total": 10, "pending": 0, "in_progress": 0, "succeeded": 6, "failed": 3, "canceled": 1, "timed_out": 1,
            "finished_percent": 100.0, "outcome": "partial",
        },
        "created_at": "2024-01-02T10:32:56Z",
        "started_at": "2024-01-03T00:00:00Z",
        "ended_at": "2024-01-03T08:00:00Z",
        "vendor": {
            "name": "huawei-iot", "status": "failed",
            "fields": {"extendPara": {"fileVersion": "V1.1.10", "url": "https://oss.example.com/a.bin"}},
        },
        "detail": "full",
    });
    assert_eq!(job, expected);
}

#[tokio::test]
async fn the_example_of_the_device_list_arrives_whole() {
    let fixture = include_str!("../../fixtures/huawei.list_tasks_vendor_example.json");
    let page = answer(fixture, "/op-1/tasks").await;
    let expected = json!({
        "items": [
            {
                "provider": HUA,
                "job_id": "op-1",
                "id": "8d0c",
                "device": {"id": "09691354-872d-49a1-9c1c-a18512f10ae2"},
                "status": "failed",
                "message": "Waiting for the device online timeout",
                "failure": "timeout",
                "created_at": "2024-01-02T10:32:56Z",
                "started_at": "2024-01-02T10:34:56Z",
                "ended_at": "2024-01-02T11:00:00Z",
                "vendor": {"name": "huawei-iot", "status": "fail", "fields": {"operateType": "firmware_upgrade"}},
            },
            {
                "provider": HUA,
                "job_id": "op-1",
                "id": "8d0d",
                "device": {"id": "d-2"},
                "status": "pending",
                "created_at": "2024-01-02T10:32:56Z",
                "vendor": {
                    "name": "huawei-iot", "status": "wait",
                    "fields": {"operateType": "firmware_upgrade", "extendInfo": {"step": "0"}},
                },
            },
        ],
        "total": 2,
        "stale": false,
        "truncated": false,
    });
    assert_eq!(page, expected);
}

#[tokio::test]
async fn rows_that_no_document_promises_arrive_and_lose_nothing() {
    let page = answer(
        include_str!("../../fixtures/huawei.list_odd_values.json"),
        "",
    )
    .await;
    // One of the four rows is nothing that anybody could show, so no number is exact.
    assert_eq!(page["items"].as_array().unwrap().len(), 3);
    assert!(page.get("total").is_none_or(|total| total == 4));
    let first = page["items"]
        .as_array()
        .unwrap()
        .iter()
        .find(|job| job["id"] == "op-1")
        .unwrap();
    assert_eq!(first["status"], "unknown");
    assert_eq!(first["vendor"]["status"], "Suspended");
    assert_eq!(first["policy"]["max_retries"], 2);
    assert_eq!(first["stats"]["total"], 5);
    assert_eq!(first["kind"], "other");
    assert!(first.get("created_at").is_none());
    let fields = &first["vendor"]["fields"];
    for (at, value) in [
        ("/createTime", json!("2024-01-02 10:32:56")),
        ("/operateType", json!("module_upgrade")),
        ("/operationType", json!("module")),
        ("/targets/region", json!("eu")),
        ("/targets/devices", json!([{"id": "d-3"}])),
        ("/policy/executeType", json!("at_night")),
        ("/policy/startTime", json!("soon")),
        ("/policy/retryType", json!("maybe")),
        ("/policy/window", json!("02:00")),
        ("/staResult/wait", json!("many")),
        ("/staResult/paused", json!(2)),
        ("/colour", json!("https://h/x")),
    ] {
        assert_eq!(fields.pointer(at), Some(&value), "{at} in {fields}");
    }
    let second = page["items"]
        .as_array()
        .unwrap()
        .iter()
        .find(|job| job["id"] == "42")
        .unwrap();
    assert_eq!(second["vendor"]["fields"]["targets"], "everything");

    let fixture = include_str!("../../fixtures/huawei.list_tasks_odd_values.json");
    let page = answer(fixture, "/op-1/tasks").await;
    let first = &page["items"][0];
    assert_eq!(
        (&first["status"], &first["vendor"]["status"]),
        (&json!("unknown"), &json!("timeout"))
    );
    assert_eq!(first["message"], "see https://h/log");
    assert_eq!(
        first["vendor"]["fields"],
        json!({"createTime": "yesterday", "firmware": "V2"})
    );
    let second = &page["items"][1];
    assert_eq!(
        (&second["status"], &second["failure"]),
        (&json!("failed"), &json!("other"))
    );
    assert_eq!(
        second["vendor"]["fields"],
        json!({"deviceId": ["d-2"], "detailInfo": {"code": 3}})
    );
}
