//! The vendor's error codes, and what they mean to us.

use ota_adapter::answer::ErrorFormat;
use ota_adapter::error::{Meaning, code, has_code, not_the_callers};
use ota_core::{Error, ErrorKind, Result};
use ota_http::Response;
use serde_json::{Map, Value};

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

/// Expired, replaced, malformed and missing access tokens all look like this.
const TOKEN: &[&str] = &["1010005", "1005", "100002"];

const SLOW_DOWN: Meaning = Meaning::new(
    ErrorKind::Throttled,
    "the vendor says that the application makes too many calls",
);

/// The documented codes.
///
/// 120015, 123029, 1010009, 1010005 and 123009 are in the error table of "Querying an Upgrade Task List" (page of 2022-02-24,
/// read 2026-11-23). The others are taken from the error tables of the other calls as excerpted in the project's vendor
/// notes, section 1.4; 1005, 100002 and 100006 are known only from a third-party integration. The code decides, not the HTTP
/// status: 403 comes with a bad token and with a throttle.
const DOCUMENTED: &[(&[&str], Meaning)] = &[
    // "app throttle exceed." Never answered by a login, which would be one call more.
    (&["1010009"], SLOW_DOWN),
    (
        TOKEN,
        Meaning::new(
            ErrorKind::Auth,
            "the vendor refused the access token of the application",
        ),
    ),
    // "refreshToken invalid" (third-party integration).
    (
        &["100006"],
        Meaning::new(
            ErrorKind::Auth,
            "the vendor refused the refresh token of the application",
        ),
    ),
    (
        &[NO_APPLICATION],
        Meaning::new(
            ErrorKind::Auth,
            "the vendor did not see the application's ID; its operator knows whether `app_key_header` is app_key or x-app-key",
        ),
    ),
    (
        &["100208"],
        Meaning::new(
            ErrorKind::Auth,
            "the vendor refused the application's ID or secret",
        ),
    ),
    (
        &["100217"],
        Meaning::new(
            ErrorKind::Auth,
            "the application lacks the permission for this at the vendor",
        ),
    ),
    (
        &["100203"],
        Meaning::new(
            ErrorKind::Misconfigured,
            "the vendor does not know the application; check `app_id` and `endpoint`",
        ),
    ),
    (
        &["100247"],
        Meaning::new(ErrorKind::Rejected, "the vendor has frozen the application"),
    ),
    // Of login and refresh, whose fields are all settings.
    (
        &["102202", "50400"],
        Meaning::new(
            ErrorKind::Misconfigured,
            "the vendor cannot read the application's ID or secret",
        ),
    ),
    // Bad callback address; of the subscription, whose fields are all settings.
    (
        &["100222", "100228"],
        Meaning::new(
            ErrorKind::Misconfigured,
            "the vendor cannot use the callback address",
        ),
    ),
    (
        &[UNREADABLE_ARGUMENT],
        Meaning::new(
            ErrorKind::InvalidArgument,
            "the vendor cannot read an argument of the request",
        ),
    ),
    (
        &[PAGE_BEYOND_LIMIT],
        Meaning::new(
            ErrorKind::InvalidArgument,
            "the list has no such page at the vendor",
        ),
    ),
    // Wrong or missing fields of a new task, from "targetversion not match with device" to "startTime before now".
    (
        &[
            "123016", "123019", "123020", "123021", "123022", "123023", "123024", "123025",
            "123026", "123028", "123032", "123033",
        ],
        Meaning::new(
            ErrorKind::InvalidArgument,
            "the vendor refused a field of the task",
        ),
    ),
    (
        &[UNKNOWN_OPERATION],
        Meaning::new(ErrorKind::NotFound, "the vendor does not know the task"),
    ),
    (
        &[UNKNOWN_DEVICE],
        Meaning::new(
            ErrorKind::NotFound,
            "the vendor does not know the device or the package",
        ),
    ),
    (
        &["50252"],
        Meaning::new(
            ErrorKind::Unavailable,
            "the vendor reports an internal error",
        ),
    ),
];

