//! Removes secrets from text before it is shown.

use std::cmp::Reverse;

use serde_json::{Map, Value};
use zeroize::Zeroizing;

/// How much of a vendor's text is read where only its beginning is shown or judged, in bytes: in errors, codes and reasons of a failure.
pub const MAX_READ_BYTES: usize = 16 * 1024;

/// Returns the first [`MAX_READ_BYTES`] of `text`, or all of it when it is shorter.
#[must_use]
pub fn head(text: &str) -> &str {
    if text.len() <= MAX_READ_BYTES {
        return text;
    }
    let end = (0..=MAX_READ_BYTES)
        .rev()
        .find(|at| text.is_char_boundary(*at));
    &text[..end.unwrap_or(0)]
}

/// Takes the user info, the query and the fragment from every URL in `text`, and the values of parameters that are known to hold
/// credentials or signatures wherever they stand.
///
/// Slashes that are escaped once more (`https:\/\/`) are understood: vendors put JSON into text. The work grows with the length of the
/// text only, even for hostile text.
#[must_use]
pub fn urls(text: &str) -> String {
    clean(text, true, &mut 0)
}

/// Does the work of [`urls`]. `whole` is false when the text goes on behind its end; `examined` counts the bytes that were looked at.
fn clean(text: &str, whole: bool, examined: &mut usize) -> String {
    // Nearly every text is an identifier, a version or a word: without these there is no scheme and no parameter.
    *examined += text.len();
    if !text.bytes().any(|byte| matches!(byte, b':' | b'=')) {
        return text.to_owned();
    }
    let text = without_url_secrets(text, whole, examined);
    parameters(text, examined)
}

/// What separates the scheme of a URL from its host, plain or with escaped slashes.
const MARKS: [&str; 2] = ["://", ":\\/\\/"];

/// Reads a text forward once and counts the bytes that are looked at.
struct Scan<'a, 'n> {
    text: &'a str,
    examined: &'n mut usize,
}

impl<'a> Scan<'a, '_> {
    /// Returns where `byte` stands next.
    fn next(&mut self, from: usize, byte: u8) -> Option<usize> {
        let rest = self.text.as_bytes().get(from..)?;
        let found = rest.iter().position(|other| *other == byte);
        *self.examined += found.map_or(rest.len(), |at| at + 1);
        found.map(|at| from + at)
    }

    /// Returns where the first character that `ends` stands, or the end of the text.
    fn until(&mut self, from: usize, ends: impl Fn(char) -> bool) -> usize {
        let rest = self.text.get(from..).unwrap_or_default();
        let length = rest.find(ends).unwrap_or(rest.len());
        *self.examined += length;
        from + length
    }

    /// Returns a part that has been read already, to be looked at again.
    fn again(&mut self, from: usize, to: usize) -> &'a str {
        *self.examined += to - from;
        &self.text[from..to]
    }
}

fn without_url_secrets(text: &str, whole: bool, examined: &mut usize) -> String {
    let mut out = String::with_capacity(text.len());
    let mut scan = Scan { text, examined };
    // Everything before `copied` is in `out`.
    let (mut at, mut copied) = (0, 0);
    while let Some(colon) = scan.next(at, b':') {
        let Some(mark) = MARKS.iter().find(|mark| text[colon..].starts_with(**mark)) else {
            at = colon + 1;
            continue;
        };
        let start = colon + mark.len();
        let end = scan.until(start, ends_url);
        let url = scan.again(start, end);
        let cut = url.find(['?', '#']);
        let shown = cut.map_or(url, |cut| &url[..cut]);
        let host = match shown.find('/') {
            // Where the text was cut inside of it, this may be user info that has lost its `@`.
            None if !whole && cut.is_none() && end == text.len() => shown.len(),
            slash => shown[..slash.unwrap_or(shown.len())]
                .rfind('@')
                .map_or(0, |user| user + 1),
        };
        out.push_str(&text[copied..start]);
        out.push_str(&shown[host..]);
        // A query can hold any character that a careless writer put there, so only white space and markup end it.
        at = match cut {
            Some(cut) => scan.until(start + cut, ends_query),
            None => end,
        };
        copied = at;
    }
    out.push_str(&text[copied..]);
    out
}

