//! Reading combinations, and finding or making the ones that rows to be written have.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::combination::{Combination, Numbers, Values};
use crate::connection::Connection;
use crate::error::Result;
use crate::scope::Source;
use crate::value::{Row, Value, params, run_params};

/// Returns all combinations of a provider by their numbers. For transactions that read.
pub(crate) async fn of_source(
    connection: &mut Connection,
    source: &Source,
) -> Result<Arc<Vec<Combination>>> {
    if let Some(known) = connection
        .caches()
        .combinations
        .get(source.pk, source.writes)
    {
        return Ok(known);
    }
    let rows = connection
        .query(
            "SELECT pk, status, stage, failure, product_id, from_version, to_version, present, vanished FROM task_combinations WHERE source = $1",
            &params![source.pk],
        )
        .await?;
    let mut read: Vec<_> = rows.into_iter().map(combination).collect();
    read.sort_unstable_by_key(|combination| combination.pk);
    let read = Arc::new(read);
    connection
        .caches()
        .combinations
        .put(source.pk, source.writes, &read);
    Ok(read)
}

fn combination(mut row: Row) -> Combination {
    Combination {
        pk: row.int(0),
        values: Values {
            status: row.int(1),
            stage: row.int(2),
            failure: row.int(3),
            product_id: row.take(4),
            from_version: row.take(5),
            to_version: row.take(6),
        },
        numbers: Numbers {
            present: row.int(7),
            vanished: row.int(8),
        },
    }
}

/// Returns the numbers of combinations, and makes those that are missing.
pub(crate) async fn find_or_make(
    connection: &mut Connection,
    source: i64,
    wanted: BTreeSet<Values>,
) -> Result<BTreeMap<Values, i64>> {
    let params: Vec<_> = wanted
        .iter()
        .map(|values| columns(source, values))
        .collect();
    let answers = connection.query_many(FIND, &params).await?;
    let mut found = BTreeMap::new();
    let mut missing = Vec::new();
    for ((values, params), rows) in wanted.into_iter().zip(params).zip(answers) {
        match rows.first() {
            Some(row) => {
                found.insert(values, row.int(0));
            }
            None => missing.push((values, params)),
        }
    }
    if missing.is_empty() {
        return Ok(found);
    }
    let params: Vec<_> = missing.iter().map(|(_, params)| params.clone()).collect();
    let made = connection.query_many(MAKE, &params).await?;
    for ((values, _), rows) in missing.into_iter().zip(made) {
        found.insert(values, rows.first().map_or(0, |row| row.int(0)));
    }
    Ok(found)
}

fn columns(source: i64, values: &Values) -> Vec<Value> {
    run_params![
        source,
        values.status,
        values.stage,
        values.failure,
        values.product_id.as_str(),
        values.from_version.as_str(),
        values.to_version.as_str()
    ]
}

const FIND: &str = "SELECT pk FROM task_combinations WHERE source = $1 AND status = $2 AND stage = $3 AND failure = $4 \
     AND product_id = $5 AND from_version = $6 AND to_version = $7";

const MAKE: &str = "INSERT INTO task_combinations (source, status, stage, failure, product_id, from_version, to_version, present, vanished) \
     VALUES ($1, $2, $3, $4, $5, $6, $7, 0, 0) RETURNING pk";

/// Removes the combinations of a provider that no task has any more.
pub(crate) async fn remove_unused(connection: &mut Connection, source: i64) -> Result<()> {
    connection
        .execute(
            "DELETE FROM task_combinations WHERE source = $1 AND present = 0 AND vanished = 0",
            &params![source],
        )
        .await
        .map(|_| ())
}
