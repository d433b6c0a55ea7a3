//! The end of a pass: what it proves to be absent.
//!
//! A row has vanished when two complete passes in a row did not see it. When more than half of the rows would vanish at once, a third pass has to agree:
//! vendors answer with short lists when something is wrong on their side.

use ota_core::id::{JobId, ProviderName};

use crate::combinations;
use crate::connection::Connection;
use crate::error::Result;
use crate::pass::{Ended, Forgotten, PassEnd, PassId};
use crate::pass_progress::{self, PassRow};
use crate::provider;
use crate::tally::{recount, show};
use crate::value::{NONE, Value, key, params, plain, run_params};

/// Complete passes that must miss a row before it has vanished.
const MISSES: i64 = 2;

/// The same when more than half of the rows would vanish.
const MISSES_IN_DOUBT: i64 = 3;

/// Ends a pass; nothing for one that is not open.
pub(crate) async fn end(
    connection: &mut Connection,
    id: PassId,
    end: &PassEnd,
    at: i64,
) -> Result<Ended> {
    let Some(pass) = pass_progress::get(connection, id).await? else {
        return Ok(Ended::default());
    };
    provider::lock_number(connection, pass.source).await?;
    // It may have grown or ended while the lock was waited for.
    let Some(pass) = pass_progress::get(connection, id).await? else {
        return Ok(Ended::default());
    };
    connection
        .execute("DELETE FROM passes WHERE pk = $1", &params![pass.id])
        .await?;
    provider::note_progress(connection, pass.source, at).await?;
    match end {
        PassEnd::Incomplete { problem } => {
            if let Some(problem) = problem {
                connection
                    .execute(
                        "UPDATE providers SET problem = $2, problem_at = $3 WHERE pk = $1 AND problem <> $2",
                        &params![pass.source, plain(problem), at],
                    )
                    .await?;
            }
            Ok(Ended::default())
        }
        PassEnd::Truncated if pass.job == 0 => Ok(Ended::default()),
        PassEnd::Truncated => {
            read_tasks(connection, &pass, true, NONE).await?;
            show(connection, &[pass.job], at).await?;
            Ok(Ended::default())
        }
        PassEnd::Complete if !is_whole(&pass) => Ok(Ended::default()),
        PassEnd::Complete if pass.job == 0 => end_of_jobs(connection, &pass, at).await,
        PassEnd::Complete => end_of_tasks(connection, &pass, at).await,
    }
}

/// Whether a pass saw as many rows as the vendor told at its begin or at its end, and reached the end.
fn is_whole(pass: &PassRow) -> bool {
    let told = [pass.first_total, pass.last_total];
    let tells = told.iter().any(|total| *total != NONE);
    pass.at_end && (!tells || told.contains(&pass.seen))
}

/// What the misses of a table's rows say.
struct Verdict {
    /// From so many misses on a row vanishes.
    misses: i64,
    missing: u64,
    doubted: bool,
}

/// The rows that the end of a pass judges.
struct Judged<'a> {
    table: &'static str,
    /// Limits the table's rows by `$1` and from `$4` on.
    of: &'a str,
    owner: i64,
    /// From `$4` on.
    others: Vec<Value>,
}

impl Judged<'_> {
    fn params(&self, second: i64, third: i64) -> Vec<Value> {
        let mut params = run_params![self.owner, second, third];
        params.extend(self.others.iter().cloned());
        params
    }
}

/// Counts a miss for each row that the pass did not see and no later call brought, and judges them.
async fn judge(
    connection: &mut Connection,
    judged: &Judged<'_>,
    pass: &PassRow,
) -> Result<Verdict> {
    let Judged { table, of, .. } = judged;
    connection
        .execute(
            &format!("UPDATE {table} SET missed = missed + 1 WHERE {of} AND gone = 0 AND seen_pass <> $2 AND as_of < $3"),
            &judged.params(pass.id, pass.began_at),
        )
        .await?;
    let row = connection
        .first(
            &format!(
                "SELECT count(*), count(*) FILTER (WHERE missed = 1), count(*) FILTER (WHERE missed >= $2), count(*) FILTER (WHERE missed >= $3) \
                 FROM {table} WHERE {of} AND gone = 0"
            ),
            &judged.params(MISSES, MISSES_IN_DOUBT),
        )
        .await?;
    let [all, missing, would, agreed] =
        [0, 1, 2, 3].map(|column| row.as_ref().map_or(0, |row| row.int(column)));
    let is_most = would.saturating_mul(2) > all;
    Ok(Verdict {
        misses: if is_most { MISSES_IN_DOUBT } else { MISSES },
        missing: u64::try_from(missing).unwrap_or_default(),
        doubted: is_most && would > agreed,
    })
}

