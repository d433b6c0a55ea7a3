//! The vendor's error codes and what they mean to us.
//!
//! Sources (read 2026-11-23): IoT Platform help "Error codes" and "Common parameters"; error tables of other products behind the same
//! gateway. Codes are compared without regard to case: editions differ (`Iot.system.BillIsOverDue`).

use std::time::Duration;

use ota_adapter::slower::asks_to_slow_down;
use ota_core::error::{Retry, VendorError};
use ota_core::{Error, ErrorKind};
use ota_http::server_time::whole_number;
use ota_http::{Response, redact};

use crate::config::CredentialSettings;
use crate::credentials::Secrets;

/// The longest vendor text that is passed on, in characters.
const MAX_MESSAGE_CHARS: usize = 300;

/// The longest hint to wait that is believed.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(60);

/// A refusal as the vendor words it.
pub(crate) struct Refusal {
    pub(crate) code: String,
    pub(crate) message: Option<String>,
    pub(crate) request_id: Option<String>,
    pub(crate) http_status: u16,
    /// How long the vendor asks to wait.
    pub(crate) retry_after: Option<Duration>,
}

/// Turns a refusal into our error, without the secrets that the vendor echoes.
pub(crate) fn refusal(refusal: Refusal, secrets: &Secrets) -> Error {
    let (kind, retry, message) = classify(&refusal.code, refusal.http_status);
    let vendor = VendorError {
        message: refusal
            .message
            .and_then(|text| match echoes_signed(&refusal.code) {
                true => first_words(&text),
                false => Some(clean(&text, secrets)),
            }),
        code: Some(redact::secrets(&refusal.code, hidden(secrets), 100))
            .filter(|code| !code.is_empty()),
        request_id: refusal
            .request_id
            .map(|id| redact::secrets(&id, hidden(secrets), 100)),
        http_status: Some(refusal.http_status),
    };
    let error = Error::new(kind, message)
        .with_retry(retry)
        .with_vendor(vendor);
    with_wait(error, refusal.retry_after)
}

/// Adds how long the vendor asks to wait, where a wait helps.
pub(crate) fn with_wait(error: Error, wait: Option<Duration>) -> Error {
    match wait {
        Some(wait) if matches!(error.kind(), ErrorKind::Throttled | ErrorKind::Unavailable) => {
            error.with_retry_after(wait)
        }
        _ => error,
    }
}

/// Reads how long the vendor asks to wait: `x-acs-retry-after` in milliseconds, which its current SDKs honour; `TimeLeft` in milliseconds of
/// the rate-limit headers, which older ones did (vendor notes, section 5.2); or `Retry-After`, which a proxy in between may send.
pub(crate) fn wait_of(response: &Response) -> Option<Duration> {
    let millis = |text: &str| whole_number(text).map(Duration::from_millis);
    let left = |name: &str| {
        let pairs = response.header(name)?.split(',');
        pairs
            .filter_map(|pair| pair.split_once(':'))
            .find(|(key, _)| key.trim().eq_ignore_ascii_case("TimeLeft"))
            .and_then(|(_, value)| millis(value))
    };
    response
        .header("x-acs-retry-after")
        .and_then(millis)
        .or_else(|| left("x-ratelimit-user-api"))
        .or_else(|| left("x-ratelimit-user"))
        .or_else(|| response.retry_after())
        .filter(|wait| !wait.is_zero())
        .map(|wait| wait.min(MAX_RETRY_AFTER))
}

/// Whether the vendor refused the time that a request was signed with.
pub(crate) fn is_time_refusal(error: &Error) -> bool {
    let code = error.vendor().and_then(|vendor| vendor.code.as_deref());
    code.is_some_and(|code| {
        ["InvalidTimeStamp.Expired", "IllegalTimestamp"]
            .iter()
            .any(|known| code.eq_ignore_ascii_case(known))
    })
}

/// Adds what mends a refused credential, by where it comes from: only settings that exist there are advised.
pub(crate) fn advised(error: Error, source: &CredentialSettings) -> Error {
    if error.kind() != ErrorKind::Auth || error.advice().is_some() || is_time_refusal(&error) {
        return error;
    }
    let advice = match (is_credential_refusal(&error), source) {
        (true, CredentialSettings::Keys { security_token, .. }) => match security_token {
            None => {
                "compare `access_key_id` and `access_key_secret_file` with the vendor's console: both current and enabled, both of this account; a temporary credential needs `security_token_file` as well"
            }
            Some(_) => {
                "replace `access_key_id_file`, `access_key_secret_file` and `security_token_file` together: they must be of one credential, and a temporary one ends"
            }
        },
        (true, CredentialSettings::Command(_)) => {
            "run `credentials_command` by hand: what it prints must be one current credential, with its STS token where it is temporary"
        }
        (true, CredentialSettings::EcsRamRole { .. }) => {
            "the credential is that of the instance's RAM role: check that the role still exists and is the one that `ecs_ram_role` names, and compare this machine's clock with the time"
        }
        (true, CredentialSettings::Rrsa(_)) => {
            "the credential is that of the role in `role_arn`: check that it still exists and is of this account, and compare this machine's clock with the time"
        }
        (false, CredentialSettings::Keys { .. }) => {
            "give the user of the AccessKey the rights that docs/operations.md lists"
        }
        (false, CredentialSettings::Command(_)) => {
            "give the user or role whose credential `credentials_command` prints the rights that docs/operations.md lists"
        }
        (false, CredentialSettings::EcsRamRole { .. }) => {
            "give the RAM role of the instance the rights that docs/operations.md lists"
        }
        (false, CredentialSettings::Rrsa(_)) => {
            "give the role in `role_arn` the rights that docs/operations.md lists"
        }
    };
    error.with_advice(advice)
}

