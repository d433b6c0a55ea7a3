//! GET /v1/providers

use axum::extract::State;
use axum::response::Response;
use ota_api::parameters::Query;
use ota_api::problem::Failure;
use ota_api::provider::ProviderList;
use ota_api::responses::LocalRead;
use ota_core::context::CallSummary;

use super::provider_view;
use crate::access::Reader;
use crate::responder::Responder;
use crate::state::App;

/// List the providers
///
/// All configured providers that the token may see, with their capabilities, quota and health. Makes no vendor call: the health is known from
/// earlier calls.
#[utoipa::path(
    get,
    path = "/v1/providers",
    tag = "providers",
    security(("bearer" = [ota_auth::READ])),
    responses((status = 200, description = "The providers", body = ProviderList), LocalRead),
)]
pub async fn list_providers(
    State(app): State<App>,
    Reader(caller): Reader,
    responder: Responder,
    Query(()): Query<()>,
) -> Result<Response, Failure> {
    let seen = app
        .fleet()
        .members()
        .filter(|member| caller.sees(member.provider().name().as_str()));
    let items = seen
        .map(|member| provider_view::provider(member, app.mirror()))
        .collect();
    responder
        .answer(CallSummary::default(), &ProviderList { items })
        .await
}
