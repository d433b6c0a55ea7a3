use ota_core::ErrorKind;
use ota_core::drift::DriftKind;
use ota_core::id::DeviceName;
use ota_core::job::{JobKind, JobOutcome, JobStatus};
use ota_core::provider::{Cursor, JobFilter, JobReader, ListJobs, Provider};
use serde_json::json;

use crate::vendor::{OPERATIONS, Reply, Subject, Vendor, jobs, page, paged};

#[tokio::test]
async fn a_list_is_asked_with_its_page_and_its_credentials() {
    let vendor = Vendor::with_logins(|_| {
        Reply::json(200, include_str!("../fixtures/list_vendor_example.json"))
    })
    .await;
    let subject = Subject::new(&vendor.endpoint);
    let cx = subject.context();
    let page = subject
        .provider
        .list_jobs(&cx, jobs(JobFilter::default()))
        .await
        .unwrap();
    assert_eq!(
        (page.items.len(), page.total, page.next),
        (1, Some(1), None)
    );
    assert_eq!(page.items[0].outcome, Some(JobOutcome::Failed));
    assert!(!page.truncated);
    let call = vendor.calls().remove(0);
    assert_eq!(
        (call.method.as_str(), call.path.as_str()),
        ("GET", OPERATIONS)
    );
    assert_eq!(call.query, "pageNo=0&pageSize=50");
    assert_eq!(call.header("app_key"), "app-1");
    assert_eq!(call.authorization(), "Bearer access-token-0001");
    assert!(subject.drift.snapshot().is_empty());
    assert_eq!(cx.calls.summary().count, 2, "the login is one of the calls");
}

#[tokio::test]
async fn the_header_of_the_application_is_a_setting() {
    let vendor = Vendor::with_logins(|seen| paged(seen, 0, "wait")).await;
    let change = json!({"app_key_header": "x-app-key"});
    let subject = Subject::with(&vendor.endpoint, change, &Default::default());
    subject.provider.check(&subject.context()).await.unwrap();
    let call = vendor.calls().remove(0);
    assert_eq!(
        (call.header("x-app-key"), call.header("app_key")),
        ("app-1", "")
    );
    assert_eq!(call.query, "pageNo=0&pageSize=1");
}

#[tokio::test]
async fn odd_values_keep_their_row_and_their_page() {
    let vendor =
        Vendor::with_logins(|_| Reply::json(200, include_str!("../fixtures/list_odd_values.json")))
            .await;
    let subject = Subject::new(&vendor.endpoint);
    let page = subject
        .provider
        .list_jobs(&subject.context(), jobs(JobFilter::default()))
        .await
        .unwrap();
    let ids: Vec<_> = page.items.iter().map(|job| job.id.as_str()).collect();
    assert_eq!(ids, ["op-1", "42", ""]);
    assert_eq!(page.next, None);
    let drift = subject.drift.snapshot();
    for (kind, field) in [
        (DriftKind::Word, "status"),
        (DriftKind::Field, "colour"),
        (DriftKind::Field, "serverTime"),
        (DriftKind::Value, "createTime"),
        (DriftKind::Value, "data"),
    ] {
        assert!(
            drift.contains_key(&(kind, "queryUpgradeTaskList", field.to_owned())),
            "{field}"
        );
    }
}

#[tokio::test]
async fn every_row_is_listed_once() {
    let vendor = Vendor::with_logins(|seen| {
        let total = match seen.raw_param("operationStatus") {
            Some("success") => 70,
            Some("failed") => 35,
            _ => 0,
        };
        let word = seen.raw_param("operationStatus").unwrap();
        let number: u64 = seen.raw_param("pageNo").unwrap().parse().unwrap();
        let size: u64 = seen.raw_param("pageSize").unwrap().parse().unwrap();
        let base = if word == "success" { 0 } else { 1000 };
        let start = (number * size).min(total);
        let end = (start + size).min(total);
        Reply::ok(&page(base + start..base + end, word, total))
    })
    .await;
    let subject = Subject::new(&vendor.endpoint);
    let mut request = ListJobs {
        page_size: 30,
        ..jobs(JobFilter {
            status: vec![JobStatus::Completed],
            ..JobFilter::default()
        })
    };
    let mut ids = Vec::new();
    loop {
        let page = subject
            .provider
            .list_jobs(&subject.context(), request.clone())
            .await
            .unwrap();
        assert_eq!(page.total, None, "two lists have no common total");
        ids.extend(page.items.into_iter().map(|job| job.id.into_string()));
        request.cursor = page.next;
        if request.cursor.is_none() {
            break;
        }
    }
    let expected: Vec<_> = (0..70)
        .chain(1000..1035)
        .map(|id| format!("op-{id}"))
        .collect();
    assert_eq!(ids, expected);
}

