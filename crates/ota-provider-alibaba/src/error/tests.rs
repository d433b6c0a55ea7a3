use super::{CredentialSettings, Secrets, classify, refusal, with_advice_for};
use http::{HeaderMap, HeaderName, HeaderValue};
use ota_core::ErrorKind::{self, *};
use ota_core::error::Retry;
use ota_http::{Response, SecretSource};
use std::sync::Arc;
use std::time::Duration;

fn secrets() -> Secrets {
    Secrets {
        access_key_id: "LTAIexample".into(),
        access_key_secret: "very/secret+key".into(),
        security_token: Some("CAIS/token=".into()),
    }
}

fn response(status: u16) -> Response {
    Response {
        status,
        headers: HeaderMap::new(),
        body: Default::default(),
    }
}

#[track_caller]
fn check(code: &str, status: u16, kind: ErrorKind, retry: Retry) {
    let error = classify(code, status).error();
    assert_eq!((error.kind(), error.retry()), (kind, retry), "{code}");
}

#[test]
fn every_documented_code_has_its_meaning() {
    for code in [
        "Throttling.User",
        "Throttling.Api",
        "Throttling",
        "iot.messagebroker.RateLimit",
    ] {
        check(code, 400, Throttled, Retry::Later);
    }
    for code in [
        "ServiceUnavailable",
        "ServiceUnavailableTemporary",
        "InternalError",
        "InternalFailure",
        "UnknownError",
    ] {
        check(code, 503, Unavailable, Retry::Later);
    }
    check("InvalidTimeStamp.Expired", 400, Auth, Retry::Once);
    check("InvalidTimeStamp.Format", 400, Auth, Retry::Never);
    check("IllegalTimestamp", 400, Auth, Retry::Once);
    check("SignatureNonceUsed", 400, Unavailable, Retry::Once);
    for code in [
        "SignatureDoesNotMatch",
        "IncompleteSignature",
        "InvalidAccessKeyId.NotFound",
        "InvalidAccessKeyId.Inactive",
        "MissingAccessKeyId",
        "MissingSecurityToken",
        "InvalidSecurityToken.Malformed",
        "InvalidSecurityToken.MismatchWithAccessKey",
        "InvalidSecurityToken.Expired",
        "Forbidden.RAM",
        "Forbidden",
        "NoPermission",
    ] {
        check(code, 403, Auth, Retry::Never);
    }
    check(
        "iot.common.RamActionPermissionDeny",
        200,
        Auth,
        Retry::Never,
    );
    check(
        "iot.common.AuthActionPermissionDeny",
        200,
        Auth,
        Retry::Never,
    );
    for code in [
        "InvalidAction.NotFound",
        "InvalidVersion",
        "NoSuchVersion",
        "InvalidProtocol.NeedSsl",
        "UnsupportedHTTPMethod",
    ] {
        check(code, 404, Misconfigured, Retry::Never);
    }
    check("MissingFirmwareId", 400, InvalidArgument, Retry::Never);
    check("InvalidPageSize", 400, InvalidArgument, Retry::Never);
    check("iot.system.SystemException", 200, Unavailable, Retry::Later);
    for code in [
        "iot.common.InvalidPageParams",
        "iot.check.InvalidFormattedParameter",
        "iot.common.InvalidFormattedParameter",
        "iot.system.IllegalRequest",
        "iot.check.ParameterIsNotLessThanMax",
        "iot.prod.NullProductKey",
        "iot.prod.InvalidFormattedProductkey",
        "iot.device.InvalidFormattedDeviceName",
        "iot.device.InvalidIoTId",
        "iot.device.NoneDeviceNameElement",
        "iot.device.NullDeviceName",
    ] {
        check(code, 200, InvalidArgument, Retry::Never);
    }
    for code in [
        "iot.system.InstanceNotFound",
        "iot.Sre.IotInstanceNotFound",
        "iot.common.APINotSupportedInInstance",
        "iot.system.UidNotFound",
        "iot.common.InvalidTenant",
    ] {
        check(code, 200, Misconfigured, Retry::Never);
    }
    check("Iot.system.BillIsOverDue", 200, Rejected, Retry::Never);
    check("iot.prod.NotExistedProduct", 200, NotFound, Retry::Never);
    check("iot.device.NotExistedDevice", 200, NotFound, Retry::Never);
    check("iot.ota.FirmwareNotFound", 200, NotFound, Retry::Never);
    check(
        "iot.common.QueryDeviceActionError",
        200,
        Unavailable,
        Retry::Later,
    );
    check(
        "iot.device.QueryDeviceFailed",
        200,
        Unavailable,
        Retry::Later,
    );
}

