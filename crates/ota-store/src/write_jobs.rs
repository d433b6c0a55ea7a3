//! Writing a page of jobs.

use std::collections::HashMap;

use ota_core::id::{JobId, ProviderName};
use ota_core::job::{JobKind, JobOutcome, JobStats};

use crate::codes::{Code, optional_code};
use crate::connection::Connection;
use crate::counts::to_text;
use crate::document::{merge, object, same};
use crate::error::Result;
use crate::pass_progress;
use crate::provider;
use crate::record::{JobPage, JobRecord, Written};
use crate::tally::{recount, show};
use crate::value::{
    NONE, Row, Value, is_newer, key, millis, optional_key, optional_millis, params, plain,
    run_params, search_text,
};

/// The columns that a record fills, in the order of [`values`].
const COLUMNS: [&str; 17] = [
    "status",
    "outcome",
    "kind",
    "package_id",
    "package_name",
    "package_version",
    "package",
    "product_id",
    "name",
    "description",
    "search",
    "created_at",
    "updated_at",
    "started_at",
    "whole",
    "truncated",
    "document",
];

/// What is known of a job that a page brings.
struct Known {
    pk: i64,
    gone: bool,
    vanished_at: i64,
    as_of: i64,
    changed_at: i64,
    seen_pass: i64,
    counts_at: i64,
    row: Row,
}

/// Where the columns of [`COLUMNS`] begin in a row of [`Known`].
const FIRST: usize = 7;

/// Writes the page.
pub(crate) async fn write(connection: &mut Connection, page: &JobPage) -> Result<Written> {
    let sent = millis(page.sent_at);
    let source = provider::lock(connection, &page.provider, page.vendor, sent).await?;
    let pass = match &page.pass {
        Some((id, _)) => pass_progress::find(connection, *id, source, 0).await?,
        None => None,
    };
    let mut written = Written::default();
    let mut seen = 0;
    let mut shown = Vec::new();
    let rows = distinct(&page.rows);
    let known = known(connection, source, &rows).await?;
    for (record, known) in rows.into_iter().zip(known) {
        let pass_id = pass.as_ref().map(|pass| pass.id);
        let Some(known) = known else {
            seen += u64::from(pass_id.is_some());
            written.added += 1;
            shown.push(insert(connection, source, record, page, pass_id).await?);
            continue;
        };
        seen += u64::from(pass_id.is_some_and(|id| id != known.seen_pass));
        let seen_pass = pass_id.unwrap_or(known.seen_pass);
        if is_newer(known.as_of, sent) {
            written.older += 1;
            touch(connection, known.pk, known.as_of, seen_pass).await?;
            continue;
        }
        shown.push(known.pk);
        match update(
            connection, source, &known, record, page.full, sent, seen_pass,
        )
        .await?
        {
            true => written.changed += 1,
            false => written.unchanged += 1,
        }
    }
    show(connection, &shown, sent).await?;
    written.first_seen = seen;
    if let (Some(pass), Some((_, progress))) = (pass, &page.pass) {
        pass_progress::advance(connection, pass, progress, seen, sent).await?;
    }
    Ok(written)
}

/// Returns the rows, of each id the last one.
fn distinct(rows: &[JobRecord]) -> Vec<&JobRecord> {
    let mut places = HashMap::with_capacity(rows.len());
    let mut distinct = Vec::with_capacity(rows.len());
    for row in rows {
        match places.get(row.id.as_str()) {
            Some(place) => distinct[*place] = row,
            None => {
                places.insert(row.id.as_str(), distinct.len());
                distinct.push(row);
            }
        }
    }
    distinct
}

async fn known(
    connection: &mut Connection,
    source: i64,
    rows: &[&JobRecord],
) -> Result<Vec<Option<Known>>> {
    let sql = format!(
        "SELECT pk, gone, vanished_at, as_of, changed_at, seen_pass, counts_at, {} FROM jobs WHERE source = $1 AND id = $2",
        COLUMNS.join(", ")
    );
    let params: Vec<_> = rows
        .iter()
        .map(|row| run_params![source, key(row.id.as_str())])
        .collect();
    let answers = connection.query_many(&sql, &params).await?;
    Ok(answers
        .into_iter()
        .map(|rows| {
            rows.into_iter().next().map(|row| Known {
                pk: row.int(0),
                gone: row.int(1) != 0,
                vanished_at: row.int(2),
                as_of: row.int(3),
                changed_at: row.int(4),
                seen_pass: row.int(5),
                counts_at: row.int(6),
                row,
            })
        })
        .collect())
}

