//! Waiting for the database, not for ever.

use std::pin::pin;
use std::time::Instant;

use futures_util::future::{Either, select};
use ota_core::clock::Clock;

use crate::error::{Result, StoreError};

/// Waits for an answer of the database until this time: a server that is cut off may be silent for minutes. What was asked is dropped then, which rolls it back.
///
/// # Errors
/// That of the answer, or [`StoreError::Unavailable`] when there was none in time.
pub async fn answered_by<T>(
    clock: &dyn Clock,
    until: Instant,
    answer: impl Future<Output = Result<T>>,
) -> Result<T> {
    match select(pin!(answer), clock.sleep_until(until)).await {
        Either::Left((answer, _)) => answer,
        Either::Right(_) => Err(StoreError::Unavailable {
            message: "the mirror's database did not answer in time".to_owned(),
        }),
    }
}