/// Parameters whose values are credentials or signatures at one of the vendors or at their object stores.
const SECRET_PARAMETERS: &[&str] = &[
    "signature",
    "accesskeyid",
    "accesskeysecret",
    "securitytoken",
    "security-token",
    "access_token",
    "accesstoken",
    "refreshtoken",
    "signaturenonce",
];

fn parameters(text: String, examined: &mut usize) -> String {
    let mut out = String::new();
    let mut scan = Scan {
        text: &text,
        examined,
    };
    let (mut at, mut copied) = (0, 0);
    while let Some(equals) = scan.next(at, b'=') {
        let before = &text.as_bytes()[copied..equals];
        let secret = SECRET_PARAMETERS.iter().any(|name| {
            before
                .len()
                .checked_sub(name.len())
                .is_some_and(|start| before[start..].eq_ignore_ascii_case(name.as_bytes()))
        });
        at = equals + 1;
        if secret {
            out.push_str(&text[copied..at]);
            out.push_str("***");
            at = scan.until(at, ends_parameter);
            copied = at;
        }
    }
    if copied == 0 {
        return text;
    }
    out.push_str(&text[copied..]);
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

/// Secrets in every form in which a vendor's text may repeat them: plain and percent-encoded once or twice. It has no `Debug`.
pub struct Hidden(Vec<Zeroizing<String>>);

impl Hidden {
    /// Takes secrets. Shorter ones than four bytes are none, and replacing them would shred ordinary words.
    #[must_use]
    pub fn new<'a>(secrets: impl IntoIterator<Item = &'a str>) -> Self {
        let mut forms: Vec<Zeroizing<String>> = Vec::new();
        for secret in secrets.into_iter().filter(|secret| secret.len() >= 4) {
            let once = crate::encode::percent_encode(secret);
            let twice = crate::encode::percent_encode(&once);
            for form in [twice, once, secret.to_owned()] {
                if !forms.iter().any(|known| **known == form) {
                    forms.push(Zeroizing::new(form));
                }
            }
        }
        // Longer ones first: one that holds another one must not be changed before it has been found.
        forms.sort_by_key(|form| Reverse(form.len()));
        Self(forms)
    }

    /// Returns the length of the longest form, in bytes.
    fn longest(&self) -> usize {
        self.0.iter().map(|form| form.len()).max().unwrap_or(0)
    }

    /// Replaces every secret in a text, of any length; the work grows with the length.
    #[must_use]
    pub fn text(&self, mut text: String) -> String {
        for form in &self.0 {
            if text.contains(form.as_str()) {
                text = text.replace(form.as_str(), "***");
            }
        }
        text
    }

    /// Replaces every secret in every text inside `value`, names of members included.
    #[must_use]
    pub fn value(&self, value: Value) -> Value {
        match value {
            Value::String(text) => Value::String(self.text(text)),
            Value::Array(items) => {
                Value::Array(items.into_iter().map(|item| self.value(item)).collect())
            }
            Value::Object(members) => Value::Object(self.members(members)),
            other => other,
        }
    }

    /// As [`Hidden::value`], for the members of an object.
    #[must_use]
    pub fn members(&self, members: Map<String, Value>) -> Map<String, Value> {
        members
            .into_iter()
            .map(|(name, member)| (self.text(name), self.value(member)))
            .collect()
    }
}

/// Replaces every occurrence of each secret in `text`, plain and percent-encoded once or twice, and shortens the result to
/// `max_chars` characters. No more than [`MAX_READ_BYTES`] of the text are read.
#[must_use]
pub fn secrets<'a>(
    text: &str,
    secrets: impl IntoIterator<Item = &'a str>,
    max_chars: usize,
) -> String {
    let read = head(text);
    let whole = read.len() == text.len();
    let hidden = Hidden::new(secrets);
    let mut text = hidden.text(clean(read, whole, &mut 0));
    if !whole {
        // The cut may have left the first part of a secret at the end, which no comparison finds.
        let end = (0..=text.len().saturating_sub(hidden.longest()))
            .rev()
            .find(|at| text.is_char_boundary(*at));
        text.truncate(end.unwrap_or(0));
    }
    match text.char_indices().nth(max_chars) {
        Some((cut, _)) => format!("{}…", &text[..cut]),
        None if whole => text,
        None => format!("{text}…"),
    }
}

