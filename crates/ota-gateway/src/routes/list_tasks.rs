//! GET /v1/providers/{provider}/jobs/{job_id}/tasks

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use ota_api::page::TaskPage;
use ota_api::parameters::{Paging, Query};
use ota_api::problem::Failure;
use ota_api::query_parameters;
use ota_api::responses::VendorList;
use ota_core::capability::Capability;
use ota_core::filter::TaskFilter;
use ota_core::id::{DeviceId, DeviceName};
use ota_core::provider::ListTasks;
use ota_core::task::TaskStatus;
use ota_fleet::ConfiguredProvider;
use ota_sync::LiveRead;

use super::parts::{JobPath, Path};
use super::read;
use crate::access::Reader;
use crate::responder::Responder;
use crate::state::App;

query_parameters! {
    /// Which tasks.
    #[derive(Debug)]
    pub struct Tasks(TaskFilter) {
        /// Tasks in one of these statuses; repeat the parameter or separate values by commas.
        status: Vec<TaskStatus>,
        /// Tasks of the devices with these names; repeat the parameter, at most 50 times. A comma is part of a name.
        device_names as "device_name": Vec<DeviceName>,
        /// Tasks of this device.
        device_id: Option<DeviceId>;
        ..TaskFilter::default()
    }
}

/// List the tasks of a job
///
/// A page of the job's tasks, one per device, in the vendor's order. Paging is not a snapshot: tasks that change while the job runs can be returned
/// twice or be missed. `truncated` is true if the vendor does not give access to all of them.
#[utoipa::path(
    get,
    path = "/v1/providers/{provider}/jobs/{job_id}/tasks",
    tag = "jobs",
    security(("bearer" = [ota_auth::READ])),
    params(JobPath, Query<(Tasks, Paging)>),
    responses((status = 200, description = "A page of tasks", body = TaskPage), VendorList),
)]
pub async fn list_tasks(
    State(app): State<App>,
    Reader(caller): Reader,
    responder: Responder,
    Path(JobPath { provider, job_id }): Path<JobPath>,
    Query((Tasks(filter), paging)): Query<(Tasks, Paging)>,
) -> Result<Response, Failure> {
    let member = app.provider(&caller, &provider)?;
    let tasks = format!("tasks\n{job_id:?}");
    let page = read::of_page(responder, member, "list_tasks", &tasks, &filter, paging)?;
    let job_id = read::job_id(job_id)?;
    page.check(Capability::check_tasks, &filter)?;
    let of_job = job_id.clone();
    let rows = |member: Arc<ConfiguredProvider>, cx, page_size, cursor| async move {
        let request = ListTasks {
            job_id,
            filter,
            page_size,
            cursor,
        };
        member.list_tasks(&cx, request).await
    };
    let seen = |rows: &[ota_core::task::Task]| LiveRead::Tasks(of_job, rows.to_vec());
    let body = |items, end| TaskPage { items, end };
    page.respond(rows, seen, body).await
}
