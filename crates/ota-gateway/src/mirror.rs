//! The mirror: its database, what keeps it true, and how far the mirror of each provider is.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use ota_api::fleet::{MirrorRows, Source, SourceState, SyncPhase, SyncProgress};
use ota_api::own_timestamp;
use ota_api::problem::{Code, Failure};
use ota_cluster::{Cluster, Keeper, Standing};
use ota_core::BoxFuture;
use ota_core::clock::{Clock, after};
use ota_core::context::Moment;
use ota_core::id::ProviderName;
use ota_core::job::Job;
use ota_core::task::Task;
use ota_http::Secret;
use ota_store::{OpenError, OpenSettings, Store, StoreError, answered_by};
use ota_sync::{
    LiveRead, MirrorSync, MirroredProvider, Observer as _, Render, SyncSettings, SyncStatus,
};
use time::OffsetDateTime;

use crate::config::MirrorConfig;
use crate::field_watch::FieldWatch;
use crate::sync_metrics::MirrorMetrics;

/// The mirror of all providers. Clones share it.
#[derive(Clone, Debug)]
pub struct Mirror(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    /// None where the mirror is switched off.
    settings: Option<Settings>,
    providers: Vec<MirroredProvider>,
    clock: Arc<dyn Clock>,
    metrics: MirrorMetrics,
    opened: OnceLock<Opened>,
    /// The leases of the accounts, where other gateways can use the same database; and what keeps them.
    cluster: Option<Cluster>,
    keeper: Mutex<Option<Keeper>>,
    /// One opens the database at a time.
    opening: tokio::sync::Mutex<()>,
    /// What was last logged about the database.
    logged: Mutex<Option<String>>,
}

/// How the mirror is kept, where there is one.
#[derive(Debug)]
struct Settings {
    url: Secret,
    sync: SyncSettings,
}

/// The mirror once its database is open.
#[derive(Debug)]
struct Opened {
    store: Store,
    sync: MirrorSync,
}

/// How far the mirror of one provider is.
#[derive(Clone, Debug)]
pub struct SourceView {
    /// The provider.
    pub provider: ProviderName,
    /// As the API shows it.
    pub source: Source,
    /// The time as of which all that is shown was true; none until something has been read.
    pub as_of: Option<OffsetDateTime>,
}

/// What a client reads while the database cannot be used.
const AWAY: &str = "the database of the mirror cannot be used at the moment; what one provider is asked for is still answered";

/// What a client reads where there is no mirror.
const SWITCHED_OFF: &str =
    "the mirror is switched off in this gateway's configuration; ask each provider";

/// How long the start waits for the leases.
const FIRST_LEASES: Duration = Duration::from_secs(3);

/// How long the end waits for the last transaction.
const LAST_WRITE: Duration = Duration::from_secs(5);

/// How often the rows are counted for the metrics.
const COUNT_EVERY: Duration = Duration::from_secs(10);

/// The first and the longest pause between two attempts to open a database that is away.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(15);

impl Mirror {
    /// Creates the mirror of these providers. Its database is opened by [`Mirror::open`].
    pub(crate) fn new(
        config: &MirrorConfig,
        providers: Vec<MirroredProvider>,
        clock: Arc<dyn Clock>,
        metrics: MirrorMetrics,
        cluster: Option<Cluster>,
    ) -> Self {
        let settings = config.enabled.then(|| Settings {
            url: config.database_url.clone(),
            sync: SyncSettings {
                max_lag: config.max_lag,
                full_pass: config.full_pass,
                keep: config.keep,
            },
        });
        Self(Arc::new(Inner {
            settings,
            providers,
            clock,
            metrics,
            opened: OnceLock::new(),
            cluster,
            keeper: Mutex::default(),
            opening: tokio::sync::Mutex::default(),
            logged: Mutex::default(),
        }))
    }

