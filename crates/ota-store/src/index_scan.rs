//! Reads an index in its order at several places at once and merges the rows.
//!
//! A question covers several providers, statuses and so on. Each combination is a branch: one place of an index where the rows stand in the order asked for.
//! The same statement is run for each, and the first rows of all are merged. So no question sorts more rows than it answers times its branches.

use std::cmp::Ordering;

use crate::connection::Connection;
use crate::error::Result;
use crate::position::{Position, SortValue};
use crate::value::{NONE, Row, Value};

/// A sort order.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Order {
    pub(crate) column: &'static str,
    pub(crate) descending: bool,
    /// Whether the column is a text.
    pub(crate) is_text: bool,
}

/// One place of an index: the provider and the values of the parameters from `$4` on.
#[derive(Clone, Debug)]
pub(crate) struct Branch {
    pub(crate) source: i64,
    pub(crate) params: Vec<Value>,
}

/// A scan of an index at several places, merged into one order.
pub(crate) struct IndexScan {
    /// The table, and for SQLite the index.
    pub(crate) from: String,
    /// The conditions, without `WHERE`; parameters from `$4` on.
    pub(crate) conditions: String,
    pub(crate) order: Order,
    pub(crate) branches: Vec<Branch>,
}

/// Parameters that the scan itself has: the value and the number to go on after, and the limit.
pub(crate) const OWN: usize = 3;

/// Rows that a branch gives at least.
const LEAST: usize = 8;

impl IndexScan {
    /// Returns the statement that reads rows with a value.
    pub(crate) fn statement(&self) -> String {
        let (comparison, direction) = match self.order.descending {
            true => ("<", "DESC"),
            false => (">", "ASC"),
        };
        let column = self.order.column;
        format!(
            "SELECT {column}, pk FROM {} WHERE {} AND ({column}, pk) {comparison} ($1, $2) ORDER BY {column} {direction}, pk {direction} LIMIT $3",
            self.from, self.conditions
        )
    }

    /// Returns the statement that reads rows without a value, which come last.
    pub(crate) fn rest_statement(&self) -> String {
        let column = self.order.column;
        format!(
            "SELECT {column}, pk FROM {} WHERE {} AND {column} = $1 AND pk > $2 ORDER BY pk LIMIT $3",
            self.from, self.conditions
        )
    }

    fn none(&self) -> SortValue {
        match self.order.is_text {
            true => SortValue::Text(String::new()),
            false => SortValue::Number(NONE),
        }
    }

    /// Returns the first rows after a position.
    pub(crate) async fn run(
        &self,
        connection: &mut Connection,
        after: Option<&Position>,
        limit: usize,
    ) -> Result<Vec<Position>> {
        if self.order.descending {
            // Rows without a value have the smallest one: they come last by themselves.
            let start = after.cloned().unwrap_or(Position {
                value: SortValue::Number(i64::MAX),
                source: i64::MAX,
                pk: i64::MAX,
            });
            return self
                .page(connection, &self.statement(), &start, limit)
                .await;
        }
        let start = Position {
            value: self.none(),
            source: i64::MAX,
            pk: i64::MAX,
        };
        let mut rows = match after {
            Some(after) if after.value.is_none() => Vec::new(),
            after => {
                self.page(
                    connection,
                    &self.statement(),
                    after.unwrap_or(&start),
                    limit,
                )
                .await?
            }
        };
        if rows.len() < limit {
            let rest = Position {
                source: NONE,
                pk: NONE,
                ..start
            };
            let rest = after.filter(|after| after.value.is_none()).unwrap_or(&rest);
            let left = limit - rows.len();
            rows.extend(
                self.page(connection, &self.rest_statement(), rest, left)
                    .await?,
            );
        }
        Ok(rows)
    }

    async fn page(
        &self,
        connection: &mut Connection,
        sql: &str,
        after: &Position,
        limit: usize,
    ) -> Result<Vec<Position>> {
        // Each branch gives a part of the page first, and more only if all of that part is on the page.
        let branches = self.branches.len().max(1);
        let mut part = (limit.saturating_mul(2) / branches).max(LEAST).min(limit);
        let mut rows: Vec<Position> = Vec::new();
        let mut open: Vec<_> = self
            .branches
            .iter()
            .map(|branch| {
                let pk = Self::start(branch.source, after);
                (branch, after.value.clone(), pk)
            })
            .collect();
        while !open.is_empty() {
            let limit_value = Value::Int(i64::try_from(part).unwrap_or(i64::MAX));
            let params: Vec<_> = open
                .iter()
                .map(|(branch, value, pk)| {
                    let mut params = vec![
                        value.clone().into_value(),
                        Value::Int(*pk),
                        limit_value.clone(),
                    ];
                    params.extend(branch.params.iter().cloned());
                    params
                })
                .collect();
            let answers = connection.query_many(sql, &params).await?;
            let mut last_rows = Vec::new();
            for ((branch, _, _), answer) in open.iter().zip(answers) {
                let has_more = answer.len() >= part;
                let found = answer
                    .into_iter()
                    .map(|row| self.position(branch.source, row));
                rows.extend(found);
                if let Some(last) = rows.last().filter(|_| has_more) {
                    last_rows.push((*branch, last.clone()));
                }
            }
            rows.sort_by(|a, b| a.order(b, self.order.descending));
            rows.truncate(limit);
            let end = rows.last().filter(|_| rows.len() == limit);
            open = last_rows
                .into_iter()
                .filter(|(_, last)| {
                    end.is_none_or(|end| last.order(end, self.order.descending).is_le())
                })
                .map(|(branch, last)| (branch, last.value, last.pk))
                .collect();
            part = part.saturating_mul(2).min(limit);
        }
        Ok(rows)
    }

    /// Returns the number after which rows of a provider with the same value stand behind a position.
    fn start(source: i64, after: &Position) -> i64 {
        // The same in both directions: ascending, providers with a greater number come later and all their rows match; descending, they came before and none does.
        match source.cmp(&after.source) {
            Ordering::Equal => after.pk,
            Ordering::Greater => NONE,
            Ordering::Less => i64::MAX,
        }
    }

    fn position(&self, source: i64, mut row: Row) -> Position {
        let value = match self.order.is_text {
            true => SortValue::Text(row.take(0)),
            false => SortValue::Number(row.int(0)),
        };
        Position {
            value,
            source,
            pk: row.int(1),
        }
    }
}
