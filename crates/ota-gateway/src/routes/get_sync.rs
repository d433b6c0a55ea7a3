//! GET /v1/providers/{provider}/sync

use axum::extract::State;
use axum::response::Response;
use ota_api::fleet::SyncProgress;
use ota_api::parameters::Query;
use ota_api::problem::Failure;
use ota_api::responses;
use ota_core::id::ProviderName;

use super::parts::{Path, ProviderPath};
use crate::access::Reader;
use crate::cache::fleet_text;
use crate::fleet_read::FleetRead;
use crate::state::App;

/// Get the progress of a provider's mirror
///
/// How far the mirror is, and what is being read. Makes no vendor call.
#[utoipa::path(
    get,
    path = "/v1/providers/{provider}/sync",
    tag = "fleet",
    security(("bearer" = [ota_auth::READ])),
    params(ProviderPath),
    responses((status = 200, description = "The progress", body = SyncProgress), responses::FleetRead),
)]
pub async fn get_sync(
    State(app): State<App>,
    Reader(caller): Reader,
    fleet: FleetRead,
    Path(ProviderPath { provider }): Path<ProviderPath>,
    Query(()): Query<()>,
) -> Result<Response, Failure> {
    let covered = fleet.one(&caller, &provider)?;
    let provider = ProviderName::from(provider);
    let origin = fleet.origin(&covered);
    let progress = app.mirror().progress(&provider, fleet.until()).await?;
    let body = fleet_text::whole(&progress, &origin)?;
    Ok(fleet.answer(body, &origin).await)
}
