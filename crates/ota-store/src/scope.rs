//! Which providers a question covers.

use ota_core::id::ProviderName;

use crate::connection::Connection;
use crate::error::Result;
use crate::provider;
use crate::value::{Row, Value};

/// A provider that a question covers.
#[derive(Clone, Debug)]
pub(crate) struct Source {
    pub(crate) pk: i64,
    pub(crate) name: String,
    pub(crate) vendor: String,
    /// Grows with every transaction that writes rows of the provider.
    pub(crate) writes: i64,
}

/// Returns those of the providers that are known and of one of the vendors (of any, if none is named).
pub(crate) async fn sources(
    connection: &mut Connection,
    providers: &[ProviderName],
    vendors: &[String],
) -> Result<Vec<Source>> {
    let rows = provider::all(connection).await?;
    Ok(rows
        .into_iter()
        .map(|mut row| Source {
            pk: row.int(0),
            name: row.take(1),
            vendor: row.take(2),
            writes: row.int(3),
        })
        .filter(|source| {
            providers.iter().any(|name| name.as_str() == source.name)
                && (vendors.is_empty() || vendors.contains(&source.vendor))
        })
        .collect())
}

/// Returns the values of `gone` that a question covers.
pub(crate) const fn gone(include_vanished: bool) -> &'static [i64] {
    if include_vanished { &[0, 1] } else { &[0] }
}

/// Rows that are fetched by their numbers with one statement.
const BLOCK: usize = 64;

/// Fetches rows by their numbers; `select` ends before the list of numbers. The first column is the number. The order is that of the numbers.
pub(crate) async fn by_number(
    connection: &mut Connection,
    select: &str,
    numbers: &[i64],
) -> Result<Vec<Row>> {
    let names: Vec<_> = (1..=BLOCK).map(|n| format!("${n}")).collect();
    let sql = format!("{select} IN ({})", names.join(", "));
    let blocks: Vec<_> = numbers
        .chunks(BLOCK)
        .map(|block| {
            let mut params: Vec<_> = block.iter().copied().map(Value::Int).collect();
            // One statement for every length: what is left is filled with a number that no row has.
            params.resize(BLOCK, Value::Int(-1));
            params
        })
        .collect();
    let mut rows: std::collections::HashMap<_, _> = connection
        .query_many(&sql, &blocks)
        .await?
        .into_iter()
        .flatten()
        .map(|row| (row.int(0), row))
        .collect();
    Ok(numbers
        .iter()
        .filter_map(|number| rows.remove(number))
        .collect())
}
