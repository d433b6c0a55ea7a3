//! Values that a vendor sends sometimes as text, sometimes as a number, sometimes as null.
//!
//! Wire types use [`LenientScalar`] for every scalar, [`LenientList`] for every list and [`LenientObject`] for every nested object, so that no single
//! value can make a row, and no row can make a page, unreadable.

use ota_http::redact;
use serde::Deserialize;
use serde_json::Value;

/// One scalar of a vendor's response, of any JSON type.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(transparent)]
pub struct LenientScalar(pub Value);

impl LenientScalar {
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
            Value::String(text) => Some(redact::urls(text)),
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

    /// Reads it as an identifier, verbatim. A number is written out; nothing else is one.
    #[must_use]
    pub fn identifier(&self) -> Option<String> {
        match &self.0 {
            Value::String(text) if text.is_empty() => None,
            Value::String(text) => Some(text.clone()),
            Value::Number(number) => Some(number.to_string()),
            Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
        }
    }

    /// Returns it unchanged if it is text.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        self.0.as_str()
    }

    /// Returns the value as it may be shown verbatim: URLs without user info and query.
    #[must_use]
    pub fn verbatim(self) -> Value {
        redact::value(self.0)
    }
}

/// A list of a vendor's answer: an array, one bare element, null or empty text.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LenientList<T>(pub Vec<T>);

impl<'de, T: serde::de::DeserializeOwned> Deserialize<'de> for LenientList<T> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Value::deserialize(deserializer).map(Self::from)
    }
}

impl<T: serde::de::DeserializeOwned> From<Value> for LenientList<T> {
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

/// A nested object of a vendor's response, or another value in its place. `null` in place of a documented object loses the object only, never the row.
#[derive(Clone, Debug, PartialEq)]
pub enum LenientObject<T> {
    /// The object.
    Object(T),
    /// Anything else; `null` when it was left out.
    Other(Value),
}

impl<'de, T: serde::de::DeserializeOwned> Deserialize<'de> for LenientObject<T> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        // A list is none, although serde would read a structure from one, field by field.
        let object = match value.is_object() {
            true => serde_json::from_value(value.clone()).ok(),
            false => None,
        };
        Ok(object.map_or(Self::Other(value), Self::Object))
    }
}

impl<T> Default for LenientObject<T> {
    fn default() -> Self {
        Self::Other(Value::Null)
    }
}

#[cfg(test)]
mod tests {
    use super::{LenientList, LenientScalar};
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
            assert_eq!(LenientScalar(value.clone()).count(), count, "{value}");
        }
        assert_eq!(LenientScalar(json!("33.33")).number(), Some(33.33));
        assert_eq!(LenientScalar(json!("NaN")).number(), None);
        assert_eq!(LenientScalar(json!("True")).flag(), Some(true));
        assert_eq!(LenientScalar(json!(1440)).text().as_deref(), Some("1440"));
    }

    #[test]
    fn a_list_is_an_array_a_bare_element_or_nothing() {
        let rows = |value: Value| {
            serde_json::from_value::<LenientList<String>>(value)
                .unwrap()
                .0
        };
        assert_eq!(rows(json!(["a", "b"])), ["a", "b"]);
        assert_eq!(rows(json!("a")), ["a"]);
        assert!(rows(json!(null)).is_empty());
        assert!(rows(json!("")).is_empty());
        assert_eq!(rows(json!(["a", {"no": "text"}])), ["a"]);
    }
}
