//! Writing pages.

use ota_core::id::JobId;
use ota_core::job::{JobStats, JobStatus};
use ota_core::task::TaskStatus;
use ota_store::fleet::{JobQuery, JobSort, TaskKey, TaskQuery, TaskSort};
use ota_store::record::Written;

use crate::harness::{at, job, job_page, on_both, provider, task, task_page};

fn tasks_of(name: &str) -> TaskQuery {
    TaskQuery {
        providers: vec![provider(name)],
        ..TaskQuery::default()
    }
}

#[test]
fn rows_are_added_changed_and_left_alone() {
    on_both(|database| async move {
        let store = database.open().await;
        store
            .write_jobs(&job_page("a", 0, vec![job("j")]))
            .await
            .expect("jobs");
        let first = task_page(
            "a",
            "j",
            10,
            vec![
                task("1", TaskStatus::Pending),
                task("2", TaskStatus::Pending),
            ],
        );
        let written = store.write_tasks(&first).await.expect("tasks");
        assert_eq!((written.added, written.changed), (2, 0));
        let second = task_page(
            "a",
            "j",
            20,
            vec![
                task("1", TaskStatus::Pending),
                task("2", TaskStatus::Failed),
            ],
        );
        let written = store.write_tasks(&second).await.expect("tasks");
        let expected = Written {
            changed: 1,
            unchanged: 1,
            ..Written::default()
        };
        assert_eq!(written, expected);
        // What was asked earlier comes later.
        let late = task_page("a", "j", 15, vec![task("2", TaskStatus::Pending)]);
        let written = store.write_tasks(&late).await.expect("tasks");
        assert_eq!(written.older, 1);
        let groups = store
            .task_groups(&tasks_of("a"), &[TaskKey::Status], 10)
            .await
            .expect("groups");
        assert_eq!(groups.total, 2);
        let failed = (vec![Some("failed".to_owned())], 1);
        assert!(groups.groups.contains(&failed), "{groups:?}");
        let page = store
            .tasks(&tasks_of("a"), TaskSort::ChangedDescending, None, 10)
            .await
            .expect("a page");
        assert_eq!(page.total, Some(2));
        assert_eq!(page.items[0].changed_at, at(20));
        assert_eq!(page.items[0].job_status, Some(JobStatus::InProgress));
        assert_eq!(page.items[1].as_of, at(20));
        assert_eq!(page.items[1].changed_at, at(10));
        assert_eq!(store.verify().await, Ok(Vec::new()));
    });
}

#[test]
fn tasks_of_a_job_that_is_not_known_are_left_out() {
    on_both(|database| async move {
        let store = database.open().await;
        let page = task_page("a", "j", 10, vec![task("1", TaskStatus::Pending)]);
        let written = store.write_tasks(&page).await;
        assert_eq!(written, Ok(Written::default()));
    });
}

#[test]
fn a_row_of_a_list_does_not_take_details_away() {
    on_both(|database| async move {
        let store = database.open().await;
        let mut full = job("j");
        full.description = Some("night shift".to_owned());
        full.document = r#"{"id":"j","status":"in_progress","detail":"full","description":"night shift","package":{"id":"p"}}"#.to_owned();
        store
            .write_jobs(&job_page("a", 0, vec![full.clone()]))
            .await
            .expect("jobs");
        let mut row = job("j");
        row.document = r#"{"id":"j","status":"in_progress","detail":"summary"}"#.to_owned();
        let mut page = job_page("a", 10, vec![row.clone()]);
        page.full = false;
        let written = store.write_jobs(&page).await.expect("jobs");
        assert_eq!(written.unchanged, 1);
        let state = store
            .job_state(&provider("a"), &JobId::from("j"))
            .await
            .expect("a state")
            .expect("the job");
        assert!(state.full);
        assert_eq!(state.as_of, at(10));
        assert_eq!(state.changed_at, at(0));
        // A status that moved may have moved the rest: the row stands alone until the details are read again.
        row.status = JobStatus::Completed;
        row.document = r#"{"id":"j","status":"completed","detail":"summary"}"#.to_owned();
        let mut page = job_page("a", 20, vec![row]);
        page.full = false;
        assert_eq!(store.write_jobs(&page).await.expect("jobs").changed, 1);
        let state = store
            .job_state(&provider("a"), &JobId::from("j"))
            .await
            .expect("a state")
            .expect("the job");
        assert!(!state.full);
        assert_eq!(state.changed_at, at(20));
    });
}

#[test]
fn counts_are_those_of_the_vendor_until_rows_are_newer_and_whole() {
    on_both(|database| async move {
        let store = database.open().await;
        let mut record = job("j");
        record.stats = Some(JobStats {
            total: Some(5),
            failed: Some(1),
            ..JobStats::default()
        });
        store
            .write_jobs(&job_page("a", 0, vec![record.clone()]))
            .await
            .expect("jobs");
        let query = JobQuery {
            providers: vec![provider("a")],
            ..JobQuery::default()
        };
        let page = store
            .jobs(&query, JobSort::default(), None, 10)
            .await
            .expect("a page");
        assert_eq!(page.items[0].stats, record.stats);
        let counts = JobStats {
            total: Some(6),
            failed: Some(2),
            ..JobStats::default()
        };
        store
            .write_counts(&provider("a"), &JobId::from("j"), at(10), &counts)
            .await
            .expect("counts");
        store
            .write_counts(
                &provider("a"),
                &JobId::from("j"),
                at(5),
                &JobStats::default(),
            )
            .await
            .expect("older counts");
        let page = store
            .jobs(&query, JobSort::FailedDescending, None, 10)
            .await
            .expect("a page");
        assert_eq!(page.items[0].stats, Some(counts));
        let history = store
            .history(&provider("a"), &JobId::from("j"), 500)
            .await
            .expect("a history")
            .expect("a known job");
        let points: Vec<_> = history
            .iter()
            .map(|point| (point.at, point.counts.total))
            .collect();
        assert_eq!(points, [(at(0), Some(5)), (at(10), Some(6))]);
        assert_eq!(store.verify().await, Ok(Vec::new()));
    });
}
