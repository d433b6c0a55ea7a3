//! The names and values of a query: every name is known, every value is checked, and a mistake is named.

use std::borrow::Cow;
use std::collections::HashSet;
use std::str::FromStr;

use ota_core::nearest::nearest;

use crate::problem::Failure;

/// The largest query, in bytes.
const MAX_BYTES: usize = 16 * 1024;

/// The longest single value, in characters.
pub const MAX_VALUE_CHARS: usize = 512;

/// Maximum number of values of a list parameter, repeats included.
pub const MAX_LIST: usize = 100;

/// The pattern of a value in the document: no control characters.
pub const VALUE_PATTERN: &str = r"^[^\u0000-\u001f\u007f-\u009f]+$";

/// Values of `outcome`, which clients often try in `status`.
const OUTCOMES: &[&str] = &["succeeded", "failed", "partial"];

/// The largest page.
pub const MAX_PAGE_SIZE: u32 = 100;

/// The page size when none is given.
pub const DEFAULT_PAGE_SIZE: u32 = 50;

/// The names and values of one query, decoded.
#[derive(Debug, Default)]
pub struct QueryPairs {
    pairs: Vec<(String, String)>,
}

impl QueryPairs {
    /// Reads a query string in which only `known` names are allowed.
    ///
    /// # Errors
    /// `invalid_argument` for an unknown name (naming the nearest known one), broken percent-encoding, or text that is not UTF-8.
    pub fn parse(query: Option<&str>, known: &[&str]) -> Result<Self, Failure> {
        let query = query.unwrap_or("");
        if query.len() > MAX_BYTES {
            return Err(Failure::invalid(
                "query",
                format!("the query is longer than {MAX_BYTES} bytes"),
            ));
        }
        let mut pairs = Vec::new();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let name = decode(name).ok_or_else(|| {
                Failure::invalid(
                    "query",
                    "the name of a query parameter is not valid percent-encoded UTF-8",
                )
            })?;
            if !known.contains(&name.as_str()) {
                return Err(unknown(&name, known));
            }
            let value = decode(value).ok_or_else(|| {
                Failure::invalid(
                    name.as_str(),
                    format!("the value of `{name}` is not valid percent-encoded UTF-8"),
                )
            })?;
            pairs.push((name, value));
        }
        Ok(Self { pairs })
    }

    /// Returns the value of a parameter that may be given once.
    ///
    /// # Errors
    /// `invalid_argument` if it is given twice, or if its value is empty, too long or has control characters.
    pub fn one(&self, name: &str) -> Result<Option<&str>, Failure> {
        self.unchecked(name)?
            .map(|value| checked(name, value, MAX_VALUE_CHARS))
            .transpose()
    }

    /// Returns the values of a parameter that may be repeated or hold a comma list; none twice, in the order given.
    ///
    /// # Errors
    /// As [`QueryPairs::one`], for each value, and when there are more than [`MAX_LIST`] of them.
    pub fn list(&self, name: &str) -> Result<Vec<&str>, Failure> {
        let values = self.values(name).flat_map(|value| value.split(','));
        let values = values.map(str::trim);
        let is_list = (2..=MAX_LIST).contains(&values.clone().count());
        if is_list && values.clone().any(str::is_empty) {
            return Err(Failure::invalid(
                name,
                format!("the list of `{name}` has an empty value; leave it out, with its comma"),
            ));
        }
        distinct(name, values, MAX_LIST)
    }

    /// Returns how many values [`QueryPairs::list`] is given, with those that are there twice.
    #[must_use]
    pub fn list_len(&self, name: &str) -> usize {
        self.values(name)
            .map(|value| value.split(',').count())
            .sum()
    }

    /// Returns the values of a parameter that may be repeated and whose values may hold commas; none twice, in the order given.
    ///
    /// # Errors
    /// As [`QueryPairs::one`], and if it is given more than `most` times: repeats count, as in the document's `maxItems`.
    pub fn repeated(&self, name: &str, most: usize) -> Result<Vec<&str>, Failure> {
        distinct(name, self.values(name), most)
    }

    /// Returns the values of an enumeration.
    ///
    /// # Errors
    /// `invalid_argument` for a value that is not in `all`; the error lists them.
    pub fn words<T: FromStr + ToString + Copy>(
        &self,
        name: &str,
        all: &[T],
    ) -> Result<Vec<T>, Failure> {
        self.list(name)?
            .into_iter()
            .map(|value| word(name, value, all))
            .collect()
    }

    /// Returns a value that may be given once, without a check of its content.
    ///
    /// # Errors
    /// `invalid_argument` if it is given twice.
    pub fn unchecked(&self, name: &str) -> Result<Option<&str>, Failure> {
        let mut values = self.values(name);
        let first = values.next();
        if values.next().is_some() {
            return Err(Failure::invalid(
                name,
                format!("`{name}` is given more than once"),
            ));
        }
        Ok(first)
    }

    fn values<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a str> + Clone + use<'a> {
        let name = name.to_owned();
        self.pairs
            .iter()
            .filter(move |(of, _)| *of == name)
            .map(|(_, value)| value.as_str())
    }
}

