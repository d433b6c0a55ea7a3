//! Counting jobs in groups.

use std::collections::BTreeMap;

use ota_core::job::{JobKind, JobOutcome, JobStatus};

use crate::codes::Code;
use crate::conditions::Conditions;
use crate::connection::Connection;
use crate::error::Result;
use crate::fleet::{Groups, JobKey, JobQuery};
use crate::fleet_jobs;
use crate::scope::{Source, gone, sources};
use crate::value::{Row, Value, run_params};

/// How a stored value becomes the text of a key.
#[derive(Clone, Copy)]
enum Word {
    Text,
    JobStatus,
    Outcome,
    Kind,
    /// Told by the provider of the row, not by a column.
    Provider,
    Vendor,
}

fn word<C: Code>(code: i64, text: impl Fn(C) -> &'static str) -> Option<String> {
    C::from_code(code).map(|word| text(word).to_owned())
}

impl Word {
    fn read(self, row: &Row, column: usize, source: &Source) -> Option<String> {
        let code = row.int(column);
        match self {
            Self::Text => Some(row.text(column).to_owned()).filter(|text| !text.is_empty()),
            Self::JobStatus => word(code, JobStatus::as_str),
            Self::Outcome => word(code, JobOutcome::as_str),
            Self::Kind => word(code, JobKind::as_str),
            Self::Provider => Some(source.name.clone()),
            Self::Vendor => Some(source.vendor.clone()),
        }
    }
}

fn job_key(key: JobKey) -> (&'static str, Word) {
    match key {
        JobKey::Provider => ("source", Word::Provider),
        JobKey::Vendor => ("source", Word::Vendor),
        JobKey::Status => ("status", Word::JobStatus),
        JobKey::Outcome => ("outcome", Word::Outcome),
        JobKey::Kind => ("kind", Word::Kind),
        JobKey::ProductId => ("product_id", Word::Text),
        JobKey::PackageId => ("package_id", Word::Text),
        JobKey::PackageVersion => ("package_version", Word::Text),
    }
}

/// Counts jobs.
pub(crate) async fn of_jobs(
    connection: &mut Connection,
    query: &JobQuery,
    by: &[JobKey],
    limit: u32,
) -> Result<Groups> {
    let keys: Vec<_> = by.iter().map(|key| job_key(*key)).collect();
    let sources = sources(connection, &query.providers, &query.vendors).await?;
    let filter = fleet_jobs::conditions(query, 2);
    let scopes: Vec<_> = sources
        .iter()
        .flat_map(|source| {
            gone(query.include_vanished)
                .iter()
                .map(move |gone| (source, run_params![source.pk, *gone]))
        })
        .collect();
    let counted = count(
        connection, "jobs", "source", "count(*)", &filter, &keys, scopes,
    )
    .await?;
    Ok(ranked(counted, limit))
}

type Counted = BTreeMap<Vec<Option<String>>, u64>;

async fn count(
    connection: &mut Connection,
    table: &str,
    owner: &str,
    number: &str,
    filter: &Conditions,
    keys: &[(&'static str, Word)],
    scopes: Vec<(&Source, Vec<Value>)>,
) -> Result<Counted> {
    let columns: Vec<_> = keys.iter().map(|(column, _)| *column).collect();
    let grouped = match columns.is_empty() {
        true => String::new(),
        false => format!(" GROUP BY {}", columns.join(", ")),
    };
    let columns: String = columns.iter().map(|column| format!("{column}, ")).collect();
    let sql = format!(
        "SELECT {columns}{number} FROM {table} WHERE {owner} = $1 AND gone = $2{}{grouped}",
        filter.text()
    );
    let params: Vec<_> = scopes
        .iter()
        .map(|(_, params)| {
            let mut params = params.clone();
            params.extend(filter.params().iter().cloned());
            params
        })
        .collect();
    let answers = connection.query_many(&sql, &params).await?;
    let mut counted = Counted::new();
    for ((source, _), rows) in scopes.iter().zip(answers) {
        for row in rows {
            let values = keys
                .iter()
                .enumerate()
                .map(|(column, (_, word))| word.read(&row, column, source))
                .collect();
            *counted.entry(values).or_insert(0) += row.count(keys.len());
        }
    }
    Ok(counted)
}

/// Returns the largest groups.
fn ranked(counted: Counted, limit: u32) -> Groups {
    let total = counted.values().sum();
    let mut groups: Vec<_> = counted
        .into_iter()
        .filter(|(_, count)| *count > 0)
        .collect();
    // They stand in the order of their keys, which stays among equal ones.
    groups.sort_by_key(|group| std::cmp::Reverse(group.1));
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let truncated = groups.len() > limit;
    groups.truncate(limit);
    Groups {
        total,
        groups,
        truncated,
    }
}
