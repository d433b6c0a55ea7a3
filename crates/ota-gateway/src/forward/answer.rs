//! The holder's answer, as far as it is not a problem.

use std::time::Duration;

use axum::http::header::{AGE, CONTENT_TYPE};
use bytes::Bytes;
use ota_core::Result;
use ota_core::context::Moment;
use ota_http::Response;
use serde::de::IgnoredAny;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::problem;
use crate::cache::conditional::SERVER_TIMING;
use crate::cache::response::{OTA_AS_OF, OTA_STALE};

/// A response of the holder.
#[derive(Debug)]
pub(crate) struct HolderAnswer {
    /// The body, as it came.
    pub(crate) body: Bytes,
    /// The time of the data, as it came.
    pub(crate) as_of_text: String,
    /// The same. Its age counts from the sending of the request: the response is rather taken to be older than it is.
    pub(crate) as_of: Moment,
    /// Whether it is older than requested because the vendor did not answer.
    pub(crate) stale: bool,
    /// The number of vendor calls that the holder made for it.
    pub(crate) calls: u32,
    /// The sum of their durations.
    pub(crate) calls_took: Duration,
}

/// Reads what came back for a request that was sent at `sent`.
///
/// # Errors
/// The problem that the holder answered with; `unavailable` for what no gateway answers.
pub(super) fn read(response: &Response, sent: Moment) -> Result<HolderAnswer> {
    match response.status {
        200 => answer(response, sent).ok_or_else(|| problem::foreign(response.status)),
        _ => Err(problem::read(response)),
    }
}

fn answer(response: &Response, sent: Moment) -> Option<HolderAnswer> {
    let is_json = response.header(CONTENT_TYPE.as_str()) == Some("application/json");
    let is_whole = || serde_json::from_slice::<IgnoredAny>(&response.body).is_ok();
    if !(is_json && is_whole()) {
        return None;
    }
    let as_of_text = response.header(OTA_AS_OF.as_str())?.to_owned();
    let age = response.header(AGE.as_str())?.parse().ok()?;
    let age = Duration::from_secs(age);
    let as_of = Moment {
        wall: OffsetDateTime::parse(&as_of_text, &Rfc3339).ok()?,
        monotonic: sent.monotonic.checked_sub(age)?,
    };
    let timing = response.header(SERVER_TIMING.as_str()).unwrap_or_default();
    let (calls, calls_took) = calls(timing);
    Some(HolderAnswer {
        body: response.body.clone(),
        as_of_text,
        as_of,
        stale: response.header(OTA_STALE.as_str()) == Some("true"),
        calls,
        calls_took,
    })
}

/// Reads number and duration of the vendor calls from `Server-Timing`; none from one that is not ours.
fn calls(timing: &str) -> (u32, Duration) {
    let vendor = timing.split(',').next().unwrap_or_default();
    let value = |name: &str| {
        let mut parts = vendor.split(';').map(str::trim);
        parts.find_map(|part| part.strip_prefix(name))
    };
    let count = value("desc=\"calls=").and_then(|text| text.strip_suffix('"')?.parse().ok());
    let millis = value("dur=").and_then(|text| text.parse::<f64>().ok());
    let took = millis.and_then(|millis| Duration::try_from_secs_f64(millis / 1000.0).ok());
    (count.unwrap_or(0), took.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::calls;

    #[test]
    fn the_calls_of_the_holder_are_read_from_its_timing() {
        for (timing, count, millis) in [
            ("vendor;desc=\"calls=3\";dur=120.5", 3, 120.5),
            (
                "vendor;desc=\"calls=0\";dur=0.0, cache;desc=\"hit\"",
                0,
                0.0,
            ),
            ("", 0, 0.0),
            ("cdn-cache; desc=MISS", 0, 0.0),
            ("vendor;desc=\"calls=-1\";dur=-5", 0, 0.0),
            ("vendor;desc=\"calls=99999999999\";dur=1e999", 0, 0.0),
            ("vendor;desc=\"calls=2\";dur=NaN", 2, 0.0),
        ] {
            let took = Duration::from_secs_f64(millis / 1000.0);
            assert_eq!(calls(timing), (count, took), "{timing}");
        }
    }
}
