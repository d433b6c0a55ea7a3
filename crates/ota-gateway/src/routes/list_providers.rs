//! GET /v1/providers

use axum::extract::State;
use axum::response::Response;
use ota_core::context::CallSummary;

use crate::access::Reader;
use crate::api::provider::{Provider, ProviderList};
use crate::auth;
use crate::cached_read::Live;
use crate::parameters::Query;
use crate::problem::Failure;
use crate::responses::LocalRead;
use crate::state::App;

/// List the providers
///
/// All configured providers that the token may see, with their capabilities, quota and health. Makes no vendor call: the health is known from
/// earlier calls.
#[utoipa::path(
    get,
    path = "/v1/providers",
    tag = "providers",
    security(("bearer" = [auth::READ])),
    responses((status = 200, description = "The providers", body = ProviderList), LocalRead),
)]
pub async fn list_providers(
    State(app): State<App>,
    Reader(caller): Reader,
    live: Live,
    Query(()): Query<()>,
) -> Result<Response, Failure> {
    let seen = app
        .fleet()
        .members()
        .filter(|member| caller.sees(member.provider().name().as_str()));
    let items = seen.map(Provider::from).collect();
    live.answer(
        app.moment(),
        CallSummary::default(),
        &ProviderList { items },
    )
    .await
}
