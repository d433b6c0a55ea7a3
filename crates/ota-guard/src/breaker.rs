//! Leaves a vendor that does not answer alone for a while.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use ota_core::error::Retry;
use ota_core::{Error, ErrorKind, Result};
use tokio::sync::watch;

/// The weight of failures in a row at which the vendor is left alone.
///
/// Ten refused connections, or five attempts that ran out of time. High enough that a vendor which fails every fifth call is not taken for
/// dead (one run of ten in ten million calls), low enough that a dead one is found out by four reads of three attempts.
const THRESHOLD: u32 = 10;

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

impl BreakerState {
    /// Every state.
    pub const ALL: [Self; 3] = [Self::Closed, Self::Open, Self::Probing];

    /// Returns the state as a metric label.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::Probing => "probing",
        }
    }
}

/// Opens when a vendor does not answer.
#[derive(Debug, Default)]
pub struct Breaker {
    inner: Mutex<Inner>,
    /// Whether calls are refused, for those who wait for something else meanwhile.
    is_open: watch::Sender<bool>,
}

#[derive(Debug, Default)]
struct Inner {
    weight: u32,
    /// When the latest of the answered calls was sent.
    answered: Option<Instant>,
    openings: u64,
    /// Set while the breaker is open or probing.
    pause: Option<Pause>,
}

#[derive(Clone, Copy, Debug)]
struct Pause {
    length: Duration,
    until: Instant,
    probing: bool,
}

impl Inner {
    fn refusal(&self, now: Instant) -> Error {
        let left = self.pause.map_or(Duration::ZERO, |pause| {
            pause.until.saturating_duration_since(now)
        });
        Error::new(
            ErrorKind::Unavailable,
            "the vendor did not answer lately and is left alone for a while",
        )
        .with_retry(Retry::Never)
        .with_retry_after(left.max(Duration::from_secs(1)))
    }
}

impl Breaker {
    /// Lets a call through, or refuses it.
    ///
    /// # Errors
    /// `unavailable` while the vendor is left alone; the error says for how long.
    pub fn admit(&self, now: Instant) -> Result<Admission<'_>> {
        let mut inner = self.lock();
        let admission = |probe| Admission {
            breaker: self,
            probe,
        };
        match &mut inner.pause {
            None => Ok(admission(false)),
            Some(pause) if now >= pause.until && !pause.probing => {
                pause.probing = true;
                Ok(admission(true))
            }
            Some(_) => Err(inner.refusal(now)),
        }
    }

    /// Returns how it is.
    #[must_use]
    pub fn state(&self) -> BreakerState {
        match self.lock().pause {
            None => BreakerState::Closed,
            Some(pause) if pause.probing => BreakerState::Probing,
            Some(_) => BreakerState::Open,
        }
    }

    /// Returns how often it has opened.
    #[must_use]
    pub fn openings(&self) -> u64 {
        self.lock().openings
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A call that the breaker has let through. Dropped without a result, a probe leaves its place to the next call.
#[derive(Debug)]
pub struct Admission<'a> {
    breaker: &'a Breaker,
    probe: bool,
}

