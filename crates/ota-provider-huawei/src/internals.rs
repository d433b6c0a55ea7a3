//! The decoder, open for fuzzers and tests. No part of the adapter's promise: it may change with every version.

use std::time::Instant;

use bytes::Bytes;
use http::HeaderMap;
use ota_core::Result;
use ota_core::id::{JobId, ProviderName};
use ota_core::job::Job;
use ota_core::task::Task;
use ota_http::Response;

use crate::client::issued;
use crate::error::judge;
use crate::map;
use crate::page::{mapped, one};

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

/// What an answer holds. A row that nobody can read stands as `None`.
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

/// Reads an answer as the provider does. `now` is when a token begins to live.
///
/// # Errors
/// What a caller of the provider would see.
pub fn read(operation: Operation, status: u16, body: &[u8], now: Instant) -> Result<Read> {
    let response = Response {
        status,
        headers: HeaderMap::new(),
        body: Bytes::copy_from_slice(body),
    };
    let members =
        judge(&response, &["secret-of-nobody"], &|_| {}).map_err(|refusal| refusal.error)?;
    let provider = ProviderName::parse("internals").expect("the name is valid");
    Ok(match operation {
        Operation::Token => {
            issued(members, now)?;
            Read::Token
        }
        Operation::Job => Read::Job(Box::new(map::job(&provider, one(members)?).item)),
        Operation::Jobs => {
            let page = mapped(members, |row| map::job(&provider, row), |_| {})?;
            let rows = page.rows.into_iter();
            Read::Jobs(rows.map(|row| row.map(|row| row.item)).collect())
        }
        Operation::Tasks => {
            let job = JobId::from("job");
            let page = mapped(members, |row| map::task(&provider, &job, row), |_| {})?;
            let rows = page.rows.into_iter();
            Read::Tasks(rows.map(|row| row.map(|row| row.item)).collect())
        }
    })
}
