//! From an answer to rows of ours: the shapes that the three reading operations have. Pure functions; asking is done elsewhere.

use ota_adapter::rows::{mapped, rows_of};
use ota_adapter::{LenientScalar, NeutralRow, Source};
use ota_core::Result;
use ota_core::drift::DriftKind;
use ota_core::id::JobId;
use ota_core::job::Job;
use ota_core::paging::Fetched;
use ota_core::task::Task;
use serde_json::{Map, Value};

use crate::map;
use crate::wire::{OperationInfo, Page, Row};

/// Reads `queryUpgradeTask`.
///
/// # Errors
/// When the answer is something else than a task.
pub(crate) fn job(source: Source<'_>, body: Map<String, Value>) -> Result<Job> {
    let shape = || source.wrong_shape("operationId");
    let body = Value::Object(body);
    let values = source.configured::<Job>(&body);
    let row: OperationInfo = serde_json::from_value(body).map_err(|_| shape())?;
    if row.operation_id.identifier().is_none() {
        return Err(shape());
    }
    let mut job = map::job(source, row);
    job.fill(values);
    Ok(job)
}

/// Reads `queryUpgradeTaskList`.
///
/// # Errors
/// When the answer is not a list.
pub(crate) fn jobs(source: Source<'_>, body: Map<String, Value>) -> Result<Fetched<Option<Job>>> {
    page(source, body, |row| map::job(source, row))
}

/// Reads `queryUpgradeSubTaskList` of one job.
///
/// # Errors
/// When the answer is not a list.
pub(crate) fn tasks(
    source: Source<'_>,
    body: Map<String, Value>,
    job_id: &JobId,
) -> Result<Fetched<Option<Task>>> {
    page(source, body, |row| map::task(source, row, job_id))
}

fn page<W: Row, T: NeutralRow>(
    source: Source<'_>,
    mut body: Map<String, Value>,
    map: impl Fn(W) -> T,
) -> Result<Fetched<Option<T>>> {
    let shape = || source.wrong_shape("data");
    // The rows are not copied with the rest: they are nearly all of the answer.
    let data = body.remove("data").unwrap_or_default();
    let page: Page = serde_json::from_value(Value::Object(body)).map_err(|_| shape())?;
    for name in page.other.keys() {
        source.report(DriftKind::Field, name);
    }
    // A page without rows may leave them out, but JSON of something else is no empty page.
    let paging = [
        &page.page_no,
        &page.page_size,
        &page.total_count,
        &page.total_size,
    ];
    if data.is_null() && paging.into_iter().all(LenientScalar::is_absent) {
        return Err(shape());
    }
    // A bare row in the place of the list has its identifier; an object without one is something else, in which rows may be hidden.
    let rows = rows_of(data, |row| row.contains_key(W::ID)).ok_or_else(shape)?;
    let rows = mapped(source, "data", rows, map)?;
    if !rows.is_empty() && rows.iter().all(Option::is_none) {
        return Err(shape());
    }
    Ok(Fetched {
        rows,
        total: page.total_count.count().or(page.total_size.count()),
        size: page
            .page_size
            .count()
            .and_then(|size| u32::try_from(size).ok()),
    })
}
