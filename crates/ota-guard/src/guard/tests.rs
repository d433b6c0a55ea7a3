use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use ota_core::clock::{Clock, ManualClock};
use ota_core::context::{Context, Priority};
use ota_core::error::{Retry, VendorError};
use ota_core::gate::{VendorCall, call};
use ota_core::random::SequenceRandom;
use ota_core::{Error, ErrorKind, Result};
use time::macros::datetime;

use super::{Guard, GuardLimits};
use crate::quota::{AccountQuota, QuotaLimits, QuotaScope};

const READ: VendorCall = VendorCall::read("Read");
const WRITE: VendorCall = VendorCall {
    operation: "Write",
    repeatable: false,
};

struct Bench {
    clock: ManualClock,
    guard: Guard,
    attempts: AtomicU32,
}

impl Bench {
    fn new() -> Self {
        let clock = ManualClock::new(datetime!(2026-01-01 00:00 UTC));
        let shared: Arc<dyn Clock> = Arc::new(clock.clone());
        let limits = QuotaLimits {
            calls: 100,
            window: Duration::from_secs(1),
            margin: Duration::from_millis(100),
            scope: QuotaScope::Operation,
        };
        let quota = Arc::new(AccountQuota::new(limits, Arc::clone(&shared)));
        let limits = GuardLimits {
            timeout: Duration::from_secs(8),
            max_attempts: 3,
            max_concurrent: 2,
        };
        let guard = Guard::new(limits, quota, shared, Arc::new(SequenceRandom::new(1)));
        Self {
            clock,
            guard,
            attempts: AtomicU32::new(0),
        }
    }

    /// Makes a call whose n-th attempt ends as `answer` says, while the clock runs.
    async fn run(
        &self,
        vendor_call: VendorCall,
        seconds: u64,
        answer: impl Fn(u32) -> Result<u32> + Send + Sync,
    ) -> Result<u32> {
        let cx = Context::new(
            "r",
            self.clock.monotonic() + Duration::from_secs(seconds),
            Priority::Interactive,
        );
        let answer = &answer;
        let work = call(&self.guard, &cx, vendor_call, |number| {
            self.attempts.fetch_add(1, Ordering::Relaxed);
            async move { answer(number) }
        });
        let ticks = async {
            loop {
                tokio::task::yield_now().await;
                self.clock.advance(Duration::from_millis(50));
            }
        };
        tokio::select! {
            result = work => result,
            () = ticks => unreachable!("the clock runs for ever"),
        }
    }

    fn attempts(&self) -> u32 {
        self.attempts.load(Ordering::Relaxed)
    }
}

fn error(kind: ErrorKind) -> Error {
    Error::new(kind, "x")
}

#[tokio::test]
async fn what_may_pass_is_repeated_and_what_may_not_is_not() {
    for (kind, retry, vendor_call, attempts) in [
        (ErrorKind::Unavailable, Retry::Later, READ, 3),
        (ErrorKind::Protocol, Retry::Later, READ, 3),
        (ErrorKind::Protocol, Retry::Never, READ, 1),
        (ErrorKind::Auth, Retry::Never, READ, 1),
        (ErrorKind::Auth, Retry::Once, READ, 2),
        (ErrorKind::Unavailable, Retry::Later, WRITE, 1),
        (ErrorKind::Unavailable, Retry::Once, WRITE, 1),
    ] {
        let bench = Bench::new();
        let result = bench
            .run(vendor_call, 60, |_| Err(error(kind).with_retry(retry)))
            .await;
        assert_eq!(result.unwrap_err().kind(), kind);
        assert_eq!(
            bench.attempts(),
            attempts,
            "{kind} {retry:?} {vendor_call:?}"
        );
    }
}

#[tokio::test]
async fn a_repetition_that_works_is_the_answer() {
    let bench = Bench::new();
    let answer = bench
        .run(READ, 60, |number| {
            if number < 3 {
                Err(error(ErrorKind::Unavailable))
            } else {
                Ok(number)
            }
        })
        .await;
    assert_eq!(answer.unwrap(), 3);
}

#[tokio::test]
async fn a_vendor_that_throttles_slows_the_whole_account_for_as_long_as_it_asks() {
    let bench = Bench::new();
    let start = bench.clock.monotonic();
    let throttled = || {
        error(ErrorKind::Throttled)
            .with_vendor(VendorError::default())
            .with_retry_after(Duration::from_secs(3))
    };
    let answer = bench
        .run(WRITE, 60, |number| {
            if number == 1 {
                Err(throttled())
            } else {
                Ok(number)
            }
        })
        .await;
    assert_eq!(answer.unwrap(), 2);
    assert!(bench.clock.monotonic() >= start + Duration::from_secs(3));
    let bench = Bench::new();
    let refused = bench.run(READ, 2, |_| Err(throttled())).await.unwrap_err();
    assert_eq!(
        (refused.kind(), bench.attempts()),
        (ErrorKind::Throttled, 1)
    );
    assert_eq!(bench.guard.quota().remaining(), 0);
}

#[tokio::test]
async fn nothing_is_repeated_past_the_deadline() {
    let bench = Bench::new();
    let start = bench.clock.monotonic();
    let result = bench.run(READ, 0, |_| Ok(1)).await;
    assert_eq!(result.unwrap_err().kind(), ErrorKind::Timeout);
    assert_eq!(bench.attempts(), 0);
    let hint = || error(ErrorKind::Unavailable).with_retry_after(Duration::from_secs(90));
    assert!(bench.run(READ, 60, |_| Err(hint())).await.is_err());
    assert!(bench.clock.monotonic() < start + Duration::from_secs(60));
}

#[tokio::test]
async fn a_dead_vendor_is_refused_without_an_attempt() {
    let bench = Bench::new();
    for _ in 0..2 {
        let _ = bench
            .run(READ, 60, |_| Err(error(ErrorKind::Timeout)))
            .await;
    }
    let before = bench.attempts();
    let refused = bench.run(READ, 60, |_| Ok(1)).await.unwrap_err();
    assert_eq!(
        (refused.kind(), bench.attempts()),
        (ErrorKind::Unavailable, before)
    );
    assert!(refused.retry_after().is_some());
}
