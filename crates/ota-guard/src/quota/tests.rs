use std::sync::Arc;
use std::time::{Duration, Instant};

use ota_core::clock::{Clock, ManualClock};
use ota_core::context::Priority::{self, Background, Interactive};
use proptest::prelude::*;
use time::macros::datetime;

use super::{AccountQuota, Permit, QuotaLimits, QuotaScope};

const WINDOW: Duration = Duration::from_secs(1);
const MARGIN: Duration = Duration::from_millis(100);

fn quota(calls: u32, scope: QuotaScope) -> (ManualClock, Arc<AccountQuota>) {
    let clock = ManualClock::new(datetime!(2026-01-01 00:00 UTC));
    let limits = QuotaLimits {
        calls,
        window: WINDOW,
        margin: MARGIN,
        scope,
    };
    (
        clock.clone(),
        Arc::new(AccountQuota::new(limits, Arc::new(clock))),
    )
}

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

async fn settle() {
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
}

fn wait(
    quota: &Arc<AccountQuota>,
    priority: Priority,
    deadline: Instant,
) -> tokio::task::JoinHandle<ota_core::Result<Permit>> {
    let quota = Arc::clone(quota);
    tokio::spawn(async move { quota.acquire("op", priority, deadline).await })
}

#[tokio::test]
async fn a_permit_comes_back_a_window_after_the_answer() {
    let (clock, quota) = quota(1, QuotaScope::Operation);
    let deadline = clock.monotonic() + ms(10_000);
    let mut permit = quota.acquire("op", Interactive, deadline).await.unwrap();
    permit.sent();
    clock.advance(ms(30));
    permit.answered();
    let next = wait(&quota, Interactive, deadline);
    clock.advance(ms(999));
    settle().await;
    assert!(!next.is_finished());
    clock.advance(ms(1));
    next.await.unwrap().unwrap();
}

#[tokio::test]
async fn an_unanswered_call_comes_back_a_window_after_the_margin() {
    let (clock, quota) = quota(1, QuotaScope::Operation);
    let deadline = clock.monotonic() + ms(10_000);
    let mut permit = quota.acquire("op", Interactive, deadline).await.unwrap();
    permit.sent();
    drop(permit);
    let next = wait(&quota, Interactive, deadline);
    settle().await;
    clock.advance(ms(1099));
    settle().await;
    assert!(!next.is_finished());
    clock.advance(ms(1));
    next.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_caller_who_goes_away_holds_nothing() {
    let (clock, quota) = quota(1, QuotaScope::Operation);
    let deadline = clock.monotonic() + ms(10_000);
    let held = quota.acquire("op", Interactive, deadline).await.unwrap();
    let gone = wait(&quota, Interactive, deadline);
    let stays = wait(&quota, Interactive, deadline);
    settle().await;
    gone.abort();
    settle().await;
    drop(held);
    stays.await.unwrap().unwrap();
    assert_eq!(quota.remaining(), 1);
}

#[tokio::test]
async fn a_wait_beyond_the_deadline_is_refused_at_once() {
    let (clock, quota) = quota(2, QuotaScope::Operation);
    let start = clock.monotonic();
    for _ in 0..2 {
        let mut permit = quota
            .acquire("op", Interactive, start + ms(100))
            .await
            .unwrap();
        permit.sent();
        permit.answered();
    }
    let error = quota
        .acquire("op", Interactive, start + ms(500))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ota_core::ErrorKind::Throttled);
    assert_eq!(error.retry_after(), Some(WINDOW));
    // Two may wait for the next window, the third would come in the one after it.
    let (first, second) = (
        wait(&quota, Interactive, start + ms(1500)),
        wait(&quota, Interactive, start + ms(1500)),
    );
    settle().await;
    assert!(
        quota
            .acquire("op", Interactive, start + ms(1500))
            .await
            .is_err()
    );
    clock.advance(WINDOW);
    first.await.unwrap().unwrap();
    second.await.unwrap().unwrap();
}

#[tokio::test]
async fn callers_are_served_in_order_and_background_ones_get_through() {
    let (clock, quota) = quota(1, QuotaScope::Operation);
    let deadline = clock.monotonic() + ms(1_000_000);
    let mut permit = quota.acquire("op", Interactive, deadline).await.unwrap();
    permit.sent();
    permit.answered();
    let (sender, mut served) = tokio::sync::mpsc::unbounded_channel();
    let mut callers = vec![(Background, 100)];
    callers.extend((0..10).map(|number| (Interactive, number)));
    for (priority, number) in callers {
        let (quota, sender) = (Arc::clone(&quota), sender.clone());
        tokio::spawn(async move {
            let mut permit = quota.acquire("op", priority, deadline).await.unwrap();
            permit.sent();
            sender.send(number).unwrap();
            permit.answered();
        });
        settle().await;
    }
    let mut order = Vec::new();
    for _ in 0..11 {
        clock.advance(WINDOW);
        settle().await;
        order.push(served.recv().await.unwrap());
    }
    assert_eq!(order, [0, 1, 2, 3, 4, 5, 6, 100, 7, 8, 9]);
}

