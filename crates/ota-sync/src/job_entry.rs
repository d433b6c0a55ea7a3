//! What is remembered of one job between two pieces of work.

use ota_core::job::{Job, JobStats, JobStatus};
use ota_core::provider::Cursor;
use ota_store::pass::OpenPass;
use time::OffsetDateTime;

use crate::counts::Part;
use crate::schedule::{JobFacts, Wanted, class, wanted};
use crate::settings::SyncSettings;

/// One job.
#[derive(Debug)]
pub(crate) struct JobEntry {
    pub(crate) facts: JobFacts,
    /// When it was first seen by this process.
    pub(crate) seen_at: OffsetDateTime,
    /// When the calls of the last look were sent.
    pub(crate) looked_at: Option<OffsetDateTime>,
    /// When the last pass over its tasks began that has ended.
    pub(crate) read_at: Option<OffsetDateTime>,
    /// What its row in the list said.
    pub(crate) row: Option<RowPrint>,
    /// What the vendor last said about its tasks.
    pub(crate) counts: Option<JobStats>,
    /// The counts that a list row brought and that the rows of the mirror have not been compared with.
    pub(crate) uncompared: Option<(JobStats, OffsetDateTime)>,
    /// Whether only a row of a list is known of it that leaves fields out.
    pub(crate) summary: bool,
    /// Since when a look is wanted at once.
    pub(crate) wants_look: Option<OffsetDateTime>,
    /// Since when a reading of all its tasks is wanted at once.
    pub(crate) wants_read: Option<OffsetDateTime>,
    /// The pass over its tasks that is open, as far as this process has read it.
    pub(crate) pass: Option<OpenPass>,
    pub(crate) stale_pages: u32,
    /// Whether the vendor does not show all of its tasks.
    pub(crate) truncated: bool,
    /// When its open tasks were last read apart from a look.
    pub(crate) opened_at: Option<OffsetDateTime>,
    /// Where the reading of more open tasks than one page holds goes on.
    pub(crate) open_next: Option<(Part, Cursor)>,
    /// Whether a piece of work is at it.
    pub(crate) busy: bool,
    pub(crate) failures: u32,
    pub(crate) not_before: Option<OffsetDateTime>,
}

/// The fields of a row whose change is a reason to look at its job.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct RowPrint {
    pub(crate) status: JobStatus,
    updated_at: Option<OffsetDateTime>,
    ended_at: Option<OffsetDateTime>,
    stats: Option<JobStats>,
}

impl RowPrint {
    pub(crate) fn of(job: &Job) -> Self {
        Self {
            status: job.status,
            updated_at: job.updated_at,
            ended_at: job.ended_at,
            stats: job.stats.clone(),
        }
    }
}

impl JobEntry {
    pub(crate) fn new(facts: JobFacts, now: OffsetDateTime) -> Self {
        Self {
            facts,
            seen_at: now,
            looked_at: None,
            read_at: None,
            row: None,
            counts: None,
            uncompared: None,
            summary: false,
            wants_look: None,
            wants_read: None,
            pass: None,
            stale_pages: 0,
            truncated: false,
            opened_at: None,
            open_next: None,
            busy: false,
            failures: 0,
            not_before: None,
        }
    }

    pub(crate) fn wanted(&self, now: OffsetDateTime, settings: &SyncSettings) -> Wanted {
        wanted(now, class(now, &self.facts), &self.facts, settings)
    }

    /// The tasks that it has, as far as that is known.
    pub(crate) fn total(&self) -> Option<u64> {
        let pass = self.pass.as_ref();
        pass.and_then(|pass| pass.last_total.or(pass.first_total))
            .or_else(|| self.counts.as_ref().and_then(|counts| counts.total))
    }

    /// Whether it runs, so that the mirror owes a look within `max_lag_s`.
    pub(crate) fn is_running(&self, now: OffsetDateTime, settings: &SyncSettings) -> bool {
        !self.facts.status.has_ended() && self.wanted(now, settings).running
    }

    /// When it was last looked at in any way.
    pub(crate) fn known_at(&self) -> Option<OffsetDateTime> {
        self.looked_at.max(self.read_at)
    }

    /// Notes that the last thing went well.
    pub(crate) fn well(&mut self) {
        self.failures = 0;
        self.not_before = None;
    }
}
