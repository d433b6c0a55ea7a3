//! GET /v1/providers/{provider}/jobs/{job_id}

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use ota_api::job::Job;
use ota_api::parameters::Query;
use ota_api::problem::Failure;
use ota_api::responses::VendorRead;
use ota_sync::LiveRead;

use super::parts::{JobPath, Path};
use super::read;
use crate::access::Reader;
use crate::cache::response::CachedResponse;
use crate::responder::Responder;
use crate::state::App;

/// Get one job
///
/// Everything that the vendor reports about the job. The headers `OTA-As-Of` and `Age` state the age of the data.
#[utoipa::path(
    get,
    path = "/v1/providers/{provider}/jobs/{job_id}",
    tag = "jobs",
    security(("bearer" = [ota_auth::READ])),
    params(JobPath),
    responses((status = 200, description = "The job", body = Job), VendorRead),
)]
pub async fn get_job(
    State(app): State<App>,
    Reader(caller): Reader,
    responder: Responder,
    Path(JobPath { provider, job_id }): Path<JobPath>,
    Query(()): Query<()>,
) -> Result<Response, Failure> {
    let member = app.provider(&caller, &provider)?;
    let (key, request) = read::of_job(member, "get_job", "job", job_id)?;
    let member = Arc::clone(member);
    responder
        .read(key, |app, cx| async move {
            let answer = member.get_job(&cx, request).await?;
            let seen = || LiveRead::Jobs(vec![answer.value.clone()]);
            let provider = member.provider().name();
            app.mirror().write_through(provider, answer.as_of, seen);
            let rendered = CachedResponse::undated(answer.as_of, &Job::from(answer.value))?;
            Ok((rendered, answer.as_of))
        })
        .await
}
