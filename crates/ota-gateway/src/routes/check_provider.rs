//! POST /v1/providers/{provider}/check

use axum::Json;
use axum::extract::{RawQuery, State};

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
) -> Result<Json<Health>, Failure> {
    Query::parse(query.as_deref(), &[])?;
    app.provider(&caller, &provider)?;
    let health = app.fleet().check(&live.cx, &provider).await;
    health
        .map(|health| Json(health.into()))
        .map_err(|error| Failure::of_provider(&error, &provider, &live.cx.request_id))
}
