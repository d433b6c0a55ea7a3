#![doc = include_str!("../README.md")]

mod breaker;
mod guard;
mod quota;

pub use breaker::{Breaker, BreakerState};
pub use guard::{Guard, GuardLimits};
pub use quota::{AccountQuota, Permit, QuotaLimits, QuotaScope};

use std::sync::Arc;
use std::time::Duration;

use ota_core::clock::Clock;
use ota_core::context::Context;
use ota_core::gate::{Attempt, Gate, VendorCall};
use ota_core::{Error, ErrorKind, Result};

/// Sends each call once, with a time limit.
#[derive(Clone, Debug)]
pub struct SingleAttempt {
    clock: Arc<dyn Clock>,
    timeout: Duration,
}

impl SingleAttempt {
    /// Creates the gate. `timeout` limits one attempt; the caller's deadline limits it further.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>, timeout: Duration) -> Self {
        Self { clock, timeout }
    }
}

#[async_trait::async_trait]
impl Gate for SingleAttempt {
    async fn pass(&self, cx: &Context, call: VendorCall, attempt: &mut dyn Attempt) -> Result<()> {
        let start = self.clock.monotonic();
        if start >= cx.deadline {
            return Err(
                Error::new(ErrorKind::Timeout, "the time for this request is over")
                    .with_operation(call.operation),
            );
        }
        let sent_at = self.clock.now();
        let end = cx.deadline.min(start + self.timeout);
        let result = tokio::select! {
            result = attempt.run(1) => result,
            () = self.clock.sleep_until(end) => Err(Error::new(
                ErrorKind::Timeout,
                format!("the vendor did not answer within {} ms", end.saturating_duration_since(start).as_millis()),
            )),
        };
        let took = self.clock.monotonic().saturating_duration_since(start);
        cx.calls.record(sent_at, took, result.is_ok());
        result
    }
}

#[cfg(test)]
mod tests {
    use super::SingleAttempt;
    use ota_core::ErrorKind;
    use ota_core::clock::{Clock, ManualClock};
    use ota_core::context::{Context, Priority};
    use ota_core::gate::{VendorCall, call};
    use std::sync::Arc;
    use std::time::Duration;
    use time::macros::datetime;

    const CALL: VendorCall = VendorCall::read("Read");

    fn gate() -> (ManualClock, SingleAttempt) {
        let clock = ManualClock::new(datetime!(2026-01-01 00:00 UTC));
        let gate = SingleAttempt::new(Arc::new(clock.clone()), Duration::from_secs(8));
        (clock, gate)
    }

    fn context(clock: &ManualClock, seconds: u64) -> Context {
        Context::new(
            "r",
            clock.monotonic() + Duration::from_secs(seconds),
            Priority::Interactive,
        )
    }

    #[tokio::test]
    async fn an_answer_comes_through_and_is_recorded() {
        let (clock, gate) = gate();
        let cx = context(&clock, 30);
        let answer = call(&gate, &cx, CALL, |number| async move { Ok(number) })
            .await
            .unwrap();
        assert_eq!((answer, cx.calls.summary().count), (1, 1));
        assert_eq!(cx.calls.summary().earliest, Some(clock.now()));
    }

    #[track_caller]
    fn assert_timeout(error: &ota_core::Error) {
        assert_eq!(
            (error.kind(), error.operation()),
            (ErrorKind::Timeout, Some("Read"))
        );
    }

    #[tokio::test]
    async fn a_silent_vendor_is_given_up_after_the_time_of_an_attempt() {
        let (clock, gate) = gate();
        let cx = context(&clock, 30);
        let silent = call(&gate, &cx, CALL, |_| {
            std::future::pending::<ota_core::Result<()>>()
        });
        let mover = async {
            tokio::task::yield_now().await;
            clock.advance(Duration::from_secs(8));
        };
        let (result, ()) = tokio::join!(silent, mover);
        assert_timeout(&result.unwrap_err());
        assert_eq!(cx.calls.summary().earliest, None);
    }

    #[tokio::test]
    async fn nothing_is_sent_after_the_deadline() {
        let (clock, gate) = gate();
        let cx = context(&clock, 0);
        let result = call(&gate, &cx, CALL, |_| async { Ok(()) }).await;
        assert_timeout(&result.unwrap_err());
        assert_eq!(cx.calls.summary().count, 0);
    }
}
