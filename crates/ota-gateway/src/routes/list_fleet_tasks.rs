//! GET /v1/tasks

use axum::extract::State;
use axum::response::Response;
use ota_api::fleet::FleetTaskPage;
use ota_api::fleet_parameters::{FleetPaging, TaskSearch};
use ota_api::parameters::Query;
use ota_api::problem::Failure;
use ota_api::responses::FleetList;

use super::fleet_query::{self, FleetTasks};
use crate::access::Reader;
use crate::cache::fleet_text;
use crate::fleet_read::FleetRead;
use crate::state::App;

/// List the tasks of all providers
///
/// A page of all tasks that the token may see, answered from the mirror without a vendor call. `sources` says how far the mirror of each provider is.
/// Paging goes by position in the order: tasks that do not move are neither missed nor returned twice.
#[utoipa::path(
    get,
    path = "/v1/tasks",
    tag = "fleet",
    security(("bearer" = [ota_auth::READ])),
    params(Query<(FleetTasks, (TaskSearch, FleetPaging))>),
    responses((status = 200, description = "A page of tasks", body = FleetTaskPage), FleetList),
)]
pub async fn list_fleet_tasks(
    State(app): State<App>,
    Reader(caller): Reader,
    fleet: FleetRead,
    Query((filter, (search, paging))): Query<(FleetTasks, (TaskSearch, FleetPaging))>,
) -> Result<Response, Failure> {
    filter.check()?;
    let covered = fleet.covered(&caller, &filter.provider)?;
    let question = format!("{filter:?}\n{search:?}");
    let list = fleet.list("tasks", &question, &covered, &paging);
    let after = list.position(&app, &paging)?;
    let query = filter.query(&covered.providers, Some(&search), app.now());
    let sort = fleet_query::task_sort(search.sort);
    let page = fleet
        .ask("list_fleet_tasks", |store| async move {
            store.tasks(&query, sort, after.as_deref(), list.size).await
        })
        .await?;
    let origin = fleet.origin(&covered);
    let body = fleet_text::tasks(&page, list.next(&app, page.next.as_ref()), &origin)?;
    Ok(fleet.answer(body, &origin).await)
}
