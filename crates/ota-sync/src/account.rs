//! The queue of one vendor account: chooses the latest piece of work, does some of them side by side, and draws the conclusions.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use futures_util::stream::{FuturesUnordered, StreamExt};
use ota_core::clock::after;
use ota_core::id::JobId;
use ota_core::{Error, ErrorKind};
use ota_store::StoreError;
use time::OffsetDateTime;
use tokio::sync::Notify;

use crate::look::{look, running_jobs};
use crate::pages::{counts_in_rows, deep_page, list_page};
use crate::schedule::{Candidate, LONGEST_SLEEP, age, backoff, later, spread};
use crate::state::{Failing, JobEntry, MirroredState, State};
use crate::step::{Environment, Failed, Step};

/// Pieces of work of one account that are done side by side: enough to use a quota of ten calls a second with a vendor that takes 400 ms.
const SIDE_BY_SIDE: usize = 4;

/// How long nothing is done after the database failed.
const DATABASE_PAUSE: Duration = Duration::from_secs(2);

/// The first and the longest wait after a vendor failed.
const VENDOR_PAUSE: (Duration, Duration) = (Duration::from_secs(2), Duration::from_secs(60));

/// The first and the longest wait after one job could not be read.
const JOB_PAUSE: (Duration, Duration) = (Duration::from_secs(30), Duration::from_secs(3600));

/// A job that has never been read is wanted at this age.
const FIRST_READ: Duration = Duration::from_secs(10);

/// A piece of work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Work {
    /// Reads what the database has.
    Load,
    /// The next page of the list pass.
    ListPage,
    /// The next page of the pass over a job's tasks.
    DeepPage(JobId),
    /// A look at a job.
    Look(JobId),
    /// A look at all these jobs by one list.
    Running(Vec<JobId>),
}

/// The queue of one account.
#[derive(Debug)]
pub(crate) struct Account {
    pub(crate) providers: Vec<Arc<MirroredState>>,
    /// Wakes the queue when something else than time makes work due.
    pub(crate) wake: Arc<Notify>,
}

impl Account {
    /// Works until it is dropped.
    pub(crate) async fn run(&self, env: &Environment) {
        let mut steps: FuturesUnordered<BoxFuture<'_, bool>> = FuturesUnordered::new();
        // Nothing is begun before this time: the database has failed.
        let mut paused: Option<OffsetDateTime> = None;
        loop {
            let now = env.now();
            paused = paused.filter(|until| *until > now);
            let mut next = paused;
            while steps.len() < SIDE_BY_SIDE && paused.is_none() {
                let (chosen, soonest) = self.choose(now, env);
                next = soonest;
                let Some((index, work)) = chosen else { break };
                let Some(of) = self.providers.get(index) else {
                    break;
                };
                begin(&mut of.lock(), &work);
                steps.push(step(env, of, work).boxed());
            }
            let wait = next.map_or(LONGEST_SLEEP, |next| age(next, now).min(LONGEST_SLEEP));
            let wait = wait.max(Duration::from_millis(10));
            let woken = env.clock.sleep_until(after(env.clock.monotonic(), wait));
            tokio::select! {
                biased;
                Some(store_failed) = steps.next(), if !steps.is_empty() => {
                    if store_failed {
                        paused = Some(later(env.now(), DATABASE_PAUSE));
                    }
                }
                () = self.wake.notified() => {}
                () = woken => {}
            }
        }
    }

    /// Returns the latest piece of work that is due, by the index of its provider; and when the next one is due if none is.
    fn choose(
        &self,
        now: OffsetDateTime,
        env: &Environment,
    ) -> (Option<(usize, Work)>, Option<OffsetDateTime>) {
        let mut best = Best::default();
        for (index, of) in self.providers.iter().enumerate() {
            let grouped = of.lists_running_jobs();
            let page_size = u64::from(of.page_size());
            best.consider(index, &of.lock(), now, env, (grouped, page_size));
        }
        (best.work.map(|(index, work, _)| (index, work)), best.next)
    }
}

/// The best candidate so far.
#[derive(Debug, Default)]
struct Best {
    work: Option<(usize, Work, Candidate)>,
    next: Option<OffsetDateTime>,
}

