use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use ota_core::clock::{Clock, ManualClock};
use ota_core::context::Priority::{self, Background, Interactive};
use ota_core::random::SequenceRandom;
use proptest::prelude::*;
use time::macros::datetime;
use tokio::task::JoinHandle;

use super::{AccountQuota, Permit, PermitRequest, QuotaLimits, QuotaScope, Slots};
use crate::latency::LatencyEstimate;

const WINDOW: Duration = Duration::from_secs(1);
const MARGIN: Duration = Duration::from_millis(100);

pub(super) fn each() -> QuotaScope {
    QuotaScope::Operation {
        exceptions: Vec::new(),
    }
}

pub(super) fn quota(calls: u32, scope: QuotaScope) -> (ManualClock, Arc<AccountQuota>) {
    let clock = ManualClock::new(datetime!(2026-01-01 00:00 UTC));
    let limits = QuotaLimits {
        calls,
        window: WINDOW,
        margin: Some(MARGIN),
        scope,
    };
    (
        clock.clone(),
        Arc::new(AccountQuota::new(limits, Arc::new(clock))),
    )
}

pub(super) fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// Waits for a place as `Guard` does, for calls that take no time.
pub(super) async fn acquire(
    quota: &Arc<AccountQuota>,
    caller: Option<&Arc<str>>,
    operation: &'static str,
    slots: &Slots,
    priority: Priority,
    deadline: Instant,
) -> ota_core::Result<Permit> {
    let estimate = LatencyEstimate {
        median: Duration::ZERO,
        p90: Duration::ZERO,
        timeout: ms(8000),
        probe: false,
    };
    let wanted = PermitRequest {
        caller,
        operation,
        slots,
        priority,
        log: &Arc::default(),
        deadline,
        estimate,
    };
    quota.acquire(&wanted).await
}

pub(super) async fn settle() {
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
}

fn many() -> Slots {
    Slots::new(1000)
}

/// Takes a place that must be free.
async fn take(quota: &Arc<AccountQuota>, operation: &'static str) -> Permit {
    let now = quota.clock.monotonic();
    acquire(quota, None, operation, &many(), Interactive, now)
        .await
        .expect("a place is free")
}

fn wait_with(
    quota: &Arc<AccountQuota>,
    slots: &Slots,
    priority: Priority,
    deadline: Instant,
) -> JoinHandle<ota_core::Result<Permit>> {
    let (quota, slots) = (Arc::clone(quota), slots.clone());
    tokio::spawn(async move { acquire(&quota, None, "op", &slots, priority, deadline).await })
}

fn wait(
    quota: &Arc<AccountQuota>,
    priority: Priority,
    deadline: Instant,
) -> JoinHandle<ota_core::Result<Permit>> {
    wait_with(quota, &many(), priority, deadline)
}

