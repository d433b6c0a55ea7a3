//! From the model to rows of the database.

use ota_core::job::Job;
use ota_core::task::Task;
use ota_store::record::{JobRecord, TaskRecord};

/// Renders what the API answers.
pub trait Render: Send + Sync + std::fmt::Debug {
    /// Returns the API's JSON object of a job, without its outcome. `job` has no counts.
    fn job(&self, job: Job) -> String;

    /// Returns the API's JSON object of a task.
    fn task(&self, task: Task) -> String;
}

/// Makes the row of a job.
#[must_use]
pub fn job_record(render: &dyn Render, mut job: Job) -> JobRecord {
    let stats = job.stats.take();
    let proven = || {
        stats
            .as_ref()
            .and_then(|stats| stats.proven_outcome(job.status))
    };
    job.outcome = job.outcome.or_else(proven);
    let package = job.package.clone().unwrap_or_default();
    let product_id = job.target.product_id.clone().or(package.product_id);
    JobRecord {
        id: job.id.clone(),
        status: job.status,
        outcome: job.outcome,
        kind: job.kind,
        package_id: package.id.map(ota_core::id::PackageId::into_string),
        package_name: package.name,
        package_version: package.version,
        product_id: product_id.map(ota_core::id::ProductId::into_string),
        name: job.name.clone(),
        description: job.description.clone(),
        created_at: job.created_at,
        updated_at: job.updated_at,
        started_at: job.started_at,
        stats,
        truncated: false,
        document: render.job(job),
    }
}

/// Makes the row of a task.
#[must_use]
pub fn task_record(render: &dyn Render, task: Task) -> TaskRecord {
    let device = task.device.clone();
    TaskRecord {
        id: task.id.as_str().to_owned(),
        status: task.status,
        stage: task.stage,
        failure: task.failure,
        device_id: device.id.map(ota_core::id::DeviceId::into_string),
        device_name: device.name.map(ota_core::id::DeviceName::into_string),
        product_id: device.product_id.map(ota_core::id::ProductId::into_string),
        from_version: task.from_version.clone(),
        to_version: task.to_version.clone(),
        message: task.message.clone(),
        created_at: task.created_at,
        updated_at: task.updated_at,
        started_at: task.started_at,
        document: render.task(task),
    }
}
