//! The rows that a pass writes.

use ota_core::id::{JobId, ProviderName};
use ota_core::job::{JobKind, JobOutcome, JobStats, JobStatus};
use ota_core::task::{Failure, TaskStage, TaskStatus};
use time::OffsetDateTime;

use crate::pass::{LeftOut, PassId};

/// A job as the vendor told it.
#[derive(Clone, Debug, PartialEq)]
pub struct JobRecord {
    /// The vendor's identifier.
    pub id: JobId,
    /// Where it is in its life.
    pub status: JobStatus,
    /// How it ended, as far as the row or its counts prove it.
    pub outcome: Option<JobOutcome>,
    /// What it installs.
    pub kind: Option<JobKind>,
    /// The package's identifier.
    pub package_id: Option<String>,
    /// The package's name.
    pub package_name: Option<String>,
    /// The package's version.
    pub package_version: Option<String>,
    /// The product that it is for.
    pub product_id: Option<String>,
    /// The name, where the vendor has one beside the description.
    pub name: Option<String>,
    /// Its description.
    pub description: Option<String>,
    /// When it was created.
    pub created_at: Option<OffsetDateTime>,
    /// When the vendor last changed it.
    pub updated_at: Option<OffsetDateTime>,
    /// When it started.
    pub started_at: Option<OffsetDateTime>,
    /// The counts that came with the row or were asked for, if any.
    pub stats: Option<JobStats>,
    /// Whether the vendor does not show all tasks of the job.
    pub truncated: bool,
    /// The API's JSON object of the job, without `outcome` and `stats`.
    pub document: String,
}

/// A task as the vendor told it.
#[derive(Clone, Debug, PartialEq)]
pub struct TaskRecord {
    /// The vendor's identifier.
    pub id: String,
    /// Where it is in its life.
    pub status: TaskStatus,
    /// Where inside that status.
    pub stage: Option<TaskStage>,
    /// Why it failed.
    pub failure: Option<Failure>,
    /// The device's identifier.
    pub device_id: Option<String>,
    /// The device's name.
    pub device_name: Option<String>,
    /// The device's product.
    pub product_id: Option<String>,
    /// The version before.
    pub from_version: Option<String>,
    /// The version to be.
    pub to_version: Option<String>,
    /// The vendor's text about the status.
    pub message: Option<String>,
    /// When it was created.
    pub created_at: Option<OffsetDateTime>,
    /// When the vendor last changed it.
    pub updated_at: Option<OffsetDateTime>,
    /// When it started.
    pub started_at: Option<OffsetDateTime>,
    /// The API's JSON object of the task.
    pub document: String,
}

/// Jobs that one answer of a provider brought. Written in one transaction, together with the progress of the pass.
#[derive(Clone, Debug, PartialEq)]
pub struct JobPage {
    /// Of which provider.
    pub provider: ProviderName,
    /// Its vendor.
    pub vendor: &'static str,
    /// When the (earliest) call that brought the rows was sent. A row that was brought by a later call stays.
    pub sent_at: OffsetDateTime,
    /// Whether the rows are whole (`full`), or rows of a list that leave fields out (`summary`).
    pub full: bool,
    /// The rows; each id once.
    pub rows: Vec<JobRecord>,
    /// The list pass that the page belongs to, with where it goes on. None for a look at one job and for live reads.
    pub pass: Option<(PassId, Progress)>,
}

/// Tasks that one answer of a provider brought. Written in one transaction, together with the progress of the pass.
#[derive(Clone, Debug, PartialEq)]
pub struct TaskPage {
    /// Of which provider.
    pub provider: ProviderName,
    /// Its vendor.
    pub vendor: &'static str,
    /// Of which job.
    pub job_id: JobId,
    /// As in [`JobPage::sent_at`].
    pub sent_at: OffsetDateTime,
    /// The rows; each id once.
    pub rows: Vec<TaskRecord>,
    /// The deep pass that the page belongs to, with where it goes on. None for a look at changed rows and for live reads.
    pub pass: Option<(PassId, Progress)>,
}

/// Where a pass stands after a page.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// The provider's cursor of the next page; none at the end.
    pub cursor: Option<String>,
    /// The total that the vendor told with this page.
    pub total: Option<u64>,
    /// Vendor calls that the page took.
    pub calls: u32,
    /// What the pass has left out so far, with this page.
    pub left_out: LeftOut,
}

/// What a page changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// Rows that were not there before.
    pub added: u64,
    /// Rows that differ from what was there.
    pub changed: u64,
    /// Rows that are as they were.
    pub unchanged: u64,
    /// Rows that were left alone because a later call had brought what is there.
    pub older: u64,
    /// Rows that the pass of the page had not seen before; 0 without a pass.
    pub first_seen: u64,
}
