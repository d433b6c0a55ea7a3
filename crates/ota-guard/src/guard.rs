//! The gate of one provider: lease, breaker, retry, quota, concurrency, timeout of each attempt, metrics, in this order.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use ota_core::clock::{Clock, after};
use ota_core::context::{Context, Moment};
use ota_core::error::Retry;
use ota_core::gate::{Attempt, Gate, VendorCall};
use ota_core::random::Random;
use ota_core::{Error, ErrorKind, Result};

use crate::breaker::{Admission, Breaker};
use crate::latency::{Latencies, LatencySample};
use crate::lease::{Lease, closed, lost, lost_meanwhile, not_held};
use crate::observer::{Observer, Outcome};
use crate::permit_request::PermitRequest;
use crate::quota::{AccountQuota, half_random};
use crate::slots::Slots;

/// The first wait before a retry; it doubles with each attempt.
const FIRST_BACKOFF: Duration = Duration::from_millis(200);

/// The longest wait before a retry, unless the vendor asks for a longer one.
const LONGEST_BACKOFF: Duration = Duration::from_secs(5);

/// How often a call is retried because its credential has been replaced. If a credential has three files that are renewed one after the other, a call can
/// read an inconsistent set twice.
const MAX_SUPERSEDED: u32 = 3;

/// The corrections of one call so far.
#[derive(Default)]
struct Corrections {
    /// Whether the one retry of `Retry::Once` has been made.
    made: bool,
    /// How often the credential had been replaced.
    superseded: u32,
}

/// The limits of a provider's calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GuardLimits {
    /// The time limit of one attempt.
    pub timeout: Duration,
    /// The maximum number of attempts of one call.
    pub max_attempts: u32,
    /// The maximum number of concurrent calls.
    pub max_concurrent: u32,
}

/// The gate of one provider.
#[derive(Debug)]
pub struct Guard {
    limits: GuardLimits,
    quota: Arc<AccountQuota>,
    breaker: Breaker,
    slots: Slots,
    attempts: Latencies,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
    observer: Arc<dyn Observer>,
    /// None where no other gateway calls the account.
    lease: OnceLock<Arc<dyn Lease>>,
    closed: AtomicBool,
}