#[tokio::test]
async fn operations_are_counted_as_the_vendor_counts_them() {
    let (clock, per_operation) = quota(1, QuotaScope::Operation);
    let soon = clock.monotonic() + ms(1);
    let _one = per_operation.acquire("a", Interactive, soon).await.unwrap();
    assert!(per_operation.acquire("b", Interactive, soon).await.is_ok());
    let (clock, whole) = quota(1, QuotaScope::Account);
    let soon = clock.monotonic() + ms(1);
    let mut one = whole.acquire("a", Interactive, soon).await.unwrap();
    one.sent();
    assert!(whole.acquire("b", Interactive, soon).await.is_err());
    assert_eq!(whole.remaining(), 0);
}

#[tokio::test]
async fn a_throttled_account_is_slowed_as_a_whole() {
    let (clock, quota) = quota(5, QuotaScope::Operation);
    let start = clock.monotonic();
    quota.block_until(start + ms(700));
    assert_eq!(quota.remaining(), 0);
    assert!(
        quota
            .acquire("b", Interactive, start + ms(600))
            .await
            .is_err()
    );
    let waiter = wait(&quota, Interactive, start + ms(5000));
    settle().await;
    clock.advance(ms(699));
    settle().await;
    assert!(!waiter.is_finished());
    clock.advance(ms(1));
    waiter.await.unwrap().unwrap();
}

#[derive(Clone, Debug)]
enum Step {
    /// A caller comes; his call takes this long to arrive at the vendor and this long to be answered.
    Call {
        travel: u64,
        answer: u64,
        priority: bool,
    },
    /// A caller comes and goes away before or in the middle of his call.
    Cancelled {
        after: u64,
    },
    Wait(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0_u64..100, 0_u64..300, any::<bool>())
            .prop_map(|(travel, answer, priority)| Step::Call { travel, answer, priority }),
        1 => (0_u64..50).prop_map(|after| Step::Cancelled { after }),
        2 => (0_u64..400).prop_map(Step::Wait),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever callers do, no window of the vendor's holds more calls than the quota.
    #[test]
    fn no_window_holds_more_than_the_quota_as_the_vendor_sees_it(
        calls in 1_u32..6, steps in proptest::collection::vec(step(), 1..60),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let arrivals = runtime.block_on(async move {
            let (clock, quota) = quota(calls, QuotaScope::Operation);
            let (sender, mut arrived) = tokio::sync::mpsc::unbounded_channel();
            let deadline = clock.monotonic() + Duration::from_secs(10_000);
            for step in steps {
                match step {
                    Step::Call { travel, answer, priority } => {
                        let (quota, sender, clock) = (Arc::clone(&quota), sender.clone(), clock.clone());
                        let priority = if priority { Interactive } else { Background };
                        tokio::spawn(async move {
                            let mut permit = quota.acquire("op", priority, deadline).await.unwrap();
                            permit.sent();
                            let sent = clock.monotonic();
                            clock.sleep_until(sent + ms(travel)).await;
                            sender.send(sent + ms(travel)).unwrap();
                            clock.sleep_until(sent + ms(travel + answer)).await;
                            permit.answered();
                        });
                    }
                    Step::Cancelled { after } => {
                        let (quota, sender, own) = (Arc::clone(&quota), sender.clone(), clock.clone());
                        let caller = tokio::spawn(async move {
                            let mut permit = quota.acquire("op", Interactive, deadline).await.unwrap();
                            permit.sent();
                            let sent = own.monotonic();
                            // What was sent arrives, whatever becomes of the caller.
                            sender.send(sent + MARGIN).unwrap();
                            own.sleep_until(sent + ms(1000)).await;
                        });
                        settle().await;
                        clock.advance(ms(after));
                        settle().await;
                        caller.abort();
                    }
                    Step::Wait(by) => clock.advance(ms(by)),
                }
                settle().await;
            }
            for _ in 0..8000 {
                clock.advance(ms(10));
                tokio::task::yield_now().await;
            }
            drop(sender);
            let mut arrivals = Vec::new();
            while let Ok(arrival) = arrived.try_recv() {
                arrivals.push(arrival);
            }
            arrivals
        });
        let mut arrivals: Vec<Instant> = arrivals;
        arrivals.sort_unstable();
        for (number, first) in arrivals.iter().enumerate() {
            let inside = arrivals[number..].iter().take_while(|other| other.duration_since(*first) < WINDOW).count();
            prop_assert!(inside <= calls as usize, "{inside} calls in one window of {calls}");
        }
    }
}
