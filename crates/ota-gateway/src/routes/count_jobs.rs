//! GET /v1/stats/jobs

use axum::response::Response;
use ota_api::fleet::GroupCounts;
use ota_api::fleet_parameters::{GroupBy, JobGrouping, JobKey};
use ota_api::parameters::Query;
use ota_api::problem::Failure;
use ota_api::responses;

use super::fleet_query::{self, FleetJobs, MAX_GROUPS};
use crate::access::Reader;
use crate::cache::fleet_text;
use crate::fleet_read::FleetRead;

/// Count the jobs of all providers
///
/// The number of jobs that the token may see, in groups, the largest first, at most 1000. Answered from the mirror without a vendor call.
#[utoipa::path(
    get,
    path = "/v1/stats/jobs",
    tag = "fleet",
    security(("bearer" = [ota_auth::READ])),
    params(Query<(JobGrouping, FleetJobs)>),
    responses((status = 200, description = "The groups", body = GroupCounts), responses::FleetRead),
)]
pub async fn count_jobs(
    Reader(caller): Reader,
    fleet: FleetRead,
    Query((grouping, filter)): Query<(JobGrouping, FleetJobs)>,
) -> Result<Response, Failure> {
    let GroupBy(keys) = grouping.group_by;
    let covered = fleet.covered(&caller, &filter.provider)?;
    let query = filter.query(&covered.providers, None);
    let by: Vec<_> = keys.iter().copied().map(fleet_query::job_key).collect();
    let groups = fleet
        .ask("count_jobs", |store| async move {
            store.job_groups(&query, &by, MAX_GROUPS).await
        })
        .await?;
    let origin = fleet.origin(&covered);
    let names: Vec<_> = keys.into_iter().map(JobKey::as_str).collect();
    let body = fleet_text::groups(&groups, &names, &origin)?;
    Ok(fleet.answer(body, &origin).await)
}
