//! What a server says about time: `Date` and `Retry-After` (RFC 9110, sections 6.6.1 and 10.2.3).

use std::time::Duration;

use time::OffsetDateTime;

use crate::client::Response;

impl Response {
    /// Returns the server's time, to the second; none when it is not told or cannot be read.
    #[must_use]
    pub fn date(&self) -> Option<OffsetDateTime> {
        self.header("date").and_then(moment)
    }

    /// Returns how long the server asks to wait. A date is counted from the server's own, so that two clocks are not compared.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        let value = self.header("retry-after")?.trim();
        if let Ok(seconds) = value.parse() {
            return Some(Duration::from_secs(seconds));
        }
        Duration::try_from(moment(value)? - self.date()?).ok()
    }
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
        let told = response(&[("date", "Sun, 06 Nov 1994 08:49:37 GMT")]);
        assert_eq!(told.date(), Some(datetime!(1994-11-06 08:49:37 UTC)));
        for text in ["", "now", "1994-11-06T08:49:37Z"] {
            assert_eq!(response(&[("date", text)]).date(), None, "{text}");
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
            ("99999999999999999999999", None),
        ] {
            let told = response(&[date, ("retry-after", value)]).retry_after();
            assert_eq!(told, expected.map(Duration::from_secs), "{value}");
        }
        let undated = response(&[("retry-after", "Sun, 06 Nov 1994 08:50:07 GMT")]);
        assert_eq!(undated.retry_after(), None);
    }
}
