//! The declared fields are those that the adapter fills from answers with every documented field.

use ota_core::adapter::Adapter;
use ota_core::clock::{Clock, SystemClock};
use ota_core::fields::{self, FieldSupport, Fields};
use ota_core::job::Job;
use ota_provider_huawei::HuaweiAdapter;
use ota_provider_huawei::internals::{Operation, Read};
use serde_json::{Value, json};

const JOB: &str = include_str!("../fixtures/get_all_fields.json");
const JOBS: &str = include_str!("../fixtures/list_vendor_example.json");
const TASKS: &str = include_str!("../fixtures/list_tasks_vendor_example.json");

fn declared() -> FieldSupport {
    (HuaweiAdapter.descriptor().capability)().fields
}

fn set(names: &[&'static str]) -> Fields {
    names.iter().copied().collect()
}

fn read(operation: Operation, body: &Value) -> Read {
    let body = body.to_string();
    let now = SystemClock.monotonic();
    ota_provider_huawei::internals::read(operation, 200, body.as_bytes(), now).unwrap()
}

/// One task for groups and one for devices: a task has only one of them.
fn jobs() -> Vec<Value> {
    let list: Value = serde_json::from_str(JOBS).unwrap();
    vec![serde_json::from_str(JOB).unwrap(), list["data"][0].clone()]
}

fn rows() -> Vec<Job> {
    let page = json!({"data": jobs(), "pageNo": 0, "pageSize": 10, "totalCount": 2});
    let Read::Jobs(rows) = read(Operation::Jobs, &page) else {
        panic!("no jobs");
    };
    rows.into_iter().flatten().collect()
}

#[test]
fn jobs_with_every_documented_field_fill_the_declared_ones() {
    let mut filled = Fields::new();
    for job in jobs() {
        let Read::Job(job) = read(Operation::Job, &job) else {
            panic!("no job");
        };
        filled.extend(fields::of_job(&job));
    }
    assert_eq!(filled, set(declared().job));
}

#[test]
fn rows_of_the_job_list_fill_the_declared_fields() {
    let filled: Fields = rows().iter().flat_map(fields::of_job).collect();
    assert_eq!(filled, set(declared().job_row));
}

#[test]
fn counts_fill_the_declared_fields() {
    let rows = rows();
    let counts = rows.iter().filter_map(|job| job.stats.as_ref());
    let filled: Fields = counts.flat_map(fields::of_job_stats).collect();
    assert_eq!(filled, set(declared().job_stats));
}

#[test]
fn tasks_fill_the_declared_fields() {
    let Read::Tasks(rows) = read(Operation::Tasks, &serde_json::from_str(TASKS).unwrap()) else {
        panic!("no tasks");
    };
    let filled: Fields = rows.iter().flatten().flat_map(fields::of_task).collect();
    assert_eq!(filled, set(declared().task));
}
