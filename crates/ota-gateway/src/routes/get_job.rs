//! GET /v1/providers/{provider}/jobs/{job_id}

use std::sync::Arc;

use axum::extract::{RawQuery, State};
use axum::response::Response;
use ota_core::provider::GetJob;

use super::{Path, job_id};
use crate::api::job::Job;
use crate::auth::Reader;
use crate::cache::response::Rendered;
use crate::cached_read::{Live, Read};
use crate::problem::Failure;
use crate::query::Query;
use crate::state::App;

/// Get one job
///
/// Everything that the vendor reports about the job. The headers `OTA-As-Of` and `Age` state the age of the data.
#[utoipa::path(
    get,
    path = "/v1/providers/{provider}/jobs/{job_id}",
    operation_id = "get_job",
    tag = "jobs",
    params(
        ("provider" = String, Path, description = "The configured name of the provider."),
        ("job_id" = String, Path, description = "The vendor's identifier of the job."),
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
    let member = app.provider(&caller, &provider)?;
    let job_id = job_id(job)?;
    let read = Read {
        member,
        operation: "get_job",
        key: format!("{provider}\njob\n{job_id}"),
        is_count: false,
    };
    let reader = Arc::clone(member);
    live.read(read, |_, cx| async move {
        let answer = reader.get_job(&cx, GetJob { job_id }).await?;
        let rendered = Rendered::undated(answer.as_of, &Job::from(answer.value))?;
        Ok((rendered, answer.as_of))
    })
    .await
}
