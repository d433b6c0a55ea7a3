//! The combinations of values that tasks have, and a place for what was read last of a provider.
//!
//! Tasks are many and their combinations few: a question is first asked of the combinations, in memory.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// The values that tasks are filtered and counted by.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Values {
    pub(crate) status: i64,
    pub(crate) stage: i64,
    pub(crate) failure: i64,
    pub(crate) product_id: String,
    pub(crate) from_version: String,
    pub(crate) to_version: String,
}

/// A combination and how many tasks of its provider have it.
#[derive(Clone, Debug)]
pub(crate) struct Combination {
    pub(crate) pk: i64,
    pub(crate) values: Values,
    pub(crate) numbers: Numbers,
}

/// How many tasks there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Numbers {
    pub(crate) present: i64,
    pub(crate) vanished: i64,
}

impl Numbers {
    /// Returns the number of those that a question covers, by its values of `gone`.
    pub(crate) fn covered(self, gone: &[i64]) -> i64 {
        let one = |gone: &i64| match gone {
            0 => self.present,
            _ => self.vanished,
        };
        gone.iter().map(one).sum()
    }
}

/// What was read last of each provider.
///
/// Every transaction that writes rows of a provider raises `writes` of that provider, so the same number means the same rows. Only transactions that
/// read fill it: what a writer sees may be rolled back.
#[derive(Debug)]
pub(crate) struct Cache<T> {
    known: Mutex<HashMap<i64, Known<T>>>,
}

#[derive(Debug)]
struct Known<T> {
    writes: i64,
    value: Arc<T>,
}

impl<T> Default for Cache<T> {
    fn default() -> Self {
        Self {
            known: Mutex::default(),
        }
    }
}

impl<T> Cache<T> {
    /// Returns what is known of a provider, if it is that of this number of writes.
    pub(crate) fn get(&self, source: i64, writes: i64) -> Option<Arc<T>> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let known = known.get(&source).filter(|known| known.writes == writes)?;
        Some(Arc::clone(&known.value))
    }

    /// Keeps what was read of a provider, unless something newer is there.
    pub(crate) fn put(&self, source: i64, writes: i64, value: &Arc<T>) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let is_older = known
            .get(&source)
            .is_some_and(|known| known.writes > writes);
        if !is_older {
            let value = Arc::clone(value);
            known.insert(source, Known { writes, value });
        }
    }

    /// Keeps nothing of a provider.
    pub(crate) fn forget(&self, source: i64) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.remove(&source);
    }
}