    /// Opens the database for this process alone, unless it is open or the mirror is switched off.
    ///
    /// # Errors
    /// [`OpenError::Refused`] when a restart does not help; [`OpenError::Away`] when its server may come back.
    pub async fn open(&self) -> Result<(), OpenError> {
        let Some(settings) = &self.0.settings else {
            return Ok(());
        };
        let _alone = self.0.opening.lock().await;
        if self.0.opened.get().is_some() {
            return Ok(());
        }
        let opening = open_settings(&settings.url, true);
        let mut store = Store::open(&opening).await?;
        if let Some(cluster) = &self.0.cluster {
            store = store.with_fencing(Arc::new(cluster.clone()));
            let keeper = Keeper::start(cluster.clone(), &opening).map_err(|error| {
                OpenError::Refused(format!("no thread for the leases: {error}"))
            })?;
            *self.0.keeper.lock().unwrap_or_else(PoisonError::into_inner) = Some(keeper);
            // What nobody holds is then held before the first request comes. A database that hangs does not delay the start.
            let _known = tokio::time::timeout(FIRST_LEASES, cluster.first_turn()).await;
            cluster.reached();
        }
        let sync = MirrorSync::new(
            store.clone(),
            self.0.providers.clone(),
            settings.sync,
            Arc::clone(&self.0.clock),
            Arc::new(ApiDocuments),
            Arc::new(FieldWatch::new(
                self.0.metrics.clone(),
                self.0.providers.clone(),
            )),
        );
        // Before the first request: its calls would be written over what the process before has left.
        if let Err(error) = sync.restore_calls().await {
            tracing::warn!("the calls of the window before the start are not known: {error}");
        }
        // Only one opens at a time, so it is still empty.
        let _first = self.0.opened.set(Opened { store, sync });
        Ok(())
    }

    /// Waits for an answer of the database, until this time: a server that is cut off may be silent for long.
    ///
    /// # Errors
    /// That of the question, or that there was no answer in time.
    pub(crate) async fn within<T>(
        &self,
        until: Instant,
        answer: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        answered_by(&*self.0.clock, until, answer).await
    }

    /// Keeps the calls of the running windows for the next process, and gives the accounts back to the other gateways. The last vendor call has to have been made.
    pub(crate) async fn close(&self) {
        if let Some(opened) = self.0.opened.get() {
            let until = after(self.0.clock.monotonic(), LAST_WRITE);
            let kept = self.within(until, opened.sync.keep_calls()).await;
            if let Err(error) = kept {
                tracing::warn!("the calls of the running windows were not kept: {error}");
            }
        }
        let keeper = self
            .0
            .keeper
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(keeper) = keeper {
            keeper.stop().await;
        }
    }

    /// Returns whether this gateway may call the vendor of a provider, or else where the one that may is reached. Asks no database.
    pub(crate) fn standing(&self, provider: &ProviderName) -> Standing {
        match &self.0.cluster {
            Some(cluster) => cluster.standing(provider),
            None => Standing::Holder,
        }
    }

    fn opened(&self) -> Result<&Opened, Failure> {
        self.0.opened.get().ok_or_else(|| {
            let detail = match self.0.settings {
                Some(_) => AWAY,
                None => SWITCHED_OFF,
            };
            Failure::new(Code::MirrorUnavailable, detail)
        })
    }

    /// Returns the database.
    ///
    /// # Errors
    /// `mirror_unavailable` when the mirror is switched off, or the database is not open yet.
    pub(crate) fn store(&self) -> Result<&Store, Failure> {
        self.opened().map(|opened| &opened.store)
    }

    /// Returns the failure that an error of the database is to a request. The cause is logged when it changes.
    pub(crate) fn failure(&self, error: &StoreError) -> Failure {
        self.log(&error.to_string());
        Failure::new(Code::MirrorUnavailable, AWAY)
    }

