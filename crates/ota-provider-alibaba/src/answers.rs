//! Converts a vendor's answer to neutral rows, for each of the five operations that read. Pure functions; `client` sends the calls.

use ota_adapter::rows::{is_nothing, mapped, rows_of};
use ota_adapter::{NeutralRow, Source};
use ota_core::drift::DriftKind;
use ota_core::error::Retry;
use ota_core::id::JobId;
use ota_core::job::{Detail, Job};
use ota_core::paging::Fetched;
use ota_core::task::Task;
use ota_core::{Error, Result};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::client::Answer;
use crate::map;
use crate::wire::{FIRMWARE_REST, Firmware, OtaJob, OtaTask};

/// Reads `QueryOTAJob`. Success without data means that the vendor has no job with this identifier.
///
/// # Errors
/// When the data is not a job.
pub(crate) fn job(source: Source<'_>, answer: Answer) -> Result<Option<Job>> {
    match &answer.data {
        Value::Null => return Ok(None),
        Value::String(text) if text.is_empty() => return Ok(None),
        Value::Object(members) if members.is_empty() => return Ok(None),
        _ => {}
    }
    let values = source.configured::<Job>(&answer.data);
    // The decoder's own error would repeat the value, which can be a signed URL.
    let wire: OtaJob = serde_json::from_value(answer.data).map_err(|_| wrong_shape(source))?;
    let mut job = map::job::job(source, wire, Detail::Full);
    job.fill(values);
    Ok(Some(job))
}

/// `Data` is not what the operation returns. A proxy or a broken edition may have changed it, so a retry may succeed.
fn wrong_shape(source: Source<'_>) -> Error {
    source.wrong_shape("Data").with_retry(Retry::Later)
}

/// Reads `ListOTAJobByFirmware` and `ListOTAJobByDevice`.
///
/// # Errors
/// When the data is not a list.
pub(crate) fn jobs(source: Source<'_>, answer: Answer) -> Result<Fetched<Option<Job>>> {
    page(source, answer, "SimpleOTAJobInfo", |wire: OtaJob| {
        map::job::job(source, wire, Detail::Summary)
    })
}

/// Reads `ListOTATaskByJob` of one job.
///
/// # Errors
/// When the data is not a list.
pub(crate) fn tasks(
    source: Source<'_>,
    answer: Answer,
    job_id: &JobId,
) -> Result<Fetched<Option<Task>>> {
    page(source, answer, "SimpleOTATaskInfo", |wire: OtaTask| {
        map::task::task(source, wire, job_id)
    })
}

/// Reads `ListOTAFirmware`.
///
/// # Errors
/// When the data is not a list.
pub(crate) fn packages(source: Source<'_>, answer: Answer) -> Result<Fetched<Option<Firmware>>> {
    page(source, answer, "SimpleFirmwareInfo", |wire: Firmware| {
        for name in wire.other.keys() {
            if !FIRMWARE_REST.contains(&name.as_str()) {
                source.report(DriftKind::Field, name);
            }
        }
        wire
    })
}

/// A package has no field whose place can be configured.
impl NeutralRow for Firmware {}

fn page<W: DeserializeOwned, T: NeutralRow>(
    source: Source<'_>,
    answer: Answer,
    wrapper: &str,
    map: impl Fn(W) -> T,
) -> Result<Fetched<Option<T>>> {
    let rows = list(answer.data, wrapper).ok_or_else(|| wrong_shape(source))?;
    Ok(Fetched {
        rows: mapped(source, "Data", rows, map)?,
        total: answer.total,
        size: answer.page_size,
    })
}

/// Takes the list out of its wrapper, `Data.SimpleOTATaskInfo[]`; a list without its wrapper and a single row in the wrapper are accepted too.
///
/// Returns `None` for what is not a list: treating it as an empty list would hide rows.
fn list(data: Value, wrapper: &str) -> Option<Vec<Value>> {
    let wrapped = |value: &Value| value.get(wrapper).is_some();
    match data {
        Value::Object(mut members) if !members.is_empty() => {
            rows_of(members.remove(wrapper)?, |_| true)
        }
        // In XML an element that occurs twice becomes a list; each occurrence may hold rows.
        Value::Array(parts) if parts.iter().any(wrapped) => {
            let parts = parts.into_iter().map(|part| match part {
                part if is_nothing(&part) || wrapped(&part) => list(part, wrapper),
                _ => None,
            });
            parts
                .collect::<Option<Vec<_>>>()
                .map(|parts| parts.concat())
        }
        other => rows_of(other, |_| false),
    }
}
