//! Passes, and what they prove.

use ota_core::id::JobId;
use ota_core::task::TaskStatus;
use ota_store::Store;
use ota_store::fleet::{JobQuery, JobSort, TaskQuery, TaskSort};
use ota_store::pass::{Ended, PassEnd, PassOf};
use ota_store::record::Progress;

use crate::harness::{at, job, job_page, last, on_both, provider, task, task_page};

/// Runs a complete list pass that sees these jobs.
async fn list(store: &Store, seconds: i64, ids: &[&str]) -> Ended {
    let of = PassOf::Jobs(provider("a"));
    let pass = store.begin_pass(&of, at(seconds)).await.expect("a pass");
    let rows = ids.iter().map(|id| job(id)).collect();
    let mut page = job_page("a", seconds, rows);
    page.pass = last(pass.id, Some(ids.len() as u64));
    store.write_jobs(&page).await.expect("jobs");
    store
        .end_pass(pass.id, &PassEnd::Complete, at(seconds + 1))
        .await
        .expect("the end")
}

/// Runs a complete deep pass that sees these tasks.
async fn deep(store: &Store, seconds: i64, ids: &[&str]) -> Ended {
    let of = PassOf::Tasks(provider("a"), JobId::from("j"));
    let pass = store.begin_pass(&of, at(seconds)).await.expect("a pass");
    let rows = ids.iter().map(|id| task(id, TaskStatus::Pending)).collect();
    let mut page = task_page("a", "j", seconds, rows);
    page.pass = last(pass.id, None);
    store.write_tasks(&page).await.expect("tasks");
    store
        .end_pass(pass.id, &PassEnd::Complete, at(seconds + 1))
        .await
        .expect("the end")
}

async fn shown(store: &Store, include_vanished: bool) -> usize {
    let query = TaskQuery {
        providers: vec![provider("a")],
        include_vanished,
        ..TaskQuery::default()
    };
    let page = store
        .tasks(&query, TaskSort::default(), None, 100)
        .await
        .expect("a page");
    assert_eq!(page.total, Some(page.items.len() as u64));
    page.items.len()
}

#[test]
fn a_row_vanishes_when_two_complete_passes_missed_it() {
    on_both(|database| async move {
        let store = database.open().await;
        list(&store, 0, &["j", "k", "l"]).await;
        deep(&store, 5, &["1", "2", "3"]).await;
        let ended = list(&store, 10, &["j", "k"]).await;
        assert_eq!((ended.missing, ended.vanished), (1, 0));
        let ended = list(&store, 20, &["j", "k"]).await;
        assert_eq!((ended.missing, ended.vanished), (0, 1));
        let ended = deep(&store, 30, &["1", "2"]).await;
        assert_eq!((ended.missing, ended.vanished), (1, 0));
        // A pass in between that saw it starts the count again.
        deep(&store, 40, &["1", "2", "3"]).await;
        assert_eq!(deep(&store, 50, &["1", "2"]).await.vanished, 0);
        assert_eq!(deep(&store, 60, &["1", "2"]).await.vanished, 1);
        assert_eq!(shown(&store, false).await, 2);
        assert_eq!(shown(&store, true).await, 3);
        // It comes back.
        deep(&store, 70, &["1", "2", "3"]).await;
        assert_eq!(shown(&store, false).await, 3);
        assert_eq!(store.verify().await, Ok(Vec::new()));
    });
}

#[test]
fn a_pass_that_misses_most_rows_is_not_believed_until_a_third_agrees() {
    on_both(|database| async move {
        let store = database.open().await;
        list(&store, 0, &["j", "k", "l"]).await;
        deep(&store, 5, &["1", "2", "3"]).await;
        list(&store, 10, &["k"]).await;
        let ended = list(&store, 20, &["k"]).await;
        assert_eq!((ended.vanished, ended.doubted), (0, true));
        let state = store.providers().await.expect("providers").remove(0);
        let (problem, since) = state.problem.expect("a problem");
        assert!(problem.contains("more than half"), "{problem}");
        assert_eq!(since, at(21));
        assert_eq!(state.jobs, 3);
        let ended = list(&store, 30, &["k"]).await;
        assert_eq!((ended.vanished, ended.doubted), (2, false));
        let state = store.providers().await.expect("providers").remove(0);
        assert_eq!((state.problem, state.jobs, state.tasks), (None, 1, 0));
        assert_eq!(shown(&store, true).await, 3);
        // The job comes back, and its tasks with it.
        list(&store, 40, &["j", "k"]).await;
        assert_eq!(shown(&store, false).await, 3);
        assert_eq!(store.verify().await, Ok(Vec::new()));
    });
}

