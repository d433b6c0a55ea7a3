//! The counters of tasks: kept in the transaction that changes the rows.

use std::collections::BTreeMap;

use crate::codes::Code;
use crate::combination::Numbers;
use crate::connection::Connection;
use crate::counts::{OwnCounts, Sources, agree, from_text, to_text};
use crate::error::Result;
use crate::value::{Row, Value, optional_count, params, run_params};
use ota_core::job::JobStatus;
use ota_core::task::Failure;

/// Changes of counters, collected while rows are compared: of each combination.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    changes: BTreeMap<i64, Numbers>,
}

impl Tally {
    /// Counts a row in (1) or out (-1).
    pub(crate) fn add(&mut self, combination: i64, gone: bool, number: i64) {
        let change = self.changes.entry(combination).or_default();
        match gone {
            true => change.vanished += number,
            false => change.present += number,
        }
    }

    /// Writes the changes to the counters of the job and of its provider.
    pub(crate) async fn write(
        mut self,
        connection: &mut Connection,
        source: i64,
        job: i64,
    ) -> Result<()> {
        self.changes
            .retain(|_, change| *change != Numbers::default());
        if self.changes.is_empty() {
            return Ok(());
        }
        let mut of_source = Vec::new();
        let mut of_job = Vec::new();
        let mut fewer = Vec::new();
        for (combination, change) in &self.changes {
            of_source.push(run_params![*combination, change.present, change.vanished]);
            of_job.push(run_params![
                source,
                job,
                *combination,
                change.present,
                change.vanished
            ]);
            if change.present < 0 || change.vanished < 0 {
                fewer.push(run_params![source, job, *combination]);
            }
        }
        let values = connection.query_many(ADD_TO_SOURCE, &of_source).await?;
        connection.execute_many(ADD_TO_JOB, &of_job).await?;
        connection.execute_many(REMOVE_EMPTY, &fewer).await?;
        let mut own = OwnCounts::default();
        for (change, row) in self.changes.values().zip(values.iter().flatten()) {
            own.add(
                row.int(0),
                row.int(1) == Failure::Timeout.code(),
                change.present,
            );
        }
        let mut params = run_params![job];
        params.extend(own.by_status.into_iter().map(Value::Int));
        params.push(Value::Int(own.timed_out));
        connection.execute(ADD_OWN, &params).await.map(|_| ())
    }
}

const ADD_TO_JOB: &str = "INSERT INTO task_counts (source, job, combination, present, vanished) VALUES ($1, $2, $3, $4, $5) \
     ON CONFLICT (source, job, combination) DO UPDATE SET present = task_counts.present + excluded.present, vanished = task_counts.vanished + excluded.vanished";

const ADD_TO_SOURCE: &str = "UPDATE task_combinations SET present = present + $2, vanished = vanished + $3 WHERE pk = $1 RETURNING status, failure";

const REMOVE_EMPTY: &str = "DELETE FROM task_counts WHERE source = $1 AND job = $2 AND combination = $3 AND present = 0 AND vanished = 0";

const ADD_OWN: &str = "UPDATE jobs SET pending = pending + $2, in_progress = in_progress + $3, succeeded = succeeded + $4, failed = failed + $5, \
     canceled = canceled + $6, skipped = skipped + $7, unknown = unknown + $8, timed_out = timed_out + $9 WHERE pk = $1";

const SET_OWN: &str = "UPDATE jobs SET pending = $2, in_progress = $3, succeeded = $4, failed = $5, \
     canceled = $6, skipped = $7, unknown = $8, timed_out = $9 WHERE pk = $1";

/// Adds a job's counters to those of its provider, or takes them away (-1).
async fn add_to_source(
    connection: &mut Connection,
    source: i64,
    job: i64,
    sign: i64,
) -> Result<()> {
    connection
        .execute(
            "UPDATE task_combinations SET present = task_combinations.present + counts.present * $3, vanished = task_combinations.vanished + counts.vanished * $3 \
             FROM task_counts AS counts WHERE counts.source = $1 AND counts.job = $2 AND task_combinations.pk = counts.combination",
            &params![source, job, sign],
        )
        .await
        .map(|_| ())
}

