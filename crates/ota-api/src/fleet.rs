//! The fleet: jobs and tasks of all providers, answered from the mirror.
//!
//! Rows are written from the documents that the database holds, the types here say what comes out.

use std::collections::BTreeMap;

use serde::Serialize;
use utoipa::ToSchema;

use crate::job::{Job, JobCounts, Package};
use crate::task::Task;

ota_core::open_enum!(
    /// How far the mirror of a provider is.
    SourceState {
        /// All that is shown is as new as it should be.
        Current = "current",
        /// The first pass has not ended: rows are missing.
        Syncing = "syncing",
        /// Older than it should be; the vendor answers.
        Behind = "behind",
        /// The vendor fails, or another cause that `problem` names keeps the mirror from being renewed.
        Unavailable = "unavailable",
        /// The provider is left out of the mirror, or no longer configured; its rows are those of the last look.
        Off = "off",
    }
);

ota_core::open_enum!(
    /// What the mirror of a provider is reading.
    SyncPhase {
        /// The jobs.
        Jobs = "jobs",
        /// The tasks of jobs.
        Tasks = "tasks",
        /// Nothing: it waits until something is due.
        Idle = "idle",
    }
);

/// A job of the fleet: a job with its counts where they are known, and what the mirror knows of it.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct FleetJob {
    /// The job.
    #[serde(flatten)]
    pub job: Job,
    /// What the mirror knows of it.
    pub mirror: JobMirror,
}

/// What the mirror knows of a job.
#[derive(Clone, Debug, Default, Serialize, ToSchema)]
pub struct JobMirror {
    /// The time of the vendor call that the job comes from.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime, required = true)]
    pub as_of: Option<String>,
    /// The time at which all its tasks had last been read. Absent until then.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    pub tasks_as_of: Option<String>,
    /// When the job last changed, as far as the vendor or the mirror knows.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime, required = true)]
    pub changed_at: Option<String>,
    /// When the vendor no longer had the job. Absent while it has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    pub vanished_at: Option<String>,
    /// True if the vendor does not give access to all tasks of the job; otherwise absent.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    #[schema(required = false)]
    pub truncated: bool,
}

/// A task of the fleet: a task, a summary of its job, and what the mirror knows of it.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct FleetTask {
    /// The task.
    #[serde(flatten)]
    pub task: Task,
    /// A summary of its job.
    pub job: TaskJob,
    /// What the mirror knows of the task.
    pub mirror: TaskMirror,
}

/// A summary of the job that a task belongs to.
#[derive(Clone, Debug, Default, Serialize, ToSchema)]
pub struct TaskJob {
    /// The state of the job: [`ota_core::job::JobStatus`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    /// Its description.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The package that it installs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub package: Option<Package>,
}

/// What the mirror knows of a task.
#[derive(Clone, Debug, Default, Serialize, ToSchema)]
pub struct TaskMirror {
    /// The time of the vendor call that the task comes from.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime, required = true)]
    pub as_of: Option<String>,
    /// When the task last changed, as far as the vendor or the mirror knows.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime, required = true)]
    pub changed_at: Option<String>,
    /// When the vendor no longer had the task. Absent while it has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    pub vanished_at: Option<String>,
}

/// A page of the fleet's jobs.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct FleetJobPage {
    /// The jobs, in the order asked for.
    pub items: Vec<FleetJob>,
    /// The cursor, the total, and how far the mirror is.
    #[serde(flatten)]
    pub end: FleetPageEnd,
}

/// A page of the fleet's tasks.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct FleetTaskPage {
    /// The tasks, in the order asked for.
    pub items: Vec<FleetTask>,
    /// The cursor, the total, and how far the mirror is.
    #[serde(flatten)]
    pub end: FleetPageEnd,
}

/// The cursor and the total of a page of the fleet, and how far the mirror is. Paging goes by position in the order: rows that do not move are neither
/// missed nor returned twice.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct FleetPageEnd {
    /// The value of `cursor` for the next page, with the same filters, order and page size. Absent on the last page.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
    /// The exact number of matching rows, if it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total: Option<u64>,
    /// How far the mirror is.
    #[serde(flatten)]
    pub sources: Sources,
}

/// How far the mirror is that an answer comes from.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Sources {
    /// The oldest `as_of` of the sources.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime, required = true)]
    pub as_of: Option<String>,
    /// The providers that the question covers. The header `OTA-Stale` is true if one of them is not `current`.
    pub sources: Vec<Source>,
}

/// How far the mirror of one provider is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Source {
    /// The configured name of the provider.
    pub provider: String,
    /// How far its mirror is: [`SourceState`].
    pub state: String,
    /// The time as of which all that is shown was true. Absent until something has been read.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    pub as_of: Option<String>,
    /// Seconds since `as_of`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lag_s: Option<u64>,
    /// What is wrong, if something is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// Rows of the fleet, counted in groups.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct GroupCounts {
    /// All matching rows.
    pub total: u64,
    /// The groups, the largest first.
    pub groups: Vec<CountedGroup>,
    /// Whether there are more groups than are shown.
    pub truncated: bool,
    /// How far the mirror is.
    #[serde(flatten)]
    pub sources: Sources,
}

/// The rows that have the same values.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct CountedGroup {
    /// The value of each key that was asked for. A key that the rows have no value for is left out.
    pub keys: BTreeMap<String, String>,
    /// The number of rows.
    pub count: u64,
}

/// The counts of a job over time, as the gateway saw them change.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct JobHistory {
    /// The counts, the oldest first; at most 500 points, of which the first and the last are always there.
    pub points: Vec<HistoryPoint>,
    /// The time as of which the provider's mirror was true.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime, required = true)]
    pub as_of: Option<String>,
}

/// The counts of a job at one time.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct HistoryPoint {
    /// Since when the counts were so.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime, required = true)]
    pub at: Option<String>,
    /// The counts.
    pub counts: JobCounts,
}

/// How far the mirror of a provider is, and what it is reading.
#[derive(Clone, Debug, Default, Serialize, ToSchema)]
pub struct SyncProgress {
    /// How far it is: [`SourceState`].
    pub state: String,
    /// What is being read: [`SyncPhase`]. Absent if the provider is left out of the mirror.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phase: Option<String>,
    /// When the pass that is running, or else the last one, began.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    pub started_at: Option<String>,
    /// Jobs that this pass has seen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jobs_seen: Option<u64>,
    /// Tasks that this pass has seen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tasks_seen: Option<u64>,
    /// Tasks that this pass will see, as far as the vendor reports it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tasks_total: Option<u64>,
    /// Vendor calls of this pass.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub calls: Option<u64>,
    /// Estimated seconds until the pass ends.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub eta_s: Option<u64>,
    /// When the last complete pass over all jobs began.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    pub last_full_pass_at: Option<String>,
    /// Seconds since the time as of which all that is shown was true.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lag_s: Option<u64>,
    /// The rows that the mirror has.
    pub rows: MirrorRows,
    /// What is wrong, if something is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// The rows that the mirror of a provider has, without those that the vendor no longer has.
#[derive(Clone, Copy, Debug, Default, Serialize, ToSchema)]
pub struct MirrorRows {
    /// Jobs.
    pub jobs: u64,
    /// Tasks.
    pub tasks: u64,
}