impl Admission<'_> {
    /// Notes how the call ended that was sent at `sent`. Only a vendor that does not answer, or answers that it is out of order, counts as
    /// failed; and not even that where a call that was sent later has been answered meanwhile: then the vendor is alive.
    pub fn note(mut self, sent: Instant, now: Instant, result: std::result::Result<(), ErrorKind>) {
        let mut inner = self.breaker.lock();
        let overtaken = inner.answered.is_some_and(|answered| answered > sent);
        let weight = match result {
            Err(ErrorKind::Timeout) => 2,
            Err(ErrorKind::Unavailable) => 1,
            Ok(()) | Err(_) => 0,
        };
        let probe = std::mem::take(&mut self.probe);
        match (inner.pause, weight) {
            // An answer to a call from before the pause does not tell more than the probe will.
            (Some(_), _) if !probe => {}
            (_, 0) => {
                inner.weight = 0;
                inner.answered = inner.answered.max(Some(sent));
                if inner.pause.take().is_some() {
                    self.breaker.is_open.send_replace(false);
                }
            }
            (None, _) if overtaken => {}
            (Some(pause), _) => open(
                self.breaker,
                &mut inner,
                now,
                pause.length.saturating_mul(2).min(LONGEST_PAUSE),
            ),
            (None, weight) => {
                inner.weight += weight;
                if inner.weight >= THRESHOLD {
                    open(self.breaker, &mut inner, now, FIRST_PAUSE);
                }
            }
        }
    }

    /// Waits until the breaker refuses calls, then returns the refusal; never for a probe, which is the one call that is to go through.
    pub async fn refused(&self, now: impl Fn() -> Instant) -> Error {
        if !self.probe {
            let mut is_open = self.breaker.is_open.subscribe();
            if is_open.wait_for(|open| *open).await.is_ok() {
                return self.breaker.lock().refusal(now());
            }
        }
        std::future::pending().await
    }

    /// Refuses a call that has waited since it was let through.
    ///
    /// # Errors
    /// As [`Breaker::admit`].
    pub fn still_good(&self, now: Instant) -> Result<()> {
        let inner = self.breaker.lock();
        match inner.pause.is_some() && !self.probe {
            true => Err(inner.refusal(now)),
            false => Ok(()),
        }
    }
}

fn open(breaker: &Breaker, inner: &mut Inner, now: Instant, length: Duration) {
    inner.openings += 1;
    inner.pause = Some(Pause {
        length,
        until: now + length,
        probing: false,
    });
    breaker.is_open.send_replace(true);
}

