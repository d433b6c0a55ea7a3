//! What is told about the sync.

use ota_core::id::ProviderName;
use time::OffsetDateTime;

/// How true what is shown of a provider is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SourceState {
    /// As true as the settings ask for.
    Current,
    /// The first pass has not ended: rows are missing.
    Syncing,
    /// Older than `max_lag_s` allows.
    Behind,
    /// The vendor fails.
    Unavailable,
    /// Not mirrored, or no longer in the configuration.
    Off,
}

impl SourceState {
    /// Every state.
    pub const ALL: &'static [Self] = &[
        Self::Current,
        Self::Syncing,
        Self::Behind,
        Self::Unavailable,
        Self::Off,
    ];

    /// Returns the word of the API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Current => "current",
            Self::Syncing => "syncing",
            Self::Behind => "behind",
            Self::Unavailable => "unavailable",
            Self::Off => "off",
        }
    }
}

/// What the sync of a provider does at present.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Phase {
    /// It lists jobs.
    Jobs,
    /// It reads the tasks of jobs.
    Tasks,
    /// It waits until something is due.
    Idle,
}

impl Phase {
    /// Every phase.
    pub const ALL: &'static [Self] = &[Self::Jobs, Self::Tasks, Self::Idle];

    /// Returns the word of the API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Jobs => "jobs",
            Self::Tasks => "tasks",
            Self::Idle => "idle",
        }
    }
}

/// One source of a fleet answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceStatus {
    /// The provider.
    pub provider: ProviderName,
    /// How true its rows are.
    pub state: SourceState,
    /// The time as of which all its rows were true; none before the first pass has listed its jobs.
    pub as_of: Option<OffsetDateTime>,
    /// The age of the running job that was looked at longest ago, in seconds; without running jobs, how late the list pass is. None before the first pass has
    /// ended, and for a provider that is `off`.
    pub lag_s: Option<u64>,
    /// What is wrong, fit for a caller of the API.
    pub problem: Option<String>,
}

/// The rows of a provider that have not vanished.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rows {
    /// Jobs.
    pub jobs: u64,
    /// Tasks.
    pub tasks: u64,
}

/// The progress of a provider's sync.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyncStatus {
    /// The provider.
    pub provider: ProviderName,
    /// How true its rows are.
    pub state: SourceState,
    /// What it does at present; none for a provider that is `off`.
    pub phase: Option<Phase>,
    /// When the present full pass, or the last one, began.
    pub started_at: Option<OffsetDateTime>,
    /// Jobs that this pass has seen.
    pub jobs_seen: u64,
    /// Tasks that this pass has seen.
    pub tasks_seen: u64,
    /// Tasks that this pass has to see, as far as counts are known.
    pub tasks_total: Option<u64>,
    /// Vendor calls of this pass.
    pub calls: u64,
    /// Seconds until it ends, as its calls so far suggest; none while that cannot be told, and when it has ended.
    pub eta_s: Option<u64>,
    /// When the last complete list pass began.
    pub last_full_pass_at: Option<OffsetDateTime>,
    /// As [`SourceStatus::lag_s`].
    pub lag_s: Option<u64>,
    /// What the database holds.
    pub rows: Rows,
    /// What is wrong.
    pub problem: Option<String>,
}

impl SyncStatus {
    /// Returns the progress of a sync that has done nothing.
    pub(crate) fn of(provider: &ProviderName, state: SourceState) -> Self {
        Self {
            provider: provider.clone(),
            state,
            phase: None,
            started_at: None,
            jobs_seen: 0,
            tasks_seen: 0,
            tasks_total: None,
            calls: 0,
            eta_s: None,
            last_full_pass_at: None,
            lag_s: None,
            rows: Rows::default(),
            problem: None,
        }
    }
}
