//! One file for each operation: its documentation, its handler.

pub mod check_provider;
pub mod get_job;
pub mod get_job_stats;
pub mod get_provider;
pub mod list_jobs;
pub mod list_providers;
pub mod list_tasks;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use ota_core::context::Moment;
use ota_core::id::JobId;
use ota_core::provider::Page;
use ota_fleet::Answer;
use serde::Serialize;
use serde::de::DeserializeOwned;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::api::page::{PageEnd, PageProblem};
use crate::cache::response::Rendered;
use crate::cursor;
use crate::problem::{Code, Failure};
use crate::state::App;

/// Longer than the identifiers of any vendor; the longest documented ones have 256 characters.
const MAX_ID_CHARS: usize = 512;

/// All operations of the API. Every handler takes a `Reader` or an `Admin`, so none is open.
pub fn api() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list_providers::list_providers))
        .routes(routes!(get_provider::get_provider))
        .routes(routes!(check_provider::check_provider))
        .routes(routes!(list_jobs::list_jobs))
        .routes(routes!(get_job::get_job))
        .routes(routes!(get_job_stats::get_job_stats))
        .routes(routes!(list_tasks::list_tasks))
}

/// Path parameters; a segment that is not UTF-8 is a problem like any other.
#[derive(Debug)]
pub struct Path<T>(pub T);

impl<T: DeserializeOwned + Send> FromRequestParts<App> for Path<T> {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Failure> {
        match axum::extract::Path::from_request_parts(parts, app).await {
            Ok(axum::extract::Path(value)) => Ok(Self(value)),
            Err(_) => Err(Failure::invalid(
                "path",
                "a segment of the path is not valid percent-encoded UTF-8",
            )),
        }
    }
}

/// Writes a page: converts its rows and binds its cursor to the list.
fn page<Row, ApiRow, Body>(
    app: &App,
    binding: &str,
    answer: Answer<Page<Row>>,
    body: fn(Vec<ApiRow>, PageEnd) -> Body,
) -> ota_core::Result<(Rendered, Moment)>
where
    ApiRow: From<Row>,
    Body: Serialize,
{
    let page = answer.value;
    let items = page.items.into_iter().map(ApiRow::from).collect();
    let problems = page.problems.into_iter().map(PageProblem::from).collect();
    let next = page.next.as_ref();
    let next_cursor = next.map(|next| cursor::encode(next, binding, app.now()));
    let rendered = Rendered::dated(answer.as_of, |as_of| {
        let end = PageEnd {
            next_cursor,
            total: page.total,
            as_of,
            stale: false,
            truncated: page.truncated,
            problems,
        };
        body(items, end)
    })?;
    Ok((rendered, answer.as_of))
}

/// Takes the job's identifier from the path. Longer than any vendor's means that there is no such job.
fn job_id(text: String) -> Result<JobId, Failure> {
    match text.chars().nth(MAX_ID_CHARS) {
        None if text.is_empty() => Err(Failure {
            field: Some("job_id".to_owned()),
            ..Failure::new(Code::NotFound, "the job identifier is missing in the path")
        }),
        None => Ok(JobId::from(text)),
        Some(_) => Err(Failure {
            field: Some("job_id".to_owned()),
            ..Failure::new(
                Code::NotFound,
                "the job identifier is too long; no vendor's is this long",
            )
        }),
    }
}
