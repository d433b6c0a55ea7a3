//! The vendor's error codes, and what they mean to us.

use ota_adapter::answer::ErrorFormat;
use ota_adapter::error::Meaning;
use ota_core::ErrorKind;

/// How the vendor words a refusal: `{"code": "...", "message": "..."}`.
pub(crate) const FORMAT: ErrorFormat = ErrorFormat {
    code: "code",
    message: "message",
    request_id: "x-request-id",
    documented: |code| Meaning::find(DOCUMENTED, code),
    undocumented,
};

/// The documented codes. Cite the page of each, and the date on which you read it.
const DOCUMENTED: &[(&[&str], Meaning)] = &[
    (
        &["Unauthorized"],
        Meaning::new(ErrorKind::Auth, "the vendor refused the token"),
    ),
    (
        &["NotFound"],
        Meaning::new(
            ErrorKind::NotFound,
            "the vendor does not know what was asked for",
        ),
    ),
    (
        &["TooManyRequests"],
        Meaning::new(
            ErrorKind::Throttled,
            "the vendor says that the account makes too many calls",
        ),
    ),
];

/// What a refusal means whose code is of no document, or that has none.
fn undocumented(code: Option<&str>, status: u16) -> Meaning {
    match (code, status) {
        (_, 401) => Meaning::new(ErrorKind::Auth, "the vendor refused the token"),
        (_, 429) => Meaning::new(ErrorKind::Throttled, "the vendor asked to slow down"),
        (_, 500..=599) => Meaning::new(ErrorKind::Unavailable, "the vendor is out of order"),
        (None, 404) => Meaning::new(
            ErrorKind::Protocol,
            "a 404 came that is not one of the vendor's; check `endpoint`",
        ),
        _ => Meaning::new(ErrorKind::Rejected, "the vendor refused the request"),
    }
}

#[cfg(test)]
mod tests {
    use super::{DOCUMENTED, undocumented};
    use ota_adapter::error::Meaning;
    use ota_core::ErrorKind;

    #[test]
    fn the_code_decides_and_then_the_status() {
        let known = |code| Meaning::find(DOCUMENTED, code).unwrap().kind;
        assert_eq!(known("Unauthorized"), ErrorKind::Auth);
        assert_eq!(known("TooManyRequests"), ErrorKind::Throttled);
        assert_eq!(undocumented(None, 503).kind, ErrorKind::Unavailable);
        assert_eq!(undocumented(None, 404).kind, ErrorKind::Protocol);
        assert_eq!(undocumented(Some("New"), 400).kind, ErrorKind::Rejected);
    }
}
