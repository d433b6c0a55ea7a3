//! Answers that are no answers: each gets its kind, and none shows a secret.

use ota_core::ErrorKind;
use ota_core::error::Retry;
use ota_core::id::JobId;
use ota_core::provider::{GetJob, JobReader, Provider};
use serde_json::json;

use crate::server::{SECRET, Server, TOKEN, answer, context};

async fn check(status: u16, content_type: &'static str, body: impl Into<String>, kind: ErrorKind) {
    let body = body.into();
    let server = Server::fixed(status, content_type, body.clone()).await;
    let provider = server.provider_with(json!({"security_token": TOKEN}));
    let result = provider
        .get_job(
            &context(),
            GetJob {
                job_id: JobId::from("j"),
            },
        )
        .await;
    let error = result.expect_err(&body[..body.len().min(80)]);
    assert_eq!(error.kind(), kind, "{status} {content_type} {error:?}");
    assert_eq!(error.operation(), Some("QueryOTAJob"));
    for shown in [format!("{error:?}"), error.to_string()] {
        for secret in [SECRET, TOKEN, "LTAItestkey"] {
            assert!(!shown.contains(secret), "{shown}");
        }
    }
}

const GATEWAY_XML: &str = "<?xml version='1.0' encoding='UTF-8'?><Error><RequestId>R</RequestId><HostId>h</HostId>\
    <Code>InvalidAccessKeyId.NotFound</Code><Message>Specified access key is not found.</Message>\
    <Recommend><![CDATA[https://x?a=1]]></Recommend></Error>";

#[tokio::test]
async fn both_error_shapes_are_understood_in_both_formats() {
    let product = json!({"RequestId": "R", "Success": false, "Code": "iot.system.SystemException", "ErrorMessage": "x"});
    check(
        200,
        "application/json",
        product.to_string(),
        ErrorKind::Unavailable,
    )
    .await;
    let product = "<QueryOTAJobResponse><RequestId>R</RequestId><Success>false</Success><Code>iot.system.SystemException</Code>\
        <ErrorMessage>x</ErrorMessage></QueryOTAJobResponse>";
    check(
        200,
        "text/xml;charset=utf-8",
        product,
        ErrorKind::Unavailable,
    )
    .await;
    let gateway =
        json!({"RequestId": "R", "HostId": "h", "Code": "Throttling.User", "Message": "x"});
    check(
        400,
        "application/json",
        gateway.to_string(),
        ErrorKind::Throttled,
    )
    .await;
    check(404, "text/xml;charset=utf-8", GATEWAY_XML, ErrorKind::Auth).await;
}

#[tokio::test]
async fn what_is_no_answer_is_told_apart() {
    check(
        200,
        "text/html",
        "<html><body>Login</body></html>",
        ErrorKind::Protocol,
    )
    .await;
    check(
        502,
        "text/html",
        "<html><body>Bad Gateway</body></html>",
        ErrorKind::Unavailable,
    )
    .await;
    check(
        200,
        "application/json",
        "{\"Success\":true,\"Data\":{\"JobId\":\"x",
        ErrorKind::Protocol,
    )
    .await;
    check(
        200,
        "text/xml",
        "<QueryOTAJobResponse><Data>",
        ErrorKind::Protocol,
    )
    .await;
    check(200, "application/json", "", ErrorKind::Protocol).await;
    check(200, "application/json", "[]", ErrorKind::Protocol).await;
    check(200, "application/json", "{}", ErrorKind::Protocol).await;
    check(503, "application/json", "", ErrorKind::Unavailable).await;
    check(429, "text/plain", "slow down", ErrorKind::Throttled).await;
    check(302, "text/plain", "", ErrorKind::Protocol).await;
    check(
        200,
        "application/json",
        "x".repeat(9 * 1024 * 1024),
        ErrorKind::Protocol,
    )
    .await;
}

/// Also where it has the same identifier in other letters, or with a zero in front.
#[tokio::test]
async fn an_answer_about_another_job_is_an_error() {
    for other in ["k", "J", "0j", "j "] {
        let body = json!({"Success": true, "Data": {"JobId": other, "JobStatus": "COMPLETED"}});
        check(
            200,
            "application/json",
            body.to_string(),
            ErrorKind::Protocol,
        )
        .await;
    }
}

#[tokio::test]
async fn a_good_body_under_a_wrong_content_type_is_taken() {
    let body = include_str!("../fixtures/query-ota-job.zh.json");
    let server = Server::fixed(200, "text/plain", body).await;
    let job = server
        .provider()
        .get_job(
            &context(),
            GetJob {
                job_id: JobId::from("HvKuBpuk3rdk6E92CP****0200"),
            },
        )
        .await
        .unwrap();
    assert_eq!(job.unwrap().id.as_str(), "HvKuBpuk3rdk6E92CP****0200");
}

#[tokio::test]
async fn the_echo_of_the_string_to_sign_is_cut() {
    let server = Server::start(|seen| {
        let body = json!({"Code": "SignatureDoesNotMatch", "RequestId": "R-7", "Message": format!(
            "Specified signature is not matched with our calculation. server string to sign is:{}{:?}", seen.uri, seen.headers)});
        answer(400, "application/json", body.to_string())
    })
    .await;
    for signature in ["acs3", "hmac-sha1"] {
        let provider =
            server.provider_with(json!({"security_token": TOKEN, "signature": signature}));
        let error = provider.check(&context()).await.unwrap_err();
        assert_eq!(
            (error.kind(), error.retry()),
            (ErrorKind::Auth, Retry::Never)
        );
        let vendor = error.vendor().unwrap();
        assert_eq!(
            vendor.message.as_deref(),
            Some("Specified signature is not matched with our calculation.")
        );
        assert_eq!(vendor.request_id.as_deref(), Some("R-7"));
        assert!(!format!("{error:?}").contains("CAIS"), "{error:?}");
    }
}

#[tokio::test]
async fn a_vendor_that_is_not_there_is_unavailable() {
    let server = Server::fixed(200, "text/plain", "").await;
    let provider = server.provider();
    let address = server.address;
    drop(server);
    // The listener is gone once its port can be bound again.
    while tokio::net::TcpListener::bind(address).await.is_err() {
        tokio::task::yield_now().await;
    }
    let error = provider.check(&context()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(!format!("{error:?}").contains("Signature"), "{error:?}");
}
