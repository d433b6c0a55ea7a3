//! The gate of one provider: breaker, retry, quota, concurrency, timeout of each attempt, metrics, in this order.

use std::sync::Arc;
use std::time::{Duration, Instant};

use ota_core::clock::{Clock, after};
use ota_core::context::{Context, Moment};
use ota_core::error::Retry;
use ota_core::gate::{Attempt, Gate, VendorCall};
use ota_core::random::Random;
use ota_core::{Error, ErrorKind, Result};

use crate::breaker::{Admission, Breaker};
use crate::observer::{Observer, Outcome};
use crate::quota::{AccountQuota, Slots, half_random};

/// The first wait before a repetition; it doubles with each attempt.
const FIRST_BACKOFF: Duration = Duration::from_millis(200);

/// The longest wait before a repetition that the vendor did not ask for.
const LONGEST_BACKOFF: Duration = Duration::from_secs(5);

/// How often a call is made again because its credential has been replaced: three files that are renewed one after the other can be met twice on the
/// way.
const MAX_SUPERSEDED: u32 = 3;

/// The corrections of one call so far.
#[derive(Default)]
struct Corrections {
    /// Whether the vendor's advice "once" has been followed.
    made: bool,
    /// How often the credential had been replaced.
    superseded: u32,
}

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
    slots: Slots,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
    observer: Arc<dyn Observer>,
}

/// Why an attempt brought nothing.
enum Failed {
    /// It was not sent.
    Refused(Outcome, Error),
    /// It was sent.
    Sent(Error),
}

