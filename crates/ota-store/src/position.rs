//! The position of a row in a sort order: what a page goes on after.

use std::cmp::Ordering;

use crate::error::{Result, StoreError};
use crate::value::{NONE, Value};

/// The value that a list is sorted by.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum SortValue {
    Number(i64),
    Text(String),
}

impl SortValue {
    /// Whether the row has no such value, so that it comes last.
    pub(crate) fn is_none(&self) -> bool {
        match self {
            Self::Number(number) => *number == NONE,
            Self::Text(text) => text.is_empty(),
        }
    }

    pub(crate) fn into_value(self) -> Value {
        match self {
            Self::Number(number) => Value::Int(number),
            Self::Text(text) => Value::Text(text),
        }
    }
}

/// Where a row is: by its value, then its provider, then its number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Position {
    pub(crate) value: SortValue,
    pub(crate) source: i64,
    pub(crate) pk: i64,
}

impl Position {
    /// Compares two rows of a list.
    pub(crate) fn order(&self, other: &Self, descending: bool) -> Ordering {
        let missing = self.value.is_none().cmp(&other.value.is_none());
        let rest = (&self.value, self.source, self.pk).cmp(&(&other.value, other.source, other.pk));
        missing.then(if descending { rest.reverse() } else { rest })
    }

    /// Returns it as printable ASCII.
    pub(crate) fn to_text(&self) -> String {
        let value = match &self.value {
            SortValue::Number(number) => format!("n{number}"),
            SortValue::Text(text) => {
                let hex: String = text.bytes().map(|byte| format!("{byte:02x}")).collect();
                format!("t{hex}")
            }
        };
        format!("{value}.{}.{}", self.source, self.pk)
    }

    /// Reads what [`Position::to_text`] wrote.
    ///
    /// # Errors
    /// It is something else.
    pub(crate) fn from_text(text: &str) -> Result<Self> {
        Self::read(text).ok_or(StoreError::Position)
    }

    fn read(text: &str) -> Option<Self> {
        let mut parts = text.split('.');
        let (value, source, pk) = (parts.next()?, parts.next()?, parts.next()?);
        if parts.next().is_some() {
            return None;
        }
        let value = match value.split_at_checked(1)? {
            ("n", number) => SortValue::Number(number.parse().ok()?),
            ("t", hex) => SortValue::Text(from_hex(hex)?),
            _ => return None,
        };
        Some(Self {
            value,
            source: source.parse().ok()?,
            pk: pk.parse().ok()?,
        })
    }
}

fn from_hex(hex: &str) -> Option<String> {
    if !hex.is_ascii() || !hex.len().is_multiple_of(2) {
        return None;
    }
    let bytes = (0..hex.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&hex[at..at + 2], 16).ok())
        .collect::<Option<Vec<_>>>()?;
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::{Position, SortValue};
    use std::cmp::Ordering;

    fn at(value: SortValue, source: i64, pk: i64) -> Position {
        Position { value, source, pk }
    }

    #[test]
    fn text_is_read_again() {
        for value in [
            SortValue::Number(-1),
            SortValue::Number(i64::MAX),
            SortValue::Text("设备.1".to_owned()),
            SortValue::Text(String::new()),
        ] {
            let position = at(value, 3, 9);
            let text = position.to_text();
            assert!(text.bytes().all(|byte| byte.is_ascii_graphic()), "{text}");
            assert_eq!(Position::from_text(&text), Ok(position));
        }
        for text in [
            "", "n1", "n1.2", "n1.2.3.4", "x1.2.3", "t1.2.3", "tzz.1.2", "é.1.2",
        ] {
            assert!(Position::from_text(text).is_err(), "{text}");
        }
    }

    #[test]
    fn what_has_no_value_comes_last_in_both_directions() {
        let (none, one) = (
            at(SortValue::Number(-1), 1, 1),
            at(SortValue::Number(1), 1, 1),
        );
        assert_eq!(none.order(&one, false), Ordering::Greater);
        assert_eq!(none.order(&one, true), Ordering::Greater);
        let later = at(SortValue::Number(1), 1, 2);
        assert_eq!(one.order(&later, false), Ordering::Less);
        assert_eq!(one.order(&later, true), Ordering::Greater);
    }
}
