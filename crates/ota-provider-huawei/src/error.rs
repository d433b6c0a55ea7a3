//! What an answer is: data, a refusal, or nothing of this API.

use std::time::Duration;

use ota_core::error::{Retry, VendorError};
use ota_core::{Error, ErrorKind};
use ota_http::json::{self, Budget, Unreadable};
use ota_http::lenient::Leaf;
use ota_http::slower::asks_to_slow_down;
use ota_http::{Response, redact};
use serde_json::{Map, Value};

/// The longest vendor text that an error repeats, in characters.
const MAX_MESSAGE_CHARS: usize = 300;

/// The longest vendor code that an error repeats, in characters; documented codes have seven.
const MAX_CODE_CHARS: usize = 64;

/// The longest hint to wait that is believed: the window in which the vendor counts calls.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(60);

/// The code of "the requested task does not exist".
pub(crate) const UNKNOWN_OPERATION: &str = "123009";

/// The code of a device or a package that does not exist.
pub(crate) const UNKNOWN_DEVICE: &str = "123002";

/// "pageNo or pageSize beyond the limit." (vendor notes, section 1.4)
pub(crate) const PAGE_BEYOND_LIMIT: &str = "123029";

/// "AppId for auth not exist.": the header is missing, or a proxy that dislikes underscores has dropped it.
const NO_APPLICATION: &str = "100025";

const NO_APPLICATION_ADVICE: &str = "a proxy on the way may drop headers with an underscore, as nginx does unless `underscores_in_headers on` is set there; if there is none, ask the platform's operator for the name of the header and set `app_key_header` to it";

/// "Bad request. The required fields is invalid." Says nothing about which field.
const UNREADABLE_ARGUMENT: &str = "120015";

/// Turns the refusal of an argument that the caller did not send into a refusal of the vendor's. `sent` says whether the call carried an
/// identifier or a text of the caller's. Page numbers are the gateway's, and no call of this adapter carries fields of a new task.
pub(crate) fn blame(error: Error, sent: bool) -> Error {
    let code = error.vendor().and_then(|vendor| vendor.code.as_deref());
    let callers = match error.kind() {
        ErrorKind::NotFound => sent,
        ErrorKind::InvalidArgument => sent && code.is_none_or(|code| code == UNREADABLE_ARGUMENT),
        _ => return error,
    };
    match callers {
        true => error,
        false => error.as_kind(
            ErrorKind::Rejected,
            "the vendor refused an argument that the gateway added to the call; see `vendor`",
        ),
    }
}

/// As [`blame`], for a call that names a task and nothing else of the caller's: a device or a package that does not exist is not that task.
pub(crate) fn blame_task(error: Error) -> Error {
    let code = error.vendor().and_then(|vendor| vendor.code.as_deref());
    let names_task = code != Some(UNKNOWN_DEVICE);
    blame(error, names_task)
}

/// Why a call brought no data.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) error: Error,
    /// Whether the vendor refused the access token: a new one may be accepted.
    pub(crate) token: bool,
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Self {
            error,
            token: false,
        }
    }
}

