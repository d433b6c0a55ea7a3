//! GET /v1/providers/{provider}/jobs/{job_id}/history

use axum::response::Response;
use ota_api::fleet::JobHistory;
use ota_api::parameters::Query;
use ota_api::problem::{Code, Failure};
use ota_api::responses;

use super::parts::{JobPath, Path};
use super::read;
use crate::access::Reader;
use crate::cache::fleet_text;
use crate::fleet_read::FleetRead;

/// The most points of a history.
const MAX_POINTS: u32 = 500;

/// Get the history of a job's counts
///
/// The counts over time, as the gateway saw them change. Answered from the mirror without a vendor call.
#[utoipa::path(
    get,
    path = "/v1/providers/{provider}/jobs/{job_id}/history",
    tag = "fleet",
    security(("bearer" = [ota_auth::READ])),
    params(JobPath),
    responses((status = 200, description = "The counts over time", body = JobHistory), responses::FleetRead),
)]
pub async fn get_job_history(
    Reader(caller): Reader,
    fleet: FleetRead,
    Path(JobPath { provider, job_id }): Path<JobPath>,
    Query(()): Query<()>,
) -> Result<Response, Failure> {
    let covered = fleet.one(&caller, &provider)?;
    let job_id = read::job_id(job_id)?;
    let name = ota_core::id::ProviderName::from(provider);
    let points = fleet
        .ask("get_job_history", |store| async move {
            store.history(&name, &job_id, MAX_POINTS).await
        })
        .await?;
    let points = points.ok_or_else(|| Failure {
        field: Some("job_id".to_owned()),
        ..Failure::new(
            Code::NotFound,
            "the mirror of this provider has no job with this identifier",
        )
    })?;
    let origin = fleet.origin(&covered);
    let body = fleet_text::history(points, &origin)?;
    Ok(fleet.answer(body, &origin).await)
}
