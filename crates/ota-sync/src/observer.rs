//! What happens, for metrics.

use std::time::Duration;

use ota_core::id::ProviderName;

use crate::status::SourceState;

/// Why vendor calls were made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// The first pass over a provider: its jobs and their tasks.
    FirstPass,
    /// A later pass over all jobs, or over all tasks of a job.
    FullPass,
    /// A look at a running job.
    RunningJob,
    /// Rows that can have changed since the last look.
    ChangedRows,
    /// What the rows of a list leave out of a job.
    Details,
}

impl Reason {
    /// Every reason.
    pub const ALL: &'static [Self] = &[
        Self::FirstPass,
        Self::FullPass,
        Self::RunningJob,
        Self::ChangedRows,
        Self::Details,
    ];

    /// Returns the label of the metric.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::FirstPass => "first_pass",
            Self::FullPass => "full_pass",
            Self::RunningJob => "running_job",
            Self::ChangedRows => "changed_rows",
            Self::Details => "details",
        }
    }
}

/// What a pass reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PassKind {
    /// All jobs of a provider.
    List,
    /// All tasks of a job.
    Deep,
}

impl PassKind {
    /// Every kind.
    pub const ALL: &'static [Self] = &[Self::List, Self::Deep];

    /// Returns the label of the metric.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::List => "list",
            Self::Deep => "deep",
        }
    }
}

/// What is written to the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum WriteKind {
    /// A page of jobs.
    Jobs,
    /// A page of tasks.
    Tasks,
    /// The counts of a job.
    Counts,
    /// The end of a pass, with the rows that it shows to have vanished.
    EndPass,
    /// The removal of what is older than `mirror.keep_days`.
    Forget,
}

impl WriteKind {
    /// Every kind.
    pub const ALL: &'static [Self] = &[
        Self::Jobs,
        Self::Tasks,
        Self::Counts,
        Self::EndPass,
        Self::Forget,
    ];

    /// Returns the label of the metric.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Jobs => "write_jobs",
            Self::Tasks => "write_tasks",
            Self::Counts => "write_counts",
            Self::EndPass => "end_pass",
            Self::Forget => "forget",
        }
    }
}

/// Receives what happens.
pub trait Observer: Send + Sync + std::fmt::Debug {
    /// Vendor calls were made.
    fn calls(&self, provider: &ProviderName, reason: Reason, calls: u32);

    /// A pass ended; `complete` says whether it proves what the vendor no longer has.
    fn pass_ended(&self, provider: &ProviderName, kind: PassKind, complete: bool);

    /// How old what is shown of the running jobs is.
    fn lag(&self, provider: &ProviderName, lag: Duration);

    /// How true what is shown is. `stuck` says that work is due and nothing has been written for five minutes.
    fn state(&self, provider: &ProviderName, state: SourceState, stuck: bool);

    /// A transaction ended, also one that failed. The time includes the wait for earlier ones.
    fn wrote(&self, kind: WriteKind, took: Duration);

    /// Whether the database can be used.
    fn database(&self, available: bool);
}

/// Receives nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoObserver;

impl Observer for NoObserver {
    fn calls(&self, _: &ProviderName, _: Reason, _: u32) {}

    fn pass_ended(&self, _: &ProviderName, _: PassKind, _: bool) {}

    fn lag(&self, _: &ProviderName, _: Duration) {}

    fn state(&self, _: &ProviderName, _: SourceState, _: bool) {}

    fn wrote(&self, _: WriteKind, _: Duration) {}

    fn database(&self, _: bool) {}
}
