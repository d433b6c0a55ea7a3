//! The handle of the database.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use ota_core::id::{JobId, ProviderName};
use time::OffsetDateTime;

use crate::connection::Connection;
use crate::engine::Engine;
use crate::error::{OpenError, Result, StoreError};
use crate::fleet::{
    FleetJob, FleetTask, Groups, HistoryPoint, JobKey, JobQuery, JobSort, Page, ProviderState,
    TaskKey, TaskQuery, TaskSort,
};
use crate::job_states;
pub use crate::job_states::JobState;
use crate::lease::{self, Claim, Fence, Fencing, Granted, Lease, SentCall, Tenure};
use crate::migrate::{migrate, newest};
use crate::pass::{Ended, Forgotten, OpenPass, PassEnd, PassId, PassOf};
use crate::record::{JobPage, TaskPage, Written};
use crate::value::millis;
use crate::{
    fleet_jobs, fleet_tasks, job_groups, pass_end, pass_progress, provider, task_groups, verify,
    write_jobs, write_tasks,
};

/// The database. Clones share it. Dropping a future of any method leaves nothing half done.
#[derive(Clone)]
pub struct Store {
    engine: Arc<Engine>,
    /// None where no other gateway uses the database.
    fencing: Option<Arc<dyn Fencing>>,
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store").finish_non_exhaustive()
    }
}

/// How the database is opened.
#[derive(Clone)]
pub struct OpenSettings {
    /// `sqlite:PATH`, or `postgres://…`. May hold a password: it is never shown.
    pub url: String,
    /// Whether another process may not open it too (a lock file beside the SQLite file).
    pub exclusive: bool,
    /// Whether a missing SQLite file is made and migrations are run.
    pub create: bool,
}

impl std::fmt::Debug for OpenSettings {
    /// Leaves the URL out.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OpenSettings")
            .field("exclusive", &self.exclusive)
            .field("create", &self.create)
            .finish_non_exhaustive()
    }
}

/// The database that was opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct About {
    /// `sqlite 3.54.1`, `postgres 15.18`.
    pub engine: String,
    /// The newest migration.
    pub schema: u32,
    /// Its size.
    pub bytes: u64,
}

impl Store {
    /// Opens the database, and migrates it if `create` says so.
    ///
    /// # Errors
    /// [`OpenError::Refused`] when a restart does not help; [`OpenError::Away`] when the server may come back.
    pub async fn open(settings: &OpenSettings) -> std::result::Result<Self, OpenError> {
        let engine = Engine::open(&settings.url, settings.exclusive, settings.create).await?;
        migrate(&engine, settings.create).await?;
        Ok(Self {
            engine: Arc::new(engine),
            fencing: None,
        })
    }

    /// Makes every transaction that writes rows of a provider prove that this process still holds its account. One that cannot fails with
    /// [`StoreError::Superseded`] and writes nothing.
    #[must_use]
    pub fn with_fencing(mut self, fencing: Arc<dyn Fencing>) -> Self {
        self.fencing = Some(fencing);
        self
    }

    /// Tells what was opened.
    ///
    /// # Errors
    /// The database cannot be used now.
    pub async fn about(&self) -> Result<About> {
        let (version, bytes) = match &*self.engine {
            Engine::Sqlite(sqlite) => (rusqlite::version().to_owned(), Some(sqlite.bytes())),
            Engine::Postgres(_) => (String::new(), None),
        };
        if let Some(bytes) = bytes {
            // Says that it can be read.
            self.read(|connection| Box::pin(async move { provider::all(connection).await }))
                .await?;
            return Ok(About {
                engine: format!("sqlite {version}"),
                schema: newest(),
                bytes,
            });
        }
        let row = self
            .read(|connection| {
                Box::pin(async move {
                    connection
                        .first(
                            "SELECT current_setting('server_version'), CAST(coalesce(sum(pg_total_relation_size(CAST(quote_ident(schemaname) || '.' || quote_ident(tablename) AS regclass))), 0) AS BIGINT) \
                             FROM pg_catalog.pg_tables WHERE schemaname = current_schema()",
                            &[],
                        )
                        .await
                })
            })
            .await?;
        let version = row.as_ref().map(|row| row.text(0)).unwrap_or_default();
        let version = version.split(' ').next().unwrap_or_default();
        Ok(About {
            engine: format!("postgres {version}"),
            schema: newest(),
            bytes: row.as_ref().map(|row| row.count(1)).unwrap_or_default(),
        })
    }

