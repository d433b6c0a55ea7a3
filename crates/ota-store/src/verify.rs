//! Recounting what is maintained.

use std::collections::BTreeMap;

use crate::connection::Connection;
use crate::counts::to_text;
use crate::error::Result;
use crate::tally::{SOURCES, sources};
use crate::value::{Row, Value, optional_count};

const KEYS: &str = "gone, status, stage, failure, product_id, from_version, to_version";

/// Recounts everything and says what differs, a line each.
pub(crate) async fn verify(connection: &mut Connection) -> Result<Vec<String>> {
    let mut lines = Vec::new();
    counters(connection, "task_counts", "job, source", &mut lines).await?;
    counters(connection, "task_totals", "source", &mut lines).await?;
    own_counts(connection, &mut lines).await?;
    shown_counts(connection, &mut lines).await?;
    for (what, sql) in NEVER {
        let row = connection.first(sql, &[]).await?;
        let rows = row.map_or(0, |row| row.int(0));
        if rows != 0 {
            lines.push(format!("{what}: {rows}"));
        }
    }
    if connection.is_sqlite() {
        search(connection, &mut lines).await?;
    }
    Ok(lines)
}

/// What must not be in the database, with the statement that counts it.
const NEVER: &[(&str, &str)] = &[
    (
        "jobs of a provider that is not there",
        "SELECT count(*) FROM jobs WHERE source NOT IN (SELECT pk FROM providers)",
    ),
    (
        "tasks of a job that is not there",
        "SELECT count(*) FROM tasks WHERE job NOT IN (SELECT pk FROM jobs)",
    ),
    (
        "tasks under another provider than their job",
        "SELECT count(*) FROM tasks JOIN jobs ON jobs.pk = tasks.job WHERE tasks.source <> jobs.source",
    ),
    (
        "jobs whose mark and time of vanishing differ",
        "SELECT count(*) FROM jobs WHERE (gone = 1) <> (vanished_at >= 0)",
    ),
    (
        "tasks whose mark and time of vanishing differ",
        "SELECT count(*) FROM tasks WHERE (gone = 1) <> (vanished_at >= 0)",
    ),
    (
        "history of a job that is not there",
        "SELECT count(*) FROM history WHERE job NOT IN (SELECT pk FROM jobs)",
    ),
    (
        "passes of a job that is not there",
        "SELECT count(*) FROM passes WHERE job <> 0 AND job NOT IN (SELECT pk FROM jobs)",
    ),
];

async fn counters(
    connection: &mut Connection,
    table: &str,
    owner: &str,
    lines: &mut Vec<String>,
) -> Result<()> {
    let kept = format!("SELECT {owner}, {KEYS}, number FROM {table}");
    let counted = format!("SELECT {owner}, {KEYS}, count(*) FROM tasks GROUP BY {owner}, {KEYS}");
    let kept = by_key(connection.query(&kept, &[]).await?);
    let counted = by_key(connection.query(&counted, &[]).await?);
    for (key, number) in &kept {
        let rows = counted.get(key).copied().unwrap_or_default();
        if rows != *number {
            lines.push(format!(
                "{table} ({owner}, {KEYS}) {key}: kept {number}, counted {rows}"
            ));
        }
    }
    for (key, rows) in counted {
        if !kept.contains_key(&key) {
            lines.push(format!(
                "{table} ({owner}, {KEYS}) {key}: kept 0, counted {rows}"
            ));
        }
    }
    Ok(())
}

fn by_key(rows: Vec<Row>) -> BTreeMap<String, i64> {
    rows.into_iter()
        .map(|row| {
            let last = row.0.len().saturating_sub(1);
            let key: Vec<_> = row.0[..last]
                .iter()
                .map(|value| match value {
                    Value::Int(number) => number.to_string(),
                    Value::Text(text) => format!("`{text}`"),
                    Value::Null => "none".to_owned(),
                })
                .collect();
            (key.join(" "), row.int(last))
        })
        .collect()
}

const OWN: [&str; 8] = [
    "pending",
    "in_progress",
    "succeeded",
    "failed",
    "canceled",
    "skipped",
    "unknown",
    "timed_out",
];

async fn own_counts(connection: &mut Connection, lines: &mut Vec<String>) -> Result<()> {
    let kept = format!("SELECT pk, {} FROM jobs ORDER BY pk", OWN.join(", "));
    let counted = "SELECT job, count(*) FILTER (WHERE status = 1), count(*) FILTER (WHERE status = 2), count(*) FILTER (WHERE status = 3), \
         count(*) FILTER (WHERE status = 4), count(*) FILTER (WHERE status = 5), count(*) FILTER (WHERE status = 6), \
         count(*) FILTER (WHERE status = 7), count(*) FILTER (WHERE failure = 1) FROM tasks WHERE gone = 0 GROUP BY job";
    let counted: BTreeMap<_, _> = connection
        .query(counted, &[])
        .await?
        .into_iter()
        .map(|row| (row.int(0), row))
        .collect();
    for row in connection.query(&kept, &[]).await? {
        let job = row.int(0);
        for (place, name) in OWN.iter().enumerate() {
            let rows = counted.get(&job).map_or(0, |row| row.int(place + 1));
            if row.int(place + 1) != rows {
                let kept = row.int(place + 1);
                lines.push(format!("job {job}, {name}: kept {kept}, counted {rows}"));
            }
        }
    }
    Ok(())
}

async fn shown_counts(connection: &mut Connection, lines: &mut Vec<String>) -> Result<()> {
    // A job that has vanished keeps what was shown last; its tasks have vanished with it.
    let sql = format!(
        "SELECT {SOURCES}, shown_counts, shown_failed, pk FROM jobs WHERE gone = 0 ORDER BY pk"
    );
    for row in connection.query(&sql, &[]).await? {
        let shown = sources(&row, 0).shown();
        let text = shown.as_ref().map(to_text).unwrap_or_default();
        let failed = optional_count(shown.and_then(|shown| shown.failed));
        if text != row.text(14) || failed != row.int(15) {
            let job = row.int(16);
            let (kept, kept_failed) = (row.text(14), row.int(15));
            lines.push(format!(
                "job {job}, shown counts: kept `{kept}` ({kept_failed} failed), derived `{text}` ({failed} failed)"
            ));
        }
    }
    Ok(())
}

/// Sees that every task is in the index of texts, by their numbers.
async fn search(connection: &mut Connection, lines: &mut Vec<String>) -> Result<()> {
    for (what, sql) in [
        (
            "tasks that are not in the index of texts",
            "SELECT count(*) FROM tasks WHERE pk NOT IN (SELECT id FROM task_search_docsize)",
        ),
        (
            "entries of the index of texts without a task",
            "SELECT count(*) FROM task_search_docsize WHERE id NOT IN (SELECT pk FROM tasks)",
        ),
    ] {
        let row = connection.first(sql, &[]).await?;
        let rows = row.map_or(0, |row| row.int(0));
        if rows != 0 {
            lines.push(format!("{what}: {rows}"));
        }
    }
    Ok(())
}
