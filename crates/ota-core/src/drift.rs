//! Drift: values, fields and pages of a vendor that are not in its documents.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// The kind of a deviation from the vendor's documents.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DriftKind {
    /// An unknown value of an enumeration.
    Word,
    /// An unknown field of a row.
    Field,
    /// A value that could not be read, such as a date in another form.
    Value,
    /// A page or a number that contradicts the request or the rest of the response.
    Page,
    /// A malformed text, number or name: bytes that are not UTF-8, a number that no type holds.
    Malformed,
}

impl DriftKind {
    /// Every kind.
    pub const ALL: [Self; 5] = [
        Self::Word,
        Self::Field,
        Self::Value,
        Self::Page,
        Self::Malformed,
    ];

    /// Returns the kind as a metric label.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Word => "word",
            Self::Field => "field",
            Self::Value => "value",
            Self::Page => "page",
            Self::Malformed => "malformed",
        }
    }
}

/// The maximum length of a field name that is stored or shown, in characters; documented names are far shorter.
const MAX_NAME_CHARS: usize = 64;

/// Returns the name of a field, shortened so that it can be stored and logged: unknown names can have any length.
#[must_use]
pub fn shown_name(field: &str) -> &str {
    let end = field.char_indices().nth(MAX_NAME_CHARS);
    end.map_or(field, |(end, _)| &field[..end])
}

/// Receives every unknown value, unknown field, unreadable value and unexpected page that an adapter finds.
pub trait DriftObserver: Send + Sync + std::fmt::Debug {
    /// Records one occurrence. `operation` is the vendor's operation and `field` the vendor's field; an unknown field
    /// arrives under its own name, so an implementation must bound the number of names it stores.
    fn observe(&self, kind: DriftKind, operation: &'static str, field: &str);
}

/// The key of a [`DriftCounter`]: kind, operation and field.
pub type DriftKey = (DriftKind, &'static str, String);

/// Counts drift by kind, operation and field.
#[derive(Debug, Default)]
pub struct DriftCounter(Mutex<BTreeMap<DriftKey, u64>>);

impl DriftCounter {
    /// Maximum number of different fields; further ones are counted under `(other)`.
    pub const MAX_KEYS: usize = 256;

    /// Returns the counts so far.
    #[must_use]
    pub fn snapshot(&self) -> BTreeMap<DriftKey, u64> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Counts one occurrence and returns the number of occurrences so far, including this one.
    pub fn count(&self, kind: DriftKind, operation: &'static str, field: &str) -> u64 {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut key = (kind, operation, shown_name(field).to_owned());
        if counts.len() >= Self::MAX_KEYS && !counts.contains_key(&key) {
            key.2 = "(other)".to_owned();
        }
        let count = counts.entry(key).or_default();
        *count += 1;
        *count
    }
}

impl DriftObserver for DriftCounter {
    fn observe(&self, kind: DriftKind, operation: &'static str, field: &str) {
        self.count(kind, operation, field);
    }
}

#[cfg(test)]
mod tests {
    use super::{DriftCounter, DriftKind};

    #[test]
    fn names_are_bounded_in_number_and_length() {
        let counter = DriftCounter::default();
        for number in 0..1000 {
            let name = format!("{number}{}", "字".repeat(100_000));
            counter.count(DriftKind::Field, "List", &name);
        }
        let counts = counter.snapshot();
        assert!(counts.len() <= DriftCounter::MAX_KEYS + 1);
        assert_eq!(counts.values().sum::<u64>(), 1000);
        assert!(counts.keys().all(|(_, _, name)| name.chars().count() <= 64));
    }
}
