//! One file for each operation: its documentation, its handler.

pub mod check_provider;
pub mod get_job;
pub mod get_job_stats;
pub mod get_provider;
pub mod list_jobs;
pub mod list_providers;
pub mod list_tasks;
mod read;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::problem::Failure;
use crate::state::App;

/// All operations of the API. Every handler takes a `Reader` or an `Admin`, so none is open.
pub fn api() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list_providers::list_providers))
        .routes(routes!(get_provider::get_provider))
        .routes(routes!(check_provider::check_provider))
        .routes(routes!(list_jobs::list_jobs))
        .routes(routes!(get_job::get_job))
        .routes(routes!(get_job_stats::get_job_stats))
        .routes(routes!(list_tasks::list_tasks))
}

/// Path parameters; a segment that is not UTF-8 is a problem like any other.
#[derive(Debug)]
pub struct Path<T>(pub T);

impl<T: DeserializeOwned + Send> FromRequestParts<App> for Path<T> {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Failure> {
        match axum::extract::Path::from_request_parts(parts, app).await {
            Ok(axum::extract::Path(value)) => Ok(Self(value)),
            Err(_) => Err(Failure::invalid(
                "path",
                "a segment of the path is not valid percent-encoded UTF-8",
            )),
        }
    }
}

/// The path of a provider.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub struct ProviderPath {
    /// The configured name of the provider.
    pub provider: String,
}

/// The path of a job.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub struct JobPath {
    /// The configured name of the provider.
    pub provider: String,
    /// The vendor's identifier of the job.
    pub job_id: String,
}
