//! The health of a provider.

use ota_core::{Error, ErrorKind};
use time::OffsetDateTime;

/// The state of a provider.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HealthState {
    /// The last call was answered.
    Ok,
    /// The vendor answers with errors: it throttles, or its responses cannot be read.
    Degraded,
    /// Nothing can be read: the vendor is unreachable, or refuses access.
    Down,
    /// No call has been made yet.
    #[default]
    Unknown,
}

impl HealthState {
    /// Returns the value in the API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Degraded => "degraded",
            Self::Down => "down",
            Self::Unknown => "unknown",
        }
    }
}

/// The state of a provider, and when it was observed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Health {
    /// The state.
    pub state: HealthState,
    /// When the call ended that the state comes from.
    pub checked_at: Option<OffsetDateTime>,
    /// What is wrong: the kind of error and its public message.
    pub problem: Option<(ErrorKind, String)>,
}

impl Health {
    /// Derives the health from the result of a call; `None` if the result says nothing about the provider.
    #[must_use]
    pub fn from_result(result: Result<(), &Error>, now: OffsetDateTime) -> Option<Self> {
        let state = match result.map_err(Error::kind) {
            // A vendor that says "not found" works and grants access.
            Ok(()) | Err(ErrorKind::NotFound | ErrorKind::Conflict) => HealthState::Ok,
            Err(ErrorKind::Throttled | ErrorKind::Protocol) => HealthState::Degraded,
            Err(
                ErrorKind::Timeout
                | ErrorKind::Unavailable
                | ErrorKind::Auth
                | ErrorKind::Rejected
                | ErrorKind::Misconfigured,
            ) => HealthState::Down,
            Err(ErrorKind::InvalidArgument | ErrorKind::Unsupported | ErrorKind::Unexpected) => {
                return None;
            }
        };
        let problem = match (state, result) {
            (HealthState::Ok, _) | (_, Ok(())) => None,
            (_, Err(error)) => Some((error.kind(), error.message().to_owned())),
        };
        Some(Self {
            state,
            checked_at: Some(now),
            problem,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{Health, HealthState};
    use ota_core::{Error, ErrorKind};
    use time::macros::datetime;

    #[test]
    fn every_kind_of_error_has_its_state() {
        let now = datetime!(2026-01-01 00:00 UTC);
        for kind in ErrorKind::ALL {
            let error = Error::new(*kind, "x");
            let state = Health::from_result(Err(&error), now).map(|health| health.state);
            let expected = match kind {
                ErrorKind::NotFound | ErrorKind::Conflict => Some(HealthState::Ok),
                ErrorKind::Throttled | ErrorKind::Protocol => Some(HealthState::Degraded),
                ErrorKind::InvalidArgument | ErrorKind::Unsupported | ErrorKind::Unexpected => None,
                _ => Some(HealthState::Down),
            };
            assert_eq!(state, expected, "{kind}");
        }
        assert_eq!(
            Health::from_result(Ok(()), now).map(|health| health.state),
            Some(HealthState::Ok)
        );
    }
}
