use ota_core::ErrorKind;
use ota_core::provider::{Cursor, JobReader, ListTasks, Page, TaskFilter};
use ota_core::task::{Failure, Task, TaskStatus};
use serde_json::json;

use crate::vendor::{OPERATIONS, Reply, SECRET, Subject, Vendor, job, tasks};

/// The first page of a list that there is.
async fn page_of(subject: &Subject, job_id: &str, filter: TaskFilter) -> Page<Task> {
    let request = tasks(job_id, filter);
    let page = subject
        .provider
        .list_tasks(&subject.context(), request)
        .await;
    page.unwrap().unwrap()
}

#[tokio::test]
async fn the_devices_of_a_task_are_listed() {
    let vendor = Vendor::with_logins(|_| {
        Reply::json(
            200,
            include_str!("../fixtures/list_tasks_vendor_example.json"),
        )
    })
    .await;
    let subject = Subject::new(&vendor.endpoint);
    let page = page_of(&subject, "a/b", TaskFilter::default()).await;
    assert_eq!(
        (page.items.len(), page.total, page.next),
        (2, Some(2), None)
    );
    assert_eq!(page.items[0].failure, Some(Failure::Timeout));
    assert_eq!(page.items[0].job_id.as_str(), "a/b");
    let call = vendor.calls().remove(0);
    assert_eq!(call.path, format!("{OPERATIONS}/a%2Fb/subOperations"));
    assert_eq!(call.query, "pageNo=0&pageSize=50");
}

#[tokio::test]
async fn statuses_are_listed_in_the_order_of_a_tasks_life() {
    let vendor = Vendor::with_logins(|seen| {
        let word = seen.raw_param("subOperationStatus").unwrap();
        Reply::ok(&json!({"data": [{"subOperationId": word, "status": word}], "totalCount": 1}))
    })
    .await;
    let subject = Subject::new(&vendor.endpoint);
    let known = TaskStatus::ALL
        .iter()
        .filter(|status| **status != TaskStatus::Unknown);
    let filter = TaskFilter {
        status: known.rev().copied().collect(),
        ..TaskFilter::default()
    };
    let page = page_of(&subject, "op", filter).await;
    let ids: Vec<_> = page.items.iter().map(|task| task.id.as_str()).collect();
    assert_eq!(ids, ["wait", "processing", "success", "fail", "stop"]);
    assert_eq!((page.total, page.next), (None, None));
}

#[tokio::test]
async fn a_device_is_looked_for_here() {
    let vendor = Vendor::with_logins(|seen| {
        assert_eq!(seen.query, "pageNo=0&pageSize=100");
        Reply::ok(&json!({"data": [
            {"subOperationId": "1", "deviceId": "d-1", "status": "wait"},
            {"subOperationId": "2", "deviceId": "d-2", "status": "new word"},
            {"subOperationId": "3", "status": "wait"},
        ], "totalCount": 3}))
    })
    .await;
    let subject = Subject::new(&vendor.endpoint);
    let filter = TaskFilter {
        device_id: Some("d-2".into()),
        ..TaskFilter::default()
    };
    let page = page_of(&subject, "op", filter).await;
    let ids: Vec<_> = page.items.iter().map(|task| task.id.as_str()).collect();
    assert_eq!((ids, page.total), (vec!["2"], None));
}

#[tokio::test]
async fn a_page_costs_no_more_calls_than_allowed() {
    let vendor = Vendor::with_logins(|seen| {
        let number: u64 = seen.raw_param("pageNo").unwrap().parse().unwrap();
        let rows: Vec<_> = (number * 100..number * 100 + 100)
            .map(|id| json!({"subOperationId": id, "deviceId": "other", "status": "wait"}))
            .collect();
        Reply::ok(&json!({"data": rows, "totalCount": 700}))
    })
    .await;
    let subject = Subject::new(&vendor.endpoint);
    let filter = TaskFilter {
        device_id: Some("d".into()),
        ..TaskFilter::default()
    };
    let mut request = tasks("op", filter);
    let provider = &subject.provider;
    let first = provider
        .list_tasks(&subject.context(), request.clone())
        .await;
    let first = first.unwrap().unwrap();
    assert!(first.items.is_empty() && first.next.is_some());
    assert_eq!(vendor.calls().len(), 5);
    request.cursor = first.next;
    let last = provider.list_tasks(&subject.context(), request).await;
    let last = last.unwrap().unwrap();
    assert!(last.items.is_empty() && last.next.is_none());
    assert_eq!(vendor.calls().len(), 7);
}

