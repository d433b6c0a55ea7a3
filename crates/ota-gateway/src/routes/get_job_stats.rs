//! GET /v1/providers/{provider}/jobs/{job_id}/stats

use std::sync::Arc;

use axum::extract::{RawQuery, State};
use axum::response::Response;
use ota_core::provider::GetJob;

use super::{Path, job_id};
use crate::api::job::{JobCounts, JobStats};
use crate::auth::Reader;
use crate::cache::response::Rendered;
use crate::cached_read::{Live, Read};
use crate::problem::Failure;
use crate::query::Query;
use crate::state::App;

/// Count the tasks of a job
///
/// Number of tasks by status. The provider's `capabilities.job_stats` states how many vendor calls a response costs.
#[utoipa::path(
    get,
    path = "/v1/providers/{provider}/jobs/{job_id}/stats",
    operation_id = "get_job_stats",
    tag = "jobs",
    params(
        ("provider" = String, Path, description = "The configured name of the provider."),
        ("job_id" = String, Path, description = "The vendor's identifier of the job."),
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
    let member = app.provider(&caller, &provider)?;
    let job_id = job_id(job)?;
    let read = Read {
        member,
        operation: "get_job_stats",
        key: format!("{provider}\nstats\n{job_id}"),
        is_count: true,
    };
    let reader = Arc::clone(member);
    live.read(read, |_, cx| async move {
        let answer = reader.job_stats(&cx, GetJob { job_id }).await?;
        let counts = JobCounts::from(answer.value);
        let rendered = Rendered::dated(answer.as_of, |as_of| JobStats {
            counts,
            as_of,
            stale: false,
        })?;
        Ok((rendered, answer.as_of))
    })
    .await
}
