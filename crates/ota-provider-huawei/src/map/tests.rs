//! Whole documents: every field arrives at its place in the neutral model, and nothing is lost.

use ::time::macros::datetime;
use ota_adapter::{LenientList, LenientObject, Source};
use ota_core::configured_fields::ConfiguredFields;
use ota_core::drift::{DriftCounter, DriftKind};
use ota_core::id::{DeviceId, JobId, ProviderName, TaskId};
use ota_core::job::{
    Detail, Group, Job, JobKind, JobOutcome, JobPurpose, JobStats, JobStatus, Policy, Schedule,
    ScheduleMode, Scope, Target,
};
use ota_core::task::{Device, Failure, Task, TaskStatus};
use ota_core::vendor::VendorDetail;
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::{job, task};
use crate::wire;

fn fixture<T: serde::de::DeserializeOwned>(text: &str) -> T {
    serde_json::from_str(text).unwrap()
}

fn name() -> ProviderName {
    ProviderName::parse("huawei-nb").unwrap()
}

fn rows<T: serde::de::DeserializeOwned>(text: &str) -> Vec<Option<T>> {
    let mut page: Map<String, Value> = fixture(text);
    let rows = LenientList::from(page.remove("data").unwrap());
    let rows = rows.0.into_iter().map(|row| match row {
        LenientObject::Object(row) => Some(row),
        LenientObject::Other(_) => None,
    });
    rows.collect()
}

fn vendor(status: Option<&str>, fields: Value) -> VendorDetail {
    let Value::Object(fields) = fields else {
        panic!("fields are an object")
    };
    VendorDetail {
        name: "huawei-iot",
        status: status.map(str::to_owned),
        fields,
    }
}