#[test]
fn a_code_of_no_document_is_judged_by_its_form() {
    check("iot.ota.JobNotFound", 200, NotFound, Retry::Never);
    check("iot.ota.NotExistedJob", 200, NotFound, Retry::Never);
    check("InvalidJobId.NotFound", 404, NotFound, Retry::Never);
    check("iot.ota.InvalidJobId", 200, NotFound, Retry::Never);
    check(
        "iot.system.TenantNotFound",
        200,
        Misconfigured,
        Retry::Never,
    );
    check("iot.ota.SomethingNew", 200, Rejected, Retry::Never);
    for code in [
        "New.Throttling",
        "FlowControlError",
        "SystemBusy",
        "LastTokenProcessing",
        "iot.system.SystemBusy",
        "iot.ota.FlowControl",
    ] {
        check(code, 400, Throttled, Retry::Later);
        check(code, 200, Throttled, Retry::Later);
    }
    check("Whatever", 404, Misconfigured, Retry::Never);
    check("404", 404, Misconfigured, Retry::Never);
    check("NoSuchKey", 404, Misconfigured, Retry::Never);
    check("NotFound", 404, Misconfigured, Retry::Never);
    check("InvalidJobId.NotFound", 404, NotFound, Retry::Never);
    check("Whatever", 429, Throttled, Retry::Later);
    check("Whatever", 502, Unavailable, Retry::Later);
    check("Whatever", 400, Rejected, Retry::Never);
    check("Whatever", 403, Auth, Retry::Never);
}

#[test]
fn the_advice_names_only_settings_of_the_credentials_source() {
    let refused = |code: &str| refusal(&response(403), &secrets(), code, None, None);
    let keys = || {
        let source = |text: &str| Arc::new(SecretSource::value(text.into()));
        CredentialSettings::Keys {
            access_key_id: source("id"),
            access_key_secret: source("secret"),
            security_token: None,
        }
    };
    let command = || CredentialSettings::Command(vec!["sts".to_owned()]);
    let ecs = || CredentialSettings::EcsRamRole {
        role: None,
        endpoint: String::new(),
    };
    for code in [
        "InvalidSecurityToken.Expired",
        "SignatureDoesNotMatch",
        "InvalidAccessKeyId.NotFound",
        "Forbidden.RAM",
    ] {
        let right = code == "Forbidden.RAM";
        for (source, key) in [
            (keys(), "`access_key_id`"),
            (command(), "`credentials_command`"),
            (ecs(), "RAM role"),
        ] {
            let error = with_advice_for(refused(code), &source);
            let text = format!("{} {}", error.message(), error.advice().unwrap());
            assert!(
                text.contains(key) || (right && text.contains("user of the AccessKey")),
                "{text}"
            );
            let of_keys = matches!(source, CredentialSettings::Keys { .. });
            let named = text.contains("`access_key") || text.contains("`security_token");
            assert!(of_keys || !named, "{text}");
            assert_eq!(text.contains("the rights"), right, "{text}");
        }
    }
    // The clock is no matter of the credential, and of other errors nothing is known.
    for code in ["InvalidTimeStamp.Expired", "Throttling.User"] {
        assert_eq!(with_advice_for(refused(code), &command()).advice(), None);
    }
}

