//! Taking secrets out of text before it is shown.

use serde_json::Value;

/// Takes the user info, the query and the fragment from every URL in `text`; both can hold credentials and signatures.
#[must_use]
pub fn urls(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("://") {
        let (before, after) = rest.split_at(at + 3);
        out.push_str(before);
        let end = after.find(ends_url).unwrap_or(after.len());
        let (url, tail) = after.split_at(end);
        let shown = url.find(['?', '#']).map_or(url, |cut| &url[..cut]);
        let authority = shown.find('/').unwrap_or(shown.len());
        let host = shown[..authority].rfind('@').map_or(0, |user| user + 1);
        out.push_str(&shown[host..]);
        rest = tail;
    }
    out.push_str(rest);
    out
}

fn ends_url(c: char) -> bool {
    c.is_whitespace()
        || c.is_control()
        || matches!(
            c,
            '"' | '\'' | '<' | '>' | '`' | '\\' | '{' | '}' | '|' | '^'
        )
}

/// Applies [`urls`] to every text inside `value`, names of members included.
#[must_use]
pub fn value(value: Value) -> Value {
    match value {
        Value::String(text) if text.contains("://") => Value::String(urls(&text)),
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
