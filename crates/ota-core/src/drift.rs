//! Seeing a vendor change: words and fields that this version does not know.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// What was met that is not in the vendor's documents.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DriftKind {
    /// A word of an enumeration.
    Word,
    /// A field of a row.
    Field,
    /// A value that could not be read, such as a date in another form.
    Value,
    /// A page or a number that does not fit what was asked for or what came with it.
    Page,
    /// A text, number or name that is not as its format wants it: bytes that are not UTF-8, a number that no type holds.
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

/// The longest name of a field that is kept or shown, in characters; documented ones are far shorter.
const MAX_NAME_CHARS: usize = 64;

/// Returns the name of a field as it may be kept and logged: a vendor that invents names may invent long ones.
#[must_use]
pub fn shown_name(field: &str) -> &str {
    let end = field.char_indices().nth(MAX_NAME_CHARS);
    end.map_or(field, |(end, _)| &field[..end])
}

/// Receives every unknown value, unknown field, unreadable value and unexpected page that an adapter finds.
pub trait DriftObserver: Send + Sync + std::fmt::Debug {
    /// Notes one meeting. `operation` is the vendor's operation and `field` the vendor's field; a field that the vendor
    /// invented arrives under its own name, so an implementation must bound how many names it keeps.
    fn observe(&self, kind: DriftKind, operation: &'static str, field: &str);
}

/// One line of a [`DriftCounter`]: what was met, in which operation, in which field.
pub type DriftKey = (DriftKind, &'static str, String);

/// Counts drift by kind, operation and field.
#[derive(Debug, Default)]
pub struct DriftCounter(Mutex<BTreeMap<DriftKey, u64>>);

impl DriftCounter {
    /// How many different fields are distinguished; further ones are counted under `(other)`.
    pub const MAX_KEYS: usize = 256;

    /// Returns the counts so far.
    #[must_use]
    pub fn snapshot(&self) -> BTreeMap<DriftKey, u64> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Counts one meeting and returns how often this was met, this time included.
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
