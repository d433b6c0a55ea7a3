//! The cases, by group of rules.

pub(crate) mod calls;
pub(crate) mod configured;
pub(crate) mod documented;
pub(crate) mod errors;
pub(crate) mod fields;
pub(crate) mod filters;
pub(crate) mod identity;
pub(crate) mod lists;
pub(crate) mod literals;
pub(crate) mod lookups;
pub(crate) mod order;
pub(crate) mod pages;
pub(crate) mod partial;
pub(crate) mod renewal;
pub(crate) mod rows;
pub(crate) mod secrets;
pub(crate) mod stats;
pub(crate) mod versions;

use std::time::Duration;

use ota_core::capability::Support;
use ota_core::id::{DeviceId, DeviceName, JobId, PackageId, ProductId};
use ota_core::job::{JobKind, JobOutcome, JobStatus};
use ota_core::provider::{GetJob, JobFilter, ListJobs, ListTasks, TaskFilter};
use ota_core::task::{TaskStage, TaskStatus};
use ota_core::{Context, Error};

use crate::listing::{jobs_request, tasks_request};
use crate::subject::Subject;
use crate::verdict::{Outcome, Verdict};

/// Long enough for pauses after failures.
pub(crate) const RECOVERY: Duration = Duration::from_secs(60);

/// The page size of cases that do not care.
pub(crate) const PAGE: u32 = 50;

pub(crate) fn passed() -> Verdict {
    Ok(Outcome::Passed)
}

pub(crate) fn skipped(reason: impl Into<String>) -> Verdict {
    Ok(Outcome::Skipped(reason.into()))
}

pub(crate) fn list_jobs(filter: JobFilter) -> ListJobs {
    jobs_request(filter, PAGE, None)
}

pub(crate) fn list_tasks(job_id: &JobId, filter: TaskFilter) -> ListTasks {
    tasks_request(job_id, filter, PAGE, None)
}

pub(crate) fn get_job(job_id: &JobId) -> GetJob {
    GetJob {
        job_id: job_id.clone(),
    }
}

pub(crate) fn jobs_in(status: &[JobStatus]) -> JobFilter {
    JobFilter {
        status: status.to_vec(),
        ..JobFilter::default()
    }
}

pub(crate) fn tasks_in(status: &[TaskStatus]) -> TaskFilter {
    TaskFilter {
        status: status.to_vec(),
        ..TaskFilter::default()
    }
}

pub(crate) fn tasks_at(stage: &[TaskStage]) -> TaskFilter {
    TaskFilter {
        stage: stage.to_vec(),
        ..TaskFilter::default()
    }
}

/// Each filter of the job list alone, with its support.
pub(crate) fn job_fields(subject: &Subject) -> Vec<(&'static str, Support, JobFilter)> {
    let support = subject.provider.capability().job_filters;
    let none = JobFilter::default;
    let text = || Some("value".to_owned());
    vec![
        ("status", support.status, jobs_in(&[JobStatus::Completed])),
        (
            "outcome",
            support.outcome,
            JobFilter {
                outcome: vec![JobOutcome::Failed],
                ..none()
            },
        ),
        (
            "kind",
            support.kind,
            JobFilter {
                kind: Some(JobKind::Firmware),
                ..none()
            },
        ),
        (
            "package_id",
            support.package_id,
            JobFilter {
                package_id: text().map(PackageId::from),
                ..none()
            },
        ),
        (
            "product_id",
            support.product_id,
            JobFilter {
                product_id: text().map(ProductId::from),
                ..none()
            },
        ),
        (
            "device_id",
            support.device_id,
            JobFilter {
                device_id: text().map(DeviceId::from),
                ..none()
            },
        ),
        (
            "device_name",
            support.device_name,
            JobFilter {
                device_name: text().map(DeviceName::from),
                ..none()
            },
        ),
        (
            "device_type",
            support.device_type,
            JobFilter {
                device_type: text(),
                ..none()
            },
        ),
        (
            "model",
            support.model,
            JobFilter {
                model: text(),
                ..none()
            },
        ),
        (
            "manufacturer",
            support.manufacturer,
            JobFilter {
                manufacturer: text(),
                ..none()
            },
        ),
    ]
}

/// Each filter of the task list alone, with its support.
pub(crate) fn task_fields(subject: &Subject) -> Vec<(&'static str, Support, TaskFilter)> {
    let support = subject.provider.capability().task_filters;
    let none = TaskFilter::default;
    vec![
        ("status", support.status, tasks_in(&[TaskStatus::Failed])),
        ("stage", support.stage, tasks_at(&[TaskStage::Updating])),
        (
            "device_name",
            support.device_name,
            TaskFilter {
                device_names: vec![DeviceName::from("value")],
                ..none()
            },
        ),
        (
            "device_id",
            support.device_id,
            TaskFilter {
                device_id: Some(DeviceId::from("value")),
                ..none()
            },
        ),
    ]
}

/// Whether a filter uses the field of this name.
pub(crate) fn uses_job_field(filter: &JobFilter, field: &str) -> bool {
    match field {
        "status" => !filter.status.is_empty(),
        "outcome" => !filter.outcome.is_empty(),
        "kind" => filter.kind.is_some(),
        "package_id" => filter.package_id.is_some(),
        "product_id" => filter.product_id.is_some(),
        "device_id" => filter.device_id.is_some(),
        "device_name" => filter.device_name.is_some(),
        "device_type" => filter.device_type.is_some(),
        "model" => filter.model.is_some(),
        "manufacturer" => filter.manufacturer.is_some(),
        _ => false,
    }
}

/// As [`uses_job_field`].
pub(crate) fn uses_task_field(filter: &TaskFilter, field: &str) -> bool {
    match field {
        "status" => !filter.status.is_empty(),
        "stage" => !filter.stage.is_empty(),
        "device_name" => !filter.device_names.is_empty(),
        "device_id" => filter.device_id.is_some(),
        _ => false,
    }
}

/// Makes one call of every method and returns each method's name with its error, if it met one.
pub(crate) async fn every_method(
    subject: &Subject,
    context: impl Fn() -> Context,
) -> Result<Vec<(&'static str, Option<Error>)>, String> {
    let reader = subject.reader()?;
    let job = subject.truth.richest_job()?;
    let mut met = vec![("check", subject.provider.check(&context()).await.err())];
    let jobs = reader
        .list_jobs(&context(), list_jobs(JobFilter::default()))
        .await;
    met.push(("list_jobs", jobs.err()));
    let one = reader.get_job(&context(), get_job(&job.id)).await;
    met.push(("get_job", one.err()));
    let stats = reader.job_stats(&context(), get_job(&job.id)).await;
    met.push(("job_stats", stats.err()));
    let tasks = reader
        .list_tasks(&context(), list_tasks(&job.id, TaskFilter::default()))
        .await;
    met.push(("list_tasks", tasks.err()));
    Ok(met)
}
