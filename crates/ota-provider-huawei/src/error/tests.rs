use http::{HeaderMap, HeaderValue};
use ota_core::ErrorKind;
use ota_core::error::Retry;
use ota_http::Response;
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::is_token_refusal;

fn interpret(response: &Response, secrets: &[&str]) -> ota_core::Result<Map<String, Value>> {
    super::interpret(response, secrets, &|_| {})
}

fn response(status: u16, content_type: &'static str, body: &str) -> Response {
    let mut headers = HeaderMap::new();
    headers.insert("content-type", HeaderValue::from_static(content_type));
    headers.insert("x-request-id", HeaderValue::from_static("req-7"));
    Response {
        status,
        headers,
        body: body.to_owned().into(),
    }
}

#[track_caller]
fn check(status: u16, body: &str, kind: ErrorKind, token: bool) {
    let error = interpret(&response(status, "application/json", body), &[]).unwrap_err();
    assert_eq!(
        (error.kind(), is_token_refusal(&error)),
        (kind, token),
        "{status} {body}"
    );
    let vendor = error.vendor().unwrap();
    assert_eq!(vendor.http_status, Some(status));
    assert_eq!(vendor.request_id.as_deref(), Some("req-7"));
}

#[test]
fn an_application_that_was_not_seen_has_an_advice_about_the_header() {
    let response = response(
        401,
        "application/json",
        r#"{"error_code":"100025","error_desc":"AppId for auth not exist."}"#,
    );
    let error = interpret(&response, &[]).unwrap_err();
    let advice = error.advice().unwrap();
    assert!(advice.contains("underscores_in_headers on"), "{advice}");
    assert!(advice.contains("`app_key_header`"), "{advice}");
}

