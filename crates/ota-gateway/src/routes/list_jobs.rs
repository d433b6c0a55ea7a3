//! GET /v1/providers/{provider}/jobs

use std::sync::Arc;

use axum::extract::{RawQuery, State};
use axum::response::Response;
use ota_core::id::{DeviceId, DeviceName, PackageId, ProductId};
use ota_core::job::{JobKind, JobOutcome, JobStatus};
use ota_core::provider::{JobFilter, ListJobs};
use utoipa::IntoParams;

use super::Path;
use crate::api::page::JobPage;
use crate::auth::Reader;
use crate::cached_read::{Live, Read};
use crate::cursor;
use crate::problem::Failure;
use crate::query::Query;
use crate::state::App;

/// The parameters of the operation, for the document. A test keeps them equal to [`KNOWN`].
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "read by the derive only")]
struct Parameters {
    /// Jobs in one of these statuses; repeat the parameter or separate values by commas.
    status: Option<Vec<String>>,
    /// Jobs with one of these outcomes; repeat the parameter or separate values by commas.
    outcome: Option<Vec<String>>,
    /// Jobs that install this kind of package.
    kind: Option<String>,
    /// Jobs of this package.
    package_id: Option<String>,
    /// Jobs of this product.
    product_id: Option<String>,
    /// Jobs for this device.
    device_id: Option<String>,
    /// Jobs for the device with this name. A provider may require other filters beside it; see its `capabilities.needs`.
    device_name: Option<String>,
    /// Jobs for this device type.
    device_type: Option<String>,
    /// Jobs for this device model.
    model: Option<String>,
    /// Jobs for devices of this manufacturer.
    manufacturer: Option<String>,
    /// Maximum number of rows in the page.
    #[param(minimum = 1, maximum = 100, default = 50)]
    page_size: Option<u32>,
    /// The `next_cursor` of the previous page; filters and page size must be the same.
    #[param(max_length = 1440)]
    cursor: Option<String>,
}

/// The query parameters.
pub const KNOWN: &[&str] = &[
    "status",
    "outcome",
    "kind",
    "package_id",
    "product_id",
    "device_id",
    "device_name",
    "device_type",
    "model",
    "manufacturer",
    "page_size",
    "cursor",
];

/// List jobs
///
/// A page of the provider's jobs, in the vendor's order. The provider's `capabilities` state which filters it supports; a request with any other
/// filter fails with `unsupported_by_provider`, and no vendor call is made. Paging is not a snapshot: jobs that are created while a client reads the
/// pages can be missed or returned twice.
#[utoipa::path(
    get,
    path = "/v1/providers/{provider}/jobs",
    operation_id = "list_jobs",
    tag = "jobs",
    params(("provider" = String, Path, description = "The configured name of the provider."), Parameters),
    responses((status = 200, description = "A page of jobs", body = JobPage)),
)]
pub async fn list_jobs(
    State(app): State<App>,
    Reader(caller): Reader,
    live: Live,
    Path(provider): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Response, Failure> {
    let query = Query::parse(query.as_deref(), KNOWN)?;
    let filter = filter(&query)?;
    query.page_size()?;
    let member = app.provider(&caller, &provider)?;
    let page_size = query.page_size_up_to(member.provider().capability().max_page_size)?;
    let binding = format!("{provider}\njobs\n{page_size}\n{filter:?}");
    let given = query.cursor()?;
    let cursor = given
        .map(|text| cursor::decode(text, &binding, app.now()))
        .transpose()?;
    let capability = member.provider().capability();
    capability
        .check_jobs(&filter)
        .map_err(|error| live.failure(&error, &provider))?;
    let read = Read {
        member,
        operation: "list_jobs",
        key: format!("{binding}\n{}", given.unwrap_or_default()),
        is_count: false,
    };
    let request = ListJobs {
        filter,
        page_size,
        cursor,
    };
    let reader = Arc::clone(member);
    live.read(read, |app, cx| async move {
        let answer = reader.list_jobs(&cx, request).await?;
        super::page(&app, &binding, answer, |items, end| JobPage { items, end })
    })
    .await
}

fn filter(query: &Query) -> Result<JobFilter, Failure> {
    let mut status = query.words("status", JobStatus::ALL)?;
    status.sort_unstable();
    let mut outcome = query.words("outcome", JobOutcome::ALL)?;
    outcome.sort_unstable();
    let text = |name: &str| query.one(name).map(|value| value.map(str::to_owned));
    Ok(JobFilter {
        status,
        outcome,
        kind: query.word("kind", JobKind::ALL)?,
        package_id: text("package_id")?.map(PackageId::from),
        product_id: text("product_id")?.map(ProductId::from),
        device_id: text("device_id")?.map(DeviceId::from),
        device_name: text("device_name")?.map(DeviceName::from),
        device_type: text("device_type")?,
        model: text("model")?,
        manufacturer: text("manufacturer")?,
    })
}
