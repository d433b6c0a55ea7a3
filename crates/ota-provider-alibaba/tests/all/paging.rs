//! Lists over lists, against a vendor of numbered rows.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use ota_core::drift::DriftKind;
use ota_core::id::{JobId, ProductId};
use ota_core::job::{JobKind, JobOutcome, JobStats, JobStatus};
use ota_core::provider::{GetJob, JobFilter, JobReader, ListJobs, ListTasks, TaskFilter};
use ota_core::task::TaskStatus;
use ota_core::{ErrorKind, provider::Cursor};
use serde_json::{Value, json};

use crate::server::{Seen, Server, context, json_answer};

/// A batch with a number of tasks in each word; refuses pages behind the vendor's window as the vendor does.
async fn batch(counts: &'static [(&'static str, u64)], knows_confirm: bool) -> Server {
    Server::start(move |seen| tasks(seen, counts, knows_confirm)).await
}

fn tasks(seen: &Seen, counts: &[(&str, u64)], knows_confirm: bool) -> axum::response::Response {
    let refused =
        |code: &str| json_answer(json!({"Success": false, "Code": code, "ErrorMessage": "x"}));
    let page: u64 = seen.param("CurrentPage").parse().unwrap();
    let size: u64 = seen.param("PageSize").parse().unwrap();
    let word = seen.param("TaskStatus");
    if page * size > 100_000 || size > 100 || page == 0 {
        return refused("iot.common.InvalidPageParams");
    }
    if word == "CONFIRM" && !knows_confirm {
        return refused("iot.check.InvalidFormattedParameter");
    }
    let chosen: Vec<_> = counts
        .iter()
        .filter(|(of, _)| word.is_empty() || *of == word)
        .collect();
    let total: u64 = chosen.iter().map(|(_, count)| count).sum();
    let rows: Vec<Value> = ((page - 1) * size..(page * size).min(total))
        .map(|mut row| {
            let (word, number) = chosen.iter().find_map(|(word, count)| {
                if row < *count { Some((word, row)) } else { row -= count; None }
            }).unwrap();
            json!({"TaskId": format!("{word}-{number}"), "TaskStatus": word, "IotId": format!("iot-{word}-{number}")})
        })
        .collect();
    json_answer(json!({"Success": true, "Total": total, "Data": {"SimpleOTATaskInfo": rows}}))
}

#[derive(Debug, Default)]
struct Listed {
    ids: Vec<String>,
    truncated: Vec<bool>,
    calls: Vec<usize>,
    totals: Vec<Option<u64>>,
}

async fn list(server: &Server, filter: TaskFilter, page_size: u32) -> Listed {
    list_pages(server, filter, page_size, usize::MAX).await
}

async fn list_pages(server: &Server, filter: TaskFilter, page_size: u32, pages: usize) -> Listed {
    let provider = server.provider();
    let mut listed = Listed::default();
    let mut cursor = None;
    loop {
        let before = server.seen().len();
        let request = ListTasks {
            job_id: JobId::from("j"),
            filter: filter.clone(),
            page_size,
            cursor,
        };
        let page = provider
            .list_tasks(&context(), request)
            .await
            .unwrap()
            .unwrap();
        listed.calls.push(server.seen().len() - before);
        listed
            .ids
            .extend(page.items.into_iter().map(|task| task.id.into_string()));
        listed.truncated.push(page.truncated);
        listed.totals.push(page.total);
        cursor = page.next;
        if cursor.is_none() || listed.calls.len() == pages {
            return listed;
        }
    }
}

fn unique(ids: &[String]) -> BTreeMap<String, usize> {
    ids.iter().fold(BTreeMap::new(), |mut count, id| {
        *count.entry(id.clone()).or_insert(0) += 1;
        count
    })
}

fn status(status: &[TaskStatus]) -> TaskFilter {
    TaskFilter {
        status: status.to_vec(),
        ..TaskFilter::default()
    }
}