impl Best {
    fn offer(&mut self, index: usize, candidate: Candidate, work: impl FnOnce() -> Work) {
        let better = |(_, _, other): &(usize, Work, Candidate)| candidate.before(other);
        if self.work.as_ref().is_none_or(better) {
            self.work = Some((index, work(), candidate));
        }
    }

    fn later(&mut self, at: OffsetDateTime) {
        self.next = Some(self.next.map_or(at, |next| next.min(at)));
    }

    fn consider(
        &mut self,
        index: usize,
        state: &State,
        now: OffsetDateTime,
        env: &Environment,
        (grouped, page_size): (bool, u64),
    ) {
        if let Some(until) = state.not_before.filter(|until| *until > now) {
            return self.later(until);
        }
        if !state.loaded {
            if !state.list.busy {
                let at_once = Candidate {
                    age: Duration::MAX,
                    wanted: Duration::from_secs(1),
                    cost: 0,
                };
                self.offer(index, at_once, || Work::Load);
            }
            return;
        }
        self.consider_list(index, state, now, env);
        // All of them are looked at by one list as soon as one is due.
        let mut running: Vec<(&JobId, Option<Candidate>)> = Vec::new();
        for (id, job) in &state.jobs {
            if job.busy {
                continue;
            }
            if let Some(until) = job.not_before.filter(|until| *until > now) {
                self.later(until);
                continue;
            }
            self.consider_read(index, (id, job), now, env, page_size);
            if job.read_at.is_some() {
                self.consider_look(index, (id, job), now, env, grouped.then_some(&mut running));
            }
        }
        let due = running.iter().filter_map(|(_, candidate)| *candidate);
        let latest = due.reduce(|best, other| if other.before(&best) { other } else { best });
        if let Some(latest) = latest {
            let all = || running.iter().map(|(id, _)| (*id).clone()).collect();
            self.offer(index, latest, || Work::Running(all()));
        }
    }

    fn consider_list(
        &mut self,
        index: usize,
        state: &State,
        now: OffsetDateTime,
        env: &Environment,
    ) {
        let list = &state.list;
        if list.busy {
            return;
        }
        if let Some(until) = list.not_before.filter(|until| *until > now) {
            return self.later(until);
        }
        let candidate = |age, wanted| Candidate {
            age,
            wanted,
            cost: 1,
        };
        let full_pass = env.settings.full_pass;
        let work = || Work::ListPage;
        match (list.requested_at, list.last_at) {
            (Some(since), _) => self.offer(
                index,
                candidate(age(now, since) + FIRST_READ, FIRST_READ),
                work,
            ),
            (None, None) => self.offer(index, candidate(Duration::MAX, full_pass), work),
            (None, Some(last)) => {
                let due = later(last, full_pass);
                if due <= now || list.pass.is_some() {
                    self.offer(index, candidate(age(now, last), full_pass), work);
                } else {
                    self.later(due);
                }
            }
        }
    }

    fn consider_read(
        &mut self,
        index: usize,
        (id, job): (&JobId, &JobEntry),
        now: OffsetDateTime,
        env: &Environment,
        page_size: u64,
    ) {
        let seen = job.pass.as_ref().map_or(0, |pass| pass.seen);
        let left = job.total().map_or(1, |total| total.saturating_sub(seen));
        let cost = left.div_ceil(page_size).max(1);
        let wanted = job.wanted(now, &env.settings);
        let (age, wanted) = match (job.wants_read, job.read_at) {
            (Some(since), _) => (age(now, since) + FIRST_READ, FIRST_READ),
            (None, None) => (age(now, job.seen_at) + FIRST_READ, FIRST_READ),
            (None, Some(at)) if job.pass.is_some() => (age(now, at), wanted.read),
            (None, Some(at)) if wanted.running => {
                let due = later(at, wanted.read + spread(id.as_str(), wanted.read));
                if due > now {
                    return self.later(due);
                }
                (age(now, at), wanted.read)
            }
            (None, Some(_)) => return,
        };
        let candidate = Candidate { age, wanted, cost };
        self.offer(index, candidate, || Work::DeepPage(id.clone()));
    }

