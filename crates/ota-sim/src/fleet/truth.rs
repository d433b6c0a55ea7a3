//! The actual content of a simulator, for comparison with what was read from it.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde::Serialize;

use super::{Fleet, Job};

/// The fleet at the moment of the question, from the same function of time that answers use.
#[derive(Clone, Serialize)]
pub struct FleetTruth {
    /// Jobs that exist, newest first.
    pub jobs: Vec<JobTruth>,
    #[serde(skip)]
    fleet: Arc<Fleet>,
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

impl FleetTruth {
    pub(crate) fn new(fleet: Arc<Fleet>, jobs: Vec<JobTruth>) -> Self {
        Self { jobs, fleet }
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
