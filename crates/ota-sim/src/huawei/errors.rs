//! Errors of the classic northbound API: HTTP status, `error_code` and `error_desc`.
//!
//! Sources: error tables of the API reference (login, refresh, operations) and "返回结果". Codes of older platforms come
//! from third-party integrations.

use http::StatusCode;

use super::config::BadToken;
use crate::counters::Refusal;

/// One row of the error tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Error {
    pub(super) status: StatusCode,
    pub(super) code: &'static str,
    pub(super) text: &'static str,
    pub(super) refusal: Refusal,
    /// Comes with HTTP 200, contrary to the table.
    pub(super) with_200: bool,
}

const fn error(
    status: StatusCode,
    code: &'static str,
    text: &'static str,
    refusal: Refusal,
) -> Error {
    Error {
        status,
        code,
        text,
        refusal,
        with_200: false,
    }
}

pub(super) const APP_FROZEN: Error = error(
    StatusCode::BAD_REQUEST,
    "100247",
    "Operation not allowed. The application has been frozen.",
    Refusal::Credential,
);
pub(super) const PARAMETER_MISSING: Error = error(
    StatusCode::BAD_REQUEST,
    "102202",
    "Required Parameter is null or empty.",
    Refusal::Parameter,
);
pub(super) const INPUT_INVALID: Error = error(
    StatusCode::BAD_REQUEST,
    "50400",
    "The input is invalid.",
    Refusal::Parameter,
);
pub(super) const WRONG_SECRET: Error = error(
    StatusCode::UNAUTHORIZED,
    "100208",
    "AppId or secret is not right.",
    Refusal::Credential,
);
pub(super) const INTERNAL: Error = error(
    StatusCode::INTERNAL_SERVER_ERROR,
    "50252",
    "Internal server error.",
    Refusal::Fault,
);
pub(super) const NO_APP_KEY: Error = error(
    StatusCode::UNAUTHORIZED,
    "100025",
    "AppId for auth not exist.",
    Refusal::Credential,
);
pub(super) const THROTTLED: Error = error(
    StatusCode::FORBIDDEN,
    "1010009",
    "app throttle exceed.",
    Refusal::Throttled,
);
pub(super) const BAD_REQUEST: Error = error(
    StatusCode::BAD_REQUEST,
    "120015",
    "Bad request error.",
    Refusal::Parameter,
);
pub(super) const PAGE_LIMIT: Error = error(
    StatusCode::BAD_REQUEST,
    "123029",
    "pageNo or pageSize beyond the limit.",
    Refusal::Parameter,
);
pub(super) const NO_TASK: Error = error(
    StatusCode::NOT_FOUND,
    "123009",
    "The requested task does not exist.",
    Refusal::NotFound,
);
pub(super) const NO_PACKAGE: Error = error(
    StatusCode::NOT_FOUND,
    "123002",
    "Device or package file not found.",
    Refusal::NotFound,
);
/// A refusal of no document.
pub(super) const REFUSED: Error = error(
    StatusCode::BAD_REQUEST,
    "199999",
    "Refused.",
    Refusal::Fault,
);
/// Documented with status 200 for neighbouring calls.
pub(super) const NO_APPLICATION: Error = Error {
    with_200: true,
    ..error(
        StatusCode::OK,
        "100203",
        "The application is not existed.",
        Refusal::Fault,
    )
};

/// A bad token, as this platform answers it.
pub(super) fn bad_token(style: BadToken) -> Error {
    match style {
        BadToken::Forbidden1010005 => error(
            StatusCode::FORBIDDEN,
            "1010005",
            "App_key or access_token is invalid.",
            Refusal::Token,
        ),
        BadToken::Forbidden1005 => error(
            StatusCode::FORBIDDEN,
            "1005",
            "Invalid access token or appId.",
            Refusal::Token,
        ),
        BadToken::Unauthorized100002 => error(
            StatusCode::UNAUTHORIZED,
            "100002",
            "Invalid access token.",
            Refusal::Token,
        ),
    }
}
