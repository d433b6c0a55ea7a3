//! GET /v1/providers/{provider}/jobs/{job_id}

use axum::extract::{RawQuery, State};
use axum::response::Response;
use ota_core::provider::GetJob;

use super::{Path, job_id};
use crate::api::job::Job;
use crate::app::App;
use crate::auth::Reader;
use crate::fresh::{Age, Live};
use crate::problem::Failure;
use crate::query::Query;

/// Get one job
///
/// Everything that the vendor tells about the job. How old it is stands in the headers `OTA-As-Of` and `Age`.
#[utoipa::path(
    get,
    path = "/v1/providers/{provider}/jobs/{job_id}",
    operation_id = "get_job",
    tag = "jobs",
    params(
        ("provider" = String, Path, description = "The configured name of the provider"),
        ("job_id" = String, Path, description = "The vendor's identifier of the job"),
    ),
    responses((status = 200, description = "The job", body = Job)),
)]
pub async fn get_job(
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
        .get_job(&live.cx, &provider, GetJob { job_id })
        .await
        .map_err(|error| live.failure(&error, &provider))?;
    let age = Age::of(&answer);
    let job = Job::from(answer.value);
    live.answer(age, |_| job.clone())
}
