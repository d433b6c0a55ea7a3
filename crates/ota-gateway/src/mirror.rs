//! The mirror: its database, and how far the mirror of each provider is.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use ota_api::fleet::{MirrorRows, Source, SourceState, SyncPhase, SyncProgress};
use ota_api::own_timestamp;
use ota_api::problem::{Code, Failure};
use ota_core::BoxFuture;
use ota_core::id::ProviderName;
use ota_http::Secret;
use ota_store::fleet::ProviderState;
use ota_store::{OpenError, OpenSettings, Store, StoreError};
use time::OffsetDateTime;

use crate::config::MirrorConfig;
use crate::providers::Mirrored;

/// The mirror of all providers. Clones share it.
#[derive(Clone, Debug)]
pub struct Mirror(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    settings: Option<Settings>,
    providers: BTreeMap<ProviderName, Mirrored>,
    store: OnceLock<Store>,
    /// What was last logged about the database.
    logged: Mutex<Option<String>>,
}

/// How the mirror is kept, where there is one.
#[derive(Debug)]
struct Settings {
    url: Secret,
    max_lag: Duration,
    full_pass: Duration,
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
    /// What the database knows of it.
    state: Option<ProviderState>,
}

impl Mirror {
    /// Creates the mirror of these providers. Its database is opened by [`Mirror::open`].
    #[must_use]
    pub fn new(config: &MirrorConfig, providers: Vec<Mirrored>) -> Self {
        let settings = config.enabled.then(|| Settings {
            url: config.database_url.clone(),
            max_lag: config.max_lag,
            full_pass: config.full_pass,
        });
        let providers = providers.into_iter().map(|one| (one.name.clone(), one));
        Self(Arc::new(Inner {
            settings,
            providers: providers.collect(),
            store: OnceLock::new(),
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
        if self.0.store.get().is_some() {
            return Ok(());
        }
        let settings = OpenSettings {
            url: settings.url.expose_secret().to_owned(),
            exclusive: true,
            create: true,
        };
        let store = Store::open(&settings).await?;
        // Another call may have opened it meanwhile; then this one is closed again.
        let _first = self.0.store.set(store);
        Ok(())
    }

    /// Returns the database.
    ///
    /// # Errors
    /// `mirror_unavailable` when the mirror is switched off, or the database is not open yet.
    pub(crate) fn store(&self) -> Result<&Store, Failure> {
        self.0.store.get().ok_or_else(|| {
            Failure::new(
                Code::MirrorUnavailable,
                match self.0.settings {
                    Some(_) => AWAY,
                    None => "the mirror is switched off in this gateway's configuration; ask each provider",
                },
            )
        })
    }

    /// Returns the failure that an error of the database is to a request. The cause is logged when it changes.
    pub(crate) fn failure(&self, error: &StoreError) -> Failure {
        let text = error.to_string();
        let mut logged = self.0.logged.lock().unwrap_or_else(PoisonError::into_inner);
        if logged.as_deref() != Some(text.as_str()) {
            tracing::warn!("the mirror's database cannot be used: {text}");
            *logged = Some(text);
        }
        Failure::new(Code::MirrorUnavailable, AWAY)
    }

    /// Returns whether a provider is mirrored.
    pub(crate) fn is_mirrored(&self, provider: &ProviderName) -> bool {
        let configured = self.0.providers.get(provider);
        self.0.settings.is_some() && configured.is_some_and(|provider| provider.enabled)
    }

    /// Begins a pass over all jobs of a provider, or joins the one that is running.
    ///
    /// # Errors
    /// `conflict` for a provider that is left out.
    pub(crate) fn start_full_pass(&self, provider: &str) -> Result<(), Failure> {
        let provider = ProviderName::from(provider);
        match self.is_mirrored(&provider) {
            true => Ok(()),
            false => Err(Failure::new(
                Code::Conflict,
                "this provider is left out of the mirror; see `mirror` in the gateway's configuration",
            )),
        }
    }

    /// Says how far the mirror of every provider is, also of those that are no longer configured, by name.
    ///
    /// # Errors
    /// `mirror_unavailable`.
    pub(crate) async fn sources(&self, now: OffsetDateTime) -> Result<Vec<SourceView>, Failure> {
        let states = self.store()?.providers().await;
        let states = states.map_err(|error| self.failure(&error))?;
        let mut all: BTreeMap<ProviderName, Option<ProviderState>> = BTreeMap::new();
        for name in self.0.providers.keys() {
            all.insert(name.clone(), None);
        }
        for state in states {
            all.insert(state.provider.clone(), Some(state));
        }
        let views = all.into_iter();
        Ok(views
            .map(|(provider, state)| self.view(provider, state, now))
            .collect())
    }

    fn view(
        &self,
        provider: ProviderName,
        state: Option<ProviderState>,
        now: OffsetDateTime,
    ) -> SourceView {
        let as_of = state.as_ref().and_then(|state| state.as_of);
        let age = as_of.map(|as_of| (now - as_of).whole_seconds().max(0).unsigned_abs());
        let problem = state.as_ref().and_then(|state| state.problem.as_ref());
        let shown = match &state {
            _ if !self.is_mirrored(&provider) => SourceState::Off,
            _ if problem.is_some() => SourceState::Unavailable,
            Some(state) if state.first_pass_at.is_some() => match self.0.settings.as_ref() {
                Some(settings) if age > Some((settings.max_lag + settings.full_pass).as_secs()) => {
                    SourceState::Behind
                }
                _ => SourceState::Current,
            },
            _ => SourceState::Syncing,
        };
        SourceView {
            source: Source {
                provider: provider.to_string(),
                state: shown.to_string(),
                as_of: as_of.and_then(own_timestamp),
                lag_s: age,
                problem: problem.map(|(text, _)| text.clone()),
            },
            provider,
            as_of,
            state,
        }
    }

    /// Returns the progress of a provider's mirror.
    pub(crate) fn progress(view: &SourceView) -> SyncProgress {
        let state = view.state.as_ref();
        SyncProgress {
            state: view.source.state.clone(),
            phase: (view.source.state != SourceState::Off.as_str())
                .then(|| SyncPhase::Idle.to_string()),
            last_full_pass_at: state
                .and_then(|state| state.last_full_pass_at)
                .and_then(own_timestamp),
            lag_s: view.source.lag_s,
            rows: state.map_or(MirrorRows::default(), |state| MirrorRows {
                jobs: state.jobs,
                tasks: state.tasks,
            }),
            problem: view.source.problem.clone(),
            ..SyncProgress::default()
        }
    }

    /// Returns what must run beside the requests.
    pub(crate) fn background(&self) -> Vec<BoxFuture<'static, ()>> {
        Vec::new()
    }
}

/// What a client is told while the database cannot be used.
const AWAY: &str = "the database of the mirror cannot be used at the moment; what one provider is asked for is still answered";
