//! From an answer to rows of ours: the shapes that the five reading operations have. Pure functions; asking is done elsewhere.

use ota_core::drift::DriftKind;
use ota_core::error::Retry;
use ota_core::id::JobId;
use ota_core::job::{Detail, Job};
use ota_core::paging::Fetched;
use ota_core::task::Task;
use ota_core::{Error, ErrorKind, Result};
use serde_json::Value;

use crate::client::Answer;
use crate::map::{self, Source};
use crate::wire::{FIRMWARE_REST, Firmware, OtaJob, OtaTask};

/// Reads `QueryOTAJob`. Success without data is no job: the vendor has nothing under the identifier.
///
/// # Errors
/// When the data is something else than a job.
pub(crate) fn job(source: Source<'_>, answer: Answer) -> Result<Option<Job>> {
    match &answer.data {
        Value::Null => return Ok(None),
        Value::String(text) if text.is_empty() => return Ok(None),
        Value::Object(members) if members.is_empty() => return Ok(None),
        _ => {}
    }
    // The decoder's own error would repeat the value, which can be a signed URL.
    let wire: OtaJob = serde_json::from_value(answer.data).map_err(|_| {
        Error::new(ErrorKind::Protocol, "the vendor's answer cannot be read")
            .with_retry(Retry::Later)
            .with_operation(source.operation)
            .with_context("reason", "`Data` is not an object")
    })?;
    Ok(Some(map::job::job(source, wire, Detail::Full)))
}

/// Reads `ListOTAJobByFirmware` and `ListOTAJobByDevice`.
pub(crate) fn jobs(source: Source<'_>, answer: Answer) -> Fetched<Option<Job>> {
    let rows: Vec<Option<OtaJob>> = rows(answer.data, "SimpleOTAJobInfo");
    Fetched {
        rows: rows
            .into_iter()
            .map(|row| row.map(|row| map::job::job(source, row, Detail::Summary)))
            .collect(),
        total: answer.total,
        size: answer.page_size,
    }
}

/// Reads `ListOTATaskByJob` of one job.
pub(crate) fn tasks(source: Source<'_>, answer: Answer, job_id: &JobId) -> Fetched<Option<Task>> {
    let rows: Vec<Option<OtaTask>> = rows(answer.data, "SimpleOTATaskInfo");
    Fetched {
        rows: rows
            .into_iter()
            .map(|row| row.map(|row| map::task::task(source, row, job_id)))
            .collect(),
        total: answer.total,
        size: answer.page_size,
    }
}

/// Reads `ListOTAFirmware`. What is no row stands as a package without an identifier.
pub(crate) fn packages(source: Source<'_>, answer: Answer) -> Fetched<Firmware> {
    let rows: Vec<Option<Firmware>> = rows(answer.data, "SimpleFirmwareInfo");
    let rows: Vec<Firmware> = rows.into_iter().map(Option::unwrap_or_default).collect();
    let names = rows.iter().flat_map(|row| row.other.keys());
    for name in names.filter(|name| !FIRMWARE_REST.contains(&name.as_str())) {
        source
            .drift
            .observe(DriftKind::Field, source.operation, name);
    }
    Fetched {
        rows,
        total: answer.total,
        size: answer.page_size,
    }
}

/// Takes the list out of its wrapper, `Data.SimpleOTATaskInfo[]`; a bare list and a bare element are understood too.
///
/// What is no row keeps its place as `None`: the vendor has numbered it.
fn rows<T: serde::de::DeserializeOwned>(data: Value, wrapper: &str) -> Vec<Option<T>> {
    let list = match data {
        Value::Object(mut members) => members.remove(wrapper).unwrap_or(Value::Null),
        bare @ Value::Array(_) => bare,
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Value::Null,
    };
    let rows = match list {
        Value::Array(rows) => rows,
        // The shape of an empty list is not documented.
        Value::Object(members) if members.is_empty() => Vec::new(),
        row @ Value::Object(_) => vec![row],
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Vec::new(),
    };
    let row = |row: Value| match &row {
        Value::Object(members) if !members.is_empty() => serde_json::from_value(row).ok(),
        _ => None,
    };
    rows.into_iter().map(row).collect()
}
