//! The handle of the sync.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::join_all;
use ota_core::clock::{Clock, after};
use ota_core::context::Moment;
use ota_core::id::{JobId, ProviderName};
use ota_core::job::{Detail, Job, JobStats};
use ota_core::task::Task;
use ota_store::record::{JobPage, TaskPage};
use ota_store::{Store, StoreError};
use time::OffsetDateTime;
use tokio::sync::{Notify, mpsc};

use crate::account::Account;
use crate::call_times::CallTimes;
use crate::exchange::{exchange, request_full_pass};
use crate::observer::{Observer, WriteKind};
use crate::pages::counts_in_rows;
use crate::records::{Render, job_record, task_record};
use crate::schedule::later;
use crate::settings::{MirroredProvider, SyncSettings};
use crate::source::{Progress, lag, progress};
use crate::state::MirroredState;
use crate::status::{Rows, SourceState, SourceStatus, SyncStatus};
use crate::step::Environment;

/// Answers of live reads that wait to be written. More are dropped: the next look brings the same.
const LIVE_READS: usize = 256;

/// How often the calls that count are written.
const KEEP_CALLS_EVERY: Duration = Duration::from_secs(1);

/// How often the health of the database is looked at.
const TICK: Duration = Duration::from_secs(5);

/// How often the progress of a first pass is logged.
const LOG_EVERY: Duration = Duration::from_secs(30);

/// How often rows that are too old are removed, and in how many transactions at most.
const FORGET_EVERY: Duration = Duration::from_secs(600);
const FORGET_STEPS: u32 = 200;

/// What a live read brought.
#[derive(Clone, Debug, PartialEq)]
pub enum LiveRead {
    /// Rows of a list of jobs, or one job.
    Jobs(Vec<Job>),
    /// Counts of a job.
    Stats(JobId, JobStats),
    /// Rows of a list of tasks.
    Tasks(JobId, Vec<Task>),
}

/// A live read on its way into the database.
#[derive(Debug)]
struct Written {
    provider: ProviderName,
    sent_at: OffsetDateTime,
    read: LiveRead,
}

