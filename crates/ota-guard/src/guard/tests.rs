use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ota_core::clock::{Clock, ManualClock};
use ota_core::context::{Context, Priority};
use ota_core::error::{Retry, VendorError};
use ota_core::gate::{VendorCall, call};
use ota_core::random::SequenceRandom;
use ota_core::{Error, ErrorKind, Result};
use time::macros::datetime;

use proptest::prelude::*;

use super::{Guard, GuardLimits};
use crate::breaker::BreakerState;
use crate::observer::{Observer, Outcome};
use crate::quota::{AccountQuota, QuotaLimits, QuotaScope};

const READ: VendorCall = VendorCall::read("Read");
const WRITE: VendorCall = VendorCall {
    operation: "Write",
    repeatable: false,
};

/// Records what it receives.
#[derive(Debug, Default)]
struct Book(Mutex<Vec<String>>);

impl Book {
    fn lines(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }

    fn write(&self, line: String) {
        self.0.lock().unwrap().push(line);
    }
}

impl Observer for Book {
    fn call(&self, operation: &'static str, outcome: Outcome, attempts: u32) {
        self.write(format!("{operation} {} after {attempts}", outcome.as_str()));
    }

    fn attempt(&self, _cx: &Context, _operation: &'static str, outcome: Outcome, _took: Duration) {
        self.write(outcome.as_str().to_owned());
    }

    fn waited(&self, _operation: &'static str, wait: Duration) {
        self.write(format!("waited {}", wait.as_millis()));
    }

    fn throttled(&self, operation: &'static str) {
        self.write(format!("{operation} throttled"));
    }
}

struct Bench {
    clock: ManualClock,
    guard: Guard,
    book: Arc<Book>,
    attempts: AtomicU32,
}

