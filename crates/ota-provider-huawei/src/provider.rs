//! The provider: puts client, lists and mapping together.

use std::sync::Arc;

use ota_adapter::Account;
use ota_core::capability::{
    Capability, ChangeSigns, JobFilterSupport, StatsSupport, Support, TaskFilterSupport, TaskOrder,
};
use ota_core::id::ProviderName;
use ota_core::job::{Job, JobStats};
use ota_core::paging::Window;
use ota_core::provider::{
    Dependencies, GetJob, JobFilter, JobReader, ListJobs, ListTasks, Page, Provider, SettingError,
};
use ota_core::task::Task;
use ota_core::{Context, Result};

use crate::client::{Client, MAX_PAGE_SIZE};
use crate::config::{Config, QUOTA, VENDOR};
use crate::fields::FIELDS;
use crate::jobs;
use crate::tasks;
use crate::token::TokenPool;

/// One application on one platform.
#[derive(Debug)]
pub struct HuaweiProvider {
    client: Arc<Client>,
}

impl HuaweiProvider {
    /// Creates the provider. `tokens` is the same for all providers of the process.
    ///
    /// # Errors
    /// When the TLS settings cannot be used.
    pub fn new(
        name: ProviderName,
        config: Config,
        deps: Dependencies,
        tokens: Arc<TokenPool>,
    ) -> Result<Self, SettingError> {
        let account = Account::new(VENDOR, name, capability(), deps);
        let client = Client::new(account, config, &tokens)?;
        Ok(Self {
            client: Arc::new(client),
        })
    }
}

pub(crate) fn capability() -> Capability {
    Capability {
        job_filters: JobFilterSupport {
            status: Support::Native,
            // The vendor has one status for `failed` and `partial`.
            outcome: Support::Here,
            kind: Support::Native,
            package_id: Support::No,
            product_id: Support::No,
            device_id: Support::Native,
            device_name: Support::No,
            device_type: Support::Native,
            model: Support::Native,
            manufacturer: Support::Native,
        },
        job_filter_needs: &[],
        task_filters: TaskFilterSupport {
            status: Support::Native,
            stage: Support::No,
            device_name: Support::No,
            device_id: Support::Here,
        },
        max_page_size: MAX_PAGE_SIZE,
        max_device_names: 0,
        job_stats: StatsSupport {
            native: true,
            calls: 1,
        },
        change_signs: ChangeSigns {
            counts_in_rows: true,
            counts_in_totals: false,
            // No document names one.
            task_order: TaskOrder::None,
        },
        fields: FIELDS,
        configured_fields: Vec::new(),
        actions: Vec::new(),
        quota: QUOTA,
    }
}

#[async_trait::async_trait]
impl Provider for HuaweiProvider {
    fn name(&self) -> &ProviderName {
        &self.client.account.name
    }

    fn vendor(&self) -> &'static str {
        VENDOR
    }

    fn endpoint(&self) -> &str {
        self.client.config.connection.endpoint.base()
    }

    fn capability(&self) -> &Capability {
        &self.client.account.capability
    }

    async fn check(&self, cx: &Context) -> Result<()> {
        let all = JobFilter::default();
        let answer = jobs::fetch_jobs(&self.client, cx, &all, None, Window::FIRST_ROW).await;
        answer.map(drop)
    }

    fn jobs(&self) -> Option<&dyn JobReader> {
        Some(self)
    }
}

#[async_trait::async_trait]
impl JobReader for HuaweiProvider {
    async fn list_jobs(&self, cx: &Context, request: ListJobs) -> Result<Page<Job>> {
        jobs::jobs_page(&self.client, cx, request).await
    }

    async fn get_job(&self, cx: &Context, request: GetJob) -> Result<Option<Job>> {
        jobs::job(&self.client, cx, &request.job_id).await
    }

    async fn job_stats(&self, cx: &Context, request: GetJob) -> Result<Option<JobStats>> {
        let job = jobs::job(&self.client, cx, &request.job_id).await?;
        Ok(job.map(|job| {
            job.stats.unwrap_or(JobStats {
                outcome: job.outcome,
                ..JobStats::default()
            })
        }))
    }

    async fn list_tasks(&self, cx: &Context, request: ListTasks) -> Result<Option<Page<Task>>> {
        tasks::tasks_page(&self.client, cx, request).await
    }
}
