//! The actual content of a simulator, for comparison with what was read from it.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde::Serialize;
use time::OffsetDateTime;

use super::{Failure, Fleet, Job};

/// The fleet at the moment of the question, from the same function of time that answers use.
#[derive(Clone, Serialize)]
pub struct FleetTruth {
    /// Jobs that exist, newest first.
    pub jobs: Vec<JobTruth>,
    #[serde(skip)]
    fleet: Arc<Fleet>,
    #[serde(skip)]
    age: i64,
}

/// One job as it really is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct JobTruth {
    /// Identifier.
    pub id: String,
    /// Identifier of the package.
    pub package_id: String,
    /// Version of the package.
    pub version: String,
    /// What jobs of the vendor name the product by.
    pub product_key: String,
    /// Current status, as answers of the vendor spell it.
    pub status: String,
    /// Number of tasks.
    pub total: u64,
    /// Number of tasks per status value of the vendor; statuses without tasks have 0.
    pub tasks: BTreeMap<String, u64>,
    /// Failed tasks, under any status value of the vendor.
    pub failed: u64,
    /// Failed tasks whose cause is a timeout.
    pub timed_out: u64,
}

/// One device that a job is for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct DeviceTruth {
    /// Name, which some vendors do not show.
    pub name: String,
    /// Identifier.
    pub id: String,
}

/// One task as it really is, in words of no vendor.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TaskTruth {
    /// Identifier.
    pub id: String,
    /// The device that it is for.
    pub device: DeviceTruth,
    /// `confirm`, `queued`, `notified`, `in_progress`, `succeeded`, `failed` or `canceled`.
    pub stage: &'static str,
    /// Hundredths of a percent.
    pub progress: u32,
    /// Whether a time-out is why it failed.
    pub timed_out: bool,
    /// The version to be.
    pub version: String,
    /// When it was created.
    pub created: OffsetDateTime,
    /// When it started, ended and last changed.
    pub started: Option<OffsetDateTime>,
    /// See `started`.
    pub ended: Option<OffsetDateTime>,
    /// See `started`.
    pub modified: OffsetDateTime,
}

impl FleetTruth {
    pub(crate) fn new(fleet: Arc<Fleet>, age: i64, jobs: Vec<JobTruth>) -> Self {
        Self { jobs, fleet, age }
    }

    pub(crate) fn hide(&self, jobs: &[&str]) {
        self.fleet.hide(jobs);
    }

    /// Returns one job by id.
    #[must_use]
    pub fn job(&self, job_id: &str) -> Option<&JobTruth> {
        self.jobs.iter().find(|job| job.id == job_id)
    }

    /// Returns the ids of all tasks of a job; none for an unknown job.
    #[must_use]
    pub fn task_ids(&self, job_id: &str) -> Vec<String> {
        self.each_task(job_id, Fleet::task_id)
    }

    /// Returns the devices of all tasks of a job, in the order of [`FleetTruth::task_ids`].
    #[must_use]
    pub fn devices(&self, job_id: &str) -> Vec<DeviceTruth> {
        self.each_task(job_id, |fleet, job, index| DeviceTruth {
            name: fleet.device_name(job, index),
            id: fleet.device_id(job, index),
        })
    }

    /// Returns all tasks of a job at the moment of the question; none for an unknown job.
    #[must_use]
    pub fn tasks(&self, job_id: &str) -> Vec<TaskTruth> {
        let devices = self.devices(job_id).into_iter();
        let tasks = self.each_task(job_id, |fleet, job, index| {
            let package = fleet.package_of(job);
            (job.task(fleet.seed, index, self.age), package.version)
        });
        let ids = self.task_ids(job_id).into_iter();
        let rows = ids.zip(devices).zip(tasks);
        rows.map(|((id, device), (task, version))| TaskTruth {
            id,
            device,
            stage: task.stage.name(),
            progress: task.progress,
            timed_out: task.failure.is_some_and(Failure::is_timeout),
            version: version.to_owned(),
            created: self.fleet.time(task.created),
            started: task.started.map(|at| self.fleet.time(at)),
            ended: task.ended.map(|at| self.fleet.time(at)),
            modified: self.fleet.time(task.modified),
        })
        .collect()
    }

    fn each_task<T>(&self, job_id: &str, of: impl Fn(&Fleet, &Job, u32) -> T) -> Vec<T> {
        let job = self.fleet.jobs.iter().find(|job| job.id == job_id);
        job.map_or_else(Vec::new, |job| {
            (0..job.tasks)
                .map(|index| of(&self.fleet, job, index))
                .collect()
        })
    }
}

impl fmt::Debug for FleetTruth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FleetTruth")
            .field("jobs", &self.jobs)
            .finish_non_exhaustive()
    }
}
