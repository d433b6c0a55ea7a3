//! Answers compared with a plain evaluation of the same rows.

use std::collections::BTreeMap;

use ota_core::task::{Failure, TaskStatus};
use ota_store::Store;
use ota_store::fleet::{TaskKey, TaskQuery, TaskSort};
use ota_store::record::TaskRecord;

use crate::harness::{at, job, job_page, on_both, provider, task, task_page};

const PROVIDERS: [&str; 2] = ["a", "b"];
const JOBS: [&str; 3] = ["one", "two", "three"];
const STATUS: [TaskStatus; 3] = [
    TaskStatus::Pending,
    TaskStatus::Succeeded,
    TaskStatus::Failed,
];

/// Messages with every character that means something to SQL, to patterns or to the index of parts.
const MESSAGES: [&str; 8] = [
    "50% done",
    "a_b\\c",
    "\"quoted\" text",
    "it's OR NOT",
    "设备离线",
    "Ärger NEAR(x)",
    "two\nlines",
    "NUL \0 and * ( ) - : ^",
];

/// Tasks of a page.
const PAGE: i64 = 80;

const TIMES: [TaskSort; 4] = [
    TaskSort::ChangedDescending,
    TaskSort::Changed,
    TaskSort::CreatedDescending,
    TaskSort::Created,
];

/// What was written: provider, job and row of each task.
type Rows = BTreeMap<(usize, usize, i64), TaskRecord>;