/// What no text of the vendor may show.
pub(crate) fn hidden(secrets: &Secrets) -> impl Iterator<Item = &str> {
    [
        Some(&secrets.access_key_secret),
        secrets.security_token.as_ref(),
        Some(&secrets.access_key_id),
    ]
    .into_iter()
    .flatten()
    .map(ota_http::Secret::expose_secret)
}

/// Whether the vendor refused the credential itself, which another one may mend; not a right, and not the time.
pub(crate) fn is_credential_refusal(error: &Error) -> bool {
    let Some(vendor) = error.vendor().filter(|_| error.kind() == ErrorKind::Auth) else {
        return false;
    };
    let code = vendor
        .code
        .as_deref()
        .unwrap_or_default()
        .to_ascii_lowercase();
    let of_credentials = [
        "invalidaccesskey",
        "missingaccesskey",
        "signaturedoesnotmatch",
        "incompletesignature",
        "invalidsecuritytoken",
        "missingsecuritytoken",
    ];
    of_credentials.iter().any(|start| code.starts_with(start))
        || (code.is_empty() && vendor.http_status == Some(401))
}

/// Whether a failed call shows that the vendor takes the credential it was signed with: the vendor has judged what was asked.
pub(crate) fn shows_credential(error: &Error) -> bool {
    let judged = match error.kind() {
        ErrorKind::InvalidArgument | ErrorKind::NotFound | ErrorKind::Rejected => true,
        ErrorKind::Auth => !is_time_refusal(error) && !is_credential_refusal(error),
        _ => false,
    };
    judged && error.vendor().is_some()
}

/// Whether the vendor found the signature wrong, which can come from what was signed as well as from the secret.
pub(crate) fn is_signature_refusal(error: &Error) -> bool {
    let code = error.vendor().and_then(|vendor| vendor.code.as_deref());
    code.is_some_and(echoes_signed)
}

/// Codes whose texts echo the string-to-sign: key id, token and every parameter.
fn echoes_signed(code: &str) -> bool {
    [
        "signaturedoesnotmatch",
        "incompletesignature",
        "invalidaccesskeysecret",
    ]
    .contains(&code.to_ascii_lowercase().as_str())
}

/// Takes the plain words that such a text begins with: nothing that is signed looks like them.
fn first_words(text: &str) -> Option<String> {
    let text = redact::head(text);
    let plain = |c: char| c.is_ascii_alphabetic() || matches!(c, ' ' | ',' | '\'');
    let end = text.find(|c| !plain(c)).unwrap_or(text.len());
    // The last word is cut off unless a sentence ended there: it can be the first letters of what was signed.
    let words = match text[end..].starts_with('.') {
        true => &text[..=end],
        false => text[..end].rsplit_once(' ').map_or("", |(words, _)| words),
    };
    (words.len() > 3 && words.len() <= MAX_MESSAGE_CHARS).then(|| words.trim_end().to_owned())
}

/// Cuts what a vendor's text must not carry on: a string-to-sign, credentials, signatures, queries of URLs.
fn clean(text: &str, secrets: &Secrets) -> String {
    let lower = redact::head(text).to_ascii_lowercase();
    let cut = [
        "server string to sign",
        "string to sign",
        "stringtosign",
        "server signature",
        "canonicalrequest",
        "acs3-hmac-sha256",
        "post&%2f&",
        "get&%2f&",
        "x-acs-",
    ]
    .iter()
    .filter_map(|mark| lower.find(mark))
    .min();
    // ASCII lower-casing keeps every byte's place, so the index fits the original text.
    let kept = cut.map_or(text, |cut| text[..cut].trim_end());
    redact::secrets(kept, hidden(secrets), MAX_MESSAGE_CHARS)
}