#[tokio::test]
async fn a_status_of_several_words_is_listed_value_by_value() {
    let server = batch(
        &[
            ("CONFIRM", 30),
            ("QUEUED", 45),
            ("FAILED", 10),
            ("NOTIFIED", 7),
        ],
        true,
    )
    .await;
    let listed = list(
        &server,
        status(&[TaskStatus::Failed, TaskStatus::Pending]),
        50,
    )
    .await;
    assert_eq!(listed.ids.len(), 92);
    assert!(unique(&listed.ids).values().all(|count| *count == 1));
    assert!(listed.ids[0].starts_with("CONFIRM") && listed.ids[91].starts_with("FAILED"));
    assert!(
        listed.calls.iter().all(|calls| *calls <= 6),
        "{:?}",
        listed.calls
    );
    // An old platform has no CONFIRM: the other words still arrive.
    let server = batch(&[("QUEUED", 45), ("NOTIFIED", 7)], false).await;
    assert_eq!(
        list(&server, status(&[TaskStatus::Pending]), 50)
            .await
            .ids
            .len(),
        52
    );
}

#[tokio::test]
async fn what_is_no_row_keeps_its_place_and_ends_no_list() {
    let server = Server::start(|seen| {
        let rows = [
            json!(null),
            json!({"TaskId": "a"}),
            json!({}),
            json!("x"),
            json!({"TaskId": "b"}),
        ];
        let page: usize = seen.param("CurrentPage").parse().unwrap();
        let size: usize = seen.param("PageSize").parse().unwrap();
        let part: Vec<_> = rows.iter().skip((page - 1) * size).take(size).collect();
        json_answer(
            json!({"Success": true, "Total": rows.len(), "Data": {"SimpleOTATaskInfo": part}}),
        )
    })
    .await;
    for page_size in [1, 2, 50] {
        assert_eq!(
            list(&server, TaskFilter::default(), page_size).await.ids,
            ["a", "b"]
        );
    }
}

#[tokio::test]
async fn an_empty_list_of_an_unknown_batch_is_no_batch() {
    let server = Server::start(|seen| match seen.operation.as_str() {
        "QueryOTAJob" => json_answer(json!({"Success": true, "Data": {}})),
        _ => json_answer(json!({"Success": true, "Total": 0, "Data": {"SimpleOTATaskInfo": {}}})),
    })
    .await;
    let request = ListTasks {
        job_id: JobId::from("j"),
        filter: TaskFilter::default(),
        page_size: 5,
        cursor: None,
    };
    assert_eq!(
        server
            .provider()
            .list_tasks(&context(), request)
            .await
            .unwrap(),
        None
    );
    let get = ota_core::provider::GetJob {
        job_id: JobId::from("j"),
    };
    assert_eq!(
        server.provider().job_stats(&context(), get).await.unwrap(),
        None
    );
}

#[tokio::test]
async fn a_page_of_named_devices_ends_at_its_size_whatever_the_platform_sends() {
    let server = Server::start(|_| {
        let rows: Vec<_> =
            (0..5).map(|number| json!({"TaskId": format!("t{number}"), "DeviceName": "d", "TaskStatus": "FAILED"})).collect();
        json_answer(json!({"Success": true, "Total": 5, "Data": {"SimpleOTATaskInfo": rows}}))
    })
    .await;
    let filter = TaskFilter {
        device_names: vec!["d".into()],
        ..TaskFilter::default()
    };
    assert_eq!(
        list(&server, filter.clone(), 2).await.ids,
        ["t0", "t1", "t2", "t3", "t4"]
    );
    let calls = server.seen().len();
    let filter = TaskFilter {
        status: vec![TaskStatus::Skipped],
        ..filter
    };
    assert!(list(&server, filter, 2).await.ids.is_empty());
    assert_eq!(server.seen().len(), calls);
}

#[tokio::test]
async fn a_status_that_the_vendor_never_uses_costs_no_call() {
    let server = batch(&[("QUEUED", 45)], true).await;
    let listed = list(&server, status(&[TaskStatus::Skipped]), 50).await;
    assert_eq!((listed.ids.len(), server.seen().len()), (0, 0));
    assert_eq!(listed.totals, [Some(0)]);
}

