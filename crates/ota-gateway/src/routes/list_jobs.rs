//! GET /v1/providers/{provider}/jobs

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use ota_api::page::JobPage;
use ota_api::parameters::{Paging, Query};
use ota_api::problem::Failure;
use ota_api::query_parameters;
use ota_api::responses::VendorList;
use ota_core::capability::Capability;
use ota_core::filter::JobFilter;
use ota_core::id::{DeviceId, DeviceName, PackageId, ProductId};
use ota_core::job::{JobKind, JobOutcome, JobStatus};
use ota_core::provider::ListJobs;
use ota_fleet::ConfiguredProvider;
use ota_sync::LiveRead;

use super::parts::{Path, ProviderPath};
use super::read;
use crate::access::Reader;
use crate::responder::Responder;
use crate::state::App;

query_parameters! {
    /// Which jobs.
    #[derive(Debug)]
    pub struct Jobs(JobFilter) {
        /// Jobs in one of these statuses; repeat the parameter or separate values by commas.
        status: Vec<JobStatus>,
        /// Jobs with one of these outcomes; repeat the parameter or separate values by commas.
        outcome: Vec<JobOutcome>,
        /// Jobs that install this kind of package.
        kind: Option<JobKind>,
        /// Jobs of this package.
        package_id: Option<PackageId>,
        /// Jobs of this product.
        product_id: Option<ProductId>,
        /// Jobs for this device.
        device_id: Option<DeviceId>,
        /// Jobs for the device with this name. A provider may require other filters beside it; see its `capabilities.needs`.
        device_name: Option<DeviceName>,
        /// Jobs for this device type.
        device_type: Option<String>,
        /// Jobs for this device model.
        model: Option<String>,
        /// Jobs for devices of this manufacturer.
        manufacturer: Option<String>,
    }
}

/// List jobs
///
/// A page of the provider's jobs, in the vendor's order. The provider's `capabilities` state which filters it supports; a request with any other
/// filter fails with `unsupported_by_provider`, and no vendor call is made. Paging is not a snapshot: jobs that are created while a client reads the
/// pages can be missed or returned twice.
#[utoipa::path(
    get,
    path = "/v1/providers/{provider}/jobs",
    tag = "jobs",
    security(("bearer" = [ota_auth::READ])),
    params(ProviderPath, Query<(Jobs, Paging)>),
    responses((status = 200, description = "A page of jobs", body = JobPage), VendorList),
)]
pub async fn list_jobs(
    State(app): State<App>,
    Reader(caller): Reader,
    responder: Responder,
    Path(ProviderPath { provider }): Path<ProviderPath>,
    Query((Jobs(filter), paging)): Query<(Jobs, Paging)>,
) -> Result<Response, Failure> {
    let member = app.provider(&caller, &provider)?;
    let page = read::of_page(responder, member, "list_jobs", "jobs", &filter, paging)?;
    page.check(Capability::check_jobs, &filter)?;
    let rows = |member: Arc<ConfiguredProvider>, cx, page_size, cursor| async move {
        let request = ListJobs {
            filter,
            page_size,
            cursor,
        };
        member.list_jobs(&cx, request).await
    };
    let seen = |rows: &[ota_core::job::Job]| LiveRead::Jobs(rows.to_vec());
    let body = |items, end| JobPage { items, end };
    page.respond(rows, seen, body).await
}
