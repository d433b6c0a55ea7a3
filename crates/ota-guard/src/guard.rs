//! The gate of one provider: breaker, retry, quota, concurrency, timeout of each attempt, in this order.

use std::sync::Arc;
use std::time::{Duration, Instant};

use ota_core::clock::Clock;
use ota_core::context::Context;
use ota_core::error::Retry;
use ota_core::gate::{Attempt, Gate, VendorCall};
use ota_core::random::Random;
use ota_core::{Error, ErrorKind, Result};
use tokio::sync::Semaphore;

use crate::breaker::Breaker;
use crate::quota::AccountQuota;

/// The first wait before a repetition; it doubles with each attempt.
const FIRST_BACKOFF: Duration = Duration::from_millis(100);

/// The longest wait before a repetition that the vendor did not ask for.
const LONGEST_BACKOFF: Duration = Duration::from_secs(5);

/// The shortest pause of a whole account after the vendor has throttled it.
const FIRST_SLOW_DOWN: Duration = Duration::from_millis(500);

/// How a provider's calls are let through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GuardLimits {
    /// How long one attempt may take.
    pub timeout: Duration,
    /// The most attempts of one call.
    pub max_attempts: u32,
    /// The most calls at the same time.
    pub max_concurrent: u32,
}

/// The gate of one provider.
#[derive(Debug)]
pub struct Guard {
    limits: GuardLimits,
    quota: Arc<AccountQuota>,
    breaker: Breaker,
    concurrency: Semaphore,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
}

impl Guard {
    /// Creates the gate. Providers of one vendor account are given the same quota.
    #[must_use]
    pub fn new(
        limits: GuardLimits,
        quota: Arc<AccountQuota>,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
    ) -> Self {
        Self {
            limits,
            quota,
            breaker: Breaker::default(),
            concurrency: Semaphore::new(limits.max_concurrent.max(1) as usize),
            clock,
            random,
        }
    }

    /// Returns the quota of the account.
    #[must_use]
    pub fn quota(&self) -> &Arc<AccountQuota> {
        &self.quota
    }

    /// Returns the breaker.
    #[must_use]
    pub fn breaker(&self) -> &Breaker {
        &self.breaker
    }

    async fn attempt(
        &self,
        cx: &Context,
        call: VendorCall,
        attempt: &mut dyn Attempt,
        number: u32,
    ) -> Result<()> {
        let mut permit = self
            .quota
            .acquire(call.operation, cx.priority, cx.deadline)
            .await?;
        let _running = tokio::select! {
            running = self.concurrency.acquire() => running.expect("semaphore is never closed"),
            () = self.clock.sleep_until(cx.deadline) => return Err(too_late(call)),
        };
        let start = self.clock.monotonic();
        if start >= cx.deadline {
            return Err(too_late(call));
        }
        let sent_at = self.clock.now();
        let end = cx.deadline.min(start + self.limits.timeout);
        permit.sent();
        let result = tokio::select! {
            result = attempt.run(number) => Some(result),
            () = self.clock.sleep_until(end) => None,
        };
        let now = self.clock.monotonic();
        let took = now.saturating_duration_since(start);
        let result = match result {
            Some(result) => {
                // An answer, good or bad, has reached us; a broken connection may still be on its way at the vendor.
                if result
                    .as_ref()
                    .err()
                    .is_none_or(|error| error.kind() != ErrorKind::Unavailable)
                {
                    permit.answered();
                }
                result
            }
            None => Err(Error::new(
                ErrorKind::Timeout,
                format!(
                    "the vendor did not answer within {} ms",
                    end.saturating_duration_since(start).as_millis()
                ),
            )),
        };
        cx.calls.record(sent_at, took, result.is_ok());
        self.breaker
            .note(now, result.as_ref().map(drop).map_err(Error::kind));
        result
    }

    /// Returns when the call may be repeated after `error`, or `None` when it may not.
    fn repeat_at(
        &self,
        cx: &Context,
        call: VendorCall,
        error: &Error,
        number: u32,
        corrected: &mut bool,
    ) -> Option<Instant> {
        if number >= self.limits.max_attempts {
            return None;
        }
        let now = self.clock.monotonic();
        // What the vendor throttled it did not carry out, so even a call that must not be repeated blindly may be sent again.
        let harmless = call.repeatable || error.kind() == ErrorKind::Throttled;
        let at = match error.retry() {
            Retry::Never => None,
            Retry::Once if *corrected || !call.repeatable => None,
            Retry::Once => {
                *corrected = true;
                Some(now)
            }
            Retry::Later if harmless => {
                Some(now + error.retry_after().unwrap_or_else(|| self.backoff(number)))
            }
            Retry::Later => None,
        }?;
        (at < cx.deadline).then_some(at)
    }

    /// Doubles with each attempt, half of it random, so that callers who failed together do not come back together.
    fn backoff(&self, number: u32) -> Duration {
        let full = FIRST_BACKOFF
            .saturating_mul(1 << number.clamp(1, 16))
            .min(LONGEST_BACKOFF);
        let mut bytes = [0_u8; 4];
        let random = self
            .random
            .fill(&mut bytes)
            .map_or(u32::MAX, |()| u32::from_be_bytes(bytes));
        full / 2 + full.mul_f64(f64::from(random) / f64::from(u32::MAX) / 2.0)
    }
}

fn too_late(call: VendorCall) -> Error {
    Error::new(
        ErrorKind::Timeout,
        "the time for this request was over before the vendor could be asked",
    )
    .with_operation(call.operation)
}

#[async_trait::async_trait]
impl Gate for Guard {
    async fn pass(&self, cx: &Context, call: VendorCall, attempt: &mut dyn Attempt) -> Result<()> {
        let mut corrected = false;
        let mut number = 0;
        loop {
            number += 1;
            let admitted = self.clock.monotonic();
            if admitted >= cx.deadline {
                return Err(too_late(call));
            }
            self.breaker.admit(admitted)?;
            let error = match self.attempt(cx, call, attempt, number).await {
                Ok(()) => return Ok(()),
                Err(error) => error,
            };
            // Our own quota also says `throttled`; the vendor's word has an attempt behind it.
            let by_vendor = error.kind() == ErrorKind::Throttled && error.vendor().is_some();
            if by_vendor {
                let wait = error
                    .retry_after()
                    .unwrap_or_else(|| self.backoff(number).max(FIRST_SLOW_DOWN));
                self.quota.block_until(self.clock.monotonic() + wait);
            } else if error.kind() == ErrorKind::Throttled {
                return Err(error);
            }
            match self.repeat_at(cx, call, &error, number, &mut corrected) {
                None => return Err(error),
                Some(at) => self.clock.sleep_until(at).await,
            }
        }
    }
}

#[cfg(test)]
mod tests;
