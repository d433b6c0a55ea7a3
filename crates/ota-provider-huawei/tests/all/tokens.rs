use std::sync::Arc;
use std::time::Duration;

use ota_core::ErrorKind;
use ota_core::provider::Provider;
use ota_provider_huawei::TokenPool;
use serde_json::json;
use tokio::sync::watch;

use crate::vendor::{Answer, LOGIN, REFRESH, Seen, Subject, Vendor, paged, token};

const BAD_TOKEN: &str = include_str!("../fixtures/error_token.json");
const THROTTLED: &str = include_str!("../fixtures/error_throttled.json");

fn paths(vendor: &Vendor) -> Vec<String> {
    vendor.seen().into_iter().map(|seen| seen.path).collect()
}

fn accept(seen: &Seen, good: &str) -> Answer {
    if seen.token() == format!("Bearer {good}") {
        paged(seen, 0, "wait")
    } else {
        Answer::json(403, BAD_TOKEN)
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
    subject.provider.check(&subject.context()).await.unwrap();
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
    assert_eq!(login.token(), "");
    let refresh = &seen[3];
    assert_eq!(
        (refresh.method.as_str(), refresh.path.as_str()),
        ("POST", REFRESH)
    );
    assert_eq!(refresh.header("content-type"), "application/json");
    assert_eq!(
        serde_json::from_str::<serde_json::Value>(&refresh.body).unwrap(),
        json!({"appId": "app-1", "secret": "s3cret/value+1", "refreshToken": "refresh-token-0001"})
    );
    assert_eq!(seen[4].token(), "Bearer access-token-0002");
    assert_eq!(seen.len(), 5);
}

#[tokio::test]
async fn the_vendors_example_of_a_login_is_read() {
    let vendor = Vendor::start(|seen| match seen.path.as_str() {
        LOGIN => Answer::json(200, include_str!("../fixtures/login.json")),
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
    // Somebody else has logged in: the first token is dead.
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

    let vendor = Vendor::with_logins(|_| Answer::json(403, BAD_TOKEN)).await;
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
            if seen.token() == "Bearer access-token-0002" {
                paged(seen, 0, "wait")
            } else {
                Answer::json(status, body)
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
        let vendor = Vendor::with_logins(move |_| Answer::json(status, body)).await;
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
    let vendor = Vendor::with_logins(move |seen| match seen.token() {
        "Bearer access-token-0001" => Answer::json(403, BAD_TOKEN).held(&held),
        _ => paged(seen, 0, "wait"),
    })
    .await;
    let subject = Arc::new(Subject::new(&vendor.endpoint));
    let late = {
        let subject = Arc::clone(&subject);
        tokio::spawn(async move { subject.provider.check(&subject.context()).await })
    };
    vendor.has_seen(2).await;
    // Meanwhile the token is renewed for somebody else.
    subject.clock.advance(Duration::from_secs(3300));
    subject.provider.check(&subject.context()).await.unwrap();
    hold.send_replace(true);
    late.await.unwrap().unwrap();
    let list = crate::vendor::OPERATIONS;
    assert_eq!(paths(&vendor), [LOGIN, list, REFRESH, list, list]);
}

#[tokio::test]
async fn a_refused_refresh_is_followed_by_a_login() {
    let vendor = Vendor::start(|seen| match seen.path.as_str() {
        LOGIN => Answer::ok(&token(1, &json!("3600"))),
        REFRESH => Answer::json(401, r#"{"error_code":"100006","error_desc":"invalid"}"#),
        _ => paged(seen, 0, "wait"),
    })
    .await;
    let subject = Subject::new(&vendor.endpoint);
    subject.provider.check(&subject.context()).await.unwrap();
    subject.clock.advance(Duration::from_secs(3300));
    subject.provider.check(&subject.context()).await.unwrap();
    let list = crate::vendor::OPERATIONS;
    assert_eq!(paths(&vendor), [LOGIN, list, REFRESH, LOGIN, list]);
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
        LOGIN => Answer::ok(&token(1, &json!(3600))).held(&held),
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
        let vendor = Vendor::start(move |_| Answer::json(200, text.clone())).await;
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
