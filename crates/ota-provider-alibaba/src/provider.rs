//! Composes client, walks and mapping into the contract.

use std::sync::Arc;

use ota_core::capability::{
    Capability, JobFilterSupport, StatsSupport, Support, TaskFilterSupport,
};
use ota_core::context::Context;
use ota_core::id::ProviderName;
use ota_core::job::{Job, JobStats, JobStatus};
use ota_core::provider::{
    Dependencies, GetJob, JobReader, ListJobs, ListTasks, Page, Provider, SettingError,
};
use ota_core::task::Task;
use ota_core::{ErrorKind, Result};

use crate::account::Account;
use crate::answers;
use crate::client::Client;
use crate::config::{Config, QUOTA, VENDOR};
use crate::fields::FIELDS;
use crate::jobs::LIST_PACKAGES;
use crate::params::Params;
use crate::refused::RefusedKeys;
use crate::tasks::MAX_DEVICE_NAMES;

const QUERY_JOB: &str = "QueryOTAJob";

/// One Alibaba Cloud account.
#[derive(Debug)]
pub struct AlibabaProvider {
    account: Account,
}

impl AlibabaProvider {
    /// Builds the provider.
    ///
    /// # Errors
    /// When TLS cannot be set up on this machine.
    pub fn new(
        name: ProviderName,
        config: Config,
        deps: Dependencies,
    ) -> Result<Self, SettingError> {
        if let Some(tls) = &config.tls {
            tls.warn(name.as_str(), deps.clock.now());
        }
        let account = Account {
            name,
            capability: capability(),
            client: Client::new(config, deps)?,
        };
        Ok(Self { account })
    }

    /// Shares the refusals of credentials with other providers.
    #[must_use]
    pub fn sharing(mut self, refused: Arc<RefusedKeys>) -> Self {
        self.account.client.refused = refused;
        self
    }
}

pub(crate) fn capability() -> Capability {
    Capability {
        job_filters: JobFilterSupport {
            status: Support::Here,
            // The vendor does not tell how a batch ended, and nine calls for each row of a list are not its price.
            outcome: Support::No,
            kind: Support::Here,
            package_id: Support::Native,
            product_id: Support::Native,
            device_id: Support::No,
            device_name: Support::Native,
            device_type: Support::No,
            model: Support::No,
            manufacturer: Support::No,
        },
        job_filter_needs: &[("device_name", &["package_id", "product_id"])],
        task_filters: TaskFilterSupport {
            status: Support::Native,
            device_name: Support::Native,
            device_id: Support::Here,
        },
        max_page_size: 100,
        max_device_names: MAX_DEVICE_NAMES,
        job_stats: StatsSupport {
            native: false,
            // One for each word, one for all tasks, and one for the batch where the counts can prove how it ended.
            calls: 9,
        },
        fields: FIELDS,
        actions: Vec::new(),
        quota: QUOTA,
    }
}

#[async_trait::async_trait]
impl Provider for AlibabaProvider {
    fn name(&self) -> &ProviderName {
        &self.account.name
    }

    fn vendor(&self) -> &'static str {
        VENDOR
    }

    fn endpoint(&self) -> &str {
        self.account.client.config().endpoint.base()
    }

    fn capability(&self) -> &Capability {
        &self.account.capability
    }

    async fn check(&self, cx: &Context) -> Result<()> {
        let params: Params = vec![
            ("CurrentPage".to_owned(), "1".to_owned()),
            ("PageSize".to_owned(), "1".to_owned()),
        ];
        self.account
            .client
            .read(cx, LIST_PACKAGES, params, &[])
            .await
            .map(drop)
    }

    fn jobs(&self) -> Option<&dyn JobReader> {
        Some(self)
    }
}

#[async_trait::async_trait]
impl JobReader for AlibabaProvider {
    async fn list_jobs(&self, cx: &Context, request: ListJobs) -> Result<Page<Job>> {
        let filter = &request.filter;
        let named = filter.package_id.is_some() || filter.product_id.is_some();
        match self.account.jobs_page(cx, request).await {
            // No such package, product or device: nothing matches the filter, which is no error.
            Err(error) if named && error.kind() == ErrorKind::NotFound => Ok(Page::empty()),
            other => other,
        }
    }

    async fn get_job(&self, cx: &Context, request: GetJob) -> Result<Option<Job>> {
        let params: Params = vec![("JobId".to_owned(), request.job_id.as_str().to_owned())];
        let Some(answer) = found(
            self.account
                .client
                .read(cx, QUERY_JOB, params, &["JobId"])
                .await,
        )?
        else {
            return Ok(None);
        };
        let Some(mut job) = answers::job(self.account.source(QUERY_JOB), answer)? else {
            return Ok(None);
        };
        if job.id.as_str().is_empty() {
            job.id = request.job_id;
        }
        Ok(Some(job))
    }

    async fn job_stats(&self, cx: &Context, request: GetJob) -> Result<Option<JobStats>> {
        let Some(mut stats) = found(self.account.count_tasks(cx, &request.job_id).await)? else {
            return Ok(None);
        };
        // A batch that does not exist may have no tasks, and one that runs may get more of them: the batch itself says so.
        let proven = stats.proven_outcome(JobStatus::Completed);
        if stats.total != Some(0) && proven.is_none() {
            return Ok(Some(stats));
        }
        let job = self.get_job(cx, request).await?;
        Ok(job.map(|job| {
            stats.outcome = stats.proven_outcome(job.status);
            stats
        }))
    }

    async fn list_tasks(&self, cx: &Context, request: ListTasks) -> Result<Option<Page<Task>>> {
        let (job_id, first) = (
            request.job_id.clone(),
            request.cursor.is_none() && request.filter == Default::default(),
        );
        let Some(page) = found(self.account.tasks_page(cx, request).await)? else {
            return Ok(None);
        };
        // What the vendor answers for a batch that does not exist is in no public document; it may be a list of nothing.
        match first && page.items.is_empty() && page.next.is_none() {
            true => Ok(self.get_job(cx, GetJob { job_id }).await?.map(|_| page)),
            false => Ok(Some(page)),
        }
    }
}

/// Turns the refusal of an unknown identifier into "nothing found". Only identifiers that the caller sent come here as not found, and of these the
/// tasks' own walk answers for devices.
fn found<T>(result: Result<T>) -> Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}
