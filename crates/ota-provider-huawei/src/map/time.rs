//! The vendor's times.

use time::format_description::BorrowedFormatItem;
use time::macros::format_description;
use time::{OffsetDateTime, PrimitiveDateTime};

/// "The value is in the format of yyyyMMdd'T'HHmmss'Z'. An example value is 20151212T121212Z." ("Querying an Upgrade Task
/// List", page of 2022-02-24, read 2026-11-23)
const FORMAT: &[BorrowedFormatItem<'_>] =
    format_description!("[year][month][day]T[hour][minute][second]Z");

/// Reads a time; nothing but the documented form is one.
pub(crate) fn parse(text: &str) -> Option<OffsetDateTime> {
    // `[year]` alone would take a sign for a digit.
    let plain = text.len() == 16
        && text
            .bytes()
            .all(|b| b.is_ascii_digit() || b"TZ".contains(&b));
    if !plain {
        return None;
    }
    PrimitiveDateTime::parse(text, FORMAT)
        .ok()
        .map(PrimitiveDateTime::assume_utc)
}

#[cfg(test)]
mod tests {
    use super::parse;
    use proptest::prelude::*;
    use time::macros::datetime;

    #[test]
    fn the_documented_form_is_read() {
        for (text, expected) in [
            ("20151212T121212Z", datetime!(2015-12-12 12:12:12 UTC)),
            ("20240229T000000Z", datetime!(2024-02-29 00:00:00 UTC)),
            ("19700101T235959Z", datetime!(1970-01-01 23:59:59 UTC)),
        ] {
            assert_eq!(parse(text), Some(expected), "{text}");
        }
    }

    #[test]
    fn another_form_is_no_time() {
        for text in [
            "",
            "20151212T121212",
            "20151212 121212Z",
            "2015-12-12T12:12:12Z",
            "20151212t121212z",
            "20151312T121212Z",
            "20230229T000000Z",
            "20151212T241212Z",
            "20151212T126012Z",
            " 20151212T121212Z",
            "20151212T121212Z ",
            "+0151212T121212Z",
            "-0151212T121212Z",
            "20151212T1212.2Z",
            "1449922332000",
            "２０151212T1212Z",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text in ".{0,20}") {
            let _ = parse(&text);
        }
    }
}
