use std::sync::Arc;
use std::time::Duration;

use ota_core::ErrorKind;
use ota_core::provider::Provider;
use ota_provider_huawei::TokenPool;
use serde_json::json;
use tokio::sync::watch;

use crate::vendor::{LOGIN, REFRESH, Reply, Seen, Subject, Vendor, job, paged, token};

const BAD_TOKEN: &str = include_str!("../fixtures/error_token.json");
const THROTTLED: &str = include_str!("../fixtures/error_throttled.json");

fn paths(vendor: &Vendor) -> Vec<String> {
    vendor.seen().into_iter().map(|seen| seen.path).collect()
}

fn accept(seen: &Seen, good: &str) -> Reply {
    if seen.authorization() == format!("Bearer {good}") {
        paged(seen, 0, "wait")
    } else {
        Reply::json(403, BAD_TOKEN)
    }
}

#[tokio::test]
async fn a_login_is_a_form_and_a_refresh_is_json() {
    let vendor = Vendor::with_logins(|seen| paged(seen, 0, "wait")).await;
    let subject = Subject::new(&vendor.endpoint);
    subject.provider.check(&subject.context()).await.unwrap();
    subject.clock.advance(Duration::from_secs(3299));
    subject.provider.check(&subject.context()).await.unwrap();
    subject.clock.advance(Duration::from_secs(1));
    // The token is renewed beside the calls.
    subject.provider.check(&subject.context()).await.unwrap();
    vendor.has_seen(5).await;
    while vendor.seen().last().unwrap().authorization() != "Bearer access-token-0002" {
        subject.provider.check(&subject.context()).await.unwrap();
    }
    let seen = vendor.seen();
    let login = &seen[0];
    assert_eq!(
        (login.method.as_str(), login.path.as_str()),
        ("POST", LOGIN)
    );
    assert_eq!(
        login.header("content-type"),
        "application/x-www-form-urlencoded"
    );
    assert_eq!(login.body, "appId=app-1&secret=s3cret%2Fvalue%2B1");
    assert_eq!(login.authorization(), "");
    let refresh = seen.iter().find(|seen| seen.path == REFRESH).unwrap();
    assert_eq!(
        (refresh.method.as_str(), refresh.path.as_str()),
        ("POST", REFRESH)
    );
    assert_eq!(refresh.header("content-type"), "application/json");
    assert_eq!(
        serde_json::from_str::<serde_json::Value>(&refresh.body).unwrap(),
        json!({"appId": "app-1", "secret": "s3cret/value+1", "refreshToken": "refresh-token-0001"})
    );
    assert_eq!(vendor.logins(), 1);
}

#[tokio::test]
async fn the_vendors_example_of_a_login_is_read() {
    let vendor = Vendor::start(|seen| match seen.path.as_str() {
        LOGIN => Reply::json(200, include_str!("../fixtures/login.json")),
        _ => accept(seen, "access-token-0001"),
    })
    .await;
    let subject = Subject::new(&vendor.endpoint);
    subject.provider.check(&subject.context()).await.unwrap();
}

#[tokio::test]
async fn fifty_callers_make_one_login() {
    let vendor = Vendor::with_logins(|seen| accept(seen, "access-token-0001")).await;
    let subject = Subject::new(&vendor.endpoint);
    let cx = subject.context();
    let calls = (0..50).map(|_| subject.provider.check(&cx));
    for result in futures_util::future::join_all(calls).await {
        result.unwrap();
    }
    assert_eq!((vendor.logins(), vendor.calls().len()), (1, 50));
}

#[tokio::test]
async fn a_refused_token_is_renewed_once_and_the_call_repeated_once() {
    // Someone else has logged in: the first token is dead.
    let vendor = Vendor::with_logins(|seen| accept(seen, "access-token-0002")).await;
    let subject = Subject::new(&vendor.endpoint);
    let cx = subject.context();
    let calls = (0..20).map(|_| subject.provider.check(&cx));
    for result in futures_util::future::join_all(calls).await {
        result.unwrap();
    }
    assert_eq!(
        vendor.logins(),
        2,
        "one login for all whose token was refused"
    );

    let vendor = Vendor::with_logins(|_| Reply::json(403, BAD_TOKEN)).await;
    let subject = Subject::new(&vendor.endpoint);
    let error = subject
        .provider
        .check(&subject.context())
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Auth);
    assert_eq!((vendor.logins(), vendor.calls().len()), (2, 2));
    assert_eq!(error.vendor().unwrap().code.as_deref(), Some("1010005"));
}

