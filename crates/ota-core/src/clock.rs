//! Time, which is always injected.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use time::OffsetDateTime;
use tokio::sync::watch;

use crate::BoxFuture;

/// The longest wait: a longer one comes from a wrong number, and would overflow.
const FAR: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

/// Returns the instant `wait` after `instant`. Every wait that came from outside (a vendor, a file, a caller) is added with this: `+` panics
/// if the result cannot be represented.
#[must_use]
pub fn after(instant: Instant, wait: Duration) -> Instant {
    instant.checked_add(wait.min(FAR)).unwrap_or(instant)
}

/// A source of wall time (signatures, `as_of`) and of monotonic time (deadlines, ages, waits).
pub trait Clock: Send + Sync + std::fmt::Debug {
    /// Returns the wall time in UTC. It may step.
    fn now(&self) -> OffsetDateTime;

    /// Returns the monotonic time. It never goes back.
    fn monotonic(&self) -> Instant;

    /// Waits until the monotonic time has reached `instant`; returns at once when it has.
    fn sleep_until(&self, instant: Instant) -> BoxFuture<'static, ()>;
}

/// The machine's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place where wall time enters"
    )]
    fn now(&self) -> OffsetDateTime {
        OffsetDateTime::now_utc()
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "the one place where monotonic time enters"
    )]
    fn monotonic(&self) -> Instant {
        Instant::now()
    }

    fn sleep_until(&self, instant: Instant) -> BoxFuture<'static, ()> {
        Box::pin(tokio::time::sleep_until(instant.into()))
    }
}

/// A clock that only changes when it is set or advanced, for tests.
#[derive(Clone, Debug)]
pub struct ManualClock {
    start: Instant,
    wall: Arc<Mutex<OffsetDateTime>>,
    elapsed: Arc<watch::Sender<Duration>>,
}

impl ManualClock {
    /// Creates a clock that shows `wall`.
    #[must_use]
    pub fn new(wall: OffsetDateTime) -> Self {
        Self {
            start: SystemClock.monotonic(),
            wall: Arc::new(Mutex::new(wall)),
            elapsed: Arc::new(watch::Sender::new(Duration::ZERO)),
        }
    }

    /// Moves both times forward and wakes the tasks that wait for them.
    pub fn advance(&self, by: Duration) {
        *self.wall.lock().unwrap_or_else(PoisonError::into_inner) += by;
        self.elapsed.send_modify(|elapsed| *elapsed += by);
    }

    /// Steps the wall time alone, as a time service or an operator does.
    pub fn set_wall(&self, wall: OffsetDateTime) {
        *self.wall.lock().unwrap_or_else(PoisonError::into_inner) = wall;
    }
}

impl Clock for ManualClock {
    fn now(&self) -> OffsetDateTime {
        *self.wall.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn monotonic(&self) -> Instant {
        self.start + *self.elapsed.borrow()
    }

    fn sleep_until(&self, instant: Instant) -> BoxFuture<'static, ()> {
        let mut elapsed = self.elapsed.subscribe();
        let target = instant.saturating_duration_since(self.start);
        let sender = Arc::clone(&self.elapsed);
        Box::pin(async move {
            // The sender is held, so the channel cannot close while someone waits.
            let _sender = sender;
            let _ = elapsed.wait_for(|now| *now >= target).await;
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{Clock, ManualClock, SystemClock, after};
    use proptest::prelude::*;
    use std::time::Duration;
    use time::macros::datetime;

    proptest! {
        #[test]
        fn any_wait_can_be_added(
            first in prop_oneof![any::<u64>(), 0_u64..1000, Just(u64::MAX)], nanos in 0_u32..1_000_000_000, second: u64,
        ) {
            let now = SystemClock.monotonic();
            let wait = Duration::new(first, nanos);
            let then = after(now, wait);
            prop_assert!(then >= now);
            prop_assert!(after(then, Duration::MAX) >= then);
            if first < 1000 {
                prop_assert_eq!(then - now, wait);
            }
            // A longer wait never ends earlier.
            let other = after(now, Duration::from_secs(second));
            prop_assert_eq!((other <= then) || second > first, true);
        }
    }

    #[tokio::test]
    async fn a_sleeper_wakes_when_the_clock_reaches_its_instant() {
        let clock = ManualClock::new(datetime!(2026-01-01 00:00 UTC));
        let sleeper = tokio::spawn(clock.sleep_until(clock.monotonic() + Duration::from_secs(5)));
        clock.advance(Duration::from_secs(4));
        tokio::task::yield_now().await;
        assert!(!sleeper.is_finished());
        clock.advance(Duration::from_secs(1));
        sleeper.await.unwrap();
        assert_eq!(clock.now(), datetime!(2026-01-01 00:00:05 UTC));
    }
}
