//! What a simulator really holds, for comparison with what was read from it.

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
    source: Source,
}

#[derive(Clone)]
struct Source {
    fleet: Arc<Fleet>,
    ids: IdsOf,
}

/// Whose ids tasks and jobs have.
#[derive(Clone, Copy)]
pub(crate) enum IdsOf {
    Alibaba,
    Huawei,
}

/// One job as it really is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct JobTruth {
    /// `JobId` or `operationId`.
    pub id: String,
    /// `FirmwareId` or `fileId`.
    pub package_id: String,
    /// Version of the package.
    pub version: String,
    /// `ProductKey`; for Huawei the device type.
    pub product_key: String,
    /// The vendor's word for the current status, as answers spell it.
    pub status: String,
    /// Number of tasks.
    pub total: u64,
    /// Number of tasks per status word of the vendor; statuses without tasks stand with 0.
    pub tasks: BTreeMap<String, u64>,
    /// Failed tasks whose cause is a timeout.
    pub timed_out: u64,
}

/// One device that a job is for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct DeviceTruth {
    /// Device name (Alibaba).
    pub name: String,
    /// `IotId` or `deviceId`.
    pub id: String,
}

impl FleetTruth {
    pub(crate) fn new(fleet: Arc<Fleet>, ids: IdsOf, jobs: Vec<JobTruth>) -> Self {
        Self {
            jobs,
            source: Source { fleet, ids },
        }
    }

    /// Returns one job by id.
    #[must_use]
    pub fn job(&self, job_id: &str) -> Option<&JobTruth> {
        self.jobs.iter().find(|job| job.id == job_id)
    }

    /// Returns the ids of all tasks of a job; none for an unknown job.
    #[must_use]
    pub fn task_ids(&self, job_id: &str) -> Vec<String> {
        let Source { fleet, ids } = &self.source;
        self.each_task(job_id, |job, index| match ids {
            IdsOf::Alibaba => fleet.task_id(job, index),
            IdsOf::Huawei => fleet.sub_operation_id(job, index),
        })
    }

    /// Returns the devices of all tasks of a job, in the order of [`FleetTruth::task_ids`].
    #[must_use]
    pub fn devices(&self, job_id: &str) -> Vec<DeviceTruth> {
        let Source { fleet, ids } = &self.source;
        self.each_task(job_id, |job, index| DeviceTruth {
            name: fleet.device_name(job, index),
            id: match ids {
                IdsOf::Alibaba => fleet.iot_id(job, index),
                IdsOf::Huawei => fleet.device_id(job, index),
            },
        })
    }

    fn each_task<T>(&self, job_id: &str, of: impl Fn(&Job, u32) -> T) -> Vec<T> {
        let Source { fleet, ids } = &self.source;
        let job = fleet.jobs.iter().find(|job| {
            job_id
                == match ids {
                    IdsOf::Alibaba => &job.id,
                    IdsOf::Huawei => &job.operation_id,
                }
        });
        job.map_or_else(Vec::new, |job| {
            (0..job.tasks).map(|index| of(job, index)).collect()
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
