//! Taking secrets out of text before it is shown.

use serde_json::Value;

/// Takes the user info, the query and the fragment from every URL in `text`, and the values of parameters that are known to hold
/// credentials or signatures wherever they stand.
///
/// Slashes that are escaped once more (`https:\/\/`) are understood: vendors put JSON into text.
#[must_use]
pub fn urls(text: &str) -> String {
    // Nearly every text is an identifier, a version or a word: without these there is no scheme and no parameter.
    if !text.bytes().any(|byte| matches!(byte, b':' | b'=')) {
        return text.to_owned();
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((start, after_slashes)) = scheme_end(rest) {
        let (before, _) = rest.split_at(start);
        out.push_str(before);
        out.push_str(&rest[start..after_slashes]);
        let after = &rest[after_slashes..];
        let end = after.find(ends_url).unwrap_or(after.len());
        let url = &after[..end];
        let cut = url.find(['?', '#']);
        let shown = cut.map_or(url, |cut| &url[..cut]);
        // A query can hold any character that a careless writer put there, so only white space and markup end it.
        rest = match cut {
            Some(cut) => {
                let query = &after[cut..];
                &query[query.find(ends_query).unwrap_or(query.len())..]
            }
            None => &after[end..],
        };
        let authority = shown.find('/').unwrap_or(shown.len());
        let host = shown[..authority].rfind('@').map_or(0, |user| user + 1);
        out.push_str(&shown[host..]);
    }
    out.push_str(rest);
    parameters(&out)
}

/// Finds `://`, plain or with escaped slashes; returns where it begins and ends.
fn scheme_end(text: &str) -> Option<(usize, usize)> {
    let mut found: Option<(usize, usize)> = None;
    for mark in ["://", ":\\/\\/"] {
        if let Some(at) = text.find(mark)
            && found.is_none_or(|(other, _)| at < other)
        {
            found = Some((at, at + mark.len()));
        }
    }
    found
}

/// Parameters whose values are credentials or signatures at one of the vendors or at their object stores.
const SECRET_PARAMETERS: &[&str] = &[
    "signature=",
    "accesskeyid=",
    "accesskeysecret=",
    "securitytoken=",
    "security-token=",
    "access_token=",
    "accesstoken=",
    "refreshtoken=",
    "signaturenonce=",
];

fn parameters(text: &str) -> String {
    if !text.contains('=') {
        return text.to_owned();
    }
    // ASCII lower-casing keeps every byte's place.
    let lower = text.to_ascii_lowercase();
    if !SECRET_PARAMETERS.iter().any(|name| lower.contains(name)) {
        return text.to_owned();
    }
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    while let Some(value) = SECRET_PARAMETERS
        .iter()
        .filter_map(|name| lower[at..].find(name).map(|found| at + found + name.len()))
        .min()
    {
        out.push_str(&text[at..value]);
        out.push_str("***");
        let rest = &text[value..];
        at = value + rest.find(ends_parameter).unwrap_or(rest.len());
    }
    out.push_str(&text[at..]);
    out
}

fn ends_query(c: char) -> bool {
    c.is_whitespace() || c.is_control() || matches!(c, '<' | '"')
}

fn ends_parameter(c: char) -> bool {
    c.is_whitespace() || c.is_control() || matches!(c, '&' | '"' | '\'' | '<' | '>' | ',' | ';')
}

fn ends_url(c: char) -> bool {
    c.is_whitespace()
        || c.is_control()
        || matches!(c, '"' | '\'' | '<' | '>' | '`' | '{' | '}' | '|' | '^')
}

/// Applies [`urls`] to every text inside `value`, names of members included.
#[must_use]
pub fn value(value: Value) -> Value {
    match value {
        Value::String(text) => Value::String(urls(&text)),
        Value::Array(items) => Value::Array(items.into_iter().map(self::value).collect()),
        Value::Object(members) => Value::Object(
            members
                .into_iter()
                .map(|(name, member)| (urls(&name), self::value(member)))
                .collect(),
        ),
        other => other,
    }
}

/// Replaces every occurrence of each secret in `text`, plain and percent-encoded once or twice, and shortens the result to
/// `max_chars` characters.
#[must_use]
pub fn secrets<'a>(
    text: &str,
    secrets: impl IntoIterator<Item = &'a str>,
    max_chars: usize,
) -> String {
    let mut text = urls(text);
    for secret in secrets {
        // Shorter texts are no secrets, and replacing them would shred ordinary words.
        if secret.len() < 4 {
            continue;
        }
        let once = crate::encode::percent_encode(secret);
        let twice = crate::encode::percent_encode(&once);
        for form in [twice.as_str(), once.as_str(), secret] {
            if text.contains(form) {
                text = text.replace(form, "***");
            }
        }
    }
    match text.char_indices().nth(max_chars) {
        Some((cut, _)) => format!("{}…", &text[..cut]),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::{secrets, urls, value};
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn urls_lose_user_info_query_and_fragment() {
        for (text, expected) in [
            (
                "get https://u:p@oss.example.com/a/b.bin?Signature=x&y=z now",
                "get https://oss.example.com/a/b.bin now",
            ),
            ("https://h?x=1", "https://h"),
            ("https://a@b@host/p@q#frag", "https://host/p@q"),
            (
                "two: http://h/1?a=1 and ftp://k@h/2?b=2.",
                "two: http://h/1 and ftp://h/2",
            ),
            ("\"https://h/p?sig=1\"", "\"https://h/p\""),
            ("no url ? here", "no url ? here"),
            ("://?x", "://"),
            (
                "https://oss/x?a={b}&Signature=TOPSECRET end",
                "https://oss/x end",
            ),
            (
                "https:\\/\\/u:p@oss\\/y?Signature=TOPSECRET",
                "https:\\/\\/oss\\/y",
            ),
            (
                "oss.h/x?Signature=TOPSECRET&b=1",
                "oss.h/x?Signature=***&b=1",
            ),
            (
                "AccessKeyId=LTAI, SecurityToken=CAIS",
                "AccessKeyId=***, SecurityToken=***",
            ),
        ] {
            assert_eq!(urls(text), expected);
        }
    }

    #[test]
    fn values_are_cleaned_at_every_depth() {
        assert_eq!(
            value(json!({"a": [{"b": "https://u@h/x?s=1"}], "n": 1})),
            json!({"a": [{"b": "https://h/x"}], "n": 1})
        );
    }

    #[test]
    fn secrets_go_in_every_encoding() {
        let cleaned = secrets("k=a/b+c k=a%2Fb%2Bc k=a%252Fb%252Bc", ["a/b+c"], 1000);
        assert_eq!(cleaned, "k=*** k=*** k=***");
        assert_eq!(secrets("äöü", [], 2), "äö…");
    }

    proptest! {
        #[test]
        fn no_query_survives(text in "(https?://[a-z@:/?=&#]{0,20} ?){0,4}") {
            for word in urls(&text).split(' ') {
                if let Some((_, rest)) = word.split_once("://") {
                    prop_assert!(!rest.contains("?") || rest.contains("://"));
                }
            }
        }
    }
}