    fn log(&self, text: &str) {
        let mut logged = self.0.logged.lock().unwrap_or_else(PoisonError::into_inner);
        if logged.as_deref() != Some(text) {
            tracing::warn!("the mirror's database cannot be used: {text}");
            *logged = Some(text.to_owned());
        }
    }

    /// Records that the database answers, so that its next failure is logged again.
    pub(crate) fn answers(&self) {
        let mut logged = self.0.logged.lock().unwrap_or_else(PoisonError::into_inner);
        if logged.take().is_some() {
            tracing::info!("the mirror's database can be used again");
        }
    }

    /// Returns how far the mirror of every provider is, also of those that are no longer configured, by name. Asks no database.
    ///
    /// # Errors
    /// `mirror_unavailable` while the database is not open.
    pub(crate) fn sources(&self) -> Result<Vec<SourceView>, Failure> {
        if self.0.settings.is_none() {
            return Ok(self
                .names()
                .map(|name| off(name, SourceState::Off))
                .collect());
        }
        let sync = &self.opened()?.sync;
        let sources = sync.sources(&sync.providers()).into_iter();
        Ok(sources
            .map(|status| SourceView {
                source: Source {
                    provider: status.provider.to_string(),
                    state: state(status.state).to_string(),
                    as_of: status.as_of.and_then(own_timestamp),
                    lag_s: status.lag_s,
                    problem: status.problem,
                },
                provider: status.provider,
                as_of: status.as_of,
            })
            .collect())
    }

    /// Returns how far the mirror of a configured provider is.
    pub(crate) fn source(&self, provider: &ProviderName) -> Source {
        let sources = self.sources().unwrap_or_default().into_iter();
        let mut sources = sources.filter(|view| view.provider == *provider);
        let away = || off(provider, SourceState::Unavailable);
        sources.next().unwrap_or_else(away).source
    }

    fn names(&self) -> impl Iterator<Item = &ProviderName> {
        let providers = self.0.providers.iter();
        providers.map(|provider| provider.provider.provider().name())
    }

    /// Returns the progress of a provider's mirror.
    ///
    /// # Errors
    /// `mirror_unavailable`.
    pub(crate) async fn progress(
        &self,
        provider: &ProviderName,
        until: Instant,
    ) -> Result<SyncProgress, Failure> {
        let switched_off = || SyncProgress {
            state: SourceState::Off.to_string(),
            ..SyncProgress::default()
        };
        if self.0.settings.is_none() {
            return Ok(switched_off());
        }
        let status = self.opened()?.sync.status(provider);
        let status = self.within(until, status).await;
        let status = status.map_err(|error| self.failure(&error))?;
        Ok(status.map_or_else(switched_off, progress))
    }

    /// Begins a pass over all jobs of a provider, or joins the one that is running.
    ///
    /// # Errors
    /// `conflict` for a provider that is left out; `mirror_unavailable`.
    pub(crate) async fn start_full_pass(
        &self,
        provider: &ProviderName,
        until: Instant,
    ) -> Result<(), Failure> {
        let is_on = match self.0.settings {
            Some(_) => {
                let asked = self.opened()?.sync.ask_full_pass(provider);
                self.within(until, asked).await
            }
            None => Ok(false),
        };
        match is_on.map_err(|error| self.failure(&error))? {
            true => Ok(()),
            false => Err(Failure::new(
                Code::Conflict,
                "this provider is left out of the mirror; see `mirror` in the gateway's configuration",
            )),
        }
    }

    /// Takes over what a live read brought. `as_of` is when its earliest call was sent.
    pub(crate) fn write_through(
        &self,
        provider: &ProviderName,
        as_of: Moment,
        read: impl FnOnce() -> LiveRead,
    ) {
        if let Some(opened) = self.0.opened.get() {
            opened.sync.write_through(provider, as_of, read());
        }
    }

