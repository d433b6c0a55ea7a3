//! The clock of a simulator.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use time::OffsetDateTime;

/// A clock; drives signature windows, the life of the fleet, token expiry and quota windows.
///
/// Clones share the same time, so that a test keeps one clone and moves all of them.
#[derive(Clone)]
pub struct Clock(Source);

#[derive(Clone)]
enum Source {
    System,
    Manual(Arc<Mutex<OffsetDateTime>>),
}

impl Clock {
    /// Follows the clock of the machine.
    #[must_use]
    pub fn system() -> Self {
        Self(Source::System)
    }

    /// Stays at `start` until [`Clock::advance`] or [`Clock::set`] moves it.
    #[must_use]
    pub fn manual(start: impl Into<OffsetDateTime>) -> Self {
        Self(Source::Manual(Arc::new(Mutex::new(start.into()))))
    }

    /// Returns the current time, in UTC.
    #[must_use]
    pub fn now(&self) -> OffsetDateTime {
        let now = match &self.0 {
            Source::System => system_now(),
            Source::Manual(time) => *time.lock().unwrap_or_else(PoisonError::into_inner),
        };
        now.to_offset(time::UtcOffset::UTC)
    }

    /// Moves a manual clock forward; the system clock is not changed.
    pub fn advance(&self, by: Duration) {
        if let Source::Manual(time) = &self.0 {
            let mut time = time.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(later) = time::Duration::try_from(by)
                .ok()
                .and_then(|by| time.checked_add(by))
            {
                *time = later;
            }
        }
    }

    /// Sets a manual clock; the system clock is not changed.
    pub fn set(&self, to: impl Into<OffsetDateTime>) {
        if let Source::Manual(time) = &self.0 {
            *time.lock().unwrap_or_else(PoisonError::into_inner) = to.into();
        }
    }
}

impl Default for Clock {
    fn default() -> Self {
        Self::system()
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Source::System => f.write_str("Clock::system()"),
            Source::Manual(_) => write!(f, "Clock::manual({})", self.now()),
        }
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the one place where a simulator asks the machine for the time"
)]
fn system_now() -> OffsetDateTime {
    SystemTime::now().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clones_of_a_manual_clock_move_together() {
        let clock = Clock::manual(OffsetDateTime::UNIX_EPOCH);
        let other = clock.clone();
        clock.advance(Duration::from_millis(1500));
        assert_eq!(other.now().unix_timestamp_nanos(), 1_500_000_000);
    }
}
