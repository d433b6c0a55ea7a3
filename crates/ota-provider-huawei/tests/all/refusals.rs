use std::time::Duration;

use ota_core::ErrorKind;
use ota_core::error::Retry;
use ota_core::id::JobId;
use ota_core::provider::{GetJob, ListTasks, Provider, TaskFilter};
use serde_json::json;

use crate::vendor::{Reply, SECRET, Subject, Vendor};

#[track_caller]
fn no_secret(text: &str) {
    for secret in [SECRET, "s3cret", "access-token", "refresh-token"] {
        assert!(!text.contains(secret), "{text}");
    }
}

async fn check(status: u16, content_type: &'static str, body: &'static str, kind: ErrorKind) {
    let vendor = Vendor::with_logins(move |_| Reply::text(status, content_type, body)).await;
    let subject = Subject::new(&vendor.endpoint);
    let error = subject
        .provider
        .check(&subject.context())
        .await
        .unwrap_err();
    assert_eq!(error.kind(), kind, "{status} {body}");
    assert_eq!(error.operation(), Some("queryUpgradeTaskList"));
    no_secret(&format!("{error} {error:?}"));
}

#[tokio::test]
async fn the_body_counts_before_the_status() {
    let json = "application/json";
    let gone = r#"{"error_code":"100203","error_desc":"The application is not existed."}"#;
    check(200, json, gone, ErrorKind::Misconfigured).await;
    check(500, json, gone, ErrorKind::Misconfigured).await;
    check(200, json, r#"{"data":[{"opera"#, ErrorKind::Protocol).await;
    check(200, json, "", ErrorKind::Protocol).await;
    check(503, json, "", ErrorKind::Unavailable).await;
    check(429, json, "", ErrorKind::Throttled).await;
    check(200, "text/html", "<html></html>", ErrorKind::Protocol).await;
    check(502, "text/html", "<html></html>", ErrorKind::Unavailable).await;
}

#[tokio::test]
async fn nothing_listens_at_the_endpoint() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let subject = Subject::new(&endpoint);
    let error = subject
        .provider
        .check(&subject.context())
        .await
        .unwrap_err();
    assert_eq!(
        (error.kind(), error.operation()),
        (ErrorKind::Unavailable, Some("login"))
    );
    no_secret(&format!("{error:?}"));
}

#[tokio::test]
async fn a_vendor_that_repeats_our_secrets_does_not_publish_them() {
    let vendor = Vendor::start(|seen| {
        let text = format!("bad: {} {} {}", seen.body, seen.authorization(), SECRET);
        Reply::ok(&json!({"error_code": "100208", "error_desc": text}))
    })
    .await;
    let subject = Subject::new(&vendor.endpoint);
    let error = subject
        .provider
        .check(&subject.context())
        .await
        .unwrap_err();
    assert_eq!(
        (error.kind(), error.retry()),
        (ErrorKind::Auth, Retry::Never)
    );
    let message = error.vendor().unwrap().message.as_deref().unwrap();
    assert_eq!(message, "bad: appId=app-1&secret=***  ***");
    no_secret(&format!("{error} {error:?} {:?}", subject.provider));
}

#[tokio::test]
async fn a_refused_read_and_a_refused_refresh_show_no_token() {
    let vendor = Vendor::with_logins(|seen| {
        let text = format!("bad: {}", seen.authorization());
        Reply::json(
            403,
            json!({"error_code": "100217", "error_desc": text}).to_string(),
        )
    })
    .await;
    let subject = Subject::new(&vendor.endpoint);
    for _ in 0..2 {
        let error = subject
            .provider
            .check(&subject.context())
            .await
            .unwrap_err();
        no_secret(&format!("{error} {error:?} {:?}", subject.provider));
        subject.clock.advance(Duration::from_secs(3400));
    }
}

/// The codes that blame what the caller sent are listed; an unlisted one is the vendor's refusal, whatever it looks like.
#[tokio::test]
async fn a_code_that_is_not_known_is_not_the_callers_mistake() {
    for (status, code) in [
        (400, "123999"),
        (404, "123010"),
        (200, "1230091"),
        (400, "12300"),
        (200, "120016"),
        (400, "InvalidJobId"),
    ] {
        let body = json!({"error_code": code, "error_desc": "Invalid operationId: not found."});
        let vendor = Vendor::with_logins(move |_| Reply::json(status, body.to_string())).await;
        let subject = Subject::new(&vendor.endpoint);
        let (cx, reader) = (subject.context(), subject.provider.jobs().unwrap());
        let job_id = || JobId::from("5b0ce6a9e4b0a1b2c3d4e5f6");
        let get = || GetJob { job_id: job_id() };
        let tasks = ListTasks {
            job_id: job_id(),
            filter: TaskFilter::default(),
            page_size: 10,
            cursor: None,
        };
        let kinds = [
            reader.get_job(&cx, get()).await.err(),
            reader.job_stats(&cx, get()).await.err(),
            reader.list_tasks(&cx, tasks).await.err(),
        ];
        for error in kinds {
            let error = error.unwrap();
            let own = [
                ErrorKind::Rejected,
                ErrorKind::Protocol,
                ErrorKind::Misconfigured,
            ];
            assert!(own.contains(&error.kind()), "{status} {code}: {error:?}");
        }
    }
}
