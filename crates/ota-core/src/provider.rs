//! The contract that every provider keeps. `docs/provider-contract.md` numbers its rules; `ota-conformance` checks them.

use std::sync::Arc;

use crate::capability::Capability;
use crate::clock::Clock;
use crate::configured_fields::ConfiguredFields;
use crate::context::Context;
use crate::drift::DriftObserver;
use crate::error::{ErrorKind, Result, VendorError};
use crate::gate::Gate;
use crate::id::{JobId, PackageId, ProductId, ProviderName};
use crate::job::{Job, JobStats};
use crate::random::Random;
use crate::task::Task;

pub use crate::filter::{JobFilter, TaskFilter};

/// What an adapter is given when it is built.
#[derive(Clone, Debug)]
pub struct Dependencies {
    /// The gate that every vendor call passes.
    pub gate: Arc<dyn Gate>,
    /// Time for signatures and token lives.
    pub clock: Arc<dyn Clock>,
    /// Randomness for nonces.
    pub random: Arc<dyn Random>,
    /// Receives values and fields that the adapter does not know.
    pub drift: Arc<dyn DriftObserver>,
    /// The fields whose place in the vendor's rows the operator has configured.
    pub fields: Arc<ConfiguredFields>,
    /// The most vendor calls that filling one page may cost.
    pub max_calls_per_page: u32,
}

/// A setting of a provider that cannot be used. Fit for an operator, without any part of a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettingError {
    /// The key in the provider's section.
    pub key: &'static str,
    /// What is wrong with it and what to do.
    pub message: String,
    /// For a missing key: all keys of which one would be enough. If one of them is present but could not be read, that error is reported already,
    /// and this one is left out.
    pub alternatives: &'static [&'static str],
}

impl SettingError {
    /// Creates the error.
    #[must_use]
    pub fn new(key: &'static str, message: impl Into<String>) -> Self {
        Self {
            key,
            message: message.into(),
            alternatives: &[],
        }
    }

    /// Creates the error for a missing key, where one of `alternatives` (including the key itself) would be enough.
    #[must_use]
    pub fn missing(
        key: &'static str,
        alternatives: &'static [&'static str],
        message: impl Into<String>,
    ) -> Self {
        Self {
            alternatives,
            ..Self::new(key, message)
        }
    }
}

/// All settings of a provider that cannot be used, in the order in which they were found.
///
/// An adapter continues after the first error, so that one run reports all of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SettingErrors(Vec<SettingError>);

impl SettingErrors {
    /// Adds an error.
    pub fn add(&mut self, error: SettingError) {
        self.0.push(error);
    }

    /// Returns what could be used, or notes the errors.
    pub fn check<T>(&mut self, result: Result<T, impl Into<Self>>) -> Option<T> {
        result.map_err(|errors| self.0.extend(errors.into().0)).ok()
    }

    /// Returns what was built if there was no error, otherwise all errors.
    ///
    /// # Errors
    /// All errors that were collected.
    ///
    /// # Panics
    /// When `built` returns nothing although nothing was wrong.
    pub fn finish<T>(self, built: impl FnOnce() -> Option<T>) -> Result<T, Self> {
        match self.0.is_empty() {
            true => Ok(built().expect("what is missing has been named")),
            false => Err(self),
        }
    }

    /// Returns the errors.
    pub fn iter(&self) -> impl Iterator<Item = &SettingError> {
        self.0.iter()
    }
}

impl From<SettingError> for SettingErrors {
    fn from(error: SettingError) -> Self {
        Self(vec![error])
    }
}

impl std::fmt::Display for SettingErrors {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (index, error) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("; ")?;
            }
            error.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for SettingErrors {}

impl std::fmt::Display for SettingError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "`{}`: {}", self.key, self.message)
    }
}

impl std::error::Error for SettingError {}

/// One configured account at one vendor.
///
/// Roles are separate traits: a vendor implements what it has, and a new role breaks no adapter.
#[async_trait::async_trait]
pub trait Provider: Send + Sync + std::fmt::Debug {
    /// Returns the configured name.
    fn name(&self) -> &ProviderName;

    /// Returns the vendor as configuration names it, such as `acme-iot`.
    fn vendor(&self) -> &'static str;

    /// Returns the base URL of the vendor's API, without user info and query.
    fn endpoint(&self) -> &str;

    /// Returns what this provider can do. Always the same for one provider.
    fn capability(&self) -> &Capability;

    /// Makes one cheap authenticated vendor call.
    ///
    /// # Errors
    /// The error of the call. `Ok` means that the vendor was reached, accepted the credential and allowed the call.
    async fn check(&self, cx: &Context) -> Result<()>;

