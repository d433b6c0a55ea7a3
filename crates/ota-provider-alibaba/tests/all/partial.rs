//! Pages some of whose vendor calls fail.

use std::sync::atomic::{AtomicBool, Ordering};

use ota_core::ErrorKind;
use ota_core::id::JobId;
use ota_core::provider::{GetJob, JobFilter, JobReader, ListJobs, ListTasks, TaskFilter};
use ota_core::task::TaskStatus;
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

/// Packages of one job each; the calls for the jobs of those in `broken` are answered with `code`.
async fn packages(count: usize, broken: &'static [&'static str], code: &'static str) -> Server {
    Server::start(move |seen| match seen.operation.as_str() {
        "ListOTAFirmware" => {
            let row = |n| json!({"FirmwareId": format!("p{n}"), "FirmwareName": format!("n{n}")});
            let rows: Vec<Value> = (0..count).map(row).collect();
            json_answer(json!({"Success": true, "Total": count, "FirmwareInfo": {"SimpleFirmwareInfo": rows}}))
        }
        _ => {
            let package = seen.param("FirmwareId");
            if broken.contains(&package) {
                return json_answer(refused(code));
            }
            let row = json!({"JobId": format!("j-{package}"), "JobStatus": "COMPLETED"});
            json_answer(list("SimpleOTAJobInfo", vec![row]))
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

#[tokio::test]
async fn a_page_of_jobs_keeps_what_came_before_the_error() {
    for (code, kind) in REFUSALS {
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
        let rest = provider.list_tasks(&context(), request(next)).await;
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