#[tokio::test]
async fn what_needs_no_call_makes_none() {
    let vendor = Vendor::with_logins(|_| Reply::json(500, "")).await;
    let subject = Subject::new(&vendor.endpoint);
    let (cx, provider) = (subject.context(), &subject.provider);
    let never = TaskFilter {
        status: vec![TaskStatus::Skipped],
        ..TaskFilter::default()
    };
    let page = provider.list_tasks(&cx, tasks("op", never)).await;
    assert!(page.unwrap().unwrap().items.is_empty());
    let unsafe_id = provider.list_tasks(&cx, tasks("..", TaskFilter::default()));
    assert_eq!(unsafe_id.await.unwrap(), None);
    let named = TaskFilter {
        device_names: vec!["d".into()],
        ..TaskFilter::default()
    };
    // Refused before the identifier is looked at, and the cursor before that.
    let error = provider.list_tasks(&cx, tasks("..", named.clone())).await;
    assert_eq!(error.unwrap_err().kind(), ErrorKind::Unsupported);
    let request = ListTasks {
        cursor: Some(Cursor("t9.9".to_owned())),
        ..tasks("..", named)
    };
    let error = provider.list_tasks(&cx, request).await.unwrap_err();
    assert!(error.is_invalid_cursor());
    assert!(vendor.seen().is_empty());
}

#[tokio::test]
async fn the_tasks_of_an_unknown_job_are_none() {
    let vendor = Vendor::with_logins(|_| {
        Reply::json(404, include_str!("../fixtures/error_unknown_task.json"))
    })
    .await;
    let subject = Subject::new(&vendor.endpoint);
    let page = subject
        .provider
        .list_tasks(&subject.context(), tasks("op", TaskFilter::default()))
        .await;
    assert_eq!(page.unwrap(), None);
}

#[tokio::test]
async fn what_is_no_row_is_said_and_leaves_the_total_out() {
    for (second, items, truncated) in [
        (json!(null), 2, true),
        (json!("text"), 2, true),
        (json!({"subOperationId": "1"}), 2, false),
        (json!({"subOperationId": "2"}), 3, false),
    ] {
        let shown = second.to_string();
        let vendor = Vendor::with_logins(move |_| {
            let rows = json!([{"subOperationId": "1"}, second, {"subOperationId": "3"}]);
            Reply::ok(&json!({"data": rows, "totalCount": 3}))
        })
        .await;
        let subject = Subject::new(&vendor.endpoint);
        let page = page_of(&subject, "op", TaskFilter::default()).await;
        let total = (items == 3).then_some(3);
        assert_eq!(
            (page.items.len(), page.truncated, page.total),
            (items, truncated, total),
            "{shown}"
        );
    }
}

#[tokio::test]
async fn data_that_is_no_list_is_neither_an_empty_one_nor_a_row() {
    for (data, rows) in [
        (json!({"subOperationId": "1"}), Some(1)),
        (json!({}), Some(0)),
        (json!({"subOperations": [{"subOperationId": "1"}]}), None),
        (json!("text"), None),
        (json!(7), None),
    ] {
        let shown = data.to_string();
        let vendor =
            Vendor::with_logins(move |_| Reply::ok(&json!({"data": data, "totalCount": 1}))).await;
        let subject = Subject::new(&vendor.endpoint);
        let request = ListTasks {
            page_size: 1,
            ..tasks("op", TaskFilter::default())
        };
        let page = subject
            .provider
            .list_tasks(&subject.context(), request)
            .await;
        match (page, rows) {
            (Ok(page), Some(1)) => assert_eq!(page.unwrap().items.len(), 1, "{shown}"),
            // A total beside no rows: the vendor counts what it does not give.
            (result, _) => assert_eq!(result.unwrap_err().kind(), ErrorKind::Protocol, "{shown}"),
        }
    }
}

#[tokio::test]
async fn an_unknown_device_is_no_unknown_task() {
    let vendor = Vendor::with_logins(|_| {
        Reply::json(404, r#"{"error_code":"123002","error_desc":"not found"}"#)
    })
    .await;
    let subject = Subject::new(&vendor.endpoint);
    let (provider, cx) = (&subject.provider, subject.context());
    let error = provider
        .list_tasks(&cx, tasks("op", TaskFilter::default()))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Rejected);
    let error = provider.get_job(&cx, job("op")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Rejected);
}

#[tokio::test]
async fn rows_do_not_show_what_was_sent_to_the_vendor() {
    let vendor = Vendor::with_logins(|seen| {
        let token = seen.authorization();
        Reply::ok(&json!({"data": [{
            "subOperationId": "1", "deviceName": format!("x {SECRET}"),
            "odd": [{format!("{token} n"): token}],
        }], "totalCount": 1}))
    })
    .await;
    let subject = Subject::new(&vendor.endpoint);
    let page = page_of(&subject, "op", TaskFilter::default()).await;
    let shown = format!("{page:?} {:?}", subject.drift.snapshot());
    for secret in [SECRET, "access-token"] {
        assert!(!shown.contains(secret), "{shown}");
    }
    assert!(shown.contains("Bearer ***"), "{shown}");
}
