//! What an adapter's errors have in common: the table of a vendor's codes, the advice to wait, and who is to blame.

use std::time::Duration;

use ota_core::error::{Retry, VendorError};
use ota_core::id::JobId;
use ota_core::{Error, ErrorKind, Result};
use ota_http::json::Budget;
use ota_http::{Response, redact};

/// The longest vendor text that an error repeats, in characters.
pub const MAX_MESSAGE_CHARS: usize = 300;

/// The longest vendor code or request identifier that an error repeats, in characters.
pub const MAX_CODE_CHARS: usize = 100;

/// The longest hint to wait that is believed: vendors count calls in windows of at most a minute.
pub const MAX_RETRY_AFTER: Duration = Duration::from_secs(60);

/// What a vendor's code or status means: a row of an adapter's error table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Meaning {
    /// The kind.
    pub kind: ErrorKind,
    /// Whether a retry may succeed; `None` for the default of the kind.
    pub retry: Option<Retry>,
    /// The public message: lower case, no full stop, fit for any caller.
    pub message: &'static str,
}

impl Meaning {
    /// Creates the meaning with the retry advice that the kind suggests.
    #[must_use]
    pub const fn new(kind: ErrorKind, message: &'static str) -> Self {
        Self {
            kind,
            retry: None,
            message,
        }
    }

    /// Replaces the retry advice.
    #[must_use]
    pub const fn with_retry(self, retry: Retry) -> Self {
        Self {
            retry: Some(retry),
            ..self
        }
    }

    /// Creates the error.
    #[must_use]
    pub fn error(self) -> Error {
        let error = Error::new(self.kind, self.message);
        match self.retry {
            Some(retry) => error.with_retry(retry),
            None => error,
        }
    }

    /// Finds a code in an adapter's table, which is compared without case.
    #[must_use]
    pub fn find(table: &[(&[&str], Self)], code: &str) -> Option<Self> {
        let known = |(codes, _): &&(&[&str], Self)| {
            codes.iter().any(|known| known.eq_ignore_ascii_case(code))
        };
        table.iter().find(known).map(|(_, meaning)| *meaning)
    }
}

/// Turns the refusal of an unknown identifier into "nothing found".
///
/// # Errors
/// Any other error.
pub fn found<T>(result: Result<T>) -> Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Checks that an answer about one job is about the one that was asked for.
///
/// # Errors
/// `protocol` for another one: taken for the answer, it would show one job under the identifier of the other.
pub fn about_the_same(operation: &'static str, asked: &JobId, answered: &JobId) -> Result<()> {
    if asked == answered {
        return Ok(());
    }
    let message = "the vendor answered with another job than the one that was asked for";
    Err(Error::new(ErrorKind::Protocol, message)
        .with_retry(Retry::Later)
        .with_operation(operation))
}

/// Returns the vendor's code of an error, empty where there is none.
#[must_use]
pub fn code(error: &Error) -> &str {
    let code = error.vendor().and_then(|vendor| vendor.code.as_deref());
    code.unwrap_or_default().trim()
}

/// Returns whether the vendor refused with one of these codes, compared without case.
#[must_use]
pub fn has_code(error: &Error, codes: &[&str]) -> bool {
    let own = code(error);
    codes.iter().any(|known| known.eq_ignore_ascii_case(own))
}

/// Adds how long the vendor asks to wait, where a wait helps; no longer than [`MAX_RETRY_AFTER`].
#[must_use]
pub fn with_wait(error: Error, wait: Option<Duration>) -> Error {
    match wait {
        Some(wait) if matches!(error.kind(), ErrorKind::Throttled | ErrorKind::Unavailable) => {
            error.with_retry_after(wait.min(MAX_RETRY_AFTER))
        }
        _ => error,
    }
}

/// Turns the refusal of an argument that the caller did not send into a refusal of the vendor's.
#[must_use]
pub fn not_the_callers(error: Error) -> Error {
    error.as_kind(
        ErrorKind::Rejected,
        "the vendor refused an argument that the gateway added to the call; see `vendor`",
    )
}