#[tokio::test]
async fn native_filters_are_sent_encoded() {
    let vendor = Vendor::with_logins(|seen| paged(seen, 0, "wait")).await;
    let subject = Subject::new(&vendor.endpoint);
    let filter = JobFilter {
        status: vec![JobStatus::Canceled],
        kind: Some(JobKind::Firmware),
        device_id: Some("../a b".into()),
        device_type: Some("水表".to_owned()),
        model: Some("m&n".to_owned()),
        manufacturer: Some("m".repeat(5000)),
        ..JobFilter::default()
    };
    let page = subject
        .provider
        .list_jobs(&subject.context(), jobs(filter))
        .await
        .unwrap();
    assert_eq!((page.items.len(), page.total), (0, Some(0)));
    let call = vendor.calls().remove(0);
    for (name, value) in [
        ("operationType", "firmware_upgrade"),
        ("operationStatus", "stop"),
        ("deviceId", "..%2Fa%20b"),
        ("deviceType", "%E6%B0%B4%E8%A1%A8"),
        ("model", "m%26n"),
        ("manufacturerName", &"m".repeat(5000)),
    ] {
        assert_eq!(call.raw_param(name), Some(value));
    }
}

#[tokio::test]
async fn what_the_vendor_never_uses_is_an_empty_page_without_a_call() {
    let vendor = Vendor::with_logins(|seen| paged(seen, 9, "wait")).await;
    let subject = Subject::new(&vendor.endpoint);
    for filter in [
        JobFilter {
            status: vec![JobStatus::Paused, JobStatus::Canceling],
            ..JobFilter::default()
        },
        JobFilter {
            kind: Some(JobKind::Other),
            ..JobFilter::default()
        },
        JobFilter {
            status: vec![JobStatus::Pending],
            outcome: vec![JobOutcome::Partial],
            ..JobFilter::default()
        },
    ] {
        let page = subject
            .provider
            .list_jobs(&subject.context(), jobs(filter))
            .await
            .unwrap();
        assert!(page.items.is_empty() && page.next.is_none());
    }
    assert!(vendor.seen().is_empty());
}

#[tokio::test]
async fn the_cursor_is_judged_before_the_filter_and_both_before_a_call() {
    let vendor = Vendor::with_logins(|seen| paged(seen, 9, "wait")).await;
    let subject = Subject::new(&vendor.endpoint);
    let mut request = jobs(JobFilter {
        device_name: Some(DeviceName::from("d")),
        ..JobFilter::default()
    });
    let error = subject
        .provider
        .list_jobs(&subject.context(), request.clone())
        .await
        .unwrap_err();
    assert_eq!(
        (error.kind(), error.field()),
        (ErrorKind::Unsupported, Some("device_name"))
    );
    for cursor in ["", "x", "0.1", "t0.1", "j1.0", "j0.-1"] {
        request.cursor = Some(Cursor(cursor.to_owned()));
        let error = subject
            .provider
            .list_jobs(&subject.context(), request.clone())
            .await
            .unwrap_err();
        assert!(error.is_invalid_cursor(), "{cursor}");
    }
    assert!(vendor.seen().is_empty());
}

