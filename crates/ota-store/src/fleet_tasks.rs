//! Pages of tasks.

use std::collections::{HashMap, HashSet};

use ota_core::job::JobStatus;

use crate::codes::Code;
use crate::conditions::Conditions;
use crate::connection::Connection;
use crate::error::Result;
use crate::fleet::{FleetTask, Page, TaskQuery, TaskSort};
use crate::index_scan::Order;
use crate::position::{Position, SortValue};
use crate::scope::by_number;
use crate::selection::{Selection, Target, target};
use crate::task_filter::TaskFilter;
use crate::task_scan::scan;
use crate::text_search::{self, Question, Way};
use crate::value::Value;

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
    let selection = Selection::new(connection, &target, &filter).await?;
    let matching = selection.matching();
    let mut total = filter
        .is_counted()
        .then(|| u64::try_from(matching).unwrap_or_default());
    let way = match &query.q {
        Some(text) if matching > 0 && !filter.has_device() => {
            let question = Question::new(&target, &selection, order, limit);
            text_search::way(connection, text, &target.sources, &question).await?
        }
        _ => Way::InOrder,
    };
    let mut rows = match way {
        _ if matching == 0 => Vec::new(),
        Way::Parts(_) | Way::Numbers(_) => {
            let all = among(connection, &target, &filter, &selection, order, &way).await?;
            total = Some(all.len() as u64);
            let behind = |row: &Position| {
                after
                    .as_ref()
                    .is_none_or(|after| row.order(after, order.descending).is_gt())
            };
            all.into_iter().filter(behind).take(limit).collect()
        }
        Way::InOrder => {
            let is_sqlite = connection.is_sqlite();
            let scan = scan(&filter, &target, &selection, order, limit, is_sqlite);
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

/// Returns those of the rows that match, in order.
async fn among(
    connection: &mut Connection,
    target: &Target,
    filter: &TaskFilter,
    selection: &Selection,
    order: Order,
    way: &Way,
) -> Result<Vec<Position>> {
    let mut conditions: Conditions = filter.conditions(1, connection.is_sqlite());
    let codes = |codes: &[i64]| codes.iter().copied().map(Value::Int).collect::<Vec<_>>();
    conditions.one_of("gone", codes(target.gone));
    let sources: Vec<_> = target.sources.iter().map(|source| source.pk).collect();
    conditions.one_of("source", codes(&sources));
    conditions.is("job", target.job.map(|(_, job)| Value::Int(job)));
    let from = match way {
        // In this order: the index first, then the rows by their numbers.
        Way::Parts(_) => {
            "task_search CROSS JOIN tasks ON tasks.pk = task_search.rowid WHERE task_search MATCH $1"
        }
        Way::Numbers(_) | Way::InOrder => "tasks WHERE pk = $1",
    };
    let sql = format!(
        "SELECT {}, source, pk, combination FROM {from}{}",
        order.column,
        conditions.text()
    );
    let with = |first: Value| {
        let mut params = vec![first];
        params.extend(conditions.params().iter().cloned());
        params
    };
    let params: Vec<_> = match way {
        Way::Parts(expression) => vec![with(Value::Text(expression.clone()))],
        Way::Numbers(numbers) => numbers.iter().map(|pk| with(Value::Int(*pk))).collect(),
        Way::InOrder => Vec::new(),
    };
    let answers = connection.query_many(&sql, &params).await?;
    let wanted: HashSet<_> = selection
        .parts
        .iter()
        .flat_map(|part| part.combinations.iter().copied())
        .collect();
    let mut rows: Vec<_> = answers
        .into_iter()
        .flatten()
        .filter(|row| wanted.contains(&row.int(3)))
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
