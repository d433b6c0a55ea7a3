//! GET /v1/providers/{provider}/jobs/{job_id}/stats

use axum::extract::{RawQuery, State};
use axum::response::Response;
use ota_core::provider::GetJob;

use super::{Path, job_id};
use crate::api::job::{JobCounts, JobStats};
use crate::app::App;
use crate::auth::Reader;
use crate::fresh::{Age, Live};
use crate::problem::Failure;
use crate::query::Query;

/// Count the tasks of a job
///
/// Numbers of tasks by status. What an answer costs the vendor's quota stands in the provider's `capabilities.job_stats`.
#[utoipa::path(
    get,
    path = "/v1/providers/{provider}/jobs/{job_id}/stats",
    operation_id = "get_job_stats",
    tag = "jobs",
    params(
        ("provider" = String, Path, description = "The configured name of the provider"),
        ("job_id" = String, Path, description = "The vendor's identifier of the job"),
    ),
    responses((status = 200, description = "The counts", body = JobStats)),
)]
pub async fn get_job_stats(
    State(app): State<App>,
    Reader(caller): Reader,
    live: Live,
    Path((provider, job)): Path<(String, String)>,
    RawQuery(query): RawQuery,
) -> Result<Response, Failure> {
    Query::parse(query.as_deref(), &[])?;
    app.provider(&caller, &provider)?;
    let job_id = job_id(job)?;
    live.may_call(|| Ok(()), &provider)?;
    let answer = app
        .fleet()
        .job_stats(&live.cx, &provider, GetJob { job_id })
        .await
        .map_err(|error| live.failure(&error, &provider))?;
    let age = Age::of(&answer);
    let counts = JobCounts::from(answer.value);
    live.answer(age, |as_of| JobStats {
        counts: counts.clone(),
        as_of,
        stale: age.stale,
    })
}
