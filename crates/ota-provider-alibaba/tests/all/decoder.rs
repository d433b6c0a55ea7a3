//! The decoder reads whatever comes: no answer ends it, and no row spoils the others.

use ota_adapter_test::decoder;
use ota_provider_alibaba::internals::{Operation, Read, read};
use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::{Value, json};

/// Sample answers, in both formats.
const FIXTURES: &[&str] = &[
    include_str!("../fixtures/list-ota-firmware.json"),
    include_str!("../fixtures/list-ota-job-by-firmware.json"),
    include_str!("../fixtures/list-ota-task-by-job.en.json"),
    include_str!("../fixtures/list-ota-task-by-job.ja.xml"),
    include_str!("../fixtures/list-ota-task-by-job.zh.xml"),
    include_str!("../fixtures/query-ota-job.every-field.json"),
    include_str!("../fixtures/query-ota-job.zh.json"),
    include_str!("../fixtures/query-ota-job.zh.xml"),
];

/// The lists, with the wrapper of their rows and a row.
fn lists() -> [(Operation, &'static str, Value); 4] {
    let job =
        json!({"JobId": "j1", "JobStatus": "COMPLETED", "UtcCreate": "2019-12-28T02:43:10.000Z"});
    let task = json!({"TaskId": "t1", "TaskStatus": "FAILED", "Progress": "33", "IotId": "d1"});
    let package = json!({"FirmwareId": "p1", "FirmwareName": "n"});
    [
        (Operation::JobsByPackage, "SimpleOTAJobInfo", job.clone()),
        (Operation::JobsByDevice, "SimpleOTAJobInfo", job),
        (Operation::Tasks, "SimpleOTATaskInfo", task),
        (Operation::Packages, "SimpleFirmwareInfo", package),
    ]
}

/// Names of the vendor's, and others.
fn name() -> impl Strategy<Value = String> {
    prop_oneof![
        "(RequestId|Success|Code|Message|ErrorMessage|Total|Data|FirmwareInfo|CurrentPage)",
        "(SimpleOTAJobInfo|SimpleOTATaskInfo|SimpleFirmwareInfo|SrcVersions|SrcVersion|Tags|OtaTagDTO|Key|Value)",
        "(JobId|JobStatus|JobType|GrayPercent|TimeoutInMinutes|UtcCreate|UtcModified|TaskId|TaskStatus|Progress|Timeout|FirmwareId)",
        "[A-Za-z]{1,6}",
    ]
}

fn any_json() -> impl Strategy<Value = Value> {
    decoder::any_json(name(), "true|FAILED|IN_PROGRESS|2019-12-28T02:43:10.000Z")
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}

/// Writes a value as the content of the element `name`; a list repeats the element.
fn xml(name: &str, value: &Value) -> String {
    match value {
        Value::Null => format!("<{name}/>"),
        Value::Array(items) => items.iter().map(|item| xml(name, item)).collect(),
        Value::Object(members) => {
            let inner: String = members
                .iter()
                .map(|(name, value)| xml(name, value))
                .collect();
            format!("<{name}>{inner}</{name}>")
        }
        Value::String(text) => format!("<{name}>{}</{name}>", escaped(text)),
        scalar => format!("<{name}>{scalar}</{name}>"),
    }
}

/// The rows as text that can be compared, `None` for what is not a row.
fn rows(read: Read) -> Vec<Option<String>> {
    match read {
        Read::Job(job) => decoder::shown(vec![job]),
        Read::Jobs(jobs) => decoder::shown(jobs),
        Read::Tasks(tasks) => decoder::shown(tasks),
        Read::Packages(packages) => decoder::shown(packages),
    }
}

fn page(wrapper: &str, rows: &Value) -> Value {
    json!({"RequestId": "r", "Success": true, "Total": 2, "Data": {wrapper: rows}})
}

proptest! {
    #[test]
    fn no_bytes_end_it(status in 100_u16..600, body in prop::collection::vec(any::<u8>(), 0..200)) {
        for operation in Operation::ALL {
            let _ = read(operation, status, &body);
        }
    }

    #[test]
    fn no_json_and_no_xml_ends_it(status in 100_u16..600, value in any_json()) {
        let data = json!({"Success": true, "Total": 1, "Data": value});
        for operation in Operation::ALL {
            for body in [value.to_string(), data.to_string(), xml("Root", &value), xml("Root", &data)] {
                let _ = read(operation, status, body.as_bytes());
            }
        }
    }

    #[test]
    fn no_damaged_answer_ends_it(
        which: Index, at: Index, length in 0_usize..40, to in prop_oneof![
            prop::collection::vec(any::<u8>(), 0..4),
            "(null|\\[\\]|\\{\\}|\"\"|0|</Data>|<Data>|&amp;|&#0;|<!\\[CDATA\\[|\\]\\]>)".prop_map(String::into_bytes),
        ],
    ) {
        let sample: &&str = which.get(FIXTURES);
        for body in decoder::damaged(sample, at, length, to) {
            for operation in Operation::ALL {
                let _ = read(operation, 200, &body);
            }
        }
    }

    #[test]
    fn no_row_spoils_its_page(garbage in prop::collection::vec(any_json(), 1..4)) {
        for (operation, wrapper, good) in lists() {
            let alone = page(wrapper, &json!([good]));
            let alone = rows(read(operation, 200, alone.to_string().as_bytes()).unwrap()).remove(0);
            prop_assert!(alone.is_some());
            let mut all = vec![good.clone()];
            all.extend(garbage.iter().cloned());
            all.push(good);
            let count = all.len();
            let body = page(wrapper, &all.into());
            let read_rows = rows(read(operation, 200, body.to_string().as_bytes()).unwrap());
            prop_assert_eq!(read_rows.len(), count);
            prop_assert!(read_rows[0] == alone && read_rows[count - 1] == alone, "{read_rows:?}");
            // In XML a list inside the list runs into it, so only what stands at the ends is known.
            let body = xml("Response", &body);
            let read_rows = rows(read(operation, 200, body.as_bytes()).unwrap());
            prop_assert!(read_rows[0] == alone && read_rows[read_rows.len() - 1] == alone, "{body}");
        }
    }

    #[test]
    fn no_field_spoils_its_job(field in name(), value in any_json()) {
        let mut job = json!({"JobId": "j1", "JobStatus": "COMPLETED", "JobDesc": "d"});
        job[&field] = value;
        let body = json!({"Success": true, "Data": job});
        for body in [body.to_string(), xml("Response", &body)] {
            let Read::Job(Some(read)) = read(Operation::Job, 200, body.as_bytes()).unwrap() else {
                return Err(TestCaseError::fail(body));
            };
            prop_assert_eq!(read.description.as_deref(), Some("d"));
        }
    }
}

/// A page of three tasks whose second one has `value` in `Progress`, in JSON or XML.
fn page_with(value: &[u8], as_xml: bool) -> Vec<u8> {
    let (before, after) = match as_xml {
        true => (
            "<R><Success>true</Success><Total>3</Total><Data><SimpleOTATaskInfo><TaskId>first</TaskId></SimpleOTATaskInfo><SimpleOTATaskInfo><TaskId>odd</TaskId><Progress>",
            "</Progress></SimpleOTATaskInfo><SimpleOTATaskInfo><TaskId>last</TaskId></SimpleOTATaskInfo></Data></R>",
        ),
        false => (
            r#"{"Success":true,"Total":3,"Data":{"SimpleOTATaskInfo":[{"TaskId":"first"},{"TaskId":"odd","Progress":"#,
            r#"},{"TaskId":"last"}]}}"#,
        ),
    };
    [before.as_bytes(), value, after.as_bytes()].concat()
}

#[track_caller]
fn check_odd_value(value: &[u8], as_xml: bool, kept: Value) {
    let Ok(Read::Tasks(tasks)) = read(Operation::Tasks, 200, &page_with(value, as_xml)) else {
        panic!(
            "a row has failed its page: {}",
            String::from_utf8_lossy(value)
        );
    };
    let tasks: Vec<_> = tasks.into_iter().flatten().collect();
    let ids: Vec<&str> = tasks.iter().map(|task| task.id.as_str()).collect();
    assert_eq!(ids, ["first", "odd", "last"]);
    assert_eq!(tasks[1].vendor.fields["Progress"], kept);
}

#[test]
fn one_value_that_is_not_as_it_should_be_costs_no_row() {
    for (value, kept) in [
        (&b"\"x\xffy\""[..], Value::from("x\u{fffd}y")),
        (br#""x\udfffy""#, "x\u{fffd}y".into()),
        (b"\"x\x01y\"", "x\u{1}y".into()),
        (b"1e999", "1e999".into()),
        (b"Infinity", "Infinity".into()),
        (
            b"123456789012345678901234567890",
            "123456789012345678901234567890".into(),
        ),
        (br#"{"a":1,"a":2}"#, json!({"a": 2, "a (second)": 1})),
    ] {
        check_odd_value(value, false, kept);
    }
    for (value, kept) in [
        (&b"x\xffy"[..], "x\u{fffd}y"),
        (b"x&#xd800;y", "x\u{fffd}y"),
        (b"1e999", "1e999"),
        (b"x&nbsp;y & z", "x&nbsp;y & z"),
        (b"x\x00y", "x\u{0}y"),
    ] {
        check_odd_value(value, true, kept.into());
    }
    let deep = [vec![b'['; 10_000], vec![b']'; 10_000]].concat();
    assert!(read(Operation::Tasks, 200, &page_with(&deep, false)).is_ok());
    let deep = format!("{}{}", "<a>".repeat(10_000), "</a>".repeat(10_000));
    assert!(read(Operation::Tasks, 200, &page_with(deep.as_bytes(), true)).is_ok());
    // What cannot be cut into rows is no page.
    assert!(read(Operation::Tasks, 200, &page_with(b"\"x", false)).is_err());
    assert!(read(Operation::Tasks, 200, &page_with(b"<x>", true)).is_err());
}

#[test]
fn rows_are_counted_before_they_are_built() {
    let page = |row: &str, count: usize| {
        let rows = format!("{row},").repeat(count);
        format!("{{\"Success\":true,\"Data\":{{\"SimpleOTATaskInfo\":[{rows}null]}}}}")
    };
    let mut bodies: Vec<String> = ["{}", "1", "[]", "{\"a\":1}"]
        .map(|row| page(row, 7_700_000 / (row.len() + 1)))
        .into();
    let rows = "<SimpleOTATaskInfo/>".repeat(380_000);
    bodies.push(format!("<R><Success>true</Success><Data>{rows}</Data></R>"));
    let rows = "<a/>".repeat(1_900_000);
    bodies.push(format!("<R><Success>true</Success><Data>{rows}</Data></R>"));
    for body in &bodies {
        let error = read(Operation::Tasks, 200, body.as_bytes()).unwrap_err();
        assert_eq!(error.kind(), ota_core::ErrorKind::Protocol);
        assert!(error.message().contains("10000 rows"), "{error}");
    }
    let good = r#"{"TaskId":"t1"}"#;
    assert!(read(Operation::Tasks, 200, page(good, 9_999).as_bytes()).is_ok());
    assert!(read(Operation::Tasks, 200, page(good, 10_000).as_bytes()).is_err());
}
