//! Jobs and their counts.

use std::collections::BTreeMap;

use ota_core::job as core;
use serde::Serialize;
use utoipa::ToSchema;

use super::{VendorDetail, timestamp};

/// One firmware update of many devices. Fields that the vendor did not report are left out.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Job {
    /// The configured provider that the job was read from.
    pub provider: String,
    /// The vendor's identifier.
    pub id: String,
    /// The state of the job: [`core::JobStatus`]. Expect new values. A finished job may run again.
    pub status: String,
    /// How a finished job ended: [`core::JobOutcome`]. Present only when the vendor reports it or the counts prove it, and the two do
    /// not contradict each other.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outcome: Option<String>,
    /// What the job installs: [`core::JobKind`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// The purpose of the job: [`core::JobPurpose`] (a trial on a few devices).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub purpose: Option<String>,
    /// The name of the job, if the vendor has a name beside the description.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Free text given by the creator of the job.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The package that the job installs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub package: Option<Package>,
    /// The versions that the job updates from.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    pub source_versions: Vec<String>,
    /// The devices that the job updates.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<Target>,
    /// When the job runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub schedule: Option<Schedule>,
    /// How the job runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy: Option<Policy>,
    /// Counts of the job's tasks, if the vendor returns them together with the job.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stats: Option<JobCounts>,
    /// Labels.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schema(required = false)]
    pub tags: BTreeMap<String, String>,
    /// When it was created.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    pub created_at: Option<String>,
    /// When it was last changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    pub updated_at: Option<String>,
    /// When it started.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    pub started_at: Option<String>,
    /// When it ended. Some vendors also report a time for a running job; `status` decides whether the job has ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    pub ended_at: Option<String>,
    /// The vendor's own values.
    pub vendor: VendorDetail,
    /// `summary` if the job comes from a vendor list whose rows leave fields out; otherwise `full`.
    pub detail: String,
}

/// The package that a job installs.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Package {
    /// The vendor's identifier.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Its name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The version that a device has afterwards.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// The product that the package is made for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub product_id: Option<String>,
}

/// The devices that a job is for.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Target {
    /// `static` if the set of devices is fixed; `dynamic` if devices that match later are added.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub selection: Option<String>,
    /// How the set was chosen: [`core::Scope`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scope: Option<String>,
    /// The share of devices, in percent.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 0, maximum = 100)]
    pub percentage: Option<f64>,
    /// The device groups.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    pub groups: Vec<Group>,
    /// The devices that are listed individually.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    pub device_ids: Vec<String>,
    /// The product of the devices.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub product_id: Option<String>,
    /// The device type.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device_type: Option<String>,
    /// The device model.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// The manufacturer of the devices.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub manufacturer: Option<String>,
}

/// A group of devices.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Group {
    /// The vendor's identifier.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Its name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

/// When a job runs.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Schedule {
    /// What starts it: [`core::ScheduleMode`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<String>,
    /// The start of its time range.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    pub starts_at: Option<String>,
    /// The end of its time range.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    pub ends_at: Option<String>,
}

/// How a job runs.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Policy {
    /// Maximum number of retries for a failed device; 0 if the vendor reports that there are none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_retries: Option<u64>,
    /// Time between two attempts, in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_interval_s: Option<u64>,
    /// Time limit per device, in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout_s: Option<u64>,
    /// Maximum number of devices notified per minute.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_devices_per_minute: Option<u64>,
    /// Whether the update of each device must be confirmed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requires_confirmation: Option<bool>,
    /// Whether the platform pushes the update to the devices.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pushed: Option<bool>,
    /// What happens to a device's pending task of an earlier job: [`core::Overwrite`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub overwrite: Option<String>,
    /// The download protocol of the devices, in the vendor's spelling.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub download_protocol: Option<String>,
}

/// Counts of a job's tasks; a count that the vendor does not report is left out. The sum of the parts never exceeds `total`. It can be lower
/// while a job runs, because tasks change their status while they are counted; if it were higher, `total` is left out.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct JobCounts {
    /// Targets that have no task yet, if the vendor creates tasks as the job goes on. Not part of `total`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_started: Option<u64>,
    /// All tasks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total: Option<u64>,
    /// The share of `total` that has reached a final status (succeeded, failed, canceled or skipped), in percent, rounded down to two decimals. Present when
    /// both are known.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 0, maximum = 100)]
    pub finished_percent: Option<f64>,
    /// Tasks that have not started.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pending: Option<u64>,
    /// Running tasks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub in_progress: Option<u64>,
    /// Tasks that succeeded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub succeeded: Option<u64>,
    /// Tasks that failed, including those that timed out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failed: Option<u64>,
    /// Canceled tasks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub canceled: Option<u64>,
    /// Tasks that were removed, superseded or not applicable.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub skipped: Option<u64>,
    /// Tasks in a status that the gateway does not know. Left out while tasks are open, if they cannot be distinguished from tasks that are changing
    /// their status.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unknown: Option<u64>,
    /// The tasks in `failed` that timed out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timed_out: Option<u64>,
    /// How the job ended, if it has ended and the counts prove it: [`core::JobOutcome`]. Absent while the job runs, because more devices
    /// may be added.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outcome: Option<String>,
}

