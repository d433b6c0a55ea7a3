//! Pages of lists.

use ota_core::provider as core;
use serde::Serialize;
use utoipa::ToSchema;

use super::job::Job;
use super::task::Task;
use crate::problem::{Code, VendorProblem};

/// A page of jobs.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct JobPage {
    /// The jobs, in the vendor's order. A page may be shorter than asked for, or even empty, and still have a `next_cursor`.
    pub items: Vec<Job>,
    /// How the list goes on.
    #[serde(flatten)]
    pub end: PageEnd,
}

/// A page of tasks.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct TaskPage {
    /// The tasks, in the vendor's order. A page may be shorter than asked for, or even empty, and still have a `next_cursor`.
    pub items: Vec<Task>,
    /// How the list goes on.
    #[serde(flatten)]
    pub end: PageEnd,
}

/// How a list goes on, and how old this part of it is. A walk is no snapshot: rows that move while a job runs can be seen twice or
/// missed.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct PageEnd {
    /// Pass it as `cursor` with the same path, filters and page size. Absent at the end of the list.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
    /// The exact number of matching rows, when the vendor tells it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total: Option<u64>,
    /// The time of the earliest vendor call behind the page.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime, required = true)]
    pub as_of: Option<String>,
    /// Whether the page is older than asked for because the vendor did not answer.
    pub stale: bool,
    /// Whether matching rows exist that this walk cannot reach; then it is so on every page of the walk.
    pub truncated: bool,
    /// Packages whose jobs are missing, because the vendor fails for each of them alone; absent when there are none. With one, `truncated` is true.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    pub problems: Vec<PageProblem>,
}

/// A package that was passed over in a list, and why.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct PageProblem {
    /// The package whose jobs are missing.
    pub package_id: String,
    /// The product of the package.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub product_id: Option<String>,
    /// What went wrong, as in a problem's `code`: `provider_rejected`, `provider_protocol`, `provider_unavailable`, `not_found`. Expect new ones.
    pub code: String,
    /// What happened.
    pub detail: String,
    /// What the vendor said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vendor: Option<VendorProblem>,
}

impl From<core::PageProblem> for PageProblem {
    fn from(problem: core::PageProblem) -> Self {
        Self {
            package_id: problem.package_id.into_string(),
            product_id: problem.product_id.map(|id| id.into_string()),
            code: Code::of_provider_error(problem.kind).as_str().to_owned(),
            detail: problem.message,
            vendor: problem.vendor.map(|vendor| VendorProblem {
                code: vendor.code,
                message: vendor.message,
                request_id: vendor.request_id,
            }),
        }
    }
}
