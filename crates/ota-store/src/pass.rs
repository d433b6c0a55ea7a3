//! Passes over a provider's jobs, or over the tasks of a job.

use std::collections::BTreeMap;

use ota_core::id::{JobId, ProviderName};
use time::OffsetDateTime;

/// One pass; ids are unique in the database and grow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PassId(pub i64);

/// What a pass reads.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum PassOf {
    /// All jobs of a provider (list pass).
    Jobs(ProviderName),
    /// All tasks of one job (deep pass).
    Tasks(ProviderName, JobId),
}

impl PassOf {
    /// Returns the provider that it reads.
    #[must_use]
    pub fn provider(&self) -> &ProviderName {
        let (Self::Jobs(provider) | Self::Tasks(provider, _)) = self;
        provider
    }
}

/// A pass that was begun and has not ended, as the database has it: after a restart it goes on from here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenPass {
    /// The pass.
    pub id: PassId,
    /// What it reads.
    pub of: PassOf,
    /// When it began.
    pub began_at: OffsetDateTime,
    /// Where it goes on; none before its first page.
    pub cursor: Option<String>,
    /// Different rows seen so far.
    pub seen: u64,
    /// The total that its first page told.
    pub first_total: Option<u64>,
    /// The total that its last page told.
    pub last_total: Option<u64>,
    /// Vendor calls so far.
    pub calls: u64,
    /// Whether its end was reached (no cursor after a page).
    pub at_end: bool,
    /// What its pages so far have left out.
    pub left_out: LeftOut,
}

/// What the pages of a pass have left out: it is kept with the pass, so that its end can be told after a restart too.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LeftOut {
    /// Whether rows exist that the pass cannot reach, and of which nothing is known.
    pub truncated: bool,
    /// The packages whose jobs could not be read, each with the reason, fit for an operator. A complete list pass proves nothing about their jobs.
    pub packages: BTreeMap<String, String>,
}

impl LeftOut {
    /// The most packages that are named. With more of them the pass counts as `truncated`.
    pub const MOST_PACKAGES: usize = 100;

    /// Adds a package whose jobs could not be read.
    pub fn add_package(&mut self, id: &str, reason: String) {
        if self.packages.len() < Self::MOST_PACKAGES || self.packages.contains_key(id) {
            self.packages.insert(id.to_owned(), reason);
        } else {
            self.truncated = true;
        }
    }
}

/// How a pass ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PassEnd {
    /// It proves absence, except of jobs of packages that were left out: the end was reached without a failed call, nothing was truncated, and the rows seen equal the first or last total where
    /// the vendor tells one. The store checks the totals again.
    Complete,
    /// All that the vendor shows was read, and the vendor does not show all. It proves nothing about absence. A deep pass marks its job as truncated until a
    /// complete one, and counts as a reading of its tasks (`tasks_as_of`).
    Truncated,
    /// It proves nothing about absence; why is shown as the provider's problem, if it is one.
    Incomplete {
        /// What is missing, fit for an operator.
        problem: Option<String>,
    },
}

/// What the end of a pass did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ended {
    /// Whether the pass was complete.
    pub complete: bool,
    /// Rows that this pass did not see and the complete pass before had not either: they have vanished now.
    pub vanished: u64,
    /// Rows that this pass did not see for the first time.
    pub missing: u64,
    /// Whether more than half of the rows would have vanished, so that a third pass must agree.
    pub doubted: bool,
}

/// What a call of [`Store::forget`](crate::Store::forget) removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Forgotten {
    /// Jobs that are gone with all their tasks.
    pub jobs: u64,
    /// Whether there may be more to remove.
    pub more: bool,
}