/// Checks values, of which there are at most `most`, and leaves out those that came before.
fn distinct<'a>(
    name: &str,
    values: impl Iterator<Item = &'a str> + Clone,
    most: usize,
) -> Result<Vec<&'a str>, Failure> {
    let count = values.clone().count();
    if count > most {
        return Err(Failure::invalid(
            name,
            format!("`{name}` is given {count} times; at most {most} are allowed"),
        ));
    }
    let (mut all, mut seen) = (Vec::new(), HashSet::new());
    for value in values {
        let value = checked(name, value, MAX_VALUE_CHARS)?;
        if seen.insert(value) {
            all.push(value);
        }
    }
    Ok(all)
}

fn decode(text: &str) -> Option<String> {
    let text = text.replace('+', " ");
    let mut rest = text.as_str();
    // The decoder returns a malformed escape unchanged; it is refused instead, so that the client notices.
    while let Some(at) = rest.find('%') {
        let digits = rest.get(at + 1..at + 3)?;
        if !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
            return None;
        }
        rest = &rest[at + 3..];
    }
    percent_decode(&text)
}

fn percent_decode(text: &str) -> Option<String> {
    ota_http::encode::percent_decode(text).map(Cow::into_owned)
}

fn checked<'a>(name: &str, value: &'a str, most: usize) -> Result<&'a str, Failure> {
    if value.is_empty() {
        return Err(Failure::invalid(
            name,
            format!("`{name}` is empty; give a value or leave it out"),
        ));
    }
    if value.chars().count() > most {
        return Err(Failure::invalid(
            name,
            format!("a value of `{name}` is longer than {most} characters"),
        ));
    }
    if value.chars().any(char::is_control) {
        return Err(Failure::invalid(
            name,
            format!("a value of `{name}` has control characters"),
        ));
    }
    Ok(value)
}

/// Reads a value of an enumeration.
///
/// # Errors
/// `invalid_argument` for a value that is not in `all`; the error lists them.
pub fn word<T: FromStr + ToString + Copy>(
    name: &str,
    value: &str,
    all: &[T],
) -> Result<T, Failure> {
    value.parse().map_err(|_| {
        let words: Vec<String> = all.iter().map(ToString::to_string).collect();
        unknown_word(name, value, &words)
    })
}

/// Creates the refusal of a value that is none of these words.
#[must_use]
pub fn unknown_word(name: &str, value: &str, words: &[String]) -> Failure {
    let (advice, then) = match (name, value.to_lowercase()) {
        ("status", word) if !words.contains(&word) && OUTCOMES.contains(&word.as_str()) => {
            (format!("; how a job ended is `outcome={word}`"), "; use")
        }
        // A question ends with its own mark.
        (_, word) if words.contains(&word) => (format!("; did you mean `{word}`?"), " Use"),
        _ => (String::new(), "; use"),
    };
    Failure::invalid(
        name,
        format!(
            "`{}` is not a value of `{name}`{advice}{then} {}",
            shown(value),
            words.join(", ")
        ),
    )
}

fn unknown(name: &str, known: &[&str]) -> Failure {
    let shown = shown(name);
    let paged = known.contains(&"cursor");
    let detail = match name.to_lowercase().as_str() {
        "page" | "page_no" | "pageno" | "offset" | "skip" | "start" if paged => {
            return Failure::invalid(
                shown,
                "there are no page numbers; pass the `next_cursor` of the previous page as `cursor`",
            );
        }
        "limit" | "per_page" | "size" | "count" | "max" if paged => Some("page_size"),
        _ => nearest(name, known),
    };
    let detail = match detail {
        Some(nearest) => {
            format!("there is no query parameter `{shown}`; did you mean `{nearest}`?")
        }
        None if known.is_empty() => {
            format!("there is no query parameter `{shown}`; this path has none")
        }
        None => format!(
            "there is no query parameter `{shown}`; this path has {}",
            known.join(", ")
        ),
    };
    Failure::invalid(shown, detail)
}

/// Shortens a value of the request before it is shown in a problem.
fn shown(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(60).collect()
}

#[cfg(test)]
mod tests {
    use super::{MAX_LIST, QueryPairs, VALUE_PATTERN};
    use ota_core::job::JobStatus;
    use proptest::prelude::*;

    const KNOWN: &[&str] = &["page_size", "cursor", "status", "device_name", "product_id"];

    fn parse(query: &str) -> QueryPairs {
        QueryPairs::parse(Some(query), KNOWN).unwrap()
    }

