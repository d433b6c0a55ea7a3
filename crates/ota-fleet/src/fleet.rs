//! The registry and the live reads.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use ota_core::clock::Clock;
use ota_core::configured_fields::ConfiguredFields;
use ota_core::context::{CallSummary, Context, Moment};
use ota_core::id::ProviderName;
use ota_core::job::{Job, JobStats};
use ota_core::provider::{GetJob, JobReader, ListJobs, ListTasks, Page, Provider};
use ota_core::task::Task;
use ota_core::{Error, ErrorKind, Result};

use crate::health::Health;
use crate::health_tracker::HealthTracker;

/// The quota that this process stays within for a provider.
pub trait Quota: Send + Sync + std::fmt::Debug {
    /// Returns the calls in one window.
    fn limit(&self) -> u32;

    /// Returns the length of the window in seconds.
    fn window_s(&self) -> u32;

    /// Returns how many calls can be sent now.
    fn remaining(&self) -> u32;
}

/// One configured provider.
#[derive(Debug)]
pub struct ConfiguredProvider {
    provider: Arc<dyn Provider>,
    quota: Arc<dyn Quota>,
    attempt_timeout: Duration,
    clock: Arc<dyn Clock>,
    fields: Arc<ConfiguredFields>,
    tracker: Mutex<HealthTracker>,
}

impl ConfiguredProvider {
    /// Adds a provider to the fleet; `attempt_timeout` is the time limit of one vendor call.
    #[must_use]
    pub fn new(
        provider: Arc<dyn Provider>,
        quota: Arc<dyn Quota>,
        attempt_timeout: Duration,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self {
            provider,
            quota,
            attempt_timeout,
            clock,
            fields: Arc::default(),
            tracker: Mutex::default(),
        }
    }

    /// Sets the fields whose place is configured for this provider: the ones that it was built with.
    #[must_use]
    pub fn with_fields(mut self, fields: Arc<ConfiguredFields>) -> Self {
        self.fields = fields;
        self
    }

    /// Returns the fields whose place is configured, with how often they were found.
    #[must_use]
    pub fn fields(&self) -> &ConfiguredFields {
        &self.fields
    }

    /// Returns the provider.
    #[must_use]
    pub fn provider(&self) -> &dyn Provider {
        &*self.provider
    }

    /// Returns its quota.
    #[must_use]
    pub fn quota(&self) -> &dyn Quota {
        &*self.quota
    }

    /// Returns the time limit of one vendor call.
    #[must_use]
    pub fn attempt_timeout(&self) -> Duration {
        self.attempt_timeout
    }

    /// Returns the health, as the calls so far show it.
    #[must_use]
    pub fn health(&self) -> Health {
        self.tracker
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .health()
            .clone()
    }

    /// Makes the provider's cheap authenticated call and returns the resulting health.
    pub async fn check(&self, cx: &Context) -> Health {
        let result = self.provider.check(cx).await;
        let now = Moment::now(&*self.clock);
        self.note(cx, &result, now);
        let health = Health::from_result(result.as_ref().map(drop), now.wall);
        health.unwrap_or_else(|| Health {
            state: crate::HealthState::Degraded,
            checked_at: Some(now.wall),
            problem: result
                .err()
                .map(|error| (error.kind(), error.message().to_owned())),
        })
    }

    /// Lists jobs.
    ///
    /// # Errors
    /// As [`JobReader::list_jobs`].
    pub async fn list_jobs(&self, cx: &Context, request: ListJobs) -> Result<Answer<Page<Job>>> {
        let result = self.reader()?.list_jobs(cx, request).await;
        self.answer(cx, result)
    }

    /// Reads one job.
    ///
    /// # Errors
    /// As [`JobReader::get_job`]; `not_found` for an unknown job.
    pub async fn get_job(&self, cx: &Context, request: GetJob) -> Result<Answer<Job>> {
        let cx = &cx.clone().about(&request.job_id);
        let result = self
            .reader()?
            .get_job(cx, request)
            .await
            .and_then(|job| job.ok_or_else(unknown_job));
        self.answer(cx, result)
    }