/// Returns what the vendor said, without secrets and no longer than an error may be.
#[must_use]
pub fn vendor_error(
    response: &Response,
    secrets: &[&str],
    code: Option<&str>,
    message: Option<&str>,
    request_id: Option<&str>,
) -> VendorError {
    let clean = |text: &str, max| redact::secrets(text, secrets.iter().copied(), max);
    VendorError {
        code: code
            .map(|code| clean(code, MAX_CODE_CHARS))
            .filter(|code| !code.is_empty()),
        message: message.map(|message| clean(message, MAX_MESSAGE_CHARS)),
        request_id: request_id.map(|id| clean(id, MAX_CODE_CHARS)),
        http_status: Some(response.status),
    }
}

/// Returns the error for an answer that would take more memory than any page that was asked for. The next one would be the same.
#[must_use]
pub fn too_many_rows() -> Error {
    Error::new(
        ErrorKind::Protocol,
        format!(
            "the vendor's answer holds far more than was asked for; at most {} rows are read of one answer",
            Budget::MAX_ROWS
        ),
    )
}

/// Returns the error for a readable answer that is not the one of the call: `missing` is the vendor's name of what it should hold. A source of rows has the
/// same with its operation: [`crate::Source::wrong_shape`].
#[must_use]
pub fn wrong_shape(missing: &'static str) -> Error {
    Error::new(
        ErrorKind::Protocol,
        "the vendor's response does not belong to the call",
    )
    .with_context("missing", missing)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use ota_core::error::{Retry, VendorError};
    use ota_core::{Error, ErrorKind};

    use super::{MAX_RETRY_AFTER, Meaning, found, has_code, not_the_callers, with_wait};

    const TABLE: &[(&[&str], Meaning)] = &[
        (
            &["Busy", "Throttled"],
            Meaning::new(ErrorKind::Throttled, "slow down"),
        ),
        (
            &["Clock"],
            Meaning::new(ErrorKind::Auth, "the time").with_retry(Retry::Once),
        ),
    ];

    #[test]
    fn a_table_is_read_without_case() {
        let meaning = Meaning::find(TABLE, "THROTTLED").unwrap();
        assert_eq!(meaning.error().retry(), Retry::Later);
        assert_eq!(
            Meaning::find(TABLE, "clock").unwrap().error().retry(),
            Retry::Once
        );
        assert_eq!(Meaning::find(TABLE, ""), None);
    }

    #[test]
    fn a_wait_is_added_where_it_helps_and_bounded() {
        let wait = |kind, wait| with_wait(Error::new(kind, ""), wait).retry_after();
        let second = Some(Duration::from_secs(1));
        assert_eq!(wait(ErrorKind::Throttled, second), second);
        assert_eq!(
            wait(ErrorKind::Unavailable, Some(Duration::MAX)),
            Some(MAX_RETRY_AFTER)
        );
        assert_eq!(wait(ErrorKind::Rejected, second), None);
        assert_eq!(wait(ErrorKind::Throttled, None), None);
    }

    #[test]
    fn not_found_is_nothing_and_other_errors_stay() {
        assert_eq!(found(Ok(1)).unwrap(), Some(1));
        assert_eq!(
            found::<()>(Err(Error::new(ErrorKind::NotFound, ""))).unwrap(),
            None
        );
        assert!(found::<()>(Err(Error::new(ErrorKind::Auth, ""))).is_err());
    }

    #[test]
    fn what_the_caller_did_not_send_is_the_vendors_refusal() {
        let error = Error::new(ErrorKind::InvalidArgument, "").with_vendor(VendorError {
            code: Some(" InvalidPage ".to_owned()),
            ..VendorError::default()
        });
        let error = not_the_callers(error);
        assert_eq!(error.kind(), ErrorKind::Rejected);
        assert!(has_code(&error, &["invalidpage"]) && !has_code(&error, &[]));
    }
}