#[tokio::test]
async fn unknown_words_can_be_asked_for() {
    let server = batch(&[("QUEUED", 145), ("MELTED", 3)], true).await;
    let listed = list(&server, status(&[TaskStatus::Unknown]), 50).await;
    assert_eq!(listed.ids, ["MELTED-0", "MELTED-1", "MELTED-2"]);
}

#[tokio::test]
async fn a_device_is_found_by_reading() {
    let server = batch(&[("QUEUED", 450)], true).await;
    let filter = TaskFilter {
        device_id: Some("iot-QUEUED-333".into()),
        ..TaskFilter::default()
    };
    let listed = list(&server, filter, 10).await;
    assert_eq!(listed.ids, ["QUEUED-333"]);
    assert!(listed.totals.iter().all(Option::is_none));
}

#[tokio::test]
async fn a_batch_over_the_window_is_listed_status_by_status() {
    let server = batch(
        &[
            ("SUCCEEDED", 60_000),
            ("FAILED", 50_000),
            ("QUEUED", 20_000),
        ],
        true,
    )
    .await;
    let listed = list(&server, TaskFilter::default(), 100).await;
    assert_eq!(listed.ids.len(), 130_000);
    assert_eq!(unique(&listed.ids).len(), 130_000);
    assert!(listed.truncated.iter().all(|truncated| !truncated));
}

#[tokio::test]
async fn what_no_window_reaches_is_said_on_every_page() {
    let server = batch(&[("SUCCEEDED", 110_000), ("FAILED", 20_000)], true).await;
    let listed = list(&server, TaskFilter::default(), 100).await;
    assert_eq!(unique(&listed.ids).len(), 120_000);
    assert!(listed.truncated.iter().all(|truncated| *truncated));
    assert!(
        listed.totals.iter().all(|total| *total == Some(130_000)),
        "{:?}",
        listed.totals[1]
    );
    assert!(
        listed.calls.iter().all(|calls| *calls <= 5),
        "{:?}",
        listed.calls.iter().max()
    );
    for wanted in [
        &[TaskStatus::Succeeded][..],
        &[TaskStatus::Failed, TaskStatus::Succeeded],
    ] {
        let first = list_pages(&server, status(wanted), 100, 3).await;
        assert_eq!(first.truncated, [true; 3]);
        assert!(
            first.calls.iter().all(|calls| *calls <= 5),
            "{:?}",
            first.calls
        );
    }
    let reachable = list_pages(&server, status(&[TaskStatus::Failed]), 100, 1).await;
    assert_eq!(reachable.truncated, [false]);
}

#[tokio::test]
async fn rows_that_are_left_out_here_cost_no_more_calls_in_a_large_batch() {
    let server = batch(&[("SUCCEEDED", 110_000), ("FAILED", 20_000)], true).await;
    for filter in [
        status(&[TaskStatus::Unknown]),
        TaskFilter {
            device_id: Some("iot-FAILED-7".into()),
            ..TaskFilter::default()
        },
    ] {
        let listed = list_pages(&server, filter, 100, 3).await;
        assert!(
            listed.calls.iter().all(|calls| *calls <= 5),
            "{:?}",
            listed.calls
        );
        assert_eq!(listed.truncated, [true; 3]);
        assert!(
            listed.totals.iter().all(Option::is_none),
            "{:?}",
            listed.totals
        );
    }
}

#[tokio::test]
async fn a_page_size_that_does_not_divide_the_window_reaches_its_end() {
    let server = batch(&[("SUCCEEDED", 100_000)], true).await;
    let provider = server.provider();
    // The cursor of a listing that has passed 1,298 pages of 77.
    let mut cursor = Some(Cursor(format!("a0.0.{}", 1298 * 77)));
    let mut ids = Vec::new();
    while let Some(at) = cursor {
        let request = ListTasks {
            job_id: JobId::from("j"),
            filter: TaskFilter::default(),
            page_size: 77,
            cursor: Some(at),
        };
        let page = provider
            .list_tasks(&context(), request)
            .await
            .unwrap()
            .unwrap();
        ids.extend(page.items.into_iter().map(|task| task.id.into_string()));
        cursor = page.next;
    }
    assert_eq!((ids.len(), ids[53].as_str()), (54, "SUCCEEDED-99999"));
}

