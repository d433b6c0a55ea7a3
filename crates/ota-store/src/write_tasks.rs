//! Writing a page of tasks.

use std::collections::HashMap;

use ota_core::task::{Failure, TaskStatus};

use crate::codes::{Code, optional_code};
use crate::combination::Values;
use crate::combinations;
use crate::connection::Connection;
use crate::document::same;
use crate::error::Result;
use crate::pass_progress::{self, PassRow};
use crate::provider;
use crate::record::{TaskPage, TaskRecord, Written};
use crate::tally::{Tally, show};
use crate::value::{
    Row, Value, is_newer, key, millis, optional_key, optional_millis, params, plain, run_params,
    search_text,
};

/// The columns of a row that is there, in the order of [`Existing`].
const EXISTING: &str = "id, pk, gone, combination, as_of, changed_at, seen_pass, search, document";

const INSERT: &str = "INSERT INTO tasks (job, source, gone, status, combination, created_at, changed_at, as_of, vanished_at, seen_pass, missed, \
     id, device_id, device_name, search, document) \
     VALUES ($1, $2, 0, $3, $4, $5, $6, $7, -1, $8, 0, $9, $10, $11, $12, $13)";

/// The same for all rows at once.
const INSERT_ALL: &str = "INSERT INTO tasks (job, source, gone, status, combination, created_at, changed_at, as_of, vanished_at, seen_pass, missed, \
     id, device_id, device_name, search, document) \
     SELECT job, source, 0, status, combination, created_at, changed_at, as_of, -1, seen_pass, 0, id, device_id, device_name, search, document \
     FROM unnest($1::BIGINT[], $2::BIGINT[], $3::BIGINT[], $4::BIGINT[], $5::BIGINT[], $6::BIGINT[], $7::BIGINT[], $8::BIGINT[], \
     $9::TEXT[], $10::TEXT[], $11::TEXT[], $12::TEXT[], $13::TEXT[]) \
     AS rows(job, source, status, combination, created_at, changed_at, as_of, seen_pass, id, device_id, device_name, search, document)";

const UPDATE: &str = "UPDATE tasks SET gone = 0, status = $2, combination = $3, created_at = $4, changed_at = $5, as_of = $6, vanished_at = -1, \
     seen_pass = $7, missed = 0, device_id = $8, device_name = $9, search = $10, document = $11 WHERE pk = $1";

/// The same for all rows at once.
const UPDATE_ALL: &str = "UPDATE tasks SET gone = 0, status = rows.status, combination = rows.combination, created_at = rows.created_at, changed_at = rows.changed_at, \
     as_of = rows.as_of, vanished_at = -1, seen_pass = rows.seen_pass, missed = 0, device_id = rows.device_id, device_name = rows.device_name, \
     search = rows.search, document = rows.document \
     FROM unnest($1::BIGINT[], $2::BIGINT[], $3::BIGINT[], $4::BIGINT[], $5::BIGINT[], $6::BIGINT[], $7::BIGINT[], \
     $8::TEXT[], $9::TEXT[], $10::TEXT[], $11::TEXT[]) \
     AS rows(pk, status, combination, created_at, changed_at, as_of, seen_pass, device_id, device_name, search, document) WHERE tasks.pk = rows.pk";

/// What is to be written of a page.
#[derive(Default)]
struct Plan {
    written: Written,
    /// The newest change.
    changed_at: i64,
    added: Vec<New>,
    changed: Vec<Changed>,
    /// Rows that the page brings as they are.
    same: Vec<i64>,
    /// Rows that a later call has brought.
    older: Vec<i64>,
}

/// A row to be added.
struct New {
    columns: Columns,
    changed_at: i64,
}

/// A row to be changed.
struct Changed {
    columns: Columns,
    changed_at: i64,
    before: Existing,
}

/// What is known of a row that is there.
struct Existing {
    pk: i64,
    gone: bool,
    combination: i64,
    as_of: i64,
    changed_at: i64,
    seen_pass: i64,
    search: String,
    document: String,
}

/// What all rows of a page share.
#[derive(Clone, Copy)]
struct Page<'a> {
    source: i64,
    job: i64,
    sent: i64,
    pass: Option<&'a PassRow>,
}

/// A row as it is stored.
struct Columns {
    id: String,
    values: Values,
    device_id: String,
    device_name: String,
    created_at: i64,
    search: String,
    document: String,
}

