//! The queue of one vendor account: chooses the latest piece of work, does some of them side by side, and draws the conclusions.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use futures_util::stream::{FuturesUnordered, StreamExt};
use ota_core::Error;
use ota_core::clock::after;
use ota_core::id::JobId;
use ota_store::StoreError;
use time::OffsetDateTime;
use tokio::sync::Notify;

use crate::judge::Manner;
use crate::look::{look, running_jobs};
use crate::open_tasks::open_tasks;
use crate::pages::{counts_in_rows, deep_page, list_page, list_waits};
use crate::queue::Kind;
use crate::schedule::{Candidate, FIRST_READ, LONGEST_SLEEP, age, backoff, later};
use crate::state::{Failing, MirroredState, State, Tenure};
use crate::step::{Environment, Failed, Step, is_about_vendor};

/// Pieces of work of one account that are done side by side: enough to use a quota of ten calls a second with a vendor that takes 400 ms.
const SIDE_BY_SIDE: usize = 4;

/// How long nothing is done after the database failed.
const DATABASE_PAUSE: Duration = Duration::from_secs(2);

/// How often it is looked whether this process holds the account.
const LOOK_FOR_LEASE: Duration = Duration::from_secs(1);

/// The first and the longest wait after a vendor failed.
const VENDOR_PAUSE: (Duration, Duration) = (Duration::from_secs(2), Duration::from_secs(60));

/// The first wait after a look at one job failed.
const LOOK_PAUSE: Duration = Duration::from_secs(30);

