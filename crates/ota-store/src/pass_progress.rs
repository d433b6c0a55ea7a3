//! The rows of open passes.

use ota_core::id::{JobId, ProviderName};
use serde_json::Value;
use time::OffsetDateTime;

use crate::connection::Connection;
use crate::error::Result;
use crate::pass::{LeftOut, OpenPass, PassId, PassOf};
use crate::provider;
use crate::record::Progress;
use crate::value::{NONE, Row, count, key, millis, optional_count, params, plain};

/// An open pass.
pub(crate) struct PassRow {
    pub(crate) id: i64,
    pub(crate) source: i64,
    /// The job whose tasks it reads; 0: it reads the jobs.
    pub(crate) job: i64,
    pub(crate) began_at: i64,
    pub(crate) seen: i64,
    pub(crate) first_total: i64,
    pub(crate) last_total: i64,
    pub(crate) at_end: bool,
    pub(crate) left_out: LeftOut,
}

/// Writes what was left out; nothing as the empty text.
fn left_out_text(left_out: &LeftOut) -> String {
    if *left_out == LeftOut::default() {
        return String::new();
    }
    serde_json::json!({"truncated": left_out.truncated, "packages": left_out.packages}).to_string()
}

/// Reads it again. What cannot be read could be anything: then rows may be missing.
fn left_out(text: &str) -> LeftOut {
    let read = || {
        let value: Value = serde_json::from_str(text).ok()?;
        let packages = value.get("packages")?.as_object()?.iter();
        let message = |message: &Value| message.as_str().unwrap_or_default().to_owned();
        Some(LeftOut {
            truncated: value.get("truncated")?.as_bool()?,
            packages: packages.map(|(id, of)| (id.clone(), message(of))).collect(),
        })
    };
    match text {
        "" => LeftOut::default(),
        _ => read().unwrap_or(LeftOut {
            truncated: true,
            ..LeftOut::default()
        }),
    }
}

const COLUMNS: &str = "pk, source, job, began_at, seen, first_total, last_total, at_end, has_cursor, position, calls, left_out";

fn pass_row(row: &Row) -> PassRow {
    PassRow {
        id: row.int(0),
        source: row.int(1),
        job: row.int(2),
        began_at: row.int(3),
        seen: row.int(4),
        first_total: row.int(5),
        last_total: row.int(6),
        at_end: row.int(7) != 0,
        left_out: left_out(row.text(11)),
    }
}

fn open_pass(row: &mut Row, of: PassOf) -> Result<OpenPass> {
    Ok(OpenPass {
        id: PassId(row.int(0)),
        of,
        began_at: row.time(3)?,
        cursor: (row.int(8) != 0).then(|| row.take(9)),
        seen: row.count(4),
        first_total: row.optional_count(5),
        last_total: row.optional_count(6),
        calls: row.count(10),
        at_end: row.int(7) != 0,
        left_out: left_out(row.text(11)),
    })
}

/// Returns a pass by its number.
pub(crate) async fn get(connection: &mut Connection, id: PassId) -> Result<Option<PassRow>> {
    let sql = format!("SELECT {COLUMNS} FROM passes WHERE pk = $1");
    let row = connection.first(&sql, &params![id.0]).await?;
    Ok(row.as_ref().map(pass_row))
}

/// Returns a pass if it is open and reads just this.
pub(crate) async fn find(
    connection: &mut Connection,
    id: PassId,
    source: i64,
    job: i64,
) -> Result<Option<PassRow>> {
    let pass = get(connection, id).await?;
    Ok(pass.filter(|pass| pass.source == source && pass.job == job))
}

/// Begins a pass, or returns the one that is open. A pass over the tasks of a job that is not known has the number 0 and is over before it begins.
pub(crate) async fn begin(
    connection: &mut Connection,
    of: PassOf,
    at: OffsetDateTime,
) -> Result<OpenPass> {
    let (PassOf::Jobs(name) | PassOf::Tasks(name, _)) = &of;
    let began_at = at;
    let at = millis(at);
    let source = provider::lock(connection, name, "", at).await?;
    let job = match &of {
        PassOf::Jobs(_) => 0,
        PassOf::Tasks(_, id) => {
            let row = connection
                .first(
                    "SELECT pk FROM jobs WHERE source = $1 AND id = $2",
                    &params![source, key(id.as_str())],
                )
                .await?;
            match row {
                Some(row) => row.int(0),
                None => return Ok(nothing(of, began_at)),
            }
        }
    };
    connection
        .execute(
            "INSERT INTO passes (source, job, began_at, has_cursor, position, seen, first_total, last_total, calls, at_end, left_out) \
             VALUES ($1, $2, $3, 0, '', 0, -1, -1, 0, 0, '') ON CONFLICT (source, job) DO NOTHING",
            &params![source, job, at],
        )
        .await?;
    let sql = format!("SELECT {COLUMNS} FROM passes WHERE source = $1 AND job = $2");
    let row = connection.first(&sql, &params![source, job]).await?;
    match row {
        Some(mut row) => open_pass(&mut row, of),
        None => Ok(nothing(of, began_at)),
    }
}

fn nothing(of: PassOf, began_at: OffsetDateTime) -> OpenPass {
    OpenPass {
        id: PassId(0),
        of,
        began_at,
        cursor: None,
        seen: 0,
        first_total: None,
        last_total: None,
        calls: 0,
        at_end: false,
        left_out: LeftOut::default(),
    }
}

/// Returns the open passes of a provider, the oldest first.
pub(crate) async fn open(
    connection: &mut Connection,
    provider: &ProviderName,
) -> Result<Vec<OpenPass>> {
    let Some(source) = provider::find(connection, provider).await? else {
        return Ok(Vec::new());
    };
    let columns = COLUMNS
        .split(", ")
        .map(|column| format!("passes.{column}"))
        .collect::<Vec<_>>()
        .join(", ");
    let sql = format!(
        "SELECT {columns}, coalesce(jobs.id, '') FROM passes LEFT JOIN jobs ON jobs.pk = passes.job WHERE passes.source = $1 ORDER BY passes.pk"
    );
    let rows = connection.query(&sql, &params![source]).await?;
    rows.into_iter()
        .map(|mut row| {
            let of = match row.int(2) {
                0 => PassOf::Jobs(provider.clone()),
                _ => PassOf::Tasks(provider.clone(), JobId::from(row.take(12))),
            };
            open_pass(&mut row, of)
        })
        .collect()
}

/// Notes what a page did to its pass, in the transaction that writes its rows.
pub(crate) async fn advance(
    connection: &mut Connection,
    pass: PassRow,
    progress: &Progress,
    seen: u64,
    at: i64,
) -> Result<()> {
    let total = optional_count(progress.total);
    let is_first = pass.first_total == NONE && pass.last_total == NONE;
    connection
        .execute(
            "UPDATE passes SET has_cursor = $2, position = $3, seen = seen + $4, first_total = $5, last_total = $6, calls = calls + $7, at_end = $8, left_out = $9 WHERE pk = $1",
            &params![
                pass.id,
                progress.cursor.is_some(),
                progress.cursor.as_deref().map(plain).unwrap_or_default(),
                count(seen),
                if is_first { total } else { pass.first_total },
                if total == NONE { pass.last_total } else { total },
                i64::from(progress.calls),
                progress.cursor.is_none(),
                left_out_text(&progress.left_out)
            ],
        )
        .await?;
    provider::note_progress(connection, pass.source, at).await
}
