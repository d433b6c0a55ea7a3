//! Reading and listing jobs, which the vendor calls upgrade tasks.

use std::sync::Arc;

use ota_adapter::ListCursor;
use ota_adapter::error::{about_the_same, found, has_code};
use ota_adapter::page::page;
use ota_core::id::JobId;
use ota_core::job::Job;
use ota_core::paging::{Fetched, Pager, Window};
use ota_core::provider::{JobFilter, ListJobs, Page};
use ota_core::{Context, ErrorKind, Result};
use ota_http::encode;

use crate::answers;
use crate::client::{Client, MAX_PAGE_SIZE, PAGE};
use crate::error::{UNKNOWN_DEVICE, UNKNOWN_OPERATION, blame, blame_task};
use crate::map::{JobPlan, VendorStatus, job_query};

const OPERATIONS: &str = "/iodm/northbound/v1.5.0/operations";
const LIST_JOBS: &str = "queryUpgradeTaskList";
const GET_JOB: &str = "queryUpgradeTask";

/// Returns a page of jobs.
///
/// # Errors
/// As [`ota_core::provider::JobReader::list_jobs`].
pub(crate) async fn jobs_page(
    client: &Arc<Client>,
    cx: &Context,
    request: ListJobs,
) -> Result<Page<Job>> {
    let plan = JobPlan::of(&request.filter);
    let cursor = ListCursor {
        letter: 'j',
        segments: plan.statuses.len(),
    };
    let from = cursor.read(request.cursor.as_ref())?;
    client.account.capability.check_jobs(&request.filter)?;
    if plan.statuses.is_empty() {
        return Ok(Page::empty());
    }
    let (plan, filter) = (&plan, &request.filter);
    let pager = Pager {
        filtered: plan.filters_here(),
        ..client
            .account
            .pager(cursor.segments, from, request.page_size, MAX_PAGE_SIZE)
    };
    let paged = pager
        .list(
            |segment, window| {
                Box::pin(fetch_jobs(client, cx, filter, plan.status(segment), window))
            },
            |job| job.id.as_str(),
            |segment, job| plan.wants(filter, plan.status(segment), job),
        )
        .await?;
    Ok(page(paged, None, |position| cursor.write(position)))
}

/// Returns one job; none that the vendor does not know.
///
/// # Errors
/// What the call met.
pub(crate) async fn job(client: &Arc<Client>, cx: &Context, id: &JobId) -> Result<Option<Job>> {
    let Some(target) = operation_path(id) else {
        return Ok(None);
    };
    let body = client.read(cx, GET_JOB, &target).await;
    let Some(body) = found(body.map_err(blame_task))? else {
        return Ok(None);
    };
    let job = answers::job(client.account.source(GET_JOB), body)?;
    about_the_same(GET_JOB, id, &job.id)?;
    Ok(Some(job))
}

/// Reads one page of jobs.
pub(crate) async fn fetch_jobs(
    client: &Arc<Client>,
    cx: &Context,
    filter: &JobFilter,
    status: Option<VendorStatus>,
    window: Window,
) -> Result<Fetched<Option<Job>>> {
    let target = format!("{OPERATIONS}?{}", job_query(filter, status, window));
    let answer = client.read(cx, LIST_JOBS, &target).await;
    let fetched = answer.and_then(|body| answers::jobs(client.account.source(LIST_JOBS), body));
    match client.account.judge_page(LIST_JOBS, PAGE, window, fetched) {
        // Documented for this call too, where it can only mean that no task matches.
        Err(error) if has_code(&error, &[UNKNOWN_OPERATION]) => Ok(Fetched::nothing(Some(0))),
        Err(error) if filter.device_id.is_some() && has_code(&error, &[UNKNOWN_DEVICE]) => {
            Ok(Fetched::nothing(Some(0)))
        }
        // What else the vendor does not find is nothing that a filter names.
        Err(error) => {
            let named = error.kind() == ErrorKind::InvalidArgument && has_text(filter);
            Err(blame(error, named))
        }
        Ok(fetched) => Ok(fetched),
    }
}

/// Whether a filter carries text of the caller's; values of enumerations are the gateway's.
fn has_text(filter: &JobFilter) -> bool {
    let texts = [&filter.device_type, &filter.model, &filter.manufacturer];
    filter.device_id.is_some() || texts.iter().any(|text| text.is_some())
}

/// Returns the path of one job, or `None` for an identifier that no path can carry and hence no job has.
pub(crate) fn operation_path(id: &JobId) -> Option<String> {
    encode::path_segment(id.as_str()).map(|segment| format!("{OPERATIONS}/{segment}"))
}