    /// Returns what must run beside the requests: the database is opened when its server comes back, and the mirror is kept true.
    pub(crate) fn background(&self) -> Vec<BoxFuture<'static, ()>> {
        if self.0.settings.is_none() {
            return Vec::new();
        }
        let mirror = self.clone();
        vec![Box::pin(async move { mirror.run().await })]
    }

    async fn run(&self) {
        let mut pause = FIRST_PAUSE;
        loop {
            match self.open().await {
                Ok(()) => break,
                Err(error) => {
                    self.0.metrics.database(false);
                    self.log(&error.to_string());
                }
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
        self.answers();
        if let Some(opened) = self.0.opened.get() {
            tokio::join!(opened.sync.run(), self.count_rows(&opened.store));
        }
    }

    /// Shows in the metrics how many rows there are.
    async fn count_rows(&self, store: &Store) {
        loop {
            // One that is away is tried again; whoever asks it a question logs why.
            for provider in store.providers().await.unwrap_or_default() {
                let (jobs, tasks) = (provider.jobs, provider.tasks);
                self.0.metrics.holds(&provider.provider, jobs, tasks);
            }
            tokio::time::sleep(COUNT_EVERY).await;
        }
    }
}

/// Returns how the database of this URL is opened: for this process alone, or only looked at.
pub(crate) fn open_settings(url: &Secret, alone: bool) -> OpenSettings {
    OpenSettings {
        url: url.expose_secret().to_owned(),
        exclusive: alone,
        create: alone,
    }
}

/// A provider of whose mirror nothing is known but its state.
fn off(provider: &ProviderName, state: SourceState) -> SourceView {
    SourceView {
        source: Source {
            provider: provider.to_string(),
            state: state.to_string(),
            as_of: None,
            lag_s: None,
            problem: (state == SourceState::Unavailable).then(|| AWAY.to_owned()),
        },
        provider: provider.clone(),
        as_of: None,
    }
}

fn state(state: ota_sync::SourceState) -> SourceState {
    match state {
        ota_sync::SourceState::Current => SourceState::Current,
        ota_sync::SourceState::Syncing => SourceState::Syncing,
        ota_sync::SourceState::Behind => SourceState::Behind,
        ota_sync::SourceState::Unavailable => SourceState::Unavailable,
        ota_sync::SourceState::Off => SourceState::Off,
    }
}

fn progress(status: SyncStatus) -> SyncProgress {
    // Of one that is not read there is no pass.
    let is_read = status.phase.is_some();
    SyncProgress {
        state: state(status.state).to_string(),
        phase: status.phase.map(|phase| {
            let phase = match phase {
                ota_sync::Phase::Jobs => SyncPhase::Jobs,
                ota_sync::Phase::Tasks => SyncPhase::Tasks,
                ota_sync::Phase::Idle => SyncPhase::Idle,
            };
            phase.to_string()
        }),
        started_at: status.started_at.and_then(own_timestamp),
        jobs_seen: is_read.then_some(status.jobs_seen),
        tasks_seen: is_read.then_some(status.tasks_seen),
        tasks_total: status.tasks_total,
        calls: is_read.then_some(status.calls),
        eta_s: status.eta_s,
        last_full_pass_at: status.last_full_pass_at.and_then(own_timestamp),
        lag_s: status.lag_s,
        rows: MirrorRows {
            jobs: status.rows.jobs,
            tasks: status.rows.tasks,
        },
        problem: status.problem,
    }
}

/// Renders rows as the API answers them.
#[derive(Debug)]
struct ApiDocuments;

impl Render for ApiDocuments {
    fn job(&self, job: Job) -> String {
        // The outcome stands beside the document: the counts may prove it later.
        let job = Job {
            outcome: None,
            ..job
        };
        serde_json::to_string(&ota_api::job::Job::from(job)).unwrap_or_default()
    }

    fn task(&self, task: Task) -> String {
        serde_json::to_string(&ota_api::task::Task::from(task)).unwrap_or_default()
    }
}