    /// Writes a page of jobs in one transaction: rows, counters, history and the progress of its pass.
    ///
    /// # Errors
    /// The database cannot be used now.
    pub async fn write_jobs(&self, page: &JobPage) -> Result<Written> {
        let page = page.clone();
        self.write_as_holder(&page.provider.clone(), move |connection| {
            Box::pin(async move { write_jobs::write(connection, &page).await })
        })
        .await
    }

    /// Writes a page of tasks in one transaction.
    ///
    /// # Errors
    /// The database cannot be used now.
    pub async fn write_tasks(&self, page: &TaskPage) -> Result<Written> {
        let page = page.clone();
        self.write_as_holder(&page.provider.clone(), move |connection| {
            Box::pin(async move { write_tasks::write(connection, &page).await })
        })
        .await
    }

    /// Writes counts of a job that the vendor told, if no later call brought other ones.
    ///
    /// # Errors
    /// The database cannot be used now.
    pub async fn write_counts(
        &self,
        provider: &ProviderName,
        job: &JobId,
        sent_at: OffsetDateTime,
        counts: &ota_core::job::JobStats,
    ) -> Result<()> {
        let (provider, job, counts) = (provider.clone(), job.clone(), counts.clone());
        let sent = millis(sent_at);
        self.write_as_holder(&provider.clone(), move |connection| {
            Box::pin(async move {
                write_jobs::write_counts(connection, &provider, &job, sent, &counts).await
            })
        })
        .await
    }

    /// Notes that the vendor said it does not know a job, by a look at it alone; two such looks make it vanish as two passes do.
    ///
    /// # Errors
    /// The database cannot be used now.
    pub async fn missing_job(
        &self,
        provider: &ProviderName,
        job: &JobId,
        at: OffsetDateTime,
    ) -> Result<()> {
        let (provider, job, at) = (provider.clone(), job.clone(), millis(at));
        self.write_as_holder(&provider.clone(), move |connection| {
            Box::pin(async move { pass_end::missing_job(connection, &provider, &job, at).await })
        })
        .await
    }

    /// Begins a pass, or returns the one that is open.
    ///
    /// # Errors
    /// The database cannot be used now.
    pub async fn begin_pass(&self, of: &PassOf, at: OffsetDateTime) -> Result<OpenPass> {
        let of = of.clone();
        self.write_as_holder(&of.provider().clone(), move |connection| {
            Box::pin(async move { pass_progress::begin(connection, of, at).await })
        })
        .await
    }

    /// Returns the passes of a provider that are open.
    ///
    /// # Errors
    /// The database cannot be used now.
    pub async fn open_passes(&self, provider: &ProviderName) -> Result<Vec<OpenPass>> {
        let provider = provider.clone();
        self.read(move |connection| {
            Box::pin(async move { pass_progress::open(connection, &provider).await })
        })
        .await
    }

    /// Ends a pass.
    ///
    /// # Errors
    /// The database cannot be used now.
    pub async fn end_pass(&self, pass: PassId, end: &PassEnd, at: OffsetDateTime) -> Result<Ended> {
        let (end, at) = (end.clone(), millis(at));
        let fencing = self.fencing.clone();
        self.write(move |connection| {
            Box::pin(async move {
                let provider = match &fencing {
                    Some(_) => lease::provider_of(connection, pass).await?,
                    None => None,
                };
                let fence = provider.and_then(|provider| Some(fencing?.fence(&provider)));
                let tenure = held(fence)?;
                let ended = pass_end::end(connection, pass, &end, at).await?;
                prove(connection, tenure).await?;
                Ok(ended)
            })
        })
        .await
    }