#[tokio::test]
async fn an_outcome_is_filtered_here() {
    let vendor = Vendor::with_logins(|seen| {
        assert_eq!(seen.query, "operationStatus=failed&pageNo=0&pageSize=100");
        Reply::ok(&json!({"data": [
            {"operationId": "whole", "status": "failed", "staResult": {"success": 0, "fail": 2}},
            {"operationId": "part", "status": "failed", "staResult": {"success": 1, "fail": 1}},
        ], "pageNo": 0, "pageSize": 100, "totalCount": 2}))
    })
    .await;
    let subject = Subject::new(&vendor.endpoint);
    for (outcome, id) in [(JobOutcome::Failed, "whole"), (JobOutcome::Partial, "part")] {
        let filter = JobFilter {
            outcome: vec![outcome],
            ..JobFilter::default()
        };
        let page = subject
            .provider
            .list_jobs(&subject.context(), jobs(filter))
            .await
            .unwrap();
        let ids: Vec<_> = page.items.iter().map(|job| job.id.as_str()).collect();
        assert_eq!((ids, page.total), (vec![id], None));
    }
}

#[tokio::test]
async fn rows_that_contradict_the_filter_are_left_out() {
    let vendor = Vendor::with_logins(|_| {
        Reply::ok(&json!({"data": [
            {"operationId": "a", "status": "WAIT"},
            {"operationId": "b", "status": "success"},
            {"operationId": "c", "status": "new word"},
            {"operationId": "d"},
        ], "pageNo": 0, "pageSize": 50, "totalCount": 4}))
    })
    .await;
    let subject = Subject::new(&vendor.endpoint);
    let filter = JobFilter {
        status: vec![JobStatus::Pending],
        ..JobFilter::default()
    };
    let page = subject
        .provider
        .list_jobs(&subject.context(), jobs(filter))
        .await
        .unwrap();
    let ids: Vec<_> = page.items.iter().map(|job| job.id.as_str()).collect();
    assert_eq!((ids, page.total, page.next), (vec!["a"], None, None));
}

#[tokio::test]
async fn a_platform_that_ignores_paging_is_read_all_the_same() {
    let vendor = Vendor::with_logins(|_| Reply::ok(&page(0..90, "wait", 90))).await;
    let subject = Subject::new(&vendor.endpoint);
    let mut request = jobs(JobFilter::default());
    let mut ids = Vec::new();
    loop {
        let page = subject
            .provider
            .list_jobs(&subject.context(), request.clone())
            .await
            .unwrap();
        ids.extend(page.items.into_iter().map(|job| job.id.into_string()));
        request.cursor = page.next;
        if request.cursor.is_none() {
            break;
        }
    }
    assert_eq!(ids.len(), 90);
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 90);
}

#[tokio::test]
async fn a_list_of_nothing_is_empty_and_another_document_is_not() {
    for body in [
        json!({"data": [], "totalCount": 0}),
        json!({"data": null, "pageNo": 0}),
        json!({"totalSize": "0"}),
    ] {
        let text = body.to_string();
        let vendor = Vendor::with_logins(move |_| Reply::json(200, text.clone())).await;
        let subject = Subject::new(&vendor.endpoint);
        let page = subject
            .provider
            .list_jobs(&subject.context(), jobs(JobFilter::default()))
            .await
            .unwrap();
        assert!(page.items.is_empty(), "{body}");
    }
    for body in [
        json!({}),
        json!({"data": "x"}),
        json!({"data": null}),
        json!({"items": []}),
    ] {
        let text = body.to_string();
        let vendor = Vendor::with_logins(move |_| Reply::json(200, text.clone())).await;
        let subject = Subject::new(&vendor.endpoint);
        let error = subject
            .provider
            .list_jobs(&subject.context(), jobs(JobFilter::default()))
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Protocol, "{body}");
        assert_eq!(error.operation(), Some("queryUpgradeTaskList"));
    }
}

#[tokio::test]
async fn no_matching_task_is_an_empty_list() {
    let vendor = Vendor::with_logins(|_| {
        Reply::json(404, include_str!("../fixtures/error_unknown_task.json"))
    })
    .await;
    let subject = Subject::new(&vendor.endpoint);
    let page = subject
        .provider
        .list_jobs(&subject.context(), jobs(JobFilter::default()))
        .await
        .unwrap();
    assert_eq!((page.items.len(), page.total), (0, Some(0)));
}
