//! GET /v1/providers/{provider}

use axum::extract::{RawQuery, State};
use axum::response::Response;
use ota_core::context::CallSummary;

use super::Path;
use crate::api::provider::Provider;
use crate::auth::Reader;
use crate::cached_read::Live;
use crate::problem::Failure;
use crate::query::Query;
use crate::state::App;

/// Get one provider
///
/// The capabilities, the quota and the health of the provider. Makes no vendor call.
#[utoipa::path(
    get,
    path = "/v1/providers/{provider}",
    operation_id = "get_provider",
    tag = "providers",
    params(("provider" = String, Path, description = "The configured name of the provider.")),
    responses((status = 200, description = "The provider", body = Provider)),
)]
pub async fn get_provider(
    State(app): State<App>,
    Reader(caller): Reader,
    live: Live,
    Path(provider): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Response, Failure> {
    Query::parse(query.as_deref(), &[])?;
    let member = app.provider(&caller, &provider)?;
    live.answer(
        app.moment(),
        CallSummary::default(),
        &Provider::from(&**member),
    )
    .await
}
