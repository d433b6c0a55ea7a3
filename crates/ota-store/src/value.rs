//! What goes into the database and comes out of it: integers and texts, nothing else, so that both engines agree.
//!
//! A value that is not there is stored as a value of its own, -1 or the empty text, not as NULL: both engines then order it alike, and an index finds it.

use sha2::{Digest, Sha256};
use time::OffsetDateTime;

use crate::error::{Result, StoreError};

/// What is stored for a time or a number that is not there.
pub(crate) const NONE: i64 = -1;

/// The longest text of a column that is in an index, in bytes; PostgreSQL refuses index entries of more than 2,700.
const MAX_KEY: usize = 400;

/// A parameter or a column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Value {
    Null,
    Int(i64),
    Text(String),
    /// Only a parameter: a list, for one statement about many rows.
    Ints(Vec<i64>),
    /// As `Ints`.
    Texts(Vec<String>),
}

/// Returns the columns of rows as lists. The rows are alike, and have integers and texts only.
pub(crate) fn transposed(rows: Vec<Vec<Value>>) -> Vec<Value> {
    let mut columns = Vec::new();
    for row in rows {
        for (place, value) in row.into_iter().enumerate() {
            match (columns.get_mut(place), value) {
                (Some(Value::Ints(column)), Value::Int(number)) => column.push(number),
                (Some(Value::Texts(column)), Value::Text(text)) => column.push(text),
                (None, Value::Int(number)) => columns.push(Value::Ints(vec![number])),
                (None, Value::Text(text)) => columns.push(Value::Texts(vec![text])),
                (_, value) => columns.push(value),
            }
        }
    }
    columns
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::Int(number)
    }
}

