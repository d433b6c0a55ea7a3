//! What the scheduler needs of jobs.

use ota_core::id::{JobId, ProviderName};
use ota_core::job::{JobStats, JobStatus};
use ota_core::task::{TaskStage, TaskStatus};
use time::OffsetDateTime;

use crate::codes::Code;
use crate::connection::Connection;
use crate::counts::from_text;
use crate::error::Result;
use crate::fleet::HistoryPoint;
use crate::provider;
use crate::tally::{SOURCES, sources};
use crate::value::{Row, key, params, run_params};

/// A job that a pass or a look may be due for; what the scheduler needs of it.
#[derive(Clone, Debug, PartialEq)]
pub struct JobState {
    /// The job.
    pub id: JobId,
    /// Where it is in its life.
    pub status: JobStatus,
    /// When it last changed, or one of its tasks.
    pub changed_at: OffsetDateTime,
    /// When it started, or was created.
    pub created_at: Option<OffsetDateTime>,
    /// When its row or its counts were last read.
    pub as_of: OffsetDateTime,
    /// Whether all fields are known that a look at it alone tells; a row of a list may leave some out.
    pub full: bool,
    /// When all its tasks were last read by a complete pass.
    pub tasks_as_of: Option<OffsetDateTime>,
    /// The counts as the vendor last told them.
    pub vendor_counts: Option<JobStats>,
    /// The counts of the task rows in the database.
    pub own_counts: JobStats,
    /// Whether the vendor does not show all its tasks.
    pub truncated: bool,
    /// Whether its tasks were last read with other settings, so that all are to be read again.
    pub read_again: bool,
    /// When it is to be looked at next, as the sync last decided.
    pub due_at: Option<OffsetDateTime>,
}

fn columns() -> String {
    format!(
        "{SOURCES}, id, changed_at, tasks_changed_at, created_at, started_at, as_of, whole, due_at, read_again"
    )
}

fn state(mut row: Row) -> Result<JobState> {
    let sources = sources(&row, 0);
    let changed_at = row.time(14)?;
    let as_of = row.time(18)?;
    let counts_at = row.optional_time(3)?;
    Ok(JobState {
        changed_at: row
            .optional_time(15)?
            .map_or(changed_at, |tasks| tasks.max(changed_at)),
        created_at: row.optional_time(17)?.or(row.optional_time(16)?),
        as_of: counts_at.map_or(as_of, |counts| counts.max(as_of)),
        full: row.int(19) != 0,
        tasks_as_of: row.optional_time(4)?,
        due_at: row.optional_time(20)?,
        status: sources.status,
        truncated: sources.truncated,
        read_again: row.int(21) != 0,
        own_counts: sources.own.stats(sources.status),
        vendor_counts: sources.vendor,
        id: JobId::from(row.take(13)),
    })
}

/// Returns the jobs of a provider that have not vanished, those without a due time first, then by that time.
pub(crate) async fn all(
    connection: &mut Connection,
    provider: &ProviderName,
    limit: u32,
) -> Result<Vec<JobState>> {
    let Some(source) = provider::find(connection, provider).await? else {
        return Ok(Vec::new());
    };
    let sql = format!(
        "SELECT {} FROM jobs WHERE source = $1 AND gone = 0 ORDER BY due_at, pk LIMIT $2",
        columns()
    );
    let rows = connection
        .query(&sql, &params![source, i64::from(limit)])
        .await?;
    rows.into_iter().map(state).collect()
}

/// Returns one job that has not vanished.
pub(crate) async fn one(
    connection: &mut Connection,
    provider: &ProviderName,
    job: &JobId,
) -> Result<Option<JobState>> {
    let Some(source) = provider::find(connection, provider).await? else {
        return Ok(None);
    };
    let sql = format!(
        "SELECT {} FROM jobs WHERE source = $1 AND id = $2 AND gone = 0",
        columns()
    );
    let row = connection
        .first(&sql, &params![source, key(job.as_str())])
        .await?;
    row.map(state).transpose()
}