#[test]
fn a_pass_that_did_not_see_what_the_vendor_told_proves_nothing() {
    on_both(|database| async move {
        let store = database.open().await;
        list(&store, 0, &["j", "k", "l"]).await;
        for seconds in [10, 20, 30, 40] {
            let of = PassOf::Jobs(provider("a"));
            let pass = store.begin_pass(&of, at(seconds)).await.expect("a pass");
            let mut page = job_page("a", seconds, vec![job("j"), job("k")]);
            page.pass = last(pass.id, Some(3));
            store.write_jobs(&page).await.expect("jobs");
            let ended = store
                .end_pass(pass.id, &PassEnd::Complete, at(seconds + 1))
                .await
                .expect("the end");
            assert_eq!(ended, Ended::default());
        }
        let state = store.providers().await.expect("providers").remove(0);
        assert_eq!(state.jobs, 3);
        assert_eq!(state.last_full_pass_at, Some(at(0)));
    });
}

#[test]
fn a_pass_goes_on_where_its_last_page_was_committed() {
    on_both(|database| async move {
        let of = PassOf::Jobs(provider("a"));
        let pass = {
            let store = database.open().await;
            let pass = store.begin_pass(&of, at(0)).await.expect("a pass");
            assert_eq!(pass.cursor, None);
            let mut page = job_page("a", 1, vec![job("j"), job("k")]);
            page.pass = Some((
                pass.id,
                Progress {
                    cursor: Some("page 2".to_owned()),
                    total: Some(4),
                    calls: 2,
                    ..Progress::default()
                },
            ));
            store.write_jobs(&page).await.expect("jobs");
            pass
        };
        let store = database.open().await;
        let open = store.open_passes(&provider("a")).await.expect("passes");
        assert_eq!(open.len(), 1);
        let again = store.begin_pass(&of, at(100)).await.expect("the pass");
        assert_eq!(again, open[0]);
        assert_eq!(again.id, pass.id);
        assert_eq!(again.began_at, at(0));
        assert_eq!(again.cursor.as_deref(), Some("page 2"));
        assert_eq!((again.seen, again.calls, again.at_end), (2, 2, false));
        // A row that moved to the next page is seen once.
        let mut page = job_page("a", 101, vec![job("k"), job("l")]);
        page.pass = last(pass.id, Some(3));
        store.write_jobs(&page).await.expect("jobs");
        let again = store.begin_pass(&of, at(102)).await.expect("the pass");
        assert_eq!((again.seen, again.at_end), (3, true));
        assert_eq!((again.first_total, again.last_total), (Some(4), Some(3)));
        let ended = store
            .end_pass(pass.id, &PassEnd::Complete, at(103))
            .await
            .expect("the end");
        assert!(ended.complete);
        let next = store.begin_pass(&of, at(104)).await.expect("a pass");
        assert!(next.id > pass.id);
    });
}

#[test]
fn a_task_changed_when_its_vendor_says_so_else_when_it_was_first_seen() {
    on_both(|database| async move {
        let store = database.open().await;
        list(&store, 0, &["j"]).await;
        let told = [
            (Some(40), Some(30), Some(20), 40),
            (None, Some(30), Some(20), 30),
            (None, None, Some(20), 20),
            (None, None, None, 60),
        ];
        let mut rows = Vec::new();
        for (n, (updated, started, created, _)) in told.into_iter().enumerate() {
            let mut row = task(&n.to_string(), TaskStatus::Pending);
            row.updated_at = updated.map(at);
            row.started_at = started.map(at);
            row.created_at = created.map(at);
            rows.push(row);
        }
        let page = task_page("a", "j", 60, rows);
        store.write_tasks(&page).await.expect("tasks");
        let query = TaskQuery {
            providers: vec![provider("a")],
            ..TaskQuery::default()
        };
        let page = store.tasks(&query, TaskSort::DeviceName, None, 10).await;
        let items = page.expect("a page").items;
        let changed: Vec<_> = items.iter().map(|item| item.changed_at).collect();
        assert_eq!(changed, told.map(|(_, _, _, changed)| at(changed)));
    });
}

#[test]
fn a_job_whose_tasks_are_not_all_shown_says_so_until_they_are() {
    on_both(|database| async move {
        let store = database.open().await;
        list(&store, 0, &["j"]).await;
        let is_truncated = async || {
            let query = JobQuery {
                providers: vec![provider("a")],
                ..JobQuery::default()
            };
            let page = store.jobs(&query, JobSort::default(), None, 10).await;
            page.expect("a page").items[0].truncated
        };
        assert!(!is_truncated().await);
        let of = PassOf::Tasks(provider("a"), JobId::from("j"));
        let pass = store.begin_pass(&of, at(10)).await.expect("a pass");
        let end = store.end_pass(pass.id, &PassEnd::Truncated, at(20)).await;
        assert!(!end.expect("the end").complete);
        assert!(is_truncated().await);
        // The list does not know of it.
        list(&store, 30, &["j"]).await;
        assert!(is_truncated().await);
        deep(&store, 40, &["1"]).await;
        assert!(!is_truncated().await);
    });
}
