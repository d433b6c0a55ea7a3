//! Fleet questions.

use ota_core::id::JobId;
use ota_core::task::{Failure, TaskStage, TaskStatus};
use ota_store::Store;
use ota_store::fleet::{TaskKey, TaskQuery, TaskSort};
use ota_store::record::TaskRecord;

use crate::harness::{at, job, job_page, on_both, provider, task, task_page};

const STATUS: [TaskStatus; 4] = [
    TaskStatus::Pending,
    TaskStatus::InProgress,
    TaskStatus::Succeeded,
    TaskStatus::Failed,
];

/// A row of the model: its provider, its job, itself.
type Known = (&'static str, &'static str, TaskRecord);

/// Two providers with two jobs of 30 tasks each; some have no times and no names.
fn model() -> Vec<Known> {
    let mut rows = Vec::new();
    for (p, name) in ["a", "b"].into_iter().enumerate() {
        for id in ["j", "k"] {
            for n in 0..30_usize {
                let mut row = task(&format!("{id}{n}"), STATUS[(n + p) % 4]);
                row.device_name = (n % 5 != 0).then(|| format!("Gerät_{:02}%", n * 7 % 30));
                row.created_at = (n % 3 != 0).then(|| at(n as i64 / 4));
                row.updated_at = (n % 2 == 0).then(|| at(1_000 - n as i64 / 3));
                row.from_version = Some(format!("1.{}", n % 3));
                row.to_version = Some("2.0".to_owned());
                row.stage = (row.status == TaskStatus::Pending).then_some(TaskStage::Queued);
                row.message = Some(format!("Fehler {n} \"x\""));
                row.document = format!(r#"{{"provider":"{name}","id":"{id}{n}"}}"#);
                rows.push((name, id, row));
            }
        }
    }
    rows
}

async fn fill(store: &Store) {
    for name in ["a", "b"] {
        store
            .write_jobs(&job_page(name, 0, vec![job("j"), job("k")]))
            .await
            .expect("jobs");
        for id in ["j", "k"] {
            let rows = model()
                .into_iter()
                .filter(|row| row.0 == name && row.1 == id);
            let page = task_page(name, id, 1_000, rows.map(|row| row.2).collect());
            store.write_tasks(&page).await.expect("tasks");
        }
    }
}

/// Whether a row of the model has a text in its device name or message.
fn has(row: &TaskRecord, text: &str) -> bool {
    let parts = [&row.device_name, &row.message];
    parts
        .into_iter()
        .flatten()
        .any(|part| part.to_lowercase().contains(text))
}

/// Reads an answer page by page and returns the documents.
async fn page_by_page(store: &Store, query: &TaskQuery, sort: TaskSort, size: u32) -> Vec<String> {
    let mut documents = Vec::new();
    let mut after: Option<String> = None;
    loop {
        let page = store
            .tasks(query, sort, after.as_deref(), size)
            .await
            .expect("a page");
        documents.extend(page.items.into_iter().map(|item| item.document));
        match page.next {
            Some(next) => after = Some(next),
            None => return documents,
        }
    }
}

/// A question, and which rows of the model it is to find.
type Case = (TaskQuery, fn(&Known) -> bool);

fn cases() -> Vec<Case> {
    let all = TaskQuery {
        providers: vec![provider("a"), provider("b")],
        ..TaskQuery::default()
    };
    let one = TaskQuery {
        providers: vec![provider("b")],
        ..TaskQuery::default()
    };
    vec![
        (all.clone(), |_| true),
        (one.clone(), |row| row.0 == "b"),
        (
            TaskQuery {
                status: vec![TaskStatus::Failed, TaskStatus::Pending],
                ..all.clone()
            },
            |row| matches!(row.2.status, TaskStatus::Failed | TaskStatus::Pending),
        ),
        (
            TaskQuery {
                failure: vec![Failure::Other],
                from_version: Some("1.1".to_owned()),
                ..all.clone()
            },
            |row| row.2.failure.is_some() && row.2.from_version.as_deref() == Some("1.1"),
        ),
        (
            TaskQuery {
                stage: vec![TaskStage::Queued],
                to_version: Some("2.0".to_owned()),
                ..all.clone()
            },
            |row| row.2.stage.is_some(),
        ),
        (
            TaskQuery {
                job_id: Some(JobId::from("k")),
                ..one.clone()
            },
            |row| row.0 == "b" && row.1 == "k",
        ),
        (
            TaskQuery {
                device_name: Some("Gerät_07%".to_owned()),
                ..all.clone()
            },
            |row| row.2.device_name.as_deref() == Some("Gerät_07%"),
        ),
        (
            TaskQuery {
                q: Some("GERÄT_1".to_owned()),
                ..all.clone()
            },
            |row| has(&row.2, "gerät_1"),
        ),
        (
            TaskQuery {
                q: Some("t_".to_owned()),
                ..one.clone()
            },
            |row| row.0 == "b" && has(&row.2, "t_"),
        ),
        (
            TaskQuery {
                q: Some("9 \"X\"".to_owned()),
                ..all.clone()
            },
            |row| has(&row.2, "9 \"x\""),
        ),
        (
            TaskQuery {
                created_before: Some(at(3)),
                ..all.clone()
            },
            |row| row.2.created_at.is_some_and(|created| created < at(3)),
        ),
        (
            TaskQuery {
                stuck_since: Some(at(600)),
                ..all
            },
            |row| {
                let open = matches!(row.2.status, TaskStatus::Pending | TaskStatus::InProgress);
                open && row
                    .2
                    .updated_at
                    .or(row.2.created_at)
                    .is_some_and(|changed| changed <= at(600))
            },
        ),
    ]
}

#[test]
fn every_order_has_all_rows_once_whatever_the_page_size() {
    on_both(|database| async move {
        let store = database.open().await;
        fill(&store).await;
        for (query, expected) in cases() {
            let mut wanted: Vec<_> = model()
                .into_iter()
                .filter(expected)
                .map(|row| row.2.document)
                .collect();
            assert!(!wanted.is_empty(), "the case finds something: {query:?}");
            wanted.sort();
            for sort in [
                TaskSort::ChangedDescending,
                TaskSort::Changed,
                TaskSort::CreatedDescending,
                TaskSort::Created,
                TaskSort::DeviceName,
            ] {
                let whole = page_by_page(&store, &query, sort, 500).await;
                let mut distinct = whole.clone();
                distinct.sort();
                assert_eq!(distinct, wanted, "{sort:?} {query:?}");
                for size in [1, 7] {
                    let pages = page_by_page(&store, &query, sort, size).await;
                    assert_eq!(pages, whole, "{sort:?}, pages of {size}: {query:?}");
                }
            }
        }
    });
}

/// Whatever of a page one provider alone gives, nothing of it is passed over.
#[test]
fn a_page_is_whole_however_its_rows_lie_among_the_providers() {
    on_both(|database| async move {
        let store = database.open().await;
        let names = ["a", "b", "c"];
        let mut expected = Vec::new();
        for (p, name) in names.into_iter().enumerate() {
            let rows = (0..90_usize).map(|n| {
                // Those of `a` are all newer; those of the others lie among each other, and every third time is one of both.
                let newness = if p == 0 { 1_000 + n } else { n - n % 3 };
                let mut row = task(&format!("{n:02}"), TaskStatus::Pending);
                row.updated_at = Some(at(newness as i64));
                row.document = format!(r#"{{"id":"{name}{n:02}"}}"#);
                expected.push((newness, p, n, row.document.clone()));
                row
            });
            let rows = rows.collect();
            store
                .write_jobs(&job_page(name, 0, vec![job("j")]))
                .await
                .expect("jobs");
            let page = task_page(name, "j", 5_000, rows);
            store.write_tasks(&page).await.expect("tasks");
        }
        expected.sort();
        let query = TaskQuery {
            providers: names.map(provider).to_vec(),
            ..TaskQuery::default()
        };
        let documents = |rows: &[(usize, usize, usize, String)]| {
            rows.iter().map(|row| row.3.clone()).collect::<Vec<_>>()
        };
        for size in [1, 20, 60, 150, 400] {
            let read = page_by_page(&store, &query, TaskSort::Changed, size).await;
            assert_eq!(read, documents(&expected), "pages of {size}, oldest first");
        }
        expected.reverse();
        for size in [1, 20, 60, 150, 400] {
            let read = page_by_page(&store, &query, TaskSort::ChangedDescending, size).await;
            assert_eq!(read, documents(&expected), "pages of {size}, newest first");
        }
    });
}

#[test]
fn jobs_of_two_providers_with_one_identifier_are_one_group() {
    on_both(|database| async move {
        let store = database.open().await;
        for (name, tasks) in [("a", 2), ("b", 3)] {
            store
                .write_jobs(&job_page(name, 0, vec![job("same"), job(name)]))
                .await
                .expect("jobs");
            for id in ["same", name] {
                let rows = (0..tasks).map(|n| task(&format!("{id}{n}"), TaskStatus::Pending));
                let page = task_page(name, id, 10, rows.collect());
                store.write_tasks(&page).await.expect("tasks");
            }
        }
        let all = TaskQuery {
            providers: vec![provider("a"), provider("b")],
            ..TaskQuery::default()
        };
        let key = |id: &str| vec![Some(id.to_owned())];
        for stuck_since in [None, Some(at(1_000_000))] {
            let query = TaskQuery {
                stuck_since,
                ..all.clone()
            };
            let groups = store.task_groups(&query, &[TaskKey::JobId], 10).await;
            let groups = groups.expect("groups");
            assert_eq!(groups.total, 10);
            assert_eq!(
                groups.groups,
                [(key("same"), 5), (key("b"), 3), (key("a"), 2)]
            );
        }
    });
}

/// Whether there is a total says nothing of the rows of another provider.
#[test]
fn a_text_has_the_same_answer_whatever_other_providers_have() {
    on_both(|database| async move {
        let store = database.open().await;
        let fill = async |name: &str, rows: u32| {
            store
                .write_jobs(&job_page(name, 0, vec![job("j")]))
                .await
                .expect("jobs");
            for first in (0..rows).step_by(100) {
                let last = rows.min(first + 100);
                let rows = (first..last).map(|n| task(&format!("{n:05}"), TaskStatus::Pending));
                let page = task_page(name, "j", 10, rows.collect());
                store.write_tasks(&page).await.expect("tasks");
            }
        };
        fill("a", 20).await;
        let query = TaskQuery {
            providers: vec![provider("a")],
            q: Some("device-0".to_owned()),
            ..TaskQuery::default()
        };
        let ask = async || {
            let page = store.tasks(&query, TaskSort::default(), None, 5).await;
            let page = page.expect("a page");
            (page.total, page.items.len(), page.next.is_some())
        };
        let before = ask().await;
        fill("b", 2_500).await;
        assert_eq!(ask().await, before);
    });
}
