//! How long calls have taken lately, and what that says about the next one.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use ota_core::clock::after;

/// The durations that are remembered. Few, so that a vendor that became faster or slower is known as such after some ten calls.
const REMEMBERED: usize = 32;

/// What a call is taken to need where nothing is known yet and it is to be waited for.
pub(crate) const FIRST_GUESS: Duration = Duration::from_millis(500);

/// The least that is added to what a call has taken: two calls never take the same.
const SPREAD: Duration = Duration::from_millis(5);

/// How often a call is made although those before it took longer than its caller can wait, when nothing else would tell that this has changed.
const TRIAL: Duration = Duration::from_secs(1);

/// The durations of the last calls.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    took: VecDeque<Duration>,
    mean: Duration,
    median: Duration,
    high: Duration,
}

impl Pace {
    /// Notes how long a call took.
    pub(crate) fn note(&mut self, took: Duration) {
        if self.took.len() >= REMEMBERED {
            self.took.pop_front();
        }
        self.took.push_back(took);
        let mut sorted: Vec<Duration> = self.took.iter().copied().collect();
        sorted.sort_unstable();
        let count = sorted.len();
        let at = |index: usize| sorted.get(index).copied().unwrap_or_default();
        self.median = at(count / 2);
        // Nine of ten take at most so long.
        self.high = at((count * 9).div_ceil(10).saturating_sub(1));
        let sum = sorted
            .iter()
            .fold(Duration::ZERO, |sum, took| sum.saturating_add(*took));
        self.mean = sum / u32::try_from(count).unwrap_or(1).max(1);
    }

    /// Forgets what was, and begins with this one.
    pub(crate) fn restart(&mut self, took: Duration) {
        self.took.clear();
        self.note(took);
    }

    fn known(&self, value: Duration) -> Option<Duration> {
        (!self.took.is_empty()).then_some(value)
    }

    /// Returns the average, unless nothing is known yet.
    pub(crate) fn mean(&self) -> Option<Duration> {
        self.known(self.mean)
    }

    /// Returns what one of two calls takes at most, unless nothing is known yet.
    pub(crate) fn median(&self) -> Option<Duration> {
        self.known(self.median)
    }

    /// Returns what nine of ten calls take at most, unless nothing is known yet.
    pub(crate) fn high(&self) -> Option<Duration> {
        self.known(self.high)
    }
}

/// Estimates when a call ends that began at `began` and is given up at `given_up`. One that takes longer than is usual has, for all that is known, as
/// long again before it.
pub(crate) fn end_of(began: Instant, now: Instant, usual: Duration, given_up: Instant) -> Instant {
    let elapsed = now.saturating_duration_since(began);
    let end = match elapsed < usual {
        true => after(began, usual),
        false => after(now, elapsed),
    };
    end.min(given_up)
}

/// What an attempt takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Takes {
    /// What one of two takes at most. With less time than that a call is not sent.
    pub usual: Duration,
    /// What nine of ten take at most. With less time than that nobody waits for a call.
    pub careful: Duration,
    /// After so long it is given up.
    pub longest: Duration,
    /// Whether it is sent with less time too, if it can leave at once: a call must tell now and then whether the vendor has become faster.
    pub trial: bool,
}