/// Counts the tasks of a job anew, after statements that changed many of them.
pub(crate) async fn recount(connection: &mut Connection, source: i64, job: i64) -> Result<()> {
    add_to_source(connection, source, job, -1).await?;
    connection
        .execute(
            "DELETE FROM task_counts WHERE source = $1 AND job = $2",
            &params![source, job],
        )
        .await?;
    connection
        .execute(
            "INSERT INTO task_counts (source, job, combination, present, vanished) \
             SELECT source, job, combination, count(*) FILTER (WHERE gone = 0), count(*) FILTER (WHERE gone = 1) FROM tasks WHERE job = $1 \
             GROUP BY source, job, combination",
            &params![job],
        )
        .await?;
    add_to_source(connection, source, job, 1).await?;
    let own = own_from_counters(connection, source, job).await?;
    let mut params = run_params![job];
    params.extend(own.by_status.into_iter().map(Value::Int));
    params.push(Value::Int(own.timed_out));
    connection.execute(SET_OWN, &params).await.map(|_| ())
}

async fn own_from_counters(
    connection: &mut Connection,
    source: i64,
    job: i64,
) -> Result<OwnCounts> {
    let rows = connection
        .query(
            "SELECT task_combinations.status, task_combinations.failure, task_counts.present FROM task_counts \
             JOIN task_combinations ON task_combinations.pk = task_counts.combination WHERE task_counts.source = $1 AND task_counts.job = $2",
            &params![source, job],
        )
        .await?;
    let mut own = OwnCounts::default();
    for row in rows {
        own.add(
            row.int(0),
            row.int(1) == Failure::Timeout.code(),
            row.int(2),
        );
    }
    Ok(own)
}

/// The columns that [`sources`] reads, in its order.
pub(crate) const SOURCES: &str = "status, truncated + tasks_truncated, vendor_counts, counts_at, tasks_as_of, \
     pending, in_progress, succeeded, failed, canceled, skipped, unknown, timed_out";

/// Reads what decides which counts of a job are shown, from this column on.
pub(crate) fn sources(row: &Row, from: usize) -> Sources {
    let mut own = OwnCounts::default();
    for (place, count) in own.by_status.iter_mut().enumerate() {
        *count = row.int(from + 5 + place);
    }
    own.timed_out = row.int(from + 12);
    Sources {
        status: JobStatus::from_code(row.int(from)).unwrap_or(JobStatus::Unknown),
        truncated: row.int(from + 1) != 0,
        vendor: from_text(row.text(from + 2)),
        vendor_at: row.int(from + 3),
        own,
        tasks_as_of: row.int(from + 4),
    }
}

/// Decides anew which counts of jobs are shown, and adds a point to the history of those whose counts changed. A job that vanished keeps its last ones.
pub(crate) async fn show(connection: &mut Connection, jobs: &[i64], at: i64) -> Result<()> {
    let sql =
        format!("SELECT {SOURCES}, shown_counts, outcome FROM jobs WHERE pk = $1 AND gone = 0");
    let params: Vec<_> = jobs.iter().map(|job| run_params![*job]).collect();
    let answers = connection.query_many(&sql, &params).await?;
    let mut shown = Vec::new();
    let mut points = Vec::new();
    let mut proven = Vec::new();
    for (job, row) in jobs.iter().zip(answers.iter().map(|rows| rows.first())) {
        let Some(row) = row else { continue };
        let counts = sources(row, 0).shown();
        let text = counts.as_ref().map(to_text).unwrap_or_default();
        let before = row.text(13);
        // What the counts prove holds also where the vendor tells no outcome, or its row was written again without one.
        if let Some(outcome) = counts.as_ref().and_then(|counts| counts.outcome)
            && outcome.code() != row.int(14)
        {
            proven.push(run_params![*job, outcome.code()]);
        }
        if text == before {
            continue;
        }
        let failed = counts.as_ref().and_then(|counts| counts.failed);
        shown.push(run_params![*job, text.as_str(), optional_count(failed)]);
        let same = counts
            .zip(from_text(before))
            .is_some_and(|(now, before)| agree(&now, &before));
        if !same && !text.is_empty() {
            points.push(run_params![*job, at, text]);
        }
    }
    connection
        .execute_many("UPDATE jobs SET outcome = $2 WHERE pk = $1", &proven)
        .await?;
    connection
        .execute_many(
            "UPDATE jobs SET shown_counts = $2, shown_failed = $3 WHERE pk = $1",
            &shown,
        )
        .await?;
    connection
        .execute_many(
            "INSERT INTO history (job, at, counts) VALUES ($1, $2, $3) ON CONFLICT (job, at) DO UPDATE SET counts = excluded.counts",
            &points,
        )
        .await
}