    fn consider_look<'a>(
        &mut self,
        index: usize,
        (id, job): (&'a JobId, &JobEntry),
        now: OffsetDateTime,
        env: &Environment,
        running: Option<&mut Vec<(&'a JobId, Option<Candidate>)>>,
    ) {
        let wanted = job.wanted(now, &env.settings);
        let cost = 1;
        let look = || Work::Look(id.clone());
        if let Some(since) = job.wants_look {
            let candidate = Candidate {
                age: age(now, since) + FIRST_READ,
                wanted: FIRST_READ,
                cost,
            };
            return self.offer(index, candidate, look);
        }
        let Some(every) = wanted.look.filter(|_| !job.facts.status.has_ended()) else {
            return;
        };
        // The first look behind the first reading is spread: what was read together is not looked at together for ever.
        let known = job.known_at().unwrap_or(job.seen_at);
        let due = match job.looked_at {
            Some(at) => later(at, every),
            None => later(known, every.saturating_sub(spread(id.as_str(), every))),
        };
        if due > now {
            self.later(due);
        }
        let candidate = (due <= now).then(|| Candidate {
            age: age(now, known),
            wanted: every,
            cost,
        });
        match (running, candidate) {
            (Some(running), candidate) => running.push((id, candidate)),
            (None, Some(candidate)) => self.offer(index, candidate, look),
            (None, None) => {}
        }
    }
}

/// Marks what a piece of work is at, so that nothing else is at it too.
fn begin(state: &mut State, work: &Work) {
    mark(state, work, true);
}

fn mark(state: &mut State, work: &Work, busy: bool) {
    match work {
        Work::Load | Work::ListPage => state.list.busy = busy,
        Work::DeepPage(job) | Work::Look(job) => {
            if let Some(entry) = state.jobs.get_mut(job) {
                entry.busy = busy;
            }
        }
        Work::Running(jobs) => {
            for job in jobs {
                if let Some(entry) = state.jobs.get_mut(job) {
                    entry.busy = busy;
                }
            }
        }
    }
}

/// Does a piece of work; returns whether the database failed.
async fn step(env: &Environment, of: &MirroredState, work: Work) -> bool {
    let result = match &work {
        Work::Load => load(env, of).await,
        Work::ListPage => list_page(env, of).await,
        Work::DeepPage(job) => deep_page(env, of, job).await,
        Work::Look(job) => look(env, of, job).await,
        Work::Running(jobs) => running_jobs(env, of, jobs).await,
    };
    mark(&mut of.lock(), &work, false);
    let result = match result {
        Ok(()) => conclude(env, of).await.map_err(Failed::Store),
        failed => failed,
    };
    match result {
        Ok(()) => false,
        Err(Failed::Vendor(error)) => {
            vendor_failed(env, of, &work, &error);
            false
        }
        Err(Failed::Store(error)) => {
            store_failed(of, &error);
            true
        }
    }
}

/// Reads what the database has of a provider.
async fn load(env: &Environment, of: &MirroredState) -> Step {
    let now = env.now();
    env.store.see_provider(of.name(), of.vendor(), now).await?;
    let known = env.store.providers().await?;
    let known = known.iter().find(|known| known.provider == *of.name());
    let jobs = env.store.job_states(of.name(), u32::MAX).await?;
    let open = env.store.open_passes(of.name()).await?;
    let counts = counts_in_rows(of);
    let mut state = of.lock();
    state.load(now, known, jobs, open, (counts, &env.settings));
    state.progress_at = state.progress_at.max(Some(now));
    Ok(())
}

/// Draws the conclusions from a piece of work that went well.
async fn conclude(env: &Environment, of: &MirroredState) -> Result<(), StoreError> {
    let now = env.now();
    let (first_ended, problem) = {
        let mut state = of.lock();
        state.failing = None;
        state.not_before = None;
        let done = state.loaded
            && state.list.last_at.is_some()
            && state.list.pass.is_none()
            && !state.list.busy
            && state.unread() == 0;
        let first_ended = done && state.first_pass_at.is_none() && state.list.reached_end;
        if done {
            state.full.active = false;
        }
        let problem = state.problem();
        let changed = problem != state.told_problem;
        (first_ended, changed.then_some(problem))
    };
    if first_ended {
        env.store.first_pass_ended(of.name(), now).await?;
        of.lock().first_pass_at = Some(now);
        let state = of.lock();
        tracing::info!(
            provider.name = %of.name(), jobs = state.jobs.len(), tasks = state.full.tasks_seen, calls = state.full.calls,
            "the first pass over `{}` has ended", of.name()
        );
    }
    if let Some(problem) = problem {
        env.store
            .set_problem(of.name(), problem.as_deref(), now)
            .await?;
        of.lock().told_problem = problem;
    }
    Ok(())
}

/// Draws the conclusions from a read that failed.
fn vendor_failed(env: &Environment, of: &MirroredState, work: &Work, error: &Error) {
    let now = env.now();
    let mut state = of.lock();
    if error.is_local() {
        // The gateway's own decision: the quota, the breaker. It says nothing new about the vendor.
        let wait = error
            .retry_after()
            .unwrap_or(VENDOR_PAUSE.0)
            .min(VENDOR_PAUSE.1);
        state.not_before = Some(later(now, wait.max(Duration::from_secs(1))));
        return;
    }
    tracing::debug!(provider.name = %of.name(), work = ?work, "a background read failed: {error:?}");
    if is_about_vendor(error.kind()) {
        let count = state
            .failing
            .as_ref()
            .map_or(1, |failing| failing.count.saturating_add(1));
        state.failing = Some(Failing {
            count,
            message: error.message().to_owned(),
        });
        let wait = error.retry_after().unwrap_or(Duration::ZERO).max(backoff(
            count,
            VENDOR_PAUSE.0,
            VENDOR_PAUSE.1,
        ));
        state.not_before = Some(later(now, wait.min(VENDOR_PAUSE.1 * 5)));
        return;
    }
    let doubt = |what: &str| format!("{what}: {}", error.message());
    match work {
        Work::Load | Work::ListPage | Work::Running(_) => {
            state.list.failures = state.list.failures.saturating_add(1);
            let wait = backoff(state.list.failures, JOB_PAUSE.0, JOB_PAUSE.1);
            state.list.not_before = Some(later(now, wait));
            state.doubts.insert(None, doubt("the list of jobs"));
            if let Work::Running(jobs) = work {
                for job in jobs {
                    if let Some(entry) = state.jobs.get_mut(job) {
                        entry.not_before = Some(later(now, wait));
                    }
                }
            }
        }
        Work::DeepPage(job) | Work::Look(job) => {
            if let Some(entry) = state.jobs.get_mut(job) {
                entry.failures = entry.failures.saturating_add(1);
                let wait = backoff(entry.failures, JOB_PAUSE.0, JOB_PAUSE.1);
                entry.not_before = Some(later(now, wait));
            }
            let text = doubt(&format!("job `{job}`"));
            state.doubts.insert(Some(job.clone()), text);
        }
    }
}

/// Whether an error says that the vendor as a whole cannot be read, and not one list of it.
fn is_about_vendor(kind: ErrorKind) -> bool {
    match kind {
        ErrorKind::Auth
        | ErrorKind::Throttled
        | ErrorKind::Misconfigured
        | ErrorKind::Timeout
        | ErrorKind::Unavailable => true,
        ErrorKind::InvalidArgument
        | ErrorKind::NotFound
        | ErrorKind::Conflict
        | ErrorKind::Unsupported
        | ErrorKind::Rejected
        | ErrorKind::Protocol
        | ErrorKind::Unexpected => false,
    }
}

/// What is in memory may be ahead of what was written: it is read again when the database is back.
fn store_failed(of: &MirroredState, error: &StoreError) {
    tracing::warn!(provider.name = %of.name(), "the mirror of `{}` cannot be written: {error}", of.name());
    let mut state = of.lock();
    state.loaded = false;
    state.list.pass = None;
    for entry in state.jobs.values_mut() {
        entry.pass = None;
    }
}
