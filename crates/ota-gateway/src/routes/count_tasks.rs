//! GET /v1/stats/tasks

use axum::extract::State;
use axum::response::Response;
use ota_api::fleet::GroupCounts;
use ota_api::fleet_parameters::{GroupBy, TaskGrouping, TaskKey};
use ota_api::parameters::Query;
use ota_api::problem::Failure;
use ota_api::responses;

use super::fleet_query::{self, FleetTasks, MAX_GROUPS};
use crate::access::Reader;
use crate::cache::fleet_text;
use crate::fleet_read::FleetRead;
use crate::state::App;

/// Count the tasks of all providers
///
/// The number of tasks that the token may see, in groups, the largest first, at most 1000. Answered from the mirror without a vendor call.
#[utoipa::path(
    get,
    path = "/v1/stats/tasks",
    tag = "fleet",
    security(("bearer" = [ota_auth::READ])),
    params(Query<(TaskGrouping, FleetTasks)>),
    responses((status = 200, description = "The groups", body = GroupCounts), responses::FleetRead),
)]
pub async fn count_tasks(
    State(app): State<App>,
    Reader(caller): Reader,
    fleet: FleetRead,
    Query((grouping, filter)): Query<(TaskGrouping, FleetTasks)>,
) -> Result<Response, Failure> {
    filter.check()?;
    let GroupBy(keys) = grouping.group_by;
    let covered = fleet.covered(&caller, &filter.provider)?;
    let query = filter.query(&covered.providers, None, app.now());
    let by: Vec<_> = keys.iter().copied().map(fleet_query::task_key).collect();
    let groups = fleet
        .ask("count_tasks", |store| async move {
            store.task_groups(&query, &by, MAX_GROUPS).await
        })
        .await?;
    let origin = fleet.origin(&covered);
    let names: Vec<_> = keys.into_iter().map(TaskKey::as_str).collect();
    let body = fleet_text::groups(&groups, &names, &origin)?;
    Ok(fleet.answer(body, &origin).await)
}
