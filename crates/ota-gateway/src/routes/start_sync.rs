//! POST /v1/providers/{provider}/sync

use axum::extract::State;
use axum::response::Response;
use ota_api::fleet::SyncProgress;
use ota_api::parameters::Query;
use ota_api::problem::Failure;
use ota_api::responses::SyncCommand;
use ota_core::id::ProviderName;

use super::parts::{Path, ProviderPath};
use crate::access::Admin;
use crate::cache::fleet_text;
use crate::fleet_read::FleetRead;
use crate::state::App;

/// Start a full pass over a provider
///
/// A pass over all jobs of the provider begins now, inside the background share of the quota; one that is running is joined.
#[utoipa::path(
    post,
    path = "/v1/providers/{provider}/sync",
    tag = "fleet",
    security(("bearer" = [ota_auth::ADMIN])),
    params(ProviderPath),
    responses((status = 202, description = "The progress", body = SyncProgress), SyncCommand),
)]
pub async fn start_sync(
    State(app): State<App>,
    Admin(caller): Admin,
    fleet: FleetRead,
    Path(ProviderPath { provider }): Path<ProviderPath>,
    Query(()): Query<()>,
) -> Result<Response, Failure> {
    let covered = fleet.one(&caller, &provider)?;
    let provider = ProviderName::from(provider);
    app.mirror()
        .start_full_pass(&provider, fleet.until())
        .await?;
    let origin = fleet.origin(&covered);
    let progress = app.mirror().progress(&provider, fleet.until()).await?;
    let body = fleet_text::whole(&progress, &origin)?;
    Ok(fleet.accepted(body, &origin).await)
}
