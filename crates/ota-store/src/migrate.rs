//! Migrations: forward only, each in one transaction, each with the hash of its text.

use sha2::{Digest, Sha256};

use crate::connection::Connection;
use crate::engine::Engine;
use crate::error::{OpenError, Result};
use crate::value::params;

/// The two texts of a migration.
struct Migration {
    sqlite: &'static str,
    postgres: &'static str,
}

/// All of them, the first is number 1. What was released is never changed: a database that has run it is refused otherwise.
const MIGRATIONS: &[Migration] = &[
    Migration {
        sqlite: include_str!("../migrations/sqlite/0001_mirror.sql"),
        postgres: include_str!("../migrations/postgres/0001_mirror.sql"),
    },
    Migration {
        sqlite: include_str!("../migrations/sqlite/0002_leases.sql"),
        postgres: include_str!("../migrations/postgres/0002_leases.sql"),
    },
    Migration {
        sqlite: include_str!("../migrations/sqlite/0003_sync_reports.sql"),
        postgres: include_str!("../migrations/postgres/0003_sync_reports.sql"),
    },
    Migration {
        sqlite: include_str!("../migrations/sqlite/0004_left_out.sql"),
        postgres: include_str!("../migrations/postgres/0004_left_out.sql"),
    },
];

const TABLE: &str = "CREATE TABLE IF NOT EXISTS schema_migrations (version BIGINT NOT NULL PRIMARY KEY, checksum TEXT NOT NULL)";

/// What stands in a database.
enum Found {
    /// All migrations of this program.
    Current,
    /// So many.
    Behind(usize),
    /// It is not for this program; why.
    Refused(String),
}

/// The newest migration of this program.
pub(crate) fn newest() -> u32 {
    u32::try_from(MIGRATIONS.len()).unwrap_or(u32::MAX)
}

/// Brings the database to the newest schema, if it `may` be changed.
pub(crate) async fn migrate(engine: &Engine, may: bool) -> std::result::Result<(), OpenError> {
    let result = engine
        .write(move |connection| Box::pin(async move { run(connection, may).await }))
        .await;
    match result {
        Ok(Found::Current) => {}
        Ok(Found::Refused(why)) => return Err(OpenError::Refused(why)),
        Ok(Found::Behind(done)) => {
            let needed = MIGRATIONS.len();
            return Err(OpenError::Behind(match done {
                0 => "the mirror's database has no tables yet; `ota-gateway serve` makes them"
                    .to_owned(),
                _ => format!(
                    "the mirror's database has schema {done}, this program needs {needed}: start `ota-gateway serve` once, which migrates it"
                ),
            }));
        }
        Err(error) => {
            let message = error.to_string();
            // Class 42: no right to make tables, or a statement that the server does not know.
            let is_final = matches!(engine, Engine::Sqlite(_)) || message.contains("(42");
            return Err(match is_final {
                true => OpenError::Refused(message),
                false => OpenError::Away(message),
            });
        }
    }
    if may && matches!(engine, Engine::Postgres(_)) {
        // What is missing is a faster search for parts of texts, where the extension is not there or may not be added.
        let _optional = engine
            .write(|connection| Box::pin(async move { connection.batch(PARTS).await }))
            .await;
    }
    Ok(())
}

/// The index of parts of texts, where PostgreSQL has it. SQLite's is in its migration.
const PARTS: &str = "CREATE EXTENSION IF NOT EXISTS pg_trgm; \
     CREATE INDEX IF NOT EXISTS tasks_search_parts ON tasks USING gin (search gin_trgm_ops)";

/// Returns what stands in the database afterwards.
async fn run(connection: &mut Connection, may: bool) -> Result<Found> {
    if !connection.is_sqlite() {
        // Gateways that start together: one migrates, the others wait. SQLite has one writer anyway.
        connection
            .batch("SELECT pg_advisory_xact_lock(7308332045001)")
            .await?;
    }
    let found = found(connection).await?;
    let done = match found {
        Found::Behind(done) if may => done,
        found => return Ok(found),
    };
    connection.batch(TABLE).await?;
    for (index, migration) in MIGRATIONS.iter().enumerate().skip(done) {
        let text = text(connection, migration);
        connection.batch(text).await?;
        let version = i64::try_from(index + 1).unwrap_or(i64::MAX);
        connection
            .execute(
                "INSERT INTO schema_migrations (version, checksum) VALUES ($1, $2)",
                &params![version, checksum(text)],
            )
            .await?;
    }
    Ok(Found::Current)
}

async fn found(connection: &mut Connection) -> Result<Found> {
    let tables = match connection.is_sqlite() {
        true => {
            "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = 'schema_migrations'"
        }
        false => {
            "SELECT count(*) FROM pg_catalog.pg_tables WHERE schemaname = current_schema() AND tablename = 'schema_migrations'"
        }
    };
    let has = connection.first(tables, &[]).await?;
    if has.is_none_or(|row| row.int(0) == 0) {
        return Ok(Found::Behind(0));
    }
    let rows = connection
        .query(
            "SELECT version, checksum FROM schema_migrations ORDER BY version",
            &[],
        )
        .await?;
    if rows.len() > MIGRATIONS.len() {
        return Ok(Found::Refused(format!(
            "the mirror's database is newer than this program: it has schema {}, the program knows {}; start the newer program, or restore a backup",
            rows.len(),
            MIGRATIONS.len()
        )));
    }
    for (row, migration) in rows.iter().zip(MIGRATIONS) {
        if row.text(1) != checksum(text(connection, migration)) {
            return Ok(Found::Refused(format!(
                "the mirror's database was made by another program: migration {} differs",
                row.int(0)
            )));
        }
    }
    Ok(match rows.len() == MIGRATIONS.len() {
        true => Found::Current,
        false => Found::Behind(rows.len()),
    })
}

fn text(connection: &Connection, migration: &Migration) -> &'static str {
    match connection.is_sqlite() {
        true => migration.sqlite,
        false => migration.postgres,
    }
}

fn checksum(text: &str) -> String {
    Sha256::digest(text.as_bytes())
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}
