//! Pages of tasks.

use std::collections::{HashMap, HashSet};

use ota_core::job::JobStatus;
use ota_core::task::TaskStatus;

use crate::codes::Code;
use crate::conditions::Conditions;
use crate::connection::Connection;
use crate::error::Result;
use crate::fleet::{FleetTask, Page, TaskQuery, TaskSort};
use crate::index_scan::{Branch, IndexScan, OWN, Order};
use crate::position::{Position, SortValue};
use crate::scope::{Source, by_number, gone, sources};
use crate::task_filter::{COUNTERS, Lead, TaskFilter};
use crate::text_search;
use crate::value::{Row, Value, key, run_params};

/// Places of an index that one question reads at most; with more, it reads all rows of its providers in order.
const MAX_BRANCHES: usize = 256;

/// Answers a page.
pub(crate) async fn page(
    connection: &mut Connection,
    query: &TaskQuery,
    sort: TaskSort,
    after: Option<&str>,
    size: u32,
) -> Result<Page<FleetTask>> {
    let after = after.map(Position::from_text).transpose()?;
    let size = usize::try_from(size).unwrap_or(usize::MAX);
    let filter = TaskFilter::new(query);
    let Some(target) = target(connection, query, &filter).await? else {
        return Ok(Page {
            items: Vec::new(),
            next: None,
            total: Some(0),
        });
    };
    let limit = size.saturating_add(1);
    let order = order(sort);
    let counters = target.counters(connection).await?;
    let mut total = filter.is_counted().then(|| filter.total(&counters));
    let by_text = match &query.q {
        Some(text) => text_search::candidates(connection, text).await?,
        None => None,
    };
    let mut rows = match (total, by_text) {
        (Some(0), _) => Vec::new(),
        (_, Some(candidates)) => {
            let all = among(connection, &target, &filter, order, &candidates).await?;
            total = Some(all.len() as u64);
            let behind = |row: &Position| {
                after
                    .as_ref()
                    .is_none_or(|after| row.order(after, order.descending).is_gt())
            };
            all.into_iter().filter(behind).take(limit).collect()
        }
        _ => {
            let scan = scan(&filter, &target, order, &counters, connection.is_sqlite());
            scan.run(connection, after.as_ref(), limit).await?
        }
    };
    let more = rows.len() > size;
    rows.truncate(size);
    if after.is_none() && !more {
        total = Some(rows.len() as u64);
    }
    let next = rows.last().filter(|_| more).map(Position::to_text);
    let items = items(connection, &rows).await?;
    Ok(Page { items, next, total })
}

/// What a question covers.
pub(crate) struct Target {
    pub(crate) sources: Vec<Source>,
    /// The job, with its provider.
    pub(crate) job: Option<(i64, i64)>,
    pub(crate) gone: &'static [i64],
}

/// Returns what a question covers; nothing where no row can match.
pub(crate) async fn target(
    connection: &mut Connection,
    query: &TaskQuery,
    filter: &TaskFilter,
) -> Result<Option<Target>> {
    let sources = sources(connection, &query.providers, &query.vendors).await?;
    if filter.is_impossible() || sources.is_empty() {
        return Ok(None);
    }
    let mut job = None;
    if let Some(id) = &query.job_id {
        let params: Vec<_> = sources
            .iter()
            .map(|source| run_params![source.pk, key(id.as_str())])
            .collect();
        let found = connection
            .query_many(
                "SELECT source, pk FROM jobs WHERE source = $1 AND id = $2",
                &params,
            )
            .await?;
        job = found
            .iter()
            .flatten()
            .map(|row| (row.int(0), row.int(1)))
            .next();
        if job.is_none() {
            return Ok(None);
        }
    }
    Ok(Some(Target {
        sources,
        job,
        gone: gone(query.include_vanished),
    }))
}

