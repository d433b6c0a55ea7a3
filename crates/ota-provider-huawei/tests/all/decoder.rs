//! The decoder reads whatever comes: no answer ends it, and no row spoils the others.

use ota_adapter_test::decoder;
use ota_core::clock::{Clock, SystemClock};
use ota_provider_huawei::internals::{Operation, Read};
use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::{Value, json};

const FIXTURES: &[&str] = &[
    include_str!("../fixtures/error_throttled.json"),
    include_str!("../fixtures/get_all_fields.json"),
    include_str!("../fixtures/list_odd_values.json"),
    include_str!("../fixtures/list_tasks_odd_values.json"),
    include_str!("../fixtures/list_tasks_vendor_example.json"),
    include_str!("../fixtures/list_vendor_example.json"),
    include_str!("../fixtures/login.json"),
];

fn read(operation: Operation, status: u16, body: &[u8]) -> ota_core::Result<Read> {
    ota_provider_huawei::internals::read(operation, status, body, SystemClock.monotonic())
}

fn name() -> impl Strategy<Value = String> {
    prop_oneof![
        "(error_code|error_desc|data|pageNo|pageSize|totalCount|totalSize|accessToken|refreshToken|expiresIn)",
        "(operationId|createTime|startTime|operateType|targets|policy|status|staResult|extendPara|devices|deviceGroups)",
        "(executeType|retryType|retryTimes|total|wait|success|fail|stop|timeout|subOperationId|deviceId|detailInfo)",
        "\\PC{0,4}",
    ]
}

fn any_json() -> impl Strategy<Value = Value> {
    decoder::any_json(name(), "wait|fail|20151212T121212Z")
}

/// The rows as text that can be compared, `None` for what is not a row.
fn rows(read: Read) -> Vec<Option<String>> {
    match read {
        Read::Token => Vec::new(),
        Read::Job(job) => decoder::shown(vec![Some(job)]),
        Read::Jobs(jobs) => decoder::shown(jobs),
        Read::Tasks(tasks) => decoder::shown(tasks),
    }
}