fn get() -> GetJob {
    GetJob {
        job_id: JobId::from("j"),
    }
}

const KNOWN_WORDS: &[(&str, u64)] = &[
    ("CONFIRM", 1),
    ("QUEUED", 2),
    ("NOTIFIED", 3),
    ("IN_PROGRESS", 4),
    ("SUCCEEDED", 5),
    ("FAILED", 6),
    ("CANCELED", 7),
];

#[tokio::test]
async fn statistics_are_eight_calls() {
    let server = batch(KNOWN_WORDS, true).await;
    let provider = server.provider();
    let stats = provider.job_stats(&context(), get()).await.unwrap();
    let expected = JobStats {
        total: Some(28),
        pending: Some(6),
        in_progress: Some(4),
        succeeded: Some(5),
        failed: Some(6),
        canceled: Some(7),
        unknown: Some(0),
        ..JobStats::default()
    };
    assert_eq!(stats, Some(expected));
    assert_eq!(server.seen().len(), 8);
    assert!(
        server
            .seen()
            .iter()
            .all(|seen| seen.param("PageSize") == "1")
    );
}

#[tokio::test]
async fn tasks_in_unknown_words_are_counted_when_two_readings_agree() {
    let counts: &'static [(&str, u64)] = &[("SUCCEEDED", 5), ("FAILED", 6), ("MELTED", 8)];
    let server = batch(counts, true).await;
    let provider = server.provider();
    let stats = provider.job_stats(&context(), get()).await.unwrap();
    let stats = stats.unwrap();
    assert_eq!((stats.total, stats.unknown), (Some(19), Some(8)));
    assert_eq!(server.seen().len(), 16);
}

/// Tasks go through a word as on a belt: each reading misses the one that is on its way, and two readings have the same numbers.
#[tokio::test]
async fn tasks_that_move_in_both_readings_are_not_unknown() {
    let (stats, calls) = moving(&[(2, 7)]).await;
    assert_eq!((stats.total, stats.unknown, calls), (Some(10), None, 16));
}

/// A batch of three tasks that have all succeeded, with this status.
async fn outcome_of(status: &'static str) -> (Option<JobOutcome>, usize) {
    let server = Server::start(move |seen| match seen.operation.as_str() {
        "QueryOTAJob" => {
            json_answer(json!({"Success": true, "Data": {"JobId": "j", "JobStatus": status}}))
        }
        _ => tasks(seen, &[("SUCCEEDED", 3)], true),
    })
    .await;
    let stats = server.provider().job_stats(&context(), get()).await;
    (stats.unwrap().unwrap().outcome, server.seen().len())
}

#[tokio::test]
async fn the_tasks_of_a_batch_that_runs_prove_no_outcome() {
    for status in ["PLANNED", "IN_PROGRESS", "ROLLED_BACK", ""] {
        assert_eq!(outcome_of(status).await, (None, 9), "{status}");
    }
    for status in ["COMPLETED", "COMPLETE", "CANCELED"] {
        let succeeded = Some(JobOutcome::Succeeded);
        assert_eq!(outcome_of(status).await, (succeeded, 9), "{status}");
    }
}

#[tokio::test]
async fn a_batch_that_is_gone_when_its_tasks_are_counted_has_no_statistics() {
    let server = Server::start(|seen| match seen.operation.as_str() {
        "QueryOTAJob" => json_answer(
            json!({"Success": false, "Code": "iot.ota.JobNotFound", "ErrorMessage": "x"}),
        ),
        _ => tasks(seen, &[("SUCCEEDED", 3)], true),
    })
    .await;
    let stats = server.provider().job_stats(&context(), get()).await;
    assert_eq!(stats.unwrap(), None);
}

