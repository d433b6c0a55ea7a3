//! Counting rows in groups.

use std::collections::BTreeMap;

use ota_core::job::{JobKind, JobOutcome, JobStatus};
use ota_core::task::{Failure, TaskStage, TaskStatus};

use crate::codes::Code;
use crate::conditions::Conditions;
use crate::connection::Connection;
use crate::error::Result;
use crate::fleet::{Groups, JobKey, JobQuery, TaskKey, TaskQuery};
use crate::fleet_jobs;
use crate::fleet_tasks::{Target, target};
use crate::scope::{Source, by_number, gone, sources};
use crate::task_filter::TaskFilter;
use crate::value::{Row, Value, run_params};

/// How a stored value becomes the text of a key.
#[derive(Clone, Copy)]
enum Word {
    Text,
    JobStatus,
    Outcome,
    Kind,
    TaskStatus,
    Stage,
    Failure,
    /// The number of a job; its identifier is looked up at the end.
    Job,
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
            Self::TaskStatus => word(code, TaskStatus::as_str),
            Self::Stage => word(code, TaskStage::as_str),
            Self::Failure => word(code, Failure::as_str),
            Self::Job => Some(code.to_string()),
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

fn task_key(key: TaskKey) -> (&'static str, Word) {
    match key {
        TaskKey::Provider => ("source", Word::Provider),
        TaskKey::Vendor => ("source", Word::Vendor),
        TaskKey::Status => ("status", Word::TaskStatus),
        TaskKey::Stage => ("stage", Word::Stage),
        TaskKey::Failure => ("failure", Word::Failure),
        TaskKey::JobId => ("job", Word::Job),
        TaskKey::ProductId => ("product_id", Word::Text),
        TaskKey::FromVersion => ("from_version", Word::Text),
        TaskKey::ToVersion => ("to_version", Word::Text),
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

/// Counts tasks, by the counters where they know the answer.
pub(crate) async fn of_tasks(
    connection: &mut Connection,
    query: &TaskQuery,
    by: &[TaskKey],
    limit: u32,
) -> Result<Groups> {
    let keys: Vec<_> = by.iter().map(|key| task_key(*key)).collect();
    let filter = TaskFilter::new(query);
    let Some(target) = target(connection, query, &filter).await? else {
        return Ok(Groups::default());
    };
    let by_job = by.contains(&TaskKey::JobId);
    let (table, number) = match filter.is_counted() {
        true if by_job || target.job.is_some() => ("task_counts", SUM),
        true => ("task_totals", SUM),
        false => ("tasks", "count(*)"),
    };
    let owner = if target.job.is_some() {
        "job"
    } else {
        "source"
    };
    let conditions = match filter.is_counted() {
        true => {
            let mut conditions = Conditions::after(2);
            filter.counted_conditions(&mut conditions);
            conditions
        }
        false => filter.conditions(2),
    };
    let scopes = scopes(&target);
    let counted = count(connection, table, owner, number, &conditions, &keys, scopes).await?;
    let mut groups = ranked(counted, limit);
    if let Some(place) = by.iter().position(|key| *key == TaskKey::JobId) {
        name_jobs(connection, &mut groups, place).await?;
    }
    Ok(groups)
}

const SUM: &str = "CAST(sum(number) AS BIGINT)";

fn scopes(target: &Target) -> Vec<(&Source, Vec<Value>)> {
    let mut scopes = Vec::new();
    for params in target.scopes() {
        let source = target.sources.iter().find(|source| match target.job {
            Some((of, _)) => source.pk == of,
            None => params.first() == Some(&Value::Int(source.pk)),
        });
        if let Some(source) = source {
            scopes.push((source, params));
        }
    }
    scopes
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

/// Puts identifiers in the place of the numbers of jobs.
async fn name_jobs(connection: &mut Connection, groups: &mut Groups, place: usize) -> Result<()> {
    let number = |keys: &[Option<String>]| {
        keys.get(place)
            .and_then(|key| key.as_deref())
            .and_then(|key| key.parse::<i64>().ok())
    };
    let mut numbers: Vec<_> = groups
        .groups
        .iter()
        .filter_map(|(keys, _)| number(keys))
        .collect();
    numbers.sort_unstable();
    numbers.dedup();
    let names: BTreeMap<_, _> = by_number(connection, "SELECT pk, id FROM jobs WHERE pk", &numbers)
        .await?
        .into_iter()
        .map(|mut row| (row.int(0), row.take(1)))
        .collect();
    for (keys, _) in &mut groups.groups {
        let name = number(keys).and_then(|number| names.get(&number).cloned());
        if let Some(key) = keys.get_mut(place) {
            *key = name;
        }
    }
    groups
        .groups
        .sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    Ok(())
}