proptest! {
    #[test]
    fn no_bytes_end_it(status in 100_u16..600, body in prop::collection::vec(any::<u8>(), 0..200)) {
        for operation in Operation::ALL {
            let _ = read(operation, status, &body);
        }
    }

    #[test]
    fn no_json_ends_it(status in 100_u16..600, value in any_json()) {
        for operation in Operation::ALL {
            let _ = read(operation, status, value.to_string().as_bytes());
            let page = json!({"data": value, "totalCount": 1});
            let _ = read(operation, status, page.to_string().as_bytes());
        }
    }

    #[test]
    fn no_damaged_answer_ends_it(
        which: Index, at: Index, length in 0_usize..40, to in prop_oneof![
            prop::collection::vec(any::<u8>(), 0..4),
            "(null|\\[\\]|\\{\\}|\"\"|0|\\\\u0000)".prop_map(String::into_bytes),
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
        let job = json!({"operationId": "o1", "status": "complete", "createTime": "20151212T121212Z"});
        let task = json!({"subOperationId": "s1", "status": "fail", "deviceId": "d1"});
        for (operation, good) in [(Operation::Jobs, job), (Operation::Tasks, task)] {
            let page = |rows: Vec<Value>| json!({"data": rows, "totalCount": 2}).to_string();
            let alone = read(operation, 200, page(vec![good.clone()]).as_bytes()).unwrap();
            let alone = rows(alone).remove(0);
            prop_assert!(alone.is_some());
            let mut all = vec![good.clone()];
            all.extend(garbage.iter().cloned());
            all.push(good);
            let count = all.len();
            let read_rows = rows(read(operation, 200, page(all).as_bytes()).unwrap());
            prop_assert_eq!(read_rows.len(), count);
            prop_assert!(read_rows[0] == alone && read_rows[count - 1] == alone, "{read_rows:?}");
        }
    }

    #[test]
    fn no_field_spoils_its_job(field in name(), value in any_json()) {
        // These two say that it is none.
        prop_assume!(!["error_code", "operationId"].contains(&field.as_str()));
        let mut job = json!({"operationId": "o1", "status": "complete"});
        job[&field] = value;
        let body = job.to_string();
        let Read::Job(read) = read(Operation::Job, 200, body.as_bytes()).unwrap() else {
            return Err(TestCaseError::fail(body));
        };
        prop_assert_eq!(read.id.as_str(), "o1");
    }
}

/// A list whose second row has `value` in the place of a text, between two good rows.
fn page_with(value: &[u8]) -> Vec<u8> {
    let good = |id: &str| format!(r#"{{"operationId":"{id}","status":"wait"}}"#);
    let start = format!(
        r#"{{"data":[{},{{"operationId":"odd","status":"wait","extendPara":"#,
        good("first")
    );
    let mut body = start.into_bytes();
    body.extend_from_slice(value);
    body.extend_from_slice(format!("}},{}],\"totalCount\":3}}", good("last")).as_bytes());
    body
}

#[test]
fn one_value_that_is_not_as_it_should_be_costs_no_row() {
    let replaced = Value::from("x\u{fffd}y");
    for (value, kept) in [
        (&b"\"x\xffy\""[..], replaced.clone()),
        (br#""x\ud800y""#, replaced.clone()),
        (b"\"x\x01y\"", "x\u{1}y".into()),
        (b"1e999", "1e999".into()),
        (b"-1e999", "-1e999".into()),
        (
            b"123456789012345678901234567890",
            "123456789012345678901234567890".into(),
        ),
        (b"NaN", "NaN".into()),
        (br#"{"a":1,"a":2}"#, json!({"a": 2, "a (second)": 1})),
        (b"\"x\\u0000y\"", "x\u{0}y".into()),
    ] {
        let Read::Jobs(jobs) = read(Operation::Jobs, 200, &page_with(value)).unwrap() else {
            panic!("a list of jobs");
        };
        let jobs: Vec<_> = jobs.into_iter().flatten().collect();
        let ids: Vec<&str> = jobs.iter().map(|job| job.id.as_str()).collect();
        assert_eq!(ids, ["first", "odd", "last"]);
        assert_eq!(jobs[1].vendor.fields["extendPara"], kept);
    }
    let deep = [vec![b'['; 10_000], vec![b']'; 10_000]].concat();
    let Read::Jobs(jobs) = read(Operation::Jobs, 200, &page_with(&deep)).unwrap() else {
        panic!("a list of jobs");
    };
    assert_eq!(jobs.len(), 3);
    // What cannot be cut into rows is not a list.
    assert!(read(Operation::Jobs, 200, &page_with(b"\"x")).is_err());
    assert!(read(Operation::Jobs, 200, &page_with(b"]")).is_err());
}

#[test]
fn a_login_with_an_odd_value_beside_the_token_is_a_login() {
    let body = b"\xef\xbb\xbf{\"accessToken\":\"t\",\"expiresIn\":1e999,\"scope\":\"\xff\"}";
    assert!(read(Operation::Token, 200, body).is_ok());
}

#[test]
fn rows_are_counted_before_they_are_built() {
    let page =
        |row: &str, count: usize| format!("{{\"data\":[{}null]}}", format!("{row},").repeat(count));
    for row in ["{}", "1", "[]", "{\"a\":1}"] {
        let body = page(row, 7_800_000 / (row.len() + 1));
        let error = read(Operation::Tasks, 200, body.as_bytes()).unwrap_err();
        assert_eq!(error.kind(), ota_core::ErrorKind::Protocol);
        let error = read(Operation::Jobs, 200, body.as_bytes()).unwrap_err();
        assert!(error.message().contains("10000 rows"), "{error}");
    }
    let good = r#"{"operationId":"o1"}"#;
    assert!(read(Operation::Jobs, 200, page(good, 9_999).as_bytes()).is_ok());
    assert!(read(Operation::Jobs, 200, page(good, 10_000).as_bytes()).is_err());
}
