//! The declared fields are those that the adapter fills from answers with every documented field.

use ota_core::adapter::Adapter;
use ota_core::fields::{self, FieldSupport, Fields};
use ota_provider_alibaba::AlibabaAdapter;
use ota_provider_alibaba::internals::{Operation, Read, read};

fn declared() -> FieldSupport {
    (AlibabaAdapter.descriptor().capability)().fields
}

fn set(names: &[&'static str]) -> Fields {
    names.iter().copied().collect()
}

#[test]
fn a_job_with_every_documented_field_fills_the_declared_ones() {
    let body = include_bytes!("../fixtures/query-ota-job.every-field.json");
    let Read::Job(Some(job)) = read(Operation::Job, 200, body).unwrap() else {
        panic!("no job");
    };
    assert_eq!(fields::of_job(&job), set(declared().job));
}

#[test]
fn a_row_of_the_job_list_fills_the_declared_fields() {
    let body = include_bytes!("../fixtures/list-ota-job-by-firmware.json");
    let Read::Jobs(rows) = read(Operation::JobsByPackage, 200, body).unwrap() else {
        panic!("no jobs");
    };
    let mut filled: Fields = rows.iter().flatten().flat_map(fields::of_job).collect();
    // The provider adds these from the package that it lists.
    filled.extend(["package.name", "package.version"]);
    assert_eq!(filled, set(declared().job_row));
}

#[test]
fn tasks_fill_the_declared_fields() {
    let body = include_str!("../fixtures/list-ota-task-by-job.en.json");
    // A status that has a stage.
    let body = body.replace("SUCCEEDED", "CONFIRM");
    let Read::Tasks(rows) = read(Operation::Tasks, 200, body.as_bytes()).unwrap() else {
        panic!("no tasks");
    };
    let filled: Fields = rows.iter().flatten().flat_map(fields::of_task).collect();
    assert_eq!(filled, set(declared().task));
}
