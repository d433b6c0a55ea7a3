//! Quotas counted as the vendor sees them: a sliding window over arrivals.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use time::OffsetDateTime;

/// How many calls a vendor admits in a window of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quota {
    /// Calls admitted in any window.
    pub calls: u32,
    /// Length of the sliding window.
    pub window: Duration,
}

/// Times of arrivals within one sliding window.
#[derive(Debug, Default)]
pub(crate) struct Window(VecDeque<OffsetDateTime>);

impl Window {
    /// Forgets what is older than `window` and returns how many arrivals are left.
    pub(crate) fn count(&mut self, now: OffsetDateTime, window: Duration) -> usize {
        while self
            .0
            .front()
            .is_some_and(|first| now - *first >= window || *first > now)
        {
            self.0.pop_front();
        }
        self.0.len()
    }

    pub(crate) fn push(&mut self, now: OffsetDateTime) {
        self.0.push_back(now);
    }
}

/// Admits or refuses calls per key (account and operation, or application).
///
/// A refused call does not count, so that a client that stops for one window is admitted again.
#[derive(Debug)]
pub(crate) struct Limiter {
    quota: Option<Quota>,
    windows: HashMap<String, Window>,
}

impl Limiter {
    pub(crate) fn new(quota: Option<Quota>) -> Self {
        Self {
            quota,
            windows: HashMap::new(),
        }
    }

    /// Admits a call at `now`, or returns how long the caller has to wait.
    pub(crate) fn admit(&mut self, key: &str, now: OffsetDateTime) -> Result<(), Duration> {
        self.admit_times(key, now, 1)
    }

    /// As [`Limiter::admit`], for a key that has so many times the calls of the others.
    pub(crate) fn admit_times(
        &mut self,
        key: &str,
        now: OffsetDateTime,
        times: usize,
    ) -> Result<(), Duration> {
        let Some(quota) = self.quota else {
            return Ok(());
        };
        let window = self.windows.entry(key.to_owned()).or_default();
        if window.count(now, quota.window) < times * quota.calls as usize {
            window.push(now);
            return Ok(());
        }
        let age = window.0.front().map_or(Duration::ZERO, |first| {
            Duration::try_from(now - *first).unwrap_or(Duration::ZERO)
        });
        Err(quota.window.saturating_sub(age))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: i64) -> OffsetDateTime {
        OffsetDateTime::UNIX_EPOCH + time::Duration::milliseconds(ms)
    }

    #[test]
    fn place_is_free_again_when_the_oldest_call_leaves_the_window() {
        let mut limiter = Limiter::new(Some(Quota {
            calls: 2,
            window: Duration::from_secs(1),
        }));
        assert_eq!(limiter.admit("a", at(0)), Ok(()));
        assert_eq!(limiter.admit("a", at(600)), Ok(()));
        assert_eq!(limiter.admit("a", at(900)), Err(Duration::from_millis(100)));
        assert_eq!(
            limiter.admit("b", at(900)),
            Ok(()),
            "another key has its own window"
        );
        assert_eq!(limiter.admit("a", at(1000)), Ok(()));
        assert!(limiter.admit("a", at(1001)).is_err());
    }
}