    /// Counts the tasks of a job.
    ///
    /// # Errors
    /// As [`JobReader::job_stats`]; `not_found` for an unknown job.
    pub async fn job_stats(&self, cx: &Context, request: GetJob) -> Result<Answer<JobStats>> {
        let cx = &cx.clone().about(&request.job_id);
        let result = self
            .reader()?
            .job_stats(cx, request)
            .await
            .and_then(|stats| stats.ok_or_else(unknown_job));
        self.answer(cx, result)
    }

    /// Lists the tasks of a job.
    ///
    /// # Errors
    /// As [`JobReader::list_tasks`]; `not_found` for an unknown job.
    pub async fn list_tasks(&self, cx: &Context, request: ListTasks) -> Result<Answer<Page<Task>>> {
        let cx = &cx.clone().about(&request.job_id);
        let result = self
            .reader()?
            .list_tasks(cx, request)
            .await
            .and_then(|page| page.ok_or_else(unknown_job));
        self.answer(cx, result)
    }

    fn answer<T>(&self, cx: &Context, result: Result<T>) -> Result<Answer<T>> {
        let now = Moment::now(&*self.clock);
        self.note(cx, &result, now);
        Ok(Answer {
            value: result?,
            as_of: cx.calls.summary().earliest.unwrap_or(now),
        })
    }

    fn reader(&self) -> Result<&dyn JobReader> {
        self.provider.jobs().ok_or_else(|| {
            Error::unsupported("provider", "this provider does not support reading jobs")
        })
    }

    /// Records the result of a read.
    fn note<T>(&self, cx: &Context, result: &Result<T>, now: Moment) {
        let result = result.as_ref().map(drop);
        if let Some(sent) = judged_at(result, cx.calls.summary(), now) {
            self.tracker
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .note(cx.subject, sent, result, now.wall);
        }
    }
}

/// Returns the time at which a result describes the vendor's health; `None` if it says nothing about the vendor: a response without a call, or a decision of
/// the gateway, as when its quota or the time limit of a request is used up.
fn judged_at(result: Result<(), &Error>, calls: CallSummary, now: Moment) -> Option<Instant> {
    if result.is_err_and(Error::is_local) {
        return None;
    }
    match (calls.latest, result.map_err(Error::kind)) {
        (Some(latest), _) => Some(latest.monotonic),
        // A cached refusal comes from an earlier call; invalid settings are wrong without a call.
        (None, Err(ErrorKind::Auth | ErrorKind::Rejected | ErrorKind::Misconfigured)) => {
            Some(now.monotonic)
        }
        (None, _) => None,
    }
}

/// The data of a vendor, and the time that it is from.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer<T> {
    /// The data.
    pub value: T,
    /// When the earliest vendor call that it comes from was sent; now, if none was needed.
    pub as_of: Moment,
}

/// All configured providers.
#[derive(Debug)]
pub struct Fleet {
    members: BTreeMap<ProviderName, Arc<ConfiguredProvider>>,
}

impl Fleet {
    /// Creates the fleet. Of two providers with the same name, the later one stays.
    #[must_use]
    pub fn new(members: impl IntoIterator<Item = ConfiguredProvider>) -> Self {
        let members = members
            .into_iter()
            .map(|member| (member.provider.name().clone(), Arc::new(member)))
            .collect();
        Self { members }
    }

    /// Returns the providers, by name.
    pub fn members(&self) -> impl Iterator<Item = &ConfiguredProvider> {
        self.members.values().map(|member| &**member)
    }

    /// Returns one provider, for reads that outlive their request.
    #[must_use]
    pub fn member(&self, name: &str) -> Option<&Arc<ConfiguredProvider>> {
        self.members.get(&ProviderName::from(name))
    }
}

fn unknown_job() -> Error {
    Error::new(
        ErrorKind::NotFound,
        "this provider has no job with this identifier",
    )
    .with_field("job_id")
}

#[cfg(test)]
mod tests;
