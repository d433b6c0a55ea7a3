//! GET /v1/providers/{provider}

use axum::extract::State;
use axum::response::Response;
use ota_core::context::CallSummary;

use super::parts::{Path, ProviderPath};
use crate::access::Reader;
use crate::api::provider::Provider;
use crate::auth;
use crate::cached_read::Live;
use crate::parameters::Query;
use crate::problem::Failure;
use crate::responses::LocalRead;
use crate::state::App;

/// Get one provider
///
/// The capabilities, the quota and the health of the provider. Makes no vendor call.
#[utoipa::path(
    get,
    path = "/v1/providers/{provider}",
    tag = "providers",
    security(("bearer" = [auth::READ])),
    params(ProviderPath),
    responses((status = 200, description = "The provider", body = Provider), LocalRead),
)]
pub async fn get_provider(
    State(app): State<App>,
    Reader(caller): Reader,
    live: Live,
    Path(ProviderPath { provider }): Path<ProviderPath>,
    Query(()): Query<()>,
) -> Result<Response, Failure> {
    let member = app.provider(&caller, &provider)?;
    let provider = Provider::from(&**member);
    live.answer(app.moment(), CallSummary::default(), &provider)
        .await
}
