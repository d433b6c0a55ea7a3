//! Pages of lists.

use serde::Serialize;
use utoipa::ToSchema;

use super::job::Job;
use super::task::Task;

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
}
