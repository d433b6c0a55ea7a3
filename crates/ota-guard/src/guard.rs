//! The gate of one provider: breaker, retry, quota, concurrency, timeout of each attempt, metrics, in this order.

use std::sync::Arc;
use std::time::{Duration, Instant};

use ota_core::clock::{Clock, after};
use ota_core::context::{Context, Moment};
use ota_core::error::Retry;
use ota_core::gate::{Attempt, Gate, VendorCall};
use ota_core::random::Random;
use ota_core::{Error, ErrorKind, Result};

use crate::ask::Ask;
use crate::breaker::{Admission, Breaker};
use crate::observer::{Observer, Outcome};
use crate::pace::{Attempts, Told};
use crate::quota::{AccountQuota, half_random};
use crate::slots::Slots;

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
    attempts: Attempts,
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
            attempts: Attempts::default(),
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
                // As much as a refusal it says nothing about the vendor, and after it there is no time left.
                Err(Failed::Sent(error)) if error.is_local() => {
                    *attempts += 1;
                    return Err(Failed::Sent(last.unwrap_or(error)));
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
            return Err(Failed::Refused(Outcome::OutOfTime, too_late(call)));
        }
        let by_breaker =
            |error: Error| Failed::Refused(Outcome::RefusedByBreaker, error.with_local());
        let admission = self.breaker.admit(came, cx.subject).map_err(by_breaker)?;
        let ask = Ask {
            caller: cx.caller.as_ref(),
            operation: call.operation,
            slots: &self.slots,
            priority: cx.priority,
            request: &cx.calls,
            deadline: cx.deadline,
            takes: self
                .attempts
                .takes(call.operation, came, self.limits.timeout),
        };
        let permit = tokio::select! {
            biased;
            refusal = admission.refused(|| self.clock.monotonic()) => return Err(by_breaker(refusal)),
            permit = self.quota.acquire(&ask) => permit.map_err(refused)?,
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
        let running = self.attempts.begin(call.operation);
        let end = after(sent.monotonic, self.limits.timeout);
        let (cut, until) = (cx.deadline < end, cx.deadline.min(end));
        let result = tokio::select! {
            // An answer that is there when the time is over counts.
            biased;
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
            // A broken connection, or a call that was given up, may still be on its way to the vendor.
            End::Silent | End::Broken | End::Cut => drop(permit),
        }
        running.ended(
            now,
            match end {
                // With the time of those before it this caller would not have had an answer.
                End::Answered { .. } if after(sent.monotonic, ask.takes.usual) > cx.deadline => {
                    Told::Faster(took)
                }
                End::Answered { .. } | End::Silent => Told::Took(took),
                End::Cut => Told::LongerThan(took),
                End::Unsent | End::Broken => Told::Nothing,
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
        // What was cut off by its own caller's deadline is evidence against nobody.
        let now = self.clock.monotonic();
        match result {
            Err(error) if error.is_local() => drop(admission),
            Err(error) if error.is_unsent() => admission.note_of_any(sent, now, kind),
            _ => admission.note(sent, now, kind),
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
                let wait = error.retry_after().filter(|wait| !wait.is_zero());
                after(now, wait.unwrap_or_else(|| self.backoff(attempts)))
            }
        };
        let takes = self
            .attempts
            .takes(call.operation, now, self.limits.timeout);
        (after(at, takes.usual) < cx.deadline).then_some(at)
    }

    /// Doubles with each attempt, half of it random, so that callers who failed together do not come back together.
    fn backoff(&self, attempts: u32) -> Duration {
        let full = FIRST_BACKOFF.saturating_mul(1 << attempts.saturating_sub(1).min(16));
        half_random(full.min(LONGEST_BACKOFF), &*self.random)
    }
}

/// How an attempt ended, for the quota and for the estimate of what attempts take.
#[derive(Clone, Copy, Debug)]
enum End {
    /// With an answer; `accepted` unless the vendor throttled it.
    Answered { accepted: bool },
    /// It never left.
    Unsent,
    /// The connection broke.
    Broken,
    /// The time of an attempt was over.
    Silent,
    /// The time of the request was over.
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

/// Says why the quota let no call through.
fn refused(refusal: Error) -> Failed {
    let outcome = match refusal.kind() {
        ErrorKind::Timeout => Outcome::OutOfTime,
        ErrorKind::Unavailable => Outcome::RefusedBySlots,
        _ => Outcome::RefusedByQuota,
    };
    Failed::Refused(outcome, refusal)
}

/// The error of an attempt that was given up after this time: the vendor's time for an answer, unless it was `cut` short by the deadline of the request.
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
mod line;

#[cfg(test)]
mod tests;