/// Returns what is stored of a record, in the order of [`COLUMNS`].
fn values(record: &JobRecord, full: bool) -> Vec<Value> {
    let text = |text: &Option<String>| text.as_deref().map(plain).unwrap_or_default();
    run_params![
        record.status.code(),
        optional_code::<JobOutcome>(record.outcome),
        optional_code::<JobKind>(record.kind),
        optional_key(record.package_id.as_deref()),
        text(&record.package_name),
        optional_key(record.package_version.as_deref()),
        object(&record.document, "package"),
        optional_key(record.product_id.as_deref()),
        text(&record.name),
        text(&record.description),
        search_text(&[
            Some(record.id.as_str()),
            record.description.as_deref(),
            record.name.as_deref(),
            record.package_name.as_deref(),
            record.package_version.as_deref(),
        ]),
        optional_millis(record.created_at),
        optional_millis(record.updated_at),
        optional_millis(record.started_at),
        full,
        record.truncated,
        plain(&record.document)
    ]
}

/// Returns a row of a list completed by what is known in full: what a list leaves out has not gone. Where the status moved, the row stands alone, because
/// what is known may have changed with it.
fn complete(record: &JobRecord, known: &Known) -> Result<Option<JobRecord>> {
    let row = &known.row;
    let at = |column: usize| FIRST + column;
    if row.int(at(14)) == 0 || row.int(at(0)) != record.status.code() {
        return Ok(None);
    }
    let text = |column: usize| {
        let text = row.text(at(column));
        (!text.is_empty()).then(|| text.to_owned())
    };
    let record = record.clone();
    Ok(Some(JobRecord {
        outcome: record
            .outcome
            .or_else(|| JobOutcome::from_code(row.int(at(1)))),
        kind: record.kind.or_else(|| JobKind::from_code(row.int(at(2)))),
        package_id: record.package_id.or_else(|| text(3)),
        package_name: record.package_name.or_else(|| text(4)),
        package_version: record.package_version.or_else(|| text(5)),
        product_id: record.product_id.or_else(|| text(7)),
        name: record.name.or_else(|| text(8)),
        description: record.description.or_else(|| text(9)),
        created_at: match record.created_at {
            None => row.optional_time(at(11))?,
            told => told,
        },
        updated_at: match record.updated_at {
            None => row.optional_time(at(12))?,
            told => told,
        },
        started_at: match record.started_at {
            None => row.optional_time(at(13))?,
            told => told,
        },
        document: merge(row.text(at(16)), &record.document),
        ..record
    }))
}

async fn insert(
    connection: &mut Connection,
    source: i64,
    record: &JobRecord,
    page: &JobPage,
    pass: Option<i64>,
) -> Result<i64> {
    let sent = millis(page.sent_at);
    let told = record
        .updated_at
        .or(record.started_at)
        .or(record.created_at);
    let counts = record.stats.as_ref().map(to_text);
    let counts_at = if counts.is_some() { sent } else { NONE };
    let mut params = run_params![
        source,
        key(record.id.as_str()),
        told.map_or(sent, |told| millis(told).min(sent)),
        sent,
        pass.unwrap_or_default(),
        counts.unwrap_or_default(),
        counts_at
    ];
    let first = params.len() + 1;
    params.extend(values(record, page.full));
    let places: Vec<_> = (first..=params.len()).map(|n| format!("${n}")).collect();
    let sql = format!(
        "INSERT INTO jobs (source, id, gone, vanished_at, changed_at, as_of, seen_pass, missed, due_at, doubted_at, vendor_counts, counts_at, \
         tasks_as_of, tasks_at, tasks_changed_at, pending, in_progress, succeeded, failed, canceled, skipped, unknown, timed_out, shown_counts, shown_failed, tasks_truncated, read_again, {}) \
         VALUES ($1, $2, 0, -1, $3, $4, $5, 0, -1, -1, $6, $7, -1, -1, -1, 0, 0, 0, 0, 0, 0, 0, 0, '', -1, 0, 0, {}) RETURNING pk",
        COLUMNS.join(", "),
        places.join(", ")
    );
    let row = connection.first(&sql, &params).await?;
    Ok(row.map_or(0, |row| row.int(0)))
}