/// The sync of all providers. Clones share it.
#[derive(Clone, Debug)]
pub struct MirrorSync(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    env: Environment,
    mirrored: BTreeMap<ProviderName, Arc<MirroredState>>,
    /// Configured, and left out of the mirror.
    left_out: Vec<ProviderName>,
    accounts: Vec<Account>,
    call_times: Vec<CallTimes>,
    /// Whether the calls of the process before have been given back.
    restored: tokio::sync::Mutex<bool>,
    /// One for each provider: the queue of its account.
    wakes: BTreeMap<ProviderName, Arc<Notify>>,
    live: mpsc::Sender<Written>,
    received: tokio::sync::Mutex<mpsc::Receiver<Written>>,
    /// Providers of the database that are no longer configured.
    former: Mutex<Vec<ProviderName>>,
    /// Why the database cannot be used, if so.
    database: Mutex<Option<StoreError>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl MirrorSync {
    /// Creates the sync of these providers. It does nothing until [`MirrorSync::run`] is polled.
    #[must_use]
    pub fn new(
        store: Store,
        providers: Vec<MirroredProvider>,
        settings: SyncSettings,
        clock: Arc<dyn Clock>,
        render: Arc<dyn Render>,
        observer: Arc<dyn Observer>,
    ) -> Self {
        let (live, received) = mpsc::channel(LIVE_READS);
        let mut mirrored = BTreeMap::new();
        let mut left_out = Vec::new();
        let mut accounts: BTreeMap<String, Account> = BTreeMap::new();
        let mut wakes = BTreeMap::new();
        let mut call_times = Vec::new();
        for provider in providers {
            let name = provider.provider.provider().name().clone();
            if !provider.enabled {
                left_out.push(name);
                continue;
            }
            let account = accounts.entry(provider.account.clone()).or_insert_with(|| {
                let quota = Arc::clone(&provider.quota);
                // A lease hands them on itself.
                if provider.lease.is_none() {
                    call_times.push(CallTimes::new(provider.account.clone(), quota));
                }
                Account {
                    providers: Vec::new(),
                    wake: Arc::default(),
                }
            });
            let state = Arc::new(MirroredState::new(provider));
            account.providers.push(Arc::clone(&state));
            wakes.insert(name.clone(), Arc::clone(&account.wake));
            mirrored.insert(name, state);
        }
        Self(Arc::new(Inner {
            env: Environment {
                store,
                clock,
                render,
                observer,
                settings,
                not_written: Mutex::default(),
            },
            mirrored,
            left_out,
            accounts: accounts.into_values().collect(),
            call_times,
            restored: tokio::sync::Mutex::default(),
            wakes,
            live,
            received: tokio::sync::Mutex::new(received),
            former: Mutex::default(),
            database: Mutex::default(),
        }))
    }

    /// Keeps the mirror true until it is dropped. One call at a time; nothing is lost when it is dropped and called again.
    pub async fn run(&self) {
        let inner = &*self.0;
        // Before what counts now is written over what the process before has left.
        if let Err(error) = self.restore_calls().await {
            tracing::warn!("the calls of the window before the start are not known: {error}");
        }
        let accounts = inner.accounts.iter().map(|account| account.run(&inner.env));
        tokio::join!(
            join_all(accounts),
            inner.write_live_reads(),
            inner.tick(),
            inner.keep_calls(),
            exchange(&inner.env, &inner.mirrored, &inner.wakes)
        );
    }

    /// Gives the calls that an earlier process made in the running windows back to the quotas, once. [`MirrorSync::run`] does it first; to be called before it
    /// when vendor calls are made before it.
    ///
    /// # Errors
    /// The database cannot be used now; then windows may be used twice.
    pub async fn restore_calls(&self) -> Result<(), StoreError> {
        let mut restored = self.0.restored.lock().await;
        if !*restored {
            for calls in &self.0.call_times {
                calls.restore(&self.0.env).await?;
            }
            *restored = true;
        }
        Ok(())
    }

    /// Writes the calls of the running windows, for the next process. [`MirrorSync::run`] does it each second; to be called once more at the end.
    ///
    /// # Errors
    /// The database cannot be used now.
    pub async fn keep_calls(&self) -> Result<(), StoreError> {
        // What the process before has left must not be lost in between.
        self.restore_calls().await?;
        for calls in &self.0.call_times {
            calls.keep(&self.0.env).await?;
        }
        Ok(())
    }

    /// Returns the progress of a provider; none for an unknown one.
    ///
    /// # Errors
    /// The database cannot be used now.
    pub async fn status(&self, provider: &ProviderName) -> Result<Option<SyncStatus>, StoreError> {
        let known = self.0.env.store.providers().await?;
        let known = known.iter().find(|known| known.provider == *provider);
        let rows = known.map(|known| Rows {
            jobs: known.jobs,
            tasks: known.tasks,
        });
        let Some(of) = self.0.mirrored.get(provider) else {
            let is_known = rows.is_some() || self.0.left_out.contains(provider);
            return Ok(is_known.then(|| SyncStatus {
                last_full_pass_at: known.and_then(|known| known.last_full_pass_at),
                rows: rows.unwrap_or_default(),
                ..SyncStatus::of(provider, SourceState::Off)
            }));
        };
        Ok(Some(SyncStatus {
            rows: rows.unwrap_or_default(),
            ..self.0.progress(of).status
        }))
    }

    /// Begins a full pass over a provider now, or joins the one that runs. Returns false for a provider that is not mirrored, and for one whose account other
    /// gateways may hold: [`MirrorSync::ask_full_pass`] does both.
    #[must_use]
    pub fn request_full_pass(&self, provider: &ProviderName) -> bool {
        let of = self.0.mirrored.get(provider);
        let Some(of) = of.filter(|of| !of.is_shared()) else {
            return false;
        };
        request_full_pass(&mut of.lock(), self.0.env.now());
        if let Some(wake) = self.0.wakes.get(provider) {
            wake.notify_one();
        }
        true
    }

    /// As [`MirrorSync::request_full_pass`], by the gateway that holds the account: it begins the pass within a second or two, and the request is kept in the database
    /// until the pass has been made.
    ///
    /// # Errors
    /// The database cannot be used now.
    pub async fn ask_full_pass(&self, provider: &ProviderName) -> Result<bool, StoreError> {
        match self.0.mirrored.get(provider) {
            Some(of) if of.is_shared() => {
                self.0.env.store.ask_full_pass(provider).await?;
                Ok(true)
            }
            _ => Ok(self.request_full_pass(provider)),
        }
    }

    /// Returns how true the rows of these providers are, in their order. It reads no database.
    #[must_use]
    pub fn sources(&self, providers: &[ProviderName]) -> Vec<SourceStatus> {
        providers.iter().map(|name| self.0.source(name)).collect()
    }

    /// Returns every provider that has rows or will have: those of the configuration, and those that the database has from an earlier one.
    #[must_use]
    pub fn providers(&self) -> Vec<ProviderName> {
        let inner = &*self.0;
        let mut names: Vec<ProviderName> = inner.mirrored.keys().cloned().collect();
        names.extend(inner.left_out.iter().cloned());
        names.extend(lock(&inner.former).iter().cloned());
        names.sort_unstable();
        names.dedup();
        names
    }

    /// Hands over what a live read brought; `as_of` is when its earliest call was sent. It is written soon, unless a later call has brought the same rows.
    pub fn write_through(&self, provider: &ProviderName, as_of: Moment, read: LiveRead) {
        if !self.0.mirrored.contains_key(provider) {
            return;
        }
        // A full queue means that the database is slow or away; the next look brings the same.
        let _ = self.0.live.try_send(Written {
            provider: provider.clone(),
            sent_at: as_of.wall,
            read,
        });
    }
}

impl Inner {
    fn source(&self, provider: &ProviderName) -> SourceStatus {
        let Some(of) = self.mirrored.get(provider) else {
            return SourceStatus {
                provider: provider.clone(),
                state: SourceState::Off,
                as_of: None,
                lag_s: None,
                problem: None,
            };
        };
        let progress = self.progress(of);
        SourceStatus {
            provider: provider.clone(),
            state: progress.status.state,
            as_of: progress.as_of,
            lag_s: progress.status.lag_s,
            problem: progress.status.problem,
        }
    }

    fn progress(&self, of: &MirroredState) -> Progress {
        let database = lock(&self.database).as_ref().map(ToString::to_string);
        progress(&self.env, of, database)
    }

    /// Writes what live reads brought.
    async fn write_live_reads(&self) {
        let mut received = self.received.lock().await;
        while let Some(written) = received.recv().await {
            let Some(of) = self.mirrored.get(&written.provider) else {
                continue;
            };
            if let Err(error) = self.write_live(of, written.sent_at, written.read).await {
                tracing::debug!(provider.name = %of.name(), "a live read was not written through: {error}");
            }
        }
    }

    async fn write_live(
        &self,
        of: &MirroredState,
        sent_at: OffsetDateTime,
        read: LiveRead,
    ) -> Result<(), StoreError> {
        let env = &self.env;
        let (provider, vendor) = (of.name().clone(), of.vendor());
        match read {
            LiveRead::Jobs(jobs) => {
                for full in [true, false] {
                    let jobs: Vec<&Job> = jobs
                        .iter()
                        .filter(|job| (job.detail == Detail::Full) == full)
                        .collect();
                    if jobs.is_empty() {
                        continue;
                    }
                    let rows = jobs
                        .iter()
                        .map(|job| job_record(&*env.render, (*job).clone()));
                    let page = JobPage {
                        provider: provider.clone(),
                        vendor,
                        sent_at,
                        full,
                        rows: rows.collect(),
                        pass: None,
                    };
                    env.write(WriteKind::Jobs, env.store.write_jobs(&page))
                        .await?;
                    // A detail may tell what a row leaves out; only rows of lists are compared with rows of lists.
                    let mut state = of.lock();
                    let in_rows = counts_in_rows(of);
                    for job in jobs {
                        let is_known = state.jobs.contains_key(&job.id);
                        if state.loaded && (!is_known || !full) {
                            state.saw_job(job, sent_at, env.now(), in_rows);
                        }
                    }
                }
                if let Some(wake) = self.wakes.get(&provider) {
                    wake.notify_one();
                }
            }
            LiveRead::Stats(job, stats) => {
                let counts = env.store.write_counts(&provider, &job, sent_at, &stats);
                env.write(WriteKind::Counts, counts).await?;
            }
            LiveRead::Tasks(job_id, tasks) => {
                let rows = tasks
                    .into_iter()
                    .map(|task| task_record(&*env.render, task));
                let page = TaskPage {
                    provider,
                    vendor,
                    job_id,
                    sent_at,
                    rows: rows.collect(),
                    pass: None,
                };
                env.write(WriteKind::Tasks, env.store.write_tasks(&page))
                    .await?;
            }
        }
        Ok(())
    }

    async fn keep_calls(&self) {
        loop {
            for calls in &self.call_times {
                if let Err(error) = calls.keep(&self.env).await {
                    tracing::debug!("the calls of the running window were not written: {error}");
                }
            }
            let until = after(self.env.clock.monotonic(), KEEP_CALLS_EVERY);
            self.env.clock.sleep_until(until).await;
        }
    }

    /// What is done by time alone: the log of a first pass, the database's health, rows that are too old.
    async fn tick(&self) {
        let mut forget_at: Option<OffsetDateTime> = None;
        loop {
            let now = self.env.now();
            let known = self.env.patiently(self.env.store.providers()).await;
            let failure = known.as_ref().err().cloned();
            let failure = failure.or_else(|| self.env.write_failure());
            self.env.observer.database(failure.is_none());
            *lock(&self.database) = failure;
            let is_known = known.is_ok();
            if let Ok(known) = known {
                let former = known.into_iter().filter(|known| {
                    let name = &known.provider;
                    let is_old = self
                        .keep_since(now)
                        .is_some_and(|since| known.progress_at.is_some_and(|at| at < since));
                    // Of an old one without rows nothing is left to show.
                    !self.mirrored.contains_key(name)
                        && !self.left_out.contains(name)
                        && (known.jobs > 0 || !is_old)
                });
                *lock(&self.former) = former.map(|known| known.provider).collect();
            }
            for of in self.mirrored.values() {
                self.report(of, now);
            }
            if is_known && forget_at.is_none_or(|at| at <= now) {
                forget_at = Some(later(now, FORGET_EVERY));
                self.forget(now).await;
            }
            let until = after(self.env.clock.monotonic(), TICK);
            self.env.clock.sleep_until(until).await;
        }
    }

    /// Returns the time since which rows are kept.
    fn keep_since(&self, now: OffsetDateTime) -> Option<OffsetDateTime> {
        let keep = time::Duration::try_from(self.env.settings.keep).ok();
        keep.and_then(|keep| now.checked_sub(keep))
    }

    async fn forget(&self, now: OffsetDateTime) {
        let Some(before) = self.keep_since(now) else {
            return;
        };
        let mirrored: Vec<_> = self.mirrored.keys().cloned().collect();
        let mut jobs = 0;
        // Transactions of their own: what else is to be written comes in between.
        for _ in 0..FORGET_STEPS {
            let forgotten = self.env.store.forget(before, mirrored.clone());
            match self.env.write(WriteKind::Forget, forgotten).await {
                Ok(forgotten) => {
                    jobs += forgotten.jobs;
                    if !forgotten.more {
                        break;
                    }
                }
                Err(error) => {
                    tracing::warn!("old rows of the mirror cannot be removed: {error}");
                    break;
                }
            }
        }
        for _ in 0..FORGET_STEPS {
            let thinned = self.env.store.thin_history();
            if !matches!(self.env.write(WriteKind::Forget, thinned).await, Ok(true)) {
                break;
            }
        }
        if jobs > 0 {
            tracing::info!(jobs, "jobs older than `mirror.keep_days` were removed");
        }
        // Another gateway may have removed some.
        let changed = self
            .mirrored
            .values()
            .filter(|of| jobs > 0 || of.is_shared());
        changed.for_each(|of| of.lock().loaded = false);
    }

    fn report(&self, of: &MirroredState, now: OffsetDateTime) {
        let source = self.source(of.name());
        let lag = lag(&self.env, of);
        let mut state = of.lock();
        let observer = &self.env.observer;
        observer.lag(of.name(), lag);
        observer.state(of.name(), source.state, state.is_stuck(now));
        let due = state.logged_at.is_none_or(|at| later(at, LOG_EVERY) <= now);
        if state.first_pass_at.is_none() && state.full.active && due {
            state.logged_at = Some(now);
            let full = &state.full;
            tracing::info!(
                provider.name = %of.name(), jobs = full.jobs_seen, tasks = full.tasks_seen, tasks_total = state.tasks_total(),
                calls = full.calls, eta_s = state.eta_s(now),
                "the first pass over `{}` goes on", of.name()
            );
        }
    }
}
