//! The decoder, open for fuzzers and tests. No part of the adapter's promise: it may change with every version.

use std::time::Instant;

use bytes::Bytes;
use http::HeaderMap;
use ota_adapter::Source;
use ota_core::Result;
use ota_core::configured_fields::ConfiguredFields;
use ota_core::drift::DriftCounter;
use ota_core::id::{JobId, ProviderName};
use ota_core::job::Job;
use ota_core::task::Task;
use ota_http::Response;

use crate::answers;
use crate::client::issued;
use crate::config::VENDOR;
use crate::error::interpret;

/// The calls that this adapter makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Login and refresh.
    Token,
    /// `queryUpgradeTask`
    Job,
    /// `queryUpgradeTaskList`
    Jobs,
    /// `queryUpgradeSubTaskList`
    Tasks,
}

impl Operation {
    /// Every operation.
    pub const ALL: [Self; 4] = [Self::Token, Self::Job, Self::Jobs, Self::Tasks];
}

/// What an answer holds. A row that cannot be read is `None`.
#[derive(Debug)]
pub enum Read {
    /// A token, which is not shown.
    Token,
    /// A job.
    Job(Box<Job>),
    /// A page of jobs.
    Jobs(Vec<Option<Job>>),
    /// A page of tasks.
    Tasks(Vec<Option<Task>>),
}

/// The secret of the account that is read with: no error may show it.
pub const SECRET: &str = "secret-of-nobody";

/// Reads an answer as the provider does. `now` is when a token begins to live.
///
/// # Errors
/// What a caller of the provider would see.
pub fn read(operation: Operation, status: u16, body: &[u8], now: Instant) -> Result<Read> {
    read_with(operation, status, body, now, &ConfiguredFields::default())
}

/// As [`read`], with fields at configured places.
///
/// # Errors
/// As [`read`].
pub fn read_with(
    operation: Operation,
    status: u16,
    body: &[u8],
    now: Instant,
    fields: &ConfiguredFields,
) -> Result<Read> {
    let response = Response {
        status,
        headers: HeaderMap::new(),
        body: Bytes::copy_from_slice(body),
    };
    let members = interpret(&response, &[SECRET], &|_| {})?;
    let provider = ProviderName::parse("internals").expect("the name is valid");
    let drift = DriftCounter::default();
    let source = Source {
        vendor: VENDOR,
        provider: &provider,
        operation: "internals",
        drift: &drift,
        fields,
    };
    Ok(match operation {
        Operation::Token => {
            issued(members, now)?;
            Read::Token
        }
        Operation::Job => Read::Job(Box::new(answers::job(source, members)?)),
        Operation::Jobs => Read::Jobs(answers::jobs(source, members)?.rows),
        Operation::Tasks => {
            let job = JobId::from("job");
            Read::Tasks(answers::tasks(source, members, &job)?.rows)
        }
    })
}
