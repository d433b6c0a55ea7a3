//! Databases for tests: each test has one of its own.

use std::future::Future;
use std::sync::atomic::{AtomicU32, Ordering};

use ota_core::id::{JobId, ProviderName};
use ota_core::job::JobStatus;
use ota_core::task::{Failure, TaskStatus};
use ota_store::pass::PassId;
use ota_store::record::{JobPage, JobRecord, Progress, TaskPage, TaskRecord};
use ota_store::{OpenSettings, Store};
use time::{Duration, OffsetDateTime};

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

/// A time of the tests: seconds after a fixed one.
pub(crate) fn at(seconds: i64) -> OffsetDateTime {
    time::macros::datetime!(2026-08-01 10:00 UTC) + Duration::seconds(seconds)
}

pub(crate) fn provider(name: &str) -> ProviderName {
    ProviderName::parse(name).expect("a name")
}

/// A job of which little is known.
pub(crate) fn job(id: &str) -> JobRecord {
    JobRecord {
        id: JobId::from(id),
        status: JobStatus::InProgress,
        outcome: None,
        kind: None,
        package_id: None,
        package_name: None,
        package_version: None,
        product_id: None,
        name: None,
        description: None,
        created_at: None,
        updated_at: None,
        started_at: None,
        stats: None,
        truncated: false,
        document: format!(r#"{{"id":"{id}","status":"in_progress","detail":"full"}}"#),
    }
}

/// A task of which little is known.
pub(crate) fn task(id: &str, status: TaskStatus) -> TaskRecord {
    TaskRecord {
        id: id.to_owned(),
        status,
        stage: None,
        failure: (status == TaskStatus::Failed).then_some(Failure::Other),
        device_id: None,
        device_name: Some(format!("device-{id}")),
        product_id: None,
        from_version: None,
        to_version: None,
        message: None,
        created_at: None,
        updated_at: None,
        started_at: None,
        document: format!(r#"{{"id":"{id}","status":"{status}"}}"#),
    }
}

pub(crate) fn job_page(name: &str, sent: i64, rows: Vec<JobRecord>) -> JobPage {
    JobPage {
        provider: provider(name),
        vendor: "test-iot",
        sent_at: at(sent),
        full: true,
        rows,
        pass: None,
    }
}

pub(crate) fn task_page(name: &str, job: &str, sent: i64, rows: Vec<TaskRecord>) -> TaskPage {
    TaskPage {
        provider: provider(name),
        vendor: "test-iot",
        job_id: JobId::from(job),
        sent_at: at(sent),
        rows,
        pass: None,
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
