//! A credential that the vendor has refused is not used for a while, and a mended one is used at once.

use std::os::unix::fs::PermissionsExt as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::response::Response;
use ota_core::clock::{Clock, ManualClock, SystemClock};
use ota_core::context::{Context, Priority};
use ota_core::id::JobId;
use ota_core::provider::{GetJob, JobReader as _, Provider as _};
use ota_core::{Error, ErrorKind, Result};
use ota_provider_alibaba::{AlibabaProvider, RefusedKeys};
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::server::{Seen, Server, answer, json_answer};

/// A provider on a clock of its own.
struct Subject {
    provider: AlibabaProvider,
    clock: ManualClock,
}

impl Subject {
    fn new(server: &Server, change: Value) -> Self {
        let clock = ManualClock::new(SystemClock.now());
        let provider = server.provider_on(change, Arc::new(clock.clone()));
        Self { provider, clock }
    }

    fn context(&self) -> Context {
        let deadline = self.clock.monotonic() + Duration::from_secs(30);
        Context::new("test", deadline, Priority::Interactive)
    }

    /// Asks for another job each time.
    async fn ask(&self, number: usize) -> Result<()> {
        let job_id = JobId::from(format!("job-{number}"));
        let (cx, request) = (self.context(), GetJob { job_id });
        self.provider.get_job(&cx, request).await.map(drop)
    }

    /// As [`Subject::ask`], while the clock is moved: files that may be changing are waited for.
    async fn ask_moving(&self, number: usize) -> Result<()> {
        let moving = async {
            loop {
                tokio::time::sleep(Duration::from_millis(1)).await;
                self.clock.advance(Duration::from_millis(10));
            }
        };
        tokio::select! {
            answer = self.ask(number) => answer,
            () = moving => unreachable!("the clock is moved for ever"),
        }
    }
}

fn refused(code: &str, status: u16) -> Response {
    let body = json!({"RequestId": "r", "Code": code, "Message": "refused"});
    answer(status, "application/json", body.to_string())
}

fn job() -> Response {
    json_answer(json!({"Success": true, "Data": {"JobStatus": "COMPLETED"}}))
}

fn key_of(seen: &Seen) -> String {
    let header = seen.headers.get("authorization");
    let text = header.map_or("", |value| value.to_str().unwrap());
    let key = text.split_once("Credential=").map(|(_, rest)| rest);
    let key = key.and_then(|rest| rest.split(',').next());
    key.unwrap_or_else(|| seen.param("AccessKeyId")).to_owned()
}

/// A vendor that takes calls with one key only.
async fn vendor_with_key(good: &watch::Sender<&'static str>, code: &'static str) -> Server {
    let good = good.subscribe();
    Server::start(move |seen| match key_of(seen) == *good.borrow() {
        true => job(),
        false => refused(code, 404),
    })
    .await
}

#[track_caller]
fn check_refused(error: &Error) {
    assert_eq!(error.kind(), ErrorKind::Auth, "{error:?}");
    assert_eq!(error.operation(), Some("QueryOTAJob"));
    assert!(error.vendor().is_some() && error.advice().is_some());
    let text = format!("{error} {error:?}");
    for secret in ["LTAItestkey", "test/secret"] {
        assert!(!text.contains(secret), "{text}");
    }
}

#[tokio::test]
async fn a_refused_key_costs_one_call_for_all_questions_and_a_few_a_minute() {
    for (signature, code) in [
        ("acs3", "InvalidAccessKeyId.NotFound"),
        ("hmac-sha1", "InvalidAccessKeyId.Inactive"),
        ("acs3", "SignatureDoesNotMatch"),
        ("hmac-sha1", "IncompleteSignature"),
        ("acs3", "InvalidSecurityToken.Expired"),
        ("acs3", "InvalidSecurityToken.MismatchWithAccessKey"),
    ] {
        let good = watch::Sender::new("another");
        let server = vendor_with_key(&good, code).await;
        let subject = Subject::new(&server, json!({"signature": signature}));
        for number in 0..40 {
            check_refused(&subject.ask(number).await.unwrap_err());
        }
        let cx = subject.context();
        let error = subject.provider.check(&cx).await.unwrap_err();
        assert_eq!(error.operation(), Some("ListOTAFirmware"));
        assert_eq!(cx.calls.summary().count, 0);
        assert_eq!(server.seen().len(), 1, "{code}");
        // Ten minutes, with a question a second.
        for number in 0..600 {
            subject.clock.advance(Duration::from_secs(1));
            check_refused(&subject.ask(number).await.unwrap_err());
        }
        let calls = server.seen().len();
        assert!((10..=22).contains(&calls), "{code}: {calls}");
        // The vendor takes the key again, which is found within a minute.
        good.send_replace("LTAItestkey");
        subject.clock.advance(Duration::from_secs(60));
        for number in 0..3 {
            subject.ask(number).await.unwrap();
        }
        assert_eq!(server.seen().len(), calls + 3);
        // A later refusal pauses as the first one did. That of a signature counts from the third in a row on.
        good.send_replace("another");
        let doubts = if code.contains("Signature") { 3 } else { 1 };
        for number in 0..20 {
            check_refused(&subject.ask(number).await.unwrap_err());
        }
        assert_eq!(server.seen().len(), calls + 3 + doubts, "{code}");
        subject.clock.advance(Duration::from_secs(10));
        subject.ask(0).await.unwrap_err();
        assert_eq!(server.seen().len(), calls + 4 + doubts, "{code}");
    }
}