/// An `error_code` is a failure under every status, also 200, and one that is null is none: so does the vendor's Java SDK V1.5.1 (vendor notes, section
/// 1.4). `x-request-id` is not documented for this API; the gateways in front of it set it.
const FORMAT: ErrorFormat = ErrorFormat {
    code: "error_code",
    message: "error_desc",
    request_id: "x-request-id",
    documented: |code| Meaning::find(DOCUMENTED, code),
    undocumented,
};

/// What a refusal means whose code is of no document, or that has none.
fn undocumented(code: Option<&str>, status: u16) -> Meaning {
    match (code, status) {
        (_, 401) | (None, 403) => {
            Meaning::new(ErrorKind::Auth, "the vendor refused the application")
        }
        // The vendor says by a code that something does not exist. A 404 without one is of something in between, which knows no way to the vendor: it
        // says nothing about a task.
        (code, 404) if code.is_none_or(|code| !is_of_vendors_form(code)) => Meaning::new(
            ErrorKind::Protocol,
            "the 404 does not come from the platform's API; a proxy without a route to the platform, or another server, answers at `endpoint`",
        ),
        (_, 429) => SLOW_DOWN,
        (_, 500..=599) => Meaning::new(ErrorKind::Unavailable, "the vendor is out of order"),
        (None, _) => Meaning::new(ErrorKind::Rejected, "the vendor refused the call"),
        (Some(_), _) => Meaning::new(
            ErrorKind::Rejected,
            "the vendor refused the call with a code that is not documented",
        ),
    }
}

/// Whether a code is of the vendor's form: a number. Gateways in front of it have names (`APIG.0101`).
fn is_of_vendors_form(code: &str) -> bool {
    let code = code.trim();
    !code.is_empty() && code.bytes().all(|byte| byte.is_ascii_digit())
}

/// Reads an answer: the body first, then the status. `secrets` are removed from what the error repeats of the answer.
///
/// # Errors
/// Why the answer holds no data.
pub(crate) fn interpret(
    response: &Response,
    secrets: &[&str],
    malformed: &dyn Fn(&str),
) -> Result<Map<String, Value>> {
    let result = FORMAT.read(response, secrets, malformed);
    result.map_err(|error| match has_code(&error, &[NO_APPLICATION]) {
        true => error.with_advice(NO_APPLICATION_ADVICE),
        false => error,
    })
}

/// Turns the refusal of an argument that the caller did not send into a refusal of the vendor's. `sent` says whether the call carried an
/// identifier or a text of the caller's. Page numbers are the gateway's, and no call of this adapter carries fields of a new task.
pub(crate) fn blame(error: Error, sent: bool) -> Error {
    let callers = match error.kind() {
        ErrorKind::NotFound => sent,
        ErrorKind::InvalidArgument => sent && has_code(&error, &["", UNREADABLE_ARGUMENT]),
        _ => return error,
    };
    match callers {
        true => error,
        false => not_the_callers(error),
    }
}

/// As [`blame`], for a call that names a task and nothing else of the caller's: a device or a package that does not exist is not that task.
pub(crate) fn blame_task(error: Error) -> Error {
    let names_task = !has_code(&error, &[UNKNOWN_DEVICE]);
    blame(error, names_task)
}

/// Whether the vendor refused the application's ID or secret, as far as it says what it refused.
pub(crate) fn is_secret_refusal(error: &Error) -> bool {
    error.kind() == ErrorKind::Auth && has_code(error, &["", "100208"])
}

/// Whether the vendor refused the access token: a new one may be accepted. A 401 whose code is of no document, or that has none, may mean it.
pub(crate) fn is_token_refusal(error: &Error) -> bool {
    let status = error.vendor().and_then(|vendor| vendor.http_status);
    error.kind() == ErrorKind::Auth
        && match Meaning::find(DOCUMENTED, code(error)) {
            Some(_) => speaks_of_token(error),
            None => status == Some(401),
        }
}

/// Whether the vendor speaks of an access token. A login carries none, so as its answer this says nothing about the secret.
pub(crate) fn speaks_of_token(error: &Error) -> bool {
    has_code(error, TOKEN)
}

#[cfg(test)]
mod tests;