impl Guard {
    /// Creates the gate. Providers of one vendor account are given the same quota.
    #[must_use]
    pub fn new(
        limits: GuardLimits,
        quota: Arc<AccountQuota>,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
        observer: Arc<dyn Observer>,
    ) -> Self {
        Self {
            limits,
            quota,
            breaker: Breaker::default(),
            slots: Slots::new(limits.max_concurrent),
            clock,
            random,
            observer,
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

    /// Returns how many calls run.
    #[must_use]
    pub fn running(&self) -> u32 {
        self.slots.running()
    }

    /// Makes attempts until one succeeds or no other may follow; `attempts` counts those that were sent.
    async fn run(
        &self,
        cx: &Context,
        call: VendorCall,
        attempt: &mut dyn Attempt,
        attempts: &mut u32,
    ) -> std::result::Result<(), Failed> {
        let mut corrections = Corrections::default();
        let mut last: Option<Error> = None;
        loop {
            let error = match self.attempt(cx, call, attempt, *attempts + 1).await {
                Ok(()) => {
                    *attempts += 1;
                    return Ok(());
                }
                Err(Failed::Sent(error)) => error,
                // What the vendor said before tells more than why it was not asked again.
                Err(Failed::Refused(outcome, refusal)) => {
                    return Err(match last {
                        None => Failed::Refused(outcome, refusal),
                        Some(error) => Failed::Sent(match refusal.retry_after() {
                            Some(wait) if error.retry_after().is_none() => {
                                error.with_retry_after(wait)
                            }
                            _ => error,
                        }),
                    });
                }
            };
            *attempts += 1;
            match self.repeat_at(cx, call, &error, *attempts, &mut corrections) {
                None => return Err(Failed::Sent(error)),
                Some(at) => self.clock.sleep_until(at).await,
            }
            last = Some(error);
        }
    }

    /// Makes one attempt: breaker, quota and slot, timeout.
    async fn attempt(
        &self,
        cx: &Context,
        call: VendorCall,
        attempt: &mut dyn Attempt,
        number: u32,
    ) -> std::result::Result<(), Failed> {
        let came = self.clock.monotonic();
        if came >= cx.deadline {
            return Err(Failed::Refused(
                Outcome::Failed(ErrorKind::Timeout),
                too_late(call),
            ));
        }
        let by_breaker = |error| Failed::Refused(Outcome::RefusedByBreaker, error);
        let admission = self.breaker.admit(came).map_err(by_breaker)?;
        let permit = tokio::select! {
            biased;
            refusal = admission.refused(|| self.clock.monotonic()) => return Err(by_breaker(refusal)),
            permit = self.quota.acquire_for(cx.caller.as_ref(), call.operation, &self.slots, cx.priority, cx.deadline) => permit
                .map_err(|refusal| Failed::Refused(Outcome::RefusedByQuota, refusal))?,
        };
        // From here to the attempt nothing waits: what is counted now leaves now.
        let sent = Moment::now(&*self.clock);
        if let Err(refusal) = admission.still_good(sent.monotonic) {
            permit.unused();
            return Err(by_breaker(refusal));
        }
        self.observer.waited(
            call.operation,
            sent.monotonic.saturating_duration_since(came),
        );
        cx.calls.begin(call.operation);
        let end = cx.deadline.min(after(sent.monotonic, self.limits.timeout));
        let result = tokio::select! {
            result = attempt.run(number) => result,
            () = self.clock.sleep_until(end) => Err(Error::new(
                ErrorKind::Timeout,
                format!("the vendor did not answer within {} ms", end.saturating_duration_since(sent.monotonic).as_millis()),
            )),
        };
        let took = self
            .clock
            .monotonic()
            .saturating_duration_since(sent.monotonic);
        cx.calls.end(sent, took, result.is_ok());
        match &result {
            Ok(()) => permit.answered(true),
            Err(error) => match error.kind() {
                // A broken connection, or a call that was given up, may still be on its way to the vendor.
                ErrorKind::Unavailable | ErrorKind::Timeout if error.vendor().is_none() => {
                    drop(permit);
                }
                kind => permit.answered(kind != ErrorKind::Throttled),
            },
        }
        self.settle(cx, call, admission, sent.monotonic, took, &result);
        result.map_err(Failed::Sent)
    }

    /// Draws the conclusions from an attempt.
    fn settle(
        &self,
        cx: &Context,
        call: VendorCall,
        admission: Admission<'_>,
        sent: Instant,
        took: Duration,
        result: &Result<()>,
    ) {
        let kind = result.as_ref().map(|_| ()).map_err(Error::kind);
        admission.note(sent, self.clock.monotonic(), kind);
        let outcome = Outcome::of(result);
        self.observer.attempt(cx, call.operation, outcome, took);
        if let Err(error) = result
            && error.kind() == ErrorKind::Throttled
        {
            self.observer.throttled(call.operation);
            self.quota
                .throttled(sent, error.retry_after(), &*self.random);
        }
    }

    /// Returns when the call may be repeated after `error`, or `None` when it may not.
    fn repeat_at(
        &self,
        cx: &Context,
        call: VendorCall,
        error: &Error,
        attempts: u32,
        corrections: &mut Corrections,
    ) -> Option<Instant> {
        let now = self.clock.monotonic();
        // No fault of the vendor's or of the line's, so no attempt of those that they are given.
        if error.is_superseded() && error.retry() == Retry::Once && call.repeatable {
            corrections.superseded += 1;
            let again = corrections.superseded <= MAX_SUPERSEDED && now < cx.deadline;
            return again.then_some(now);
        }
        if attempts.saturating_sub(corrections.superseded) >= self.limits.max_attempts {
            return None;
        }
        let at = match (error.kind(), error.retry()) {
            (_, Retry::Never) => return None,
            // What the vendor throttled it did not carry out, so even a call that must not be repeated blindly may be sent again. The account
            // pauses already; the wait for that is the quota's.
            (ErrorKind::Throttled, _) => now,
            _ if !call.repeatable => return None,
            (_, Retry::Once) if corrections.made => return None,
            (_, Retry::Once) => {
                corrections.made = true;
                now
            }
            (_, Retry::Later) => {
                let wait = error.retry_after();
                after(now, wait.unwrap_or_else(|| self.backoff(attempts)))
            }
        };
        (at < cx.deadline).then_some(at)
    }

    /// Doubles with each attempt, half of it random, so that callers who failed together do not come back together.
    fn backoff(&self, attempts: u32) -> Duration {
        let full = FIRST_BACKOFF.saturating_mul(1 << attempts.saturating_sub(1).min(16));
        half_random(full.min(LONGEST_BACKOFF), &*self.random)
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
        let mut attempts = 0;
        let result = self.run(cx, call, attempt, &mut attempts).await;
        let (outcome, result) = match result {
            Ok(()) => (Outcome::Answered, Ok(())),
            Err(Failed::Refused(outcome, error)) => (outcome, Err(error)),
            Err(Failed::Sent(error)) => {
                let result = Err(error);
                (Outcome::of(&result), result)
            }
        };
        self.observer.call(call.operation, outcome, attempts);
        result
    }
}

#[cfg(test)]
mod tests;
