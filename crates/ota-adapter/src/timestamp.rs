//! The forms in which vendors write a time.

use time::format_description::BorrowedFormatItem;
use time::format_description::well_known::Rfc3339;
use time::macros::format_description;
use time::{OffsetDateTime, PrimitiveDateTime, UtcOffset};

use crate::lenient::LenientScalar;

/// How a vendor writes a time. Anything else is not a time: it is preserved verbatim and reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimeFormat {
    /// `2019-12-28T02:43:10.000Z`, with any offset.
    Rfc3339,
    /// `20191228T024310Z`, the basic form of ISO 8601 in UTC.
    BasicUtc,
    /// Seconds since 1970, with or without a fraction, as a number or as its text.
    EpochSeconds,
    /// Milliseconds since 1970, as a number or as its text.
    EpochMillis,
}

const BASIC: &[BorrowedFormatItem<'_>] =
    format_description!("[year][month][day]T[hour][minute][second]Z");

/// The first millisecond after the year 9999, which no text form of a time goes beyond.
const END_MS: f64 = 253_402_300_800_000.0;

impl TimeFormat {
    /// Reads a time, in UTC; `None` for what is not written in this form.
    #[must_use]
    pub fn read(self, scalar: &LenientScalar) -> Option<OffsetDateTime> {
        match self {
            Self::Rfc3339 => scalar.as_str().and_then(rfc3339),
            Self::BasicUtc => scalar.as_str().and_then(basic_utc),
            Self::EpochSeconds => epoch(scalar.number()? * 1000.0),
            Self::EpochMillis => epoch(scalar.number()?),
        }
    }
}

fn rfc3339(text: &str) -> Option<OffsetDateTime> {
    // The model has UTC only, and times at the ends of the calendar cannot be moved there.
    let time = OffsetDateTime::parse(text, &Rfc3339).ok()?;
    time.checked_to_offset(UtcOffset::UTC)
}

fn basic_utc(text: &str) -> Option<OffsetDateTime> {
    // `[year]` alone would take a sign for a digit.
    let plain = text.len() == 16
        && text
            .bytes()
            .all(|byte| byte.is_ascii_digit() || b"TZ".contains(&byte));
    if !plain {
        return None;
    }
    PrimitiveDateTime::parse(text, BASIC)
        .ok()
        .map(PrimitiveDateTime::assume_utc)
}

/// A double holds every millisecond of these years exactly.
fn epoch(millis: f64) -> Option<OffsetDateTime> {
    let millis = millis.round();
    let nanos = (0.0..END_MS)
        .contains(&millis)
        .then(|| millis as i128 * 1_000_000)?;
    OffsetDateTime::from_unix_timestamp_nanos(nanos).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};
    use time::macros::datetime;

    use super::TimeFormat;
    use crate::lenient::LenientScalar;

    #[track_caller]
    fn check(format: TimeFormat, value: Value, expected: Option<time::OffsetDateTime>) {
        let read = format.read(&LenientScalar(value.clone()));
        assert_eq!(read, expected, "{value}");
    }

    #[test]
    fn every_form_of_a_time_is_read() {
        let whole = Some(datetime!(2019-12-28 02:43:10 UTC));
        let milli = Some(datetime!(2019-12-28 02:43:10.125 UTC));
        check(
            TimeFormat::Rfc3339,
            json!("2019-12-28T02:43:10.000Z"),
            whole,
        );
        check(
            TimeFormat::Rfc3339,
            json!("2019-12-28T10:43:10.125+08:00"),
            milli,
        );
        check(TimeFormat::BasicUtc, json!("20191228T024310Z"), whole);
        check(TimeFormat::EpochSeconds, json!(1_577_500_990), whole);
        check(TimeFormat::EpochSeconds, json!(1_577_500_990.125), milli);
        check(TimeFormat::EpochSeconds, json!("1577500990"), whole);
        check(TimeFormat::EpochMillis, json!(1_577_500_990_125_u64), milli);
        check(TimeFormat::EpochMillis, json!("1577500990125"), milli);
    }

    #[test]
    fn a_time_in_another_form_is_none() {
        for value in [
            json!(""),
            json!("20151212T121212"),
            json!("20151212 121212Z"),
            json!("2015-12-12T12:12:12Z"),
            json!("20151212t121212z"),
            json!("20151312T121212Z"),
            json!("20230229T000000Z"),
            json!("20151212T241212Z"),
            json!("20151212T126012Z"),
            json!(" 20151212T121212Z"),
            json!("20151212T121212Z "),
            json!("+0151212T121212Z"),
            json!("-0151212T121212Z"),
            json!("20151212T1212.2Z"),
            json!("1449922332000"),
            json!("２０151212T1212Z"),
            json!(20_151_212),
        ] {
            check(TimeFormat::BasicUtc, value, None);
        }
        for value in [json!("9999-12-31T23:59:59-01:00"), json!("now"), json!(1)] {
            check(TimeFormat::Rfc3339, value, None);
        }
        for value in [
            json!(-1),
            json!(1e300),
            json!("soon"),
            json!(null),
            json!([1]),
        ] {
            check(TimeFormat::EpochSeconds, value.clone(), None);
            check(TimeFormat::EpochMillis, value, None);
        }
        // Milliseconds where seconds are expected: the year 51958.
        check(TimeFormat::EpochSeconds, json!(1_577_500_990_125_u64), None);
    }

    proptest! {
        #[test]
        fn no_value_panics(text in ".{0,20}", number: f64) {
            for format in [TimeFormat::Rfc3339, TimeFormat::BasicUtc, TimeFormat::EpochSeconds, TimeFormat::EpochMillis] {
                let _ = format.read(&LenientScalar(text.clone().into()));
                let _ = format.read(&LenientScalar(number.into()));
            }
        }
    }
}