#[cfg(test)]
mod tests {
    use super::{Hidden, MAX_READ_BYTES, clean, secrets, urls, value};
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

    #[test]
    fn a_secret_that_holds_another_one_goes_as_a_whole() {
        for order in [["LTAI", "x-LTAI-y"], ["x-LTAI-y", "LTAI"]] {
            let text = "key x-LTAI-y of LTAI".to_owned();
            assert_eq!(Hidden::new(order).text(text), "key *** of ***");
        }
    }

    #[test]
    fn secrets_go_from_every_text_of_a_value() {
        let hidden = Hidden::new(["a/b+c", "token-1", "abc"]);
        let cleaned = hidden.value(json!({
            "k a/b+c": ["x a%2Fb%2Bc", {"d": "a%252Fb%252Bctoken-1", "n": 1}],
            "abc": "abc",
        }));
        let expected = json!({"k ***": ["x ***", {"d": "******", "n": 1}], "abc": "abc"});
        assert_eq!(cleaned, expected);
        // Far behind the length up to which errors are read.
        let long = hidden.text(format!("{}token-1", "字".repeat(1_000_000)));
        assert!(long.ends_with("字***"));
        let many = hidden.text("token-1".repeat(100_000));
        assert_eq!(many, "***".repeat(100_000));
    }

    /// Cleans a text and checks that no byte was looked at more than a few times.
    #[track_caller]
    fn check_work(text: &str) -> String {
        let mut examined = 0;
        let cleaned = clean(text, true, &mut examined);
        let most = 8 * text.len() + 64;
        assert!(examined <= most, "{examined} of {} bytes", text.len());
        cleaned
    }

    #[test]
    fn the_work_grows_with_the_length_only() {
        // Each of these took from seconds to minutes for a megabyte when a mark that is not there was searched from every place again.
        for part in [
            "a:// ",
            "signature=,",
            "a:\\/\\/ ",
            "://?://?",
            "https://a@",
            "=",
            ":",
            "securitytoken=;access_token=&",
            "http://h/?",
            "AccessKeyId=\"",
            "字://",
        ] {
            let text = part.repeat(1_000_000 / part.len());
            check_work(&text);
            let error = secrets(&text, ["s3cret/value"], 300);
            assert!(error.chars().count() <= 301);
        }
        let parts: Vec<String> = (0..100_000)
            .map(|n| format!("signature={n}, x://u{n}@h?q "))
            .collect();
        let cleaned = check_work(&parts.concat());
        assert_eq!(cleaned, "signature=***, x://h ".repeat(100_000));
    }

    #[test]
    fn a_long_text_is_cut_without_showing_a_half_of_anything_secret() {
        let secret = "s3cret/value+1=";
        for before in 0..30 {
            // Everything but the end is a query, which goes, so that what stands at the cut comes within the characters that are shown.
            let query = "q".repeat(MAX_READ_BYTES - 12 - before);
            let shown = secrets(
                &format!("http://h/?{query} {secret}{secret}"),
                [secret],
                300,
            );
            assert!(!shown.contains("s3c"), "{before}: {shown}");
            let shown = secrets(
                &format!("http://h/?{query} https://user:passw0rd-of-someone@h/x"),
                [],
                300,
            );
            assert!(!shown.contains("user"), "{before}: {shown}");
            assert!(shown.ends_with('…'));
        }
        assert_eq!(secrets(&"字".repeat(MAX_READ_BYTES), [], 2), "字字…");
    }

    proptest! {
        #[test]
        fn any_text_is_cleaned_in_one_pass(text in "([a-z:/?#@=,& \\\\\"{}|]|://|signature=|accesskeyid=|:\\\\/\\\\/|字){0,200}") {
            check_work(&text);
        }

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
