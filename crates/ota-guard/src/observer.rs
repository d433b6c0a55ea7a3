//! Reports what happened to vendor calls, for metrics.

use std::time::Duration;

use ota_core::context::Context;
use ota_core::{ErrorKind, Result};

/// How a vendor call, or one attempt of it, ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// With the requested data.
    Answered,
    /// With this kind of error, from the vendor or the network.
    Failed(ErrorKind),
    /// The vendor refused a credential or token that has been replaced since, and a call with the new one follows.
    Superseded,
    /// At the deadline of the request: the call was not sent because too little time was left, or was cut off before the vendor's own timeout.
    DeadlineExceeded,
    /// Refused: the wait for the quota would have exceeded the deadline.
    RefusedByQuota,
    /// Refused: the wait for one of the concurrent calls would have exceeded the deadline.
    RefusedBySlots,
    /// Refused: the circuit is open.
    RefusedByBreaker,
    /// Refused or cut off: this process does not hold the account, another gateway does.
    NotHeld,
}

impl Outcome {
    /// Returns the outcome of a call that was sent.
    #[must_use]
    pub fn of(result: &Result<()>) -> Self {
        match result {
            Ok(()) => Self::Answered,
            Err(error) if error.is_superseded() => Self::Superseded,
            Err(error) if error.is_local() && error.kind() == ErrorKind::Unavailable => {
                Self::NotHeld
            }
            Err(error) if error.is_local() => Self::DeadlineExceeded,
            Err(error) => Self::Failed(error.kind()),
        }
    }

    /// Returns the outcome as a metric label: `ok`, the kind of error, `superseded`, `deadline`, `quota`, `slots`, `breaker` or `lease`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Answered => "ok",
            Self::Failed(kind) => kind.as_str(),
            Self::Superseded => "superseded",
            Self::DeadlineExceeded => "deadline",
            Self::RefusedByQuota => "quota",
            Self::RefusedBySlots => "slots",
            Self::RefusedByBreaker => "breaker",
            Self::NotHeld => "lease",
        }
    }
}

/// Receives what happens to the calls of one provider. Implementations must not block.
pub trait Observer: Send + Sync + std::fmt::Debug {
    /// A call of an adapter has ended, after this many attempts.
    fn call(&self, operation: &'static str, outcome: Outcome, attempts: u32);

    /// One attempt for this request has ended now, after this time.
    fn attempt(&self, cx: &Context, operation: &'static str, outcome: Outcome, took: Duration);

    /// An attempt has waited this long for quota and slot.
    fn waited(&self, operation: &'static str, wait: Duration);

    /// The vendor has throttled an attempt, although the quota was not exceeded.
    fn throttled(&self, operation: &'static str);
}

/// Ignores everything.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoObserver;

impl Observer for NoObserver {
    fn call(&self, _operation: &'static str, _outcome: Outcome, _attempts: u32) {}

    fn attempt(&self, _cx: &Context, _operation: &'static str, _outcome: Outcome, _took: Duration) {
    }

    fn waited(&self, _operation: &'static str, _wait: Duration) {}

    fn throttled(&self, _operation: &'static str) {}
}
