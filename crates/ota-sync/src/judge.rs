//! What is to be done with a job, and when.

use ota_core::capability::{Capability, Support};
use ota_core::id::JobId;
use time::OffsetDateTime;

use crate::job_entry::{JobEntry, Retry};
use crate::queue::{Judged, Kind, Wish};
use crate::schedule::{FIRST_READ, later, longest_look, spread};
use crate::settings::SyncSettings;

/// What a vendor can tell cheaply, and how often its jobs are read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Manner {
    pub(crate) settings: SyncSettings,
    /// The rows of a page.
    pub(crate) page_size: u32,
    /// Whether rows of the list of jobs carry counts.
    pub(crate) counts_in_rows: bool,
    /// Whether each status and stage is counted by a call of its own, which brings open tasks too.
    pub(crate) counts_in_totals: bool,
    /// Whether one list answers for all running jobs.
    grouped: bool,
    /// Whether the vendor lists the tasks that devices work on.
    lists_open: bool,
    /// The calls of a look that finds nothing.
    pub(crate) look_calls: u64,
}

/// One call for all tasks, one for each status but pending, one for each of its three stages. A status that the vendor has no word for costs nothing.
const CALLS_OF_PARTS: u64 = 8;

impl Manner {
    pub(crate) fn new(capability: &Capability, settings: SyncSettings) -> Self {
        let signs = capability.change_signs;
        let filters = capability.task_filters;
        let native = |support| support == Support::Native;
        let counts_in_totals = signs.counts_in_totals && !signs.counts_in_rows;
        Self {
            settings,
            page_size: capability.max_page_size.clamp(1, 100),
            counts_in_rows: signs.counts_in_rows,
            counts_in_totals,
            grouped: signs.counts_in_rows && native(capability.job_filters.status),
            lists_open: native(filters.status),
            look_calls: match (signs.counts_in_rows, counts_in_totals) {
                (true, _) => 1,
                (false, true) => CALLS_OF_PARTS,
                (false, false) => {
                    u64::from(capability.job_stats.calls) + u64::from(native(filters.status))
                }
            },
        }
    }

    /// Returns the pages of so many rows.
    pub(crate) fn pages(&self, rows: u64) -> u64 {
        rows.div_ceil(u64::from(self.page_size)).max(1)
    }

    /// Whether all tasks of a job are read by no more calls than a look takes, and can be read. That sees what no count tells.
    pub(crate) fn reads_all(&self, now: OffsetDateTime, job: &JobEntry) -> bool {
        let total = job.total().filter(|_| !job.reading.waits(now));
        total.is_some_and(|total| self.pages(total) <= self.look_calls)
    }

    /// Judges a job.
    pub(crate) fn judge(&self, now: OffsetDateTime, id: &JobId, job: &JobEntry) -> Judged {
        let running = job.is_running(now, &self.settings);
        let mut judged = Judged {
            wishes: Vec::new(),
            running: running.then(|| job.known_at().unwrap_or(job.seen_at)),
            // A job that cannot be read must not keep the first pass open for ever.
            unread: job.read_at.is_none() && job.reading.failures < 3,
            grouped: false,
        };
        if job.busy {
            return judged;
        }
        let put_off = |retry: Retry| {
            move |wish: Wish| Wish {
                due: retry.put_off(wish.due),
                ..wish
            }
        };
        let reading = self.reading(now, id, job);
        judged.wishes.extend(reading.map(put_off(job.reading)));
        if job.read_at.is_some() {
            let looking = self.looking(now, id, job);
            judged.wishes.extend(looking.map(put_off(job.looking)));
            judged.grouped =
                self.is_grouped(job) && self.looks_by_itself(now, job) && !job.looking.waits(now);
            let opening = self.opening(now, id, job);
            judged.wishes.extend(opening.map(put_off(job.looking)));
        }
        judged
    }

    fn reading(&self, now: OffsetDateTime, id: &JobId, job: &JobEntry) -> Option<Wish> {
        let seen = job.pass.as_ref().map_or(0, |pass| pass.seen);
        let left = job.total().map_or(1, |total| total.saturating_sub(seen));
        let wanted = job.wanted(now, &self.settings);
        let at_once = |since: OffsetDateTime| Wish {
            kind: Kind::Read,
            since: since - FIRST_READ,
            wanted: FIRST_READ,
            cost: self.pages(left),
            due: since.min(now),
        };
        let again = |at: OffsetDateTime, due: OffsetDateTime| Wish {
            kind: Kind::Read,
            since: at,
            wanted: wanted.read,
            cost: self.pages(left),
            due,
        };
        match (job.wants_read, job.read_at) {
            (Some(since), _) => Some(at_once(since)),
            (None, None) => Some(at_once(job.seen_at)),
            // What is late by settings alone waits for what is late by itself.
            (None, Some(_)) if job.read_again => Some(Wish {
                wanted: self.settings.full_pass,
                ..again(job.seen_at, now)
            }),
            (None, Some(at)) if job.pass.is_some() => Some(again(at, now)),
            (None, Some(at)) if wanted.running => {
                let due = later(at, wanted.read + spread(id.as_str(), wanted.read));
                Some(again(at, due))
            }
            (None, Some(_)) => None,
        }
    }

    /// Whether one list of jobs is a look at it and at all others that run. A list of those that have ended is long.
    fn is_grouped(&self, job: &JobEntry) -> bool {
        self.grouped && !job.facts.status.has_ended()
    }

    /// Whether a job is looked at because of its age.
    fn looks_by_itself(&self, now: OffsetDateTime, job: &JobEntry) -> bool {
        job.wants_look.is_none()
            && (!job.facts.status.has_ended() || job.is_running(now, &self.settings))
            && job.wanted(now, &self.settings).look.is_some()
    }

    fn looking(&self, now: OffsetDateTime, id: &JobId, job: &JobEntry) -> Option<Wish> {
        if let Some(since) = job.wants_look {
            return Some(Wish {
                kind: Kind::Look,
                since: since - FIRST_READ,
                wanted: FIRST_READ,
                cost: 1,
                due: since.min(now),
            });
        }
        if !self.looks_by_itself(now, job) {
            return None;
        }
        let every = job.wanted(now, &self.settings).look?;
        // The first look behind the first reading is spread: what was read together is not looked at together for ever.
        let known = job.known_at().unwrap_or(job.seen_at);
        let due = match job.looked_at {
            Some(at) => later(at, every),
            None => later(known, every.saturating_sub(spread(id.as_str(), every))),
        };
        Some(Wish {
            kind: match self.is_grouped(job) {
                true => Kind::GroupedLook,
                false => Kind::Look,
            },
            since: known,
            wanted: every,
            cost: 1,
            due,
        })
    }

    /// Where counts come with the rows of the list, no look reads a task while they stay the same.
    fn opening(&self, now: OffsetDateTime, id: &JobId, job: &JobEntry) -> Option<Wish> {
        let counts = job.counts.as_ref();
        let some = counts.and_then(|counts| counts.in_progress) != Some(0);
        if !self.counts_in_rows || !self.lists_open || !some || !job.is_running(now, &self.settings)
        {
            return None;
        }
        let every = longest_look(&self.settings);
        let since = job.opened_at.max(job.read_at).unwrap_or(job.seen_at);
        let first = spread(id.as_str(), every);
        Some(Wish {
            kind: Kind::Open,
            since,
            wanted: every,
            cost: 1,
            due: match job.opened_at >= job.read_at {
                true => later(since, every),
                false => later(since, every.saturating_sub(first)),
            },
        })
    }
}
