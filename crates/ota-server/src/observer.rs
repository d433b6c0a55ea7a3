//! Who learns what happens to connections and requests. The server itself counts nothing.

use std::time::Duration;

use axum::http::StatusCode;
use ota_api::problem::Code;
use ota_core::trace::TraceParent;

use super::access_log::AccessLogRecord;

/// Counts requests, and decides about their traces. Called from the thread that serves the connection, so it must be quick.
pub trait Observer: Send + Sync + std::fmt::Debug {
    /// A request is being answered, until [`Observer::ends`].
    fn begins(&self);

    /// A request that began has its answer, or was given up.
    fn ends(&self);

    /// Returns the place of a request in a trace: in that of its caller, or in a new one.
    fn trace(&self, parent: Option<TraceParent>) -> Option<TraceParent>;

    /// A request has ended with a problem of this code.
    fn refused(&self, code: Code);

    /// A request found no place.
    fn turned_away(&self, reason: TurnedAway);

    /// A request was answered by the full path, or refused.
    fn request(&self, route: &str, status: StatusCode, took: Duration);

    /// A request was answered, on whichever path.
    fn answered(&self, record: &AccessLogRecord<'_>);
}

/// Why a request found no place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TurnedAway {
    /// All places were taken.
    Full,
    /// Its place was needed for another caller.
    GivenUp,
}

impl TurnedAway {
    /// Every reason.
    pub const ALL: [Self; 2] = [Self::Full, Self::GivenUp];

    /// Returns the reason as metrics name it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::GivenUp => "given_up",
        }
    }
}

/// Why a connection was ended from this side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CutOff {
    /// A request did not come, or an answer was not taken, in time.
    Slow,
    /// Nothing was asked for long.
    Idle,
    /// TLS did not begin in time.
    Handshake,
    /// It was idle and made room for a new one.
    Evicted,
    /// All connections were being answered.
    Refused,
}

impl CutOff {
    /// Every reason.
    pub const ALL: [Self; 5] = [
        Self::Slow,
        Self::Idle,
        Self::Handshake,
        Self::Evicted,
        Self::Refused,
    ];

    /// Returns the reason as metrics name it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Slow => "slow",
            Self::Idle => "idle",
            Self::Handshake => "handshake",
            Self::Evicted => "evicted",
            Self::Refused => "refused",
        }
    }
}