/// Returns kind and public message of a documented code, and whether it refuses the access token.
///
/// 120015, 123029, 1010009, 1010005 and 123009 are in the error table of "Querying an Upgrade Task List" (page of 2022-02-24,
/// read 2026-11-23). The others are taken from the error tables of the other calls as excerpted in the project's vendor
/// notes, section 1.4; 1005, 100002 and 100006 are known only from a third-party integration. The code decides, not the HTTP
/// status: 403 comes with a bad token and with a throttle.
fn documented(code: &str) -> Option<(ErrorKind, &'static str, bool)> {
    const TOKEN: bool = true;
    const OTHER: bool = false;
    Some(match code {
        // "app throttle exceed." Never answered by a login, which would be one call more.
        "1010009" => (
            ErrorKind::Throttled,
            "the vendor says that the application makes too many calls",
            OTHER,
        ),
        // Expired, replaced, malformed and missing tokens all look like this.
        "1010005" | "1005" | "100002" => (
            ErrorKind::Auth,
            "the vendor refused the access token of the application",
            TOKEN,
        ),
        // "refreshToken invalid" (third-party integration).
        "100006" => (
            ErrorKind::Auth,
            "the vendor refused the refresh token of the application",
            OTHER,
        ),
        NO_APPLICATION => (
            ErrorKind::Auth,
            "the vendor did not see the application's ID; its operator knows whether `app_key_header` is app_key or x-app-key",
            OTHER,
        ),
        "100208" => (
            ErrorKind::Auth,
            "the vendor refused the application's ID or secret",
            OTHER,
        ),
        "100217" => (
            ErrorKind::Auth,
            "the application lacks the permission for this at the vendor",
            OTHER,
        ),
        "100203" => (
            ErrorKind::Misconfigured,
            "the vendor does not know the application; check `app_id` and `endpoint`",
            OTHER,
        ),
        "100247" => (
            ErrorKind::Rejected,
            "the vendor has frozen the application",
            OTHER,
        ),
        // Of login and refresh, whose fields are all settings.
        "102202" | "50400" => (
            ErrorKind::Misconfigured,
            "the vendor cannot read the application's ID or secret",
            OTHER,
        ),
        // Bad callback address; of the subscription, whose fields are all settings.
        "100222" | "100228" => (
            ErrorKind::Misconfigured,
            "the vendor cannot use the callback address",
            OTHER,
        ),
        UNREADABLE_ARGUMENT => (
            ErrorKind::InvalidArgument,
            "the vendor cannot read an argument of the request",
            OTHER,
        ),
        "123029" => (
            ErrorKind::InvalidArgument,
            "the list has no such page at the vendor",
            OTHER,
        ),
        // Wrong or missing fields of a new task, from "targetversion not match with device" to "startTime before now".
        "123016" | "123019" | "123020" | "123021" | "123022" | "123023" | "123024" | "123025"
        | "123026" | "123028" | "123032" | "123033" => (
            ErrorKind::InvalidArgument,
            "the vendor refused a field of the task",
            OTHER,
        ),
        UNKNOWN_OPERATION => (
            ErrorKind::NotFound,
            "the vendor does not know the task",
            OTHER,
        ),
        UNKNOWN_DEVICE => (
            ErrorKind::NotFound,
            "the vendor does not know the device or the package",
            OTHER,
        ),
        "50252" => (
            ErrorKind::Unavailable,
            "the vendor reports an internal error",
            OTHER,
        ),
        _ => return None,
    })
}

/// Whether the vendor refused the application's ID or secret, as far as it says what it refused.
pub(crate) fn is_secret_refusal(error: &Error) -> bool {
    let code = error.vendor().and_then(|vendor| vendor.code.as_deref());
    error.kind() == ErrorKind::Auth && code.is_none_or(|code| code.trim() == "100208")
}

/// The vendor says by a code that something does not exist. A 404 without one is of something in between, which knows no way to the
/// vendor: it says nothing about a task.
const NOT_THE_VENDORS_404: &str = "the 404 does not come from the platform's API; a proxy without a route to the platform, or another server, answers at `endpoint`";

/// Whether a code is of the vendor's form: a number. Gateways in front of it have names (`APIG.0101`).
fn is_of_vendors_form(code: &str) -> bool {
    let code = code.trim();
    !code.is_empty() && code.bytes().all(|byte| byte.is_ascii_digit())
}

/// Whether the vendor speaks of an access token. A login carries none, so as its answer this says nothing about the secret.
pub(crate) fn is_token_refusal(error: &Error) -> bool {
    let code = error.vendor().and_then(|vendor| vendor.code.as_deref());
    code.and_then(|code| documented(code.trim()))
        .is_some_and(|(_, _, token)| token)
}

/// Returns kind and public message of an answer whose status is all that can be judged.
fn by_status(status: u16) -> (ErrorKind, &'static str) {
    match status {
        401 | 403 => (ErrorKind::Auth, "the vendor refused the application"),
        404 => (ErrorKind::Protocol, NOT_THE_VENDORS_404),
        429 => (
            ErrorKind::Throttled,
            "the vendor says that the application makes too many calls",
        ),
        500..=599 => (ErrorKind::Unavailable, "the vendor is out of order"),
        _ => (ErrorKind::Rejected, "the vendor refused the call"),
    }
}

