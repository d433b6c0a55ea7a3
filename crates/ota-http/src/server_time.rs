//! The time headers of a server: `Date` and `Retry-After` (RFC 9110, sections 6.6.1 and 10.2.3).

use std::time::Duration;

use time::OffsetDateTime;

use crate::response::Response;

/// The longest accepted wait of a server: a broken proxy must not block an account for years.
pub const MAX_RETRY_AFTER: Duration = Duration::from_secs(300);

/// How far from ours a server's time may be. A clock can be hours or months off; a date that is years away is a default of some device in
/// between, and signing with it would only lose the request.
pub const MAX_CLOCK_DIFFERENCE: time::Duration = time::Duration::days(365);

impl Response {
    /// Returns the server's time, to the second; none when it is not sent or cannot be read.
    #[must_use]
    pub fn date(&self) -> Option<OffsetDateTime> {
        self.header("date").and_then(moment)
    }

    /// Returns the server's time if it can be true at all while our clock shows `own`: no more than [`MAX_CLOCK_DIFFERENCE`] away.
    #[must_use]
    pub fn believable_date(&self, own: OffsetDateTime) -> Option<OffsetDateTime> {
        self.date()
            .filter(|date| (*date - own).abs() <= MAX_CLOCK_DIFFERENCE)
    }

    /// Returns how long the server asks to wait, at most [`MAX_RETRY_AFTER`]. A date is counted from the server's own, so that two clocks are
    /// not compared.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        let value = self.header("retry-after")?.trim();
        let wait = match whole_number(value) {
            Some(seconds) => Duration::from_secs(seconds),
            None => Duration::try_from(moment(value)? - self.date()?).ok()?,
        };
        Some(wait.min(MAX_RETRY_AFTER))
    }
}

/// Reads a number of digits; one that is too large for any type is the largest.
#[must_use]
pub fn whole_number(text: &str) -> Option<u64> {
    let text = text.trim();
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().unwrap_or(u64::MAX))
}

fn moment(text: &str) -> Option<OffsetDateTime> {
    let moment = httpdate::parse_http_date(text.trim()).ok()?;
    Some(OffsetDateTime::from(moment))
}

#[cfg(test)]
mod tests {
    use super::Response;
    use bytes::Bytes;
    use http::{HeaderMap, HeaderName, HeaderValue};
    use std::time::Duration;
    use time::macros::datetime;

    fn response(headers: &[(&'static str, &'static str)]) -> Response {
        let headers = headers.iter().map(|(name, value)| {
            (
                HeaderName::from_static(name),
                HeaderValue::from_static(value),
            )
        });
        Response {
            status: 503,
            headers: HeaderMap::from_iter(headers),
            body: Bytes::new(),
        }
    }

    #[test]
    fn the_servers_time_is_read() {
        let reported = response(&[("date", "Sun, 06 Nov 1994 08:49:37 GMT")]);
        assert_eq!(reported.date(), Some(datetime!(1994-11-06 08:49:37 UTC)));
        for text in ["", "now", "1994-11-06T08:49:37Z"] {
            assert_eq!(response(&[("date", text)]).date(), None, "{text}");
        }
    }

    #[test]
    fn a_date_years_away_is_not_believed() {
        let own = datetime!(2026-11-27 12:00 UTC);
        for (date, believed) in [
            ("Fri, 27 Nov 2026 20:00:00 GMT", true),
            ("Fri, 27 Feb 2026 20:00:00 GMT", true),
            ("Thu, 01 Jan 1970 00:00:00 GMT", false),
            ("Wed, 01 Jan 2025 00:00:00 GMT", false),
            ("Fri, 31 Dec 9999 23:59:59 GMT", false),
        ] {
            let sent = response(&[("date", date)]).believable_date(own);
            assert_eq!(sent.is_some(), believed, "{date}");
        }
    }

    #[test]
    fn a_wait_is_read_in_seconds_or_as_a_date_by_the_servers_clock() {
        let date = ("date", "Sun, 06 Nov 1994 08:49:37 GMT");
        for (value, expected) in [
            ("120", Some(120)),
            (" 0 ", Some(0)),
            ("Sun, 06 Nov 1994 08:50:07 GMT", Some(30)),
            ("Sun, 06 Nov 1994 08:49:07 GMT", None),
            ("-1", None),
            ("soon", None),
            ("", None),
            ("86400", Some(300)),
            ("18446744073709551615", Some(300)),
            ("99999999999999999999999", Some(300)),
            ("Fri, 31 Dec 9999 23:59:59 GMT", Some(300)),
        ] {
            let reported = response(&[date, ("retry-after", value)]).retry_after();
            assert_eq!(reported, expected.map(Duration::from_secs), "{value}");
        }
        let undated = response(&[("retry-after", "Sun, 06 Nov 1994 08:50:07 GMT")]);
        assert_eq!(undated.retry_after(), None);
    }
}
