//! Databases for tests: each test has one of its own.

use std::future::Future;
use std::sync::atomic::{AtomicU32, Ordering};

use ota_store::pass::PassId;
use ota_store::record::Progress;
use ota_store::{OpenSettings, Store};

#[path = "../../src/fixtures.rs"]
mod fixtures;

pub(crate) use fixtures::{at, job, job_page, provider, task, task_page};

/// The variable that names a PostgreSQL server; without it only SQLite is tried.
pub(crate) const URL: &str = "OTA_TEST_POSTGRES_URL";

/// Runs a test on SQLite, and on PostgreSQL where a server is named.
#[track_caller]
pub(crate) fn on_both<F, Fut>(test: F)
where
    F: Fn(Database) -> Fut,
    Fut: Future<Output = ()>,
{
    let runtime = runtime();
    runtime.block_on(async {
        let folder = tempfile::tempdir().expect("a folder");
        let url = format!("sqlite:{}", folder.path().join("mirror.db").display());
        test(Database { url }).await;
    });
    let Ok(server) = std::env::var(URL) else {
        let name = std::thread::current().name().unwrap_or_default().to_owned();
        println!("left out: {name} on PostgreSQL, because {URL} is not set");
        return;
    };
    runtime.block_on(async {
        let schema = Schema::make(&server).await;
        test(Database {
            url: schema.url.clone(),
        })
        .await;
        schema.drop().await;
    });
}

pub(crate) fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime")
}

/// The database of a test.
#[derive(Clone, Debug)]
pub(crate) struct Database {
    pub(crate) url: String,
}

impl Database {
    pub(crate) async fn open(&self) -> Store {
        Store::open(&OpenSettings {
            url: self.url.clone(),
            exclusive: true,
            create: true,
        })
        .await
        .expect("the database opens")
    }

    /// Empties the tables; nothing where there are none yet.
    pub(crate) async fn clear(&self) {
        drop(self.open().await);
        let mut sql = String::new();
        for table in [
            "providers",
            "jobs",
            "tasks",
            "task_counts",
            "task_combinations",
            "history",
            "passes",
            "calls",
        ] {
            sql.push_str(&format!("DELETE FROM {table};"));
        }
        if self.is_sqlite() {
            sql.push_str("DELETE FROM task_search;");
        }
        self.execute(&sql).await;
    }

    pub(crate) fn is_sqlite(&self) -> bool {
        self.url.starts_with("sqlite:")
    }

    /// Runs a statement on the database past the store, to plant a fault.
    pub(crate) async fn execute(&self, sql: &str) {
        if let Some(path) = self.url.strip_prefix("sqlite:") {
            let connection = rusqlite::Connection::open(path).expect("the file opens");
            connection.execute_batch(sql).expect("the statement runs");
            return;
        }
        let client = connect(&self.url).await;
        client.batch_execute(sql).await.expect("the statement runs");
    }
}

pub(crate) async fn connect(url: &str) -> tokio_postgres::Client {
    let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls)
        .await
        .expect("the server of the tests answers");
    tokio::spawn(connection);
    client
}

/// A schema of a test's own.
pub(crate) struct Schema {
    server: String,
    name: String,
    pub(crate) url: String,
}

impl Schema {
    pub(crate) async fn make(server: &str) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("test_{}_{number}", std::process::id());
        let client = connect(server).await;
        // The extension is there once for all; two tests that make it at once get in each other's way.
        client
            .batch_execute(
                "SELECT pg_advisory_lock(1); CREATE EXTENSION IF NOT EXISTS pg_trgm WITH SCHEMA public; SELECT pg_advisory_unlock(1)",
            )
            .await
            .expect("the extension");
        client
            .batch_execute(&format!(
                "DROP SCHEMA IF EXISTS {name} CASCADE; CREATE SCHEMA {name}"
            ))
            .await
            .expect("a schema");
        let separator = if server.contains('?') { '&' } else { '?' };
        Self {
            url: format!("{server}{separator}options=-csearch_path%3D{name}%2Cpublic"),
            server: server.to_owned(),
            name,
        }
    }

    pub(crate) async fn drop(self) {
        let client = connect(&self.server).await;
        client
            .batch_execute(&format!("DROP SCHEMA {} CASCADE", self.name))
            .await
            .expect("the schema is dropped");
    }
}

/// The progress of a page that is the last one.
pub(crate) fn last(pass: PassId, total: Option<u64>) -> Option<(PassId, Progress)> {
    Some((
        pass,
        Progress {
            cursor: None,
            total,
            calls: 1,
            ..Progress::default()
        },
    ))
}