/// Ten tasks that move from QUEUED to SUCCEEDED: each reading of the vendor's counts is off as its number says, and the last one for ever.
async fn moving(readings: &'static [(u64, u64)]) -> (JobStats, usize) {
    let calls = AtomicUsize::new(0);
    let server = Server::start(move |seen| {
        let reading = calls.fetch_add(1, Ordering::SeqCst) / 8;
        let (queued, succeeded) = readings[reading.min(readings.len() - 1)];
        let total = match seen.param("TaskStatus") {
            "" => 10,
            "QUEUED" => queued,
            "SUCCEEDED" => succeeded,
            _ => 0,
        };
        json_answer(json!({"Success": true, "Total": total, "Data": {"SimpleOTATaskInfo": []}}))
    })
    .await;
    let provider = server.provider();
    let stats = provider.job_stats(&context(), get()).await.unwrap();
    (stats.unwrap(), server.seen().len())
}

#[tokio::test]
async fn counts_that_do_not_fit_are_read_once_more() {
    for first in [(6, 6), (2, 2)] {
        let readings: &'static [(u64, u64)] = match first {
            (6, 6) => &[(6, 6), (4, 6)],
            _ => &[(2, 2), (4, 6)],
        };
        let (stats, calls) = moving(readings).await;
        assert_eq!((stats.total, stats.counted()), (Some(10), 10));
        assert_eq!((stats.unknown, calls), (Some(0), 16));
    }
}

#[tokio::test]
async fn tasks_that_were_counted_in_no_word_are_not_unknown() {
    let (stats, calls) = moving(&[(2, 2), (3, 4)]).await;
    assert_eq!((stats.total, stats.unknown, calls), (Some(10), None, 16));
    assert_eq!((stats.pending, stats.succeeded), (Some(3), Some(4)));
}

#[tokio::test]
async fn a_total_below_its_parts_is_left_out() {
    for readings in [&[(6, 6), (5, 6)][..], &[(6, 6)]] {
        let readings: &'static [(u64, u64)] = readings;
        let (stats, calls) = moving(readings).await;
        assert_eq!((stats.total, stats.unknown, calls), (None, None, 16));
        assert_eq!(stats.outcome, None);
    }
}

#[tokio::test]
async fn statistics_of_an_old_platform_leave_out_what_cannot_be_counted() {
    let old = batch(&[("QUEUED", 2), ("FAILED", 1)], false).await;
    let stats = old
        .provider()
        .job_stats(&context(), get())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        (stats.total, stats.pending, stats.unknown),
        (Some(3), Some(2), Some(0))
    );
}

#[tokio::test]
async fn a_platform_may_refuse_the_oldest_words_with_any_code() {
    for code in [
        "iot.ota.InvalidTaskStatus",
        "iot.ota.TaskStatusNotExist",
        "InvalidTaskStatus",
    ] {
        let server = Server::start(move |seen| match seen.param("TaskStatus") {
            "CONFIRM" => json_answer(json!({"Success": false, "Code": code, "ErrorMessage": "x"})),
            _ => tasks(seen, &[("QUEUED", 2), ("MELTED", 3)], true),
        })
        .await;
        let get = ota_core::provider::GetJob {
            job_id: JobId::from("j"),
        };
        let stats = server
            .provider()
            .job_stats(&context(), get)
            .await
            .unwrap()
            .unwrap();
        // Three tasks are in none of the words that could be counted: some may wait for confirmation, so neither number is told.
        assert_eq!(
            (stats.total, stats.pending, stats.unknown),
            (Some(5), None, None),
            "{code}"
        );
        assert_eq!(
            list(&server, status(&[TaskStatus::Pending]), 50)
                .await
                .ids
                .len(),
            2
        );
    }
}

#[tokio::test]
async fn a_package_without_an_identifier_is_passed_over_and_said() {
    let server = Server::start(|seen| match seen.operation.as_str() {
        "ListOTAFirmware" => json_answer(json!({"Success": true, "Total": 3, "FirmwareInfo": {"SimpleFirmwareInfo": [
            {"FirmwareName": "x"}, null, {"FirmwareId": "p"}]}})),
        _ => json_answer(json!({"Success": true, "Total": 1, "Data": {"SimpleOTAJobInfo": [{"JobId": seen.param("FirmwareId")}]}})),
    })
    .await;
    let request = ListJobs {
        filter: JobFilter::default(),
        page_size: 50,
        cursor: None,
    };
    let page = server
        .provider()
        .list_jobs(&context(), request)
        .await
        .unwrap();
    assert_eq!(
        (page.items.len(), page.items[0].id.as_str(), page.next),
        (1, "p", None)
    );
    assert!(page.truncated);
    let drift = server.drift.snapshot();
    assert_eq!(
        drift.get(&(DriftKind::Value, "ListOTAFirmware", "Data".to_owned())),
        Some(&1)
    );
}

