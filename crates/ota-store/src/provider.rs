//! Rows of providers, and the lock that keeps writers of one provider apart.

use ota_core::id::ProviderName;

use time::OffsetDateTime;

use crate::connection::Connection;
use crate::error::{Result, StoreError};
use crate::fleet::ProviderState;
use crate::value::{NONE, Row, key, params, plain, run_params};

/// Locks the provider's row until the transaction ends, and returns its number; makes the row where it is missing.
///
/// PostgreSQL lets several transactions write at once, and counters are kept by reading rows first: two writers of one provider would count wrongly.
pub(crate) async fn lock(
    connection: &mut Connection,
    provider: &ProviderName,
    vendor: &str,
    at: i64,
) -> Result<i64> {
    if let Some(source) = lock_known(connection, provider).await? {
        return Ok(source);
    }
    let row = connection
        .first(
            "INSERT INTO providers (name, vendor, since, first_pass_at, full_pass_at, problem, problem_at, progress_at, doubted_at, mapping, writes) \
             VALUES ($1, $2, $3, -1, -1, '', -1, -1, -1, '', 1) \
             ON CONFLICT (name) DO UPDATE SET writes = providers.writes + 1 RETURNING pk",
            &params![provider.as_str(), vendor, at],
        )
        .await?;
    row.map(|row| row.int(0)).ok_or_else(no_row)
}

/// As [`lock`]; nothing where the provider is unknown.
pub(crate) async fn lock_known(
    connection: &mut Connection,
    provider: &ProviderName,
) -> Result<Option<i64>> {
    let row = connection
        .first(
            "UPDATE providers SET writes = writes + 1 WHERE name = $1 RETURNING pk",
            &params![provider.as_str()],
        )
        .await?;
    Ok(row.map(|row| row.int(0)))
}

/// Notes by which settings the rows of a provider are made. When they have changed, all tasks of all its jobs are to be read again, and open passes begin anew: their
/// first pages were made by the settings before.
pub(crate) async fn set_mapping(
    connection: &mut Connection,
    provider: &ProviderName,
    mapping: &str,
) -> Result<bool> {
    let row = connection
        .first(
            "UPDATE providers SET mapping = $2, writes = writes + 1 WHERE name = $1 AND mapping <> $2 RETURNING pk",
            &params![provider.as_str(), plain(mapping)],
        )
        .await?;
    let Some(source) = row.map(|row| row.int(0)) else {
        return Ok(false);
    };
    for sql in [
        "UPDATE jobs SET read_again = 1 WHERE source = $1 AND gone = 0",
        "DELETE FROM passes WHERE source = $1",
    ] {
        connection.execute(sql, &params![source]).await?;
    }
    Ok(true)
}

/// As [`lock`], by number.
pub(crate) async fn lock_number(connection: &mut Connection, source: i64) -> Result<()> {
    connection
        .execute(
            "UPDATE providers SET writes = writes + 1 WHERE pk = $1",
            &params![source],
        )
        .await
        .map(|_| ())
}

/// Returns the number of a provider.
pub(crate) async fn find(
    connection: &mut Connection,
    provider: &ProviderName,
) -> Result<Option<i64>> {
    let row = connection
        .first(
            "SELECT pk FROM providers WHERE name = $1",
            &params![provider.as_str()],
        )
        .await?;
    Ok(row.map(|row| row.int(0)))
}

/// Returns numbers, names, vendors and numbers of writes of all providers.
pub(crate) async fn all(connection: &mut Connection) -> Result<Vec<Row>> {
    connection
        .query(
            "SELECT pk, name, vendor, writes FROM providers ORDER BY pk",
            &[],
        )
        .await
}

/// Makes the provider known, or known again.
pub(crate) async fn see(
    connection: &mut Connection,
    provider: &ProviderName,
    vendor: &str,
    at: i64,
) -> Result<()> {
    let source = lock(connection, provider, vendor, at).await?;
    connection
        .execute(
            "UPDATE providers SET vendor = $2 WHERE pk = $1",
            &params![source, vendor],
        )
        .await
        .map(|_| ())
}

/// Notes that a pass wrote something.
pub(crate) async fn note_progress(connection: &mut Connection, source: i64, at: i64) -> Result<()> {
    connection
        .execute(
            "UPDATE providers SET progress_at = $2 WHERE pk = $1 AND progress_at < $2",
            &params![source, at],
        )
        .await
        .map(|_| ())
}

