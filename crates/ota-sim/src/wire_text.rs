//! Text on the wire that both vendors share: percent-encoding, dates, HTML pages, hexadecimal.

use std::fmt::Write;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use time::OffsetDateTime;

/// RFC 3986: everything but letters, digits, `-`, `_`, `.` and `~` is encoded.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~');

pub(crate) fn percent_encode(text: &str) -> String {
    utf8_percent_encode(text, RESERVED).to_string()
}

/// Decodes a query string or a form body; `+` is a space. Bytes that are no UTF-8 become replacement characters.
pub(crate) fn decode_pairs(text: &str) -> Vec<(String, String)> {
    let decode = |part: &str| {
        percent_decode_str(&part.replace('+', " "))
            .decode_utf8_lossy()
            .into_owned()
    };
    text.split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decode(name), decode(value))
        })
        .collect()
}

/// Decodes one segment of a path, in which `+` is a plus.
pub(crate) fn decode_segment(segment: &str) -> String {
    percent_decode_str(segment).decode_utf8_lossy().into_owned()
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
            let _infallible = write!(text, "{byte:02x}");
            text
        })
}

/// `2019-11-04T03:38:22.000Z`
pub(crate) fn iso_millis(time: OffsetDateTime) -> String {
    format!(
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z",
        time.year(),
        u8::from(time.month()),
        time.day(),
        time.hour(),
        time.minute(),
        time.second(),
        time.millisecond()
    )
}

/// `20151212T121212Z`
pub(crate) fn compact(time: OffsetDateTime) -> String {
    format!(
        "{:04}{:02}{:02}T{:02}{:02}{:02}Z",
        time.year(),
        u8::from(time.month()),
        time.day(),
        time.hour(),
        time.minute(),
        time.second()
    )
}

/// `Sun, 06 Nov 1994 08:49:37 GMT`, the `Date` header.
pub(crate) fn http_date(time: OffsetDateTime) -> String {
    let weekday = time.weekday().to_string();
    let month = time.month().to_string();
    format!(
        "{}, {:02} {} {:04} {:02}:{:02}:{:02} GMT",
        &weekday[..3],
        time.day(),
        &month[..3],
        time.year(),
        time.hour(),
        time.minute(),
        time.second()
    )
}

/// A page as a proxy or a web server writes it.
pub(crate) fn html_page(title: &str) -> String {
    format!(
        "<html>\r\n<head><title>{title}</title></head>\r\n<body>\r\n<center><h1>{title}</h1></center>\r\n\
         <hr><center>nginx</center>\r\n</body>\r\n</html>\r\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_have_the_documented_shapes() {
        let time = OffsetDateTime::from_unix_timestamp(784_111_777).unwrap();
        assert_eq!(http_date(time), "Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(iso_millis(time), "1994-11-06T08:49:37.000Z");
        assert_eq!(compact(time), "19941106T084937Z");
    }

    #[test]
    fn plus_is_a_space_in_pairs_and_a_plus_in_paths() {
        assert_eq!(
            decode_pairs("a=job+id%2B1&b&&c=%E8%AE%BE"),
            [
                ("a".to_owned(), "job id+1".to_owned()),
                ("b".to_owned(), String::new()),
                ("c".to_owned(), "设".to_owned())
            ]
        );
        assert_eq!(decode_segment("a+b%20c"), "a+b c");
    }
}
