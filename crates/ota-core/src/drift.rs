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
}

impl DriftKind {
    /// Every kind.
    pub const ALL: [Self; 4] = [Self::Word, Self::Field, Self::Value, Self::Page];

    /// Returns the kind as a metric label.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Word => "word",
            Self::Field => "field",
            Self::Value => "value",
            Self::Page => "page",
        }
    }
}

/// Is told about every unknown word, unknown field, unreadable value and page that differs which an adapter meets.
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
    /// How many different fields are told apart; further ones are counted under `(other)`.
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
        let mut key = (kind, operation, field.to_owned());
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