#[test]
fn the_echoed_string_to_sign_is_cut() {
    let text = "Specified signature is not matched with our calculation. server string to sign is:POST&%2F&AccessKeyId%3DLTAIexample%26SecurityToken%3DCAIS%252Ftoken%253D";
    let (text, id) = (Some(text.to_owned()), Some("R-1".to_owned()));
    let error = refusal(
        &response(400),
        &secrets(),
        "SignatureDoesNotMatch",
        text,
        id,
    );
    let vendor = error.vendor().unwrap();
    assert_eq!(
        vendor.message.as_deref(),
        Some("Specified signature is not matched with our calculation.")
    );
    for text in [format!("{error:?}"), error.to_string()] {
        for secret in ["LTAIexample", "CAIS", "secret+key", "POST&"] {
            assert!(!text.contains(secret), "{text}");
        }
    }
}

#[test]
fn a_refused_signature_shows_no_part_of_what_was_signed() {
    for (text, expected) in [
        (
            "Signature mismatch, expected over [POST\n/\n\nx-acs-signature-nonce:1] got ACS3-HMAC-SHA256 Signature=90242b",
            Some("Signature mismatch, expected over"),
        ),
        ("POST&%2F&AccessKeyId", None),
        ("", None),
    ] {
        let text = Some(text.to_owned());
        let error = refusal(
            &response(400),
            &secrets(),
            "signaturedoesnotmatch",
            text,
            None,
        );
        assert_eq!(error.vendor().unwrap().message.as_deref(), expected);
    }
}

#[track_caller]
fn check_wait(headers: &[(&'static str, &'static str)], millis: Option<u64>) {
    let pairs = headers.iter().map(|(name, value)| {
        (
            HeaderName::from_static(name),
            HeaderValue::from_static(value),
        )
    });
    let response = Response {
        status: 400,
        headers: HeaderMap::from_iter(pairs),
        body: Default::default(),
    };
    let error = refusal(&response, &secrets(), "Throttling", None, None);
    let wait = error.retry_after();
    assert_eq!(wait, millis.map(Duration::from_millis), "{headers:?}");
}

#[test]
fn a_hint_to_wait_is_read_in_every_form_and_kept_up_to_a_minute() {
    check_wait(&[("x-acs-retry-after", "250")], Some(250));
    check_wait(&[("x-acs-retry-after", "0")], None);
    check_wait(
        &[("x-acs-retry-after", "18446744073709551615")],
        Some(60_000),
    );
    check_wait(
        &[("x-acs-retry-after", "99999999999999999999")],
        Some(60_000),
    );
    check_wait(
        &[("x-ratelimit-user", "TimeLeft:99999999999999999999")],
        Some(60_000),
    );
    check_wait(&[("retry-after", "18446744073709551615")], Some(60_000));
    check_wait(&[("x-acs-retry-after", "soon")], None);
    check_wait(
        &[("x-ratelimit-user-api", "Limit:10,Remain:0,TimeLeft:700")],
        Some(700),
    );
    check_wait(&[("x-ratelimit-user", "TimeLeft:300, Limit:10")], Some(300));
    check_wait(&[("retry-after", "2")], Some(2000));
    check_wait(
        &[("x-acs-retry-after", "40"), ("retry-after", "2")],
        Some(40),
    );
    check_wait(&[], None);
}

#[test]
fn a_wait_is_passed_on_only_where_waiting_helps() {
    for (code, expected) in [
        ("Throttling.User", true),
        ("ServiceUnavailable", true),
        ("SignatureDoesNotMatch", false),
        ("InvalidPageSize", false),
    ] {
        let mut response = response(400);
        let wait = HeaderValue::from_static("250");
        response.headers.insert("x-acs-retry-after", wait);
        let error = refusal(&response, &secrets(), code, None, None);
        assert_eq!(error.retry_after().is_some(), expected, "{code}");
    }
}
