//! Recounting what is maintained.

use std::collections::BTreeMap;

use crate::connection::Connection;
use crate::counts::to_text;
use crate::error::Result;
use crate::tally::{SOURCES, sources};
use crate::value::{Row, optional_count};

/// Recounts everything and says what differs, a line each.
pub(crate) async fn verify(connection: &mut Connection) -> Result<Vec<String>> {
    let mut lines = Vec::new();
    counters(
        connection,
        "task_counts",
        "source, job, combination",
        "source, job, combination",
        &mut lines,
    )
    .await?;
    counters(
        connection,
        "task_combinations",
        "source, pk",
        "source, combination",
        &mut lines,
    )
    .await?;
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
        "tasks of a combination that is not there",
        "SELECT count(*) FROM tasks WHERE combination NOT IN (SELECT pk FROM task_combinations)",
    ),
    (
        "tasks under another provider or status than their combination",
        "SELECT count(*) FROM tasks JOIN task_combinations ON task_combinations.pk = tasks.combination \
         WHERE tasks.source <> task_combinations.source OR tasks.status <> task_combinations.status",
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
        "tasks of a vanished job that have not vanished",
        "SELECT count(*) FROM tasks JOIN jobs ON jobs.pk = tasks.job WHERE tasks.gone = 0 AND jobs.gone = 1",
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

/// Compares a table of counters with the tasks. `owner` names its key, `counted` the columns of tasks that are the same.
async fn counters(
    connection: &mut Connection,
    table: &str,
    owner: &str,
    counted: &str,
    lines: &mut Vec<String>,
) -> Result<()> {
    let kept = format!("SELECT {owner}, present, vanished FROM {table}");
    let recount = format!(
        "SELECT {counted}, count(*) FILTER (WHERE gone = 0), count(*) FILTER (WHERE gone = 1) FROM tasks GROUP BY {counted}"
    );
    let kept = by_key(connection.query(&kept, &[]).await?);
    let recounted = by_key(connection.query(&recount, &[]).await?);
    for (key, number) in &kept {
        let rows = recounted.get(key).copied().unwrap_or_default();
        if rows != *number {
            lines.push(format!(
                "{table} ({counted}) {key}: kept {number:?}, counted {rows:?}"
            ));
        }
    }
    for (key, rows) in recounted {
        if !kept.contains_key(&key) {
            lines.push(format!(
                "{table} ({counted}) {key}: kept nothing, counted {rows:?}"
            ));
        }
    }
    Ok(())
}

/// Returns the last two columns of rows, present and vanished, by the text of those before.
fn by_key(rows: Vec<Row>) -> BTreeMap<String, (i64, i64)> {
    rows.into_iter()
        .map(|row| {
            let keys = row.0.len().saturating_sub(2);
            let key: Vec<_> = (0..keys)
                .map(|column| row.int(column).to_string())
                .collect();
            (key.join(" "), (row.int(keys), row.int(keys + 1)))
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
    let counted = "SELECT job, count(*) FILTER (WHERE tasks.status = 1), count(*) FILTER (WHERE tasks.status = 2), count(*) FILTER (WHERE tasks.status = 3), \
         count(*) FILTER (WHERE tasks.status = 4), count(*) FILTER (WHERE tasks.status = 5), count(*) FILTER (WHERE tasks.status = 6), \
         count(*) FILTER (WHERE tasks.status = 7), count(*) FILTER (WHERE task_combinations.failure = 1) \
         FROM tasks JOIN task_combinations ON task_combinations.pk = tasks.combination WHERE gone = 0 GROUP BY job";
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
        if text != row.text(13) || failed != row.int(14) {
            let job = row.int(15);
            let (kept, kept_failed) = (row.text(13), row.int(14));
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
