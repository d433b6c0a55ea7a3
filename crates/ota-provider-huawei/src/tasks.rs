//! Listing the tasks of a job: the devices of an upgrade task.

use std::sync::Arc;

use ota_adapter::ListCursor;
use ota_adapter::error::found;
use ota_adapter::page::page;
use ota_core::id::JobId;
use ota_core::paging::{Fetched, Pager, Window};
use ota_core::provider::{ListTasks, Page};
use ota_core::task::Task;
use ota_core::{Context, Result};

use crate::answers;
use crate::client::{Client, MAX_PAGE_SIZE, PAGE};
use crate::error::blame_task;
use crate::jobs::operation_path;
use crate::map::{TaskPlan, VendorStatus, task_query};

const LIST_TASKS: &str = "queryUpgradeSubTaskList";

/// Returns a page of tasks; none of a job that the vendor does not know.
///
/// # Errors
/// As [`ota_core::provider::JobReader::list_tasks`].
pub(crate) async fn tasks_page(
    client: &Arc<Client>,
    cx: &Context,
    request: ListTasks,
) -> Result<Option<Page<Task>>> {
    let plan = TaskPlan::of(&request.filter);
    let cursor = ListCursor {
        letter: 't',
        segments: plan.statuses.len(),
    };
    let from = cursor.read(request.cursor.as_ref())?;
    client.account.capability.check_tasks(&request.filter)?;
    // Before the identifier is looked at: the filter alone decides.
    if plan.statuses.is_empty() {
        return Ok(Some(Page::empty()));
    }
    let Some(path) = operation_path(&request.job_id) else {
        return Ok(None);
    };
    let (plan, filter, job_id, path) = (&plan, &request.filter, &request.job_id, &path);
    let pager = Pager {
        filtered: filter.names_devices() || plan.statuses_here,
        ..client
            .account
            .pager(cursor.segments, from, request.page_size, MAX_PAGE_SIZE)
    };
    let paged = pager
        .list(
            |segment, window| {
                Box::pin(fetch_tasks(
                    client,
                    cx,
                    job_id,
                    path,
                    plan.status(segment),
                    window,
                ))
            },
            |task| task.id.as_str(),
            |segment, task| plan.wants(filter, plan.status(segment), task),
        )
        .await;
    Ok(found(paged)?.map(|paged| page(paged, None, |position| cursor.write(position))))
}

/// Reads one page of tasks of the job at `path`.
async fn fetch_tasks(
    client: &Arc<Client>,
    cx: &Context,
    job_id: &JobId,
    path: &str,
    status: Option<VendorStatus>,
    window: Window,
) -> Result<Fetched<Option<Task>>> {
    let target = format!("{path}/subOperations?{}", task_query(status, window));
    let answer = client.read(cx, LIST_TASKS, &target).await;
    let source = client.account.source(LIST_TASKS);
    let fetched = answer.and_then(|body| answers::tasks(source, body, job_id));
    let judged = client.account.judge_page(LIST_TASKS, PAGE, window, fetched);
    judged.map_err(blame_task)
}