impl Target {
    /// Returns the counters of what is covered.
    async fn counters(&self, connection: &mut Connection) -> Result<Vec<Row>> {
        let (table, owner) = match self.job {
            Some(_) => ("task_counts", "job"),
            None => ("task_totals", "source"),
        };
        let sql = format!("SELECT {COUNTERS} FROM {table} WHERE {owner} = $1 AND gone = $2");
        let answers = connection.query_many(&sql, &self.scopes()).await?;
        Ok(answers.into_iter().flatten().collect())
    }

    /// Returns the owner of rows (the job, or each provider) with each value of `gone`.
    pub(crate) fn scopes(&self) -> Vec<Vec<Value>> {
        let owners: Vec<_> = match self.job {
            Some((_, job)) => vec![job],
            None => self.sources.iter().map(|source| source.pk).collect(),
        };
        owners
            .into_iter()
            .flat_map(|owner| self.gone.iter().map(move |gone| run_params![owner, *gone]))
            .collect()
    }
}

pub(crate) const fn order(sort: TaskSort) -> Order {
    let (column, descending) = match sort {
        TaskSort::ChangedDescending => ("changed_at", true),
        TaskSort::Changed => ("changed_at", false),
        TaskSort::CreatedDescending => ("created_at", true),
        TaskSort::Created => ("created_at", false),
        TaskSort::DeviceName => ("device_name", false),
    };
    Order {
        column,
        descending,
        is_text: matches!(sort, TaskSort::DeviceName),
    }
}

/// Returns the scan that answers a question.
pub(crate) fn scan(
    filter: &TaskFilter,
    target: &Target,
    order: Order,
    counters: &[Row],
    is_sqlite: bool,
) -> IndexScan {
    let suffix = if order.column == "created_at" {
        "created"
    } else {
        "changed"
    };
    let (lead, index) = lead(filter, target, counters, order, suffix);
    // `$4` and `$5` are the owner and `gone`, `$6` the value of the lead, if there is one.
    let rest = filter.conditions(OWN + 2 + usize::from(lead.is_some()));
    let owner = if target.job.is_some() {
        "job"
    } else {
        "source"
    };
    let mut conditions = format!("{owner} = $4 AND gone = $5");
    if let Some(lead) = &lead {
        conditions.push_str(&format!(" AND {} = $6", lead.column));
        if matches!(lead.column, "stage" | "failure") {
            // Their indexes leave rows without one out.
            conditions.push_str(&format!(" AND {} > 0", lead.column));
        }
    }
    conditions.push_str(rest.text());
    let values = match &lead {
        Some(lead) => lead.values.iter().cloned().map(Some).collect(),
        None => vec![None],
    };
    let mut branches = Vec::new();
    for scope in target.scopes() {
        for value in &values {
            let mut params = scope.clone();
            params.extend(value.clone());
            params.extend(rest.params().iter().cloned());
            let source = match (target.job, scope.first()) {
                (Some((source, _)), _) => source,
                (None, Some(Value::Int(source))) => *source,
                (None, _) => 0,
            };
            branches.push(Branch { source, params });
        }
    }
    IndexScan {
        from: match is_sqlite {
            true => format!("tasks INDEXED BY {index}"),
            false => "tasks".to_owned(),
        },
        conditions,
        order,
        branches,
    }
}

/// Chooses the index that is scanned.
fn lead(
    filter: &TaskFilter,
    target: &Target,
    counters: &[Row],
    order: Order,
    suffix: &str,
) -> (Option<Lead>, String) {
    let device = |column, index, value: &String| {
        let lead = Lead {
            column,
            index,
            values: vec![Value::Text(value.clone())],
        };
        (Some(lead), index.to_owned())
    };
    if target.job.is_none() {
        // A device has few tasks.
        if let Some(name) = &filter.device_name {
            return device("device_name", "tasks_device_name", name);
        }
        if let Some(id) = &filter.device_id {
            return device("device_id", "tasks_device_id", id);
        }
    }
    if target.job.is_some() {
        let all = || TaskStatus::ALL.iter().map(|word| word.code()).collect();
        let codes: Vec<i64> = filter.status.clone().unwrap_or_else(all);
        let lead = Lead {
            column: "status",
            index: "tasks_job",
            values: codes.into_iter().map(Value::Int).collect(),
        };
        return (Some(lead), format!("tasks_job_{suffix}"));
    }
    let few = |lead: &Lead| target.scopes().len() * lead.values.len() <= MAX_BRANCHES;
    match filter.lead(counters).filter(few) {
        Some(lead) if !order.is_text || is_rare(filter, &lead, counters) => {
            let index = format!("{}_{suffix}", lead.index);
            (Some(lead), index)
        }
        _ if order.is_text => (None, "tasks_device_name".to_owned()),
        _ => (None, format!("tasks_{suffix}")),
    }
}