    /// Returns the jobs of a provider that are not vanished, for the schedule, by `due_at`, those without first.
    ///
    /// # Errors
    /// The database cannot be used now.
    pub async fn job_states(&self, provider: &ProviderName, limit: u32) -> Result<Vec<JobState>> {
        let provider = provider.clone();
        self.read(move |connection| {
            Box::pin(async move { job_states::all(connection, &provider, limit).await })
        })
        .await
    }

    /// Returns one job.
    ///
    /// # Errors
    /// The database cannot be used now.
    pub async fn job_state(
        &self,
        provider: &ProviderName,
        job: &JobId,
    ) -> Result<Option<JobState>> {
        let (provider, job) = (provider.clone(), job.clone());
        self.read(move |connection| {
            Box::pin(async move { job_states::one(connection, &provider, &job).await })
        })
        .await
    }

    /// Says when jobs are to be looked at next.
    ///
    /// # Errors
    /// The database cannot be used now.
    pub async fn set_due(
        &self,
        provider: &ProviderName,
        due: &[(JobId, OffsetDateTime)],
    ) -> Result<()> {
        let provider = provider.clone();
        let due = due
            .iter()
            .map(|(job, at)| (job.clone(), millis(*at)))
            .collect();
        self.write_as_holder(&provider.clone(), move |connection| {
            Box::pin(async move { job_states::set_due(connection, &provider, due).await })
        })
        .await
    }

    /// Returns ids and device names of a job's tasks in one of these statuses, and in `stage` if it is given, at most `limit`, those that changed longest ago first.
    ///
    /// # Errors
    /// The database cannot be used now.
    pub async fn tasks_in(
        &self,
        provider: &ProviderName,
        job: &JobId,
        status: &[ota_core::task::TaskStatus],
        stage: Option<ota_core::task::TaskStage>,
        limit: u32,
    ) -> Result<Vec<(String, Option<String>)>> {
        let (provider, job, status) = (provider.clone(), job.clone(), status.to_vec());
        self.read(move |connection| {
            Box::pin(async move {
                job_states::tasks_in(connection, &provider, &job, status, stage, limit).await
            })
        })
        .await
    }

    /// Makes the provider known, or known again.
    ///
    /// # Errors
    /// The database cannot be used now.
    pub async fn see_provider(
        &self,
        provider: &ProviderName,
        vendor: &str,
        at: OffsetDateTime,
    ) -> Result<()> {
        let (provider, vendor, at) = (provider.clone(), vendor.to_owned(), millis(at));
        self.write_as_holder(&provider.clone(), move |connection| {
            Box::pin(async move { provider::see(connection, &provider, &vendor, at).await })
        })
        .await
    }

    /// Notes by which settings the rows of a known provider are made, in a text of the caller's; empty for none. Returns true when they have changed: then
    /// [`JobState::read_again`] is set for all its jobs, and its open passes are gone.
    ///
    /// # Errors
    /// The database cannot be used now.
    pub async fn set_mapping(&self, provider: &ProviderName, mapping: &str) -> Result<bool> {
        let (provider, mapping) = (provider.clone(), mapping.to_owned());
        self.write_as_holder(&provider.clone(), move |connection| {
            Box::pin(async move { provider::set_mapping(connection, &provider, &mapping).await })
        })
        .await
    }

    /// Says that the first pass over jobs and tasks has ended.
    ///
    /// # Errors
    /// The database cannot be used now.
    pub async fn first_pass_ended(
        &self,
        provider: &ProviderName,
        at: OffsetDateTime,
    ) -> Result<()> {
        let (provider, at) = (provider.clone(), millis(at));
        self.write_as_holder(&provider.clone(), move |connection| {
            Box::pin(async move { provider::first_pass_ended(connection, &provider, at).await })
        })
        .await
    }

    /// Says what is wrong with a provider's mirror, or that nothing is.
    ///
    /// # Errors
    /// The database cannot be used now.
    pub async fn set_problem(
        &self,
        provider: &ProviderName,
        problem: Option<&str>,
        at: OffsetDateTime,
    ) -> Result<()> {
        let (provider, at) = (provider.clone(), millis(at));
        let problem = problem.map(str::to_owned);
        self.write_as_holder(&provider.clone(), move |connection| {
            Box::pin(async move {
                provider::set_problem(connection, &provider, problem.as_deref(), at).await
            })
        })
        .await
    }

