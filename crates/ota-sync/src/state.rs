//! What is remembered of a provider between two pieces of work. The database has everything that must survive; this is rebuilt from it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ota_core::id::{JobId, ProviderName};
use ota_core::job::{Detail, Job, JobStatus};
use ota_fleet::ConfiguredProvider;
use ota_guard::AccountQuota;
use ota_store::JobState;
use ota_store::fleet::ProviderState;
use ota_store::pass::{OpenPass, PassId, PassOf};
use ota_store::sync_report::{PassRequest, SyncReport};
use time::OffsetDateTime;

use crate::job_entry::{JobEntry, Retry, RowPrint, not_whole};
use crate::jobs::Jobs;
use crate::judge::Manner;
use crate::schedule::{JobFacts, age, later};
use crate::settings::{AccountLease, MirroredProvider, SyncSettings};

/// One mirrored provider.
#[derive(Debug)]
pub(crate) struct MirroredState {
    pub(crate) member: Arc<ConfiguredProvider>,
    pub(crate) quota: Arc<AccountQuota>,
    lease: Option<Arc<dyn AccountLease>>,
    state: Mutex<State>,
    remote: Mutex<Option<Remote>>,
}

/// What the holder of an account reported.
#[derive(Clone, Debug)]
pub(crate) struct Remote {
    pub(crate) report: SyncReport,
    /// When it was written, by the clock of this process.
    pub(crate) written_at: OffsetDateTime,
}

/// The time during which this process does the work of an account without a break.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tenure {
    /// No other gateway uses the database.
    Alone,
    /// The lease is held, under this number.
    Held(i64),
    /// It is not held.
    None,
}

impl MirroredState {
    pub(crate) fn new(provider: MirroredProvider) -> Self {
        Self {
            member: provider.provider,
            quota: provider.quota,
            lease: provider.lease,
            state: Mutex::default(),
            remote: Mutex::default(),
        }
    }

    /// Whether other gateways use the database.
    pub(crate) fn is_shared(&self) -> bool {
        self.lease.is_some()
    }

    pub(crate) fn tenure(&self) -> Tenure {
        match &self.lease {
            None => Tenure::Alone,
            Some(lease) => lease.epoch().map_or(Tenure::None, Tenure::Held),
        }
    }

    /// Forgets what was remembered in another tenure: other gateways have written since. What is in flight has to have been dropped.
    pub(crate) fn begin_tenure(&self, tenure: Tenure) {
        let mut state = self.lock();
        if self.is_shared() {
            *state = State::default();
        } else {
            state.interrupted();
        }
        state.tenure = Some(tenure);
    }

    /// Whether what is remembered is what the database has: this process holds the account, and has read its rows since.
    pub(crate) fn is_current(&self, state: &State) -> bool {
        match self.tenure() {
            Tenure::Alone => true,
            Tenure::Held(_) => state.loaded && state.tenure == Some(self.tenure()),
            Tenure::None => false,
        }
    }

    /// What the holder of the account reported last.
    pub(crate) fn remote(&self) -> Option<Remote> {
        let remote = self.remote.lock();
        remote.unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn set_remote(&self, remote: Remote) {
        *self.remote.lock().unwrap_or_else(PoisonError::into_inner) = Some(remote);
    }

    pub(crate) fn name(&self) -> &ProviderName {
        self.member.provider().name()
    }

    pub(crate) fn vendor(&self) -> &'static str {
        self.member.provider().vendor()
    }

    pub(crate) fn page_size(&self) -> u32 {
        self.member
            .provider()
            .capability()
            .max_page_size
            .clamp(1, 100)
    }