/// Every code of the vendor's error tables, under the status that it is documented with.
#[test]
fn every_documented_code_has_its_kind() {
    use ErrorKind as K;
    for (status, code, kind, token) in [
        (400, "100247", K::Rejected, false),
        (400, "102202", K::Misconfigured, false),
        (400, "50400", K::Misconfigured, false),
        (401, "100208", K::Auth, false),
        (403, "100208", K::Auth, false),
        (500, "50252", K::Unavailable, false),
        (401, "100025", K::Auth, false),
        (401, "100002", K::Auth, true),
        (401, "100006", K::Auth, false),
        (403, "1010005", K::Auth, true),
        (401, "1010005", K::Auth, true),
        (403, "1005", K::Auth, true),
        (403, "1010009", K::Throttled, false),
        (401, "1010009", K::Throttled, false),
        (403, "100203", K::Misconfigured, false),
        (200, "100203", K::Misconfigured, false),
        (500, "100203", K::Misconfigured, false),
        (403, "100217", K::Auth, false),
        (200, "100217", K::Auth, false),
        (400, "120015", K::InvalidArgument, false),
        (400, "123029", K::InvalidArgument, false),
        (404, "123009", K::NotFound, false),
        (404, "123002", K::NotFound, false),
        (400, "123016", K::InvalidArgument, false),
        (400, "123019", K::InvalidArgument, false),
        (400, "123020", K::InvalidArgument, false),
        (400, "123021", K::InvalidArgument, false),
        (400, "123022", K::InvalidArgument, false),
        (400, "123023", K::InvalidArgument, false),
        (400, "123024", K::InvalidArgument, false),
        (400, "123025", K::InvalidArgument, false),
        (400, "123026", K::InvalidArgument, false),
        (400, "123028", K::InvalidArgument, false),
        (400, "123032", K::InvalidArgument, false),
        (400, "123033", K::InvalidArgument, false),
        (400, "100222", K::Misconfigured, false),
        (400, "100228", K::Misconfigured, false),
        // Not in any table.
        (404, "999999", K::Rejected, false),
        (200, "105001", K::Rejected, false),
        (400, "999999", K::Rejected, false),
        (403, "999999", K::Rejected, false),
        (401, "999999", K::Auth, true),
        (429, "999999", K::Throttled, false),
        (503, "999999", K::Unavailable, false),
    ] {
        let body = json!({"error_code": code, "error_desc": "text"}).to_string();
        check(status, &body, kind, token);
        let number = body.replace(&format!("\"{code}\""), code);
        check(status, &number, kind, token);
    }
    check(200, r#"{"error_code":{"a":1}}"#, K::Rejected, false);
}

#[test]
fn an_answer_without_a_code_is_judged_by_its_status() {
    use ErrorKind as K;
    for (status, kind, token) in [
        (400, K::Rejected, false),
        (401, K::Auth, true),
        (403, K::Auth, false),
        (404, K::Protocol, false),
        (409, K::Rejected, false),
        (429, K::Throttled, false),
        (500, K::Unavailable, false),
        (503, K::Unavailable, false),
    ] {
        check(status, "{}", kind, token);
        check(status, r#"{"error_code":null}"#, kind, token);
    }
}

#[test]
fn a_404_of_something_in_between_is_not_the_vendors() {
    for body in [
        r#"{"message":"no Route matched with those values"}"#,
        r#"{"error_msg":"404 Route Not Found"}"#,
        r#"{"kind":"Status","status":"Failure","reason":"NotFound","code":404}"#,
        r#"{"status":404,"error":"Not Found","path":"/"}"#,
        r#"{"error_code":"APIG.0101","error_msg":"The API does not exist","request_id":"x"}"#,
        r#"{"error_code":"","error_desc":"not found"}"#,
        "[]",
        "\"not found\"",
        "",
    ] {
        check(404, body, ErrorKind::Protocol, false);
    }
}

#[test]
fn no_code_or_null_under_success_is_data() {
    for body in [
        r#"{"a":1}"#,
        r#"{"error_code":null,"error_desc":null,"a":1}"#,
        r#"{"error_code":"","a":1}"#,
        "\u{feff}{\"a\":1}",
    ] {
        for content_type in ["application/json", "text/plain", "text/html"] {
            let data = interpret(&response(200, content_type, body), &[]).unwrap();
            assert_eq!(serde_json::Value::Object(data), json!({"a": 1}), "{body}");
        }
    }
}

#[test]
fn what_is_not_json_is_unreadable_or_out_of_order() {
    use ErrorKind as K;
    for body in ["", "{\"a\":", "[1]", "null", "<a/>", "\"text\"", "\u{0}"] {
        for (status, kind, token) in [
            (200, K::Protocol, false),
            (204, K::Protocol, false),
            (403, K::Protocol, false),
            (404, K::Protocol, false),
            (401, K::Auth, true),
            (429, K::Throttled, false),
            (500, K::Unavailable, false),
            (502, K::Unavailable, false),
        ] {
            check(status, body, kind, token);
        }
        let error = interpret(&response(200, "application/json", body), &[]).unwrap_err();
        assert_eq!(error.retry(), Retry::Later);
    }
    for (status, kind) in [
        (200, K::Protocol),
        (401, K::Protocol),
        (404, K::Protocol),
        (429, K::Protocol),
        (502, K::Unavailable),
    ] {
        let html = response(status, "text/html", "<html><body>Sign in</body></html>");
        let error = interpret(&html, &[]).unwrap_err();
        assert_eq!((error.kind(), is_token_refusal(&error)), (kind, false));
    }
}

#[test]
fn vendor_text_is_cleaned_and_short() {
    let text = format!(
        "token s3cret-token of https://u:p@h/x?sign=abc {}",
        "x".repeat(400)
    );
    let body = json!({"error_code": "s3cret-token", "error_desc": text}).to_string();
    let error =
        interpret(&response(403, "application/json", &body), &["s3cret-token"]).unwrap_err();
    let vendor = error.vendor().unwrap();
    let message = vendor.message.as_deref().unwrap();
    assert!(
        message.starts_with("token *** of https://h/x x"),
        "{message}"
    );
    assert_eq!(message.chars().count(), 301);
    let shown = format!("{0} {0:?}", error);
    assert!(
        !shown.contains("s3cret") && !shown.contains("sign=abc"),
        "{shown}"
    );
}

#[test]
fn a_missing_application_id_hints_at_the_header() {
    let body = r#"{"error_code":"100025","error_desc":"AppId for auth not exist."}"#;
    let error = interpret(&response(401, "application/json", body), &[]).unwrap_err();
    assert!(error.message().contains("app_key_header"));
}

proptest! {
    #[test]
    fn no_answer_panics(status in 100_u16..600, body in prop::collection::vec(any::<u8>(), 0..64)) {
        let response = Response { status, headers: HeaderMap::new(), body: body.into() };
        let _ = interpret(&response, &["some secret"]);
    }
}

#[test]
fn words_for_slower_are_a_throttle_under_any_code_that_is_not_documented() {
    for word in [
        "FlowControlError",
        "SystemBusy",
        "SYSTEM_BUSY",
        "LastTokenProcessing",
        "APIG.Throttling",
    ] {
        for status in [200, 400, 403, 500] {
            let body = json!({"error_code": word, "error_desc": "come again"}).to_string();
            check(status, &body, ErrorKind::Throttled, false);
        }
    }
    let body = json!({"error_code": "999", "error_desc": "x"}).to_string();
    check(400, &body, ErrorKind::Rejected, false);
}

#[test]
fn a_hint_to_wait_is_believed_up_to_a_minute() {
    for (value, seconds) in [
        ("7", 7),
        ("86400", 60),
        ("18446744073709551615", 60),
        ("99999999999999999999999", 60),
        ("Fri, 31 Dec 9999 23:59:59 GMT", 60),
    ] {
        for body in [r#"{"error_code":"1010009"}"#, "no JSON"] {
            let mut throttled = response(429, "application/json", body);
            let headers = &mut throttled.headers;
            headers.insert("retry-after", HeaderValue::from_static(value));
            headers.insert(
                "date",
                HeaderValue::from_static("Thu, 01 Jan 1970 00:00:00 GMT"),
            );
            let error = interpret(&throttled, &[]).unwrap_err();
            let wait = error.retry_after().map(|wait| wait.as_secs());
            assert_eq!(wait, Some(seconds), "{value}");
        }
    }
}
