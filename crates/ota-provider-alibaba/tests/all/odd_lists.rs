//! Lists that are none, rows that are none, and refusals that mean something else than they seem to.

use ota_core::drift::DriftKind;
use ota_core::id::{JobId, PackageId};
use ota_core::job::Job;
use ota_core::provider::{GetJob, JobFilter, JobReader, ListJobs, ListTasks, Page, TaskFilter};
use ota_core::task::{Task, TaskStatus};
use ota_core::{ErrorKind, Result};
use serde_json::{Value, json};

use crate::server::{SECRET, Seen, Server, TOKEN, answer, context, json_answer};

fn task_request(filter: TaskFilter) -> ListTasks {
    ListTasks {
        job_id: JobId::from("j"),
        filter,
        page_size: 50,
        cursor: None,
    }
}

async fn tasks(server: &Server, filter: TaskFilter) -> Result<Option<Page<Task>>> {
    let request = task_request(filter);
    server.provider().list_tasks(&context(), request).await
}

async fn jobs(server: &Server) -> Result<Page<Job>> {
    let request = ListJobs {
        filter: JobFilter {
            package_id: Some(PackageId::from("p")),
            ..JobFilter::default()
        },
        page_size: 50,
        cursor: None,
    };
    server.provider().list_jobs(&context(), request).await
}

fn names(names: &[&str]) -> TaskFilter {
    TaskFilter {
        device_names: names.iter().map(|name| (*name).into()).collect(),
        ..TaskFilter::default()
    }
}

fn pending() -> TaskFilter {
    TaskFilter {
        status: vec![TaskStatus::Pending],
        ..TaskFilter::default()
    }
}

fn refused(code: &str, text: &str) -> axum::response::Response {
    json_answer(json!({"Success": false, "Code": code, "ErrorMessage": text}))
}

/// What the first page of tasks says: rows, total, and whether it is cut.
async fn said(server: &Server) -> (usize, Option<u64>, bool) {
    let page = tasks(server, TaskFilter::default()).await;
    let page = page.unwrap().unwrap();
    (page.items.len(), page.total, page.truncated)
}

#[tokio::test]
async fn what_is_no_row_is_said_and_leaves_the_total_out() {
    for odd in [
        json!(null),
        json!(""),
        json!("text"),
        json!(7),
        json!([1]),
        json!({}),
    ] {
        let shown = odd.to_string();
        let server = Server::start(move |seen| {
            let (wrapper, id) = match seen.operation.as_str() {
                "ListOTATaskByJob" => ("SimpleOTATaskInfo", "TaskId"),
                _ => ("SimpleOTAJobInfo", "JobId"),
            };
            let rows = json!([{id: "t0"}, odd, {id: "t2"}]);
            json_answer(json!({"Success": true, "Total": 3, "Data": {wrapper: rows}}))
        })
        .await;
        let said = said(&server).await;
        assert_eq!(said, (2, None, true), "{shown}");
        let page = jobs(&server).await.unwrap();
        let said = (page.items.len(), page.total, page.truncated);
        assert_eq!(said, (2, None, true), "{shown}");
        let drift = server.drift.snapshot();
        for operation in ["ListOTATaskByJob", "ListOTAJobByFirmware"] {
            let key = (DriftKind::Value, operation, "Data".to_owned());
            assert_eq!(drift.get(&key), Some(&1), "{shown} {drift:?}");
        }
    }
    let xml = "<R><Success>true</Success><Total>2</Total><Data><SimpleOTATaskInfo/>\
        <SimpleOTATaskInfo><TaskId>t1</TaskId></SimpleOTATaskInfo></Data></R>";
    let server = Server::fixed(200, "text/xml", xml).await;
    let said = said(&server).await;
    assert_eq!(said, (1, None, true));
}

