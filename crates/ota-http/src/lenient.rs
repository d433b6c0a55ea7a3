//! Values that a vendor sends now as text, now as a number, now as null.
//!
//! Wire types use [`Leaf`] for every scalar and [`Rows`] for every list, so that no single value can make a row, and no
//! row can make a page, unreadable.

use serde::Deserialize;
use serde_json::Value;
use time::OffsetDateTime;

/// One scalar of a vendor's answer, whatever its JSON type.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(transparent)]
pub struct Leaf(pub Value);

impl Leaf {
    /// Returns whether the vendor left it out: absent, null, empty text, empty list or empty object.
    #[must_use]
    pub fn is_absent(&self) -> bool {
        match &self.0 {
            Value::Null => true,
            Value::String(text) => text.is_empty(),
            Value::Array(items) => items.is_empty(),
            Value::Object(members) => members.is_empty(),
            Value::Bool(_) | Value::Number(_) => false,
        }
    }

    /// Reads it as text; URLs lose user info and query. Numbers and booleans are written out.
    #[must_use]
    pub fn text(&self) -> Option<String> {
        match &self.0 {
            Value::String(text) if text.is_empty() => None,
            Value::String(text) => Some(crate::redact::urls(text)),
            Value::Number(number) => Some(number.to_string()),
            Value::Bool(flag) => Some(flag.to_string()),
            Value::Null | Value::Array(_) | Value::Object(_) => None,
        }
    }

    /// Reads it as a count: a non-negative whole number, or its text.
    #[must_use]
    pub fn count(&self) -> Option<u64> {
        match &self.0 {
            Value::Number(number) => number.as_u64().or_else(|| {
                // 2^53: above it a double no longer tells neighbours apart.
                number
                    .as_f64()
                    .filter(|n| n.fract() == 0.0 && (0.0..9_007_199_254_740_992.0).contains(n))
                    .map(|n| n as u64)
            }),
            Value::String(text) => text.trim().parse().ok(),
            Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
        }
    }

    /// Reads it as a finite number, or its text.
    #[must_use]
    pub fn number(&self) -> Option<f64> {
        match &self.0 {
            Value::Number(number) => number.as_f64(),
            Value::String(text) => text.trim().parse().ok(),
            Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
        }
        .filter(|number: &f64| number.is_finite())
    }

    /// Reads it as a boolean: `true`/`false`, also as text in any case.
    #[must_use]
    pub fn flag(&self) -> Option<bool> {
        match &self.0 {
            Value::Bool(flag) => Some(*flag),
            Value::String(text) if text.eq_ignore_ascii_case("true") => Some(true),
            Value::String(text) if text.eq_ignore_ascii_case("false") => Some(false),
            Value::Null
            | Value::String(_)
            | Value::Number(_)
            | Value::Array(_)
            | Value::Object(_) => None,
        }
    }

    /// Reads it as a time with the vendor's own parser.
    #[must_use]
    pub fn time(
        &self,
        parse: impl FnOnce(&str) -> Option<OffsetDateTime>,
    ) -> Option<OffsetDateTime> {
        match &self.0 {
            Value::String(text) => parse(text),
            Value::Null
            | Value::Bool(_)
            | Value::Number(_)
            | Value::Array(_)
            | Value::Object(_) => None,
        }
    }

    /// Returns the value as it may be shown verbatim: URLs without user info and query.
    #[must_use]
    pub fn verbatim(self) -> Value {
        crate::redact::value(self.0)
    }
}

/// A list of a vendor's answer: an array, one bare element, null or empty text.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rows<T>(pub Vec<T>);

impl<'de, T: serde::de::DeserializeOwned> Deserialize<'de> for Rows<T> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Value::deserialize(deserializer).map(Self::from)
    }
}

impl<T: serde::de::DeserializeOwned> From<Value> for Rows<T> {
    fn from(value: Value) -> Self {
        let items = match value {
            Value::Null => Vec::new(),
            Value::String(text) if text.trim().is_empty() => Vec::new(),
            Value::Array(items) => items,
            // How a vendor writes a list of nothing is not always documented.
            Value::Object(members) if members.is_empty() => Vec::new(),
            single => vec![single],
        };
        // An element of another shape is left out; wire rows are structs of leaves, so every object fits.
        Self(
            items
                .into_iter()
                .filter_map(|item| serde_json::from_value(item).ok())
                .collect(),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::{Leaf, Rows};
    use serde_json::{Value, json};

    #[test]
    fn numbers_come_as_text_too() {
        for (value, count) in [
            (json!(5), Some(5)),
            (json!("5"), Some(5)),
            (json!(5.0), Some(5)),
            (json!(5.5), None),
            (json!(-1), None),
            (json!("x"), None),
            (json!(null), None),
            (json!(1e300), None),
        ] {
            assert_eq!(Leaf(value.clone()).count(), count, "{value}");
        }
        assert_eq!(Leaf(json!("33.33")).number(), Some(33.33));
        assert_eq!(Leaf(json!("NaN")).number(), None);
        assert_eq!(Leaf(json!("True")).flag(), Some(true));
        assert_eq!(Leaf(json!(1440)).text().as_deref(), Some("1440"));
    }

    #[test]
    fn a_list_is_an_array_a_bare_element_or_nothing() {
        let rows = |value: Value| serde_json::from_value::<Rows<String>>(value).unwrap().0;
        assert_eq!(rows(json!(["a", "b"])), ["a", "b"]);
        assert_eq!(rows(json!("a")), ["a"]);
        assert!(rows(json!(null)).is_empty());
        assert!(rows(json!("")).is_empty());
        assert_eq!(rows(json!(["a", {"no": "text"}])), ["a"]);
    }
}