    /// Returns the reading role, if this provider has it.
    fn jobs(&self) -> Option<&dyn JobReader>;
}

/// Reads jobs and their tasks.
///
/// Requirements that hold for every method:
/// - Every vendor call passes the gate that the provider was built with, under the given context.
/// - A request is checked in the order cursor, capability; only then is a call sent.
/// - A row that can be read only in part is returned with what could be read (status `unknown`, dates left out, the
///   vendor's values in `vendor`); it never fails its page.
/// - A fact that the vendor did not state is absent.
/// - Errors under HTTP 200 are errors.
#[async_trait::async_trait]
pub trait JobReader: Send + Sync {
    /// Lists jobs in the vendor's order.
    ///
    /// Returns at most `page_size` jobs that match all filters, no job twice. The page is filled as long as that costs at
    /// most the configured number of vendor calls; it may then be short, or empty, and carry a cursor to continue. A cursor
    /// is absent exactly at the end of the list. A valid status that this vendor never uses gives an empty page without a
    /// call.
    ///
    /// # Errors
    /// `invalid_argument` for a cursor that was not issued by this list; `unsupported` for a filter that the capability refuses;
    /// the error of the vendor call.
    async fn list_jobs(&self, cx: &Context, request: ListJobs) -> Result<Page<Job>>;

    /// Returns one job with everything that the vendor reports about it, or `None` when the vendor does not know it.
    ///
    /// # Errors
    /// The error of the vendor call; an unknown job is not an error.
    async fn get_job(&self, cx: &Context, request: GetJob) -> Result<Option<Job>>;

    /// Returns counts of a job's tasks, or `None` when the vendor does not know the job. Never reads all tasks.
    ///
    /// # Errors
    /// The error of a vendor call.
    async fn job_stats(&self, cx: &Context, request: GetJob) -> Result<Option<JobStats>>;

    /// Lists the tasks of a job in the vendor's order, or `None` when the vendor does not know the job.
    ///
    /// Pages behave as in [`JobReader::list_jobs`]. A neutral status that stands for several vendor values is listed value
    /// by value. If not all matching tasks can be reached, `truncated` is true on every page, from the first on.
    ///
    /// # Errors
    /// As [`JobReader::list_jobs`].
    async fn list_tasks(&self, cx: &Context, request: ListTasks) -> Result<Option<Page<Task>>>;
}

/// The cursor of a provider: where the next page starts. Opaque to all others; at most [`Cursor::MAX_LEN`] bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor(pub String);

impl Cursor {
    /// The longest cursor that a provider may give, in bytes.
    pub const MAX_LEN: usize = 1024;
}

/// A part of a list.
#[derive(Clone, Debug, PartialEq)]
pub struct Page<T> {
    /// The rows, in the vendor's order.
    pub items: Vec<T>,
    /// The cursor of the next page; absent at the end of the list.
    pub next: Option<Cursor>,
    /// The exact number of matching rows, if the vendor reports it.
    pub total: Option<u64>,
    /// Whether there are matching rows that no page of this list can return.
    pub truncated: bool,
    /// Parts of the vendor's list that were skipped because the vendor permanently fails for these parts only. If there is one, `truncated` is true
    /// from there on.
    pub problems: Vec<PageProblem>,
    /// Whether all rows that this list cannot return belong to packages that `problems` of this page or of an earlier one name. Then of every other row the list is whole.
    pub missing_named: bool,
}

/// A part of a list that was skipped, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PageProblem {
    /// The package whose rows are missing.
    pub package_id: PackageId,
    /// The product of the package.
    pub product_id: Option<ProductId>,
    /// What went wrong.
    pub kind: ErrorKind,
    /// The public message of the error.
    pub message: String,
    /// The vendor's own error.
    pub vendor: Option<VendorError>,
}

impl<T> Page<T> {
    /// Returns the page of a list that has no rows.
    #[must_use]
    pub fn empty() -> Self {
        Self {
            items: Vec::new(),
            next: None,
            total: Some(0),
            truncated: false,
            problems: Vec::new(),
            missing_named: false,
        }
    }
}

/// A request for a page of jobs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListJobs {
    /// Which jobs.
    pub filter: JobFilter,
    /// The most rows, 1 to 100.
    pub page_size: u32,
    /// The cursor of the page; none for the first page.
    pub cursor: Option<Cursor>,
}

/// A request for one job, or for its counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GetJob {
    /// Which job.
    pub job_id: JobId,
}

/// A request for a page of tasks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListTasks {
    /// Of which job.
    pub job_id: JobId,
    /// Which tasks.
    pub filter: TaskFilter,
    /// The most rows, 1 to 100.
    pub page_size: u32,
    /// The cursor of the page; none for the first page.
    pub cursor: Option<Cursor>,
}