impl Bench {
    fn new() -> Self {
        let clock = ManualClock::new(datetime!(2026-01-01 00:00 UTC));
        let shared: Arc<dyn Clock> = Arc::new(clock.clone());
        let limits = QuotaLimits {
            calls: 100,
            window: Duration::from_secs(1),
            margin: Some(Duration::from_millis(100)),
            scope: QuotaScope::Operation {
                exceptions: Vec::new(),
            },
        };
        let quota = Arc::new(AccountQuota::new(limits, Arc::clone(&shared)));
        let limits = GuardLimits {
            timeout: Duration::from_secs(8),
            max_attempts: 3,
            max_concurrent: 2,
        };
        let observer = Arc::new(Book::default());
        let random = Arc::new(SequenceRandom::new(1));
        let guard = Guard::new(limits, quota, shared, random, Arc::<Book>::clone(&observer));
        Self {
            clock,
            guard,
            book: observer,
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
            biased;
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
async fn a_call_whose_credential_was_replaced_is_made_again_and_is_no_refusal() {
    let replaced = || {
        error(ErrorKind::Auth)
            .with_superseded()
            .with_retry(Retry::Once)
    };
    let bench = Bench::new();
    let answer = |number| match number {
        1 | 2 => Err(replaced()),
        // It does not count towards the attempts for failures of the vendor.
        3 | 4 => Err(error(ErrorKind::Unavailable)),
        _ => Ok(number),
    };
    assert_eq!(bench.run(READ, 30, answer).await.unwrap(), 5);
    let lines = bench.book.lines();
    assert!(!lines.iter().any(|line| line.contains("auth")), "{lines:?}");
    assert_eq!(lines.iter().filter(|line| *line == "superseded").count(), 2);

    // If the credential is replaced every time, the retries end too.
    let bench = Bench::new();
    let failed = bench.run(READ, 30, |_| Err(replaced())).await;
    assert_eq!(failed.unwrap_err().kind(), ErrorKind::Auth);
    assert_eq!(bench.attempts(), 4);

    // A correction that the adapter makes itself is not retried here, and not counted as a refusal either.
    let bench = Bench::new();
    let goes_on = |_| Err(error(ErrorKind::Auth).with_superseded());
    assert!(bench.run(WRITE, 30, goes_on).await.is_err());
    assert_eq!(bench.attempts(), 1);
    let last = bench.book.lines().pop();
    assert_eq!(last.as_deref(), Some("Write superseded after 1"));
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
async fn a_vendor_that_asks_for_no_wait_is_not_asked_again_at_once() {
    for (kind, least) in [(ErrorKind::Throttled, 500), (ErrorKind::Unavailable, 250)] {
        let bench = Bench::new();
        let start = bench.clock.monotonic();
        let answer = bench
            .run(READ, 60, |number| match number {
                3 => Ok(number),
                _ => Err(error(kind)
                    .with_vendor(VendorError::default())
                    .with_retry_after(Duration::ZERO)),
            })
            .await;
        assert_eq!(answer.unwrap(), 3);
        let waited = bench.clock.monotonic() - start;
        assert!(waited >= Duration::from_millis(least), "{kind}: {waited:?}");
    }
}

#[tokio::test]
async fn an_attempt_that_its_own_deadline_cuts_short_says_nothing_about_the_vendor() {
    let bench = Bench::new();
    for _ in 0..20 {
        let cx = Context::new(
            "r",
            bench.clock.monotonic() + Duration::from_secs(1),
            Priority::Interactive,
        );
        let silent = call(&bench.guard, &cx, READ, |_| {
            std::future::pending::<Result<()>>()
        });
        let ticks = async {
            loop {
                tokio::task::yield_now().await;
                bench.clock.advance(Duration::from_millis(50));
            }
        };
        let error = tokio::select! {
            biased;
            result = silent => result.unwrap_err(),
            () = ticks => unreachable!("the clock runs for ever"),
        };
        assert_eq!(error.kind(), ErrorKind::Timeout);
        assert!(error.is_local(), "{error:?}");
        bench.clock.advance(Duration::from_secs(2));
    }
    assert_eq!(bench.guard.breaker().state(), BreakerState::Closed);
    let lines = bench.book.lines();
    assert!(
        !lines.iter().any(|line| line.contains("timeout")),
        "{lines:?}"
    );
    assert!(lines.contains(&"Read deadline after 1".to_owned()));
}

/// Reads one job until the circuit would have opened, each time with this failure.
async fn ask_about_one_job(failure: impl Fn() -> Error + Send + Sync) -> BreakerState {
    let bench = Bench::new();
    for _ in 0..20 {
        let deadline = bench.clock.monotonic() + Duration::from_secs(60);
        let mut cx = Context::new("r", deadline, Priority::Interactive);
        cx.subject = Some(7);
        let failed = call(&bench.guard, &cx, WRITE, |_| {
            let failure = failure();
            async move { Err::<(), _>(failure) }
        });
        assert!(failed.await.is_err());
    }
    bench.guard.breaker().state()
}

#[tokio::test]
async fn refused_connections_count_whatever_is_asked_and_a_broken_job_does_not() {
    let refused = || error(ErrorKind::Unavailable).with_unsent();
    assert_eq!(ask_about_one_job(refused).await, BreakerState::Open);
    let broken = || error(ErrorKind::Unavailable).with_vendor(VendorError::default());
    assert_eq!(ask_about_one_job(broken).await, BreakerState::Closed);
}

#[tokio::test]
async fn a_call_that_never_left_keeps_no_place() {
    let bench = Bench::new();
    let left = bench.guard.quota().remaining();
    let failed = bench
        .run(WRITE, 60, |_| {
            Err(error(ErrorKind::Unavailable).with_unsent())
        })
        .await;
    assert!(failed.is_err());
    assert_eq!(bench.guard.quota().remaining(), left);
    let broken = bench
        .run(WRITE, 60, |_| Err(error(ErrorKind::Unavailable)))
        .await;
    assert!(broken.is_err());
    assert_eq!(bench.guard.quota().remaining(), left - 1);
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
async fn a_silent_vendor_is_given_up_after_the_time_of_an_attempt() {
    let bench = Bench::new();
    let start = bench.clock.monotonic();
    let cx = Context::new("r", start + Duration::from_secs(60), Priority::Interactive);
    let silent = call(&bench.guard, &cx, WRITE, |_| {
        std::future::pending::<Result<()>>()
    });
    let ticks = async {
        loop {
            tokio::task::yield_now().await;
            bench.clock.advance(Duration::from_millis(50));
        }
    };
    let error = tokio::select! {
        result = silent => result.unwrap_err(),
        () = ticks => unreachable!("the clock runs for ever"),
    };
    assert_eq!(
        (error.kind(), error.operation()),
        (ErrorKind::Timeout, Some("Write"))
    );
    let waited = bench.clock.monotonic() - start;
    assert!((8000..8200).contains(&waited.as_millis()), "{waited:?}");
    assert_eq!(
        (cx.calls.summary().count, cx.calls.summary().earliest),
        (1, None)
    );
}

#[tokio::test]
async fn an_answer_is_as_of_the_earliest_call_behind_it() {
    let bench = Bench::new();
    let start = bench.clock.monotonic();
    let cx = Context::new("r", start + Duration::from_secs(60), Priority::Interactive);
    for _ in 0..2 {
        call(&bench.guard, &cx, READ, |_| async { Ok(()) })
            .await
            .unwrap();
        bench.clock.advance(Duration::from_secs(2));
    }
    let summary = cx.calls.summary();
    assert_eq!(summary.count, 2);
    assert_eq!(summary.earliest.unwrap().monotonic, start);
}

/// Fails quickly until the breaker opens.
async fn open_breaker(bench: &Bench) {
    for _ in 0..4 {
        let _ = bench
            .run(READ, 60, |_| Err(error(ErrorKind::Unavailable)))
            .await;
    }
    assert_eq!(bench.guard.breaker().state(), BreakerState::Open);
}

#[tokio::test]
async fn a_dead_vendor_is_refused_without_an_attempt() {
    let bench = Bench::new();
    open_breaker(&bench).await;
    let before = bench.attempts();
    assert!(before <= 12, "{before}");
    let refused = bench.run(READ, 60, |_| Ok(1)).await.unwrap_err();
    assert_eq!(
        (refused.kind(), bench.attempts()),
        (ErrorKind::Unavailable, before)
    );
    assert!(refused.retry_after().is_some());
    bench.clock.advance(Duration::from_secs(2));
    assert_eq!(bench.run(READ, 60, |_| Ok(1)).await.unwrap(), 1);
    assert_eq!(bench.guard.breaker().state(), BreakerState::Closed);
}

#[tokio::test]
async fn calls_that_wait_for_the_quota_are_refused_when_the_vendor_dies() {
    let bench = Bench::new();
    let start = bench.clock.monotonic();
    bench.guard.quota().throttled(
        start,
        Some(Duration::from_secs(20)),
        &SequenceRandom::new(1),
    );
    let cx = Context::new("r", start + Duration::from_secs(60), Priority::Interactive);
    let waits = call(&bench.guard, &cx, READ, |_| async { Ok(()) });
    let dies = async {
        tokio::task::yield_now().await;
        for _ in 0..10 {
            let now = bench.clock.monotonic();
            let admission = bench.guard.breaker().admit(now, None).unwrap();
            admission.record(now, now, Err(ErrorKind::Unavailable));
        }
    };
    let (result, ()) = tokio::join!(waits, dies);
    assert_eq!(result.unwrap_err().kind(), ErrorKind::Unavailable);
    assert_eq!(bench.clock.monotonic(), start);
    assert_eq!(bench.guard.quota().waiting(), 0);
}

#[tokio::test]
async fn what_the_vendor_said_outlives_the_refusal_of_a_repetition() {
    let bench = Bench::new();
    // The pause of the account is longer than the caller can wait.
    let throttled = || {
        error(ErrorKind::Throttled)
            .with_vendor(VendorError {
                code: Some("Throttling.User".to_owned()),
                ..VendorError::default()
            })
            .with_retry_after(Duration::from_secs(30))
    };
    let refused = bench.run(READ, 10, |_| Err(throttled())).await.unwrap_err();
    assert_eq!(
        refused.vendor().unwrap().code.as_deref(),
        Some("Throttling.User")
    );
    assert_eq!(refused.retry_after(), Some(Duration::from_secs(30)));
}

#[tokio::test]
async fn no_more_calls_run_side_by_side_than_there_are_slots() {
    let bench = Bench::new();
    let start = bench.clock.monotonic();
    let cx = Context::new("r", start + Duration::from_secs(60), Priority::Interactive);
    let (now, most) = (&AtomicU32::new(0), &AtomicU32::new(0));
    let one = || {
        call(&bench.guard, &cx, READ, move |_| async move {
            most.fetch_max(now.fetch_add(1, Ordering::Relaxed) + 1, Ordering::Relaxed);
            for _ in 0..5 {
                tokio::task::yield_now().await;
            }
            now.fetch_sub(1, Ordering::Relaxed);
            Ok(())
        })
    };
    let results = tokio::join!(one(), one(), one(), one(), one());
    assert!(results.0.is_ok() && results.4.is_ok());
    assert_eq!(
        (most.load(Ordering::Relaxed), bench.guard.running()),
        (2, 0)
    );
}

#[tokio::test]
async fn the_observer_receives_everything() {
    let bench = Bench::new();
    let answer = bench
        .run(READ, 60, |number| match number {
            1 => Err(error(ErrorKind::Throttled).with_retry_after(Duration::from_millis(50))),
            number => Ok(number),
        })
        .await;
    assert_eq!(answer.unwrap(), 2);
    assert_eq!(
        bench.book.lines(),
        [
            "waited 0",
            "throttled",
            "Read throttled",
            "waited 50",
            "ok",
            "Read ok after 2"
        ]
    );
    open_breaker(&bench).await;
    let _refused = bench.run(READ, 60, |_| Ok(1)).await;
    assert_eq!(bench.book.lines().last().unwrap(), "Read breaker after 0");
}

fn any_time() -> impl Strategy<Value = Duration> {
    let seconds = prop_oneof![
        any::<u64>(),
        Just(u64::MAX),
        Just(u64::MAX / 2),
        Just(i64::MAX as u64),
        0_u64..100
    ];
    (seconds, 0_u32..1_000_000_000).prop_map(|(seconds, nanos)| Duration::new(seconds, nanos))
}

proptest! {
    /// A vendor may send any number as a time to wait, and an operator may have set any.
    #[test]
    fn no_time_from_outside_panics(
        hint in proptest::option::of(any_time()), timeout in any_time(), window in any_time(), margin in proptest::option::of(any_time()),
        kind in prop_oneof![Just(ErrorKind::Unavailable), Just(ErrorKind::Throttled), Just(ErrorKind::Protocol)],
    ) {
        let clock = ManualClock::new(datetime!(2026-01-01 00:00 UTC));
        let shared: Arc<dyn Clock> = Arc::new(clock.clone());
        let scope = QuotaScope::Account;
        let limits = QuotaLimits { calls: 2, window, margin, scope };
        let quota = Arc::new(AccountQuota::new(limits, Arc::clone(&shared)));
        let limits = GuardLimits { timeout, max_attempts: 3, max_concurrent: 2 };
        let random = Arc::new(SequenceRandom::new(1));
        let guard = Guard::new(limits, quota, shared, random, Arc::new(Book::default()));
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            for _ in 0..3 {
                let deadline = clock.monotonic() + Duration::from_secs(5);
                let cx = Context::new("r", deadline, Priority::Interactive);
                let work = call(&guard, &cx, READ, |_| async {
                    let error = Error::new(kind, "no").with_retry(Retry::Later);
                    Err::<(), _>(match hint {
                        Some(hint) => error.with_retry_after(hint),
                        None => error,
                    })
                });
                let ticks = async {
                    loop {
                        tokio::task::yield_now().await;
                        clock.advance(Duration::from_millis(500));
                    }
                };
                tokio::select! {
                    biased;
                    result = work => assert!(result.is_err()),
                    () = ticks => unreachable!("the clock runs for ever"),
                }
            }
        });
    }
}