/// Notes when jobs are to be looked at next.
pub(crate) async fn set_due(
    connection: &mut Connection,
    provider: &ProviderName,
    due: Vec<(JobId, i64)>,
) -> Result<()> {
    let Some(source) = provider::lock_known(connection, provider).await? else {
        return Ok(());
    };
    let rows: Vec<_> = due
        .into_iter()
        .map(|(job, at)| run_params![source, key(job.as_str()), at])
        .collect();
    connection
        .execute_many(
            "UPDATE jobs SET due_at = $3 WHERE source = $1 AND id = $2",
            &rows,
        )
        .await
}

async fn find(
    connection: &mut Connection,
    provider: &ProviderName,
    job: &JobId,
) -> Result<Option<i64>> {
    let Some(source) = provider::find(connection, provider).await? else {
        return Ok(None);
    };
    let row = connection
        .first(
            "SELECT pk FROM jobs WHERE source = $1 AND id = $2",
            &params![source, key(job.as_str())],
        )
        .await?;
    Ok(row.map(|row| row.int(0)))
}

/// Returns ids and device names of tasks in these statuses, and in a stage if one is given, those that changed longest ago first.
pub(crate) async fn tasks_in(
    connection: &mut Connection,
    provider: &ProviderName,
    job: &JobId,
    status: Vec<TaskStatus>,
    stage: Option<TaskStage>,
    limit: u32,
) -> Result<Vec<(String, Option<String>)>> {
    let Some(job) = find(connection, provider, job).await? else {
        return Ok(Vec::new());
    };
    let mut tasks = Vec::new();
    for status in status {
        // One status at a time reads the index in order.
        tasks.extend(
            connection
                .query(
                    "SELECT id, device_name, changed_at, pk FROM tasks WHERE job = $1 AND gone = 0 AND status = $2 AND (combination IN (SELECT pk FROM task_combinations WHERE stage = $4) OR $4 < 0) ORDER BY changed_at, pk LIMIT $3",
                    &params![job, status.code(), i64::from(limit), stage.map_or(-1, Code::code)],
                )
                .await?,
        );
    }
    tasks.sort_by_key(|row| (row.int(2), row.int(3)));
    tasks.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
    Ok(tasks
        .into_iter()
        .map(|mut row| (row.take(0), row.take_optional(1)))
        .collect())
}

/// Returns the history of a job's counts, at most so many points of it; nothing for a job that is not known.
pub(crate) async fn history(
    connection: &mut Connection,
    provider: &ProviderName,
    job: &JobId,
    most: u32,
) -> Result<Option<Vec<HistoryPoint>>> {
    let Some(job) = find(connection, provider, job).await? else {
        return Ok(None);
    };
    let rows = connection
        .query(
            "SELECT at, counts FROM history WHERE job = $1 ORDER BY at",
            &params![job],
        )
        .await?;
    let most = usize::try_from(most).unwrap_or(usize::MAX);
    thin(rows, most)
        .into_iter()
        .map(|row| {
            Ok(HistoryPoint {
                at: row.time(0)?,
                counts: from_text(row.text(1)).unwrap_or_default(),
            })
        })
        .collect::<Result<Vec<_>>>()
        .map(Some)
}

/// Leaves at most so many rows, evenly chosen; the first and the last stay.
fn thin(rows: Vec<Row>, most: usize) -> Vec<Row> {
    let count = rows.len();
    if count <= most {
        return rows;
    }
    if most < 2 {
        return rows.into_iter().rev().take(most).collect();
    }
    let wanted: std::collections::HashSet<_> = (0..most)
        .map(|place| place * (count - 1) / (most - 1))
        .collect();
    rows.into_iter()
        .enumerate()
        .filter(|(place, _)| wanted.contains(place))
        .map(|(_, row)| row)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{Row, thin};
    use crate::value::Value;

    #[test]
    fn thinning_keeps_the_ends() {
        let rows = |count: i64| {
            (0..count)
                .map(|n| Row(vec![Value::Int(n)]))
                .collect::<Vec<_>>()
        };
        let numbers = |rows: Vec<Row>| rows.iter().map(|row| row.int(0)).collect::<Vec<_>>();
        assert_eq!(numbers(thin(rows(3), 5)), [0, 1, 2]);
        assert_eq!(numbers(thin(rows(11), 3)), [0, 5, 10]);
        assert_eq!(numbers(thin(rows(11), 1)), [10]);
        assert_eq!(thin(rows(1_000), 500).len(), 500);
    }
}