/// How long the attempts of each operation of a provider have taken.
#[derive(Debug, Default)]
pub(crate) struct Attempts(Mutex<HashMap<&'static str, Kind>>);

/// The attempts of one operation.
#[derive(Debug, Default)]
struct Kind {
    pace: Pace,
    running: u32,
    /// When the last one ended.
    ended: Option<Instant>,
}

impl Attempts {
    /// Returns what an attempt takes that is given up after `longest`.
    pub(crate) fn takes(&self, operation: &'static str, now: Instant, longest: Duration) -> Takes {
        let mut kinds = self.lock();
        let kind = kinds.entry(operation).or_default();
        let spread = |took: Duration| took.saturating_add((took / 8).max(SPREAD)).min(longest);
        let quiet = kind.ended.is_none_or(|ended| after(ended, TRIAL) <= now);
        Takes {
            usual: kind.pace.median().map_or(Duration::ZERO, spread),
            careful: spread(kind.pace.high().unwrap_or(FIRST_GUESS)),
            longest,
            trial: kind.running == 0 && quiet,
        }
    }

    /// Notes that an attempt leaves.
    pub(crate) fn begin(&self, operation: &'static str) -> Running<'_> {
        let mut kinds = self.lock();
        kinds.entry(operation).or_default().running += 1;
        Running {
            attempts: self,
            operation,
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<&'static str, Kind>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An attempt that has left and not ended yet.
pub(crate) struct Running<'a> {
    attempts: &'a Attempts,
    operation: &'static str,
}

/// What the end of an attempt tells about what attempts take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Told {
    /// It took so long.
    Took(Duration),
    /// It took so long, although no attempt before it would have had enough time in its place.
    Faster(Duration),
    /// It takes longer than this.
    LongerThan(Duration),
    /// Nothing: it did not come as far as the vendor.
    Nothing,
}

impl Running<'_> {
    /// Notes how it ended.
    pub(crate) fn ended(self, now: Instant, told: Told) {
        let mut kinds = self.attempts.lock();
        let kind = kinds.entry(self.operation).or_default();
        kind.ended = Some(now);
        match told {
            Told::Took(took) => kind.pace.note(took),
            Told::Faster(took) => kind.pace.restart(took),
            Told::LongerThan(least) => {
                let known = kind.pace.median().unwrap_or_default();
                kind.pace.note(least.max(known));
            }
            Told::Nothing => {}
        }
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        let mut kinds = self.attempts.lock();
        if let Some(kind) = kinds.get_mut(self.operation) {
            kind.running = kind.running.saturating_sub(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Attempts, FIRST_GUESS, Pace, Told, end_of};
    use ota_core::clock::{Clock, SystemClock};
    use std::time::Duration;

    fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn a_pace_is_that_of_the_last_calls() {
        let mut pace = Pace::default();
        assert_eq!((pace.mean(), pace.high()), (None, None));
        for took in 1..=10 {
            pace.note(ms(took * 10));
        }
        assert_eq!(
            (pace.mean(), pace.median(), pace.high()),
            (Some(ms(55)), Some(ms(60)), Some(ms(90)))
        );
        for _ in 0..29 {
            pace.note(ms(7));
        }
        assert_eq!(pace.high(), Some(ms(7)), "what was before is forgotten");
        pace.note(Duration::MAX);
        pace.note(Duration::MAX);
        assert!(pace.mean() > Some(ms(7)));
    }

    #[test]
    fn a_call_that_takes_longer_than_usual_may_take_as_long_again() {
        let began = SystemClock.monotonic();
        let given_up = began + ms(8000);
        let end = |elapsed| end_of(began, began + ms(elapsed), ms(200), given_up) - began;
        assert_eq!((end(0), end(199)), (ms(200), ms(200)));
        assert_eq!((end(1000), end(7000)), (ms(2000), ms(8000)));
    }

    #[test]
    fn an_estimate_does_not_lock_itself_out() {
        let (attempts, start) = (Attempts::default(), SystemClock.monotonic());
        let takes = |now| attempts.takes("op", now, ms(8000));
        let cold = takes(start);
        assert_eq!(cold.usual, Duration::ZERO);
        assert!(cold.trial && cold.careful > FIRST_GUESS);
        for _ in 0..40 {
            let now = start + ms(7000);
            attempts.begin("op").ended(now, Told::Took(ms(7000)));
        }
        let now = start + ms(7500);
        assert!(takes(now).usual >= ms(7000) && !takes(now).trial);
        let now = start + ms(8000);
        assert!(takes(now).trial);
        let running = attempts.begin("op");
        assert!(!takes(now).trial, "one at a time");
        // Cut off by its own caller, it does not make the vendor look faster.
        running.ended(now + ms(3000), Told::LongerThan(ms(3000)));
        assert!(takes(now).usual >= ms(7000));
        drop(attempts.begin("op"));
        let now = now + ms(4000);
        assert!(takes(now).trial);
        attempts.begin("op").ended(now, Told::Faster(ms(80)));
        assert!(takes(now).usual <= ms(90) && takes(now).careful <= ms(90));
    }
}