/// Why an attempt failed.
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
            attempts: Latencies::default(),
            clock,
            random,
            observer,
            lease: OnceLock::new(),
            closed: AtomicBool::new(false),
        }
    }

    /// Sends nothing any more: the process is about to end. What was sent is counted in the quota by now.
    pub fn close(&self) {
        self.closed.store(true, Ordering::SeqCst);
    }

    /// Makes every call depend on a lease of the account: without it nothing is sent, and a call that was sent is not awaited any longer.
    ///
    /// The account's lease is known only when all gates have been built. Only the first call has an effect.
    pub fn set_lease(&self, lease: Arc<dyn Lease>) {
        let _first = self.lease.set(lease);
    }

    fn check_lease(&self) -> std::result::Result<(), Failed> {
        if self.closed.load(Ordering::SeqCst) {
            return Err(Failed::Refused(Outcome::NotHeld, closed()));
        }
        match self.lease.get() {
            Some(lease) if lease.held_until().is_none() => {
                Err(Failed::Refused(Outcome::NotHeld, not_held()))
            }
            _ => Ok(()),
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

    /// Returns the number of calls in flight.
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
                // Like a refusal, it gives no information about the vendor, and no time is left.
                Err(Failed::Sent(error)) if error.is_local() => {
                    *attempts += 1;
                    return Err(Failed::Sent(last.unwrap_or(error)));
                }
                Err(Failed::Sent(error)) => error,
                // The vendor's earlier error is more useful than the reason why it was not called again.
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
            match self.retry_at(cx, call, &error, *attempts, &mut corrections) {
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
        let arrived = self.clock.monotonic();
        if arrived >= cx.deadline {
            return Err(Failed::Refused(Outcome::DeadlineExceeded, too_late(call)));
        }
        self.check_lease()?;
        let by_breaker =
            |error: Error| Failed::Refused(Outcome::RefusedByBreaker, error.with_local());
        let admission = self
            .breaker
            .admit(arrived, cx.subject)
            .map_err(by_breaker)?;
        let wanted = PermitRequest {
            caller: cx.caller.as_ref(),
            operation: call.operation,
            slots: &self.slots,
            priority: cx.priority,
            log: &cx.calls,
            deadline: cx.deadline,
            estimate: self
                .attempts
                .estimate(call.operation, arrived, self.limits.timeout),
        };
        let permit = tokio::select! {
            biased;
            refusal = admission.refused(|| self.clock.monotonic()) => return Err(by_breaker(refusal)),
            permit = self.quota.acquire(&wanted) => permit.map_err(refused)?,
        };
        // There is no wait from here on: a call that is counted now is sent now.
        let sent = Moment::now(&*self.clock);
        if let Err(refusal) = admission.still_good(sent.monotonic) {
            permit.unused();
            return Err(by_breaker(refusal));
        }
        // It may have waited for the quota for longer than a lease lasts.
        if let Err(refused) = self.check_lease() {
            permit.unused();
            return Err(refused);
        }
        self.observer.waited(
            call.operation,
            sent.monotonic.saturating_duration_since(arrived),
        );
        cx.calls.begin(call.operation);
        let running = self.attempts.begin(call.operation);
        let end = after(sent.monotonic, self.limits.timeout);
        let (cut, until) = (cx.deadline < end, cx.deadline.min(end));
        let result = tokio::select! {
            // A response that has arrived when the time is over still counts. One that arrives without the lease does not: polled first, this keeps a
            // process that was stopped from sending what it had only begun.
            biased;
            () = lost(self.lease.get().map(|lease| &**lease), &*self.clock) => Err(lost_meanwhile()),
            result = attempt.run(number) => result,
            () = self.clock.sleep_until(until) => Err(unanswered(until.saturating_duration_since(sent.monotonic), cut)),
        };
        let now = self.clock.monotonic();
        let took = now.saturating_duration_since(sent.monotonic);
        cx.calls.end(sent, took, result.is_ok());
        let end = End::of(&result);
        match end {
            End::Answered { accepted } => permit.answered(accepted),
            End::Unsent => permit.unused(),
            // After a broken connection or an abandoned call, the request may still reach the vendor.
            End::Silent | End::Broken | End::Cut => drop(permit),
        }
        running.ended(
            now,
            match end {
                // With the duration of earlier calls, this call would have missed its deadline.
                End::Answered { .. }
                    if after(sent.monotonic, wanted.estimate.median) > cx.deadline =>
                {
                    LatencySample::Faster(took)
                }
                End::Answered { .. } | End::Silent => LatencySample::Took(took),
                End::Cut => LatencySample::LongerThan(took),
                End::Unsent | End::Broken => LatencySample::Nothing,
            },
        );
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
        // A call that its caller's deadline cut off gives no information about the vendor.
        let now = self.clock.monotonic();
        match result {
            Err(error) if error.is_local() => drop(admission),
            Err(error) if error.is_unsent() => admission.record_unattributed(sent, now, kind),
            _ => admission.record(sent, now, kind),
        }
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

    /// Returns when the call may be retried after `error`, or `None` if it may not.
    fn retry_at(
        &self,
        cx: &Context,
        call: VendorCall,
        error: &Error,
        attempts: u32,
        corrections: &mut Corrections,
    ) -> Option<Instant> {
        let now = self.clock.monotonic();
        // The cause is not the vendor or the network, so it does not count towards `max_attempts`.
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
            // A throttled call was not carried out, so even a call that is not repeatable may be retried. The quota makes it wait, because the account is
            // paused.
            (ErrorKind::Throttled, _) => now,
            _ if !call.repeatable => return None,
            (_, Retry::Once) if corrections.made => return None,
            (_, Retry::Once) => {
                corrections.made = true;
                now
            }
            (_, Retry::Later) => {
                let wait = error.retry_after().filter(|wait| !wait.is_zero());
                after(now, wait.unwrap_or_else(|| self.backoff(attempts)))
            }
        };
        let estimate = self
            .attempts
            .estimate(call.operation, now, self.limits.timeout);
        (after(at, estimate.median) < cx.deadline).then_some(at)
    }

    /// Doubles with each attempt; half of it is random, so that calls that failed together are not retried together.
    fn backoff(&self, attempts: u32) -> Duration {
        let full = FIRST_BACKOFF.saturating_mul(1 << attempts.saturating_sub(1).min(16));
        half_random(full.min(LONGEST_BACKOFF), &*self.random)
    }
}

/// How an attempt ended, for the quota and for the latency estimate.
#[derive(Clone, Copy, Debug)]
enum End {
    /// With a response; `accepted` unless the vendor throttled it.
    Answered { accepted: bool },
    /// It was not sent.
    Unsent,
    /// The connection broke.
    Broken,
    /// The attempt timed out.
    Silent,
    /// The deadline of the request was reached.
    Cut,
}

impl End {
    fn of(result: &Result<()>) -> Self {
        let Err(error) = result else {
            return Self::Answered { accepted: true };
        };
        match error.kind() {
            _ if error.is_local() => Self::Cut,
            _ if error.is_unsent() => Self::Unsent,
            ErrorKind::Unavailable if error.vendor().is_none() => Self::Broken,
            ErrorKind::Timeout if error.vendor().is_none() => Self::Silent,
            kind => Self::Answered {
                accepted: kind != ErrorKind::Throttled,
            },
        }
    }
}

/// Converts a refusal by the quota.
fn refused(refusal: Error) -> Failed {
    let outcome = match refusal.kind() {
        ErrorKind::Timeout => Outcome::DeadlineExceeded,
        ErrorKind::Unavailable => Outcome::RefusedBySlots,
        _ => Outcome::RefusedByQuota,
    };
    Failed::Refused(outcome, refusal)
}

/// The error of an attempt that was abandoned after this time: the attempt's timeout, unless the deadline of the request `cut` it short.
fn unanswered(after: Duration, cut: bool) -> Error {
    let within = after.as_millis();
    match cut {
        true => Error::new(
            ErrorKind::Timeout,
            format!(
                "the time limit of this request ended {within} ms after the vendor call was sent"
            ),
        )
        .with_local(),
        false => Error::new(
            ErrorKind::Timeout,
            format!("the vendor did not answer within {within} ms"),
        ),
    }
}

fn too_late(call: VendorCall) -> Error {
    Error::new(
        ErrorKind::Timeout,
        "the time limit of this request ended before the vendor could be called",
    )
    .with_operation(call.operation)
    .with_local()
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
mod lease_tests;

#[cfg(test)]
mod link_tests;

#[cfg(test)]
mod tests;
