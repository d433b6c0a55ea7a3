//! What is removed by age, and times that a wrong clock has left.

use ota_core::id::JobId;
use ota_core::job::{JobStats, JobStatus};
use ota_core::task::TaskStatus;
use ota_store::Store;
use ota_store::fleet::{JobQuery, JobSort, TaskQuery, TaskSort};
use ota_store::record::JobRecord;

use crate::harness::{at, job, job_page, on_both, provider, task, task_page};

fn with_status(id: &str, status: JobStatus) -> JobRecord {
    JobRecord { status, ..job(id) }
}

/// Writes a job with so many tasks.
async fn write(store: &Store, name: &str, row: JobRecord, tasks: u32, sent: i64) {
    let id = row.id.as_str().to_owned();
    store
        .write_jobs(&job_page(name, sent, vec![row]))
        .await
        .expect("jobs");
    let rows = (0..tasks).map(|n| task(&format!("{id}-{n}"), TaskStatus::Failed));
    store
        .write_tasks(&task_page(name, &id, sent, rows.collect()))
        .await
        .expect("tasks");
}

async fn jobs(store: &Store) -> Vec<String> {
    let query = JobQuery {
        providers: vec![provider("a"), provider("b")],
        include_vanished: true,
        ..JobQuery::default()
    };
    let page = store.jobs(&query, JobSort::default(), None, 100).await;
    let mut ids: Vec<_> = page
        .expect("a page")
        .items
        .into_iter()
        .map(|item| item.document)
        .map(|text| {
            let value: serde_json::Value = serde_json::from_str(&text).expect("a document");
            value["id"].as_str().expect("an id").to_owned()
        })
        .collect();
    ids.sort();
    ids
}

async fn tasks(store: &Store) -> u64 {
    let query = TaskQuery {
        providers: vec![provider("a"), provider("b")],
        ..TaskQuery::default()
    };
    let page = store.tasks(&query, TaskSort::default(), None, 1).await;
    page.expect("a page").total.expect("a total")
}

#[test]
fn old_jobs_go_in_transactions_of_some_thousand_tasks() {
    on_both(|database| async move {
        let store = database.open().await;
        write(
            &store,
            "a",
            with_status("ended", JobStatus::Completed),
            12_000,
            0,
        )
        .await;
        write(
            &store,
            "a",
            with_status("running", JobStatus::InProgress),
            3,
            0,
        )
        .await;
        write(
            &store,
            "a",
            with_status("later", JobStatus::Canceled),
            4,
            100,
        )
        .await;
        let configured = vec![provider("a")];
        let mut seen = Vec::new();
        loop {
            let forgotten = store
                .forget(at(50), configured.clone())
                .await
                .expect("done");
            assert_eq!(store.verify().await, Ok(Vec::new()));
            seen.push((tasks(&store).await, forgotten.jobs));
            if !forgotten.more {
                break;
            }
        }
        assert_eq!(seen, [(7_007, 0), (2_007, 0), (7, 1), (7, 0)]);
        assert_eq!(jobs(&store).await, ["later", "running"]);
    });
}

#[test]
fn all_old_rows_of_a_provider_that_is_not_configured_go() {
    on_both(|database| async move {
        let store = database.open().await;
        for name in ["a", "b"] {
            for status in [
                JobStatus::Pending,
                JobStatus::InProgress,
                JobStatus::Unknown,
            ] {
                let id = format!("{name}-{}", status.as_str());
                write(&store, name, with_status(&id, status), 2, 0).await;
            }
        }
        write(
            &store,
            "b",
            with_status("b-later", JobStatus::InProgress),
            2,
            100,
        )
        .await;
        let configured = vec![provider("a")];
        while store
            .forget(at(50), configured.clone())
            .await
            .expect("done")
            .more
        {}
        assert_eq!(
            jobs(&store).await,
            ["a-in_progress", "a-pending", "a-unknown", "b-later"]
        );
        assert_eq!(tasks(&store).await, 8);
        assert_eq!(store.verify().await, Ok(Vec::new()));
    });
}

#[test]
fn a_long_history_keeps_its_ends_and_what_is_new() {
    on_both(|database| async move {
        let store = database.open().await;
        write(&store, "a", job("j"), 0, 0).await;
        let id = JobId::from("j");
        for n in 0..4_101 {
            let stats = JobStats {
                total: Some(5_000),
                failed: Some(u64::try_from(n).expect("a number")),
                ..JobStats::default()
            };
            store
                .write_counts(&provider("a"), &id, at(n), &stats)
                .await
                .expect("counts");
        }
        let points = async || {
            let points = store.history(&provider("a"), &id, u32::MAX).await;
            let points = points.expect("an answer").expect("a job");
            points.iter().map(|point| point.at).collect::<Vec<_>>()
        };
        let before = points().await;
        assert!(store.thin_history().await.expect("done"));
        assert!(!store.thin_history().await.expect("done"), "once is enough");
        let after = points().await;
        assert_eq!(after.first(), before.first());
        assert_eq!(after[after.len() - 500..], before[before.len() - 500..]);
        let expected = 500 + (before.len() - 500) / 2;
        assert!(
            after.len().abs_diff(expected) <= 1,
            "{} points",
            after.len()
        );
    });
}

#[test]
fn a_clock_that_ran_ahead_does_not_keep_later_answers_out() {
    on_both(|database| async move {
        let store = database.open().await;
        let month = 30 * 86_400;
        write(
            &store,
            "a",
            with_status("j", JobStatus::InProgress),
            1,
            month,
        )
        .await;
        // The clock was set right: what comes now is true.
        let page = job_page("a", 100, vec![with_status("j", JobStatus::Completed)]);
        let written = store.write_jobs(&page).await.expect("jobs");
        assert_eq!(
            (written.older, written.changed),
            (0, 0),
            "the document is the same"
        );
        let page = task_page("a", "j", 100, vec![task("j-0", TaskStatus::Succeeded)]);
        let written = store.write_tasks(&page).await.expect("tasks");
        assert_eq!((written.older, written.changed), (0, 1));
        // A page that was only late stays out.
        let page = task_page("a", "j", 40, vec![task("j-0", TaskStatus::Pending)]);
        let written = store.write_tasks(&page).await.expect("tasks");
        assert_eq!((written.older, written.changed), (1, 0));
    });
}

#[test]
fn tasks_come_back_with_their_job_only() {
    on_both(|database| async move {
        let store = database.open().await;
        write(&store, "a", job("j"), 2, 0).await;
        for second in [10, 20] {
            store
                .missing_job(&provider("a"), &JobId::from("j"), at(second))
                .await
                .expect("missed");
        }
        assert_eq!(tasks(&store).await, 0);
        // The vendor's list of tasks still answers.
        let page = task_page("a", "j", 30, vec![task("j-0", TaskStatus::Failed)]);
        store.write_tasks(&page).await.expect("tasks");
        assert_eq!(tasks(&store).await, 0);
        assert_eq!(store.verify().await, Ok(Vec::new()));
        write(&store, "a", job("j"), 2, 40).await;
        assert_eq!(tasks(&store).await, 2);
        assert_eq!(store.verify().await, Ok(Vec::new()));
    });
}
