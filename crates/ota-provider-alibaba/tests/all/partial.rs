//! Pages some of whose vendor calls fail, and requests that are refused before any.

use std::sync::atomic::Ordering::SeqCst;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use axum::response::IntoResponse;
use ota_core::ErrorKind;
use ota_core::id::{JobId, ProductId};
use ota_core::provider::{
    GetJob, JobFilter, JobReader, ListJobs, ListTasks, PageProblem, TaskFilter,
};
use ota_core::task::TaskStatus;
use ota_provider_alibaba::AlibabaProvider;
use serde_json::{Value, json};

use crate::server::{Server, context, json_answer};

/// What the vendor refuses, and what that is.
const REFUSALS: [(&str, ErrorKind); 3] = [
    ("Throttling.User", ErrorKind::Throttled),
    ("iot.system.SystemException", ErrorKind::Unavailable),
    ("InvalidAccessKeyId.NotFound", ErrorKind::Auth),
];

fn refused(code: &str) -> Value {
    json!({"Success": false, "Code": code, "ErrorMessage": "x"})
}

fn list(name: &str, rows: Vec<Value>) -> Value {
    json!({"Success": true, "Total": rows.len(), "Data": {name: rows}})
}

fn package_list(count: usize) -> Value {
    let row = |n| json!({"FirmwareId": format!("p{n}"), "FirmwareName": format!("n{n}")});
    let rows: Vec<Value> = (0..count).map(row).collect();
    json!({"Success": true, "Total": count, "FirmwareInfo": {"SimpleFirmwareInfo": rows}})
}

fn job_of(package: &str) -> Value {
    let row = json!({"JobId": format!("j-{package}"), "JobStatus": "COMPLETED"});
    list("SimpleOTAJobInfo", vec![row])
}

/// Packages of one job each; the calls for the jobs of those in `broken` are answered with `code`.
async fn packages(count: usize, broken: &'static [&'static str], code: &'static str) -> Server {
    Server::start(move |seen| match seen.operation.as_str() {
        "ListOTAFirmware" => json_answer(package_list(count)),
        _ => {
            let package = seen.param("FirmwareId");
            if broken.contains(&package) {
                return json_answer(refused(code));
            }
            json_answer(job_of(package))
        }
    })
    .await
}

fn jobs(cursor: Option<ota_core::provider::Cursor>) -> ListJobs {
    ListJobs {
        filter: JobFilter::default(),
        page_size: 50,
        cursor,
    }
}

/// Reads the list of jobs to its end. Returns the jobs and the packages that were passed; from the first of those on every page is truncated.
async fn listed(provider: &AlibabaProvider) -> (Vec<String>, Vec<PageProblem>) {
    let (mut ids, mut problems, mut next) = (Vec::new(), Vec::new(), None);
    loop {
        let page = provider.list_jobs(&context(), jobs(next)).await.unwrap();
        ids.extend(page.items.into_iter().map(|job| job.id.into_string()));
        problems.extend(page.problems);
        assert_eq!(page.truncated, !problems.is_empty(), "{problems:?}");
        next = page.next;
        if next.is_none() {
            return (ids, problems);
        }
    }
}

#[tokio::test]
async fn a_page_of_jobs_keeps_what_came_before_the_error() {
    for (code, kind) in REFUSALS {
        if kind == ErrorKind::Unavailable {
            // Said of the package; see below.
            continue;
        }
        let server = packages(4, &["p2", "p3"], code).await;
        let provider = server.provider();
        let page = provider.list_jobs(&context(), jobs(None)).await.unwrap();
        let ids: Vec<&str> = page.items.iter().map(|job| job.id.as_str()).collect();
        assert_eq!(ids, ["j-p0", "j-p1"], "{code}");
        let again = provider.list_jobs(&context(), jobs(page.next)).await;
        assert_eq!(again.unwrap_err().kind(), kind, "{code}");
    }
}