#[tokio::test]
async fn tokens_that_are_refused_at_once_cost_no_login_for_each_request() {
    let vendor = Vendor::with_logins(|_| Reply::json(403, BAD_TOKEN)).await;
    let subject = Subject::new(&vendor.endpoint);
    for _ in 0..40 {
        let error = subject.provider.check(&subject.context()).await;
        assert_eq!(error.unwrap_err().kind(), ErrorKind::Auth);
    }
    assert_eq!((vendor.logins(), vendor.calls().len()), (2, 2));
}

#[tokio::test]
async fn a_token_that_other_logins_end_again_and_again_fails_no_call() {
    // While the slow call is in progress its token is ended by the login of someone else, three times.
    let holds: Arc<[_; 3]> = Arc::new(std::array::from_fn(|_| watch::Sender::new(false)));
    let ended = watch::Sender::new(0_usize);
    let (held, ends) = (Arc::clone(&holds), ended.clone());
    let vendor = Vendor::with_logins(move |seen| {
        let number = seen
            .authorization()
            .trim_start_matches("Bearer access-token-");
        let number: usize = number.parse().unwrap();
        match held.get(number - 1) {
            Some(held) if seen.path.ends_with("slow") => Reply::json(403, BAD_TOKEN).held(held),
            None if seen.path.ends_with("slow") => Reply::json(404, "{}"),
            _ if number <= *ends.borrow() => Reply::json(403, BAD_TOKEN),
            _ => paged(seen, 0, "wait"),
        }
    })
    .await;
    let subject = Arc::new(Subject::new(&vendor.endpoint));
    let slow = {
        let subject = Arc::clone(&subject);
        tokio::spawn(async move {
            let (cx, reader) = (subject.context(), subject.provider.jobs().unwrap());
            reader.get_job(&cx, job("slow")).await.map(|_| ())
        })
    };
    // A login and the slow call; then twice the quick call, a login and the slow call again.
    for (number, hold) in holds.iter().enumerate() {
        vendor.has_seen(2 + 4 * number).await;
        ended.send_replace(number + 1);
        subject.provider.check(&subject.context()).await.unwrap();
        hold.send_replace(true);
    }
    let error = slow.await.unwrap().err();
    assert_ne!(error.map(|error| error.kind()), Some(ErrorKind::Auth));
    assert_eq!((vendor.logins(), vendor.calls().len()), (4, 10));
}

