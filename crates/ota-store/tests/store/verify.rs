//! Recounting finds what was changed behind the store's back.

use ota_core::task::TaskStatus;

use crate::harness::{job, job_page, on_both, task, task_page};

#[test]
fn every_planted_difference_is_found() {
    on_both(|database| async move {
        let store = database.open().await;
        store
            .write_jobs(&job_page("a", 0, vec![job("j"), job("k")]))
            .await
            .expect("jobs");
        let rows = vec![
            task("1", TaskStatus::Pending),
            task("2", TaskStatus::Failed),
        ];
        store
            .write_tasks(&task_page("a", "j", 10, rows))
            .await
            .expect("tasks");
        assert_eq!(store.verify().await, Ok(Vec::new()));
        for (plant, mend, words) in [
            (
                "UPDATE task_counts SET present = present + 1 WHERE combination = 1",
                "UPDATE task_counts SET present = present - 1 WHERE combination = 1",
                "task_counts",
            ),
            (
                "UPDATE task_counts SET vanished = 1 WHERE combination = 1",
                "UPDATE task_counts SET vanished = 0 WHERE combination = 1",
                "kept (1, 1), counted (1, 0)",
            ),
            (
                "UPDATE task_combinations SET present = present + 1 WHERE status = 4",
                "UPDATE task_combinations SET present = present - 1 WHERE status = 4",
                "task_combinations",
            ),
            (
                "UPDATE task_combinations SET pk = 99 WHERE status = 4",
                "UPDATE task_combinations SET pk = 2 WHERE pk = 99",
                "kept nothing, counted (1, 0)",
            ),
            (
                "UPDATE task_combinations SET pk = 98 WHERE status = 4",
                "UPDATE task_combinations SET pk = 2 WHERE pk = 98",
                "tasks of a combination that is not there: 1",
            ),
            (
                "UPDATE task_combinations SET status = 5 WHERE status = 4",
                "UPDATE task_combinations SET status = 4 WHERE status = 5",
                "under another provider or status than their combination: 1",
            ),
            (
                "UPDATE jobs SET failed = 5 WHERE id = 'j'",
                "UPDATE jobs SET failed = 1 WHERE id = 'j'",
                "failed: kept 5, counted 1",
            ),
            (
                "UPDATE jobs SET shown_failed = 5 WHERE id = 'k'",
                "UPDATE jobs SET shown_failed = -1 WHERE id = 'k'",
                "shown counts",
            ),
            (
                "UPDATE tasks SET vanished_at = 5 WHERE id = '1'",
                "UPDATE tasks SET vanished_at = -1 WHERE id = '1'",
                "tasks whose mark and time of vanishing differ: 1",
            ),
            (
                "UPDATE jobs SET vanished_at = 5 WHERE id = 'k'",
                "UPDATE jobs SET vanished_at = -1 WHERE id = 'k'",
                "jobs whose mark and time of vanishing differ: 1",
            ),
            (
                "INSERT INTO history (job, at, counts) VALUES (99, 1, '')",
                "DELETE FROM history WHERE job = 99",
                "history of a job that is not there: 1",
            ),
            (
                "UPDATE tasks SET source = 99 WHERE id = '1'",
                "UPDATE tasks SET source = (SELECT pk FROM providers) WHERE id = '1'",
                "tasks under another provider than their job: 1",
            ),
        ] {
            database.execute(plant).await;
            let lines = store.verify().await.expect("a recount").join("\n");
            assert!(lines.contains(words), "`{words}` after `{plant}`: {lines}");
            database.execute(mend).await;
            assert_eq!(store.verify().await, Ok(Vec::new()), "after `{mend}`");
        }
        if database.is_sqlite() {
            database.execute("DELETE FROM task_search").await;
            let lines = store.verify().await.expect("a recount").join("\n");
            assert!(lines.contains("not in the index of texts: 2"), "{lines}");
        }
    });
}