    #[test]
    fn a_list_has_a_bounded_number_of_values() {
        let words = |count: usize| {
            let words: Vec<String> = (0..count).map(|number| format!("w{number}")).collect();
            format!("status={}", words.join(","))
        };
        let query = parse(&words(MAX_LIST));
        assert_eq!(query.list("status").unwrap().len(), MAX_LIST);
        for query in [
            words(MAX_LIST + 1),
            words(2000),
            "status=a&".repeat(MAX_LIST + 1),
            format!("status={}", "a,".repeat(4000)),
        ] {
            let failure = parse(&query).list("status").unwrap_err();
            assert!(failure.detail.contains("at most 100"), "{}", failure.detail);
        }
        let query = parse("status=b,a,b&status=a");
        assert_eq!(query.list("status").unwrap(), ["b", "a"]);
    }

    #[test]
    fn an_unknown_name_is_answered_with_the_nearest_known_one() {
        for (query, nearest) in [
            ("pagesize=1", "page_size"),
            ("Status=x", "status"),
            ("deviceName=x", "device_name"),
        ] {
            let failure = QueryPairs::parse(Some(query), KNOWN).unwrap_err();
            assert!(
                failure
                    .detail
                    .contains(&format!("did you mean `{nearest}`")),
                "{}",
                failure.detail
            );
        }
        let failure = QueryPairs::parse(Some("zzz=1"), KNOWN).unwrap_err();
        assert!(
            failure.detail.contains("this path has page_size, cursor"),
            "{}",
            failure.detail
        );
    }

    #[test]
    fn words_come_repeated_or_as_a_comma_list() {
        let words = |query: &str| parse(query).words("status", JobStatus::ALL).unwrap();
        assert_eq!(
            words("status=pending,completed&status=pending"),
            [JobStatus::Pending, JobStatus::Completed]
        );
        let failure = parse("status=done")
            .words("status", JobStatus::ALL)
            .unwrap_err();
        assert!(failure.detail.contains("in_progress"), "{}", failure.detail);
        assert!(parse("status=").words("status", JobStatus::ALL).is_err());
    }

    #[test]
    fn an_empty_value_of_a_list_is_told_from_an_empty_parameter() {
        let detail = |query: &str| parse(query).list("status").unwrap_err().detail;
        for query in ["status=a,", "status=,a", "status=a,,b", "status=a&status="] {
            let detail = detail(query);
            assert!(detail.contains("has an empty value"), "{query}: {detail}");
        }
        assert!(detail("status=").starts_with("`status` is empty"));
    }

    #[test]
    fn advice_for_a_word_is_whole_sentences() {
        let detail = |query: &str| {
            let failure = parse(query).words("status", JobStatus::ALL).unwrap_err();
            failure.detail
        };
        let asked = detail("status=In_Progress");
        assert!(
            asked.contains("did you mean `in_progress`? Use "),
            "{asked}"
        );
        let unknown = detail("status=nope");
        assert!(unknown.contains("of `status`; use "), "{unknown}");
    }

    #[test]
    fn repeats_count_but_come_once() {
        let query = parse("device_name=a&device_name=b,c&device_name=a");
        assert_eq!(query.repeated("device_name", 3).unwrap(), ["a", "b,c"]);
        assert!(query.repeated("device_name", 2).is_err());
    }

    #[test]
    fn encoding_is_checked() {
        assert_eq!(
            parse("product_id=a%2Fb+c").one("product_id").unwrap(),
            Some("a/b c")
        );
        for query in ["product_id=%", "product_id=%zz", "product_id=%ff", "%ff=1"] {
            assert!(QueryPairs::parse(Some(query), KNOWN).is_err(), "{query}");
        }
        assert!(parse("product_id=a%00b").one("product_id").is_err());
    }

    #[test]
    fn the_documented_pattern_leaves_out_what_is_refused() {
        assert_eq!(VALUE_PATTERN, r"^[^\u0000-\u001f\u007f-\u009f]+$");
        let left_out = |c| matches!(c, '\u{0}'..='\u{1f}' | '\u{7f}'..='\u{9f}');
        for c in '\0'..=char::MAX {
            assert_eq!(c.is_control(), left_out(c), "{c:?}");
        }
        for c in '\0'..='\u{ff}' {
            let value = ota_http::encode::percent_encode(&c.to_string());
            let query = parse(&format!("product_id={value}"));
            assert_eq!(query.one("product_id").is_err(), left_out(c), "{c:?}");
        }
    }

    proptest! {
        #[test]
        fn no_query_panics(query in ".{0,200}") {
            if let Ok(query) = QueryPairs::parse(Some(&query), KNOWN) {
                let _ = (query.one("page_size"), query.list("status"), query.unchecked("cursor"));
            }
        }
    }
}