    /// Returns what is known of all providers, also those that are no longer configured.
    ///
    /// # Errors
    /// The database cannot be used now.
    pub async fn providers(&self) -> Result<Vec<ProviderState>> {
        self.read(|connection| Box::pin(provider::states(connection)))
            .await
    }

    /// Records from when calls of an account count, in place of those that were recorded before.
    ///
    /// # Errors
    /// The database cannot be used now.
    pub async fn record_calls(&self, account: &str, sent: &[OffsetDateTime]) -> Result<()> {
        let account = account.to_owned();
        let sent = sent.iter().copied().map(millis).collect();
        self.write(move |connection| {
            Box::pin(async move { provider::record_calls(connection, &account, sent).await })
        })
        .await
    }

    /// Returns when calls of an account were sent, from a time on.
    ///
    /// # Errors
    /// The database cannot be used now.
    pub async fn recent_calls(
        &self,
        account: &str,
        from: OffsetDateTime,
    ) -> Result<Vec<OffsetDateTime>> {
        let account = account.to_owned();
        let from = millis(from);
        self.read(move |connection| {
            Box::pin(async move { provider::recent_calls(connection, &account, from).await })
        })
        .await
    }

    /// Removes what ended or vanished before a time, and of providers that are not `configured` all that no call has brought since. One call removes at most one job
    /// and some thousands of its tasks; call it until there is no more.
    ///
    /// # Errors
    /// The database cannot be used now.
    pub async fn forget(
        &self,
        before: OffsetDateTime,
        configured: Vec<ProviderName>,
    ) -> Result<Forgotten> {
        let before = millis(before);
        self.write(move |connection| {
            Box::pin(async move { pass_end::forget(connection, before, &configured).await })
        })
        .await
    }

    /// Thins the history of one job that has become long; returns whether there was one.
    ///
    /// # Errors
    /// The database cannot be used now.
    pub async fn thin_history(&self) -> Result<bool> {
        self.write(|connection| Box::pin(async move { pass_end::thin_history(connection).await }))
            .await
    }

    /// Answers a page of jobs; `after` is the `next` of the page before, given by the same question.
    ///
    /// # Errors
    /// The database cannot be used now.
    pub async fn jobs(
        &self,
        query: &JobQuery,
        sort: JobSort,
        after: Option<&str>,
        size: u32,
    ) -> Result<Page<FleetJob>> {
        let query = query.clone();
        let after = after.map(str::to_owned);
        self.read(move |connection| {
            Box::pin(async move {
                fleet_jobs::page(connection, &query, sort, after.as_deref(), size).await
            })
        })
        .await
    }

    /// Answers a page of tasks.
    ///
    /// # Errors
    /// The database cannot be used now.
    pub async fn tasks(
        &self,
        query: &TaskQuery,
        sort: TaskSort,
        after: Option<&str>,
        size: u32,
    ) -> Result<Page<FleetTask>> {
        let query = query.clone();
        let after = after.map(str::to_owned);
        self.read(move |connection| {
            Box::pin(async move {
                fleet_tasks::page(connection, &query, sort, after.as_deref(), size).await
            })
        })
        .await
    }

    /// Counts jobs by up to three keys, at most `limit` groups.
    ///
    /// # Errors
    /// The database cannot be used now.
    pub async fn job_groups(&self, query: &JobQuery, by: &[JobKey], limit: u32) -> Result<Groups> {
        let (query, by) = (query.clone(), by.to_vec());
        self.read(move |connection| {
            Box::pin(async move { job_groups::of_jobs(connection, &query, &by, limit).await })
        })
        .await
    }

