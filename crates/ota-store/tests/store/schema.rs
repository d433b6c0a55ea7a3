//! Both engines have the same tables.

use std::collections::BTreeSet;

use crate::harness::{Database, connect, on_both};

/// Tables of SQLite's search for texts; PostgreSQL has an index in their place.
const SEARCH: &str = "task_search";

async fn columns(database: &Database) -> BTreeSet<(String, String, String)> {
    if let Some(path) = database.url.strip_prefix("sqlite:") {
        let connection = rusqlite::Connection::open(path).expect("the file opens");
        let mut statement = connection
            .prepare(
                "SELECT m.name, c.name, c.type FROM sqlite_schema m, pragma_table_info(m.name) c WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite_%'",
            )
            .expect("a statement");
        let rows = statement
            .query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
            .expect("rows");
        return rows.map(|row| row.expect("a row")).collect();
    }
    let client = connect(&database.url).await;
    let rows = client
        .query(
            "SELECT table_name::text, column_name::text, data_type::text FROM information_schema.columns WHERE table_schema = current_schema()",
            &[],
        )
        .await
        .expect("rows");
    rows.iter()
        .map(|row| (row.get(0), row.get(1), row.get(2)))
        .collect()
}

async fn indexes(database: &Database) -> BTreeSet<String> {
    if let Some(path) = database.url.strip_prefix("sqlite:") {
        let connection = rusqlite::Connection::open(path).expect("the file opens");
        let mut statement = connection
            .prepare("SELECT name FROM sqlite_schema WHERE type = 'index' AND sql IS NOT NULL")
            .expect("a statement");
        let rows = statement.query_map([], |row| row.get(0)).expect("rows");
        return rows.map(|row| row.expect("a row")).collect();
    }
    let client = connect(&database.url).await;
    let rows = client
        .query(
            "SELECT indexname::text FROM pg_indexes WHERE schemaname = current_schema() AND indexname NOT LIKE '%\\_pkey' AND indexname NOT LIKE '%\\_key'",
            &[],
        )
        .await
        .expect("rows");
    rows.iter().map(|row| row.get(0)).collect()
}

/// What both are written down as.
fn expected() -> (BTreeSet<(String, String)>, BTreeSet<String>) {
    let text = concat!(
        include_str!("../../migrations/sqlite/0001_mirror.sql"),
        include_str!("../../migrations/sqlite/0002_leases.sql"),
        include_str!("../../migrations/sqlite/0003_sync_reports.sql"),
        include_str!("../../migrations/sqlite/0004_left_out.sql"),
    );
    let mut columns = BTreeSet::new();
    let mut indexes = BTreeSet::new();
    let mut table = "";
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("CREATE TABLE ") {
            table = rest.split(' ').next().unwrap_or_default();
        } else if let Some(rest) = line.strip_prefix("CREATE INDEX ") {
            indexes.insert(rest.split(' ').next().unwrap_or_default().to_owned());
        } else if let Some(rest) = line.strip_prefix("ALTER TABLE ") {
            let mut words = rest
                .split(' ')
                .filter(|word| !matches!(*word, "ADD" | "COLUMN"));
            if let (Some(table), Some(column)) = (words.next(), words.next()) {
                columns.insert((table.to_owned(), column.to_owned()));
            }
        } else if let Some(rest) = line.strip_prefix("    ")
            && rest.starts_with(|c: char| c.is_ascii_lowercase())
            && !rest.starts_with("body")
        {
            let column = rest.split(' ').next().unwrap_or_default();
            columns.insert((table.to_owned(), column.to_owned()));
        }
    }
    (columns, indexes)
}

#[test]
fn both_engines_have_the_same_tables_and_indexes() {
    on_both(|database| async move {
        drop(database.open().await);
        let (expected_columns, expected_indexes) = expected();
        let columns: BTreeSet<_> = columns(&database)
            .await
            .into_iter()
            .filter(|(table, _, _)| !table.starts_with(SEARCH) && table != "schema_migrations")
            .collect();
        for (table, column, kind) in &columns {
            let kind = kind.to_lowercase();
            assert!(
                matches!(kind.as_str(), "integer" | "bigint" | "text"),
                "{table}.{column} is {kind}: numbers have 64 bits in both"
            );
            if !database.is_sqlite() {
                assert_ne!(kind, "integer", "{table}.{column}");
            }
        }
        let names: BTreeSet<_> = columns
            .into_iter()
            .map(|(table, column, _)| (table, column))
            .collect();
        assert_eq!(names, expected_columns);
        let mut indexes = indexes(&database).await;
        if !database.is_sqlite() {
            assert!(indexes.remove("tasks_search_parts"), "{indexes:?}");
        }
        assert_eq!(indexes, expected_indexes);
    });
}