/// Reads an answer: the body first, then the status.
///
/// An `error_code` is a failure under every status, also 200, and one that is null is none: so does the vendor's
/// Java SDK V1.5.1 (vendor notes, section 1.4). `secrets` are removed from what the error repeats of the answer.
///
/// `odd` is called with the name of each field in which something was replaced or stays as text.
///
/// # Errors
/// Why the answer holds no data.
pub(crate) fn judge(
    response: &Response,
    secrets: &[&str],
    odd: &dyn Fn(&str),
) -> Result<Map<String, Value>, Refusal> {
    // The content type is not asked: proxies and old platforms send good JSON as plain text.
    let document = match json::read(&response.body) {
        Ok(document) => document,
        Err(Unreadable::TooMuch) => return Err(too_much().into()),
        Err(_) => return Err(unreadable(response)),
    };
    let hidden = redact::Hidden::new(secrets.iter().copied());
    for field in document.odd.fields() {
        odd(&hidden.text(field.to_owned()));
    }
    let Value::Object(mut body) = document.value else {
        return Err(unreadable(response));
    };
    let code = body.remove("error_code").map(Leaf).unwrap_or_default();
    let text = body.remove("error_desc").map(Leaf).unwrap_or_default();
    let success = (200..300).contains(&response.status);
    if code.is_absent() && success {
        return Ok(body);
    }
    let code = match code.text() {
        _ if code.is_absent() => None,
        Some(text) => Some(text),
        // No document has such a code, but a refusal it is.
        None => Some("(not a text)".to_owned()),
    };
    let known = code.as_deref().and_then(|code| documented(code.trim()));
    let (kind, message, token) = match (known, &code) {
        (Some(known), _) => known,
        (None, Some(code)) if asks_to_slow_down(code) => {
            let (kind, message) = by_status(429);
            (kind, message, false)
        }
        (None, Some(code)) => {
            let (kind, message) = match response.status {
                404 if !is_of_vendors_form(code) => by_status(404),
                status @ (401 | 429 | 500..=599) => by_status(status),
                _ => (
                    ErrorKind::Rejected,
                    "the vendor refused the call with a code that is not documented",
                ),
            };
            (kind, message, response.status == 401)
        }
        (None, None) => {
            let (kind, message) = by_status(response.status);
            (kind, message, response.status == 401)
        }
    };
    let unseen = code
        .as_deref()
        .is_some_and(|code| code.trim() == NO_APPLICATION);
    let clean = |text: String, max| redact::secrets(&text, secrets.iter().copied(), max);
    let vendor = VendorError {
        code: code.map(|code| clean(code, MAX_CODE_CHARS)),
        message: text.text().map(|text| clean(text, MAX_MESSAGE_CHARS)),
        ..told_by_headers(response, secrets)
    };
    let error = Error::new(kind, message).with_vendor(vendor);
    let error = match kind {
        // As for a page of a proxy: it may be gone the next time.
        ErrorKind::Protocol => error.with_retry(Retry::Later),
        _ => error,
    };
    let error = match unseen {
        true => error.with_advice(NO_APPLICATION_ADVICE),
        false => error,
    };
    Err(Refusal {
        error: with_wait(error, response),
        token,
    })
}

/// Adds how long the server asks to wait. No document of this API has `Retry-After`; the gateways in front of it may send it.
fn with_wait(error: Error, response: &Response) -> Error {
    match response.retry_after().map(|wait| wait.min(MAX_RETRY_AFTER)) {
        Some(wait) if matches!(error.kind(), ErrorKind::Throttled | ErrorKind::Unavailable) => {
            error.with_retry_after(wait)
        }
        _ => error,
    }
}

/// An answer that is not one of this API: a page for people, nothing, half of something.
fn unreadable(response: &Response) -> Refusal {
    let html = response.is_html();
    let (kind, message) = match response.status {
        status @ 500..=599 => by_status(status),
        status @ 429 if !html => by_status(status),
        // Nothing is known but that the credential was refused, so a new token is worth a try.
        status @ 401 if !html => by_status(status),
        _ if html => (
            ErrorKind::Protocol,
            "an HTML page came instead of the vendor's response; a proxy or another port answers at `endpoint`",
        ),
        _ => (
            ErrorKind::Protocol,
            "the vendor's answer cannot be read as JSON",
        ),
    };
    let error = Error::new(kind, message)
        .with_vendor(told_by_headers(response, &[]))
        .with_context("body_bytes", response.body.len().to_string());
    // A cut answer may come whole the next time, and a proxy's page may be gone; where an endpoint is wrong, a repetition costs a few calls.
    let error = if kind == ErrorKind::Protocol {
        error.with_retry(Retry::Later)
    } else {
        error
    };
    Refusal {
        error: with_wait(error, response),
        token: kind == ErrorKind::Auth,
    }
}

fn told_by_headers(response: &Response, secrets: &[&str]) -> VendorError {
    VendorError {
        // Not documented for this API; the gateways in front of it set it.
        request_id: response
            .header("x-request-id")
            .map(|id| redact::secrets(id, secrets.iter().copied(), MAX_CODE_CHARS)),
        http_status: Some(response.status),
        ..VendorError::default()
    }
}

/// The error for an answer that would take more memory than any page that was asked for. The next one would be the same.
pub(crate) fn too_much() -> Error {
    Error::new(
        ErrorKind::Protocol,
        format!(
            "the vendor's answer holds far more than was asked for; at most {} rows are read of one answer",
            Budget::MAX_ROWS
        ),
    )
}

/// The error for JSON that is not the answer of the call.
pub(crate) fn wrong_shape(missing: &'static str) -> Error {
    Error::new(
        ErrorKind::Protocol,
        "the vendor's response does not belong to the call",
    )
    .with_context("missing", missing)
}

#[cfg(test)]
mod tests;