impl From<bool> for Value {
    fn from(is: bool) -> Self {
        Self::Int(i64::from(is))
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

/// Makes the parameters of a statement.
macro_rules! params {
    ($($value:expr),* $(,)?) => { [$($crate::value::Value::from($value)),*] };
}

/// Makes the parameters of one of many runs of a statement.
macro_rules! run_params {
    ($($value:expr),* $(,)?) => { vec![$($crate::value::Value::from($value)),*] };
}

pub(crate) use {params, run_params};

/// A row of an answer.
#[derive(Clone, Debug)]
pub(crate) struct Row(pub(crate) Vec<Value>);

impl Row {
    /// Returns an integer; 0 where there is none.
    pub(crate) fn int(&self, column: usize) -> i64 {
        match self.0.get(column) {
            Some(Value::Int(number)) => *number,
            _ => 0,
        }
    }

    /// Returns a text; the empty one where there is none.
    pub(crate) fn text(&self, column: usize) -> &str {
        match self.0.get(column) {
            Some(Value::Text(text)) => text,
            _ => "",
        }
    }

    /// Takes a text out.
    pub(crate) fn take(&mut self, column: usize) -> String {
        match self.0.get_mut(column) {
            Some(Value::Text(text)) => std::mem::take(text),
            _ => String::new(),
        }
    }

    /// Takes a text out; none for the empty one.
    pub(crate) fn take_optional(&mut self, column: usize) -> Option<String> {
        Some(self.take(column)).filter(|text| !text.is_empty())
    }

    /// Returns a time.
    ///
    /// # Errors
    /// The column holds none, or one that this program cannot express: the file was damaged.
    pub(crate) fn time(&self, column: usize) -> Result<OffsetDateTime> {
        self.optional_time(column)?
            .ok_or_else(|| damaged("a time is missing"))
    }

    /// Returns a time that may be missing.
    ///
    /// # Errors
    /// As [`Row::time`].
    pub(crate) fn optional_time(&self, column: usize) -> Result<Option<OffsetDateTime>> {
        match self.int(column) {
            NONE => Ok(None),
            millis => OffsetDateTime::from_unix_timestamp_nanos(i128::from(millis) * 1_000_000)
                .map(Some)
                .map_err(|_| damaged("a time is out of range")),
        }
    }

    /// Returns a count that may be missing.
    pub(crate) fn optional_count(&self, column: usize) -> Option<u64> {
        u64::try_from(self.int(column)).ok()
    }

    /// Returns a count.
    pub(crate) fn count(&self, column: usize) -> u64 {
        self.optional_count(column).unwrap_or_default()
    }
}

/// The error of a database that holds what this program never writes.
pub(crate) fn damaged(what: &str) -> StoreError {
    StoreError::Unavailable {
        message: format!(
            "the database of the mirror is damaged: {what}; restore a backup or move it away"
        ),
    }
}

/// Returns milliseconds since 1970. Earlier times are 1970: -1 means that there is none.
pub(crate) fn millis(time: OffsetDateTime) -> i64 {
    i64::try_from(time.unix_timestamp_nanos().div_euclid(1_000_000))
        .unwrap_or(i64::MAX)
        .max(0)
}

/// The longest that a call that was sent first is written after one that was sent later: a page waits for its answer, its repetitions and the database.
const MOST_BEHIND: i64 = 15 * 60 * 1000;

/// Whether what is stored is of a later call than one that was sent at this time. A time that is much later was written while a clock ran ahead: believing it
/// would keep every answer out until that time comes.
pub(crate) fn is_newer(stored: i64, sent: i64) -> bool {
    (sent + 1..=sent.saturating_add(MOST_BEHIND)).contains(&stored)
}

/// Returns milliseconds since 1970, or what stands for none.
pub(crate) fn optional_millis(time: Option<OffsetDateTime>) -> i64 {
    time.map_or(NONE, millis)
}

/// Returns a count as it is stored.
pub(crate) fn count(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// Returns a count that may be missing as it is stored.
pub(crate) fn optional_count(number: Option<u64>) -> i64 {
    number.map_or(NONE, count)
}

/// Returns a text that both engines take: PostgreSQL has no NUL in texts.
pub(crate) fn plain(text: &str) -> String {
    match text.contains('\0') {
        true => text.replace('\0', "\u{fffd}"),
        false => text.to_owned(),
    }
}

/// Returns a text for a column with an index. A very long one is cut and gets its hash, so that different ones stay different.
pub(crate) fn key(text: &str) -> String {
    if text.len() <= MAX_KEY {
        return plain(text);
    }
    let mut hash = String::with_capacity(64);
    for byte in Sha256::digest(text.as_bytes()) {
        hash.push_str(&format!("{byte:02x}"));
    }
    let mut end = MAX_KEY - 80;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}…{hash}", plain(&text[..end]))
}

/// Returns a text that may be missing, for a column with an index.
pub(crate) fn optional_key(text: Option<&str>) -> String {
    text.map(key).unwrap_or_default()
}

/// Returns the text that substrings are looked for in: without case, each part on a line of its own.
pub(crate) fn search_text(parts: &[Option<&str>]) -> String {
    let mut text = String::new();
    for part in parts.iter().flatten() {
        if !text.is_empty() {
            text.push('\n');
        }
        text.push_str(&plain(part).to_lowercase());
    }
    text
}

/// Returns the pattern of `LIKE … ESCAPE '\'` that finds a text as a part.
pub(crate) fn like(text: &str) -> String {
    let mut pattern = String::from("%");
    for c in plain(text).to_lowercase().chars() {
        if matches!(c, '%' | '_' | '\\') {
            pattern.push('\\');
        }
        pattern.push(c);
    }
    pattern.push('%');
    pattern
}

#[cfg(test)]
mod tests {
    use super::{Row, Value, key, like, millis, search_text};

    #[test]
    fn long_keys_are_cut_and_stay_different() {
        let long = "设".repeat(500);
        let other = format!("{}x", "设".repeat(499));
        assert!(key(&long).len() <= super::MAX_KEY);
        assert_ne!(key(&long), key(&other));
        assert_eq!(key("device-1"), "device-1");
        assert_eq!(key("a\0b"), "a\u{fffd}b");
    }

    #[test]
    fn patterns_take_every_character_as_text() {
        assert_eq!(like("50%_\\X"), "%50\\%\\_\\\\x%");
        assert_eq!(search_text(&[Some("Ä"), None, Some("B\0")]), "ä\nb\u{fffd}");
    }

    #[test]
    fn times_survive() {
        let time = time::macros::datetime!(2026-08-01 10:00:00.123 UTC);
        let row = Row(vec![Value::Int(millis(time)), Value::Int(-1)]);
        assert_eq!(row.time(0), Ok(time));
        assert_eq!(row.optional_time(1), Ok(None));
        assert!(row.time(1).is_err());
        let old = time::macros::datetime!(1960-01-01 0:00 UTC);
        assert_eq!(millis(old), 0);
    }
}
