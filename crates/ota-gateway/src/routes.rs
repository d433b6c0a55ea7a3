//! One file for each operation: its documentation, its handler.

pub mod check_provider;
pub mod count_jobs;
pub mod count_tasks;
pub mod fleet_query;
pub mod get_job;
pub mod get_job_history;
pub mod get_job_stats;
pub mod get_provider;
pub mod get_sync;
pub mod list_fleet_jobs;
pub mod list_fleet_tasks;
pub mod list_jobs;
pub mod list_providers;
pub mod list_tasks;
pub mod parts;
mod provider_view;
mod read;
pub mod start_sync;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::state::App;

/// All operations of the API. Every handler takes a `Reader` or an `Admin`, so none is accessible without authorization.
pub fn api() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list_providers::list_providers))
        .routes(routes!(get_provider::get_provider))
        .routes(routes!(check_provider::check_provider))
        .routes(routes!(list_jobs::list_jobs))
        .routes(routes!(get_job::get_job))
        .routes(routes!(get_job_stats::get_job_stats))
        .routes(routes!(list_tasks::list_tasks))
        .routes(routes!(list_fleet_jobs::list_fleet_jobs))
        .routes(routes!(list_fleet_tasks::list_fleet_tasks))
        .routes(routes!(count_jobs::count_jobs))
        .routes(routes!(count_tasks::count_tasks))
        .routes(routes!(get_job_history::get_job_history))
        .routes(routes!(get_sync::get_sync))
        .routes(routes!(start_sync::start_sync))
}
