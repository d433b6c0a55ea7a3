//! Pure functions between the vendor's values and the neutral model.

mod failure;
mod job;
mod query;
mod status;
mod task;

#[cfg(test)]
mod tests;

pub(crate) use job::job;
pub(crate) use query::{JobPlan, TaskPlan, job_query, task_query};
pub(crate) use status::VendorStatus;
pub(crate) use task::task;

use ota_adapter::TimeFormat;

/// "The value is in the format of yyyyMMdd'T'HHmmss'Z'. An example value is 20151212T121212Z." ("Querying an Upgrade Task
/// List", page of 2022-02-24, read 2026-11-23)
const TIME: TimeFormat = TimeFormat::BasicUtc;