const SLOW_DOWN: &str = "the vendor asked to slow down";
const OUT_OF_ORDER: &str = "the vendor is out of order";
const NO_SUCH: &str = "the vendor does not have what was requested";
const CREDENTIAL: &str = "the vendor refused the credential of this provider";
const RIGHT: &str = "the vendor account of this provider lacks the permission for this operation";
const ARGUMENT: &str = "the vendor refused an argument of the request";

/// Returns kind, retry advice and public message for a code.
fn classify(code: &str, http_status: u16) -> (ErrorKind, Retry, &'static str) {
    use ErrorKind::{
        Auth, InvalidArgument, Misconfigured, NotFound, Rejected, Throttled, Unavailable,
    };
    let code = code.to_ascii_lowercase();
    match code.as_str() {
        // Gateway: before the product is reached. DOC-GW, DOC-SIG.
        "throttling" | "throttling.user" | "throttling.api" | "iot.messagebroker.ratelimit" => {
            (Throttled, Retry::Later, SLOW_DOWN)
        }
        "serviceunavailable"
        | "serviceunavailabletemporary"
        | "internalerror"
        | "internalfailure"
        | "unknownerror" => (Unavailable, Retry::Later, OUT_OF_ORDER),
        // The second one's text says that the time is missing, but it comes for a time that is hours off
        // (aliyun/aliyun-openapi-python-sdk issue 41, aliyun/aliyun-cli issue 18): setting the clock cured it.
        "invalidtimestamp.expired" | "illegaltimestamp" => (
            Auth,
            Retry::Once,
            "the vendor refused the time of the request; check the clock of the gateway's machine",
        ),
        "invalidtimestamp.format" => (
            Auth,
            Retry::Never,
            "the vendor refused the form of the request's time",
        ),
        // A repeated nonce is often a hidden repetition in the transport; a new one helps once.
        "signaturenonceused" => (
            Unavailable,
            Retry::Once,
            "the vendor had seen the request before",
        ),
        "signaturedoesnotmatch" | "incompletesignature" | "invalidaccesskeysecret" => {
            (Auth, Retry::Never, "the vendor refused the signature")
        }
        "invalidaccesskeyid.notfound"
        | "invalidaccesskeyid.inactive"
        | "invalidaccesskeyid"
        | "missingaccesskeyid" => (
            Auth,
            Retry::Never,
            "the AccessKey does not exist at the vendor, or it is disabled",
        ),
        "missingsecuritytoken"
        | "invalidsecuritytoken.malformed"
        | "invalidsecuritytoken.mismatchwithaccesskey"
        | "invalidsecuritytoken.expired" => {
            (Auth, Retry::Never, "the vendor refused the STS token")
        }
        "forbidden.ram"
        | "forbidden"
        | "nopermission"
        | "iot.common.ramactionpermissiondeny"
        | "iot.common.authactionpermissiondeny" => (Auth, Retry::Never, RIGHT),
        "invalidaction.notfound" | "invalidversion" | "nosuchversion" | "unsupportedhttpmethod" => {
            (
                Misconfigured,
                Retry::Never,
                "the vendor does not have the operation; check `endpoint` and `region`",
            )
        }
        "invalidprotocol.needssl" => (
            Misconfigured,
            Retry::Never,
            "the vendor takes encrypted requests only; use https in `endpoint`",
        ),
        // Product: under HTTP 200. DOC-ERR.
        "iot.system.systemexception" => (Unavailable, Retry::Later, OUT_OF_ORDER),
        "iot.system.instancenotfound"
        | "iot.sre.iotinstancenotfound"
        | "missingiotinstanceid"
        | "invalidiotinstanceid" => (
            Misconfigured,
            Retry::Never,
            "the vendor does not find the instance; check `instance_id` (required if the instance has an ID) and `region`",
        ),
        "iot.common.apinotsupportedininstance" => (
            Misconfigured,
            Retry::Never,
            "the vendor's instance does not have this operation",
        ),
        "iot.system.uidnotfound" => (
            Misconfigured,
            Retry::Never,
            "the vendor account has not enabled the IoT Platform in this region",
        ),
        "iot.system.billisoverdue" => (Rejected, Retry::Never, "the vendor account is overdue"),
        "iot.common.invalidtenant" => {
            (Misconfigured, Retry::Never, "the vendor refused the tenant")
        }
        "iot.common.invalidpageparams"
        | "iot.check.invalidformattedparameter"
        | "iot.common.invalidformattedparameter"
        | "iot.system.illegalrequest"
        | "iot.check.parameterisnotlessthanmax"
        | "iot.prod.nullproductkey"
        | "iot.prod.invalidformattedproductkey"
        | "iot.device.invalidformatteddevicename"
        | "iot.device.invalidiotid"
        | "iot.device.nonedevicenameelement"
        | "iot.device.nulldevicename" => (InvalidArgument, Retry::Never, ARGUMENT),
        // The code for an unknown job is in no public document; this is the form of its neighbours.
        "iot.prod.notexistedproduct"
        | "iot.device.notexisteddevice"
        | "iot.ota.firmwarenotfound" => (NotFound, Retry::Never, NO_SUCH),
        _ => by_form(&code, http_status),
    }
}

