//! Statements over a connection to SQLite.

use std::sync::Arc;

use rusqlite::{ErrorCode, ToSql};

use crate::caches::Caches;
use crate::error::{Result, StoreError};
use crate::value::{Row, Value};

/// A connection.
pub(crate) struct SqliteConnection {
    inner: rusqlite::Connection,
    caches: Arc<Caches>,
}

impl SqliteConnection {
    pub(crate) const fn new(inner: rusqlite::Connection, caches: Arc<Caches>) -> Self {
        Self { inner, caches }
    }

    pub(crate) fn caches(&self) -> Arc<Caches> {
        Arc::clone(&self.caches)
    }

    pub(crate) fn query(&mut self, sql: &str, params: &[Value]) -> Result<Vec<Row>> {
        self.rows(sql, std::slice::from_ref(&params))
            .map(|mut answers| answers.pop().unwrap_or_default())
    }

    pub(crate) fn query_many(&mut self, sql: &str, params: &[Vec<Value>]) -> Result<Vec<Vec<Row>>> {
        self.rows(sql, params)
    }

    pub(crate) fn execute(&mut self, sql: &str, params: &[Value]) -> Result<u64> {
        self.changes(sql, std::slice::from_ref(&params))
    }

    pub(crate) fn execute_many(&mut self, sql: &str, params: &[Vec<Value>]) -> Result<()> {
        self.changes(sql, params).map(|_| ())
    }

    /// Inserts rows and returns their numbers. `RETURNING` would do the same, but SQLite then copies each page that the statement changes, in case it fails half
    /// way.
    pub(crate) fn insert_many(&mut self, sql: &str, params: &[Vec<Value>]) -> Result<Vec<i64>> {
        let run = || {
            let mut statement = self.inner.prepare_cached(sql)?;
            let order = order(&statement);
            let mut numbers = Vec::with_capacity(params.len());
            for params in params {
                statement.execute(rusqlite::params_from_iter(place(&order, params)))?;
                numbers.push(self.inner.last_insert_rowid());
            }
            Ok(numbers)
        };
        run().map_err(|error: rusqlite::Error| failed(&error))
    }

    pub(crate) fn batch(&mut self, sql: &str) -> Result<()> {
        self.inner
            .execute_batch(sql)
            .map_err(|error| failed(&error))
    }

    fn rows<P: AsRef<[Value]>>(&mut self, sql: &str, params: &[P]) -> Result<Vec<Vec<Row>>> {
        let run = || {
            let mut statement = self.inner.prepare_cached(sql)?;
            let columns = statement.column_count();
            let order = order(&statement);
            let mut answers = Vec::with_capacity(params.len());
            for params in params {
                let mut answer = Vec::new();
                let mut rows =
                    statement.query(rusqlite::params_from_iter(place(&order, params.as_ref())))?;
                while let Some(row) = rows.next()? {
                    let mut values = Vec::with_capacity(columns);
                    for column in 0..columns {
                        values.push(match row.get_ref(column)? {
                            rusqlite::types::ValueRef::Integer(number) => Value::Int(number),
                            rusqlite::types::ValueRef::Text(text) => {
                                Value::Text(String::from_utf8_lossy(text).into_owned())
                            }
                            _ => Value::Null,
                        });
                    }
                    answer.push(Row(values));
                }
                answers.push(answer);
            }
            Ok(answers)
        };
        run().map_err(|error: rusqlite::Error| failed(&error))
    }

    fn changes<P: AsRef<[Value]>>(&mut self, sql: &str, params: &[P]) -> Result<u64> {
        let run = || {
            let mut statement = self.inner.prepare_cached(sql)?;
            let order = order(&statement);
            let mut changed = 0;
            for params in params {
                changed += statement
                    .execute(rusqlite::params_from_iter(place(&order, params.as_ref())))?;
            }
            Ok(changed as u64)
        };
        run().map_err(|error: rusqlite::Error| failed(&error))
    }
}

