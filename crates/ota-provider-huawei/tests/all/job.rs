use ota_core::ErrorKind;
use ota_core::job::JobOutcome;
use ota_core::provider::JobReader;
use serde_json::json;

use crate::vendor::{OPERATIONS, Reply, Subject, Vendor, job};

#[tokio::test]
async fn one_task_is_read_whole() {
    let vendor = Vendor::with_logins(|_| {
        Reply::text(
            200,
            "text/plain",
            include_str!("../fixtures/get_all_fields.json"),
        )
    })
    .await;
    let subject = Subject::new(&vendor.endpoint);
    let cx = subject.context();
    let read = subject.provider.get_job(&cx, job("op-groups")).await;
    let read = read.unwrap().unwrap();
    assert_eq!(read.outcome, Some(JobOutcome::Partial));
    assert!(!format!("{read:?}").contains("SECRETSIGN"));
    let stats = subject.provider.job_stats(&cx, job("op-groups")).await;
    assert_eq!(stats.unwrap(), read.stats);
    assert_eq!(vendor.calls().len(), 2);
    assert_eq!(vendor.calls()[0].path, format!("{OPERATIONS}/op-groups"));
    assert!(
        subject.drift.snapshot().is_empty(),
        "the envelope is no drift"
    );
}

#[tokio::test]
async fn a_task_without_counts_still_has_an_outcome() {
    let vendor =
        Vendor::with_logins(|_| Reply::ok(&json!({"operationId": "op", "status": "success"})))
            .await;
    let subject = Subject::new(&vendor.endpoint);
    let cx = subject.context();
    let stats = subject.provider.job_stats(&cx, job("op"));
    let stats = stats.await.unwrap().unwrap();
    assert_eq!(
        (stats.outcome, stats.total),
        (Some(JobOutcome::Succeeded), None)
    );
}

#[tokio::test]
async fn an_unknown_task_is_none() {
    let vendor = Vendor::with_logins(|_| {
        Reply::json(404, include_str!("../fixtures/error_unknown_task.json"))
    })
    .await;
    let subject = Subject::new(&vendor.endpoint);
    let cx = subject.context();
    assert_eq!(
        subject.provider.get_job(&cx, job("op")).await.unwrap(),
        None
    );
    assert_eq!(
        subject.provider.job_stats(&cx, job("op")).await.unwrap(),
        None
    );
}

#[tokio::test]
async fn any_identifier_is_one_segment_of_the_path() {
    let vendor =
        Vendor::with_logins(|_| Reply::ok(&json!({"operationId": "op", "status": "wait"}))).await;
    let subject = Subject::new(&vendor.endpoint);
    let long = "x".repeat(5000);
    for (id, segment) in [
        ("a/b", "a%2Fb"),
        ("../../login", "..%2F..%2Flogin"),
        ("a b?c#d%", "a%20b%3Fc%23d%25"),
        ("任务", "%E4%BB%BB%E5%8A%A1"),
        (long.as_str(), long.as_str()),
    ] {
        let read = subject.provider.get_job(&subject.context(), job(id)).await;
        // It answers with the job `op`, which is another one.
        assert_eq!(read.unwrap_err().kind(), ErrorKind::Protocol);
        let call = vendor.calls().pop().unwrap();
        assert_eq!(call.path, format!("{OPERATIONS}/{segment}"));
        assert_eq!(call.query, "");
    }
    let before = vendor.seen().len();
    for id in ["", ".", ".."] {
        let read = subject.provider.get_job(&subject.context(), job(id)).await;
        assert_eq!(read.unwrap(), None);
    }
    assert_eq!(vendor.seen().len(), before);
}

#[tokio::test]
async fn another_document_is_no_task() {
    for body in [
        json!({}),
        json!({"data": []}),
        json!({"operationId": null}),
        json!({"operationId": {}}),
    ] {
        let text = body.to_string();
        let vendor = Vendor::with_logins(move |_| Reply::json(200, text.clone())).await;
        let subject = Subject::new(&vendor.endpoint);
        let error = subject
            .provider
            .get_job(&subject.context(), job("op"))
            .await;
        assert_eq!(error.unwrap_err().kind(), ErrorKind::Protocol, "{body}");
    }
}
