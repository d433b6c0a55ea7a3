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
    /// The cursor, the total and the age of the page.
    #[serde(flatten)]
    pub end: PageEnd,
}

/// A page of tasks.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct TaskPage {
    /// The tasks, in the vendor's order. A page may be shorter than asked for, or even empty, and still have a `next_cursor`.
    pub items: Vec<Task>,
    /// The cursor, the total and the age of the page.
    #[serde(flatten)]
    pub end: PageEnd,
}

/// The cursor, the total and the age of a page. Paging is not a snapshot: rows that change between two pages can be returned twice or
/// be missed.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct PageEnd {
    /// The value of `cursor` for the next page, with the same path, filters and page size. Absent on the last page.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
    /// The exact number of matching rows, if the vendor reports it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total: Option<u64>,
    /// The time of the earliest vendor call that the page comes from.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime, required = true)]
    pub as_of: Option<String>,
    /// Whether this is an older cached page, served because the vendor did not answer.
    pub stale: bool,
    /// Whether there are matching rows that no page of this list can return. If so, it is true on every page.
    pub truncated: bool,
    /// Packages whose jobs are missing because the vendor fails for these packages only. Absent if there are none; otherwise `truncated` is true.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    pub problems: Vec<PageProblem>,
}

/// A package that was left out of a list, and why.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct PageProblem {
    /// The package whose jobs are missing.
    pub package_id: String,
    /// The product of the package.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub product_id: Option<String>,
    /// The kind of failure, as in a problem's `code`: `provider_rejected`, `provider_protocol`, `provider_unavailable`, `not_found`. Expect new ones.
    pub code: String,
    /// What happened.
    pub detail: String,
    /// The vendor's own error.
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
