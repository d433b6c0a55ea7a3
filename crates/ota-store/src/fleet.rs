//! Questions about the whole fleet.

use ota_core::id::{JobId, ProviderName};
use ota_core::job::{JobKind, JobOutcome, JobStats, JobStatus};
use ota_core::task::{Failure, TaskStage, TaskStatus};
use time::OffsetDateTime;

/// Which jobs. An empty list means "any", except `providers`, which names all that the caller may see.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JobQuery {
    /// Providers that the question covers: those asked for, or all that the caller may see. Nothing of another one is ever in an answer.
    pub providers: Vec<ProviderName>,
    /// Vendors, as the configuration names them.
    pub vendors: Vec<String>,
    /// Statuses.
    pub status: Vec<JobStatus>,
    /// Outcomes.
    pub outcome: Vec<JobOutcome>,
    /// Kinds.
    pub kind: Vec<JobKind>,
    /// The package.
    pub package_id: Option<String>,
    /// The package's version.
    pub package_version: Option<String>,
    /// The product.
    pub product_id: Option<String>,
    /// From this time on (inclusive).
    pub created_after: Option<OffsetDateTime>,
    /// Before this time (exclusive).
    pub created_before: Option<OffsetDateTime>,
    /// From this time on: the vendor's time of the last change.
    pub updated_after: Option<OffsetDateTime>,
    /// Before this time.
    pub updated_before: Option<OffsetDateTime>,
    /// Text in id, description, name, package name or package version, without case; 2 to 100 characters.
    pub q: Option<String>,
    /// True: only jobs with failed tasks; false: only jobs without.
    pub with_failures: Option<bool>,
    /// Also jobs that the vendor no longer has.
    pub include_vanished: bool,
}

/// Which tasks. As [`JobQuery`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TaskQuery {
    /// As [`JobQuery::providers`].
    pub providers: Vec<ProviderName>,
    /// Vendors.
    pub vendors: Vec<String>,
    /// Statuses.
    pub status: Vec<TaskStatus>,
    /// Stages.
    pub stage: Vec<TaskStage>,
    /// Failures.
    pub failure: Vec<Failure>,
    /// The job; with exactly one provider.
    pub job_id: Option<JobId>,
    /// The device's identifier.
    pub device_id: Option<String>,
    /// The device's name, exactly.
    pub device_name: Option<String>,
    /// The device's product.
    pub product_id: Option<String>,
    /// The version before.
    pub from_version: Option<String>,
    /// The version to be.
    pub to_version: Option<String>,
    /// Only pending tasks and tasks in progress that have not changed since this time (the caller subtracts `stuck_for_s` from now).
    pub stuck_since: Option<OffsetDateTime>,
    /// Changed from this time on.
    pub changed_after: Option<OffsetDateTime>,
    /// Changed before this time.
    pub changed_before: Option<OffsetDateTime>,
    /// Created from this time on.
    pub created_after: Option<OffsetDateTime>,
    /// Created before this time.
    pub created_before: Option<OffsetDateTime>,
    /// Text in device name, device id or message, without case; 2 to 100 characters.
    pub q: Option<String>,
    /// Also tasks that the vendor no longer has.
    pub include_vanished: bool,
}

/// The order of a list of jobs. Rows without the sorted value come last; equal values are ordered by provider and id.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum JobSort {
    /// Newest first.
    #[default]
    CreatedDescending,
    /// Oldest first.
    Created,
    /// Changed last first.
    ChangedDescending,
    /// Changed longest ago first.
    Changed,
    /// Most failed tasks first.
    FailedDescending,
}

/// The order of a list of tasks. As [`JobSort`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum TaskSort {
    /// Changed last first.
    #[default]
    ChangedDescending,
    /// Changed longest ago first.
    Changed,
    /// Newest first.
    CreatedDescending,
    /// Oldest first.
    Created,
    /// By device name.
    DeviceName,
}

/// A page of a list.
#[derive(Clone, Debug, PartialEq)]
pub struct Page<T> {
    /// The rows.
    pub items: Vec<T>,
    /// The position of the last row, if more follow: text of printable ASCII that only the store reads.
    pub next: Option<String>,
    /// The exact number of matching rows, where it can be told without reading them all.
    pub total: Option<u64>,
}

/// A job of the fleet.
#[derive(Clone, Debug, PartialEq)]
pub struct FleetJob {
    /// The API's JSON object of the job, without `outcome` and `stats`.
    pub document: String,
    /// How it ended, as far as the vendor told it or the counts prove it.
    pub outcome: Option<JobOutcome>,
    /// Its counts: those of the vendor where they are newest, else counted from its tasks.
    pub stats: Option<JobStats>,
    /// When what stands here was read.
    pub as_of: OffsetDateTime,
    /// When all its tasks were last read.
    pub tasks_as_of: Option<OffsetDateTime>,
    /// When it last changed.
    pub changed_at: OffsetDateTime,
    /// When the vendor no longer had it.
    pub vanished_at: Option<OffsetDateTime>,
    /// Whether the vendor does not show all its tasks.
    pub truncated: bool,
}

/// A task of the fleet.
#[derive(Clone, Debug, PartialEq)]
pub struct FleetTask {
    /// The API's JSON object of the task.
    pub document: String,
    /// The status of its job.
    pub job_status: Option<JobStatus>,
    /// The description of its job.
    pub job_description: Option<String>,
    /// The API's JSON object of its job's package.
    pub job_package: Option<String>,
    /// When it was read.
    pub as_of: OffsetDateTime,
    /// When it last changed.
    pub changed_at: OffsetDateTime,
    /// When the vendor no longer had it.
    pub vanished_at: Option<OffsetDateTime>,
}

/// What jobs are counted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "each is the field of the same name")]
pub enum JobKey {
    Provider,
    Vendor,
    Status,
    Outcome,
    Kind,
    ProductId,
    PackageId,
    PackageVersion,
}

/// What tasks are counted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "each is the field of the same name")]
pub enum TaskKey {
    Provider,
    Vendor,
    Status,
    Stage,
    Failure,
    JobId,
    ProductId,
    FromVersion,
    ToVersion,
}

/// Rows counted in groups, the largest first; equal ones by their keys.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Groups {
    /// All matching rows.
    pub total: u64,
    /// For each group the values of the keys, in the order asked for (none: the rows have no such value), and its rows.
    pub groups: Vec<(Vec<Option<String>>, u64)>,
    /// Whether there are more groups than were asked for.
    pub truncated: bool,
}

/// The counts of a job at one time.
#[derive(Clone, Debug, PartialEq)]
pub struct HistoryPoint {
    /// Since when the counts were so, as far as they were seen.
    pub at: OffsetDateTime,
    /// The counts.
    pub counts: JobStats,
}

/// What the database knows of one provider's mirror.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProviderState {
    /// The provider.
    pub provider: ProviderName,
    /// Its vendor.
    pub vendor: String,
    /// When it was first seen here.
    pub since: OffsetDateTime,
    /// When the first pass over jobs and tasks had ended; none: it has not.
    pub first_pass_at: Option<OffsetDateTime>,
    /// When the last complete list pass began.
    pub last_full_pass_at: Option<OffsetDateTime>,
    /// The oldest time as of which all that is shown was true.
    pub as_of: Option<OffsetDateTime>,
    /// What is wrong, and since when.
    pub problem: Option<(String, OffsetDateTime)>,
    /// When something was last written by a pass.
    pub progress_at: Option<OffsetDateTime>,
    /// Jobs that have not vanished.
    pub jobs: u64,
    /// Their tasks.
    pub tasks: u64,
}