#[tokio::test]
async fn a_page_of_tasks_keeps_what_came_before_the_error() {
    for (code, kind) in REFUSALS {
        let broken = std::sync::Arc::new(AtomicBool::new(true));
        let is_broken = std::sync::Arc::clone(&broken);
        let server = Server::start(move |seen| {
            let word = seen.param("TaskStatus");
            if word == "NOTIFIED" && is_broken.load(Ordering::SeqCst) {
                return json_answer(refused(code));
            }
            let row = json!({"TaskId": format!("t-{word}"), "TaskStatus": word});
            json_answer(list("SimpleOTATaskInfo", vec![row]))
        })
        .await;
        let provider = server.provider();
        let request = |cursor| ListTasks {
            job_id: JobId::from("j"),
            filter: TaskFilter {
                status: vec![TaskStatus::Pending],
                ..TaskFilter::default()
            },
            page_size: 50,
            cursor,
        };
        let page = provider.list_tasks(&context(), request(None)).await;
        let page = page.unwrap().unwrap();
        assert_eq!(page.items.len(), 2, "{code}");
        let next = page.next;
        let again = provider.list_tasks(&context(), request(next.clone())).await;
        assert_eq!(again.unwrap_err().kind(), kind, "{code}");
        broken.store(false, Ordering::SeqCst);
        // Another one goes on: this one would leave a refused key alone for a while.
        let other = server.provider();
        let rest = other.list_tasks(&context(), request(next)).await;
        let rest = rest.unwrap().unwrap();
        assert_eq!(rest.items[0].id.as_str(), "t-NOTIFIED", "{code}");
    }
}

#[tokio::test]
async fn statistics_that_are_refused_cost_one_call_for_the_tasks() {
    for (code, kind) in REFUSALS {
        let server = Server::start(move |seen| match seen.operation.as_str() {
            "QueryOTAJob" => json_answer(
                json!({"Success": true, "Data": {"JobId": "j", "JobStatus": "PLANNED"}}),
            ),
            _ => json_answer(refused(code)),
        })
        .await;
        let get = GetJob {
            job_id: JobId::from("j"),
        };
        let stats = server.provider().job_stats(&context(), get).await;
        assert_eq!(stats.unwrap_err().kind(), kind, "{code}");
        let seen = server.seen();
        let counts = seen
            .iter()
            .filter(|seen| seen.operation == "ListOTATaskByJob");
        assert_eq!(counts.count(), 1, "{code}");
    }
}

#[tokio::test]
async fn one_broken_package_is_said_and_does_not_block_the_list_behind_it() {
    for (code, kind) in [
        ("iot.system.SystemException", ErrorKind::Unavailable),
        ("iot.ota.SomethingNew", ErrorKind::Rejected),
    ] {
        // Also as the first package, where nothing has come before.
        for broken in [&["p0"], &["p1"], &["p3"]] {
            let server = packages(4, broken, code).await;
            let provider = server.provider();
            let (ids, problems) = listed(&provider).await;
            assert_eq!(ids.len(), 3, "{code} {broken:?}");
            assert_eq!(problems.len(), 1, "{code} {broken:?}");
            assert_eq!(problems[0].package_id.as_str(), broken[0]);
            assert_eq!(problems[0].kind, kind);
            let vendor = problems[0].vendor.as_ref().unwrap();
            assert_eq!(vendor.code.as_deref(), Some(code));
        }
    }
}

