//! What is counted of the mirror.

use std::time::Duration;

use ota_core::id::ProviderName;
use ota_sync::{Observer, PassKind, Reason, SourceState, WriteKind};

use crate::instrument::{self, NO_LABELS, instruments};

instruments! {
    /// How the mirror is kept true, and how its database answers.
    pub(crate) struct MirrorMetrics {
        /// Vendor calls of the mirror, by why they were made. They are also counted in ota_vendor_calls_total.
        calls: Counter "ota_mirror_calls_total" ["provider", "reason" = || Reason::ALL.iter().map(|reason| reason.as_str()).collect()],
        /// Passes that ended: over all jobs of a provider (list) or all tasks of a job (deep). Only a complete one proves what the vendor no longer has.
        passes: Counter "ota_mirror_passes_total" ["provider", "kind" = || PassKind::ALL.iter().map(|kind| kind.as_str()).collect(), "result" = || RESULTS.to_vec()],
        /// Age of the running job that was looked at longest ago, in seconds.
        lag: Gauge "ota_mirror_lag_seconds" ["provider"],
        /// Rows of the mirror, without those that the vendor no longer has.
        rows: Gauge "ota_mirror_rows" ["provider", "kind" = || ROWS.to_vec()],
        /// How true what is shown is: 1 at the present state, 0 at the others. As in `sources` of the API.
        state: Gauge "ota_mirror_state" ["provider", "state" = || SourceState::ALL.iter().map(|state| state.as_str()).collect()],
        /// 1 while work is due and nothing has been written for five minutes.
        stuck: Gauge "ota_mirror_stuck" ["provider"],
        /// 1 while the database can be used; there only where the mirror is switched on.
        available: Gauge "ota_mirror_database_up" [],
        /// Time of the database for one question of the API or one transaction of the mirror, with the wait for earlier ones.
        database: Histogram "ota_mirror_database_seconds" ["kind" = || DATABASE.to_vec(), "operation" = operations],
    }
}

/// How a pass ends.
const RESULTS: [&str; 2] = ["complete", "incomplete"];

/// Kinds of rows.
const ROWS: [&str; 2] = ["jobs", "tasks"];

/// Operations of the API that ask the database.
const QUESTIONS: [&str; 5] = [
    "list_fleet_jobs",
    "list_fleet_tasks",
    "count_jobs",
    "count_tasks",
    "get_job_history",
];

/// What the database is used for: questions of the API, transactions of the mirror.
const DATABASE: [&str; 2] = ["read", "write"];

fn operations() -> Vec<&'static str> {
    let writes = WriteKind::ALL.iter().map(|kind| kind.as_str());
    QUESTIONS.into_iter().chain(writes).collect()
}

impl MirrorMetrics {
    /// Records how long the database took for a question.
    pub(crate) fn asked(&self, operation: &'static str, took: Duration) {
        let [read, _] = DATABASE;
        let time = self.database.with_label_values(&[read, operation]);
        time.observe(took.as_secs_f64());
    }

    /// Records what the mirror of a provider holds.
    pub(crate) fn holds(&self, provider: &ProviderName, jobs: u64, tasks: u64) {
        let [of_jobs, of_tasks] = ROWS;
        instrument::set(&self.rows, &[provider.as_str(), of_jobs], jobs);
        instrument::set(&self.rows, &[provider.as_str(), of_tasks], tasks);
    }
}

impl Observer for MirrorMetrics {
    fn calls(&self, provider: &ProviderName, reason: Reason, calls: u32) {
        let labels = [provider.as_str(), reason.as_str()];
        self.calls.with_label_values(&labels).inc_by(calls.into());
    }

    fn pass_ended(&self, provider: &ProviderName, kind: PassKind, complete: bool) {
        let [whole, part] = RESULTS;
        let result = if complete { whole } else { part };
        let labels = [provider.as_str(), kind.as_str(), result];
        self.passes.with_label_values(&labels).inc();
    }

    fn lag(&self, provider: &ProviderName, lag: Duration) {
        instrument::set(&self.lag, &[provider.as_str()], lag.as_secs());
    }

    fn state(&self, provider: &ProviderName, state: SourceState, stuck: bool) {
        for one in SourceState::ALL {
            let labels = [provider.as_str(), one.as_str()];
            instrument::set(&self.state, &labels, u64::from(*one == state));
        }
        instrument::set(&self.stuck, &[provider.as_str()], u64::from(stuck));
    }

    fn wrote(&self, kind: WriteKind, took: Duration) {
        let [_, write] = DATABASE;
        let time = self.database.with_label_values(&[write, kind.as_str()]);
        time.observe(took.as_secs_f64());
    }

    fn database(&self, available: bool) {
        instrument::set(&self.available, &NO_LABELS, u64::from(available));
    }
}
