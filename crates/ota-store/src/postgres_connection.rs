//! Statements over a connection to PostgreSQL.

use std::collections::HashMap;
use std::sync::Arc;

use futures_util::future::try_join_all;
use tokio_postgres::types::{FromSql, IsNull, ToSql, Type, private::BytesMut, to_sql_checked};
use tokio_postgres::{Client, Statement};

use crate::caches::Caches;
use crate::error::{Result, StoreError};
use crate::value::{Row, Value};

/// The most prepared statements that a connection keeps; fleet queries have many shapes.
const MAX_STATEMENTS: usize = 256;

/// A connection. One that is dropped inside a transaction is closed, so that the server rolls it back.
pub(crate) struct PostgresConnection {
    client: Client,
    statements: HashMap<String, Statement>,
    caches: Arc<Caches>,
}

impl PostgresConnection {
    pub(crate) fn new(client: Client, caches: Arc<Caches>) -> Self {
        Self {
            client,
            statements: HashMap::new(),
            caches,
        }
    }

    pub(crate) fn caches(&self) -> Arc<Caches> {
        Arc::clone(&self.caches)
    }

    /// Whether the server has closed it.
    pub(crate) fn is_closed(&self) -> bool {
        self.client.is_closed()
    }

    pub(crate) async fn query(&mut self, sql: &str, params: &[Value]) -> Result<Vec<Row>> {
        let statement = self.prepare(sql).await?;
        rows(&self.client, &statement, params).await
    }

    pub(crate) async fn execute(&mut self, sql: &str, params: &[Value]) -> Result<u64> {
        let statement = self.prepare(sql).await?;
        self.client
            .execute_raw(&statement, params)
            .await
            .map_err(|error| failed(&error))
    }

    pub(crate) async fn query_many(
        &mut self,
        sql: &str,
        params: &[Vec<Value>],
    ) -> Result<Vec<Vec<Row>>> {
        let statement = self.prepare(sql).await?;
        // All are sent before the first answer is awaited.
        try_join_all(
            params
                .iter()
                .map(|params| rows(&self.client, &statement, params)),
        )
        .await
    }

    pub(crate) async fn execute_many(&mut self, sql: &str, params: &[Vec<Value>]) -> Result<()> {
        let statement = self.prepare(sql).await?;
        try_join_all(
            params
                .iter()
                .map(|params| self.client.execute_raw(&statement, params.as_slice())),
        )
        .await
        .map(|_| ())
        .map_err(|error| failed(&error))
    }

    pub(crate) async fn batch(&mut self, sql: &str) -> Result<()> {
        self.client
            .batch_execute(sql)
            .await
            .map_err(|error| failed(&error))
    }

    async fn prepare(&mut self, sql: &str) -> Result<Statement> {
        if let Some(statement) = self.statements.get(sql) {
            return Ok(statement.clone());
        }
        let statement = self
            .client
            .prepare(sql)
            .await
            .map_err(|error| failed(&error))?;
        if self.statements.len() >= MAX_STATEMENTS {
            self.statements.clear();
        }
        self.statements.insert(sql.to_owned(), statement.clone());
        Ok(statement)
    }
}

async fn rows(client: &Client, statement: &Statement, params: &[Value]) -> Result<Vec<Row>> {
    use futures_util::TryStreamExt;
    let stream = client
        .query_raw(statement, params)
        .await
        .map_err(|error| failed(&error))?;
    stream
        .and_then(|row| {
            let values = (0..row.len())
                .map(|column| row.try_get::<_, Value>(column))
                .collect::<std::result::Result<_, _>>();
            std::future::ready(values.map(Row))
        })
        .try_collect()
        .await
        .map_err(|error| failed(&error))
}

impl<'a> FromSql<'a> for Value {
    fn from_sql(
        ty: &Type,
        raw: &'a [u8],
    ) -> std::result::Result<Self, Box<dyn std::error::Error + Sync + Send>> {
        match *ty {
            Type::INT8 => i64::from_sql(ty, raw).map(Self::Int),
            Type::INT4 => i32::from_sql(ty, raw).map(|number| Self::Int(number.into())),
            _ => String::from_sql(ty, raw).map(Self::Text),
        }
    }

    fn from_sql_null(
        _: &Type,
    ) -> std::result::Result<Self, Box<dyn std::error::Error + Sync + Send>> {
        Ok(Self::Null)
    }

    fn accepts(ty: &Type) -> bool {
        matches!(*ty, Type::INT8 | Type::INT4) || <String as FromSql<'_>>::accepts(ty)
    }
}

impl ToSql for Value {
    fn to_sql(
        &self,
        ty: &Type,
        out: &mut BytesMut,
    ) -> std::result::Result<IsNull, Box<dyn std::error::Error + Sync + Send>> {
        match (self, ty) {
            (Self::Null, _) => Ok(IsNull::Yes),
            (Self::Int(number), &Type::INT4) => i32::try_from(*number)?.to_sql(ty, out),
            (Self::Int(number), _) => number.to_sql(ty, out),
            (Self::Text(text), _) => text.to_sql(ty, out),
            (Self::Ints(numbers), _) => numbers.to_sql(ty, out),
            (Self::Texts(texts), _) => texts.to_sql(ty, out),
        }
    }

    fn accepts(ty: &Type) -> bool {
        matches!(
            *ty,
            Type::INT8 | Type::INT4 | Type::INT8_ARRAY | Type::TEXT_ARRAY
        ) || <String as ToSql>::accepts(ty)
    }

    to_sql_checked!();
}

/// Says what is wrong. The server's own text has no password in it; the address is left out with the rest of the URL.
pub(crate) fn failed(error: &tokio_postgres::Error) -> StoreError {
    let what = match error.as_db_error() {
        Some(refused) => format!("{} ({})", refused.message(), refused.code().code()),
        None => {
            let mut text = error.to_string();
            let mut source = std::error::Error::source(error);
            while let Some(cause) = source {
                text = format!("{text}: {cause}");
                source = cause.source();
            }
            text
        }
    };
    StoreError::Unavailable {
        message: format!("the mirror's database: {what}"),
    }
}