/// A row; `round` says which of several forms it has.
fn row(provider: usize, job: usize, n: i64, round: i64) -> TaskRecord {
    let number = (n * 7_919 + round * 31) % 1_000;
    let status = STATUS[usize::try_from(number % 3).expect("small")];
    let mut row = task(&format!("t{n}"), status);
    let failure = [Failure::Timeout, Failure::Offline][usize::from(number % 2 == 0)];
    row.failure = (status == TaskStatus::Failed).then_some(failure);
    row.device_name = (n % 9 != 0).then(|| format!("Sensor-{number:07}"));
    row.device_id = Some(format!("iot{provider}{job}000{n:05}"));
    row.to_version = Some(format!("2.{}", n % 2));
    let message = usize::try_from(n * 3 + round).expect("small");
    row.message = (n % 5 == 0).then(|| MESSAGES[message % MESSAGES.len()].to_owned());
    row.created_at = Some(at(number));
    row.updated_at = Some(at(10_000 * (round + 1) - number));
    row.document = format!(r#"{{"id":"{provider}/{job}/{n}","round":{round}}}"#);
    row
}

/// Writes rows of all jobs, each in the form of this round.
async fn write(store: &Store, rows: &mut Rows, tasks: std::ops::Range<i64>, round: i64) {
    for (p, name) in PROVIDERS.iter().enumerate() {
        for (j, id) in JOBS.iter().enumerate() {
            if round == 0 {
                let page = job_page(name, 0, vec![job(id)]);
                store.write_jobs(&page).await.expect("jobs");
            }
            let written: Vec<_> = tasks.clone().map(|n| row(p, j, n, round)).collect();
            for (n, row) in tasks.clone().zip(&written) {
                rows.insert((p, j, n), row.clone());
            }
            let page = task_page(name, id, round * 1_000, written);
            store.write_tasks(&page).await.expect("tasks");
        }
    }
}

fn query() -> TaskQuery {
    TaskQuery {
        providers: PROVIDERS.iter().map(|name| provider(name)).collect(),
        ..TaskQuery::default()
    }
}

fn searched(row: &TaskRecord) -> String {
    let parts = [&row.device_name, &row.device_id, &row.message];
    let parts: Vec<_> = parts.into_iter().flatten().cloned().collect();
    parts.join("\n").replace('\0', "\u{fffd}").to_lowercase()
}

/// Parts of what is there, and texts that are nowhere although all of their parts are.
fn texts(rows: &Rows) -> Vec<String> {
    let mut texts = vec![
        "sensor".to_owned(),
        "SENSOR-0000".to_owned(),
        "iot00000".to_owned(),
        "0".repeat(20),
        "sensor-000sensor".to_owned(),
        "nowhere".to_owned(),
        "零零".to_owned(),
        "%%%".to_owned(),
        "___".to_owned(),
        "50_".to_owned(),
        "\"\"\"".to_owned(),
        "OR NOT".to_owned(),
    ];
    for (place, row) in rows.values().enumerate().step_by(23) {
        let text: Vec<char> = searched(row).chars().collect();
        let length = 2 + place % 7;
        let first = (place * 5) % text.len().saturating_sub(length).max(1);
        texts.push(text.iter().skip(first).take(length).collect());
    }
    for message in MESSAGES {
        texts.push(message.to_owned());
        texts.push(message.chars().take(3).collect());
    }
    texts
}

/// Reads all pages of a question.
async fn all_pages(store: &Store, query: &TaskQuery, sort: TaskSort) -> Vec<(String, i64)> {
    let mut found = Vec::new();
    let mut after: Option<String> = None;
    loop {
        let page = store.tasks(query, sort, after.as_deref(), 60).await;
        let page = page.expect("a page");
        let changed = |at: time::OffsetDateTime| at.unix_timestamp();
        let items = page.items.into_iter();
        found.extend(items.map(|item| (item.document, changed(item.changed_at))));
        match page.next {
            Some(next) => after = Some(next),
            None => return found,
        }
    }
}

async fn check_text(store: &Store, rows: &Rows, text: &str, status: Option<TaskStatus>) {
    let wanted = text.replace('\0', "\u{fffd}").to_lowercase();
    let mut expected: Vec<_> = rows
        .values()
        .filter(|row| searched(row).contains(&wanted))
        .filter(|row| status.is_none_or(|status| row.status == status))
        .map(|row| row.document.clone())
        .collect();
    expected.sort();
    let mut query = query();
    query.q = Some(text.to_owned());
    query.status = status.into_iter().collect();
    for sort in TIMES.into_iter().chain([TaskSort::DeviceName]) {
        let found = all_pages(store, &query, sort).await;
        let changed: Vec<_> = found.iter().map(|(_, changed)| *changed).collect();
        match sort {
            TaskSort::Changed => assert!(changed.is_sorted(), "{text:?}"),
            TaskSort::ChangedDescending => {
                assert!(changed.is_sorted_by(|a, b| a >= b), "{text:?}");
            }
            _ => {}
        }
        let mut found: Vec<_> = found.into_iter().map(|(document, _)| document).collect();
        found.sort();
        assert_eq!(found, expected, "{text:?} {sort:?} {status:?}");
    }
}

#[test]
fn text_is_found_in_just_the_tasks_that_have_it() {
    on_both(|database| async move {
        let store = database.open().await;
        let mut rows = Rows::new();
        write(&store, &mut rows, 0..PAGE, 0).await;
        for text in texts(&rows) {
            check_text(&store, &rows, &text, None).await;
        }
        // What was known of the rows is old now, and the answers are not.
        write(&store, &mut rows, 10..PAGE, 1).await;
        write(&store, &mut rows, PAGE..PAGE + 5, 2).await;
        for text in texts(&rows).into_iter().step_by(2) {
            check_text(&store, &rows, &text, Some(TaskStatus::Failed)).await;
        }
    });
}

fn value(key: TaskKey, place: (usize, usize), row: &TaskRecord) -> Option<String> {
    match key {
        TaskKey::Provider => Some(PROVIDERS[place.0].to_owned()),
        TaskKey::Vendor => Some("test-iot".to_owned()),
        TaskKey::Status => Some(row.status.to_string()),
        TaskKey::Stage => row.stage.map(|stage| stage.to_string()),
        TaskKey::Failure => row.failure.map(|failure| failure.to_string()),
        TaskKey::JobId => Some(JOBS[place.1].to_owned()),
        TaskKey::ProductId => row.product_id.clone(),
        TaskKey::FromVersion => row.from_version.clone(),
        TaskKey::ToVersion => row.to_version.clone(),
    }
}

async fn check_groups(store: &Store, rows: &Rows, by: &[TaskKey], status: Option<TaskStatus>) {
    let mut counts: BTreeMap<_, u64> = BTreeMap::new();
    for ((p, j, _), row) in rows {
        if status.is_none_or(|status| row.status == status) {
            let values: Vec<_> = by.iter().map(|key| value(*key, (*p, *j), row)).collect();
            *counts.entry(values).or_default() += 1;
        }
    }
    let total: u64 = counts.values().sum();
    let mut expected: Vec<_> = counts.into_iter().collect();
    expected.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    let mut query = query();
    query.status = status.into_iter().collect();
    for limit in [1, 5, 1_000] {
        let groups = store.task_groups(&query, by, limit).await.expect("groups");
        let most = usize::try_from(limit).expect("small");
        assert_eq!(groups.total, total, "{by:?}");
        assert_eq!(groups.truncated, expected.len() > most, "{by:?}");
        let shown: Vec<_> = expected.iter().take(most).cloned().collect();
        assert_eq!(groups.groups, shown, "{by:?} {status:?} {limit}");
    }
}

#[test]
fn groups_are_what_counting_the_rows_gives() {
    on_both(|database| async move {
        let store = database.open().await;
        let mut rows = Rows::new();
        for round in 0..3 {
            write(&store, &mut rows, 0..PAGE - 20 * round, round).await;
            for by in [
                &[TaskKey::JobId][..],
                &[TaskKey::JobId, TaskKey::Status, TaskKey::Failure],
                &[TaskKey::Failure, TaskKey::JobId],
                &[TaskKey::Provider, TaskKey::JobId, TaskKey::ToVersion],
                &[TaskKey::Status],
                &[TaskKey::Vendor, TaskKey::ToVersion],
            ] {
                check_groups(&store, &rows, by, None).await;
                check_groups(&store, &rows, by, Some(TaskStatus::Failed)).await;
            }
        }
        // A provider whose rows alone changed is counted anew, the other one is as it was.
        let changed: Vec<_> = (0..10).map(|n| row(1, 2, n, 9)).collect();
        for (n, row) in (0..10).zip(&changed) {
            rows.insert((1, 2, n), row.clone());
        }
        let page = task_page(PROVIDERS[1], JOBS[2], 9_000, changed);
        store.write_tasks(&page).await.expect("tasks");
        check_groups(&store, &rows, &[TaskKey::JobId, TaskKey::Status], None).await;
    });
}