/// Counts of a job's tasks, with their age.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct JobStats {
    /// The counts.
    #[serde(flatten)]
    pub counts: JobCounts,
    /// The time of the earliest vendor call that the counts come from.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime, required = true)]
    pub as_of: Option<String>,
    /// Whether these are older cached counts, served because the vendor did not answer.
    pub stale: bool,
}

impl From<core::Job> for Job {
    fn from(job: core::Job) -> Self {
        let text = |value: &'static str| value.to_owned();
        Self {
            provider: job.provider.into_string(),
            id: job.id.into_string(),
            status: text(job.status.as_str()),
            outcome: job.outcome.map(|outcome| text(outcome.as_str())),
            kind: job.kind.map(|kind| text(kind.as_str())),
            purpose: job.purpose.map(|purpose| text(purpose.as_str())),
            name: job.name,
            description: job.description,
            package: job.package.map(Package::from),
            source_versions: job.source_versions,
            target: Target::non_empty(job.target),
            schedule: Schedule::non_empty(job.schedule),
            policy: Policy::non_empty(job.policy),
            stats: job.stats.map(JobCounts::from),
            tags: job.tags.into_iter().collect(),
            created_at: job.created_at.and_then(timestamp),
            updated_at: job.updated_at.and_then(timestamp),
            started_at: job.started_at.and_then(timestamp),
            ended_at: job.ended_at.and_then(timestamp),
            vendor: job.vendor.into(),
            detail: text(job.detail.as_str()),
        }
    }
}

impl From<core::Package> for Package {
    fn from(package: core::Package) -> Self {
        Self {
            id: package.id.map(|id| id.into_string()),
            name: package.name,
            version: package.version,
            product_id: package.product_id.map(|id| id.into_string()),
        }
    }
}

impl Target {
    fn non_empty(target: core::Target) -> Option<Self> {
        (target != core::Target::default()).then(|| Self {
            selection: target.selection.map(|value| value.to_string()),
            scope: target.scope.map(|value| value.to_string()),
            percentage: target.percentage,
            groups: target
                .groups
                .into_iter()
                .map(|group| Group {
                    id: group.id,
                    name: group.name,
                })
                .collect(),
            device_ids: target
                .device_ids
                .into_iter()
                .map(|id| id.into_string())
                .collect(),
            product_id: target.product_id.map(|id| id.into_string()),
            device_type: target.device_type,
            model: target.model,
            manufacturer: target.manufacturer,
        })
    }
}

impl Schedule {
    fn non_empty(schedule: core::Schedule) -> Option<Self> {
        (schedule != core::Schedule::default()).then(|| Self {
            mode: schedule.mode.map(|value| value.to_string()),
            starts_at: schedule.starts_at.and_then(timestamp),
            ends_at: schedule.ends_at.and_then(timestamp),
        })
    }
}

impl Policy {
    fn non_empty(policy: core::Policy) -> Option<Self> {
        (policy != core::Policy::default()).then(|| Self {
            max_retries: policy.max_retries,
            retry_interval_s: policy.retry_interval_s,
            timeout_s: policy.timeout_s,
            max_devices_per_minute: policy.max_devices_per_minute,
            requires_confirmation: policy.requires_confirmation,
            pushed: policy.pushed,
            overwrite: policy.overwrite.map(|value| value.to_string()),
            download_protocol: policy.download_protocol,
        })
    }
}

impl From<core::JobStats> for JobCounts {
    fn from(stats: core::JobStats) -> Self {
        Self {
            not_started: stats.not_started,
            total: stats.total,
            finished_percent: stats
                .finished_hundredths()
                .map(|share| f64::from(share) / 100.0),
            pending: stats.pending,
            in_progress: stats.in_progress,
            succeeded: stats.succeeded,
            failed: stats.failed,
            canceled: stats.canceled,
            skipped: stats.skipped,
            unknown: stats.unknown,
            timed_out: stats.timed_out,
            outcome: stats.outcome.map(|value| value.to_string()),
        }
    }
}
