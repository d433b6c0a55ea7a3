//! What is remembered of one job between two pieces of work.

use std::time::Duration;

use ota_core::job::{Job, JobStats, JobStatus};
use ota_core::provider::Cursor;
use ota_store::pass::{OpenPass, PassId};
use time::OffsetDateTime;

use crate::counts::Part;
use crate::schedule::{DAY, JobFacts, Wanted, backoff, class, later, wanted};
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
    /// The pass that was counted in the full pass that began then.
    pub(crate) counted: Option<(OffsetDateTime, PassId)>,
    pub(crate) stale_pages: u32,
    /// Whether the vendor does not show all of its tasks.
    pub(crate) truncated: bool,
    /// Whether its tasks were last read with other settings.
    pub(crate) read_again: bool,
    /// When its open tasks were last read apart from a look.
    pub(crate) opened_at: Option<OffsetDateTime>,
    /// Where the reading of more open tasks than one page holds goes on.
    pub(crate) open_next: Option<(Part, Cursor)>,
    /// Whether a piece of work is at it.
    pub(crate) busy: bool,
    /// Failed looks.
    pub(crate) looking: Retry,
    /// Passes over its tasks that failed or were not complete.
    pub(crate) reading: Retry,
}

/// What is told of a list that the vendor does not show in full.
pub(crate) fn not_whole(what: &str) -> String {
    format!("{what}: the vendor does not show all of them")
}

/// Failures in a row of one kind of work, and how long the next attempt waits.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Retry {
    pub(crate) failures: u32,
    /// Passes in a row that asked for another one.
    confirmations: u32,
    pub(crate) not_before: Option<OffsetDateTime>,
}

/// Two passes decide, or three; one that asks for yet another one after that sees rows that come and go.
const MOST_CONFIRMATIONS: u32 = 3;

impl Retry {
    /// Notes a failure: the next attempt waits twice as long as the one before, from `first` up to `most`.
    pub(crate) fn failed(&mut self, now: OffsetDateTime, (first, most): (Duration, Duration)) {
        self.failures = self.failures.saturating_add(1);
        let wait = backoff(self.failures, first, most.max(first));
        self.not_before = Some(later(now, wait));
    }

    /// Notes that what was seen is to be confirmed soon: after `soon`, and after a growing time if that settles nothing.
    pub(crate) fn confirm(
        &mut self,
        now: OffsetDateTime,
        soon: Duration,
        (first, most): (Duration, Duration),
    ) {
        self.failures = 0;
        self.confirmations = self.confirmations.saturating_add(1);
        let wait = match self.confirmations.checked_sub(MOST_CONFIRMATIONS) {
            None | Some(0) => soon,
            Some(more) => backoff(more, first, most.max(first)),
        };
        self.not_before = Some(later(now, wait));
    }

    /// Notes that the vendor refused to go on. The first time the work begins again at once.
    pub(crate) fn refused(&mut self, now: OffsetDateTime, waits: (Duration, Duration)) {
        let before = self.not_before;
        self.failed(now, waits);
        if self.failures == 1 {
            self.not_before = before;
        }
    }

    /// Whether the last attempt went well, and settled what it was for.
    pub(crate) fn is_well(&self) -> bool {
        self.failures == 0 && self.confirmations == 0
    }

    /// Notes a success.
    pub(crate) fn well(&mut self) {
        *self = Self::default();
    }

    /// Whether the next attempt waits.
    pub(crate) fn waits(&self, now: OffsetDateTime) -> bool {
        self.not_before.is_some_and(|until| until > now)
    }

    /// Returns when something may be done that is due at this time.
    pub(crate) fn put_off(&self, due: OffsetDateTime) -> OffsetDateTime {
        self.not_before.map_or(due, |until| until.max(due))
    }
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
            counted: None,
            truncated: false,
            read_again: false,
            opened_at: None,
            open_next: None,
            busy: false,
            looking: Retry::default(),
            reading: Retry::default(),
        }
    }

    pub(crate) fn wanted(&self, now: OffsetDateTime, settings: &SyncSettings) -> Wanted {
        let updating = self.counts.as_ref().and_then(|counts| counts.in_progress);
        let class = class(now, &self.facts, updating.is_some_and(|tasks| tasks > 0));
        wanted(now, class, &self.facts, settings)
    }

    /// The tasks that it has, as far as that is known.
    pub(crate) fn total(&self) -> Option<u64> {
        let pass = self.pass.as_ref();
        pass.and_then(|pass| pass.last_total.or(pass.first_total))
            .or_else(|| self.counts.as_ref().and_then(|counts| counts.total))
    }

    /// Whether it runs, so that the mirror owes a look within `max_lag_s`.
    pub(crate) fn is_running(&self, now: OffsetDateTime, settings: &SyncSettings) -> bool {
        self.wanted(now, settings).running
    }

    /// When it was last looked at in any way.
    pub(crate) fn known_at(&self) -> Option<OffsetDateTime> {
        self.looked_at.max(self.read_at)
    }

    /// The first and the longest wait after a pass over its tasks that failed or was not complete. A job that does not run is read behind list passes only.
    pub(crate) fn read_waits(
        &self,
        now: OffsetDateTime,
        settings: &SyncSettings,
    ) -> (Duration, Duration) {
        match self.read_at.is_none() || self.is_running(now, settings) {
            true => (settings.max_lag, settings.full_pass),
            false => (settings.full_pass, DAY),
        }
    }
}