/// Writes the page; nothing of a job that is not known or has vanished: it comes back with its own row first, and its tasks with it.
pub(crate) async fn write(connection: &mut Connection, page: &TaskPage) -> Result<Written> {
    let sent = millis(page.sent_at);
    let source = provider::lock(connection, &page.provider, page.vendor, sent).await?;
    let Some(job) = find_job(connection, source, page.job_id.as_str()).await? else {
        return Ok(Written::default());
    };
    let pass = match &page.pass {
        Some((id, _)) => pass_progress::find(connection, *id, source, job).await?,
        None => None,
    };
    let rows = distinct(&page.rows);
    let mut existing = existing(connection, job, &rows).await?;
    let of = Page {
        source,
        job,
        sent,
        pass: pass.as_ref(),
    };
    let mut plan = Plan::default();
    for record in rows {
        plan.add(record, existing.remove(&key(&record.id)), of);
    }
    let (written, changed_at) = (plan.written, plan.changed_at);
    plan.write(connection, of).await?;
    connection
        .execute(
            "UPDATE jobs SET tasks_at = CASE WHEN tasks_at < $2 THEN $2 ELSE tasks_at END, \
             tasks_changed_at = CASE WHEN tasks_changed_at < $3 THEN $3 ELSE tasks_changed_at END WHERE pk = $1",
            &params![job, sent, changed_at],
        )
        .await?;
    show(connection, &[job], sent).await?;
    if let (Some(pass), Some((_, progress))) = (pass, &page.pass) {
        pass_progress::advance(connection, pass, progress, written.first_seen, sent).await?;
    }
    Ok(written)
}

async fn find_job(connection: &mut Connection, source: i64, id: &str) -> Result<Option<i64>> {
    let row = connection
        .first(
            "SELECT pk FROM jobs WHERE source = $1 AND id = $2 AND gone = 0",
            &params![source, key(id)],
        )
        .await?;
    Ok(row.map(|row| row.int(0)))
}

/// Returns what is known of the rows, by their identifiers.
async fn existing(
    connection: &mut Connection,
    job: i64,
    rows: &[&TaskRecord],
) -> Result<HashMap<String, Existing>> {
    let ids = rows.iter().map(|row| key(&row.id)).collect();
    let sql = format!(
        "SELECT {EXISTING} FROM tasks WHERE job = $1 AND id {}",
        connection.one_of(2)
    );
    let known = connection
        .query(&sql, &[Value::Int(job), Value::Texts(ids)])
        .await?;
    let existing = |mut row: Row| {
        let id = row.take(0);
        let existing = Existing {
            pk: row.int(1),
            gone: row.int(2) != 0,
            combination: row.int(3),
            as_of: row.int(4),
            changed_at: row.int(5),
            seen_pass: row.int(6),
            search: row.take(7),
            document: row.take(8),
        };
        (id, existing)
    };
    Ok(known.into_iter().map(existing).collect())
}

