//! Writing a page of tasks.

use std::collections::HashMap;

use ota_core::task::{Failure, TaskStatus};

use crate::codes::{Code, optional_code};
use crate::connection::Connection;
use crate::document::same;
use crate::error::Result;
use crate::pass_progress::{self, PassRow};
use crate::provider;
use crate::record::{TaskPage, TaskRecord, Written};
use crate::tally::{CountKey, Tally, show};
use crate::value::{
    Row, Value, key, millis, optional_key, optional_millis, params, plain, run_params, search_text,
};

const EXISTING: &str = "SELECT pk, gone, status, stage, failure, product_id, from_version, to_version, as_of, changed_at, seen_pass, search, document \
     FROM tasks WHERE job = $1 AND id = $2";

const INSERT: &str = "INSERT INTO tasks (job, source, gone, status, stage, failure, created_at, changed_at, as_of, vanished_at, seen_pass, missed, \
     id, device_id, device_name, product_id, from_version, to_version, search, document) \
     VALUES ($1, $2, 0, $3, $4, $5, $6, $7, $8, -1, $9, 0, $10, $11, $12, $13, $14, $15, $16, $17) RETURNING pk";

const UPDATE: &str = "UPDATE tasks SET gone = 0, status = $2, stage = $3, failure = $4, created_at = $5, changed_at = $6, as_of = $7, vanished_at = -1, \
     seen_pass = $8, missed = 0, device_id = $9, device_name = $10, product_id = $11, from_version = $12, to_version = $13, search = $14, document = $15 WHERE pk = $1";

const TOUCH: &str = "UPDATE tasks SET as_of = $2, seen_pass = $3, missed = 0 WHERE pk = $1";

/// What is to be written of a page.
#[derive(Default)]
struct Plan {
    written: Written,
    tally: Tally,
    /// The newest change.
    changed_at: i64,
    insert: Vec<Vec<Value>>,
    update: Vec<Vec<Value>>,
    touch: Vec<Vec<Value>>,
    /// Texts of new rows, in the order of `insert`.
    new_texts: Vec<String>,
    /// Texts of rows that are there.
    changed_texts: Vec<(i64, String)>,
}

/// A row as it is stored.
struct Columns {
    id: String,
    count: CountKey,
    device_id: String,
    device_name: String,
    created_at: i64,
    search: String,
    document: String,
}

/// Writes the page; nothing of a job that is not known.
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
    let ids: Vec<_> = rows
        .iter()
        .map(|row| run_params![job, key(&row.id)])
        .collect();
    let existing = connection.query_many(EXISTING, &ids).await?;
    let mut plan = Plan::default();
    for (record, existing) in rows.into_iter().zip(&existing) {
        plan.add(record, existing.first(), source, job, sent, pass.as_ref());
    }
    plan.write(connection).await?;
    let (written, changed_at) = (plan.written, plan.changed_at);
    plan.tally.write(connection, source, job).await?;
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
            "SELECT pk FROM jobs WHERE source = $1 AND id = $2",
            &params![source, key(id)],
        )
        .await?;
    Ok(row.map(|row| row.int(0)))
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
        count: CountKey {
            gone: 0,
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
    fn add(
        &mut self,
        record: &TaskRecord,
        existing: Option<&Row>,
        source: i64,
        job: i64,
        sent: i64,
        pass: Option<&PassRow>,
    ) {
        let Some(row) = existing else {
            self.written.first_seen += u64::from(pass.is_some());
            self.add_new(record, source, job, sent, pass);
            return;
        };
        let pk = row.int(0);
        let seen_pass = match pass {
            Some(pass) => {
                self.written.first_seen += u64::from(row.int(10) != pass.id);
                pass.id
            }
            None => row.int(10),
        };
        let as_of = row.int(8);
        if as_of > sent {
            self.written.older += 1;
            self.touch.push(run_params![pk, as_of, seen_pass]);
            return;
        }
        if row.int(1) == 0 && same(&record.document, row.text(12)) {
            self.written.unchanged += 1;
            self.touch.push(run_params![pk, sent, seen_pass]);
            return;
        }
        self.written.changed += 1;
        self.change(record, row, sent, seen_pass);
    }

    fn add_new(
        &mut self,
        record: &TaskRecord,
        source: i64,
        job: i64,
        sent: i64,
        pass: Option<&PassRow>,
    ) {
        let columns = columns(record);
        let told = record
            .updated_at
            .or(record.started_at)
            .or(record.created_at);
        let changed_at = told.map_or(sent, millis);
        self.written.added += 1;
        self.changed_at = self.changed_at.max(changed_at);
        self.insert.push(run_params![
            job,
            source,
            columns.count.status,
            columns.count.stage,
            columns.count.failure,
            columns.created_at,
            changed_at,
            sent,
            pass.map_or(0, |pass| pass.id),
            columns.id,
            columns.device_id,
            columns.device_name,
            columns.count.product_id.as_str(),
            columns.count.from_version.as_str(),
            columns.count.to_version.as_str(),
            columns.search.as_str(),
            columns.document
        ]);
        self.new_texts.push(columns.search);
        self.tally.add(columns.count, 1);
    }

    fn change(&mut self, record: &TaskRecord, row: &Row, sent: i64, seen_pass: i64) {
        let columns = columns(record);
        let before = count_key(row);
        // The vendor's time of the change if it moved, else the time at which the change was seen.
        let told = record.updated_at.map(millis);
        let changed_at = told.filter(|told| *told > row.int(9)).unwrap_or(sent);
        self.changed_at = self.changed_at.max(changed_at);
        self.update.push(run_params![
            row.int(0),
            columns.count.status,
            columns.count.stage,
            columns.count.failure,
            columns.created_at,
            changed_at,
            sent,
            seen_pass,
            columns.device_id,
            columns.device_name,
            columns.count.product_id.as_str(),
            columns.count.from_version.as_str(),
            columns.count.to_version.as_str(),
            columns.search.as_str(),
            columns.document
        ]);
        if columns.search != row.text(11) {
            self.changed_texts.push((row.int(0), columns.search));
        }
        if before != columns.count {
            self.tally.add(before, -1);
            self.tally.add(columns.count, 1);
        }
    }

    async fn write(&mut self, connection: &mut Connection) -> Result<()> {
        connection.execute_many(TOUCH, &self.touch).await?;
        connection.execute_many(UPDATE, &self.update).await?;
        let inserted = connection.query_many(INSERT, &self.insert).await?;
        if !connection.is_sqlite() {
            return Ok(());
        }
        let mut texts = std::mem::take(&mut self.changed_texts);
        let new = inserted
            .iter()
            .filter_map(|rows| rows.first())
            .map(|row| row.int(0));
        texts.extend(new.zip(self.new_texts.drain(..)));
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
}

fn count_key(row: &Row) -> CountKey {
    CountKey {
        gone: row.int(1),
        status: row.int(2),
        stage: row.int(3),
        failure: row.int(4),
        product_id: row.text(5).to_owned(),
        from_version: row.text(6).to_owned(),
        to_version: row.text(7).to_owned(),
    }
}
