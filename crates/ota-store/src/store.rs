//! The handle of the database.

use ota_core::id::{JobId, ProviderName};
use time::OffsetDateTime;

use crate::error::{OpenError, Result};
use crate::fleet::{
    FleetJob, FleetTask, Groups, HistoryPoint, JobKey, JobQuery, JobSort, Page, ProviderState,
    TaskKey, TaskQuery, TaskSort,
};
use crate::pass::{Ended, OpenPass, PassEnd, PassId, PassOf};
use crate::record::{JobPage, TaskPage, Written};

/// The database. Clones share it. Dropping a future of any method leaves nothing half done.
#[derive(Clone, Debug)]
pub struct Store {}

/// How the database is opened.
#[derive(Clone, Debug)]
pub struct OpenSettings {
    /// `sqlite:PATH`, or `postgres://…`. May hold a password: it is never shown.
    pub url: String,
    /// Whether another process may not open it too (a lock file beside the SQLite file).
    pub exclusive: bool,
    /// Whether a missing SQLite file is made and migrations are run.
    pub create: bool,
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

/// A job that a pass or a look may be due for; what the scheduler needs of it.
#[derive(Clone, Debug, PartialEq)]
pub struct JobState {
    /// The job.
    pub id: JobId,
    /// Where it is in its life.
    pub status: ota_core::job::JobStatus,
    /// When it last changed, or one of its tasks.
    pub changed_at: OffsetDateTime,
    /// When it starts, or was created.
    pub created_at: Option<OffsetDateTime>,
    /// When its row or its counts were last read.
    pub as_of: OffsetDateTime,
    /// When all its tasks were last read by a complete pass.
    pub tasks_as_of: Option<OffsetDateTime>,
    /// The counts as the vendor last told them.
    pub vendor_counts: Option<ota_core::job::JobStats>,
    /// The counts of the task rows in the database.
    pub own_counts: ota_core::job::JobStats,
    /// When it is to be looked at next, as the sync last decided.
    pub due_at: Option<OffsetDateTime>,
}

impl Store {
    /// Opens the database, and migrates it if `create` says so.
    ///
    /// # Errors
    /// [`OpenError::Refused`] when a restart does not help; [`OpenError::Away`] when the server may come back.
    pub async fn open(settings: &OpenSettings) -> std::result::Result<Self, OpenError> {
        todo!()
    }

    /// Tells what was opened.
    ///
    /// # Errors
    /// The database cannot be used now.
    pub async fn about(&self) -> Result<About> {
        todo!()
    }

    /// Writes a page of jobs in one transaction: rows, counters, history and the progress of its pass.
    ///
    /// # Errors
    /// The database cannot be used now.
    pub async fn write_jobs(&self, page: &JobPage) -> Result<Written> {
        todo!()
    }

    /// Writes a page of tasks in one transaction.
    ///
    /// # Errors
    /// The database cannot be used now.
    pub async fn write_tasks(&self, page: &TaskPage) -> Result<Written> {
        todo!()
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
        todo!()
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
        todo!()
    }

    /// Begins a pass, or returns the one that is open.
    ///
    /// # Errors
    /// The database cannot be used now.
    pub async fn begin_pass(&self, of: &PassOf, at: OffsetDateTime) -> Result<OpenPass> {
        todo!()
    }

    /// Returns the passes of a provider that are open.
    ///
    /// # Errors
    /// The database cannot be used now.
    pub async fn open_passes(&self, provider: &ProviderName) -> Result<Vec<OpenPass>> {
        todo!()
    }

    /// Ends a pass.
    ///
    /// # Errors
    /// The database cannot be used now.
    pub async fn end_pass(&self, pass: PassId, end: &PassEnd, at: OffsetDateTime) -> Result<Ended> {
        todo!()
    }

    /// Returns the jobs of a provider that are not vanished, for the schedule, by `due_at`, those without first.
    ///
    /// # Errors
    /// The database cannot be used now.
    pub async fn job_states(&self, provider: &ProviderName, limit: u32) -> Result<Vec<JobState>> {
        todo!()
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
        todo!()
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
        todo!()
    }

    /// Returns ids and device names of a job's tasks in one of these statuses, at most `limit`, those that changed longest ago first.
    ///
    /// # Errors
    /// The database cannot be used now.
    pub async fn tasks_in(
        &self,
        provider: &ProviderName,
        job: &JobId,
        status: &[ota_core::task::TaskStatus],
        limit: u32,
    ) -> Result<Vec<(String, Option<String>)>> {
        todo!()
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
        todo!()
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
        todo!()
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
        todo!()
    }

    /// Returns what is known of all providers, also those that are no longer configured.
    ///
    /// # Errors
    /// The database cannot be used now.
    pub async fn providers(&self) -> Result<Vec<ProviderState>> {
        todo!()
    }

    /// Records when calls of an account were sent (milliseconds since 1970) and forgets those before `keep_from`.
    ///
    /// # Errors
    /// The database cannot be used now.
    pub async fn record_calls(
        &self,
        account: &str,
        sent: &[OffsetDateTime],
        keep_from: OffsetDateTime,
    ) -> Result<()> {
        todo!()
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
        todo!()
    }

    /// Removes what ended or vanished before a time, at most `limit` jobs; returns how many.
    ///
    /// # Errors
    /// The database cannot be used now.
    pub async fn forget(&self, before: OffsetDateTime, limit: u32) -> Result<u64> {
        todo!()
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
        todo!()
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
        todo!()
    }

    /// Counts jobs by up to three keys, at most `limit` groups.
    ///
    /// # Errors
    /// The database cannot be used now.
    pub async fn job_groups(&self, query: &JobQuery, by: &[JobKey], limit: u32) -> Result<Groups> {
        todo!()
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
        todo!()
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
        todo!()
    }

    /// Recounts everything that is maintained and says what differs, a line each.
    ///
    /// # Errors
    /// The database cannot be used now.
    pub async fn verify(&self) -> Result<Vec<String>> {
        todo!()
    }
}
