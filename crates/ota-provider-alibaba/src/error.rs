//! The vendor's error codes and what they mean.
//!
//! Sources (read 2026-11-23): IoT Platform help "Error codes" and "Common parameters"; error tables of other products behind the same
//! gateway. Codes are compared case-insensitively: editions differ (`Iot.system.BillIsOverDue`).

use std::time::Duration;

use ota_adapter::Meaning;
use ota_adapter::error::{MAX_MESSAGE_CHARS, code, has_code, vendor_error, with_wait};
use ota_adapter::throttling::asks_to_slow_down;
use ota_core::error::{Retry, VendorError};
use ota_core::{Error, ErrorKind};
use ota_http::server_time::whole_number;
use ota_http::{Response, Secret, redact};

use crate::config::CredentialSettings;
use crate::credentials::Secrets;

/// "There is no such page", under which a list may end.
pub(crate) const NO_SUCH_PAGE: &str = "iot.common.InvalidPageParams";

/// Refusals of the time that a request was signed with. The text of the second one says that the time is missing, but it is sent for a time that is hours off
/// (aliyun/aliyun-openapi-python-sdk issue 41, aliyun/aliyun-cli issue 18): setting the clock solved it.
const TIME: &[&str] = &["InvalidTimeStamp.Expired", "IllegalTimestamp"];

/// Refusals of the signature, whose texts echo the string-to-sign: key id, token and every parameter.
const SIGNATURE: &[&str] = &[
    "SignatureDoesNotMatch",
    "IncompleteSignature",
    "InvalidAccessKeySecret",
];

/// Converts a refusal to an error, without the secrets that the vendor echoes.
pub(crate) fn refusal(
    response: &Response,
    secrets: &Secrets,
    code: &str,
    message: Option<String>,
    request_id: Option<String>,
) -> Error {
    let request_id = request_id.as_deref();
    let request_id = request_id.or_else(|| response.header("x-acs-request-id"));
    let hidden: Vec<&str> = secrets.parts().map(Secret::expose_secret).collect();
    let vendor = vendor_error(response, &hidden, Some(code), None, request_id);
    let error = classify(code, response.status)
        .error()
        .with_vendor(VendorError {
            message: message.and_then(|text| match echoes_signed(code) {
                true => first_words(&text),
                false => Some(clean(&text, secrets)),
            }),
            ..vendor
        });
    with_wait(error, wait_of(response))
}

/// Reads how long the vendor asks to wait: `x-acs-retry-after` in milliseconds, which its current SDKs honour; `TimeLeft` in milliseconds of
/// the rate-limit headers, which older ones did (vendor notes, section 5.2); or `Retry-After`, which a proxy on the way may send.
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
}

/// Whether the vendor refused the time that a request was signed with.
pub(crate) fn is_time_refusal(error: &Error) -> bool {
    has_code(error, TIME)
}

