//! A vendor behind a network with latency: every call takes time in both directions, and the vendor counts calls when they arrive.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use ota_core::clock::{Clock, ManualClock};
use ota_core::context::{Context, Priority};
use ota_core::gate::{VendorCall, call};
use ota_core::random::SequenceRandom;
use ota_core::{ErrorKind, Result};
use proptest::prelude::*;
use time::macros::datetime;
use tokio::task::JoinHandle;

use crate::breaker::BreakerState;
use crate::guard::{Guard, GuardLimits};
use crate::observer::NoObserver;
use crate::quota::{AccountQuota, QuotaLimits, QuotaScope};

const READ: VendorCall = VendorCall::read("Read");
const WINDOW: Duration = Duration::from_secs(1);
const STEP: Duration = Duration::from_millis(10);

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// A vendor, and the gate before it.
struct Link {
    clock: ManualClock,
    guard: Arc<Guard>,
    /// When calls arrived.
    arrivals: Arc<Mutex<Vec<Instant>>>,
}

/// How a call travels.
#[derive(Clone, Copy, Debug)]
struct Trip {
    /// Until it arrives, including the time to open a connection.
    there: Duration,
    /// Until its response arrives; `None` if the response is lost.
    back: Option<Duration>,
}

impl Link {
    fn new(calls: u32) -> Self {
        let clock = ManualClock::new(datetime!(2026-01-01 00:00 UTC));
        let shared: Arc<dyn Clock> = Arc::new(clock.clone());
        let quota = QuotaLimits {
            calls,
            window: WINDOW,
            margin: None,
            scope: QuotaScope::Account,
        };
        let limits = GuardLimits {
            timeout: ms(8000),
            max_attempts: 3,
            max_concurrent: 64,
        };
        let guard = Guard::new(
            limits,
            Arc::new(AccountQuota::new(quota, Arc::clone(&shared))),
            shared,
            Arc::new(SequenceRandom::new(1)),
            Arc::new(NoObserver),
        );
        Self {
            clock,
            guard: Arc::new(guard),
            arrivals: Arc::default(),
        }
    }

    /// Starts a call with this maximum wait.
    fn send(&self, max_wait: Duration, trip: Trip) -> JoinHandle<(Result<()>, Instant, Instant)> {
        self.send_calls(max_wait, trip, 1)
    }

    /// Starts a request of so many calls, one after the other, whose caller waits so long.
    fn send_calls(
        &self,
        max_wait: Duration,
        trip: Trip,
        calls: u32,
    ) -> JoinHandle<(Result<()>, Instant, Instant)> {
        let (clock, guard) = (self.clock.clone(), Arc::clone(&self.guard));
        let arrivals = Arc::clone(&self.arrivals);
        let arrived = clock.monotonic();
        let cx = Context::new("r", arrived + max_wait, Priority::Interactive);
        tokio::spawn(async move {
            let one = || {
                call(&*guard, &cx, READ, |_| {
                    let sent = clock.monotonic();
                    // A call that was sent arrives, even if the caller cancels it.
                    arrivals.lock().unwrap().push(sent + trip.there);
                    let clock = clock.clone();
                    async move {
                        let Some(back) = trip.back else {
                            return std::future::pending().await;
                        };
                        clock.sleep_until(sent + trip.there + back).await;
                        Ok(())
                    }
                })
            };
            let mut result = Ok(());
            for _ in 0..calls {
                result = one().await;
                if result.is_err() {
                    break;
                }
            }
            (result, arrived, clock.monotonic())
        })
    }

    async fn step(&self, by: Duration) {
        self.clock.advance(by);
        for _ in 0..8 {
            tokio::task::yield_now().await;
        }
    }

    /// Returns the most calls that arrived within one window.
    fn most_in_a_window(&self) -> usize {
        let mut arrivals = self.arrivals.lock().unwrap().clone();
        arrivals.sort_unstable();
        let inside = arrivals.iter().enumerate().map(|(number, first)| {
            let within = |other: &&Instant| other.duration_since(*first) < WINDOW;
            arrivals[number..].iter().take_while(within).count()
        });
        inside.max().unwrap_or(0)
    }
}