/// Maps a row, and returns what was reported.
fn mapped<T>(map: impl FnOnce(Source<'_>) -> T) -> (T, Vec<(DriftKind, String)>) {
    let (drift, provider) = (DriftCounter::default(), name());
    let item = map(Source {
        vendor: "huawei-iot",
        provider: &provider,
        operation: "List",
        drift: &drift,
        fields: &ConfiguredFields::default(),
    });
    let reported = drift.snapshot().into_keys();
    let reported = reported.map(|(kind, _, field)| (kind, field));
    (item, reported.collect())
}

fn mapped_job(row: wire::OperationInfo) -> (Job, Vec<(DriftKind, String)>) {
    mapped(|source| job(source, row))
}

fn mapped_task(row: wire::SubOperationInfo) -> (Task, Vec<(DriftKind, String)>) {
    mapped(|source| task(source, row, &JobId::from("op")))
}

#[track_caller]
fn check_reported(reported: &[(DriftKind, String)], expected: &[(DriftKind, &str)]) {
    let reported: Vec<_> = reported
        .iter()
        .map(|(kind, field)| (*kind, field.as_str()))
        .collect();
    assert_eq!(reported, expected);
}

#[test]
fn the_vendors_example_of_a_task_arrives_whole() {
    let text = include_str!("../../tests/fixtures/list_vendor_example.json");
    let row = rows(text).remove(0).unwrap();
    let (item, reported) = mapped_job(row);
    assert_eq!(reported, []);
    let expected = Job {
        outcome: Some(JobOutcome::Failed),
        kind: Some(JobKind::Firmware),
        purpose: Some(JobPurpose::Upgrade),
        target: Target {
            scope: Some(Scope::Devices),
            device_ids: vec![DeviceId::from("09691354-872d-49a1-9c1c-a18512f10ae2")],
            ..Target::default()
        },
        stats: Some(JobStats {
            total: Some(1),
            pending: Some(0),
            in_progress: Some(0),
            succeeded: Some(0),
            failed: Some(1),
            canceled: Some(0),
            timed_out: Some(0),
            outcome: Some(JobOutcome::Failed),
            ..JobStats::default()
        }),
        created_at: Some(datetime!(2024-01-02 10:32:56 UTC)),
        started_at: Some(datetime!(2024-01-02 10:34:56 UTC)),
        ..Job::new(
            name(),
            JobId::from("34190c61-2a4e-4f4e-88fa-a5b10f2c764c"),
            JobStatus::Completed,
            Detail::Full,
            vendor(
                Some("FAIL"),
                json!({"extendPara": {"fileVersion": "V1.1.10"}}),
            ),
        )
    };
    assert_eq!(item, expected);
}

/// The detail call's answer without its envelope, which the client takes off.
fn all_fields() -> wire::OperationInfo {
    let mut body: Map<String, Value> =
        fixture(include_str!("../../tests/fixtures/get_all_fields.json"));
    body.remove("error_code");
    body.remove("error_desc");
    serde_json::from_value(Value::Object(body)).unwrap()
}

#[test]
fn every_documented_field_of_a_task_has_its_home() {
    let (item, reported) = mapped_job(all_fields());
    assert_eq!(reported, []);
    let group = |name: &str| Group {
        id: None,
        name: Some(name.to_owned()),
    };
    let expected = Job {
        outcome: Some(JobOutcome::Partial),
        kind: Some(JobKind::Software),
        purpose: Some(JobPurpose::Upgrade),
        target: Target {
            scope: Some(Scope::Groups),
            groups: vec![group("north"), group("south")],
            device_type: Some("WaterMeter".to_owned()),
            model: Some("NBIoTDevice".to_owned()),
            manufacturer: Some("Acme".to_owned()),
            ..Target::default()
        },
        schedule: Schedule {
            mode: Some(ScheduleMode::Scheduled),
            starts_at: Some(datetime!(2024-01-03 00:00 UTC)),
            ends_at: Some(datetime!(2024-01-04 00:00 UTC)),
        },
        policy: Policy {
            max_retries: Some(3),
            ..Policy::default()
        },
        stats: Some(JobStats {
            total: Some(10),
            pending: Some(0),
            in_progress: Some(0),
            succeeded: Some(6),
            // 0 + 0 + 6 + 2 + 1 is one short of 10, and the one is the timeout.
            failed: Some(3),
            canceled: Some(1),
            timed_out: Some(1),
            outcome: Some(JobOutcome::Partial),
            ..JobStats::default()
        }),
        created_at: Some(datetime!(2024-01-02 10:32:56 UTC)),
        started_at: Some(datetime!(2024-01-03 00:00 UTC)),
        ended_at: Some(datetime!(2024-01-03 08:00 UTC)),
        ..Job::new(
            name(),
            JobId::from("op-groups"),
            JobStatus::Completed,
            Detail::Full,
            vendor(
                Some("failed"),
                json!({"extendPara": {"fileVersion": "V1.1.10", "url": "https://oss.example.com/a.bin"}}),
            ),
        )
    };
    assert_eq!(item, expected);
}

#[test]
fn what_cannot_be_understood_is_kept_and_noted() {
    let text = include_str!("../../tests/fixtures/list_odd_values.json");
    let mut rows: Vec<Option<wire::OperationInfo>> = rows(text);
    let (last, _) = mapped_job(rows.pop().unwrap().unwrap());
    assert_eq!((last.id.as_str(), last.status), ("", JobStatus::Pending));
    let (numbers, _) = mapped_job(rows.pop().unwrap().unwrap());
    assert_eq!(
        rows.pop().unwrap(),
        None,
        "a row that is no object keeps its place"
    );
    let (odd, reported) = mapped_job(rows.pop().unwrap().unwrap());

    let expected = Job {
        kind: Some(JobKind::Other),
        purpose: Some(JobPurpose::Upgrade),
        target: Target {
            groups: vec![Group {
                id: None,
                name: Some("g".to_owned()),
            }],
            device_ids: vec![DeviceId::from("7"), DeviceId::from("d-2")],
            ..Target::default()
        },
        policy: Policy {
            max_retries: Some(2),
            ..Policy::default()
        },
        stats: Some(JobStats {
            total: Some(5),
            ..JobStats::default()
        }),
        started_at: Some(datetime!(2024-01-02 10:34:56 UTC)),
        ..Job::new(
            name(),
            JobId::from("op-1"),
            JobStatus::Unknown,
            Detail::Full,
            vendor(
                Some("Suspended"),
                json!({
                    "createTime": "2024-01-02 10:32:56",
                    "operateType": "module_upgrade",
                    "operationType": "module",
                    "targets": {"devices": [{"id": "d-3"}], "region": "eu"},
                    "policy": {"executeType": "at_night", "startTime": "soon", "retryType": "maybe", "window": "02:00"},
                    "staResult": {"wait": "many", "paused": 2},
                    "colour": "https://h/x",
                }),
            ),
        )
    };
    assert_eq!(odd, expected);
    check_reported(
        &reported,
        &[
            (DriftKind::Word, "operateType"),
            (DriftKind::Word, "policy.executeType"),
            (DriftKind::Word, "status"),
            (DriftKind::Field, "colour"),
            (DriftKind::Field, "empty"),
            (DriftKind::Field, "policy.window"),
            (DriftKind::Field, "staResult.paused"),
            (DriftKind::Field, "targets.region"),
            (DriftKind::Value, "createTime"),
            (DriftKind::Value, "policy.retryType"),
            (DriftKind::Value, "policy.startTime"),
            (DriftKind::Value, "staResult.wait"),
            (DriftKind::Value, "targets.devices"),
        ],
    );

    let expected = Job::new(
        name(),
        JobId::from("42"),
        JobStatus::Unknown,
        Detail::Full,
        vendor(
            Some("7"),
            json!({"targets": "everything", "policy": [1], "staResult": "none"}),
        ),
    );
    assert_eq!(numbers, expected);
}

#[test]
fn the_vendors_example_of_a_device_arrives_whole() {
    let text = include_str!("../../tests/fixtures/list_tasks_vendor_example.json");
    let mut rows: Vec<Option<wire::SubOperationInfo>> = rows(text);
    let (waiting, waiting_reported) = mapped_task(rows.pop().unwrap().unwrap());
    let (failed, failed_reported) = mapped_task(rows.pop().unwrap().unwrap());
    let device = |id: &str| Device {
        id: Some(DeviceId::from(id)),
        ..Device::default()
    };
    let expected = Task {
        device: device("09691354-872d-49a1-9c1c-a18512f10ae2"),
        message: Some("Waiting for the device online timeout".to_owned()),
        failure: Some(Failure::Timeout),
        created_at: Some(datetime!(2024-01-02 10:32:56 UTC)),
        started_at: Some(datetime!(2024-01-02 10:34:56 UTC)),
        ended_at: Some(datetime!(2024-01-02 11:00 UTC)),
        ..Task::new(
            name(),
            JobId::from("op"),
            TaskId::from("8d0c"),
            TaskStatus::Failed,
            vendor(Some("fail"), json!({"operateType": "firmware_upgrade"})),
        )
    };
    assert_eq!(failed, expected);
    let expected = Task {
        device: device("d-2"),
        created_at: Some(datetime!(2024-01-02 10:32:56 UTC)),
        ..Task::new(
            name(),
            JobId::from("op"),
            TaskId::from("8d0d"),
            TaskStatus::Pending,
            vendor(
                Some("wait"),
                json!({"operateType": "firmware_upgrade", "extendInfo": {"step": "0"}}),
            ),
        )
    };
    assert_eq!(waiting, expected);
    assert_eq!((failed_reported, waiting_reported), (vec![], vec![]));
}

#[test]
fn an_odd_device_keeps_its_row() {
    let text = include_str!("../../tests/fixtures/list_tasks_odd_values.json");
    let mut rows: Vec<Option<wire::SubOperationInfo>> = rows(text);
    let (typed, _) = mapped_task(rows.pop().unwrap().unwrap());
    let (unknown, reported) = mapped_task(rows.pop().unwrap().unwrap());
    let expected = Task {
        device: Device {
            id: Some(DeviceId::from("d-1")),
            ..Device::default()
        },
        message: Some("see https://h/log".to_owned()),
        ..Task::new(
            name(),
            JobId::from("op"),
            TaskId::from("s-1"),
            TaskStatus::Unknown,
            vendor(
                Some("timeout"),
                json!({"createTime": "yesterday", "firmware": "V2"}),
            ),
        )
    };
    assert_eq!(unknown, expected);
    check_reported(
        &reported,
        &[
            (DriftKind::Word, "status"),
            (DriftKind::Field, "firmware"),
            (DriftKind::Value, "createTime"),
        ],
    );
    let expected = Task {
        failure: Some(Failure::Other),
        ..Task::new(
            name(),
            JobId::from("op"),
            TaskId::from("s-2"),
            TaskStatus::Failed,
            vendor(
                Some("FAILED"),
                json!({"deviceId": ["d-2"], "detailInfo": {"code": 3}}),
            ),
        )
    };
    assert_eq!(typed, expected);
}

/// Any JSON, with the vendor's own field names more often than others.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "(wait|FAIL|20240102T103256Z|18446744073709551615|.{0,8})".prop_map(Value::from),
    ];
    let name = "(operationId|createTime|operateType|targets|policy|status|staResult|extendPara|devices|deviceGroups|\
        executeType|retryType|retryTimes|total|wait|success|fail|stop|timeout|subOperationId|deviceId|detailInfo|.{0,4})";
    leaf.prop_recursive(4, 64, 8, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::vec((name, inner), 0..8)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn no_row_panics_and_every_object_is_a_row(value in any_json()) {
        let object = value.is_object();
        let operation = serde_json::from_value::<wire::OperationInfo>(value.clone());
        let sub_operation = serde_json::from_value::<wire::SubOperationInfo>(value);
        prop_assert!(!object || operation.is_ok() && sub_operation.is_ok());
        if let (Ok(operation), Ok(sub_operation)) = (operation, sub_operation) {
            mapped_job(operation);
            mapped_task(sub_operation);
        }
    }
}
