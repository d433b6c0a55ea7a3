//! The decoder reads whatever comes: no answer ends it, and no row spoils the others.

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

/// Any JSON, with the vendor's names and words more often than others.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "(wait|fail|20151212T121212Z|18446744073709551615|-1|https://u:p@h/x\\?s=1|\\PC{0,8})"
            .prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 48, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::vec((name(), inner), 0..6)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

/// The rows as text that can be compared, `None` for what is no row.
fn rows(read: Read) -> Vec<Option<String>> {
    fn shown<T: std::fmt::Debug>(rows: Vec<Option<T>>) -> Vec<Option<String>> {
        let rows = rows.into_iter();
        rows.map(|row| row.map(|row| format!("{row:?}"))).collect()
    }
    match read {
        Read::Token => Vec::new(),
        Read::Job(job) => shown(vec![Some(job)]),
        Read::Jobs(jobs) => shown(jobs),
        Read::Tasks(tasks) => shown(tasks),
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
        let mut body = which.get(FIXTURES).as_bytes().to_vec();
        let start = at.index(body.len());
        let end = (start + length).min(body.len());
        body.splice(start..end, to);
        for operation in Operation::ALL {
            let _ = read(operation, 200, &body);
            let _ = read(operation, 200, &body[..start]);
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
