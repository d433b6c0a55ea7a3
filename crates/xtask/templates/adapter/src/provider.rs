//! The provider: puts client and mapping together.

use ota_adapter::account::Account;
use ota_core::capability::{
    Capability, ChangeSigns, TaskOrder, JobFilterSupport, StatsSupport, Support, TaskFilterSupport,
};
use ota_core::fields::FieldSupport;
use ota_core::id::ProviderName;
use ota_core::job::{Job, JobStats};
use ota_core::provider::{
    Dependencies, GetJob, JobReader, ListJobs, ListTasks, Page, Provider, SettingError,
};
use ota_core::task::Task;
use ota_core::{Context, Error, ErrorKind, Result};

use crate::client::Client;
use crate::config::{Config, QUOTA, VENDOR};

/// Names of the vendor's operations, from its documents: each becomes a quota key and a metric label.
const LIST_JOBS: &str = "listJobs";

/// The vendor's largest page.
const MAX_PAGE_SIZE: u32 = 100;

/// One account at the vendor.
#[derive(Debug)]
pub struct __Name__Provider {
    account: Account,
    client: Client,
}

impl __Name__Provider {
    /// Creates the provider.
    ///
    /// # Errors
    /// When the TLS settings cannot be used on this machine.
    pub fn new(
        name: ProviderName,
        config: Config,
        deps: Dependencies,
    ) -> Result<Self, SettingError> {
        let client = Client::new(&name, config, &deps)?;
        let account = Account::new(VENDOR, name, capability(), deps);
        Ok(Self { account, client })
    }
}

/// What this provider can do. A filter that it has becomes `Native` (the vendor filters) or `Here` (rows are left out here).
pub(crate) fn capability() -> Capability {
    Capability {
        job_filters: JobFilterSupport {
            status: Support::No,
            outcome: Support::No,
            kind: Support::No,
            package_id: Support::No,
            product_id: Support::No,
            device_id: Support::No,
            device_name: Support::No,
            device_type: Support::No,
            model: Support::No,
            manufacturer: Support::No,
        },
        job_filter_needs: &[],
        task_filters: TaskFilterSupport {
            stage: Support::No,
            status: Support::No,
            device_name: Support::No,
            device_id: Support::No,
        },
        max_page_size: MAX_PAGE_SIZE,
        max_device_names: 0,
        job_stats: StatsSupport {
            native: true,
            calls: 1,
        },
        change_signs: ChangeSigns {
            counts_in_rows: false,
            counts_in_totals: false,
            task_order: TaskOrder::None,
        },
        fields: FieldSupport::default(),
        configured_fields: Vec::new(),
        actions: Vec::new(),
        quota: QUOTA,
    }
}

#[async_trait::async_trait]
impl Provider for __Name__Provider {
    fn name(&self) -> &ProviderName {
        &self.account.name
    }

    fn vendor(&self) -> &'static str {
        VENDOR
    }

    fn endpoint(&self) -> &str {
        self.client.config.connection.endpoint.base()
    }

    fn capability(&self) -> &Capability {
        &self.account.capability
    }

    async fn check(&self, cx: &Context) -> Result<()> {
        let deps = &self.account.deps;
        let first = "/jobs?page=0&size=1";
        let answer = self.client.read(cx, deps, LIST_JOBS, first).await;
        answer.map(drop)
    }

    fn jobs(&self) -> Option<&dyn JobReader> {
        Some(self)
    }
}

/// The error of a method that is still to be written.
fn not_written(method: &'static str) -> Error {
    Error::new(
        ErrorKind::Unexpected,
        format!("`{method}` of this adapter is not written yet"),
    )
    .with_operation(LIST_JOBS)
}

#[async_trait::async_trait]
impl JobReader for __Name__Provider {
    async fn list_jobs(&self, _: &Context, _: ListJobs) -> Result<Page<Job>> {
        Err(not_written("list_jobs"))
    }

    async fn get_job(&self, _: &Context, _: GetJob) -> Result<Option<Job>> {
        Err(not_written("get_job"))
    }

    async fn job_stats(&self, _: &Context, _: GetJob) -> Result<Option<JobStats>> {
        Err(not_written("job_stats"))
    }

    async fn list_tasks(&self, _: &Context, _: ListTasks) -> Result<Option<Page<Task>>> {
        Err(not_written("list_tasks"))
    }
}
