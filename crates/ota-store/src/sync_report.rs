//! What the gateway that holds an account reports of its sync to the others, and what they ask of it.

use std::time::Duration;

use ota_core::id::ProviderName;
use time::OffsetDateTime;

use crate::error::Result;
use crate::lease::{now, since};
use crate::store::Store;
use crate::value::{Row, key, optional_count, optional_millis, params, plain};

/// The progress of a provider's sync as its holder last reported it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyncReport {
    /// How true its rows are, as a word of the sync.
    pub state: String,
    /// What the sync does at present, as a word of the sync.
    pub phase: Option<String>,
    /// The time as of which all rows were true.
    pub as_of: Option<OffsetDateTime>,
    /// How late the sync is, in seconds.
    pub lag_s: Option<u64>,
    /// What is wrong, fit for a caller of the API.
    pub problem: Option<String>,
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
    /// Seconds until it ends, if that can be told.
    pub eta_s: Option<u64>,
    /// When the last complete list pass began.
    pub last_full_pass_at: Option<OffsetDateTime>,
}

/// What the database has of a provider's sync.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SharedSync {
    /// The provider.
    pub provider: ProviderName,
    /// The request for a full pass that is still open. Only its holder ends it.
    pub requested: Option<PassRequest>,
    /// The last report, and how long ago it was written, by the database's clock.
    pub report: Option<(SyncReport, Duration)>,
}

/// A request for a full pass. A later one is not equal to an earlier one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PassRequest(i64);

impl Store {
    /// Asks the gateway that holds the provider's account for a full pass.
    ///
    /// # Errors
    /// The database cannot be used now.
    pub async fn ask_full_pass(&self, provider: &ProviderName) -> Result<()> {
        let name = key(provider.as_str());
        self.write(move |connection| {
            Box::pin(async move {
                let now = now(connection);
                let sql = format!(
                    "INSERT INTO sync_reports (provider, requested_at, reported_at, state, phase, as_of, lag_s, problem, started_at, jobs_seen, tasks_seen, tasks_total, calls, eta_s, last_full_pass_at) \
                     VALUES ($1, {now}, -1, '', '', -1, -1, '', -1, 0, 0, -1, 0, -1, -1) \
                     ON CONFLICT (provider) DO UPDATE SET requested_at = {now}"
                );
                connection.execute(&sql, &params![name]).await.map(|_| ())
            })
        })
        .await
    }

    /// Says that a full pass that was asked for has been made, unless another one has been asked for since.
    ///
    /// # Errors
    /// The database cannot be used now, or this process does not hold the account.
    pub async fn full_pass_made(
        &self,
        provider: &ProviderName,
        requested: PassRequest,
    ) -> Result<()> {
        let name = key(provider.as_str());
        self.write_as_holder(provider, move |connection| {
            Box::pin(async move {
                connection
                    .execute(
                        "UPDATE sync_reports SET requested_at = -1 WHERE provider = $1 AND requested_at = $2",
                        &params![name, requested.0],
                    )
                    .await
                    .map(|_| ())
            })
        })
        .await
    }

    /// Reports the progress of a provider's sync to the other gateways.
    ///
    /// # Errors
    /// The database cannot be used now, or this process does not hold the account.
    pub async fn report_sync(&self, provider: &ProviderName, report: &SyncReport) -> Result<()> {
        let (name, report) = (key(provider.as_str()), report.clone());
        self.write_as_holder(provider, move |connection| {
            Box::pin(async move {
                let now = now(connection);
                let sql = format!(
                    "INSERT INTO sync_reports (provider, requested_at, reported_at, state, phase, as_of, lag_s, problem, started_at, jobs_seen, tasks_seen, tasks_total, calls, eta_s, last_full_pass_at) \
                     VALUES ($1, -1, {now}, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13) \
                     ON CONFLICT (provider) DO UPDATE SET reported_at = {now}, state = $2, phase = $3, as_of = $4, lag_s = $5, problem = $6, \
                     started_at = $7, jobs_seen = $8, tasks_seen = $9, tasks_total = $10, calls = $11, eta_s = $12, last_full_pass_at = $13"
                );
                let values = params![
                    name,
                    plain(&report.state),
                    report.phase.as_deref().map(plain).unwrap_or_default(),
                    optional_millis(report.as_of),
                    optional_count(report.lag_s),
                    report.problem.as_deref().map(plain).unwrap_or_default(),
                    optional_millis(report.started_at),
                    optional_count(Some(report.jobs_seen)),
                    optional_count(Some(report.tasks_seen)),
                    optional_count(report.tasks_total),
                    optional_count(Some(report.calls)),
                    optional_count(report.eta_s),
                    optional_millis(report.last_full_pass_at)
                ];
                connection.execute(&sql, &values).await.map(|_| ())
            })
        })
        .await
    }

    /// Returns what the gateways have told each other about all syncs, by provider.
    ///
    /// # Errors
    /// The database cannot be used now.
    pub async fn shared_syncs(&self) -> Result<Vec<SharedSync>> {
        self.read(|connection| {
            Box::pin(async move {
                let sql = format!(
                    "SELECT provider, requested_at, reported_at, {} - reported_at, state, phase, as_of, lag_s, problem, started_at, jobs_seen, tasks_seen, tasks_total, calls, eta_s, last_full_pass_at \
                     FROM sync_reports ORDER BY provider",
                    now(connection)
                );
                let rows = connection.query(&sql, &[]).await?;
                rows.into_iter().map(shared).collect()
            })
        })
        .await
    }
}

fn shared(mut row: Row) -> Result<SharedSync> {
    let report = SyncReport {
        state: row.take(4),
        phase: row.take_optional(5),
        as_of: row.optional_time(6)?,
        lag_s: row.optional_count(7),
        problem: row.take_optional(8),
        started_at: row.optional_time(9)?,
        jobs_seen: row.count(10),
        tasks_seen: row.count(11),
        tasks_total: row.optional_count(12),
        calls: row.count(13),
        eta_s: row.optional_count(14),
        last_full_pass_at: row.optional_time(15)?,
    };
    let is_there = row.optional_count(2).is_some();
    Ok(SharedSync {
        provider: ProviderName::from(row.text(0)),
        requested: row.optional_count(1).map(|_| PassRequest(row.int(1))),
        report: is_there.then(|| (report, since(row.int(3)))),
    })
}