#[tokio::test]
async fn every_form_of_a_refused_token_is_understood() {
    for (status, body) in [
        (403, r#"{"error_code":"1005"}"#),
        (401, r#"{"error_code":"1010005"}"#),
        (401, r#"{"error_code":100002}"#),
        (401, r#"{"error_code":"777"}"#),
        (200, r#"{"error_code":"1010005"}"#),
        (401, ""),
    ] {
        let vendor = Vendor::with_logins(move |seen| {
            if seen.authorization() == "Bearer access-token-0002" {
                paged(seen, 0, "wait")
            } else {
                Reply::json(status, body)
            }
        })
        .await;
        let subject = Subject::new(&vendor.endpoint);
        subject.provider.check(&subject.context()).await.unwrap();
        assert_eq!(vendor.logins(), 2, "{status} {body}");
    }
}

#[tokio::test]
async fn other_refusals_never_log_in_again() {
    for (status, body, kind) in [
        (403, THROTTLED, ErrorKind::Throttled),
        (401, THROTTLED, ErrorKind::Throttled),
        (401, r#"{"error_code":"100025"}"#, ErrorKind::Auth),
        (401, r#"{"error_code":"100208"}"#, ErrorKind::Auth),
        (403, r#"{"error_code":"100217"}"#, ErrorKind::Auth),
        (403, "{}", ErrorKind::Auth),
    ] {
        let vendor = Vendor::with_logins(move |_| Reply::json(status, body)).await;
        let subject = Subject::new(&vendor.endpoint);
        let error = subject
            .provider
            .check(&subject.context())
            .await
            .unwrap_err();
        assert_eq!(error.kind(), kind, "{body}");
        assert_eq!(error.retry_after(), None);
        assert_eq!((vendor.logins(), vendor.calls().len()), (1, 1), "{body}");
    }
}

#[tokio::test]
async fn a_late_refusal_of_an_old_token_repeats_without_a_login() {
    let hold = watch::Sender::new(false);
    let held = hold.clone();
    let vendor = Vendor::with_logins(move |seen| match seen.authorization() {
        "Bearer access-token-0001" => Reply::json(403, BAD_TOKEN).held(&held),
        _ => paged(seen, 0, "wait"),
    })
    .await;
    let subject = Arc::new(Subject::new(&vendor.endpoint));
    let late = {
        let subject = Arc::clone(&subject);
        tokio::spawn(async move { subject.provider.check(&subject.context()).await })
    };
    vendor.has_seen(2).await;
    // Meanwhile the token is renewed for someone else.
    subject.clock.advance(Duration::from_secs(3300));
    let other = {
        let subject = Arc::clone(&subject);
        tokio::spawn(async move { subject.provider.check(&subject.context()).await })
    };
    vendor.has_seen(4).await;
    hold.send_replace(true);
    late.await.unwrap().unwrap();
    other.await.unwrap().unwrap();
    let mut seen = paths(&vendor);
    seen.retain(|path| path != crate::vendor::OPERATIONS);
    assert_eq!(seen, [LOGIN, REFRESH]);
}

#[tokio::test]
async fn a_refused_refresh_is_followed_by_a_login() {
    let vendor = Vendor::start(|seen| match seen.path.as_str() {
        LOGIN => Reply::ok(&token(1, &json!("3600"))),
        REFRESH => Reply::json(401, r#"{"error_code":"100006","error_desc":"invalid"}"#),
        _ => paged(seen, 0, "wait"),
    })
    .await;
    let subject = Subject::new(&vendor.endpoint);
    subject.provider.check(&subject.context()).await.unwrap();
    subject.clock.advance(Duration::from_secs(3300));
    subject.provider.check(&subject.context()).await.unwrap();
    vendor.has_seen(5).await;
    let mut seen = paths(&vendor);
    seen.retain(|path| path != crate::vendor::OPERATIONS);
    assert_eq!(seen, [LOGIN, REFRESH, LOGIN]);
}

#[tokio::test]
async fn providers_of_one_application_share_a_token() {
    let vendor = Vendor::with_logins(|seen| paged(seen, 0, "wait")).await;
    let pool = Arc::<TokenPool>::default();
    let one = Subject::with(&vendor.endpoint, json!({}), &pool);
    let two = Subject::with(&vendor.endpoint, json!({}), &pool);
    let other = Subject::with(&vendor.endpoint, json!({"app_id": "app-2"}), &pool);
    one.provider.check(&one.context()).await.unwrap();
    two.provider.check(&two.context()).await.unwrap();
    assert_eq!(vendor.logins(), 1);
    other.provider.check(&other.context()).await.unwrap();
    assert_eq!(vendor.logins(), 2);
    assert!(!format!("{pool:?}").contains("access-token"));
}

#[tokio::test]
async fn a_caller_who_goes_away_does_not_take_the_login_along() {
    let hold = watch::Sender::new(false);
    let held = hold.clone();
    let vendor = Vendor::start(move |seen| match seen.path.as_str() {
        LOGIN => Reply::ok(&token(1, &json!(3600))).held(&held),
        _ => paged(seen, 0, "wait"),
    })
    .await;
    let subject = Arc::new(Subject::new(&vendor.endpoint));
    let call = |subject: &Arc<Subject>| {
        let subject = Arc::clone(subject);
        tokio::spawn(async move { subject.provider.check(&subject.context()).await })
    };
    let first = call(&subject);
    vendor.has_seen(1).await;
    let second = call(&subject);
    first.abort();
    assert!(first.await.unwrap_err().is_cancelled());
    hold.send_replace(true);
    second.await.unwrap().unwrap();
    assert_eq!(vendor.logins(), 1);
}

#[tokio::test]
async fn a_login_without_a_usable_token_is_unreadable() {
    for body in [
        json!({}),
        json!({"accessToken": ""}),
        json!({"accessToken": null}),
        json!({"accessToken": "a\nb"}),
        json!({"accessToken": ["a"]}),
    ] {
        let text = body.to_string();
        let vendor = Vendor::start(move |_| Reply::json(200, text.clone())).await;
        let subject = Subject::new(&vendor.endpoint);
        let error = subject
            .provider
            .check(&subject.context())
            .await
            .unwrap_err();
        assert_eq!(
            (error.kind(), error.operation()),
            (ErrorKind::Protocol, Some("login")),
            "{body}"
        );
    }
}

const WRONG_SECRET: &str =
    r#"{"error_code":"100208","error_desc":"AppId or secret is not right."}"#;

/// A vendor that takes this secret only; it can be changed.
async fn vendor_with_secret(secret: &watch::Sender<&'static str>) -> Vendor {
    let secret = secret.clone();
    Vendor::start(move |seen| match seen.path.as_str() {
        LOGIN if seen.body.ends_with(&format!("secret={}", *secret.borrow())) => {
            Reply::ok(&token(1, &json!(3600)))
        }
        LOGIN => Reply::json(401, WRONG_SECRET),
        _ => paged(seen, 0, "wait"),
    })
    .await
}

/// Makes a request while the clock is moved: after a first refusal a renewal of the file is waited for.
async fn moving<T>(subject: &Subject, request: impl Future<Output = T>) -> T {
    let moving = async {
        loop {
            tokio::time::sleep(Duration::from_millis(1)).await;
            subject.clock.advance(Duration::from_millis(10));
        }
    };
    tokio::select! {
        answer = request => answer,
        () = moving => unreachable!("the clock is moved for ever"),
    }
}

#[tokio::test]
async fn a_refused_secret_costs_one_login_for_all_questions_and_a_few_a_minute() {
    let secret = watch::Sender::new("another");
    let vendor = vendor_with_secret(&secret).await;
    let subject = Subject::new(&vendor.endpoint);
    let cx = subject.context();
    let reader = subject.provider.jobs().unwrap();
    // Side by side, and one after the other; the questions are different ones.
    let calls = (0..20).map(|_| subject.provider.check(&cx));
    for result in futures_util::future::join_all(calls).await {
        assert_eq!(result.unwrap_err().kind(), ErrorKind::Auth);
    }
    for number in 0..20 {
        let error = reader
            .get_job(&cx, job(&format!("job-{number}")))
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Auth);
        let vendors = error.vendor().unwrap();
        assert_eq!(vendors.code.as_deref(), Some("100208"));
        assert_eq!(error.operation(), Some("login"));
    }
    assert_eq!(vendor.seen().len(), 1);
    // Ten minutes of polling.
    for _ in 0..600 {
        subject.clock.advance(Duration::from_secs(1));
        assert!(subject.provider.check(&cx).await.is_err());
    }
    let logins = vendor.logins();
    assert!((10..=24).contains(&logins), "{logins}");
    // The vendor's side is mended, and nothing here changes: a minute at most.
    secret.send_replace("s3cret%2Fvalue%2B1");
    subject.clock.advance(Duration::from_secs(60));
    subject.provider.check(&cx).await.unwrap();
}

#[tokio::test]
async fn a_mended_secret_file_is_taken_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("secret");
    std::fs::write(&path, "wrong").unwrap();
    let secret = watch::Sender::new("right");
    let vendor = vendor_with_secret(&secret).await;
    let endpoint = vendor.endpoint.clone();
    let settings = json!({"secret": null, "secret_file": path});
    let subject = Subject::with(&endpoint, settings, &Arc::default());
    let cx = subject.context();
    for _ in 0..10 {
        let result = moving(&subject, subject.provider.check(&cx)).await;
        assert_eq!(result.unwrap_err().kind(), ErrorKind::Auth);
    }
    assert_eq!(vendor.logins(), 1);
    // Within one tick of the file system's clock, and with the same length.
    std::fs::write(&path, "right").unwrap();
    subject.provider.check(&cx).await.unwrap();
    assert_eq!(vendor.logins(), 2);
}

#[tokio::test]
async fn providers_of_one_application_share_a_refusal() {
    let vendor = vendor_with_secret(&watch::Sender::new("another")).await;
    let pool = Arc::<TokenPool>::default();
    let one = Subject::with(&vendor.endpoint, json!({}), &pool);
    let two = Subject::with(&vendor.endpoint, json!({}), &pool);
    assert!(one.provider.check(&one.context()).await.is_err());
    let error = two.provider.check(&two.context()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Auth);
    assert_eq!(vendor.logins(), 1);
}
