//! From an answer to rows of ours: the shapes that the five reading operations have. Pure functions; asking is done elsewhere.

use ota_core::drift::DriftKind;
use ota_core::error::Retry;
use ota_core::id::JobId;
use ota_core::job::{Detail, Job};
use ota_core::paging::Fetched;
use ota_core::task::Task;
use ota_core::{Error, ErrorKind, Result};
use ota_http::json::Budget;
use serde::de::DeserializeOwned;
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
    let wire: OtaJob = serde_json::from_value(answer.data)
        .map_err(|_| unreadable(source, "`Data` is not an object"))?;
    Ok(Some(map::job::job(source, wire, Detail::Full)))
}

fn unreadable(source: Source<'_>, reason: &'static str) -> Error {
    Error::new(ErrorKind::Protocol, "the vendor's answer cannot be read")
        .with_retry(Retry::Later)
        .with_operation(source.operation)
        .with_context("reason", reason)
}

/// Reads `ListOTAJobByFirmware` and `ListOTAJobByDevice`.
///
/// # Errors
/// When the data is no list.
pub(crate) fn jobs(source: Source<'_>, answer: Answer) -> Result<Fetched<Option<Job>>> {
    let rows: Vec<Option<OtaJob>> = rows(source, answer.data, "SimpleOTAJobInfo")?;
    Ok(Fetched {
        rows: rows
            .into_iter()
            .map(|row| row.map(|row| map::job::job(source, row, Detail::Summary)))
            .collect(),
        total: answer.total,
        size: answer.page_size,
    })
}

/// Reads `ListOTATaskByJob` of one job.
///
/// # Errors
/// When the data is no list.
pub(crate) fn tasks(
    source: Source<'_>,
    answer: Answer,
    job_id: &JobId,
) -> Result<Fetched<Option<Task>>> {
    let rows: Vec<Option<OtaTask>> = rows(source, answer.data, "SimpleOTATaskInfo")?;
    Ok(Fetched {
        rows: rows
            .into_iter()
            .map(|row| row.map(|row| map::task::task(source, row, job_id)))
            .collect(),
        total: answer.total,
        size: answer.page_size,
    })
}

/// Reads `ListOTAFirmware`. What is no row stands as a package without an identifier.
///
/// # Errors
/// When the data is no list.
pub(crate) fn packages(source: Source<'_>, answer: Answer) -> Result<Fetched<Firmware>> {
    let rows: Vec<Option<Firmware>> = rows(source, answer.data, "SimpleFirmwareInfo")?;
    let rows: Vec<Firmware> = rows.into_iter().map(Option::unwrap_or_default).collect();
    let names = rows.iter().flat_map(|row| row.other.keys());
    for name in names.filter(|name| !FIRMWARE_REST.contains(&name.as_str())) {
        source
            .drift
            .observe(DriftKind::Field, source.operation, name);
    }
    Ok(Fetched {
        rows,
        total: answer.total,
        size: answer.page_size,
    })
}

/// Reads the rows of a list. What is no row keeps its place as `None`, for the vendor has numbered it, and is reported.
fn rows<T: DeserializeOwned>(
    source: Source<'_>,
    data: Value,
    wrapper: &str,
) -> Result<Vec<Option<T>>> {
    let rows =
        list(data, wrapper).ok_or_else(|| unreadable(source, "its data is not a list of rows"))?;
    if rows.len() > Budget::MAX_ROWS {
        return Err(unreadable(source, "it has too many rows"));
    }
    let row = |row: Value| {
        let read = match &row {
            Value::Object(members) if !members.is_empty() => serde_json::from_value(row).ok(),
            _ => None,
        };
        if read.is_none() {
            source
                .drift
                .observe(DriftKind::Value, source.operation, "Data");
        }
        read
    };
    Ok(rows.into_iter().map(row).collect())
}

/// Takes the list out of its wrapper, `Data.SimpleOTATaskInfo[]`; a bare list and a bare element are understood too.
///
/// Returns `None` for what is no list: taken for an empty one, it would hide rows.
fn list(data: Value, wrapper: &str) -> Option<Vec<Value>> {
    if is_nothing(&data) {
        return Some(Vec::new());
    }
    let wrapped = |value: &Value| value.get(wrapper).is_some();
    match data {
        Value::Object(mut members) => match members.remove(wrapper)? {
            nothing if is_nothing(&nothing) => Some(Vec::new()),
            Value::Array(rows) => Some(rows),
            row @ Value::Object(_) => Some(vec![row]),
            _ => None,
        },
        // In XML an element that comes twice makes a list; each of them may hold rows.
        Value::Array(parts) if parts.iter().any(wrapped) => {
            let parts = parts.into_iter().map(|part| match part {
                nothing if is_nothing(&nothing) => Some(Vec::new()),
                part if wrapped(&part) => list(part, wrapper),
                _ => None,
            });
            parts
                .collect::<Option<Vec<_>>>()
                .map(|parts| parts.concat())
        }
        Value::Array(rows) => Some(rows),
        _ => None,
    }
}

/// Whether a value stands for a list without rows, whose shape is not documented.
fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.trim().is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(members) => members.is_empty(),
        Value::Bool(_) | Value::Number(_) => false,
    }
}