/// Packages with a number of jobs each, of alternating status.
async fn account(packages: &'static [u64]) -> Server {
    Server::start(move |seen| {
        let page: usize = seen.param("CurrentPage").parse().unwrap();
        let size: usize = seen.param("PageSize").parse().unwrap();
        let rows = |all: Vec<Value>| -> (usize, Vec<Value>) {
            (all.len(), all.into_iter().skip((page - 1) * size).take(size).collect())
        };
        if seen.operation == "ListOTAFirmware" {
            let product = seen.param("ProductKey");
            let all = (0..packages.len()).filter(|number| product.is_empty() || product == format!("prod{}", number % 2));
            let (total, rows) = rows(all.map(|number| json!({"FirmwareId": format!("p{number}"), "FirmwareName": format!("name{number}"),
                "DestVersion": "2", "ProductKey": format!("prod{}", number % 2)})).collect());
            return json_answer(json!({"Success": true, "Total": total, "FirmwareInfo": {"SimpleFirmwareInfo": rows}}));
        }
        let package: usize = seen.param("FirmwareId")[1..].parse().unwrap();
        let (total, rows) = rows((0..packages[package]).map(|job| json!({"JobId": format!("p{package}-{job}"), "FirmwareId": format!("p{package}"),
            "ProductKey": format!("prod{}", package % 2), "JobStatus": if job % 2 == 0 { "COMPLETED" } else { "CANCELED" }, "JobType": "UPGRADE_FIRMWARE"})).collect());
        json_answer(json!({"Success": true, "Total": total, "Data": {"SimpleOTAJobInfo": rows}}))
    })
    .await
}

async fn list_jobs(
    server: &Server,
    filter: JobFilter,
    page_size: u32,
) -> (Vec<String>, Vec<usize>) {
    let provider = server.provider();
    let (mut ids, mut calls, mut cursor) = (Vec::new(), Vec::new(), None);
    loop {
        let before = server.seen().len();
        let request = ListJobs {
            filter: filter.clone(),
            page_size,
            cursor,
        };
        let page = provider.list_jobs(&context(), request).await.unwrap();
        calls.push(server.seen().len() - before);
        assert!(page.items.len() <= page_size as usize);
        for job in page.items {
            let package = job.package.unwrap();
            assert_eq!(
                package.name.unwrap()[4..],
                package.id.unwrap().as_str()[1..]
            );
            ids.push(job.id.into_string());
        }
        cursor = page.next;
        if cursor.is_none() {
            return (ids, calls);
        }
    }
}

#[tokio::test]
async fn every_job_of_every_package_comes_once_and_no_page_costs_more_than_five_calls() {
    const PACKAGES: &[u64] = &[3, 0, 0, 0, 0, 0, 0, 120, 1, 450, 2, 0];
    let server = account(PACKAGES).await;
    for page_size in [1, 7, 50, 100] {
        let (ids, calls) = list_jobs(&server, JobFilter::default(), page_size).await;
        assert_eq!(ids.len() as u64, PACKAGES.iter().sum::<u64>());
        assert_eq!(unique(&ids).len(), ids.len());
        assert!(calls.iter().all(|calls| *calls <= 5), "{calls:?}");
    }
    let (ids, _) = list_jobs(
        &server,
        JobFilter {
            status: vec![JobStatus::Canceled],
            ..JobFilter::default()
        },
        50,
    )
    .await;
    assert_eq!(ids.len(), 1 + 60 + 225 + 1);
    let product = JobFilter {
        product_id: Some(ProductId::from("prod1")),
        ..JobFilter::default()
    };
    let (ids, _) = list_jobs(&account(&[1, 2, 3]).await, product, 50).await;
    assert_eq!(ids, ["p1-0", "p1-1"]);
}