#[tokio::test]
async fn what_is_no_row_stays_known_on_later_pages() {
    let server = Server::start(|seen| {
        let page: u64 = seen.param("CurrentPage").parse().unwrap();
        let rows: Vec<Value> = ((page - 1) * 2..(page * 2).min(4))
            .map(|row| match row {
                1 => Value::Null,
                row => json!({"TaskId": format!("t{row}")}),
            })
            .collect();
        json_answer(json!({"Success": true, "Total": 4, "PageSize": 2, "Data": {"SimpleOTATaskInfo": rows}}))
    })
    .await;
    let mut cursor = None;
    let mut ids = Vec::new();
    loop {
        let request = ListTasks {
            page_size: 2,
            cursor,
            ..task_request(TaskFilter::default())
        };
        let page = server
            .provider()
            .list_tasks(&context(), request)
            .await
            .unwrap()
            .unwrap();
        assert!(page.truncated && page.total.is_none());
        ids.extend(page.items.into_iter().map(|task| task.id.into_string()));
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!(ids, ["t0", "t2", "t3"]);
}

#[tokio::test]
async fn a_row_that_comes_twice_leaves_the_total_out() {
    let rows = json!([{"TaskId": "a"}, {"TaskId": "a"}, {"TaskId": "b"}]);
    let body = json!({"Success": true, "Total": 3, "Data": {"SimpleOTATaskInfo": rows}});
    let server = Server::fixed(200, "application/json", body.to_string()).await;
    let said = said(&server).await;
    assert_eq!(said, (2, None, false));
}

#[tokio::test]
async fn data_that_is_no_list_is_not_an_empty_one() {
    for data in [
        json!("[{\"TaskId\":\"t\"}]"),
        json!(7),
        json!(true),
        json!({"SimpleOTATaskInfo": "x"}),
        json!({"SimpleOTATaskInfo": 7}),
        json!({"TaskInfos": [{"TaskId": "t"}]}),
        json!([{"SimpleOTATaskInfo": [], "SimpleOTAJobInfo": []}, {"TaskId": "t"}]),
    ] {
        let body = json!({"Success": true, "Data": data}).to_string();
        let server = Server::fixed(200, "application/json", body).await;
        let error = tasks(&server, TaskFilter::default()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Protocol, "{data}");
        assert_eq!(error.operation(), Some("ListOTATaskByJob"), "{data}");
        let error = jobs(&server).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Protocol, "{data}");
    }
    for data in [
        json!(null),
        json!(""),
        json!(" "),
        json!({}),
        json!([]),
        json!({"SimpleOTAJobInfo": ""}),
        json!({"SimpleOTAJobInfo": null}),
        json!({"SimpleOTAJobInfo": {}}),
    ] {
        let body = json!({"Success": true, "Data": data}).to_string();
        let server = Server::fixed(200, "application/json", body).await;
        let page = jobs(&server).await.unwrap();
        assert!(page.items.is_empty() && !page.truncated, "{data}");
    }
}

#[tokio::test]
async fn data_in_two_elements_is_one_list() {
    let row = |id: &str| format!("<SimpleOTATaskInfo><TaskId>{id}</TaskId></SimpleOTATaskInfo>");
    let xml = format!(
        "<R><Success>true</Success><Total>3</Total><Data>{}{}</Data><Data/><Data>{}</Data></R>",
        row("t0"),
        row("t1"),
        row("t2")
    );
    let server = Server::fixed(200, "text/xml", xml).await;
    let page = tasks(&server, TaskFilter::default())
        .await
        .unwrap()
        .unwrap();
    let ids: Vec<_> = page.items.iter().map(|task| task.id.as_str()).collect();
    assert_eq!((ids, page.total), (vec!["t0", "t1", "t2"], Some(3)));
}

#[tokio::test]
async fn a_refused_device_is_the_callers_only_if_the_caller_named_one() {
    for code in [
        "iot.device.InvalidFormattedDeviceName",
        "iot.device.NotExistedDevice",
    ] {
        let server = Server::start(move |_| refused(code, "x")).await;
        let error = tasks(&server, TaskFilter::default()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Rejected, "{code}");
        let get = GetJob {
            job_id: JobId::from("j"),
        };
        let error = server
            .provider()
            .job_stats(&context(), get)
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Rejected, "{code}");
        let error = tasks(&server, names(&["a", "b"])).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{code}");
    }
    // One device that does not exist has no tasks; that says nothing about the job.
    let server = Server::start(|_| refused("iot.device.NotExistedDevice", "x")).await;
    let page = tasks(&server, names(&["a"])).await.unwrap().unwrap();
    assert!(page.items.is_empty() && page.next.is_none());
    let server = Server::start(|_| refused("iot.ota.JobNotFound", "x")).await;
    assert!(tasks(&server, names(&["a"])).await.unwrap().is_none());
}

