//! Why an answer cannot be read, in either format.

use ota_http::json::Unreadable;

/// Why an answer cannot be read; the text holds nothing of it.
#[derive(Debug, PartialEq, Eq)]
pub enum Undecodable {
    /// It is no whole document of its format.
    Malformed(String),
    /// It holds more than is read of one answer.
    TooMuch,
}

impl From<String> for Undecodable {
    fn from(reason: String) -> Self {
        Self::Malformed(reason)
    }
}

impl From<&str> for Undecodable {
    fn from(reason: &str) -> Self {
        Self::Malformed(reason.to_owned())
    }
}

impl From<Unreadable> for Undecodable {
    fn from(error: Unreadable) -> Self {
        match error {
            Unreadable::TooMuch => Self::TooMuch,
            Unreadable::Empty => Self::Malformed(error.to_string()),
            Unreadable::Syntax { .. } | Unreadable::Cut => {
                Self::Malformed(format!("it is not JSON: {error}"))
            }
        }
    }
}
