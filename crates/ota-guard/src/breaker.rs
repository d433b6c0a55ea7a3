//! Leaves a vendor that does not answer alone for a while.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use ota_core::{Error, ErrorKind, Result};

/// How many calls in a row must fail before the vendor is left alone.
const FAILURES: u32 = 5;

/// How long it is left alone at first; twice as long after each probe that fails.
const FIRST_PAUSE: Duration = Duration::from_secs(2);

/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// How a breaker is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BreakerState {
    /// Calls go through.
    Closed,
    /// Calls are refused.
    Open,
    /// One call is let through to see whether the vendor is back.
    Probing,
}

/// Opens when a vendor does not answer.
#[derive(Debug, Default)]
pub struct Breaker(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    failures: u32,
    /// Set while the breaker is open or probing.
    pause: Option<Duration>,
    open_until: Option<Instant>,
    probing_since: Option<Instant>,
}

impl Breaker {
    /// Lets a call through, or refuses it.
    ///
    /// # Errors
    /// `unavailable` while the vendor is left alone; the error says for how long.
    pub fn admit(&self, now: Instant) -> Result<()> {
        let mut inner = self.lock();
        let (Some(pause), Some(until)) = (inner.pause, inner.open_until) else {
            return Ok(());
        };
        let free = now >= until;
        // A probe that was dropped with its caller must not keep the breaker open for ever.
        let unprobed = inner
            .probing_since
            .is_none_or(|since| now.saturating_duration_since(since) >= pause);
        if free && unprobed {
            inner.probing_since = Some(now);
            return Ok(());
        }
        let wait = until
            .saturating_duration_since(now)
            .max(Duration::from_secs(1));
        Err(Error::new(
            ErrorKind::Unavailable,
            "the vendor did not answer lately and is left alone for a while",
        )
        .with_retry(ota_core::error::Retry::Never)
        .with_retry_after(wait))
    }

    /// Notes how a call ended. Only a vendor that does not answer, or answers that it is out of order, counts as failed.
    pub fn note(&self, now: Instant, result: std::result::Result<(), ErrorKind>) {
        let mut inner = self.lock();
        match result {
            Err(ErrorKind::Timeout | ErrorKind::Unavailable) => {
                inner.failures = inner.failures.saturating_add(1);
                let probe_failed = inner.probing_since.take().is_some();
                if probe_failed || (inner.pause.is_none() && inner.failures >= FAILURES) {
                    let pause = inner
                        .pause
                        .map_or(FIRST_PAUSE, |pause| (pause * 2).min(LONGEST_PAUSE));
                    inner.pause = Some(pause);
                    inner.open_until = Some(now + pause);
                }
            }
            Ok(()) | Err(_) => *inner = Inner::default(),
        }
    }

    /// Returns how it is.
    #[must_use]
    pub fn state(&self) -> BreakerState {
        let inner = self.lock();
        match (inner.open_until, inner.probing_since) {
            (None, _) => BreakerState::Closed,
            (Some(_), None) => BreakerState::Open,
            (Some(_), Some(_)) => BreakerState::Probing,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::{Breaker, BreakerState, FAILURES, FIRST_PAUSE};
    use ota_core::ErrorKind;
    use ota_core::clock::{Clock, SystemClock};
    use std::time::Duration;

    #[test]
    fn a_vendor_that_does_not_answer_is_left_alone_and_probed() {
        let breaker = Breaker::default();
        let start = SystemClock.monotonic();
        for _ in 0..FAILURES {
            assert!(breaker.admit(start).is_ok());
            breaker.note(start, Err(ErrorKind::Timeout));
        }
        assert_eq!(breaker.state(), BreakerState::Open);
        let refused = breaker.admit(start).unwrap_err();
        assert_eq!(
            (refused.kind(), refused.retry_after()),
            (ErrorKind::Unavailable, Some(FIRST_PAUSE))
        );
        let later = start + FIRST_PAUSE;
        assert!(breaker.admit(later).is_ok());
        assert!(breaker.admit(later).is_err(), "one probe at a time");
        breaker.note(later, Err(ErrorKind::Unavailable));
        assert!(
            breaker.admit(later + FIRST_PAUSE).is_err(),
            "the pause doubles"
        );
        let back = later + FIRST_PAUSE * 2;
        assert!(breaker.admit(back).is_ok());
        breaker.note(back, Ok(()));
        assert_eq!(breaker.state(), BreakerState::Closed);
    }

    #[test]
    fn a_refusal_is_an_answer() {
        let breaker = Breaker::default();
        let now = SystemClock.monotonic();
        for _ in 0..3 * FAILURES {
            breaker.note(now, Err(ErrorKind::Timeout));
            breaker.note(now, Err(ErrorKind::Throttled));
        }
        assert_eq!(breaker.state(), BreakerState::Closed);
    }

    #[test]
    fn a_probe_that_was_dropped_does_not_close_the_way_for_ever() {
        let breaker = Breaker::default();
        let start = SystemClock.monotonic();
        for _ in 0..FAILURES {
            breaker.note(start, Err(ErrorKind::Timeout));
        }
        let probe = start + FIRST_PAUSE;
        assert!(breaker.admit(probe).is_ok());
        assert!(breaker.admit(probe + Duration::from_millis(1)).is_err());
        assert!(breaker.admit(probe + FIRST_PAUSE).is_ok());
    }
}
