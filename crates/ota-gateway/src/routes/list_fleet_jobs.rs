//! GET /v1/jobs

use axum::extract::State;
use axum::response::Response;
use ota_api::fleet::FleetJobPage;
use ota_api::fleet_parameters::{FleetPaging, JobSearch};
use ota_api::parameters::Query;
use ota_api::problem::Failure;
use ota_api::responses::FleetList;

use super::fleet_query::{self, FleetJobs};
use crate::access::Reader;
use crate::cache::fleet_text;
use crate::fleet_read::FleetRead;
use crate::state::App;

/// List the jobs of all providers
///
/// A page of all jobs that the token may see, answered from the mirror without a vendor call. `sources` says how far the mirror of each provider is.
/// Paging goes by position in the order: jobs that do not move are neither missed nor returned twice.
#[utoipa::path(
    get,
    path = "/v1/jobs",
    tag = "fleet",
    security(("bearer" = [ota_auth::READ])),
    params(Query<(FleetJobs, (JobSearch, FleetPaging))>),
    responses((status = 200, description = "A page of jobs", body = FleetJobPage), FleetList),
)]
pub async fn list_fleet_jobs(
    State(app): State<App>,
    Reader(caller): Reader,
    fleet: FleetRead,
    Query((filter, (search, paging))): Query<(FleetJobs, (JobSearch, FleetPaging))>,
) -> Result<Response, Failure> {
    let covered = fleet.covered(&caller, &filter.provider)?;
    let question = format!("{filter:?}\n{search:?}");
    let list = fleet.list("jobs", &question, &covered, &paging);
    let after = list.position(&app, &paging)?;
    let query = filter.query(&covered.providers, Some(&search));
    let sort = fleet_query::job_sort(search.sort);
    let page = fleet
        .ask("list_fleet_jobs", |store| async move {
            store.jobs(&query, sort, after.as_deref(), list.size).await
        })
        .await?;
    let origin = fleet.origin(&covered);
    let body = fleet_text::jobs(&page, list.next(&app, page.next.as_ref()), &origin)?;
    Ok(fleet.answer(body, &origin).await)
}
