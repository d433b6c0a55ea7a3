//! What the store does when the disk is full, and afterwards.

use std::sync::PoisonError;

use ota_core::task::TaskStatus;

use crate::connection::ALONE;
use crate::engine::Engine;
use crate::error::{Result, StoreError};
use crate::fixtures::{job, job_page, task, task_page};
use crate::migrate::migrate;
use crate::record::{TaskPage, TaskRecord, Written};
use crate::{provider, verify, write_jobs, write_tasks};

/// A page that needs more room than a new database has left.
fn tasks() -> TaskPage {
    let rows = (0..500).map(|n| TaskRecord {
        document: format!("{{\"text\":\"{}\"}}", "x".repeat(1_000)),
        ..task(&n.to_string(), TaskStatus::Pending)
    });
    task_page("a", "j", 0, rows.collect())
}

async fn write(engine: &Engine) -> Result<Written> {
    let page = tasks();
    engine
        .write(move |connection| {
            Box::pin(async move { write_tasks::write(connection, &page).await })
        })
        .await
}

#[test]
fn a_full_disk_is_said_and_passes() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let folder = tempfile::tempdir().expect("a folder");
    let url = format!("sqlite:{}", folder.path().join("mirror.db").display());
    runtime.block_on(async {
        let engine = Engine::open(&url, false, true).await.expect("it opens");
        migrate(&engine, true).await.expect("it migrates");
        let page = job_page("a", 0, vec![job("j")]);
        engine
            .write(move |connection| {
                Box::pin(async move { write_jobs::write(connection, &page).await })
            })
            .await
            .expect("jobs");
        for _ in 0..2 {
            // The file may not grow over this connection: to SQLite that is a full disk. The store opens another connection after the failure.
            let full = "PRAGMA max_page_count = 1";
            engine
                .write(move |connection| Box::pin(async move { connection.batch(full).await }))
                .await
                .expect("a limit");
            match write(&engine).await {
                Err(StoreError::Unavailable { message }) => {
                    assert!(message.contains("the disk is full"), "{message}");
                }
                other => panic!("expected a full disk, got {other:?}"),
            }
            let known = engine
                .read(|connection| Box::pin(async move { provider::all(connection).await }))
                .await;
            assert_eq!(known.expect("readers go on").len(), 1);
        }
        assert_eq!(write(&engine).await.expect("room again").added, 500);
        let differences = engine
            .read(|connection| Box::pin(verify::verify(connection)))
            .await;
        assert_eq!(differences, Ok(Vec::new()));
    });
}
