//! The parts of a path that operations share.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use utoipa::IntoParams;

use ota_api::problem::Failure;

/// Path parameters; a segment that is not UTF-8 is answered with a problem.
#[derive(Debug)]
pub struct Path<T>(pub T);

impl<T, S> FromRequestParts<S> for Path<T>
where
    T: DeserializeOwned + Send,
    S: Send + Sync,
{
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Failure> {
        match axum::extract::Path::from_request_parts(parts, state).await {
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