#[tokio::test]
async fn what_is_no_refusal_of_the_key_is_asked_again() {
    for (code, status) in [
        ("Forbidden.RAM", 403),
        ("NoPermission", 403),
        ("iot.common.RamActionPermissionDeny", 200),
        ("InvalidTimeStamp.Expired", 400),
        ("InvalidTimeStamp.Format", 400),
        ("SignatureNonceUsed", 400),
        ("Throttling.User", 400),
        ("ServiceUnavailable", 503),
        ("iot.system.BillIsOverDue", 200),
    ] {
        let server = Server::start(move |_| refused(code, status)).await;
        let subject = Subject::new(&server, json!({}));
        for number in 0..3 {
            subject.ask(number).await.unwrap_err();
        }
        assert_eq!(server.seen().len(), 3, "{code}");
    }
}

#[tokio::test]
async fn a_mended_file_is_taken_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("id");
    std::fs::write(&path, "LTAIwrong").unwrap();
    let good = watch::Sender::new("LTAIright");
    let server = vendor_with_key(&good, "InvalidAccessKeyId.NotFound").await;
    let change = json!({"access_key_id": null, "access_key_id_file": path});
    let subject = Subject::new(&server, change);
    for number in 0..10 {
        check_refused(&subject.ask_moving(number).await.unwrap_err());
    }
    assert_eq!(server.seen().len(), 1);
    // Within one tick of the file system's clock, and with the same length.
    std::fs::write(&path, "LTAIright").unwrap();
    subject.ask(0).await.unwrap();
    assert_eq!(server.seen().len(), 2);
}

#[tokio::test]
async fn a_command_that_gives_another_key_is_noticed_within_seconds() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("program");
    let (log, key) = (folder.path().join("log"), folder.path().join("key"));
    let text = format!(
        "#!/bin/sh\necho run >> '{}'\ncat '{}'\n",
        log.display(),
        key.display()
    );
    std::fs::write(&path, text).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    let give = |id: &str| {
        let text = json!({"access_key_id": id, "access_key_secret": "s"}).to_string();
        std::fs::write(&key, text).unwrap();
    };
    give("LTAIwrong");
    let good = watch::Sender::new("LTAIright");
    let server = vendor_with_key(&good, "InvalidAccessKeyId.NotFound").await;
    let subject = Subject::new(
        &server,
        json!({
            "access_key_id": null, "access_key_secret": null, "credentials": "command", "credentials_command": [path],
        }),
    );
    for number in 0..20 {
        check_refused(&subject.ask(number).await.unwrap_err());
    }
    assert_eq!(server.seen().len(), 1);
    let runs = || std::fs::read_to_string(&log).unwrap().lines().count();
    assert!(runs() <= 3, "{}", runs());
    give("LTAIright");
    subject.clock.advance(Duration::from_secs(5));
    subject.ask(0).await.unwrap();
    assert_eq!(server.seen().len(), 2);
    assert!(runs() <= 4, "{}", runs());
}

#[tokio::test]
async fn after_a_pause_one_call_tries_the_key_for_all() {
    let answered = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&answered);
    let server = Server::start(move |_| {
        counted.fetch_add(1, Ordering::SeqCst);
        refused("InvalidAccessKeyId.NotFound", 404)
    })
    .await;
    let subject = Subject::new(&server, json!({}));
    subject.ask(0).await.unwrap_err();
    for _ in 0..3 {
        subject.clock.advance(Duration::from_secs(60));
        let calls = (0..20).map(|number| subject.ask(number));
        for result in futures_util::future::join_all(calls).await {
            check_refused(&result.unwrap_err());
        }
    }
    assert_eq!(answered.load(Ordering::SeqCst), 4);
}

#[tokio::test]
async fn providers_of_one_key_share_a_refusal() {
    let server = Server::start(|_| refused("InvalidAccessKeyId.NotFound", 404)).await;
    let shared = Arc::new(RefusedKeys::new());
    let subject = |change: Value| {
        let subject = Subject::new(&server, change);
        Subject {
            provider: subject.provider.sharing(Arc::clone(&shared)),
            ..subject
        }
    };
    let (one, two) = (subject(json!({})), subject(json!({})));
    check_refused(&one.ask(0).await.unwrap_err());
    check_refused(&two.ask(1).await.unwrap_err());
    assert_eq!(server.seen().len(), 1);
    // One of another key does not.
    let other = subject(json!({"access_key_id": "LTAIother"}));
    other.ask(0).await.unwrap_err();
    assert_eq!(server.seen().len(), 2);
}

/// Whoever finds a text that the vendor reads otherwise than it was signed must not shut out the others.
#[tokio::test]
async fn a_signature_that_is_refused_now_and_then_stops_nobody() {
    let server = Server::start(|seen| match seen.param("JobId") {
        "job-13" => refused("SignatureDoesNotMatch", 400),
        _ => job(),
    })
    .await;
    let subject = Subject::new(&server, json!({}));
    subject.ask(0).await.unwrap();
    for number in 1..10 {
        for _ in 0..2 {
            check_refused(&subject.ask(13).await.unwrap_err());
        }
        subject.ask(number).await.unwrap();
    }
    assert_eq!(server.seen().len(), 28);
}
