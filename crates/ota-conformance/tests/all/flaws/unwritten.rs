//! An adapter as its author begins it: it has a name and a capability, and nothing else.

use ota_conformance::memory::MemoryProvider;
use ota_core::capability::Capability;
use ota_core::context::Context;
use ota_core::id::ProviderName;
use ota_core::job::{Job, JobStats};
use ota_core::provider::{GetJob, JobReader, ListJobs, ListTasks, Page, Provider};
use ota_core::task::Task;
use ota_core::{Error, ErrorKind, Result};

/// Takes its identity from another provider.
#[derive(Debug)]
pub(crate) struct Unwritten(pub(crate) MemoryProvider);

fn not_yet() -> Error {
    Error::new(ErrorKind::Unexpected, "this is not written yet")
}

#[async_trait::async_trait]
impl Provider for Unwritten {
    fn name(&self) -> &ProviderName {
        self.0.name()
    }

    fn vendor(&self) -> &'static str {
        self.0.vendor()
    }

    fn endpoint(&self) -> &str {
        self.0.endpoint()
    }

    fn capability(&self) -> &Capability {
        self.0.capability()
    }

    async fn check(&self, _cx: &Context) -> Result<()> {
        Err(not_yet())
    }

    fn jobs(&self) -> Option<&dyn JobReader> {
        Some(self)
    }
}

#[async_trait::async_trait]
impl JobReader for Unwritten {
    async fn list_jobs(&self, _cx: &Context, _request: ListJobs) -> Result<Page<Job>> {
        Err(not_yet())
    }

    async fn get_job(&self, _cx: &Context, _request: GetJob) -> Result<Option<Job>> {
        Err(not_yet())
    }

    async fn job_stats(&self, _cx: &Context, _request: GetJob) -> Result<Option<JobStats>> {
        Err(not_yet())
    }

    async fn list_tasks(&self, _cx: &Context, _request: ListTasks) -> Result<Option<Page<Task>>> {
        Err(not_yet())
    }
}
