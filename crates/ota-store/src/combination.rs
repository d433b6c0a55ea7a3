//! The combinations of values that tasks have, and the ones that were read last.
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

/// The combinations of each provider as they were read last.
///
/// Every transaction that writes rows of a provider raises `writes` of that provider, so the same number means the same combinations. Only transactions that
/// read fill it: what a writer sees may be rolled back.
#[derive(Debug, Default)]
pub(crate) struct Cache {
    known: Mutex<HashMap<i64, Known>>,
}

#[derive(Debug)]
struct Known {
    writes: i64,
    combinations: Arc<Vec<Combination>>,
}

impl Cache {
    /// Returns the combinations of a provider, if they are those of this number of writes.
    pub(crate) fn get(&self, source: i64, writes: i64) -> Option<Arc<Vec<Combination>>> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let known = known.get(&source).filter(|known| known.writes == writes)?;
        Some(Arc::clone(&known.combinations))
    }

    /// Keeps the combinations of a provider, unless newer ones are there.
    pub(crate) fn put(&self, source: i64, writes: i64, combinations: &Arc<Vec<Combination>>) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let is_older = known
            .get(&source)
            .is_some_and(|known| known.writes > writes);
        if !is_older {
            let combinations = Arc::clone(combinations);
            known.insert(
                source,
                Known {
                    writes,
                    combinations,
                },
            );
        }
    }
}
