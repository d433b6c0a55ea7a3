//! How many requests each caller may send.
//!
//! The generic cell rate algorithm: a caller may send a window's requests at once, and then one per interval (the window divided by the
//! number of requests). It protects the CPU of the gateway from a caller; vendors are protected by their quotas, which no caller can exceed.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use ota_api::problem::{Code, Failure};
use ota_core::clock::after;
use quick_cache::sync::Cache;

use super::limits::RateLimit;

/// The remaining rate limit of a caller.
pub const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
/// The rate limit of a caller.
pub const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// Maximum number of tracked callers. Beyond it, the least recently seen one is removed, and may then send all requests of a window at once.
const MAX_CALLERS: usize = 10_000;

/// The theoretical arrival time (GCRA) of a caller.
type ArrivalTime = Arc<Mutex<Instant>>;

/// Counts the requests of each caller.
pub struct RateLimiter {
    limit: RateLimit,
    callers: Cache<String, ArrivalTime>,
}

impl std::fmt::Debug for RateLimiter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RateLimiter")
            .field("limit", &self.limit)
            .finish_non_exhaustive()
    }
}

/// What a caller has left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allowance {
    limit: RateLimit,
    remaining: u32,
    /// Time until the full limit is available again.
    reset: Duration,
    /// Time until the next request is accepted, if this one was rejected.
    wait: Option<Duration>,
}

impl RateLimiter {
    /// Creates a limiter that has seen no caller yet.
    #[must_use]
    pub fn new(limit: RateLimit) -> Self {
        Self {
            limit,
            callers: Cache::new(MAX_CALLERS),
        }
    }

    /// Counts a request of a caller.
    pub fn count(&self, caller: &str, now: Instant) -> Allowance {
        let paid = match self.callers.get(caller) {
            Some(paid) => paid,
            None => {
                let paid = self
                    .callers
                    .get_or_insert_with::<_, std::convert::Infallible>(caller, || {
                        Ok(Arc::new(Mutex::new(now)))
                    });
                let Ok(paid) = paid;
                paid
            }
        };
        let mut paid = paid.lock().unwrap_or_else(PoisonError::into_inner);
        let share = self.limit.window / self.limit.requests.max(1);
        let debt = paid.saturating_duration_since(now);
        let free = self.limit.window.saturating_sub(debt);
        if free < share {
            return Allowance {
                limit: self.limit,
                remaining: 0,
                reset: debt,
                wait: Some(share - free),
            };
        }
        *paid = after(now, debt.saturating_add(share));
        let left = (free - share).as_nanos() / share.as_nanos().max(1);
        Allowance {
            limit: self.limit,
            remaining: u32::try_from(left).unwrap_or(u32::MAX),
            reset: debt.saturating_add(share),
            wait: None,
        }
    }
}

impl Allowance {
    /// Returns whether the request exceeds the limit.
    #[must_use]
    pub fn is_used_up(&self) -> bool {
        self.wait.is_some()
    }

    /// Returns the error for a request that exceeds the limit.
    #[must_use]
    pub fn refusal(&self) -> Option<Failure> {
        let wait = seconds(self.wait?);
        let (requests, window) = (self.limit.requests, self.limit.window.as_secs());
        Some(Failure {
            retry_after_s: Some(wait),
            ..Failure::new(
                Code::RateLimited,
                format!(
                    "you have sent more than {requests} requests in {window} s; wait, and poll less often"
                ),
            )
        })
    }

    /// Writes the fields of draft-ietf-httpapi-ratelimit-headers.
    pub fn write(&self, headers: &mut HeaderMap) {
        let (requests, window) = (self.limit.requests, self.limit.window.as_secs());
        let policy = format!("\"caller\";q={requests};w={window}");
        let left = format!("\"caller\";r={};t={}", self.remaining, seconds(self.reset));
        for (name, text) in [(RATE_LIMIT_POLICY, policy), (RATE_LIMIT, left)] {
            if let Ok(value) = HeaderValue::try_from(text) {
                headers.insert(name, value);
            }
        }
    }
}

/// Rounds up, so that a retry after this time is accepted.
fn seconds(time: Duration) -> u64 {
    time.as_secs()
        .saturating_add(u64::from(time.subsec_nanos() > 0))
}

#[cfg(test)]
mod tests {
    use super::RateLimiter;
    use crate::limits::RateLimit;
    use axum::http::HeaderMap;
    use ota_core::clock::{Clock as _, ManualClock};
    use std::time::{Duration, Instant};
    use time::macros::datetime;

    fn now() -> Instant {
        ManualClock::new(datetime!(2026-01-01 00:00 UTC)).monotonic()
    }

    fn limiter() -> RateLimiter {
        RateLimiter::new(RateLimit {
            requests: 4,
            window: Duration::from_secs(8),
        })
    }

    #[test]
    fn a_windows_requests_may_come_at_once_and_then_one_in_each_share() {
        let (limiter, start) = (limiter(), now());
        for left in (0..4).rev() {
            let allowance = limiter.count("a", start);
            assert_eq!((allowance.remaining, allowance.wait), (left, None));
        }
        let refused = limiter.count("a", start);
        assert_eq!(refused.wait, Some(Duration::from_secs(2)));
        assert_eq!(refused.refusal().unwrap().retry_after_s, Some(2));
        // Rejected requests do not count towards the limit.
        let later = start + Duration::from_secs(2);
        assert_eq!(limiter.count("a", later).wait, None);
        assert!(limiter.count("a", later).wait.is_some());
        let much_later = start + Duration::from_secs(60);
        assert_eq!(limiter.count("a", much_later).remaining, 3);
    }

    #[test]
    fn callers_are_counted_apart() {
        let (limiter, now) = (limiter(), now());
        for _ in 0..5 {
            limiter.count("a", now);
        }
        assert_eq!(limiter.count("b", now).wait, None);
    }

    #[test]
    fn the_fields_tell_policy_and_rest() {
        let (limiter, now) = (limiter(), now());
        let mut headers = HeaderMap::new();
        limiter.count("a", now).write(&mut headers);
        assert_eq!(headers["ratelimit-policy"], "\"caller\";q=4;w=8");
        assert_eq!(headers["ratelimit"], "\"caller\";r=3;t=2");
    }
}