    /// How its jobs are looked at.
    pub(crate) fn manner(&self, settings: SyncSettings) -> Manner {
        Manner::new(self.member.provider().capability(), settings)
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is remembered of a provider.
#[derive(Debug, Default)]
pub(crate) struct State {
    /// The tenure that this belongs to; none before the first one.
    pub(crate) tenure: Option<Tenure>,
    /// Whether the database has been read.
    pub(crate) loaded: bool,
    pub(crate) first_pass_at: Option<OffsetDateTime>,
    pub(crate) list: ListState,
    pub(crate) jobs: Jobs,
    /// No vendor call is made before this time.
    pub(crate) not_before: Option<OffsetDateTime>,
    /// The failures in a row, and the last one.
    pub(crate) failing: Option<Failing>,
    /// What was wrong with the last passes although the vendor answered, by what they read.
    pub(crate) doubts: BTreeMap<Option<JobId>, String>,
    /// When a page was last written, or there was nothing to do.
    pub(crate) progress_at: Option<OffsetDateTime>,
    pub(crate) full: FullPass,
    /// The problem as the database has it.
    pub(crate) told_problem: Option<String>,
    /// When the progress was last logged.
    pub(crate) logged_at: Option<OffsetDateTime>,
    /// The last request of another gateway for a full pass that was taken up.
    pub(crate) accepted: Option<PassRequest>,
    /// What was last reported to the other gateways, and when.
    pub(crate) published: Option<(SyncReport, OffsetDateTime)>,
}

/// A vendor that fails.
#[derive(Clone, Debug)]
pub(crate) struct Failing {
    pub(crate) count: u32,
    pub(crate) message: String,
}

/// The list pass.
#[derive(Debug, Default)]
pub(crate) struct ListState {
    pub(crate) busy: bool,
    /// The one that is open, as far as this process has read it.
    pub(crate) pass: Option<OpenPass>,
    /// Whether the end of the list has been reached at least once. A list that the vendor cannot give in full must not keep the first pass open for ever.
    pub(crate) reached_end: bool,
    /// When the last complete one began.
    pub(crate) complete_at: Option<OffsetDateTime>,
    /// When the last one began that brought all rows that the vendor shows, whether that proves something about the others or not.
    pub(crate) covered_at: Option<OffsetDateTime>,
    /// When the last one that has ended began.
    pub(crate) last_at: Option<OffsetDateTime>,
    /// When the next one was asked for.
    pub(crate) requested_at: Option<OffsetDateTime>,
    /// Pages in a row without a new row.
    pub(crate) stale_pages: u32,
    pub(crate) retry: Retry,
}

/// The progress of the present full pass, or of the last one.
#[derive(Clone, Debug, Default)]
pub(crate) struct FullPass {
    pub(crate) active: bool,
    /// Whether all tasks of running jobs belong to it.
    pub(crate) requested: bool,
    pub(crate) started_at: Option<OffsetDateTime>,
    pub(crate) jobs_seen: u64,
    pub(crate) tasks_seen: u64,
    pub(crate) calls: u64,
}

impl State {
    /// Judges the jobs that were changed or have become due.
    pub(crate) fn refresh(&mut self, now: OffsetDateTime, manner: &Manner) {
        self.jobs.refresh(now, |id, job| manner.judge(now, id, job));
    }

    /// Records that what was in flight has been dropped, or that what is in memory may be ahead of the database: it is read again.
    pub(crate) fn interrupted(&mut self) {
        self.loaded = false;
        self.list.busy = false;
        self.list.pass = None;
        for entry in self.jobs.values_mut() {
            entry.busy = false;
            entry.pass = None;
        }
    }

    /// Takes over what the database has.
    pub(crate) fn load(
        &mut self,
        now: OffsetDateTime,
        known: Option<&ProviderState>,
        jobs: Vec<JobState>,
        open: Vec<OpenPass>,
        (counts_in_rows, settings): (bool, &SyncSettings),
    ) {
        // A time in the future was written while a clock ran ahead. Nothing would be due, and nothing late, until it comes.
        let past = |at: Option<OffsetDateTime>| at.map(|at| at.min(now));
        if let Some(known) = known {
            let listed_at = past(known.last_full_pass_at);
            self.first_pass_at = known.first_pass_at;
            self.list.complete_at = listed_at;
            self.list.covered_at = self.list.covered_at.max(listed_at);
            self.list.last_at = self.list.last_at.max(listed_at);
            // By a process before: the first pass ends with what is left of it, not with another list.
            self.list.reached_end |= known.last_full_pass_at.is_some();
            self.told_problem = known.problem.as_ref().map(|(text, _)| text.clone());
            self.progress_at = self.progress_at.max(past(known.progress_at));
        }
        let mut before = std::mem::take(&mut self.jobs);
        for job in jobs {
            let facts = JobFacts {
                status: job.status,
                created_at: job.created_at,
                changed_at: job.changed_at.min(now),
                counts_in_rows,
            };
            let mut entry = before
                .remove(&job.id)
                .unwrap_or_else(|| JobEntry::new(facts.clone(), now));
            entry.facts = facts;
            entry.read_at = entry.read_at.max(past(job.tasks_as_of));
            let every = entry.wanted(now, settings).look;
            let looked_at = job.due_at.zip(every).map(|(due, every)| due - every);
            entry.looked_at = entry.looked_at.max(past(looked_at));
            entry.counts = job.vendor_counts.or(entry.counts);
            entry.summary = !job.full;
            entry.truncated = job.truncated;
            entry.read_again = job.read_again;
            if job.truncated {
                let told = not_whole(&format!("the tasks of job `{}`", job.id));
                self.doubts.entry(Some(job.id.clone())).or_insert(told);
            }
            self.jobs.insert(job.id, entry);
        }
        for pass in open {
            match &pass.of {
                PassOf::Jobs(_) => self.list.pass = Some(pass),
                PassOf::Tasks(_, job) => {
                    // One whose page is on its way knows its pass better: it may just have ended.
                    let entry = self.jobs.get_mut(job);
                    if let Some(entry) = entry.filter(|entry| !entry.busy) {
                        entry.pass = Some(pass);
                    }
                }
            }
        }
        let jobs = &self.jobs;
        self.doubts
            .retain(|job, _| job.as_ref().is_none_or(|job| jobs.contains_key(job)));
        self.loaded = true;
    }

    /// Notes a job that the vendor told of; returns whether it is new here. `from_list` says that it is a row of a list.
    pub(crate) fn saw_job(
        &mut self,
        job: &Job,
        sent_at: OffsetDateTime,
        now: OffsetDateTime,
        counts_in_rows: bool,
    ) -> bool {
        let starts_at = (job.status == JobStatus::Pending)
            .then_some(job.schedule.starts_at)
            .flatten();
        let facts = JobFacts {
            status: job.status,
            created_at: starts_at.or(job.created_at),
            changed_at: job.updated_at.or(job.created_at).unwrap_or(now),
            counts_in_rows,
        };
        let print = RowPrint::of(job);
        let is_new = !self.jobs.contains_key(&job.id);
        let entry = self
            .jobs
            .get_or_insert(&job.id, || JobEntry::new(facts.clone(), now));
        let changed = entry
            .row
            .as_ref()
            .map_or_else(|| entry.facts.status != job.status, |row| *row != print);
        entry.facts = JobFacts {
            // A row without any time is no change.
            changed_at: match (changed, job.updated_at) {
                (true, _) => now,
                (false, Some(at)) => entry.facts.changed_at.max(at),
                (false, None) => entry.facts.changed_at,
            },
            created_at: facts.created_at.or(entry.facts.created_at),
            ..facts
        };
        if changed && !is_new {
            let ended = job.status.has_ended();
            entry.wants_look.get_or_insert(sent_at);
            // Once more all of it: a job that has ended is rarely read afterwards.
            if ended && entry.row.as_ref().is_none_or(|row| !row.status.has_ended()) {
                entry.wants_read.get_or_insert(sent_at);
            }
            entry.summary |= job.detail == Detail::Summary;
        }
        entry.row = Some(print);
        if is_new {
            entry.summary = job.detail == Detail::Summary;
        } else if job.detail == Detail::Full {
            entry.summary = false;
        }
        if let Some(stats) = &job.stats {
            entry.counts = Some(stats.clone());
            entry.uncompared = Some((stats.clone(), sent_at));
        }
        is_new
    }

    /// Counts vendor calls that were made.
    pub(crate) fn count_calls(&mut self, calls: u32) {
        if self.full.active {
            self.full.calls += u64::from(calls);
        }
    }

    /// Begins to count a full pass.
    pub(crate) fn begin_full(&mut self, began_at: OffsetDateTime) {
        if !self.full.active {
            self.full = FullPass {
                active: true,
                requested: self.full.requested,
                started_at: Some(began_at),
                ..FullPass::default()
            };
        }
    }

    /// Chooses what is to be read behind a list pass that has ended. Jobs that have ended are read here only, so that nothing is called between two passes.
    pub(crate) fn after_list(&mut self, now: OffsetDateTime, settings: &SyncSettings) {
        let requested = self.full.requested;
        for entry in self.jobs.values_mut() {
            // What has never been read, or only with other settings, is read anyway, its detail too: a look besides would read it twice.
            if entry.read_at.is_none() || entry.read_again {
                continue;
            }
            let wanted = entry.wanted(now, settings);
            let due = |at: Option<OffsetDateTime>, every: Duration| {
                at.is_none_or(|at| later(at, every) <= now)
            };
            if wanted.running {
                if requested {
                    entry.wants_read.get_or_insert(now);
                }
                continue;
            }
            let known_by_row = entry.facts.counts_in_rows && entry.counts.is_some();
            let look = wanted
                .look
                .is_some_and(|every| due(entry.known_at(), every));
            if entry.uncompared.is_some() || look || (requested && !known_by_row) {
                let told_at = entry.uncompared.as_ref().map(|(_, sent_at)| *sent_at);
                entry.wants_look.get_or_insert(told_at.unwrap_or(now));
            }
            if due(entry.read_at, wanted.read) && !known_by_row {
                entry.wants_read.get_or_insert(now);
            }
        }
        self.full.requested = false;
    }

    /// How many jobs remain whose tasks have never been read. As of the last [`State::refresh`], as the two below.
    pub(crate) fn unread(&self) -> usize {
        self.jobs.queue.unread()
    }

    /// The age of the running job that was looked at longest ago; without running jobs, how late the list pass is.
    pub(crate) fn lag(&self, now: OffsetDateTime, settings: &SyncSettings) -> Duration {
        let unseen = self.jobs.queue.longest_unseen(now);
        let list = self.list.covered_at.or(self.full.started_at);
        let late = list.map_or(Duration::ZERO, |at| {
            age(now, at).saturating_sub(settings.full_pass)
        });
        unseen.unwrap_or(Duration::ZERO).max(late)
    }

    /// The time as of which all rows were true.
    pub(crate) fn as_of(&self) -> Option<OffsetDateTime> {
        let list = self.list.covered_at?;
        let oldest = self.jobs.queue.oldest();
        Some(oldest.map_or(list, |oldest| oldest.min(list)))
    }
}

/// Without progress for so long, something is wrong.
const NO_PROGRESS: Duration = Duration::from_secs(300);

impl State {
    /// Returns what is wrong with what is shown although the vendor answers.
    pub(crate) fn problem(&self) -> Option<String> {
        let mut doubts = self.doubts.values();
        let first = doubts.next()?;
        Some(match doubts.count() {
            0 => first.clone(),
            more => format!("{first} (and {more} more)"),
        })
    }

    /// Whether work is due and nothing has been written for five minutes.
    pub(crate) fn is_stuck(&self, now: OffsetDateTime) -> bool {
        self.full.active
            && self
                .progress_at
                .is_some_and(|at| age(now, at) >= NO_PROGRESS)
    }

    /// Returns how many seconds are left of the present full pass, as far as its tasks so far suggest.
    pub(crate) fn eta_s(&self, now: OffsetDateTime) -> Option<u64> {
        let total = self.tasks_total()?;
        let spent = age(now, self.full.started_at?).as_secs();
        if !self.full.active || self.full.tasks_seen == 0 {
            return None;
        }
        let left = total.saturating_sub(self.full.tasks_seen);
        Some(left.saturating_mul(spent) / self.full.tasks_seen)
    }

    /// Returns the tasks that the present pass has to see. Jobs whose tasks nobody has counted yet count as many as the others on average; none where no count is known.
    pub(crate) fn tasks_total(&self) -> Option<u64> {
        let (mut jobs, mut known, mut sum) = (0_u64, 0_u64, 0_u64);
        for job in self.jobs.values() {
            jobs += 1;
            if let Some(total) = job.total() {
                known += 1;
                sum = sum.saturating_add(total);
            }
        }
        let average = sum.checked_div(known)?;
        Some(sum.saturating_add(average.saturating_mul(jobs - known)))
    }

    /// Counts tasks that a pass over a job saw for the first time. A full pass sees the tasks of a job once, however often the job is read meanwhile.
    pub(crate) fn count_tasks(&mut self, job: &JobId, pass: PassId, seen: u64) {
        let (true, Some(full)) = (self.full.active, self.full.started_at) else {
            return;
        };
        let Some(entry) = self.jobs.get_mut(job) else {
            return;
        };
        let counted = match entry.counted {
            Some((of, counted)) if of == full => counted,
            _ => pass,
        };
        entry.counted = Some((full, counted));
        if counted == pass {
            self.full.tasks_seen += seen;
        }
    }
}