/// Notes that a row was seen.
async fn touch(connection: &mut Connection, pk: i64, as_of: i64, seen_pass: i64) -> Result<()> {
    connection
        .execute(
            "UPDATE jobs SET as_of = $2, seen_pass = $3, missed = 0 WHERE pk = $1",
            &params![pk, as_of, seen_pass],
        )
        .await
        .map(|_| ())
}

/// Writes a row that is known; returns whether it changed.
async fn update(
    connection: &mut Connection,
    source: i64,
    known: &Known,
    record: &JobRecord,
    full: bool,
    sent: i64,
    seen_pass: i64,
) -> Result<bool> {
    if let Some(stats) = &record.stats
        && !is_newer(known.counts_at, sent)
    {
        set_counts(connection, known.pk, stats, sent).await?;
    }
    let completed = match full {
        true => None,
        false => complete(record, known)?,
    };
    let whole = full || completed.is_some();
    let record = completed.as_ref().unwrap_or(record);
    let is_same = !known.gone && same(&record.document, known.row.text(FIRST + 16));
    let same_truncation = (known.row.int(FIRST + 15) != 0) == record.truncated;
    if is_same && same_truncation {
        touch(connection, known.pk, sent, seen_pass).await?;
        return Ok(false);
    }
    // A change is never later than the call that saw it, whatever the vendor's clock says.
    let told = record.updated_at.map(|told| millis(told).min(sent));
    let changed_at = match is_same {
        true => known.changed_at,
        false => told.filter(|told| *told > known.changed_at).unwrap_or(sent),
    };
    let mut params = run_params![known.pk, changed_at, sent, seen_pass];
    let first = params.len() + 1;
    params.extend(values(record, whole));
    let set: Vec<_> = COLUMNS
        .iter()
        .zip(first..)
        .map(|(column, n)| format!("{column} = ${n}"))
        .collect();
    let sql = format!(
        "UPDATE jobs SET gone = 0, vanished_at = -1, missed = 0, changed_at = $2, as_of = $3, seen_pass = $4, {} WHERE pk = $1",
        set.join(", ")
    );
    connection.execute(&sql, &params).await?;
    if known.gone {
        // Those that vanished with the job are back with it.
        connection
            .execute(
                "UPDATE tasks SET gone = 0, vanished_at = -1, missed = 0 WHERE job = $1 AND gone = 1 AND vanished_at = $2",
                &params![known.pk, known.vanished_at],
            )
            .await?;
        recount(connection, source, known.pk).await?;
    }
    Ok(!is_same)
}

async fn set_counts(
    connection: &mut Connection,
    pk: i64,
    counts: &JobStats,
    sent: i64,
) -> Result<()> {
    connection
        .execute(
            "UPDATE jobs SET vendor_counts = $2, counts_at = $3 WHERE pk = $1",
            &params![pk, to_text(counts), sent],
        )
        .await
        .map(|_| ())
}

/// Writes counts that the vendor told, unless later ones are there. Nothing for a job that is not known.
pub(crate) async fn write_counts(
    connection: &mut Connection,
    provider: &ProviderName,
    job: &JobId,
    sent: i64,
    counts: &JobStats,
) -> Result<()> {
    let Some(source) = provider::lock_known(connection, provider).await? else {
        return Ok(());
    };
    let row = connection
        .first(
            "SELECT pk, counts_at FROM jobs WHERE source = $1 AND id = $2",
            &params![source, key(job.as_str())],
        )
        .await?;
    let Some(row) = row.filter(|row| !is_newer(row.int(1), sent)) else {
        return Ok(());
    };
    set_counts(connection, row.int(0), counts, sent).await?;
    show(connection, &[row.int(0)], sent).await
}
