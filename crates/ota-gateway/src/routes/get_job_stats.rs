//! GET /v1/providers/{provider}/jobs/{job_id}/stats

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use ota_api::job::{JobCounts, JobStats};
use ota_api::parameters::Query;
use ota_api::problem::Failure;
use ota_api::responses::VendorRead;
use ota_sync::LiveRead;

use super::parts::{JobPath, Path};
use super::read;
use crate::access::Reader;
use crate::cache::response::CachedResponse;
use crate::responder::{ReadKey, Responder};
use crate::state::App;

/// Count the tasks of a job
///
/// Number of tasks by status. The provider's `capabilities.job_stats` states how many vendor calls a response costs.
#[utoipa::path(
    get,
    path = "/v1/providers/{provider}/jobs/{job_id}/stats",
    tag = "jobs",
    security(("bearer" = [ota_auth::READ])),
    params(JobPath),
    responses((status = 200, description = "The counts", body = JobStats), VendorRead),
)]
pub async fn get_job_stats(
    State(app): State<App>,
    Reader(caller): Reader,
    responder: Responder,
    Path(JobPath { provider, job_id }): Path<JobPath>,
    Query(()): Query<()>,
) -> Result<Response, Failure> {
    let member = app.provider(&caller, &provider)?;
    let (key, request) = read::of_job(member, "get_job_stats", "stats", job_id)?;
    let member = Arc::clone(member);
    let key = ReadKey {
        is_count: true,
        is_dated: true,
        ..key
    };
    let job_id = request.job_id.clone();
    responder
        .read(key, |app, cx| async move {
            let answer = member.job_stats(&cx, request).await?;
            let seen = || LiveRead::Stats(job_id, answer.value.clone());
            let provider = member.provider().name();
            app.mirror().write_through(provider, answer.as_of, seen);
            let counts = JobCounts::from(answer.value);
            let rendered = CachedResponse::dated(answer.as_of, |as_of| JobStats {
                counts,
                as_of,
                stale: false,
            })?;
            Ok((rendered, answer.as_of))
        })
        .await
}
