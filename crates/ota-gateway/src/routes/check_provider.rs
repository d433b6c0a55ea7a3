//! POST /v1/providers/{provider}/check

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use ota_api::parameters::Query;
use ota_api::problem::Failure;
use ota_api::provider::Health;
use ota_api::responses::Command;
use ota_core::{Error, ErrorKind};

use super::parts::{Path, ProviderPath};
use super::provider_view;
use crate::access::Admin;
use crate::responder::Responder;
use crate::state::App;

/// Check a provider
///
/// Makes one cheap authenticated vendor call and returns the resulting health. The status is 200 for any health.
#[utoipa::path(
    post,
    path = "/v1/providers/{provider}/check",
    tag = "providers",
    security(("bearer" = [ota_auth::ADMIN])),
    params(ProviderPath),
    responses((status = 200, description = "The health after the call", body = Health), Command),
)]
pub async fn check_provider(
    State(app): State<App>,
    Admin(caller): Admin,
    responder: Responder,
    Path(ProviderPath { provider }): Path<ProviderPath>,
    Query(()): Query<()>,
) -> Result<Response, Failure> {
    let member = Arc::clone(app.provider(&caller, &provider)?);
    if let Some(response) = responder.command_elsewhere(&member).await? {
        return Ok(response);
    }
    let cx = responder.context();
    let cx_of_call = cx.clone();
    let health = app.with_vendor(async move { member.check(&cx_of_call).await });
    let health = responder
        .unless_gone(health, || cx.calls.summary().count > 0)
        .await?
        .ok_or_else(|| {
            let error = Error::new(ErrorKind::Unexpected, "the check was not finished");
            responder.failure(&error, &provider)
        })?;
    let health = provider_view::health(health);
    responder.answer(cx.calls.summary(), &health).await
}