/// Rows that are sorted for the order by device name, for which not every filter has an index of its own.
const SORTED: u64 = 5_000;

fn is_rare(filter: &TaskFilter, lead: &Lead, counters: &[Row]) -> bool {
    filter.matching(lead, counters) <= SORTED
}

/// Returns those of the rows that match, in order.
async fn among(
    connection: &mut Connection,
    target: &Target,
    filter: &TaskFilter,
    order: Order,
    numbers: &[i64],
) -> Result<Vec<Position>> {
    let mut conditions: Conditions = filter.conditions(1);
    let codes = |codes: &[i64]| codes.iter().copied().map(Value::Int).collect::<Vec<_>>();
    conditions.one_of("gone", codes(target.gone));
    let sources: Vec<_> = target.sources.iter().map(|source| source.pk).collect();
    conditions.one_of("source", codes(&sources));
    conditions.is("job", target.job.map(|(_, job)| Value::Int(job)));
    let sql = format!(
        "SELECT {}, source, pk FROM tasks WHERE pk = $1{}",
        order.column,
        conditions.text()
    );
    let params: Vec<_> = numbers
        .iter()
        .map(|pk| {
            let mut params = run_params![*pk];
            params.extend(conditions.params().iter().cloned());
            params
        })
        .collect();
    let answers = connection.query_many(&sql, &params).await?;
    let mut rows: Vec<_> = answers
        .into_iter()
        .flatten()
        .map(|mut row| Position {
            value: match order.is_text {
                true => SortValue::Text(row.take(0)),
                false => SortValue::Number(row.int(0)),
            },
            source: row.int(1),
            pk: row.int(2),
        })
        .collect();
    rows.sort_by(|a, b| a.order(b, order.descending));
    Ok(rows)
}

/// Fetches the rows of a page, with what is shown of their jobs.
async fn items(connection: &mut Connection, rows: &[Position]) -> Result<Vec<FleetTask>> {
    let numbers: Vec<_> = rows.iter().map(|row| row.pk).collect();
    let tasks = by_number(
        connection,
        "SELECT pk, job, document, as_of, changed_at, vanished_at FROM tasks WHERE pk",
        &numbers,
    )
    .await?;
    let jobs: HashSet<_> = tasks.iter().map(|row| row.int(1)).collect();
    let jobs: Vec<_> = jobs.into_iter().collect();
    let jobs: HashMap<_, _> = by_number(
        connection,
        "SELECT pk, status, description, package FROM jobs WHERE pk",
        &jobs,
    )
    .await?
    .into_iter()
    .map(|row| (row.int(0), row))
    .collect();
    tasks
        .into_iter()
        .map(|mut row| {
            let job = jobs.get(&row.int(1));
            let text = |column: usize| {
                job.map(|job| job.text(column).to_owned())
                    .filter(|text| !text.is_empty())
            };
            Ok(FleetTask {
                job_status: job.and_then(|job| JobStatus::from_code(job.int(1))),
                job_description: text(2),
                job_package: text(3),
                as_of: row.time(3)?,
                changed_at: row.time(4)?,
                vanished_at: row.optional_time(5)?,
                document: row.take(2),
            })
        })
        .collect()
}
