//! POST /v1/providers/{provider}/check

use axum::extract::{RawQuery, State};
use axum::response::Response;
use ota_core::{Error, ErrorKind};

use super::Path;
use crate::api::provider::Health;
use crate::app::App;
use crate::auth::Admin;
use crate::fresh::Live;
use crate::problem::Failure;
use crate::query::Query;

/// Check a provider now
///
/// Makes one cheap authenticated vendor call and tells what came of it. The answer is 200 whatever the health is.
#[utoipa::path(
    post,
    path = "/v1/providers/{provider}/check",
    operation_id = "check_provider",
    tag = "providers",
    params(("provider" = String, Path, description = "The configured name of the provider")),
    responses((status = 200, description = "The health as the call told it", body = Health)),
)]
pub async fn check_provider(
    State(app): State<App>,
    Admin(caller): Admin,
    live: Live,
    Path(provider): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Response, Failure> {
    Query::parse(query.as_deref(), &[])?;
    app.provider(&caller, &provider)?;
    let cx = live.context();
    let (called, cx_of_call, name) = (app.clone(), cx.clone(), provider.clone());
    let health = app.with_vendor(async move { called.fleet().check(&cx_of_call, &name).await });
    let health = live
        .unless_gone(health, || cx.calls.summary().count > 0)
        .await?
        .unwrap_or_else(|| {
            Err(Error::new(
                ErrorKind::Unexpected,
                "the check was not finished",
            ))
        })
        .map_err(|error| live.failure(&error, &provider))?;
    live.answer(app.moment(), cx.calls.summary(), &Health::from(health))
        .await
}