/// Adds advice on a refused credential, by its source: only settings that this source has are named.
pub(crate) fn with_advice_for(error: Error, source: &CredentialSettings) -> Error {
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

/// Whether the vendor refused the credential itself, so that another one may be accepted. A missing permission and a wrong time do not count.
pub(crate) fn is_credential_refusal(error: &Error) -> bool {
    let Some(vendor) = error.vendor().filter(|_| error.kind() == ErrorKind::Auth) else {
        return false;
    };
    let code = code(error).to_ascii_lowercase();
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

/// Whether a failed call shows that the vendor accepts the credential it was signed with: the refusal is about the request itself.
pub(crate) fn accepts_credential(error: &Error) -> bool {
    let judged = match error.kind() {
        ErrorKind::InvalidArgument | ErrorKind::NotFound | ErrorKind::Rejected => true,
        ErrorKind::Auth => !is_time_refusal(error) && !is_credential_refusal(error),
        _ => false,
    };
    judged && error.vendor().is_some()
}

/// Whether the vendor found the signature wrong. The cause can be what was signed as well as the secret.
pub(crate) fn is_signature_refusal(error: &Error) -> bool {
    echoes_signed(code(error))
}

/// Whether a code is one whose texts echo the string-to-sign.
fn echoes_signed(code: &str) -> bool {
    SIGNATURE
        .iter()
        .any(|known| known.eq_ignore_ascii_case(code))
}

/// Returns the plain words that such a text begins with: nothing that is signed looks like them.
fn first_words(text: &str) -> Option<String> {
    let text = redact::head(text);
    let plain = |c: char| c.is_ascii_alphabetic() || matches!(c, ' ' | ',' | '\'');
    let end = text.find(|c| !plain(c)).unwrap_or(text.len());
    // The last word is dropped unless a sentence ended there: it can be the beginning of what was signed.
    let words = match text[end..].starts_with('.') {
        true => &text[..=end],
        false => text[..end].rsplit_once(' ').map_or("", |(words, _)| words),
    };
    (words.len() > 3 && words.len() <= MAX_MESSAGE_CHARS).then(|| words.trim_end().to_owned())
}

/// Removes what must not be shown of a vendor's text: a string-to-sign, credentials, signatures, queries of URLs.
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
    .filter_map(|start| lower.find(start))
    .min();
    // ASCII lower-casing moves no byte, so the index fits the original text.
    let head = cut.map_or(text, |cut| text[..cut].trim_end());
    let hidden = secrets.parts().map(Secret::expose_secret);
    redact::secrets(head, hidden, MAX_MESSAGE_CHARS)
}

pub(crate) const SLOW_DOWN: Meaning =
    Meaning::new(ErrorKind::Throttled, "the vendor asked to slow down");
pub(crate) const OUT_OF_ORDER: Meaning =
    Meaning::new(ErrorKind::Unavailable, "the vendor is out of order");
const NOT_FOUND: Meaning = Meaning::new(
    ErrorKind::NotFound,
    "the vendor does not have what was requested",
);
const CREDENTIAL: Meaning = Meaning::new(
    ErrorKind::Auth,
    "the vendor refused the credential of this provider",
);
const NO_PERMISSION: Meaning = Meaning::new(
    ErrorKind::Auth,
    "the vendor account of this provider lacks the permission for this operation",
);
const ARGUMENT: Meaning = Meaning::new(
    ErrorKind::InvalidArgument,
    "the vendor refused an argument of the request",
);
const REFUSED: Meaning = Meaning::new(ErrorKind::Rejected, "the vendor refused the request");

/// The documented codes. Those of the vendor's API gateway are sent before the product is reached; those of the product (`iot.`) come under HTTP 200.
const DOCUMENTED: &[(&[&str], Meaning)] = &[
    (
        &[
            "Throttling",
            "Throttling.User",
            "Throttling.Api",
            "iot.messagebroker.RateLimit",
        ],
        SLOW_DOWN,
    ),
    (
        &[
            "ServiceUnavailable",
            "ServiceUnavailableTemporary",
            "InternalError",
            "InternalFailure",
            "UnknownError",
            "iot.system.SystemException",
        ],
        OUT_OF_ORDER,
    ),
    (
        TIME,
        Meaning::new(
            ErrorKind::Auth,
            "the vendor refused the time of the request; check the clock of the gateway's machine",
        )
        .with_retry(Retry::Once),
    ),
    (
        &["InvalidTimeStamp.Format"],
        Meaning::new(
            ErrorKind::Auth,
            "the vendor refused the form of the request's time",
        ),
    ),
    // A repeated nonce is often a hidden retry in the transport; a retry with a new one succeeds.
    (
        &["SignatureNonceUsed"],
        Meaning::new(
            ErrorKind::Unavailable,
            "the vendor had seen the request before",
        )
        .with_retry(Retry::Once),
    ),
    (
        SIGNATURE,
        Meaning::new(ErrorKind::Auth, "the vendor refused the signature"),
    ),
    (
        &[
            "InvalidAccessKeyId.NotFound",
            "InvalidAccessKeyId.Inactive",
            "InvalidAccessKeyId",
            "MissingAccessKeyId",
        ],
        Meaning::new(
            ErrorKind::Auth,
            "the AccessKey does not exist at the vendor, or it is disabled",
        ),
    ),
    (
        &[
            "MissingSecurityToken",
            "InvalidSecurityToken.Malformed",
            "InvalidSecurityToken.MismatchWithAccessKey",
            "InvalidSecurityToken.Expired",
        ],
        Meaning::new(ErrorKind::Auth, "the vendor refused the STS token"),
    ),
    (
        &[
            "Forbidden.RAM",
            "Forbidden",
            "NoPermission",
            "iot.common.RamActionPermissionDeny",
            "iot.common.AuthActionPermissionDeny",
        ],
        NO_PERMISSION,
    ),
    (
        &[
            "InvalidAction.NotFound",
            "InvalidVersion",
            "NoSuchVersion",
            "UnsupportedHTTPMethod",
        ],
        Meaning::new(
            ErrorKind::Misconfigured,
            "the vendor does not have the operation; check `endpoint` and `region`",
        ),
    ),
    (
        &["InvalidProtocol.NeedSsl"],
        Meaning::new(
            ErrorKind::Misconfigured,
            "the vendor takes encrypted requests only; use https in `endpoint`",
        ),
    ),
    (
        &[
            "iot.system.InstanceNotFound",
            "iot.Sre.IotInstanceNotFound",
            "MissingIotInstanceId",
            "InvalidIotInstanceId",
        ],
        Meaning::new(
            ErrorKind::Misconfigured,
            "the vendor does not find the instance; check `instance_id` (required if the instance has an ID) and `region`",
        ),
    ),
    (
        &["iot.common.APINotSupportedInInstance"],
        Meaning::new(
            ErrorKind::Misconfigured,
            "the vendor's instance does not have this operation",
        ),
    ),
    (
        &["iot.system.UidNotFound"],
        Meaning::new(
            ErrorKind::Misconfigured,
            "the vendor account has not enabled the IoT Platform in this region",
        ),
    ),
    (
        &["iot.system.BillIsOverDue"],
        Meaning::new(ErrorKind::Rejected, "the vendor account is overdue"),
    ),
    (
        &["iot.common.InvalidTenant"],
        Meaning::new(ErrorKind::Misconfigured, "the vendor refused the tenant"),
    ),
    (
        &[
            NO_SUCH_PAGE,
            "iot.check.InvalidFormattedParameter",
            "iot.common.InvalidFormattedParameter",
            "iot.system.IllegalRequest",
            "iot.check.ParameterIsNotLessThanMax",
            "iot.prod.NullProductKey",
            "iot.prod.InvalidFormattedProductKey",
            "iot.device.InvalidFormattedDeviceName",
            "iot.device.InvalidIoTId",
            "iot.device.NoneDeviceNameElement",
            "iot.device.NullDeviceName",
        ],
        ARGUMENT,
    ),
    // The code for an unknown job is not documented; these are the codes of similar resources.
    (
        &[
            "iot.prod.NotExistedProduct",
            "iot.device.NotExistedDevice",
            "iot.ota.FirmwareNotFound",
        ],
        NOT_FOUND,
    ),
];

/// Returns what a code means.
fn classify(code: &str, http_status: u16) -> Meaning {
    let known = Meaning::find(DOCUMENTED, code);
    known.unwrap_or_else(|| by_form(&code.to_ascii_lowercase(), http_status))
}

/// Whether a code says that something does not exist.
pub(crate) fn is_absence(code: &str) -> bool {
    let code = code.to_ascii_lowercase();
    ["notfound", "notexist", "nosuch", "nonexist"]
        .iter()
        .any(|part| code.contains(part))
}

/// Classifies an undocumented code, in lower case, by its form.
fn by_form(code: &str, http_status: u16) -> Meaning {
    if asks_to_slow_down(code) || http_status == 429 {
        return SLOW_DOWN;
    }
    if let Some(code) = code.strip_prefix("iot.") {
        return by_form_of_product(code);
    }
    if code.starts_with("invalidjobid") {
        return NOT_FOUND;
    }
    if code.starts_with("invalidaccesskey") || code.starts_with("signature") {
        return CREDENTIAL;
    }
    if http_status >= 500 {
        return OUT_OF_ORDER;
    }
    // `Missing<Param>` and `Invalid<Param>`.
    if code.starts_with("missing") || code.starts_with("invalid") {
        return ARGUMENT;
    }
    match http_status {
        401 => CREDENTIAL,
        403 => NO_PERMISSION,
        // Jobs and other resources that do not exist have codes of the product, under 200. A 404 with any other code was sent by something in between.
        404 => Meaning::new(
            ErrorKind::Misconfigured,
            "the 404 does not come from the vendor's API; check `endpoint` and `region`",
        ),
        _ => REFUSED,
    }
}

/// Classifies an undocumented code of the product, without its `iot.`.
fn by_form_of_product(code: &str) -> Meaning {
    // "backend query failed": iot.common.Query*ActionError, iot.device.Query*Failed.
    if code.contains(".query") && (code.ends_with("actionerror") || code.ends_with("failed")) {
        return OUT_OF_ORDER;
    }
    if code.contains("invalidjobid") {
        return NOT_FOUND;
    }
    if !is_absence(code) {
        return REFUSED;
    }
    // Not found for the caller is only what a request can name; a missing tenant or user comes from the provider's settings.
    let named = ["job", "task", "firmware", "product", "device"];
    match code.starts_with("ota.") || named.iter().any(|name| code.contains(name)) {
        true => NOT_FOUND,
        false => Meaning::new(
            ErrorKind::Misconfigured,
            "the vendor does not find something that this provider's settings name",
        ),
    }
}

#[cfg(test)]
mod tests;
