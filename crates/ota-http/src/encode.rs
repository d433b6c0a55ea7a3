//! RFC 3986 percent-encoding.

use std::borrow::Cow;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

/// Everything but the unreserved characters of RFC 3986, section 2.3.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~');

/// Percent-encodes `text`: only `A-Z a-z 0-9 - _ . ~` stay, everything else becomes `%XX` in upper case, byte by byte of UTF-8.
#[must_use]
pub fn percent_encode(text: &str) -> String {
    // With room for the longest form, so that a secret leaves no piece behind in a buffer that became too small.
    let mut encoded = String::with_capacity(text.len().saturating_mul(3));
    encoded.extend(utf8_percent_encode(text, RESERVED));
    encoded
}

/// Decodes percent-encoded text, or returns `None` when it is not UTF-8. Broken escapes stay as they are.
#[must_use]
pub fn percent_decode(text: &str) -> Option<Cow<'_, str>> {
    percent_decode_str(text).decode_utf8().ok()
}

/// Joins encoded `name=value` pairs with `&`, in the order given.
#[must_use]
pub fn query<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str), IntoIter: Clone>) -> String {
    let pairs = pairs.into_iter();
    let longest = pairs.clone().fold(0_usize, |sum, (name, value)| {
        let encoded = name.len().saturating_add(value.len()).saturating_mul(3);
        sum.saturating_add(encoded).saturating_add(2)
    });
    // As in `percent_encode`.
    let mut query = String::with_capacity(longest);
    for (name, value) in pairs {
        if !query.is_empty() {
            query.push('&');
        }
        query.extend(utf8_percent_encode(name, RESERVED));
        query.push('=');
        query.extend(utf8_percent_encode(value, RESERVED));
    }
    query
}

/// Encodes an identifier as one path segment, or returns `None` when no encoding can keep it one.
///
/// URL libraries and servers resolve `.` and `..`, also when they are written `%2E`, so these two (and the empty text) could
/// reach another path of the vendor and are never sent.
#[must_use]
pub fn path_segment(id: &str) -> Option<String> {
    (!matches!(id, "" | "." | "..")).then(|| percent_encode(id))
}

#[cfg(test)]
mod tests {
    use super::{path_segment, percent_decode, percent_encode, query};
    use proptest::prelude::*;

    #[test]
    fn only_unreserved_characters_stay() {
        assert_eq!(percent_encode("aZ09-_.~"), "aZ09-_.~");
        assert_eq!(percent_encode(" *+/=!'()"), "%20%2A%2B%2F%3D%21%27%28%29");
        assert_eq!(percent_encode("设备😀"), "%E8%AE%BE%E5%A4%87%F0%9F%98%80");
        assert_eq!(query([("a b", "c&d"), ("e", "")]), "a%20b=c%26d&e=");
    }

    #[test]
    fn dot_segments_have_no_encoding() {
        assert_eq!(path_segment(".."), None);
        assert_eq!(path_segment("."), None);
        assert_eq!(path_segment(""), None);
        assert_eq!(path_segment("../x").as_deref(), Some("..%2Fx"));
    }

    proptest! {
        #[test]
        fn encoded_text_is_unreserved_or_escaped_and_comes_back(text: String) {
            let encoded = percent_encode(&text);
            let mut rest = encoded.as_bytes();
            while let Some((first, after)) = rest.split_first() {
                rest = match first {
                    b'%' => {
                        let digits = &after[..2];
                        prop_assert!(digits.iter().all(|digit| matches!(digit, b'0'..=b'9' | b'A'..=b'F')));
                        &after[2..]
                    }
                    other => {
                        prop_assert!(other.is_ascii_alphanumeric() || b"-_.~".contains(other), "{encoded}");
                        after
                    }
                };
            }
            let decoded = percent_encoding::percent_decode_str(&encoded).decode_utf8().unwrap();
            prop_assert_eq!(&decoded, &text);
            prop_assert_eq!(percent_decode(&encoded).unwrap(), text);
        }

        #[test]
        fn a_query_is_read_back_by_others(pairs in proptest::collection::vec(any::<(String, String)>(), 0..6)) {
            let written = query(pairs.iter().map(|(name, value)| (name.as_str(), value.as_str())));
            let url = reqwest::Url::parse(&format!("https://host/?{written}")).unwrap();
            let read: Vec<_> = url.query_pairs().into_owned().collect();
            prop_assert_eq!(read, pairs);
            prop_assert_eq!(url.query(), Some(written.as_str()));
        }

        #[test]
        fn decoding_takes_any_text(text: String) {
            let _ = percent_decode(&text);
        }

        #[test]
        fn encoded_text_is_one_url_segment(text in ".+") {
            let Some(segment) = path_segment(&text) else { return Ok(()) };
            let url = reqwest::Url::parse(&format!("https://host/a/{segment}")).unwrap();
            prop_assert_eq!(url.path_segments().unwrap().count(), 2);
            prop_assert!(url.query().is_none() && url.fragment().is_none());
            let decoded = percent_encoding::percent_decode_str(&segment).decode_utf8().unwrap().into_owned();
            prop_assert_eq!(decoded, text);
        }
    }
}