#[tokio::test]
async fn a_place_comes_back_a_window_after_the_answer() {
    let (clock, quota) = quota(1, each());
    let deadline = clock.monotonic() + ms(10_000);
    let permit = take(&quota, "op").await;
    clock.advance(ms(30));
    permit.answered(true);
    let next = wait(&quota, Interactive, deadline);
    clock.advance(ms(999));
    settle().await;
    assert!(!next.is_finished());
    clock.advance(ms(1));
    next.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_call_that_is_answered_late_or_never_keeps_its_place_for_the_margin_and_a_window() {
    for answered_after in [None, Some(ms(500))] {
        let (clock, quota) = quota(1, each());
        let deadline = clock.monotonic() + ms(10_000);
        let permit = take(&quota, "op").await;
        match answered_after {
            None => drop(permit),
            Some(after) => {
                clock.advance(after);
                permit.answered(true);
            }
        }
        let next = wait(&quota, Interactive, deadline);
        settle().await;
        clock.advance(ms(1099) - answered_after.unwrap_or_default());
        settle().await;
        assert!(!next.is_finished());
        clock.advance(ms(1));
        next.await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn a_burst_at_the_edge_of_a_window_waits_for_the_window_before_it() {
    let (clock, quota) = quota(10, each());
    let deadline = clock.monotonic() + ms(10_000);
    // Nine early, one late: the edge of the window lies between them.
    for _ in 0..9 {
        take(&quota, "op").await.answered(true);
    }
    clock.advance(ms(900));
    take(&quota, "op").await.answered(true);
    let waiting: Vec<_> = (0..10)
        .map(|_| wait(&quota, Interactive, deadline))
        .collect();
    settle().await;
    let served = |waiting: &[JoinHandle<_>]| waiting.iter().filter(|one| one.is_finished()).count();
    assert_eq!(served(&waiting), 0);
    clock.advance(ms(100));
    settle().await;
    assert_eq!(served(&waiting), 9);
    clock.advance(ms(899));
    settle().await;
    assert_eq!(served(&waiting), 9);
    clock.advance(ms(1));
    settle().await;
    assert_eq!(served(&waiting), 10);
}

#[tokio::test]
async fn steps_of_the_wall_clock_change_nothing() {
    for step in [-86_400, 86_400] {
        let (clock, quota) = quota(1, each());
        let deadline = clock.monotonic() + ms(10_000);
        take(&quota, "op").await.answered(true);
        clock.set_wall(clock.now() + time::Duration::seconds(step));
        let next = wait(&quota, Interactive, deadline);
        clock.advance(ms(999));
        settle().await;
        assert!(!next.is_finished(), "after a step of {step} s");
        clock.advance(ms(1));
        next.await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn a_call_that_was_not_sent_does_not_count() {
    let (clock, quota) = quota(1, each());
    let deadline = clock.monotonic() + ms(100);
    take(&quota, "op").await.unused();
    assert_eq!(quota.remaining(), 1);
    let permit = take(&quota, "op").await;
    assert!(
        acquire(&quota, None, "op", &many(), Interactive, deadline)
            .await
            .is_err()
    );
    permit.unused();
    wait(&quota, Interactive, deadline).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_cancelled_call_leaves_the_queue() {
    let (clock, quota) = quota(1, each());
    let deadline = clock.monotonic() + ms(10_000);
    take(&quota, "op").await.answered(true);
    let gone = wait(&quota, Interactive, deadline);
    settle().await;
    let stays = wait(&quota, Interactive, deadline);
    settle().await;
    assert_eq!(quota.waiting(), 2);
    gone.abort();
    settle().await;
    assert_eq!(quota.waiting(), 1);
    clock.advance(WINDOW);
    stays.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_call_that_is_not_polled_holds_nothing_and_blocks_no_other() {
    let (clock, quota) = quota(1, each());
    let deadline = clock.monotonic() + ms(10_000);
    take(&quota, "op").await.answered(true);
    let slots = Slots::new(2);
    // A future that was polled once and then no longer, as in a branch of a `select!` that is not reached again.
    let mut paused = pin!(acquire(&quota, None, "op", &slots, Interactive, deadline));
    poll_fn(|cx| {
        assert!(paused.as_mut().poll(cx).is_pending());
        Poll::Ready(())
    })
    .await;
    let behind = wait_with(&quota, &slots, Interactive, deadline);
    settle().await;
    clock.advance(WINDOW);
    settle().await;
    assert!(!behind.is_finished(), "the earlier call may still react");
    clock.advance(ms(100));
    let permit = behind.await.unwrap().unwrap();
    assert_eq!((slots.running(), quota.remaining()), (1, 0));
    permit.answered(true);
    // When it is polled again, it is the next.
    let next = wait_with(&quota, &slots, Interactive, deadline);
    settle().await;
    clock.advance(WINDOW);
    paused.await.unwrap().answered(true);
    settle().await;
    assert!(!next.is_finished());
    clock.advance(WINDOW);
    next.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_wait_beyond_the_deadline_is_refused_at_once() {
    let (clock, quota) = quota(2, each());
    let start = clock.monotonic();
    for _ in 0..2 {
        take(&quota, "op").await.answered(true);
    }
    let error = acquire(&quota, None, "op", &many(), Interactive, start + ms(500))
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
    let third = acquire(&quota, None, "op", &many(), Interactive, start + ms(1500)).await;
    assert_eq!(third.unwrap_err().retry_after(), Some(WINDOW * 2));
    clock.advance(WINDOW);
    first.await.unwrap().unwrap();
    second.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_new_pause_refuses_calls_that_cannot_wait_for_its_end() {
    let (clock, quota) = quota(1, each());
    let start = clock.monotonic();
    take(&quota, "op").await.answered(true);
    let impatient = wait(&quota, Interactive, start + ms(2000));
    let patient = wait(&quota, Interactive, start + ms(20_000));
    settle().await;
    let random = SequenceRandom::new(1);
    quota.throttled(start, Some(ms(5000)), &random);
    let error = impatient.await.unwrap().unwrap_err();
    assert_eq!(error.retry_after(), Some(ms(5000)));
    clock.advance(ms(5000));
    patient.await.unwrap().unwrap();
}

#[tokio::test]
async fn callers_are_served_in_order_and_background_ones_behind_all_interactive_ones() {
    let (clock, quota) = quota(1, each());
    let deadline = clock.monotonic() + ms(1_000_000);
    take(&quota, "op").await.answered(true);
    let (sender, mut served) = tokio::sync::mpsc::unbounded_channel();
    let mut callers = vec![(Background, 100)];
    callers.extend((0..10).map(|number| (Interactive, number)));
    for (priority, number) in callers {
        let (quota, sender) = (Arc::clone(&quota), sender.clone());
        tokio::spawn(async move {
            let slots = many();
            let permit = acquire(&quota, None, "op", &slots, priority, deadline).await;
            sender.send(number).unwrap();
            permit.unwrap().answered(true);
        });
        settle().await;
    }
    let mut order = Vec::new();
    for _ in 0..11 {
        clock.advance(WINDOW);
        settle().await;
        order.push(served.recv().await.unwrap());
    }
    assert_eq!(order, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 100]);
}

#[tokio::test]
async fn operations_are_counted_as_the_vendor_counts_them() {
    let (_, per_operation) = quota(1, each());
    let _one = take(&per_operation, "a").await;
    let _other = take(&per_operation, "b").await;
    let (clock, whole) = quota(1, QuotaScope::Account);
    let _one = take(&whole, "a").await;
    let soon = clock.monotonic() + ms(1);
    assert!(
        acquire(&whole, None, "b", &many(), Interactive, soon)
            .await
            .is_err()
    );
    assert_eq!(whole.remaining(), 0);
}

#[tokio::test]
async fn operations_with_another_number_have_it() {
    let scope = QuotaScope::Operation {
        exceptions: vec![("half", 1), ("double", 4)],
    };
    let (clock, quota) = quota(2, scope);
    let now = clock.monotonic();
    for (operation, calls) in [("half", 1), ("double", 4), ("other", 2)] {
        for _ in 0..calls {
            drop(take(&quota, operation).await);
        }
        let more = acquire(&quota, None, operation, &many(), Interactive, now + ms(1)).await;
        assert!(more.is_err(), "{operation}");
    }
}

#[tokio::test]
async fn reads_and_writes_are_counted_apart() {
    let scope = QuotaScope::ReadsAndWrites {
        writes: vec!["create", "cancel"],
        calls: 1,
    };
    let (clock, quota) = quota(2, scope);
    let soon = clock.monotonic() + ms(1);
    drop(take(&quota, "create").await);
    let more = acquire(&quota, None, "cancel", &many(), Interactive, soon).await;
    assert!(more.is_err(), "one write is all that the window holds");
    drop(take(&quota, "list").await);
    drop(take(&quota, "get").await);
    let more = acquire(&quota, None, "list", &many(), Interactive, soon).await;
    assert!(more.is_err(), "two reads are all that the window holds");
}

#[tokio::test]
async fn two_providers_on_one_account_share_its_quota_and_have_slots_of_their_own() {
    let (clock, quota) = quota(3, QuotaScope::Account);
    let deadline = clock.monotonic() + ms(10_000);
    let (one, other) = (Slots::new(1), Slots::new(5));
    let busy = wait_with(&quota, &one, Interactive, deadline)
        .await
        .unwrap()
        .unwrap();
    // The slot is taken, so this one waits, and does not hold up the other provider's calls behind it.
    let waits = wait_with(&quota, &one, Interactive, deadline);
    settle().await;
    let passes = wait_with(&quota, &other, Interactive, deadline);
    let passes = passes.await.unwrap().unwrap();
    assert!(!waits.is_finished());
    assert_eq!(
        (one.running(), other.running(), quota.remaining()),
        (1, 1, 1)
    );
    busy.answered(true);
    let waits = waits.await.unwrap().unwrap();
    assert_eq!(quota.remaining(), 0);
    let full = acquire(
        &quota,
        None,
        "op",
        &other,
        Interactive,
        clock.monotonic() + ms(10),
    )
    .await;
    assert!(
        full.is_err(),
        "three calls of two providers fill the window"
    );
    drop((waits, passes));
    assert_eq!((one.running(), other.running()), (0, 0));
}

#[tokio::test]
async fn a_throttled_account_is_slowed_as_a_whole_and_longer_each_time() {
    let (clock, quota) = quota(5, each());
    let random = SequenceRandom::new(3);
    let mut waits = Vec::new();
    for _ in 0..8 {
        let sent = clock.monotonic();
        drop(take(&quota, "a").await);
        quota.throttled(sent, None, &random);
        // Responses to calls that were in flight give no new information.
        quota.throttled(sent, None, &random);
        assert_eq!(quota.remaining(), 0);
        let waiter = wait(&quota, Interactive, sent + ms(60_000));
        let mut waited = 0;
        settle().await;
        while !waiter.is_finished() {
            clock.advance(ms(10));
            waited += 10;
            settle().await;
        }
        waits.push(waited);
        drop(waiter.await.unwrap().unwrap());
        clock.advance(ms(2000));
    }
    assert!((250..=510).contains(&waits[0]), "{waits:?}");
    assert!(waits[2] > waits[0] && waits[3] > waits[1], "{waits:?}");
    assert!(waits.iter().all(|wait| *wait <= 5010), "{waits:?}");
    // An accepted call ends the series of throttled calls.
    take(&quota, "a").await.answered(true);
    let sent = clock.monotonic();
    quota.throttled(sent, None, &random);
    clock.advance(ms(500));
    assert!(quota.remaining() > 0);
}

#[test]
fn no_hint_locks_an_account_away_for_ever() {
    let (clock, quota) = quota(5, each());
    let random = SequenceRandom::new(3);
    quota.throttled(clock.monotonic(), Some(Duration::MAX), &random);
    clock.advance(Duration::from_secs(301));
    assert_eq!(quota.remaining(), 5);
}

#[derive(Clone, Debug)]
enum Step {
    /// A call is made; it takes this long to arrive at the vendor and this long to be answered.
    Call {
        travel: u64,
        answer: u64,
        background: bool,
        throttled: bool,
        second_provider: bool,
    },
    /// A call is made and cancelled, before or after it is sent.
    Cancelled {
        after: u64,
    },
    /// A caller starts to wait, is polled once and then not until the end.
    Paused,
    /// The wall clock steps.
    WallJump(i64),
    Wait(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (0_u64..100, 0_u64..300, any::<bool>(), 0_u32..20, any::<bool>()).prop_map(
            |(travel, answer, background, throttled, second_provider)| Step::Call {
                travel, answer, background, throttled: throttled == 0, second_provider,
            }
        ),
        2 => (0_u64..50).prop_map(|after| Step::Cancelled { after }),
        1 => Just(Step::Paused),
        1 => (-100_000_i64..100_000).prop_map(Step::WallJump),
        4 => (0_u64..400).prop_map(Step::Wait),
    ]
}

/// Plays the steps and returns when calls arrived at the vendor, and how many callers were served.
async fn play(calls: u32, slots: [u32; 2], steps: Vec<Step>) -> (Vec<Instant>, usize, usize) {
    let (clock, quota) = quota(calls, each());
    let slots = slots.map(Slots::new);
    let (sender, mut arrived) = tokio::sync::mpsc::unbounded_channel();
    let deadline = clock.monotonic() + Duration::from_secs(100_000);
    let (mut asked, mut callers, mut paused) = (0, Vec::new(), Vec::new());
    for step in steps {
        match step {
            Step::Call {
                travel,
                answer,
                background,
                throttled,
                second_provider,
            } => {
                asked += 1;
                let (quota, sender, clock) = (Arc::clone(&quota), sender.clone(), clock.clone());
                let slots = slots[usize::from(second_provider)].clone();
                let priority = if background { Background } else { Interactive };
                callers.push(tokio::spawn(async move {
                    let permit = acquire(&quota, None, "op", &slots, priority, deadline)
                        .await
                        .unwrap();
                    let sent = clock.monotonic();
                    clock.sleep_until(sent + ms(travel)).await;
                    sender.send(sent + ms(travel)).unwrap();
                    clock.sleep_until(sent + ms(travel + answer)).await;
                    permit.answered(!throttled);
                    if throttled {
                        quota.throttled(sent, None, &SequenceRandom::new(travel));
                    }
                }));
            }
            Step::Cancelled { after } => {
                let (quota, sender, own) = (Arc::clone(&quota), sender.clone(), clock.clone());
                let slots = slots[0].clone();
                let caller = tokio::spawn(async move {
                    let _permit = acquire(&quota, None, "op", &slots, Interactive, deadline).await;
                    let sent = own.monotonic();
                    // A call that was sent arrives, even if the caller cancels it.
                    sender.send(sent + MARGIN).unwrap();
                    own.sleep_until(sent + ms(1000)).await;
                });
                settle().await;
                clock.advance(ms(after));
                settle().await;
                caller.abort();
            }
            Step::Paused => {
                let (quota, slots) = (Arc::clone(&quota), slots[0].clone());
                let mut waiting = Box::pin(async move {
                    let permit = acquire(&quota, None, "op", &slots, Interactive, deadline).await;
                    permit.unwrap().unused();
                });
                poll_fn(|cx| {
                    let _served_or_waiting = waiting.as_mut().poll(cx);
                    Poll::Ready(())
                })
                .await;
                paused.push(waiting);
            }
            Step::WallJump(seconds) => {
                clock.set_wall(clock.now() + time::Duration::seconds(seconds))
            }
            Step::Wait(by) => clock.advance(ms(by)),
        }
        settle().await;
    }
    for _ in 0..40_000 {
        if callers.iter().all(JoinHandle::is_finished) {
            break;
        }
        clock.advance(ms(10));
        for _ in 0..3 {
            tokio::task::yield_now().await;
        }
    }
    let served = callers.iter().filter(|caller| caller.is_finished()).count();
    let mut arrivals = Vec::new();
    while let Ok(arrival) = arrived.try_recv() {
        arrivals.push(arrival);
    }
    arrivals.sort_unstable();
    (arrivals, asked, served)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    /// For any behaviour of callers, no window of the vendor holds more calls than the quota, and every call that continues to wait is served.
    #[test]
    fn no_window_holds_more_than_the_quota_as_the_vendor_sees_it(
        calls in 1_u32..6, slots in [1_u32..4, 1_u32..4], steps in proptest::collection::vec(step(), 1..60),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let (arrivals, asked, served) = runtime.block_on(play(calls, slots, steps));
        for (number, first) in arrivals.iter().enumerate() {
            let inside = arrivals[number..].iter().take_while(|other| other.duration_since(*first) < WINDOW).count();
            prop_assert!(inside <= calls as usize, "{inside} calls in one window of {calls}");
        }
        prop_assert_eq!(served, asked, "a caller waits forever");
    }
}

fn wait_as(
    quota: &Arc<AccountQuota>,
    caller: &str,
    deadline: Instant,
) -> JoinHandle<ota_core::Result<Permit>> {
    let (quota, caller) = (Arc::clone(quota), Arc::<str>::from(caller));
    tokio::spawn(async move {
        acquire(&quota, Some(&caller), "op", &many(), Interactive, deadline).await
    })
}

#[tokio::test]
async fn a_caller_with_many_calls_takes_no_turn_of_others() {
    let (clock, quota) = quota(1, each());
    let deadline = clock.monotonic() + Duration::from_secs(1000);
    let mut greedy: Vec<_> = (0..50)
        .map(|_| wait_as(&quota, "greedy", deadline))
        .collect();
    settle().await;
    let first = greedy.remove(0).await.unwrap().unwrap();
    let mut others: Vec<_> = ["a", "b"]
        .map(|caller| wait_as(&quota, caller, deadline))
        .into();
    others.push(wait_as(&quota, "a", deadline));
    settle().await;
    first.answered(true);
    // At most one call of the busiest caller may come before each of theirs.
    for _ in 0..5 {
        clock.advance(WINDOW + MARGIN);
        settle().await;
    }
    let served = others.iter().filter(|task| task.is_finished()).count();
    assert_eq!(served, 3, "each caller must get its turn");
    let served = greedy.iter().filter(|task| task.is_finished()).count();
    assert_eq!(served, 2);
}

#[tokio::test]
async fn a_wait_is_estimated_by_turns() {
    let (clock, quota) = quota(1, each());
    let start = clock.monotonic();
    let patient = start + Duration::from_secs(1000);
    let _greedy: Vec<_> = (0..50)
        .map(|_| wait_as(&quota, "greedy", patient))
        .collect();
    settle().await;
    // Behind all calls of the other caller, its turn would come too late.
    let soon = start + 4 * (WINDOW + MARGIN);
    let other = wait_as(&quota, "other", soon);
    settle().await;
    assert!(
        !other.is_finished(),
        "refused though its turn comes in time"
    );
    let another = wait_as(&quota, "greedy", soon);
    settle().await;
    assert!(another.is_finished(), "its own calls come first");
}

#[tokio::test]
async fn one_caller_leaves_a_share_of_the_window_to_others() {
    let (clock, quota) = quota(10, each());
    let quota = Arc::into_inner(quota).unwrap().with_caller_share(0.8);
    let quota = Arc::new(quota);
    // A single caller may use all of them.
    let soon = clock.monotonic() + ms(500);
    let alone: Vec<_> = (0..10).map(|_| wait_as(&quota, "greedy", soon)).collect();
    settle().await;
    for task in alone {
        assert!(task.await.unwrap().is_ok());
    }
    let late = wait_as(&quota, "a", soon);
    settle().await;
    assert!(late.await.unwrap().is_err());
    clock.advance(WINDOW + MARGIN);
    let soon = clock.monotonic() + ms(500);
    let greedy: Vec<_> = (0..20).map(|_| wait_as(&quota, "greedy", soon)).collect();
    settle().await;
    let mut permits = Vec::new();
    let mut refused = 0;
    for task in greedy {
        assert!(task.is_finished(), "neither served nor refused");
        match task.await.unwrap() {
            Ok(permit) => permits.push(permit),
            Err(error) => {
                assert_eq!(error.retry_after(), Some(WINDOW + MARGIN));
                refused += 1;
            }
        }
    }
    assert_eq!((permits.len(), refused), (8, 12));
    for other in ["a", "b"] {
        let task = wait_as(&quota, other, soon);
        settle().await;
        assert!(task.is_finished());
        permits.push(task.await.unwrap().unwrap());
    }
    // As soon as its own calls no longer count, it may continue.
    clock.advance(WINDOW + MARGIN);
    let later = clock.monotonic() + ms(500);
    let task = wait_as(&quota, "greedy", later);
    settle().await;
    assert!(task.is_finished());
    assert!(task.await.unwrap().is_ok());
    // After a while without other callers, it is the only caller again.
    clock.advance(WINDOW * 5);
    let soon = clock.monotonic() + ms(500);
    let alone: Vec<_> = (0..10).map(|_| wait_as(&quota, "greedy", soon)).collect();
    settle().await;
    for task in alone {
        assert!(task.await.unwrap().is_ok());
    }
}

#[tokio::test]
async fn callers_without_calls_are_forgotten() {
    let (clock, quota) = quota(2, each());
    for number in 0..20 {
        let deadline = clock.monotonic() + WINDOW;
        let permit = wait_as(&quota, &number.to_string(), deadline);
        settle().await;
        permit.await.unwrap().unwrap().answered(true);
        clock.advance(WINDOW + MARGIN);
    }
    assert_eq!(quota.remaining(), 2);
    let state = super::lock(&quota.state);
    assert!(state.buckets["op"].has_no_idle_callers());
}

#[tokio::test]
async fn the_slots_of_a_provider_are_shared_between_operations() {
    let (clock, quota) = quota(100, each());
    let slots = Slots::new(1);
    let deadline = clock.monotonic() + Duration::from_secs(1000);
    let wait = |caller: &str, operation: &'static str| {
        let (quota, slots, caller) = (Arc::clone(&quota), slots.clone(), Arc::<str>::from(caller));
        tokio::spawn(async move {
            acquire(
                &quota,
                Some(&caller),
                operation,
                &slots,
                Interactive,
                deadline,
            )
            .await
        })
    };
    let mut greedy: Vec<_> = (0..30).map(|_| wait("greedy", "get")).collect();
    settle().await;
    let mut running = greedy.remove(0).await.unwrap().unwrap();
    let mut others: Vec<_> = (0..3).map(|_| wait("other", "list")).collect();
    settle().await;
    let mut turns = 0;
    while !others.is_empty() {
        running.answered(true);
        settle().await;
        let ended = |tasks: &[JoinHandle<_>]| tasks.iter().position(JoinHandle::is_finished);
        running = match (ended(&others), ended(&greedy)) {
            (Some(index), None) => others.remove(index).await.unwrap().unwrap(),
            (None, Some(index)) => greedy.remove(index).await.unwrap().unwrap(),
            both => panic!("one slot, and {both:?} have it"),
        };
        turns += 1;
        assert!(
            turns <= 7,
            "the other one waits behind the busiest caller's calls"
        );
    }
}
