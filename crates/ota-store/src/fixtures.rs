//! Rows for tests, those of the crate and those beside it.

use ota_core::id::{JobId, ProviderName};
use ota_core::job::JobStatus;
use ota_core::task::{Failure, TaskStatus};
use ota_store::record::{JobPage, JobRecord, TaskPage, TaskRecord};
use time::{Duration, OffsetDateTime};

/// A time of the tests: seconds after a fixed one.
pub(crate) fn at(seconds: i64) -> OffsetDateTime {
    time::macros::datetime!(2026-08-01 10:00 UTC) + Duration::seconds(seconds)
}

pub(crate) fn provider(name: &str) -> ProviderName {
    ProviderName::parse(name).expect("a name")
}

/// A job of which little is known.
pub(crate) fn job(id: &str) -> JobRecord {
    JobRecord {
        id: JobId::from(id),
        status: JobStatus::InProgress,
        outcome: None,
        kind: None,
        package_id: None,
        package_name: None,
        package_version: None,
        product_id: None,
        name: None,
        description: None,
        created_at: None,
        updated_at: None,
        started_at: None,
        stats: None,
        truncated: false,
        document: format!(r#"{{"id":"{id}","status":"in_progress","detail":"full"}}"#),
    }
}

/// A task of which little is known.
pub(crate) fn task(id: &str, status: TaskStatus) -> TaskRecord {
    TaskRecord {
        id: id.to_owned(),
        status,
        stage: None,
        failure: (status == TaskStatus::Failed).then_some(Failure::Other),
        device_id: None,
        device_name: Some(format!("device-{id}")),
        product_id: None,
        from_version: None,
        to_version: None,
        message: None,
        created_at: None,
        updated_at: None,
        started_at: None,
        document: format!(r#"{{"id":"{id}","status":"{status}"}}"#),
    }
}

pub(crate) fn job_page(name: &str, sent: i64, rows: Vec<JobRecord>) -> JobPage {
    JobPage {
        provider: provider(name),
        vendor: "test-iot",
        sent_at: at(sent),
        full: true,
        rows,
        pass: None,
    }
}

pub(crate) fn task_page(name: &str, job: &str, sent: i64, rows: Vec<TaskRecord>) -> TaskPage {
    TaskPage {
        provider: provider(name),
        vendor: "test-iot",
        job_id: JobId::from(job),
        sent_at: at(sent),
        rows,
        pass: None,
    }
}