/// Sends this many requests per second for this long, and checks every guarantee under steady overload.
async fn overload(per_second: u64, max_wait: Duration, seconds: u64, calls: u32) {
    const CALLS: u32 = 10;
    const TRIP: Duration = Duration::from_millis(250);
    let link = Link::new(CALLS);
    let trip = Trip {
        there: TRIP / 2,
        back: Some(TRIP / 2),
    };
    let start = link.clock.monotonic();
    let end = start + Duration::from_secs(seconds);
    let (mut asked, mut tasks) = (0, Vec::new());
    loop {
        let now = link.clock.monotonic();
        let due = (now - start).as_millis() as u64 * per_second / 1000;
        while now < end && asked <= due {
            tasks.push(link.send_calls(max_wait, trip, calls));
            asked += 1;
        }
        if now >= end && tasks.iter().all(JoinHandle::is_finished) {
            break;
        }
        link.step(STEP).await;
    }
    let mut seen = Seen::default();
    for task in tasks {
        let (result, arrived, ended) = task.await.unwrap();
        let took = ended - arrived;
        match result {
            Ok(()) => seen.answered += u64::from(ended <= end),
            Err(error) if error.kind() == ErrorKind::Throttled => {
                assert!(error.retry_after().is_some_and(|wait| !wait.is_zero()));
                seen.throttled += 1;
                seen.late += u64::from(took > ms(50));
            }
            Err(_) => seen.others += 1,
        }
    }
    let what = format!("{per_second} a second of {calls} calls, deadline {max_wait:?}: {seen:?}");
    assert_eq!(seen.others, 0, "{what}");
    assert_eq!(link.guard.breaker().openings(), 0, "{what}");
    assert_eq!(link.guard.breaker().state(), BreakerState::Closed, "{what}");
    assert!(link.most_in_a_window() <= CALLS as usize, "{what}");
    // Quota and network allow one quota of calls in each window plus round trip.
    let allowed = u64::from(CALLS) * seconds * 1000 / (WINDOW + TRIP).as_millis() as u64;
    let answered = seen.answered * u64::from(calls);
    // The number of calls of a request is learned, and that of the earlier requests in progress is estimated.
    let (least, most_late) = match calls {
        1 => (95, 0),
        _ => (60, seen.throttled / 10),
    };
    assert!(seen.late <= most_late, "{what}");
    assert!(
        answered >= allowed * least / 100,
        "{answered} of {allowed}: {what}"
    );
}

/// The results of the requests.
#[derive(Debug, Default)]
struct Seen {
    /// Before the overload had ended.
    answered: u64,
    throttled: u64,
    /// Those of them that were not refused at once.
    late: u64,
    others: u64,
}

#[tokio::test]
async fn in_a_steady_overload_the_whole_quota_is_answered_and_the_rest_is_refused_at_once() {
    for per_second in [20, 50, 200] {
        for max_wait in [1500, 4000, 10_000] {
            overload(per_second, ms(max_wait), 75, 1).await;
        }
    }
}

#[tokio::test]
async fn requests_of_several_calls_are_begun_only_if_they_can_be_ended() {
    for per_second in [5, 50] {
        for max_wait in [6000, 15_000] {
            for calls in [4, 9] {
                overload(per_second, ms(max_wait), 75, calls).await;
            }
        }
    }
}

#[derive(Clone, Copy, Debug)]
enum Step {
    /// A caller sends a request. A new connection takes some round trips before the call is sent.
    Send {
        there: u64,
        back: u64,
        cold: u64,
        lost: bool,
    },
    /// The oldest call that still waits is cancelled.
    GoAway,
    Wait(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        12 => (1_u64..=400, 1_u64..=400, prop_oneof![3 => Just(0_u64), 1 => 1_u64..=3], 0_u32..12).prop_map(
            |(there, back, cold, lost)| Step::Send { there, back, cold, lost: lost == 0 }
        ),
        1 => Just(Step::GoAway),
        3 => (0_u64..300).prop_map(Step::Wait),
    ]
}

async fn play(calls: u32, steps: &[Step]) -> (usize, usize) {
    let link = Link::new(calls);
    let mut tasks = Vec::new();
    for step in steps {
        match *step {
            Step::Send {
                there,
                back,
                cold,
                lost,
            } => {
                let trip = Trip {
                    there: ms(cold * (there + back) + there),
                    back: (!lost).then_some(ms(back)),
                };
                tasks.push(link.send(Duration::from_secs(20), trip));
                link.step(ms(1)).await;
            }
            Step::GoAway => {
                if let Some(task) = tasks.iter().find(|task| !task.is_finished()) {
                    task.abort();
                }
            }
            Step::Wait(by) => {
                for _ in 0..by / 10 {
                    link.step(STEP).await;
                }
            }
        }
    }
    for _ in 0..3000 {
        if tasks.iter().all(JoinHandle::is_finished) {
            break;
        }
        link.step(STEP).await;
    }
    (link.most_in_a_window(), link.arrivals.lock().unwrap().len())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// For any latency, no window of the vendor holds more calls than the quota.
    #[test]
    fn no_window_holds_more_than_the_quota_on_a_real_line(
        calls in 1_u32..12, steps in proptest::collection::vec(step(), 20..80),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let (most, arrived) = runtime.block_on(play(calls, &steps));
        prop_assert!(most <= calls as usize, "{most} calls in one window of {calls}");
        prop_assert!(arrived > 0);
    }
}
