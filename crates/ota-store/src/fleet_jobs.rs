//! Pages of jobs.

use ota_core::job::JobOutcome;

use crate::codes::Code;
use crate::conditions::Conditions;
use crate::connection::Connection;
use crate::counts::from_text;
use crate::error::Result;
use crate::fleet::{FleetJob, JobQuery, JobSort, Page};
use crate::index_scan::{Branch, IndexScan, OWN, Order};
use crate::position::Position;
use crate::scope::{Source, by_number, gone, sources};
use crate::value::{Value, like, optional_key, run_params};

/// With more jobs than this, only the plain total is told: the others would have to be counted.
const COUNTED: i64 = 10_000;

/// Answers a page.
pub(crate) async fn page(
    connection: &mut Connection,
    query: &JobQuery,
    sort: JobSort,
    after: Option<&str>,
    size: u32,
) -> Result<Page<FleetJob>> {
    let after = after.map(Position::from_text).transpose()?;
    let sources = sources(connection, &query.providers, &query.vendors).await?;
    let total = total(connection, query, &sources).await?;
    let scan = scan(query, sort, &sources, connection.is_sqlite());
    let size = usize::try_from(size).unwrap_or(usize::MAX);
    let mut rows = scan
        .run(connection, after.as_ref(), size.saturating_add(1))
        .await?;
    let more = rows.len() > size;
    rows.truncate(size);
    let next = rows.last().filter(|_| more).map(Position::to_text);
    let numbers: Vec<_> = rows.iter().map(|row| row.pk).collect();
    let items = by_number(
        connection,
        "SELECT pk, document, shown_counts, as_of, tasks_as_of, changed_at, vanished_at, truncated + tasks_truncated, outcome FROM jobs WHERE pk",
        &numbers,
    )
    .await?
    .into_iter()
    .map(|mut row| {
        Ok(FleetJob {
            document: row.take(1),
            outcome: JobOutcome::from_code(row.int(8)),
            stats: from_text(row.text(2)),
            as_of: row.time(3)?,
            tasks_as_of: row.optional_time(4)?,
            changed_at: row.time(5)?,
            vanished_at: row.optional_time(6)?,
            truncated: row.int(7) != 0,
        })
    })
    .collect::<Result<_>>()?;
    Ok(Page { items, next, total })
}

/// Returns the scan that answers a question.
pub(crate) fn scan(
    query: &JobQuery,
    sort: JobSort,
    sources: &[Source],
    is_sqlite: bool,
) -> IndexScan {
    let (column, descending, index) = match sort {
        JobSort::CreatedDescending => ("created_at", true, "jobs_created"),
        JobSort::Created => ("created_at", false, "jobs_created"),
        JobSort::ChangedDescending => ("changed_at", true, "jobs_changed"),
        JobSort::Changed => ("changed_at", false, "jobs_changed"),
        JobSort::FailedDescending => ("shown_failed", true, "jobs_failed"),
    };
    let filter = conditions(query, OWN + 2);
    let mut branches = Vec::new();
    for source in sources {
        for gone in gone(query.include_vanished) {
            let mut params = run_params![source.pk, *gone];
            params.extend(filter.params().iter().cloned());
            branches.push(Branch {
                source: source.pk,
                params,
            });
        }
    }
    IndexScan {
        from: match is_sqlite {
            true => format!("jobs INDEXED BY {index}"),
            false => "jobs".to_owned(),
        },
        conditions: format!("source = $4 AND gone = $5{}", filter.text()),
        order: Order {
            column,
            descending,
            is_text: false,
        },
        branches,
    }
}

/// Returns the conditions of a question, but for provider and vendor.
pub(crate) fn conditions(query: &JobQuery, before: usize) -> Conditions {
    let mut conditions = Conditions::after(before);
    let codes = |codes: Vec<i64>| codes.into_iter().map(Value::Int);
    let status = query.status.iter().map(|word| word.code()).collect();
    let outcome = query.outcome.iter().map(|word| word.code()).collect();
    let kind = query.kind.iter().map(|word| word.code()).collect();
    conditions.one_of("status", codes(status));
    conditions.one_of("outcome", codes(outcome));
    conditions.one_of("kind", codes(kind));
    for (column, value) in [
        ("package_id", &query.package_id),
        ("package_version", &query.package_version),
        ("product_id", &query.product_id),
    ] {
        let value = value.as_deref().map(|text| optional_key(Some(text)).into());
        conditions.is(column, value);
    }
    conditions.range("created_at", query.created_after, query.created_before);
    conditions.range("updated_at", query.updated_after, query.updated_before);
    conditions.like("search", query.q.as_deref().map(like));
    match query.with_failures {
        Some(true) => conditions.plain("shown_failed > 0"),
        Some(false) => conditions.plain("shown_failed <= 0"),
        None => {}
    }
    conditions
}

/// Counts the matching jobs, unless that takes long.
async fn total(
    connection: &mut Connection,
    query: &JobQuery,
    sources: &[Source],
) -> Result<Option<u64>> {
    let filter = conditions(query, 2);
    let scopes: Vec<_> = sources
        .iter()
        .flat_map(|source| {
            gone(query.include_vanished)
                .iter()
                .map(|gone| run_params![source.pk, *gone])
        })
        .collect();
    let sum = |answers: Vec<Vec<crate::value::Row>>| {
        answers.iter().flatten().map(|row| row.int(0)).sum::<i64>()
    };
    let all = "SELECT count(*) FROM jobs WHERE source = $1 AND gone = $2";
    let all = sum(connection.query_many(all, &scopes).await?);
    if filter.text().is_empty() {
        return Ok(u64::try_from(all).ok());
    }
    if all > COUNTED {
        return Ok(None);
    }
    let sql = format!(
        "SELECT count(*) FROM jobs WHERE source = $1 AND gone = $2{}",
        filter.text()
    );
    let params: Vec<_> = scopes
        .into_iter()
        .map(|mut params| {
            params.extend(filter.params().iter().cloned());
            params
        })
        .collect();
    Ok(u64::try_from(sum(connection.query_many(&sql, &params).await?)).ok())
}