/// Whether a code says that something does not exist.
pub(crate) fn is_absence(code: &str) -> bool {
    let code = code.to_ascii_lowercase();
    ["notfound", "notexist", "nosuch", "nonexist"]
        .iter()
        .any(|mark| code.contains(mark))
}

/// Judges a code that no document lists by its form.
fn by_form(code: &str, http_status: u16) -> (ErrorKind, Retry, &'static str) {
    let product = code.starts_with("iot.");
    if asks_to_slow_down(code) || http_status == 429 {
        return (ErrorKind::Throttled, Retry::Later, SLOW_DOWN);
    }
    // "backend query failed": iot.common.Query*ActionError, iot.device.Query*Failed.
    if product
        && code.contains(".query")
        && (code.ends_with("actionerror") || code.ends_with("failed"))
    {
        return (ErrorKind::Unavailable, Retry::Later, OUT_OF_ORDER);
    }
    if code.starts_with("invalidjobid") || (product && code.contains("invalidjobid")) {
        return (ErrorKind::NotFound, Retry::Never, NO_SUCH);
    }
    if product && is_absence(code) {
        // Only what a request names can be missing for its sender; a missing tenant or user is a matter of our settings.
        let named = ["iot.ota.", "job", "task", "firmware", "product", "device"]
            .iter()
            .any(|mark| code.contains(mark));
        return match named {
            true => (ErrorKind::NotFound, Retry::Never, NO_SUCH),
            false => (
                ErrorKind::Misconfigured,
                Retry::Never,
                "the vendor does not find something that this provider's settings name",
            ),
        };
    }
    if product {
        return (
            ErrorKind::Rejected,
            Retry::Never,
            "the vendor refused the request",
        );
    }
    if code.starts_with("invalidaccesskey") || code.starts_with("signature") {
        return (ErrorKind::Auth, Retry::Never, CREDENTIAL);
    }
    if http_status >= 500 {
        return (ErrorKind::Unavailable, Retry::Later, OUT_OF_ORDER);
    }
    // `Missing<Param>` and `Invalid<Param>`.
    if code.starts_with("missing") || code.starts_with("invalid") {
        return (ErrorKind::InvalidArgument, Retry::Never, ARGUMENT);
    }
    match http_status {
        401 => (ErrorKind::Auth, Retry::Never, CREDENTIAL),
        403 => (ErrorKind::Auth, Retry::Never, RIGHT),
        // Jobs and other things that do not exist have codes of the product, under 200. A 404 with any other code is of something in between.
        404 => (
            ErrorKind::Misconfigured,
            Retry::Never,
            "the 404 does not come from the vendor's API; check `endpoint` and `region`",
        ),
        _ => (
            ErrorKind::Rejected,
            Retry::Never,
            "the vendor refused the request",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::{CredentialSettings, Refusal, Secrets, advised, classify, refusal};
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

    #[track_caller]
    fn check(code: &str, status: u16, kind: ErrorKind, retry: Retry) {
        let (actual_kind, actual_retry, _) = classify(code, status);
        assert_eq!((actual_kind, actual_retry), (kind, retry), "{code}");
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
        let refused = |code: &str| {
            let refused = Refusal {
                code: code.into(),
                message: None,
                request_id: None,
                http_status: 403,
                retry_after: None,
            };
            refusal(refused, &secrets())
        };
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
                let error = advised(refused(code), &source);
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
            assert_eq!(advised(refused(code), &command()).advice(), None);
        }
    }

    #[test]
    fn the_echoed_string_to_sign_is_cut() {
        let error = refusal(
            Refusal {
                code: "SignatureDoesNotMatch".into(),
                message: Some(
                    "Specified signature is not matched with our calculation. server string to sign is:POST&%2F&AccessKeyId%3DLTAIexample%26SecurityToken%3DCAIS%252Ftoken%253D".into(),
                ),
                request_id: Some("R-1".into()),
                http_status: 400,
                retry_after: None,
            },
            &secrets(),
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
            let refused = Refusal {
                code: "signaturedoesnotmatch".into(),
                message: Some(text.into()),
                request_id: None,
                http_status: 400,
                retry_after: None,
            };
            let error = refusal(refused, &secrets());
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
        let wait = super::wait_of(&response);
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
            let refused = Refusal {
                code: code.into(),
                message: None,
                request_id: None,
                http_status: 400,
                retry_after: Some(Duration::from_millis(250)),
            };
            let error = refusal(refused, &secrets());
            assert_eq!(error.retry_after().is_some(), expected, "{code}");
        }
    }
}