async fn end_of_jobs(connection: &mut Connection, pass: &PassRow, at: i64) -> Result<Ended> {
    // Of a package that could not be read, and of jobs of which no package is known, nothing is proved.
    let mut others = Vec::new();
    let mut of = String::from("source = $1");
    if !pass.left_out.packages.is_empty() {
        let packages = pass.left_out.packages.keys().map(|id| key(id));
        others.extend(packages.chain([String::new()]).map(Value::from));
        let places: Vec<String> = (4..others.len() + 4).map(|n| format!("${n}")).collect();
        of = format!("source = $1 AND package_id NOT IN ({})", places.join(", "));
    }
    let judged = Judged {
        table: "jobs",
        of: &of,
        owner: pass.source,
        others,
    };
    let verdict = judge(connection, &judged, pass).await?;
    let sql =
        format!("SELECT pk FROM jobs WHERE {of} AND gone = 0 AND missed >= $2 AND missed >= $3");
    let rows = connection
        .query(&sql, &judged.params(verdict.misses, verdict.misses))
        .await?;
    for row in &rows {
        vanish(connection, pass.source, row.int(0), at).await?;
    }
    let doubted_at = if verdict.doubted { at } else { NONE };
    connection
        .execute(
            "UPDATE providers SET full_pass_at = $2, \
             doubted_at = CASE WHEN CAST($3 AS BIGINT) >= 0 AND doubted_at >= 0 THEN doubted_at ELSE CAST($3 AS BIGINT) END WHERE pk = $1",
            &params![pass.source, pass.began_at, doubted_at],
        )
        .await?;
    Ok(Ended {
        complete: true,
        vanished: rows.len() as u64,
        missing: verdict.missing,
        doubted: verdict.doubted,
    })
}

async fn end_of_tasks(connection: &mut Connection, pass: &PassRow, at: i64) -> Result<Ended> {
    let judged = Judged {
        table: "tasks",
        of: "job = $1",
        owner: pass.job,
        others: Vec::new(),
    };
    let verdict = judge(connection, &judged, pass).await?;
    let vanished = connection
        .execute(
            "UPDATE tasks SET gone = 1, vanished_at = $3 WHERE job = $1 AND gone = 0 AND missed >= $2",
            &params![pass.job, verdict.misses, at],
        )
        .await?;
    if vanished > 0 {
        recount(connection, pass.source, pass.job).await?;
    }
    let doubted_at = if verdict.doubted { at } else { NONE };
    read_tasks(connection, pass, false, doubted_at).await?;
    show(connection, &[pass.job], at).await?;
    Ok(Ended {
        complete: true,
        vanished,
        missing: verdict.missing,
        doubted: verdict.doubted,
    })
}

/// Notes that a pass read all tasks of its job that the vendor shows.
async fn read_tasks(
    connection: &mut Connection,
    pass: &PassRow,
    truncated: bool,
    doubted_at: i64,
) -> Result<()> {
    connection
        .execute(
            "UPDATE jobs SET tasks_truncated = $4, read_again = 0, tasks_as_of = CASE WHEN tasks_as_of < $2 THEN $2 ELSE tasks_as_of END, \
             tasks_at = CASE WHEN tasks_at < $2 THEN $2 ELSE tasks_at END, \
             doubted_at = CASE WHEN CAST($3 AS BIGINT) >= 0 AND doubted_at >= 0 THEN doubted_at ELSE CAST($3 AS BIGINT) END WHERE pk = $1",
            &params![pass.job, pass.began_at, doubted_at, truncated],
        )
        .await
        .map(|_| ())
}

/// Makes a job vanish, and its tasks with it. An open pass over its tasks ends.
async fn vanish(connection: &mut Connection, source: i64, job: i64, at: i64) -> Result<()> {
    connection
        .execute(
            "UPDATE jobs SET gone = 1, vanished_at = $2, doubted_at = -1 WHERE pk = $1",
            &params![job, at],
        )
        .await?;
    connection
        .execute(
            "UPDATE tasks SET gone = 1, vanished_at = $2 WHERE job = $1 AND gone = 0",
            &params![job, at],
        )
        .await?;
    connection
        .execute(
            "DELETE FROM passes WHERE source = $1 AND job = $2",
            &params![source, job],
        )
        .await?;
    recount(connection, source, job).await
}