#[tokio::test]
async fn an_account_of_many_packages_is_listed_page_by_page() {
    let packages: &'static [u64] = Box::leak(vec![1; 250].into_boxed_slice());
    let (ids, calls) = list_jobs(&account(packages).await, JobFilter::default(), 100).await;
    assert_eq!(unique(&ids).len(), 250);
    assert!(calls.iter().all(|calls| *calls <= 5));
}

#[tokio::test]
async fn words_that_the_vendor_never_uses_cost_no_call_and_what_it_cannot_filter_is_refused() {
    let server = account(&[1]).await;
    let list = |filter: JobFilter, cursor: Option<&str>| ListJobs {
        filter,
        page_size: 50,
        cursor: cursor.map(|cursor| Cursor(cursor.to_owned())),
    };
    let paused = JobFilter {
        status: vec![JobStatus::Paused],
        ..JobFilter::default()
    };
    let software = JobFilter {
        kind: Some(JobKind::Software),
        ..JobFilter::default()
    };
    for filter in [paused, software] {
        let page = server
            .provider()
            .list_jobs(&context(), list(filter, None))
            .await
            .unwrap();
        assert_eq!(
            (page.items.len(), page.next, page.total),
            (0, None, Some(0))
        );
    }
    let model = JobFilter {
        model: Some("m".into()),
        ..JobFilter::default()
    };
    let error = server
        .provider()
        .list_jobs(&context(), list(model.clone(), None))
        .await
        .unwrap_err();
    assert_eq!(
        (error.kind(), error.field()),
        (ErrorKind::Unsupported, Some("model"))
    );
    // The cursor is judged before the capability.
    let error = server
        .provider()
        .list_jobs(&context(), list(model, Some("junk")))
        .await
        .unwrap_err();
    assert!(error.is_invalid_cursor());
    assert!(server.seen().is_empty());
}

#[tokio::test]
async fn a_cap_that_appears_in_the_middle_of_a_list_loses_no_task_and_is_reported() {
    for (says_so, as_text) in [(true, false), (true, true), (false, false)] {
        let calls = AtomicUsize::new(0);
        let server = Server::start(move |seen| {
            let page: u64 = seen.param("CurrentPage").parse().unwrap();
            let asked: u64 = seen.param("PageSize").parse().unwrap();
            let size = match calls.fetch_add(1, Ordering::SeqCst) {
                0 => asked,
                _ => asked.min(10),
            };
            let rows: Vec<Value> = ((page - 1) * size..(page * size).min(230))
                .map(|row| json!({"TaskId": format!("t{row}"), "TaskStatus": "QUEUED"}))
                .collect();
            let mut answer =
                json!({"Success": true, "Total": 230, "Data": {"SimpleOTATaskInfo": rows}});
            if says_so {
                answer["PageSize"] = json!(size);
            }
            if as_text {
                answer["PageSize"] = json!(size.to_string());
            }
            json_answer(answer)
        })
        .await;
        let listed = list(&server, TaskFilter::default(), 50).await;
        let expected: Vec<String> = (0..230).map(|row| format!("t{row}")).collect();
        assert_eq!(listed.ids, expected, "{says_so} {as_text}");
        assert!(listed.totals.iter().all(|total| *total == Some(230)));
        assert!(listed.truncated.iter().all(|truncated| !truncated));
        let field = if says_so { "PageSize" } else { "Data" };
        let key = (DriftKind::Page, "ListOTATaskByJob", field.to_owned());
        assert!(server.drift.snapshot().contains_key(&key), "{says_so}");
    }
}

#[tokio::test]
async fn an_empty_list_beside_a_total_is_no_empty_list() {
    let server = Server::start(|_| {
        json_answer(json!({"Success": true, "Total": 5, "Data": {"SimpleOTATaskInfo": []}}))
    })
    .await;
    let request = ListTasks {
        job_id: JobId::from("j"),
        filter: TaskFilter::default(),
        page_size: 50,
        cursor: None,
    };
    let provider = server.provider();
    let error = provider.list_tasks(&context(), request).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Protocol);
    let request = ListJobs {
        filter: JobFilter::default(),
        page_size: 50,
        cursor: None,
    };
    let error = provider.list_jobs(&context(), request).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Protocol);
}
