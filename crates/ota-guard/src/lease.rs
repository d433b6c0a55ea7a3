//! Whether this process may call a vendor account at all: of several gateways on one database, one may.

use std::time::{Duration, Instant};

use ota_core::clock::Clock;
use ota_core::{Error, ErrorKind};

/// The shortest time after which a refused call can be repeated: another gateway has most likely taken the account over by then.
const AGAIN: Duration = Duration::from_secs(5);

/// Says until when this process may call a vendor account. Implementations must not block.
pub trait Lease: Send + Sync + std::fmt::Debug {
    /// Returns until when it may, by the clock of the guard; none if it may not now. The time moves on with each renewal.
    fn held_until(&self) -> Option<Instant>;
}

/// Waits until a lease is no longer held. Of a process that was stopped and wakes up this is ready at once.
pub(crate) async fn lost(lease: Option<&dyn Lease>, clock: &dyn Clock) {
    let Some(lease) = lease else {
        return std::future::pending().await;
    };
    while let Some(until) = lease.held_until() {
        clock.sleep_until(until).await;
    }
}

/// The error of a call that this process may not make.
pub(crate) fn not_held() -> Error {
    Error::new(
        ErrorKind::Unavailable,
        "another gateway holds the vendor account of this provider, or is about to take it over",
    )
    .with_local()
    .with_unsent()
    .with_retry_after(AGAIN)
}

/// The error of a call that a process would make at its end.
pub(crate) fn closed() -> Error {
    Error::new(
        ErrorKind::Unavailable,
        "the gateway is shutting down and calls no vendor any more",
    )
    .with_local()
    .with_unsent()
    .with_retry_after(AGAIN)
}

/// The error of a call that was sent and whose answer is not awaited, because this process no longer holds the account.
pub(crate) fn lost_meanwhile() -> Error {
    Error::new(
        ErrorKind::Unavailable,
        "this gateway lost the vendor account of the provider while it waited for the answer",
    )
    .with_local()
    .with_retry_after(AGAIN)
}
