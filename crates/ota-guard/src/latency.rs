//! The durations of recent calls, and the estimate for the next one.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use ota_core::clock::after;

/// The number of durations in a history. Small, so that a change of the vendor's speed shows after about ten calls.
const SAMPLES: usize = 32;

/// The assumed duration of a call that has to wait, before any duration is known.
pub(crate) const INITIAL_ESTIMATE: Duration = Duration::from_millis(500);

/// The minimum margin that is added to an observed duration.
const SPREAD: Duration = Duration::from_millis(5);

/// How often a call is sent although recent calls took longer than its caller can wait. Without it, nothing would show that the vendor has become faster.
const PROBE_INTERVAL: Duration = Duration::from_secs(1);

/// The durations of the most recent calls.
#[derive(Debug, Default)]
pub(crate) struct LatencyHistory {
    took: VecDeque<Duration>,
    mean: Duration,
    median: Duration,
    high: Duration,
}

impl LatencyHistory {
    /// Adds the duration of a call.
    pub(crate) fn record(&mut self, took: Duration) {
        if self.took.len() >= SAMPLES {
            self.took.pop_front();
        }
        self.took.push_back(took);
        let mut sorted: Vec<Duration> = self.took.iter().copied().collect();
        sorted.sort_unstable();
        let count = sorted.len();
        let at = |index: usize| sorted.get(index).copied().unwrap_or_default();
        self.median = at(count / 2);
        // The 90th percentile.
        self.high = at((count * 9).div_ceil(10).saturating_sub(1));
        let sum = sorted
            .iter()
            .fold(Duration::ZERO, |sum, took| sum.saturating_add(*took));
        self.mean = sum / u32::try_from(count).unwrap_or(1).max(1);
    }

    /// Replaces the history by this duration.
    pub(crate) fn restart(&mut self, took: Duration) {
        self.took.clear();
        self.record(took);
    }

    fn known(&self, value: Duration) -> Option<Duration> {
        (!self.took.is_empty()).then_some(value)
    }

    /// Returns the mean, or `None` without a duration.
    pub(crate) fn mean(&self) -> Option<Duration> {
        self.known(self.mean)
    }

    /// Returns the median, or `None` without a duration.
    pub(crate) fn median(&self) -> Option<Duration> {
        self.known(self.median)
    }

    /// Returns the 90th percentile, or `None` without a duration.
    pub(crate) fn high(&self) -> Option<Duration> {
        self.known(self.high)
    }
}

/// Estimates when a call ends that began at `began` and is abandoned at `abandoned_at`. A call that already takes longer than usual is assumed to take as long
/// again.
pub(crate) fn estimated_end(
    began: Instant,
    now: Instant,
    usual: Duration,
    abandoned_at: Instant,
) -> Instant {
    let elapsed = now.saturating_duration_since(began);
    let end = match elapsed < usual {
        true => after(began, usual),
        false => after(now, elapsed),
    };
    end.min(abandoned_at)
}

/// The expected duration of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LatencyEstimate {
    /// The median. With less time than that before the deadline, a call is not sent.
    pub median: Duration,
    /// The 90th percentile. With less time than that, a call does not wait in the queue.
    pub p90: Duration,
    /// An attempt is abandoned after this time.
    pub timeout: Duration,
    /// Whether it is sent even with less time, if it need not wait: an occasional call has to show whether the vendor has become faster.
    pub probe: bool,
}