impl Drop for Admission<'_> {
    fn drop(&mut self) {
        if self.probe
            && let Some(pause) = &mut self.breaker.lock().pause
        {
            pause.probing = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Breaker, BreakerState, FIRST_PAUSE, LONGEST_PAUSE, THRESHOLD};
    use ota_core::ErrorKind;
    use ota_core::clock::{Clock, SystemClock};
    use std::time::{Duration, Instant};

    fn fail(breaker: &Breaker, now: Instant, kind: ErrorKind) {
        breaker.admit(now).unwrap().note(now, now, Err(kind));
    }

    fn opened(now: Instant) -> Breaker {
        let breaker = Breaker::default();
        for _ in 0..THRESHOLD {
            assert_eq!(breaker.state(), BreakerState::Closed);
            fail(&breaker, now, ErrorKind::Unavailable);
        }
        assert_eq!(breaker.state(), BreakerState::Open);
        breaker
    }

    #[test]
    fn a_vendor_that_does_not_answer_is_left_alone_and_probed() {
        let start = SystemClock.monotonic();
        let breaker = opened(start);
        let refused = breaker.admit(start).unwrap_err();
        assert_eq!(
            (refused.kind(), refused.retry_after()),
            (ErrorKind::Unavailable, Some(FIRST_PAUSE))
        );
        let later = start + FIRST_PAUSE;
        let probe = breaker.admit(later).unwrap();
        assert!(breaker.admit(later).is_err(), "one probe at a time");
        assert_eq!(breaker.state(), BreakerState::Probing);
        probe.note(later, later, Err(ErrorKind::Unavailable));
        assert!(
            breaker.admit(later + FIRST_PAUSE).is_err(),
            "the pause doubles"
        );
        let back = later + FIRST_PAUSE * 2;
        breaker.admit(back).unwrap().note(back, back, Ok(()));
        assert_eq!(
            (breaker.state(), breaker.openings()),
            (BreakerState::Closed, 2)
        );
    }

    #[test]
    fn silence_weighs_more_than_a_quick_failure() {
        let (breaker, now) = (Breaker::default(), SystemClock.monotonic());
        for _ in 0..THRESHOLD / 2 {
            assert_eq!(breaker.state(), BreakerState::Closed);
            fail(&breaker, now, ErrorKind::Timeout);
        }
        assert_eq!(breaker.state(), BreakerState::Open);
    }

    #[test]
    fn silence_about_a_call_does_not_count_when_a_later_one_was_answered() {
        let (breaker, start) = (Breaker::default(), SystemClock.monotonic());
        let (later, end) = (
            start + Duration::from_secs(1),
            start + Duration::from_secs(8),
        );
        let silent: Vec<_> = (0..THRESHOLD)
            .map(|_| breaker.admit(start).unwrap())
            .collect();
        breaker.admit(later).unwrap().note(later, later, Ok(()));
        for call in silent {
            call.note(start, end, Err(ErrorKind::Timeout));
        }
        assert_eq!(breaker.state(), BreakerState::Closed);
        for _ in 0..THRESHOLD {
            let admission = breaker.admit(end);
            admission
                .map(|call| call.note(end, end, Err(ErrorKind::Timeout)))
                .ok();
        }
        assert_eq!(breaker.state(), BreakerState::Open);
    }

    #[test]
    fn a_refusal_is_an_answer() {
        let (breaker, now) = (Breaker::default(), SystemClock.monotonic());
        for kind in ErrorKind::ALL {
            for _ in 1..THRESHOLD / 2 {
                fail(&breaker, now, ErrorKind::Timeout);
            }
            if !matches!(kind, ErrorKind::Timeout | ErrorKind::Unavailable) {
                fail(&breaker, now, *kind);
                assert_eq!(breaker.state(), BreakerState::Closed, "{kind}");
            } else {
                breaker.admit(now).unwrap().note(now, now, Ok(()));
            }
        }
    }

    #[test]
    fn a_probe_that_was_dropped_leaves_its_place_to_the_next() {
        let start = SystemClock.monotonic();
        let breaker = opened(start);
        let probe = breaker.admit(start + FIRST_PAUSE).unwrap();
        drop(probe);
        assert_eq!(breaker.state(), BreakerState::Open);
        assert!(breaker.admit(start + FIRST_PAUSE).is_ok());
    }

    #[test]
    fn answers_to_calls_from_before_the_pause_do_not_end_it() {
        let (breaker, start) = (Breaker::default(), SystemClock.monotonic());
        let (good, bad) = (breaker.admit(start).unwrap(), breaker.admit(start).unwrap());
        for _ in 0..THRESHOLD {
            fail(&breaker, start, ErrorKind::Unavailable);
        }
        good.note(start, start, Ok(()));
        bad.note(start, start, Err(ErrorKind::Timeout));
        assert_eq!(
            (breaker.state(), breaker.openings()),
            (BreakerState::Open, 1)
        );
        let refused = breaker.admit(start + Duration::from_millis(1)).unwrap_err();
        assert!(refused.retry_after().unwrap() < FIRST_PAUSE);
    }

    #[test]
    fn the_pause_has_an_end_however_long_the_vendor_is_away() {
        let mut now = SystemClock.monotonic();
        let breaker = opened(now);
        for _ in 0..20 {
            now += LONGEST_PAUSE;
            fail(&breaker, now, ErrorKind::Timeout);
        }
        assert!(breaker.admit(now + LONGEST_PAUSE).is_ok());
    }

    #[tokio::test]
    async fn whoever_waits_when_it_opens_is_told() {
        let (breaker, now) = (Breaker::default(), SystemClock.monotonic());
        let waiting = breaker.admit(now).unwrap();
        assert!(waiting.still_good(now).is_ok());
        let told = async { waiting.refused(|| now).await.kind() };
        let opens = async {
            tokio::task::yield_now().await;
            for _ in 0..THRESHOLD {
                fail(&breaker, now, ErrorKind::Unavailable);
            }
        };
        assert_eq!(tokio::join!(told, opens).0, ErrorKind::Unavailable);
        assert!(waiting.still_good(now).is_err());
    }
}