/// The most of them that read open tasks, which nothing waits for.
const MOST_OPEN: usize = 2;

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
    /// The tasks of a job that devices work on.
    Open(JobId),
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
        let mut steps: FuturesUnordered<BoxFuture<'_, (bool, bool)>> = FuturesUnordered::new();
        // Nothing is begun before this time: the database has failed.
        let mut paused: Option<OffsetDateTime> = None;
        // Pieces of work under way that read open tasks: when the quota is used up they must not hold all places.
        let mut open = 0;
        let mut tenure = None;
        loop {
            let now = env.now();
            let present = self.tenure();
            if tenure != Some(present) {
                // Nothing of another tenure goes on.
                steps.clear();
                open = 0;
                for of in &self.providers {
                    of.begin_tenure(present);
                }
                tenure = Some(present);
            }
            paused = paused.filter(|until| *until > now);
            let mut next = paused;
            while steps.len() < SIDE_BY_SIDE && paused.is_none() && present != Tenure::None {
                let with_open = open < MOST_OPEN;
                let (chosen, soonest) = self.choose(now, env, with_open);
                next = soonest;
                let Some((index, work)) = chosen else { break };
                let Some(of) = self.providers.get(index) else {
                    break;
                };
                begin(&mut of.lock(), &work);
                let is_open = matches!(work, Work::Open(_));
                open += usize::from(is_open);
                let done = step(env, of, work).map(move |failed| (failed, is_open));
                steps.push(done.boxed());
            }
            let wait = next.map_or(LONGEST_SLEEP, |next| age(next, now).min(LONGEST_SLEEP));
            let longest = match present {
                Tenure::Alone => LONGEST_SLEEP,
                Tenure::Held(_) | Tenure::None => LOOK_FOR_LEASE,
            };
            let wait = wait.clamp(Duration::from_millis(10), longest);
            let woken = env.clock.sleep_until(after(env.clock.monotonic(), wait));
            tokio::select! {
                biased;
                Some((store_failed, was_open)) = steps.next(), if !steps.is_empty() => {
                    open -= usize::from(was_open);
                    if store_failed {
                        paused = Some(later(env.now(), DATABASE_PAUSE));
                    }
                }
                () = self.wake.notified() => {}
                () = woken => {}
            }
        }
    }

    fn tenure(&self) -> Tenure {
        // All of its providers have the lease of the account.
        let first = self.providers.first();
        first.map_or(Tenure::None, |of| of.tenure())
    }

    /// Returns the latest piece of work that is due, by the index of its provider; and when the next one is due if none is.
    fn choose(
        &self,
        now: OffsetDateTime,
        env: &Environment,
        with_open: bool,
    ) -> (Option<(usize, Work)>, Option<OffsetDateTime>) {
        let mut best = Best::default();
        for (index, of) in self.providers.iter().enumerate() {
            let manner = of.manner(env.settings);
            best.consider(index, &mut of.lock(), now, (&manner, with_open));
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
        let better = |(_, of, other): &(usize, Work, Candidate)| {
            // Open tasks wait for everything else.
            matches!(of, Work::Open(_)) || candidate.before(other)
        };
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
        state: &mut State,
        now: OffsetDateTime,
        (manner, with_open): (&Manner, bool),
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
        self.consider_list(index, state, now, manner.settings.full_pass);
        state.refresh(now, manner);
        if let Some(at) = state.jobs.queue.next_due() {
            self.later(at);
        }
        let longest = manner.settings.max_lag;
        let latest = state.jobs.queue.latest(now, longest, with_open);
        let Some((kind, job, candidate)) = latest else {
            return;
        };
        match kind {
            Kind::Read => self.offer(index, candidate, || Work::DeepPage(job)),
            Kind::Look => self.offer(index, candidate, || Work::Look(job)),
            Kind::GroupedLook => {
                // All of them are looked at by one list as soon as one is due.
                let all = state.jobs.queue.grouped();
                self.offer(index, candidate, || Work::Running(all));
            }
            Kind::Open if self.work.is_none() => {
                self.offer(index, candidate, || Work::Open(job));
            }
            Kind::Open => {}
        }
    }

    fn consider_list(
        &mut self,
        index: usize,
        state: &State,
        now: OffsetDateTime,
        full_pass: Duration,
    ) {
        let list = &state.list;
        if list.busy {
            return;
        }
        if let Some(until) = list.retry.not_before.filter(|until| *until > now) {
            return self.later(until);
        }
        let candidate = |age, wanted| Candidate {
            age,
            wanted,
            cost: 1,
        };
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
}

/// Marks what a piece of work is at, so that nothing else is at it too.
fn begin(state: &mut State, work: &Work) {
    mark(state, work, true);
}

fn mark(state: &mut State, work: &Work, busy: bool) {
    match work {
        Work::Load | Work::ListPage => state.list.busy = busy,
        Work::DeepPage(job) | Work::Look(job) | Work::Open(job) => {
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
        Work::DeepPage(job) => deep_page(env, of, job, None).await,
        Work::Open(job) => open_tasks(env, of, job).await,
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
        Err(Failed::Store(StoreError::Superseded)) => {
            superseded(env, of);
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
    let places = of.member.fields().places();
    let changed = env.store.set_mapping(of.name(), &places).await?;
    let known = env.store.providers().await?;
    let known = known.iter().find(|known| known.provider == *of.name());
    let jobs = env.store.job_states(of.name(), u32::MAX).await?;
    let open = env.store.open_passes(of.name()).await?;
    let counts = counts_in_rows(of);
    let mut state = of.lock();
    state.load(now, known, jobs, open, (counts, &env.settings));
    if changed && state.first_pass_at.is_some() {
        tracing::info!(provider.name = %of.name(), "the fields of `{}` stand elsewhere now: all its jobs and tasks are read again", of.name());
        state.list.requested_at.get_or_insert(now);
    }
    state.progress_at = state.progress_at.max(Some(now));
    Ok(())
}

/// Draws the conclusions from a piece of work that went well.
async fn conclude(env: &Environment, of: &MirroredState) -> Result<(), StoreError> {
    let now = env.now();
    let (first_ended, problem) = {
        let mut state = of.lock();
        if state.failing.take().is_some() {
            tracing::info!(provider.name = %of.name(), "the vendor of `{}` answers the mirror again", of.name());
        }
        state.not_before = None;
        state.refresh(now, &of.manner(env.settings));
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
        if state.failing.is_none() {
            tracing::warn!(
                provider.name = %of.name(),
                "the mirror of `{}` is not renewed while its vendor fails: {}", of.name(), error.message()
            );
        }
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
    let settings = &env.settings;
    let look_waits = (LOOK_PAUSE.min(settings.max_lag), settings.full_pass);
    let doubt = |what: &str| format!("{what}: {}", error.message());
    match work {
        Work::Load | Work::ListPage => {
            state.list.retry.failed(now, list_waits(settings));
            state.doubts.insert(None, doubt("the list of jobs"));
        }
        Work::Running(jobs) => {
            for job in jobs {
                if let Some(entry) = state.jobs.get_mut(job) {
                    entry.looking.failed(now, look_waits);
                }
            }
            state.doubts.insert(None, doubt("the list of jobs"));
        }
        Work::DeepPage(job) | Work::Look(job) | Work::Open(job) => {
            if let Some(entry) = state.jobs.get_mut(job) {
                match work {
                    Work::DeepPage(_) => {
                        let waits = entry.read_waits(now, settings);
                        entry.reading.failed(now, waits);
                    }
                    _ => entry.looking.failed(now, look_waits),
                }
            }
            let text = doubt(&format!("job `{job}`"));
            state.doubts.insert(Some(job.clone()), text);
        }
    }
}

/// What is in memory may be ahead of what was written: it is read again when the database is back.
fn store_failed(of: &MirroredState, error: &StoreError) {
    tracing::debug!(provider.name = %of.name(), "the mirror of `{}` cannot be written: {error}", of.name());
    let mut state = of.lock();
    state.loaded = false;
    state.list.pass = None;
    for entry in state.jobs.values_mut() {
        entry.pass = None;
    }
}

/// Another gateway has taken the account over, or is about to: that is no failure. What this process believes catches up within a moment.
fn superseded(env: &Environment, of: &MirroredState) {
    tracing::debug!(provider.name = %of.name(), "a background read of `{}` was not written: its account is no longer held", of.name());
    let mut state = of.lock();
    state.loaded = false;
    state.not_before = Some(later(env.now(), LOOK_FOR_LEASE));
}
