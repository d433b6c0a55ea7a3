//! The offset of the machine's clock, measured by the vendor's `Date` header.
//!
//! The vendor refuses requests whose time is more than 15 minutes off (`InvalidTimeStamp.Expired`, "once, after correcting the clock" in the
//! vendor notes, section 5.1), or hours off (`IllegalTimestamp`). Nothing is corrected before such a refusal: while the vendor accepts the machine's time, it is used.

use std::sync::{Mutex, PoisonError};

use time::{Duration, OffsetDateTime};

/// A smaller correction cannot have been the reason for the refusal; the vendor's limit is fifteen times as long.
const MIN_CORRECTION: Duration = Duration::minutes(1);

/// The correction in use.
#[derive(Debug, Default)]
pub(crate) struct Skew(Mutex<Duration>);

impl Skew {
    /// Returns the time to sign with.
    pub(crate) fn correct(&self, now: OffsetDateTime) -> OffsetDateTime {
        let skew = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        now.checked_add(skew).unwrap_or(now)
    }

    /// Learns from a refusal that the vendor's time is `vendors` while this machine's is `own`. Returns whether that corrects the time that the refused
    /// request was signed with.
    pub(crate) fn learn(
        &self,
        own: OffsetDateTime,
        vendors: OffsetDateTime,
        signed_at: OffsetDateTime,
    ) -> bool {
        if (vendors - signed_at).abs() < MIN_CORRECTION {
            return false;
        }
        let skew = vendors - own;
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Concurrent calls learn the same; it is logged once.
        if (*known - skew).abs() >= MIN_CORRECTION {
            tracing::warn!(
                seconds = skew.whole_seconds(),
                "the vendor's clock and this machine's are {} s apart; requests are signed with the vendor's time from now on, but the machine's clock should be set",
                skew.whole_seconds()
            );
        }
        *known = skew;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::Skew;
    use time::Duration;
    use time::macros::datetime;

    #[test]
    fn a_clock_that_is_off_is_corrected_and_corrected_back() {
        let skew = Skew::default();
        let own = datetime!(2026-01-01 12:00 UTC);
        assert_eq!(skew.correct(own), own);
        let vendors = own + Duration::hours(2);
        assert!(skew.learn(own, vendors, skew.correct(own)));
        assert_eq!(skew.correct(own), vendors);
        // The same time again would be refused again.
        assert!(!skew.learn(own, vendors, skew.correct(own)));
        // The machine's clock was set meanwhile.
        assert!(skew.learn(vendors, vendors, skew.correct(vendors)));
        assert_eq!(skew.correct(vendors), vendors);
    }
}