    /// Counts tasks by up to three keys, at most `limit` groups.
    ///
    /// # Errors
    /// The database cannot be used now.
    pub async fn task_groups(
        &self,
        query: &TaskQuery,
        by: &[TaskKey],
        limit: u32,
    ) -> Result<Groups> {
        let (query, by) = (query.clone(), by.to_vec());
        self.read(move |connection| {
            Box::pin(async move { task_groups::of_tasks(connection, &query, &by, limit).await })
        })
        .await
    }

    /// Returns the history of a job's counts, thinned to `most` points (first and last stay), or nothing for an unknown job.
    ///
    /// # Errors
    /// The database cannot be used now.
    pub async fn history(
        &self,
        provider: &ProviderName,
        job: &JobId,
        most: u32,
    ) -> Result<Option<Vec<HistoryPoint>>> {
        let (provider, job) = (provider.clone(), job.clone());
        self.read(move |connection| {
            Box::pin(async move { job_states::history(connection, &provider, &job, most).await })
        })
        .await
    }

    /// Recounts everything that is maintained and says what differs, a line each.
    ///
    /// # Errors
    /// The database cannot be used now.
    pub async fn verify(&self) -> Result<Vec<String>> {
        self.read(|connection| Box::pin(verify::verify(connection)))
            .await
    }

    /// Grants a claim to an account where it is free, or where the same tenure goes on. Renewing needs the same epoch, and a lease that has not run out.
    ///
    /// # Errors
    /// The database cannot be used now.
    pub async fn claim_lease(&self, claim: &Claim) -> Result<Option<Granted>> {
        let claim = claim.clone();
        self.write(move |connection| {
            Box::pin(async move { lease::claim(connection, &claim).await })
        })
        .await
    }

    /// Gives an account back: its lease ends now, and the next holder learns which calls the vendor counts. Returns whether it was held.
    ///
    /// # Errors
    /// The database cannot be used now.
    pub async fn release_lease(&self, tenure: &Tenure, calls: &[SentCall]) -> Result<bool> {
        let (tenure, calls) = (tenure.clone(), calls.to_vec());
        self.write(move |connection| {
            Box::pin(async move { lease::release(connection, &tenure, &calls).await })
        })
        .await
    }

    /// Returns the leases of all accounts, also those that have ended, by account.
    ///
    /// # Errors
    /// The database cannot be used now.
    pub async fn leases(&self) -> Result<Vec<Lease>> {
        self.read(|connection| Box::pin(lease::all(connection)))
            .await
    }

    /// As `write`, for rows of a provider: it proves right before its end that this process still holds the account.
    pub(crate) async fn write_as_holder<T: Send + 'static>(
        &self,
        provider: &ProviderName,
        work: impl for<'a> FnOnce(&'a mut Connection) -> BoxFuture<'a, Result<T>> + Send + 'static,
    ) -> Result<T> {
        let fencing = self.fencing.as_ref();
        let tenure = held(fencing.map(|fencing| fencing.fence(provider)))?;
        self.write(move |connection| {
            Box::pin(async move {
                let value = work(connection).await?;
                prove(connection, tenure).await?;
                Ok(value)
            })
        })
        .await
    }

    pub(crate) async fn write<T: Send + 'static>(
        &self,
        work: impl for<'a> FnOnce(&'a mut Connection) -> BoxFuture<'a, Result<T>> + Send + 'static,
    ) -> Result<T> {
        self.engine.write(work).await
    }

    pub(crate) async fn read<T: Send + 'static>(
        &self,
        work: impl for<'a> FnOnce(&'a mut Connection) -> BoxFuture<'a, Result<T>> + Send + 'static,
    ) -> Result<T> {
        self.engine.read(work).await
    }
}

/// Returns the tenure that a transaction has to prove, if any.
fn held(fence: Option<Fence>) -> Result<Option<Tenure>> {
    match fence {
        None | Some(Fence::Open) => Ok(None),
        Some(Fence::Held(tenure)) => Ok(Some(tenure)),
        Some(Fence::NotHeld) => Err(StoreError::Superseded),
    }
}

async fn prove(connection: &mut Connection, tenure: Option<Tenure>) -> Result<()> {
    match tenure {
        Some(tenure) => lease::check(connection, &tenure).await,
        None => Ok(()),
    }
}