#[tokio::test]
async fn an_answer_that_cannot_be_read_is_asked_for_once_more_and_then_passed() {
    for (unreadable, is_passed) in [(1, false), (usize::MAX, true)] {
        for broken in ["p0", "p1", "p3"] {
            let left = AtomicUsize::new(unreadable);
            let server = Server::start(move |seen| {
                let package = seen.param("FirmwareId");
                if seen.operation == "ListOTAFirmware" {
                    return json_answer(package_list(4));
                }
                let take = |left: usize| left.checked_sub(1);
                if package == broken && left.fetch_update(SeqCst, SeqCst, take).is_ok() {
                    return "<html>".into_response();
                }
                json_answer(job_of(package))
            })
            .await;
            let provider = server.provider();
            let (mut ids, problems) = listed(&provider).await;
            ids.sort_unstable();
            ids.dedup();
            let asked = server.seen().into_iter();
            let asked = asked.filter(|seen| seen.param("FirmwareId") == broken);
            // The fifth call of the first page cannot be made once more there, so the next page begins anew.
            let expected = if (broken, is_passed) == ("p3", true) {
                3
            } else {
                2
            };
            assert_eq!(asked.count(), expected, "{broken}");
            if is_passed {
                assert_eq!((ids.len(), problems.len()), (3, 1), "{broken}");
                assert_eq!(problems[0].package_id.as_str(), broken);
                assert_eq!(problems[0].kind, ErrorKind::Protocol);
            } else {
                assert_eq!((ids.len(), problems.len()), (4, 0), "{broken}");
            }
        }
    }
}

#[tokio::test]
async fn a_list_with_one_call_for_each_page_gets_past_an_answer_that_cannot_be_read() {
    let server = Server::start(move |seen| match seen.param("FirmwareId") {
        "" => json_answer(package_list(3)),
        "p1" => "<html>".into_response(),
        package => json_answer(job_of(package)),
    })
    .await;
    let provider = server.provider_of_calls(1);
    let (mut ids, mut problems, mut next) = (Vec::new(), Vec::new(), None);
    for _ in 0..20 {
        let page = provider.list_jobs(&context(), jobs(next)).await.unwrap();
        ids.extend(page.items.into_iter().map(|job| job.id.into_string()));
        problems.extend(page.problems);
        next = page.next;
        if next.is_none() {
            break;
        }
    }
    assert!(next.is_none(), "the list does not end");
    assert_eq!(ids, ["j-p0", "j-p2"]);
    assert_eq!(problems.len(), 1);
}

#[tokio::test]
async fn an_error_of_the_whole_provider_is_never_passed_over() {
    for (code, kind) in REFUSALS {
        let server = packages(6, &["p0", "p1", "p2", "p3", "p4", "p5"], code).await;
        let provider = server.provider();
        let (mut pages, mut next) = (0, None);
        let error = loop {
            match provider.list_jobs(&context(), jobs(next)).await {
                Ok(page) => {
                    assert!(page.next.is_some() && page.items.is_empty(), "{code}");
                    next = page.next;
                }
                Err(error) => break Some(error),
            }
            pages += 1;
            if pages > 6 {
                break None;
            }
        };
        assert_eq!(error.unwrap().kind(), kind, "{code}");
        assert_eq!(pages, 0, "{code}");
    }
}

#[tokio::test]
async fn a_filter_without_those_that_it_needs_is_refused_with_their_names() {
    let server = packages(0, &[], "").await;
    let provider = server.provider();
    let capability = ota_core::provider::Provider::capability(&provider);
    assert_eq!(
        capability.job_filter_needs,
        &[("device_name", ["package_id", "product_id"].as_slice())]
    );
    let request = ListJobs {
        filter: JobFilter {
            device_name: Some("d".into()),
            product_id: Some(ProductId::from("p")),
            ..JobFilter::default()
        },
        page_size: 50,
        cursor: None,
    };
    let error = provider.list_jobs(&context(), request).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.field()),
        (ErrorKind::Unsupported, Some("device_name"))
    );
    assert!(error.message().contains("`package_id` and `product_id`"));
    assert!(server.seen().is_empty());
}

#[tokio::test]
async fn an_instance_that_is_not_found_is_no_package_that_was_deleted() {
    let server = packages(4, &["p2"], "iot.system.InstanceNotFound").await;
    let provider = server.provider();
    let page = provider.list_jobs(&context(), jobs(None)).await.unwrap();
    assert_eq!(page.items.len(), 2);
    let again = provider.list_jobs(&context(), jobs(page.next)).await;
    assert_eq!(again.unwrap_err().kind(), ErrorKind::Misconfigured);
}
