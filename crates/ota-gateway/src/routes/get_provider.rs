//! GET /v1/providers/{provider}

use axum::extract::State;
use axum::response::Response;
use ota_api::parameters::Query;
use ota_api::problem::Failure;
use ota_api::provider::Provider;
use ota_api::responses::LocalRead;
use ota_core::context::CallSummary;

use super::parts::{Path, ProviderPath};
use super::provider_view;
use crate::access::Reader;
use crate::responder::Responder;
use crate::state::App;

/// Get one provider
///
/// The capabilities, the quota and the health of the provider. Makes no vendor call.
#[utoipa::path(
    get,
    path = "/v1/providers/{provider}",
    tag = "providers",
    security(("bearer" = [ota_auth::READ])),
    params(ProviderPath),
    responses((status = 200, description = "The provider", body = Provider), LocalRead),
)]
pub async fn get_provider(
    State(app): State<App>,
    Reader(caller): Reader,
    responder: Responder,
    Path(ProviderPath { provider }): Path<ProviderPath>,
    Query(()): Query<()>,
) -> Result<Response, Failure> {
    let member = app.provider(&caller, &provider)?;
    let provider = provider_view::provider(member, app.mirror());
    responder.answer(CallSummary::default(), &provider).await
}
