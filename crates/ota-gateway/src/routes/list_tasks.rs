//! GET /v1/providers/{provider}/jobs/{job_id}/tasks

use std::sync::Arc;

use axum::extract::{RawQuery, State};
use axum::response::Response;
use ota_core::id::{DeviceId, DeviceName};
use ota_core::provider::{ListTasks, TaskFilter};
use ota_core::task::TaskStatus;
use utoipa::IntoParams;

use super::{Path, job_id};
use crate::api::page::TaskPage;
use crate::auth::Reader;
use crate::cached_read::{Live, Read};
use crate::cursor;
use crate::problem::Failure;
use crate::query::Query;
use crate::state::App;

/// The most device names in one request.
const MAX_DEVICE_NAMES: usize = 50;

/// The parameters of the operation, for the document. A test keeps them equal to [`KNOWN`].
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "read by the derive only")]
struct Parameters {
    /// Tasks in one of these statuses; repeat the parameter or separate values by commas.
    status: Option<Vec<String>>,
    /// Tasks of the devices with these names; repeat the parameter, at most 50 times. A comma is part of a name.
    #[param(max_items = 50)]
    device_name: Option<Vec<String>>,
    /// Tasks of this device.
    device_id: Option<String>,
    /// Maximum number of rows in the page.
    #[param(minimum = 1, maximum = 100, default = 50)]
    page_size: Option<u32>,
    /// The `next_cursor` of the previous page; filters and page size must be the same.
    #[param(max_length = 1440)]
    cursor: Option<String>,
}

/// The query parameters.
pub const KNOWN: &[&str] = &["status", "device_name", "device_id", "page_size", "cursor"];

/// List the tasks of a job
///
/// A page of the job's tasks, one per device, in the vendor's order. Paging is not a snapshot: tasks that change while the job runs can be returned
/// twice or be missed. `truncated` is true if the vendor does not give access to all of them.
#[utoipa::path(
    get,
    path = "/v1/providers/{provider}/jobs/{job_id}/tasks",
    operation_id = "list_tasks",
    tag = "jobs",
    params(
        ("provider" = String, Path, description = "The configured name of the provider."),
        ("job_id" = String, Path, description = "The vendor's identifier of the job."),
        Parameters,
    ),
    responses((status = 200, description = "A page of tasks", body = TaskPage)),
)]
pub async fn list_tasks(
    State(app): State<App>,
    Reader(caller): Reader,
    live: Live,
    Path((provider, job)): Path<(String, String)>,
    RawQuery(query): RawQuery,
) -> Result<Response, Failure> {
    let query = Query::parse(query.as_deref(), KNOWN)?;
    let filter = filter(&query)?;
    query.page_size()?;
    let member = app.provider(&caller, &provider)?;
    let page_size = query.page_size_up_to(member.provider().capability().max_page_size)?;
    let binding = format!("{provider}\ntasks\n{job:?}\n{page_size}\n{filter:?}");
    let given = query.cursor()?;
    let cursor = given
        .map(|text| cursor::decode(text, &binding, app.now()))
        .transpose()?;
    let job_id = job_id(job)?;
    let capability = member.provider().capability();
    capability
        .check_tasks(&filter)
        .map_err(|error| live.failure(&error, &provider))?;
    let read = Read {
        member,
        operation: "list_tasks",
        key: format!("{binding}\n{}", given.unwrap_or_default()),
        is_count: false,
    };
    let request = ListTasks {
        job_id,
        filter,
        page_size,
        cursor,
    };
    let reader = Arc::clone(member);
    live.read(read, |app, cx| async move {
        let answer = reader.list_tasks(&cx, request).await?;
        super::page(&app, &binding, answer, |items, end| TaskPage { items, end })
    })
    .await
}

fn filter(query: &Query) -> Result<TaskFilter, Failure> {
    let mut status = query.words("status", TaskStatus::ALL)?;
    status.sort_unstable();
    let device_names = query.repeated("device_name", MAX_DEVICE_NAMES)?;
    Ok(TaskFilter {
        status,
        device_names: device_names.into_iter().map(DeviceName::from).collect(),
        device_id: query.one("device_id")?.map(DeviceId::from),
    })
}
