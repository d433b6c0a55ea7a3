//! Calls of a gateway that holds the account, that does not, and that loses it in between.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use ota_core::clock::{Clock, ManualClock};
use ota_core::context::{Context, Priority};
use ota_core::gate::{VendorCall, call};
use ota_core::random::SequenceRandom;
use ota_core::{Error, ErrorKind};
use time::macros::datetime;

use super::{Guard, GuardLimits};
use crate::lease::Lease;
use crate::observer::NoObserver;
use crate::quota::{AccountQuota, QuotaLimits, QuotaScope};

const SECOND: Duration = Duration::from_secs(1);

/// A lease that ends at a time.
#[derive(Debug)]
struct Until(ManualClock, Mutex<Instant>);

impl Lease for Until {
    fn held_until(&self) -> Option<Instant> {
        let until = *self.1.lock().unwrap();
        (self.0.monotonic() < until).then_some(until)
    }
}

struct Bench {
    clock: ManualClock,
    quota: Arc<AccountQuota>,
    lease: Arc<Until>,
    guard: Arc<Guard>,
    sent: Arc<AtomicU32>,
}

impl Bench {
    /// A gateway that holds its account for so long, with one call in a window of a minute.
    fn new(held: Duration) -> Self {
        let clock = ManualClock::new(datetime!(2026-01-01 00:00 UTC));
        let shared: Arc<dyn Clock> = Arc::new(clock.clone());
        let limits = QuotaLimits {
            calls: 1,
            window: SECOND * 60,
            margin: Some(Duration::ZERO),
            scope: QuotaScope::Account,
        };
        let quota = Arc::new(AccountQuota::new(limits, Arc::clone(&shared)));
        let limits = GuardLimits {
            timeout: SECOND * 20,
            max_attempts: 3,
            max_concurrent: 2,
        };
        let until = clock.monotonic() + held;
        let lease = Arc::new(Until(clock.clone(), Mutex::new(until)));
        let random = Arc::new(SequenceRandom::new(1));
        let guard = Guard::new(
            limits,
            Arc::clone(&quota),
            shared,
            random,
            Arc::new(NoObserver),
        );
        guard.set_lease(Arc::<Until>::clone(&lease));
        Self {
            clock,
            quota,
            lease,
            guard: Arc::new(guard),
            sent: Arc::default(),
        }
    }

    /// Begins a call that the vendor answers after so long.
    fn call(&self, answer: Duration) -> tokio::task::JoinHandle<ota_core::Result<()>> {
        let (guard, sent) = (Arc::clone(&self.guard), Arc::clone(&self.sent));
        let deadline = self.clock.monotonic() + SECOND * 200;
        let cx = Context::new("r", deadline, Priority::Interactive);
        let clock = self.clock.clone();
        tokio::spawn(async move {
            call(&*guard, &cx, VendorCall::read("Read"), |_| {
                sent.fetch_add(1, Ordering::Relaxed);
                let answered = clock.sleep_until(clock.monotonic() + answer);
                async move {
                    answered.await;
                    Ok(())
                }
            })
            .await
        })
    }

    async fn pass(&self, time: Duration) {
        settle().await;
        self.clock.advance(time);
        settle().await;
    }

    fn sent(&self) -> u32 {
        self.sent.load(Ordering::Relaxed)
    }
}

async fn settle() {
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
}

#[track_caller]
fn is_refused(result: ota_core::Result<()>) {
    let error: Error = result.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(
        error.is_local() && error.retry_after().is_some(),
        "{error:?}"
    );
}

#[tokio::test]
async fn without_the_lease_nothing_is_sent_and_no_quota_is_used() {
    let bench = Bench::new(SECOND);
    bench.pass(SECOND).await;
    is_refused(bench.call(Duration::ZERO).await.unwrap());
    assert_eq!((bench.sent(), bench.quota.remaining()), (0, 1));
    // It is held again.
    *bench.lease.1.lock().unwrap() += SECOND * 60;
    bench.call(Duration::ZERO).await.unwrap().unwrap();
    assert_eq!(bench.sent(), 1);
}

#[tokio::test]
async fn a_call_whose_turn_comes_after_the_lease_has_ended_is_not_sent() {
    let bench = Bench::new(SECOND * 10);
    bench.call(Duration::ZERO).await.unwrap().unwrap();
    let waits = bench.call(Duration::ZERO);
    bench.pass(SECOND * 61).await;
    is_refused(waits.await.unwrap());
    assert_eq!((bench.sent(), bench.quota.remaining()), (1, 1));
}

#[tokio::test]
async fn an_answer_that_comes_after_the_lease_has_ended_is_not_used() {
    let bench = Bench::new(SECOND * 10);
    let begun = bench.call(SECOND * 9);
    bench.pass(SECOND * 5).await;
    assert_eq!(bench.sent(), 1);
    // As a process that was stopped wakes up: both times have passed.
    bench.pass(SECOND * 30).await;
    is_refused(begun.await.unwrap());
    assert_eq!(bench.sent(), 1);
}

#[tokio::test]
async fn a_call_goes_on_while_its_lease_is_renewed() {
    let bench = Bench::new(SECOND * 9);
    let begun = bench.call(SECOND * 15);
    for _ in 0..5 {
        bench.pass(SECOND * 3).await;
        *bench.lease.1.lock().unwrap() += SECOND * 3;
    }
    begun.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_pause_lets_no_call_leave_before_its_end() {
    let bench = Bench::new(SECOND * 1000);
    bench.quota.pause(SECOND * 60);
    assert_eq!(bench.quota.remaining(), 0);
    let waits = bench.call(Duration::ZERO);
    bench.pass(SECOND * 59).await;
    assert_eq!(bench.sent(), 0);
    // A shorter one takes nothing back.
    bench.quota.pause(Duration::ZERO);
    bench.pass(SECOND * 2).await;
    waits.await.unwrap().unwrap();
    assert_eq!(bench.sent(), 1);
}

#[tokio::test]
async fn a_closed_gate_sends_nothing_and_awaits_what_it_has_sent() {
    let bench = Bench::new(SECOND * 1000);
    let sent = bench.call(SECOND * 5);
    let waits = bench.call(SECOND);
    settle().await;
    bench.guard.close();
    assert_eq!((bench.sent(), bench.quota.counted().len()), (1, 1));
    bench.pass(SECOND * 5).await;
    sent.await.unwrap().unwrap();
    let refused = bench.call(SECOND).await.unwrap().unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Unavailable);
    assert!(refused.is_local() && refused.is_unsent());
    // Its turn comes when the window has passed.
    bench.pass(SECOND * 61).await;
    assert!(waits.await.unwrap().unwrap_err().is_unsent());
    assert_eq!(bench.sent(), 1);
}
