//! The interface for metrics and traces of connections and requests. The server itself has no counters.

use std::time::Duration;

use axum::http::StatusCode;
use ota_api::problem::Code;
use ota_core::trace::TraceParent;

use super::access_log::AccessLogRecord;

/// Counts requests, and decides about their traces. Called from the thread that serves the connection, so it must be quick.
pub trait Observer: Send + Sync + std::fmt::Debug {
    /// A request is being answered, until [`Observer::ends`].
    fn begins(&self);

    /// A request that began was answered or abandoned.
    fn ends(&self);

    /// Returns the trace context of a request: in the caller's trace, or in a new one.
    fn trace(&self, parent: Option<TraceParent>) -> Option<TraceParent>;

    /// A request has ended with a problem of this code.
    fn refused(&self, code: Code);

    /// A request was rejected by the concurrency limit.
    fn turned_away(&self, reason: TurnedAway);

    /// A request was answered by the full path, or rejected.
    fn request(&self, route: &str, status: StatusCode, took: Duration);

    /// A request was answered, on any path.
    fn answered(&self, record: &AccessLogRecord<'_>);
}

/// Why a request was rejected by the concurrency limit.
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

/// Why the server closed a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CutOff {
    /// The client did not send a request, or did not read a response, in time.
    Slow,
    /// No request arrived within the idle timeout.
    Idle,
    /// The TLS handshake was not completed in time.
    Handshake,
    /// It was idle, and closed to make room for a new one.
    Evicted,
    /// The connection limit was reached, and requests were in progress on all open connections.
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