/// Returns the rows, of each id the last one.
fn distinct(rows: &[TaskRecord]) -> Vec<&TaskRecord> {
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

fn columns(record: &TaskRecord) -> Columns {
    Columns {
        id: key(&record.id),
        values: Values {
            status: TaskStatus::code(record.status),
            stage: optional_code(record.stage),
            failure: optional_code::<Failure>(record.failure),
            product_id: optional_key(record.product_id.as_deref()),
            from_version: optional_key(record.from_version.as_deref()),
            to_version: optional_key(record.to_version.as_deref()),
        },
        device_id: optional_key(record.device_id.as_deref()),
        device_name: optional_key(record.device_name.as_deref()),
        created_at: optional_millis(record.created_at),
        search: search_text(&[
            record.device_name.as_deref(),
            record.device_id.as_deref(),
            record.message.as_deref(),
        ]),
        document: plain(&record.document),
    }
}

impl Plan {
    fn add(&mut self, record: &TaskRecord, existing: Option<Existing>, of: Page<'_>) {
        let Some(before) = existing else {
            self.written.first_seen += u64::from(of.pass.is_some());
            self.add_new(record, of.sent);
            return;
        };
        let is_first = of.pass.is_some_and(|pass| pass.id != before.seen_pass);
        self.written.first_seen += u64::from(is_first);
        if is_newer(before.as_of, of.sent) {
            self.written.older += 1;
            self.older.push(before.pk);
        } else if !before.gone && same(&record.document, &before.document) {
            self.written.unchanged += 1;
            self.same.push(before.pk);
        } else {
            self.written.changed += 1;
            self.change(record, before, of.sent);
        }
    }

    fn add_new(&mut self, record: &TaskRecord, sent: i64) {
        let told = record
            .updated_at
            .or(record.started_at)
            .or(record.created_at);
        let changed_at = told.map_or(sent, |told| millis(told).min(sent));
        self.written.added += 1;
        self.changed_at = self.changed_at.max(changed_at);
        self.added.push(New {
            columns: columns(record),
            changed_at,
        });
    }

    fn change(&mut self, record: &TaskRecord, before: Existing, sent: i64) {
        // The vendor's time of the change if it moved, else the time at which the change was seen. It is never later than the call that saw it: a time in the future
        // would stay at the top of every list, and never be stuck.
        let told = record.updated_at.map(|told| millis(told).min(sent));
        let changed_at = told
            .filter(|told| *told > before.changed_at)
            .unwrap_or(sent);
        self.changed_at = self.changed_at.max(changed_at);
        self.changed.push(Changed {
            columns: columns(record),
            changed_at,
            before,
        });
    }

    async fn write(self, connection: &mut Connection, of: Page<'_>) -> Result<()> {
        let added = self.added.iter().map(|new| &new.columns.values);
        let changed = self.changed.iter().map(|changed| &changed.columns.values);
        let wanted = added.chain(changed).cloned().collect();
        let combinations = combinations::find_or_make(connection, of.source, wanted).await?;
        let number = |values: &Values| combinations.get(values).copied().unwrap_or_default();
        let mut tally = Tally::default();
        let mut texts = Vec::new();
        touch(connection, self.same, Some(of.sent), of.pass).await?;
        touch(connection, self.older, None, of.pass).await?;
        let mut rows = Vec::new();
        for changed in self.changed {
            let combination = number(&changed.columns.values);
            let before = &changed.before;
            tally.add(before.combination, before.gone, -1);
            tally.add(combination, false, 1);
            if before.search != changed.columns.search {
                texts.push((before.pk, changed.columns.search.clone()));
            }
            rows.push(changed.row(combination, of));
        }
        connection.execute_rows(UPDATE, UPDATE_ALL, rows).await?;
        let mut rows = Vec::new();
        let mut new_texts = Vec::new();
        for new in self.added {
            let combination = number(&new.columns.values);
            tally.add(combination, false, 1);
            if connection.is_sqlite() {
                new_texts.push(new.columns.search.clone());
            }
            rows.push(new.row(combination, of));
        }
        let numbers = connection.insert_rows(INSERT, INSERT_ALL, rows).await?;
        if connection.is_sqlite() {
            texts.extend(numbers.into_iter().zip(new_texts));
            index_texts(connection, texts).await?;
        }
        tally.write(connection, of.source, of.job).await
    }
}

impl New {
    fn row(self, combination: i64, of: Page<'_>) -> Vec<Value> {
        let columns = self.columns;
        run_params![
            of.job,
            of.source,
            columns.values.status,
            combination,
            columns.created_at,
            self.changed_at,
            of.sent,
            of.pass.map_or(0, |pass| pass.id),
            columns.id,
            columns.device_id,
            columns.device_name,
            columns.search,
            columns.document
        ]
    }
}

impl Changed {
    fn row(self, combination: i64, of: Page<'_>) -> Vec<Value> {
        let columns = self.columns;
        run_params![
            self.before.pk,
            columns.values.status,
            combination,
            columns.created_at,
            self.changed_at,
            of.sent,
            of.pass.map_or(self.before.seen_pass, |pass| pass.id),
            columns.device_id,
            columns.device_name,
            columns.search,
            columns.document
        ]
    }
}

/// Notes that rows were seen, and as of when they are true if that is told.
async fn touch(
    connection: &mut Connection,
    rows: Vec<i64>,
    as_of: Option<i64>,
    pass: Option<&PassRow>,
) -> Result<()> {
    if rows.is_empty() {
        return Ok(());
    }
    let mut sql = "UPDATE tasks SET missed = 0".to_owned();
    let mut params = vec![Value::Ints(rows)];
    for (column, value) in [("as_of", as_of), ("seen_pass", pass.map(|pass| pass.id))] {
        if let Some(value) = value {
            params.push(Value::Int(value));
            sql.push_str(&format!(", {column} = ${}", params.len()));
        }
    }
    sql.push_str(&format!(" WHERE pk {}", connection.one_of(1)));
    connection.execute(&sql, &params).await.map(|_| ())
}

/// Puts texts into SQLite's index; PostgreSQL keeps its own.
async fn index_texts(connection: &mut Connection, texts: Vec<(i64, String)>) -> Result<()> {
    let texts: Vec<_> = texts
        .into_iter()
        .map(|(pk, text)| run_params![pk, text])
        .collect();
    connection
        .execute_many(
            "INSERT OR REPLACE INTO task_search (rowid, body) VALUES ($1, $2)",
            &texts,
        )
        .await
}