/// Notes the end of the first pass, once.
pub(crate) async fn first_pass_ended(
    connection: &mut Connection,
    provider: &ProviderName,
    at: i64,
) -> Result<()> {
    connection
        .execute(
            "UPDATE providers SET first_pass_at = $2 WHERE name = $1 AND first_pass_at = -1",
            &params![provider.as_str(), at],
        )
        .await
        .map(|_| ())
}

/// Notes what is wrong, and since when: the same problem keeps its time.
pub(crate) async fn set_problem(
    connection: &mut Connection,
    provider: &ProviderName,
    problem: Option<&str>,
    at: i64,
) -> Result<()> {
    let text = problem.map(plain).unwrap_or_default();
    let at = if text.is_empty() { NONE } else { at };
    connection
        .execute(
            "UPDATE providers SET problem = $2, problem_at = $3 WHERE name = $1 AND problem <> $2",
            &params![provider.as_str(), text, at],
        )
        .await
        .map(|_| ())
}

/// Returns what is known of all providers.
pub(crate) async fn states(connection: &mut Connection) -> Result<Vec<ProviderState>> {
    let rows = connection
        .query(
            "SELECT name, vendor, since, first_pass_at, full_pass_at, problem, problem_at, progress_at, doubted_at, \
             (SELECT count(*) FROM jobs WHERE jobs.source = providers.pk AND jobs.gone = 0), \
             (SELECT CAST(coalesce(sum(present), 0) AS BIGINT) FROM task_combinations WHERE task_combinations.source = providers.pk), \
             (SELECT coalesce(min(jobs.as_of), -1) FROM jobs WHERE jobs.source = providers.pk AND jobs.gone = 0 AND jobs.status IN (2, 3, 4)), \
             (SELECT coalesce(max(jobs.doubted_at), -1) FROM jobs WHERE jobs.source = providers.pk AND jobs.gone = 0) \
             FROM providers ORDER BY name",
            &[],
        )
        .await?;
    rows.into_iter().map(state).collect()
}

fn state(mut row: Row) -> Result<ProviderState> {
    let full = row.optional_time(4)?;
    let oldest = row.optional_time(11)?;
    let doubted = row.optional_time(8)?;
    let job_doubted = row.optional_time(12)?;
    let problem = match row.take_optional(5) {
        Some(text) => row.optional_time(6)?.map(|since| (text, since)),
        None => doubted
            .map(|since| (DOUBT.to_owned(), since))
            .or_else(|| job_doubted.map(|since| (JOB_DOUBT.to_owned(), since))),
    };
    Ok(ProviderState {
        provider: ProviderName::from(row.text(0)),
        vendor: row.text(1).to_owned(),
        since: row.time(2)?,
        first_pass_at: row.optional_time(3)?,
        last_full_pass_at: full,
        as_of: full.map(|full| oldest.map_or(full, |oldest| oldest.min(full))),
        problem,
        progress_at: row.optional_time(7)?,
        jobs: row.count(9),
        tasks: row.count(10),
    })
}

const DOUBT: &str = "more than half of the jobs were missing from two complete lists of the vendor; they are shown until a third list agrees";
const JOB_DOUBT: &str = "more than half of a job's tasks were missing from two complete lists of the vendor; they are shown until a third list agrees";

/// Records from when calls of an account count, in place of those that were recorded before.
pub(crate) async fn record_calls(
    connection: &mut Connection,
    account: &str,
    sent: Vec<i64>,
) -> Result<()> {
    let account = key(account);
    let mut times = std::collections::BTreeMap::new();
    for at in sent {
        *times.entry(at).or_insert(0_i64) += 1;
    }
    let rows: Vec<_> = times
        .into_iter()
        .map(|(at, calls)| run_params![account.as_str(), at, calls])
        .collect();
    connection
        .execute(
            "DELETE FROM calls WHERE account = $1",
            &params![account.as_str()],
        )
        .await?;
    connection
        .execute_many(
            "INSERT INTO calls (account, sent_at, calls) VALUES ($1, $2, $3)",
            &rows,
        )
        .await
        .map(|_| ())
}

/// Returns when calls of an account were sent, each of them.
pub(crate) async fn recent_calls(
    connection: &mut Connection,
    account: &str,
    from: i64,
) -> Result<Vec<OffsetDateTime>> {
    let rows = connection
        .query(
            "SELECT sent_at, calls FROM calls WHERE account = $1 AND sent_at >= $2 ORDER BY sent_at",
            &params![key(account), from],
        )
        .await?;
    let mut times = Vec::new();
    for row in rows {
        let at = row.time(0)?;
        times.extend((0..row.int(1)).map(|_| at));
    }
    Ok(times)
}

fn no_row() -> StoreError {
    crate::value::damaged("a row that was written is not there")
}