/// Notes that the vendor did not know a job when it was asked for it alone.
pub(crate) async fn missing_job(
    connection: &mut Connection,
    provider: &ProviderName,
    job: &JobId,
    at: i64,
) -> Result<()> {
    let Some(source) = provider::lock_known(connection, provider).await? else {
        return Ok(());
    };
    let row = connection
        .first(
            "UPDATE jobs SET missed = missed + 1 WHERE source = $1 AND id = $2 AND gone = 0 AND as_of < $3 RETURNING pk, missed",
            &params![source, key(job.as_str()), at],
        )
        .await?;
    match row {
        Some(row) if row.int(1) >= MISSES => vanish(connection, source, row.int(0), at).await,
        _ => Ok(()),
    }
}

/// The most tasks that one transaction removes: it holds up every other writer of the provider, with SQLite every writer.
const MOST_TASKS: i64 = 5_000;

/// The points of a job's history above which its older half is thinned, and the newest ones, which stay.
const MOST_POINTS: i64 = 4_000;
const NEWEST_POINTS: i64 = 500;

/// Removes tasks of one job, and with the last of them the job, if it vanished before a time or ended and no call has brought it since. Of a provider that is no longer
/// `configured` any job is removed that no call has brought since.
///
/// A job that the vendor still lists stays, however old: the next list would bring it back.
pub(crate) async fn forget(
    connection: &mut Connection,
    before: i64,
    configured: &[ProviderName],
) -> Result<Forgotten> {
    for row in provider::all(connection).await? {
        let source = row.int(0);
        let is_configured = configured.iter().any(|name| name.as_str() == row.text(1));
        let ended = match is_configured {
            true => "AND status IN (5, 6)",
            false => "",
        };
        let sql = format!(
            "SELECT pk FROM jobs WHERE source = $1 AND ((gone = 1 AND vanished_at < $2) OR (gone = 0 AND as_of < $2 {ended})) ORDER BY pk LIMIT 1"
        );
        // Only a provider of which something is removed is locked.
        if connection
            .first(&sql, &params![source, before])
            .await?
            .is_none()
        {
            continue;
        }
        provider::lock_number(connection, source).await?;
        let Some(job) = connection.first(&sql, &params![source, before]).await? else {
            continue;
        };
        let jobs = u64::from(remove(connection, source, job.int(0)).await?);
        return Ok(Forgotten { jobs, more: true });
    }
    Ok(Forgotten::default())
}

/// Thins the older points of one job whose history has become long: every second one goes. The first one stays.
pub(crate) async fn thin_history(connection: &mut Connection) -> Result<bool> {
    let row = connection
        .first(
            "SELECT job, min(at) FROM history GROUP BY job HAVING count(*) > $1 ORDER BY job LIMIT 1",
            &params![MOST_POINTS],
        )
        .await?;
    let Some(row) = row else { return Ok(false) };
    connection
        .execute(
            "DELETE FROM history WHERE job = $1 AND at > $2 AND at IN (SELECT at FROM \
             (SELECT at, row_number() OVER (ORDER BY at DESC) AS place FROM history WHERE job = $1) AS points WHERE place > $3 AND place % 2 = 0)",
            &params![row.int(0), row.int(1), NEWEST_POINTS],
        )
        .await?;
    Ok(true)
}

/// Removes tasks of a job, and with the last of them the job; returns whether it is gone.
async fn remove(connection: &mut Connection, source: i64, job: i64) -> Result<bool> {
    let tasks = connection
        .query(
            "SELECT pk FROM tasks WHERE job = $1 ORDER BY pk LIMIT 1 OFFSET $2",
            &params![job, MOST_TASKS],
        )
        .await?;
    // The first task that stays.
    let end = tasks.first().map_or(i64::MAX, |row| row.int(0));
    if connection.is_sqlite() {
        connection
            .execute(
                "DELETE FROM task_search WHERE rowid IN (SELECT pk FROM tasks WHERE job = $1 AND pk < $2)",
                &params![job, end],
            )
            .await?;
    }
    connection
        .execute(
            "DELETE FROM tasks WHERE job = $1 AND pk < $2",
            &params![job, end],
        )
        .await?;
    // Takes what is left in the counters out of those of the provider.
    recount(connection, source, job).await?;
    combinations::remove_unused(connection, source).await?;
    if !tasks.is_empty() {
        return Ok(false);
    }
    for sql in [
        "DELETE FROM history WHERE job = $1",
        "DELETE FROM passes WHERE job = $1",
        "DELETE FROM task_counts WHERE job = $1",
        "DELETE FROM jobs WHERE pk = $1",
    ] {
        connection.execute(sql, &params![job]).await?;
    }
    Ok(true)
}