/// Returns which parameter stands at each of SQLite's places: `$1` is a name to it, and names are numbered as they appear.
fn order(statement: &rusqlite::Statement<'_>) -> Vec<usize> {
    (1..=statement.parameter_count())
        .map(|place| {
            statement
                .parameter_name(place)
                .and_then(|name| name.get(1..)?.parse::<usize>().ok())
                .and_then(|number| number.checked_sub(1))
                .unwrap_or(usize::MAX)
        })
        .collect()
}

fn place<'a>(order: &'a [usize], params: &'a [Value]) -> impl Iterator<Item = &'a Value> {
    order
        .iter()
        .map(|place| params.get(*place).unwrap_or(&Value::Null))
}

impl ToSql for Value {
    fn to_sql(&self) -> rusqlite::Result<rusqlite::types::ToSqlOutput<'_>> {
        use rusqlite::types::{ToSqlOutput, Value as Owned, ValueRef};
        // A list is read by `json_each`.
        let list = |json: serde_json::Value| ToSqlOutput::Owned(Owned::Text(json.to_string()));
        Ok(match self {
            Self::Null => ToSqlOutput::Borrowed(ValueRef::Null),
            Self::Int(number) => ToSqlOutput::Borrowed(ValueRef::Integer(*number)),
            Self::Text(text) => ToSqlOutput::Borrowed(ValueRef::Text(text.as_bytes())),
            Self::Ints(numbers) => list(numbers.as_slice().into()),
            Self::Texts(texts) => list(texts.as_slice().into()),
        })
    }
}

/// Says what is wrong and what helps.
pub(crate) fn failed(error: &rusqlite::Error) -> StoreError {
    let what = match error.sqlite_error_code() {
        Some(ErrorCode::NotADatabase) => {
            "it is no SQLite database; move it away or name another file"
        }
        Some(ErrorCode::DatabaseCorrupt) => {
            "it is damaged; restore a backup, or move it away and it is filled again"
        }
        Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied) => {
            "it may not be written; check the rights of the file and of its folder"
        }
        Some(ErrorCode::DiskFull) => "the disk is full",
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            "another process has it locked"
        }
        Some(ErrorCode::CannotOpen) => {
            "it cannot be opened; check that the file and its folder are there"
        }
        Some(ErrorCode::SystemIoFailure) => "the disk does not read or write it",
        _ => "a statement failed",
    };
    unavailable(&format!("{what} ({error})"))
}

/// The error of a database that does not answer.
pub(crate) fn unavailable(what: &str) -> StoreError {
    StoreError::Unavailable {
        message: format!("the mirror's database: {what}"),
    }
}

#[cfg(test)]
mod tests {
    use rusqlite::ffi;

    use super::failed;
    use crate::error::StoreError;

    #[test]
    fn every_fault_of_the_file_says_what_helps_and_may_pass() {
        for (code, words) in [
            (ffi::SQLITE_IOERR, "the disk does not read or write it"),
            (ffi::SQLITE_IOERR_READ, "the disk does not read or write it"),
            (
                ffi::SQLITE_IOERR_WRITE,
                "the disk does not read or write it",
            ),
            (
                ffi::SQLITE_IOERR_FSYNC,
                "the disk does not read or write it",
            ),
            (
                ffi::SQLITE_IOERR_SHORT_READ,
                "the disk does not read or write it",
            ),
            (ffi::SQLITE_FULL, "the disk is full"),
            (ffi::SQLITE_CORRUPT, "it is damaged"),
            (ffi::SQLITE_NOTADB, "it is no SQLite database"),
            (ffi::SQLITE_READONLY, "it may not be written"),
            (ffi::SQLITE_BUSY, "another process has it locked"),
            (ffi::SQLITE_CANTOPEN, "it cannot be opened"),
            (ffi::SQLITE_ERROR, "a statement failed"),
        ] {
            let error = rusqlite::Error::SqliteFailure(ffi::Error::new(code), None);
            match failed(&error) {
                StoreError::Unavailable { message } => {
                    let expected = format!("the mirror's database: {words}");
                    assert!(message.starts_with(&expected), "{code}: {message}");
                }
                other => panic!("{code}: {other:?}"),
            }
        }
    }
}
