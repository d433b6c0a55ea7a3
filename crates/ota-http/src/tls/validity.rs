//! When a certificate is valid, and how that is said.

use time::macros::format_description;
use time::{Duration, OffsetDateTime};

/// How long before its end a certificate of the gateway's own is warned about.
pub const WARN_BEFORE: Duration = Duration::days(14);

/// When a certificate is valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Validity {
    /// From when on.
    pub begins: OffsetDateTime,
    /// Until when.
    pub ends: OffsetDateTime,
}

/// Writes a date and time for a person, in UTC.
#[must_use]
pub fn day(at: OffsetDateTime) -> String {
    at.to_offset(time::UtcOffset::UTC)
        .format(format_description!(
            "[year]-[month]-[day] [hour]:[minute] UTC"
        ))
        .unwrap_or_else(|_| "(a date that cannot be written)".to_owned())
}

impl Validity {
    /// Says that a certificate of the gateway's own is not valid yet, has ended or is about to; `None` as long as all is well. `what` names it, with
    /// its file.
    #[must_use]
    pub fn warning(&self, what: &str, now: OffsetDateTime) -> Option<String> {
        let Self { begins, ends } = *self;
        let left = ends - now;
        if left <= Duration::ZERO {
            Some(format!("{what} has expired on {}; renew it", day(ends)))
        } else if now < begins {
            Some(format!(
                "{what} is not valid yet, only from {}; compare this machine's clock with the time, or get another one",
                day(begins)
            ))
        } else if left <= WARN_BEFORE {
            Some(format!(
                "{what} ends on {}, in {} days; renew it",
                day(ends),
                left.whole_days()
            ))
        } else {
            None
        }
    }

    /// Whether a certificate can be used at a time.
    #[must_use]
    pub fn holds(&self, now: OffsetDateTime) -> bool {
        self.begins <= now && now < self.ends
    }
}

#[cfg(test)]
mod tests {
    use super::Validity;
    use time::Duration;
    use time::macros::datetime;

    #[test]
    fn the_dates_of_a_certificate_are_told_outside_of_them_and_before_the_end() {
        let now = datetime!(2026-05-01 00:00 UTC);
        let reported = |begins, ends| Validity { begins, ends }.warning("the certificate", now);
        let past = now - Duration::days(30);
        assert_eq!(reported(past, now + Duration::days(15)), None);
        let soon = reported(past, now + Duration::days(3) + Duration::hours(1)).unwrap();
        assert!(
            soon.contains("ends on 2026-05-04") && soon.contains("in 3 days"),
            "{soon}"
        );
        assert!(
            reported(past, now - Duration::days(1))
                .unwrap()
                .contains("has expired on 2026-04-30")
        );
        let early = reported(now + Duration::days(2), now + Duration::days(90)).unwrap();
        assert!(
            early.contains("is not valid yet, only from 2026-05-03"),
            "{early}"
        );
        assert_eq!(reported(now, now + Duration::days(90)), None);
    }
}