/// The durations of a provider's attempts, by operation.
#[derive(Debug, Default)]
pub(crate) struct Latencies(Mutex<HashMap<&'static str, OperationLatency>>);

/// The attempts of one operation.
#[derive(Debug, Default)]
struct OperationLatency {
    history: LatencyHistory,
    running: u32,
    /// When the last one ended.
    ended: Option<Instant>,
}

impl Latencies {
    /// Estimates the duration of an attempt with this timeout.
    pub(crate) fn estimate(
        &self,
        operation: &'static str,
        now: Instant,
        timeout: Duration,
    ) -> LatencyEstimate {
        let mut operations = self.lock();
        let latency = operations.entry(operation).or_default();
        let spread = |took: Duration| took.saturating_add((took / 8).max(SPREAD)).min(timeout);
        let quiet = latency
            .ended
            .is_none_or(|ended| after(ended, PROBE_INTERVAL) <= now);
        LatencyEstimate {
            median: latency.history.median().map_or(Duration::ZERO, spread),
            p90: spread(latency.history.high().unwrap_or(INITIAL_ESTIMATE)),
            timeout,
            probe: latency.running == 0 && quiet,
        }
    }

    /// Records that an attempt is sent.
    pub(crate) fn begin(&self, operation: &'static str) -> Running<'_> {
        let mut operations = self.lock();
        operations.entry(operation).or_default().running += 1;
        Running {
            attempts: self,
            operation,
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<&'static str, OperationLatency>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An attempt in flight.
pub(crate) struct Running<'a> {
    attempts: &'a Latencies,
    operation: &'static str,
}

/// What the end of an attempt shows about the vendor's speed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LatencySample {
    /// The attempt took this long.
    Took(Duration),
    /// The attempt took this long, although earlier attempts took longer than its time limit.
    Faster(Duration),
    /// The attempt would have taken longer than this.
    LongerThan(Duration),
    /// Nothing: the attempt did not reach the vendor.
    Nothing,
}

impl Running<'_> {
    /// Records how it ended.
    pub(crate) fn ended(self, now: Instant, sample: LatencySample) {
        let mut operations = self.attempts.lock();
        let latency = operations.entry(self.operation).or_default();
        latency.ended = Some(now);
        match sample {
            LatencySample::Took(took) => latency.history.record(took),
            LatencySample::Faster(took) => latency.history.restart(took),
            LatencySample::LongerThan(least) => {
                let known = latency.history.median().unwrap_or_default();
                latency.history.record(least.max(known));
            }
            LatencySample::Nothing => {}
        }
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        let mut operations = self.attempts.lock();
        if let Some(latency) = operations.get_mut(self.operation) {
            latency.running = latency.running.saturating_sub(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{INITIAL_ESTIMATE, Latencies, LatencyHistory, LatencySample, estimated_end};
    use ota_core::clock::{Clock, SystemClock};
    use std::time::Duration;

    fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn a_pace_is_that_of_the_last_calls() {
        let mut history = LatencyHistory::default();
        assert_eq!((history.mean(), history.high()), (None, None));
        for took in 1..=10 {
            history.record(ms(took * 10));
        }
        assert_eq!(
            (history.mean(), history.median(), history.high()),
            (Some(ms(55)), Some(ms(60)), Some(ms(90)))
        );
        for _ in 0..29 {
            history.record(ms(7));
        }
        assert_eq!(history.high(), Some(ms(7)), "older ones are removed");
        history.record(Duration::MAX);
        history.record(Duration::MAX);
        assert!(history.mean() > Some(ms(7)));
    }

    #[test]
    fn a_call_that_takes_longer_than_usual_may_take_as_long_again() {
        let began = SystemClock.monotonic();
        let abandoned_at = began + ms(8000);
        let end =
            |elapsed| estimated_end(began, began + ms(elapsed), ms(200), abandoned_at) - began;
        assert_eq!((end(0), end(199)), (ms(200), ms(200)));
        assert_eq!((end(1000), end(7000)), (ms(2000), ms(8000)));
    }

    #[test]
    fn an_estimate_does_not_lock_itself_out() {
        let (attempts, start) = (Latencies::default(), SystemClock.monotonic());
        let estimate = |now| attempts.estimate("op", now, ms(8000));
        let cold = estimate(start);
        assert_eq!(cold.median, Duration::ZERO);
        assert!(cold.probe && cold.p90 > INITIAL_ESTIMATE);
        for _ in 0..40 {
            let now = start + ms(7000);
            attempts
                .begin("op")
                .ended(now, LatencySample::Took(ms(7000)));
        }
        let now = start + ms(7500);
        assert!(estimate(now).median >= ms(7000) && !estimate(now).probe);
        let now = start + ms(8000);
        assert!(estimate(now).probe);
        let running = attempts.begin("op");
        assert!(!estimate(now).probe, "one at a time");
        // An attempt that its caller's deadline cuts off must not make the vendor look faster.
        running.ended(now + ms(3000), LatencySample::LongerThan(ms(3000)));
        assert!(estimate(now).median >= ms(7000));
        drop(attempts.begin("op"));
        let now = now + ms(4000);
        assert!(estimate(now).probe);
        attempts
            .begin("op")
            .ended(now, LatencySample::Faster(ms(80)));
        assert!(estimate(now).median <= ms(90) && estimate(now).p90 <= ms(90));
    }
}
