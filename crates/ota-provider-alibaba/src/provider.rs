//! The provider: implements the contract with client, lists and mapping.

use std::sync::Arc;

use ota_adapter::Account;
use ota_adapter::error::found;
use ota_core::capability::{
    Capability, ChangeSigns, JobFilterSupport, StatsSupport, Support, TaskFilterSupport, TaskOrder,
};
use ota_core::context::Context;
use ota_core::id::ProviderName;
use ota_core::job::{Job, JobStats, JobStatus};
use ota_core::paging::Window;
use ota_core::provider::{
    Dependencies, GetJob, JobReader, ListJobs, ListTasks, Page, Provider, SettingError,
};
use ota_core::task::Task;
use ota_core::{ErrorKind, Result};

use crate::client::{Client, page_params};
use crate::config::{Config, QUOTA, VENDOR};
use crate::counts::count_tasks;
use crate::fields::FIELDS;
use crate::jobs;
use crate::packages::LIST_PACKAGES;
use crate::refused::RefusedKeys;
use crate::tasks::{MAX_DEVICE_NAMES, tasks_page};

/// One Alibaba Cloud account.
#[derive(Debug)]
pub struct AlibabaProvider {
    client: Client,
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
        let account = Account::new(VENDOR, name, capability(), deps);
        Client::new(account, config).map(|client| Self { client })
    }

    /// Shares the refused credentials with other providers.
    #[must_use]
    pub fn sharing(mut self, refused: Arc<RefusedKeys>) -> Self {
        self.client.refused = refused;
        self
    }
}

pub(crate) fn capability() -> Capability {
    Capability {
        job_filters: JobFilterSupport {
            status: Support::Here,
            // The vendor does not report how a batch ended, and finding out would take nine calls for each row of a list.
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
            stage: Support::Native,
            device_name: Support::Native,
            device_id: Support::Here,
        },
        max_page_size: 100,
        max_device_names: MAX_DEVICE_NAMES,
        job_stats: StatsSupport {
            native: false,
            // One for each status, one for all tasks, and one for the batch if the counts can prove how it ended.
            calls: 9,
        },
        change_signs: ChangeSigns {
            counts_in_rows: false,
            // `Total` of `ListOTATaskByJob` with `TaskStatus`.
            counts_in_totals: true,
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
impl Provider for AlibabaProvider {
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
        let params = page_params(Window::FIRST_ROW).into();
        let answer = self.client.read(cx, LIST_PACKAGES, params, &[]).await;
        answer.map(drop)
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
        match jobs::jobs_page(&self.client, cx, request).await {
            // No such package, product or device: nothing matches the filter, which is no error.
            Err(error) if named && error.kind() == ErrorKind::NotFound => Ok(Page::empty()),
            other => other,
        }
    }

    async fn get_job(&self, cx: &Context, request: GetJob) -> Result<Option<Job>> {
        jobs::job(&self.client, cx, &request.job_id).await
    }

    async fn job_stats(&self, cx: &Context, request: GetJob) -> Result<Option<JobStats>> {
        let Some(mut stats) = found(count_tasks(&self.client, cx, &request.job_id).await)? else {
            return Ok(None);
        };
        // A batch without tasks may not exist, and a batch that is in progress may get more tasks: only the batch itself shows which.
        let proven = stats.proven_outcome(JobStatus::Completed);
        if stats.total != Some(0) && proven.is_none() {
            return Ok(Some(stats));
        }
        let job = jobs::job(&self.client, cx, &request.job_id).await?;
        Ok(job.map(|job| {
            stats.outcome = stats.proven_outcome(job.status);
            stats
        }))
    }

    async fn list_tasks(&self, cx: &Context, request: ListTasks) -> Result<Option<Page<Task>>> {
        let first = request.cursor.is_none() && request.filter == Default::default();
        // Not found here means the job: refusals of devices are handled where the list is read.
        let Some(page) = found(tasks_page(&self.client, cx, &request).await)? else {
            return Ok(None);
        };
        // What the vendor answers for a batch that does not exist is not documented; it may be an empty list.
        if first && page.items.is_empty() && page.next.is_none() {
            let job = jobs::job(&self.client, cx, &request.job_id).await?;
            return Ok(job.map(|_| page));
        }
        Ok(Some(page))
    }
}