#[tokio::test]
async fn a_code_that_is_not_known_is_not_the_callers_mistake() {
    for code in [
        "InvalidJobSomething",
        "InvalidJobIdSomething.NotFound",
        "MissingJobToken",
        "InvalidTaskQueue",
        "InvalidDeviceQuota",
        "iot.ota.InvalidJobIdSomething",
        "iot.ota.JobLockNotFound",
        "iot.ota.NotExistedJobQuota",
        "iot.ota.SomethingNotFound",
        "iot.device.DeviceQuotaNotExist",
    ] {
        let server = Server::start(move |_| refused(code, "x")).await;
        let get = || GetJob {
            job_id: JobId::from("j"),
        };
        let (provider, cx) = (server.provider(), context());
        let errors = [
            provider.get_job(&cx, get()).await.err(),
            provider.job_stats(&cx, get()).await.err(),
            tasks(&server, TaskFilter::default()).await.err(),
            tasks(&server, names(&["a"])).await.err(),
            tasks(&server, names(&["a", "b"])).await.err(),
        ];
        for (number, error) in errors.into_iter().enumerate() {
            let kind = error.map(|error| error.kind());
            assert_eq!(kind, Some(ErrorKind::Rejected), "{code} {number}");
        }
    }
    for code in [
        "InvalidJobId",
        "InvalidJobId.Malformed",
        "iot.ota.InvalidJobId",
        "iot.ota.JobNotExist",
        "iot.ota.NotExistedJob",
        "iot.ota.TaskNotFound",
    ] {
        let server = Server::start(move |_| refused(code, "x")).await;
        let page = tasks(&server, TaskFilter::default()).await;
        let error = page.as_ref().err().map(ota_core::Error::kind);
        let callers =
            error == Some(ErrorKind::InvalidArgument) || page.is_ok_and(|page| page.is_none());
        assert!(callers, "{code}: {error:?}");
    }
}

fn confirm_refused(seen: &Seen, code: &str, text: &str) -> axum::response::Response {
    let (total, rows) = match seen.param("TaskStatus") {
        "CONFIRM" => return refused(code, text),
        "QUEUED" => (
            2,
            json!([{"TaskId": "a", "TaskStatus": "QUEUED"}, {"TaskId": "b", "TaskStatus": "QUEUED"}]),
        ),
        "" => (5, json!([{"TaskId": "a"}])),
        _ => (0, json!([])),
    };
    json_answer(json!({"Success": true, "Total": total, "Data": {"SimpleOTATaskInfo": rows}}))
}

#[tokio::test]
async fn a_refusal_that_cannot_mean_the_word_is_passed_on() {
    for (code, text) in [
        ("iot.system.SomethingOdd", "please come again"),
        ("iot.ota.JobLocked", "x"),
        ("InvalidParameter", "The value of PageSize is not valid"),
    ] {
        let server = Server::start(move |seen| confirm_refused(seen, code, text)).await;
        let error = tasks(&server, pending()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Rejected, "{code}");
        let get = GetJob {
            job_id: JobId::from("j"),
        };
        let error = server
            .provider()
            .job_stats(&context(), get)
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Rejected, "{code}");
    }
    for (code, text) in [
        ("iot.check.InvalidFormattedParameter", "x"),
        ("InvalidParameter", "The value of TaskStatus is not valid"),
    ] {
        let server = Server::start(move |seen| confirm_refused(seen, code, text)).await;
        let page = tasks(&server, pending()).await.unwrap().unwrap();
        assert_eq!(page.items.len(), 2, "{code}");
    }
}

#[tokio::test]
async fn rows_do_not_show_what_was_sent_to_the_vendor() {
    let encoded = "test%2Fsecret%2B1234";
    let rows = json!([{
        "TaskId": "a", "TaskDesc": format!("{}{SECRET} {TOKEN}", "x".repeat(100_000)),
        "Odd": [{"k": encoded}], format!("N{TOKEN}"): 1,
    }]);
    let body = json!({"Success": true, "Total": 1, "Data": {"SimpleOTATaskInfo": rows}});
    let xml = format!(
        "<R><Success>true</Success><Data><SimpleOTATaskInfo><TaskId>a</TaskId><TaskDesc>x {SECRET}</TaskDesc>\
        <Odd>{TOKEN}</Odd></SimpleOTATaskInfo></Data></R>"
    );
    for body in [body.to_string(), xml] {
        let server = Server::start(move |_| answer(200, "text/plain", body.clone())).await;
        let provider = server.provider_with(json!({"security_token": TOKEN}));
        let page = provider
            .list_tasks(&context(), task_request(TaskFilter::default()))
            .await
            .unwrap()
            .unwrap();
        assert!(page.items[0].message.as_ref().unwrap().contains("x"));
        let shown = format!("{page:?} {:?}", server.drift.snapshot());
        for secret in [SECRET, TOKEN, encoded] {
            assert!(!shown.contains(secret));
        }
        assert!(shown.contains("***"));
    }
}
