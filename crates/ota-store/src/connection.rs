//! A connection to either engine: the few operations that statements are run with.

use std::future::Future;
use std::sync::Arc;

use futures_util::future::BoxFuture;

use crate::caches::Caches;
use crate::error::Result;
use crate::postgres_connection::PostgresConnection;
use crate::sqlite_connection::SqliteConnection;
use crate::value::{Row, Value, transposed};

/// A connection. Parameters are `$1`, `$2` and so on in both engines.
pub(crate) enum Connection {
    Sqlite(SqliteConnection),
    Postgres(PostgresConnection),
}

/// What runs in a transaction. It is told everything it needs beforehand, because it may go on after its caller has left.
pub(crate) trait Work<T>:
    for<'a> FnOnce(&'a mut Connection) -> BoxFuture<'a, Result<T>> + Send + 'static
{
}

impl<T, F> Work<T> for F where
    F: for<'a> FnOnce(&'a mut Connection) -> BoxFuture<'a, Result<T>> + Send + 'static
{
}

impl Connection {
    /// Whether this is SQLite; for the few statements that are not the same.
    pub(crate) const fn is_sqlite(&self) -> bool {
        matches!(self, Self::Sqlite(_))
    }

    /// Returns what questions keep in memory, over any connection to this database.
    pub(crate) fn caches(&self) -> Arc<Caches> {
        match self {
            Self::Sqlite(connection) => connection.caches(),
            Self::Postgres(connection) => connection.caches(),
        }
    }

    /// Runs a statement and returns its rows.
    pub(crate) async fn query(&mut self, sql: &str, params: &[Value]) -> Result<Vec<Row>> {
        #[cfg(test)]
        self.explain(sql, params).await?;
        match self {
            Self::Sqlite(connection) => connection.query(sql, params),
            Self::Postgres(connection) => connection.query(sql, params).await,
        }
    }

    /// Runs a statement and returns its first row.
    pub(crate) async fn first(&mut self, sql: &str, params: &[Value]) -> Result<Option<Row>> {
        Ok(self.query(sql, params).await?.into_iter().next())
    }

    /// Runs a statement and returns how many rows it changed.
    pub(crate) async fn execute(&mut self, sql: &str, params: &[Value]) -> Result<u64> {
        match self {
            Self::Sqlite(connection) => connection.execute(sql, params),
            Self::Postgres(connection) => connection.execute(sql, params).await,
        }
    }

    /// Runs a statement once for each list of parameters, without waiting for one answer before the next is sent; returns the rows of each.
    pub(crate) async fn query_many(
        &mut self,
        sql: &str,
        params: &[Vec<Value>],
    ) -> Result<Vec<Vec<Row>>> {
        #[cfg(test)]
        if let Some(params) = params.first() {
            self.explain(sql, params).await?;
        }
        match self {
            Self::Sqlite(connection) => connection.query_many(sql, params),
            Self::Postgres(connection) => connection.query_many(sql, params).await,
        }
    }

    /// Runs a statement once for each list of parameters.
    pub(crate) async fn execute_many(&mut self, sql: &str, params: &[Vec<Value>]) -> Result<()> {
        match self {
            Self::Sqlite(connection) => connection.execute_many(sql, params),
            Self::Postgres(connection) => connection.execute_many(sql, params).await,
        }
    }

    /// Writes rows: SQLite runs a statement for each, PostgreSQL one that takes a list of each column.
    pub(crate) async fn execute_rows(
        &mut self,
        each: &str,
        all: &str,
        rows: Vec<Vec<Value>>,
    ) -> Result<()> {
        if rows.is_empty() {
            return Ok(());
        }
        match self {
            Self::Sqlite(connection) => connection.execute_many(each, &rows),
            Self::Postgres(connection) => {
                connection.execute(all, &transposed(rows)).await.map(|_| ())
            }
        }
    }

    /// As [`Connection::execute_rows`] for new rows. Returns their numbers with SQLite, nothing with PostgreSQL.
    pub(crate) async fn insert_rows(
        &mut self,
        each: &str,
        all: &str,
        rows: Vec<Vec<Value>>,
    ) -> Result<Vec<i64>> {
        if let Self::Sqlite(connection) = self {
            return connection.insert_many(each, &rows);
        }
        self.execute_rows(each, all, rows).await?;
        Ok(Vec::new())
    }

    /// Returns the condition that a column is one of a list that is a parameter.
    pub(crate) fn one_of(&self, param: usize) -> String {
        match self {
            Self::Sqlite(_) => format!("IN (SELECT value FROM json_each(${param}))"),
            Self::Postgres(_) => format!("= ANY(${param})"),
        }
    }

    /// Runs statements without parameters or rows, separated by `;`.
    pub(crate) async fn batch(&mut self, sql: &str) -> Result<()> {
        match self {
            Self::Sqlite(connection) => connection.batch(sql),
            Self::Postgres(connection) => connection.batch(sql).await,
        }
    }
}

/// Runs a future that never waits, as those over SQLite do.
pub(crate) fn run_ready<T>(future: impl Future<Output = Result<T>>) -> Result<T> {
    use futures_util::FutureExt;
    future.now_or_never().unwrap_or_else(|| {
        Err(crate::error::StoreError::Unavailable {
            message: "an operation on the SQLite file waited for something else".to_owned(),
        })
    })
}

/// Held by each test of this crate that opens a database: the plans of one are not those of another.
#[cfg(test)]
pub(crate) static ALONE: std::sync::Mutex<()> = std::sync::Mutex::new(());

/// Statements with their plans, collected while a test asks for them.
#[cfg(test)]
pub(crate) static PLANS: std::sync::Mutex<Option<Vec<(String, String)>>> =
    std::sync::Mutex::new(None);

#[cfg(test)]
impl Connection {
    async fn explain(&mut self, sql: &str, params: &[Value]) -> Result<()> {
        let wanted = PLANS.lock().expect("no test panics with it").is_some();
        if !wanted || !sql.starts_with("SELECT") {
            return Ok(());
        }
        let (rows, column) = match self {
            Self::Sqlite(connection) => {
                let sql = format!("EXPLAIN QUERY PLAN {sql}");
                (connection.query(&sql, params)?, 3)
            }
            Self::Postgres(connection) => {
                let sql = format!("EXPLAIN {sql}");
                (connection.query(&sql, params).await?, 0)
            }
        };
        let plan: Vec<_> = rows.iter().map(|row| row.text(column).to_owned()).collect();
        if let Some(plans) = PLANS.lock().expect("no test panics with it").as_mut() {
            plans.push((sql.to_owned(), plan.join("\n")));
        }
        Ok(())
    }
}
