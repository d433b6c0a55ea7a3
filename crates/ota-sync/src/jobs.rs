//! The jobs of a provider, with their places in its queue.

use std::collections::{BTreeMap, BTreeSet};

use ota_core::id::JobId;
use time::OffsetDateTime;

use crate::job_entry::JobEntry;
use crate::queue::{Judged, Queue};

/// The jobs of a provider. What is changed is judged again before the next piece of work is chosen.
#[derive(Debug, Default)]
pub(crate) struct Jobs {
    entries: BTreeMap<JobId, JobEntry>,
    touched: BTreeSet<JobId>,
    pub(crate) queue: Queue,
}

impl Jobs {
    pub(crate) fn get(&self, id: &JobId) -> Option<&JobEntry> {
        self.entries.get(id)
    }

    pub(crate) fn get_mut(&mut self, id: &JobId) -> Option<&mut JobEntry> {
        let entry = self.entries.get_mut(id)?;
        self.touched.insert(id.clone());
        Some(entry)
    }

    pub(crate) fn get_or_insert(
        &mut self,
        id: &JobId,
        new: impl FnOnce() -> JobEntry,
    ) -> &mut JobEntry {
        self.touched.insert(id.clone());
        self.entries.entry(id.clone()).or_insert_with(new)
    }

    pub(crate) fn insert(&mut self, id: JobId, entry: JobEntry) {
        self.touched.insert(id.clone());
        self.entries.insert(id, entry);
    }

    pub(crate) fn remove(&mut self, id: &JobId) -> Option<JobEntry> {
        self.entries.remove(id)
    }

    pub(crate) fn contains_key(&self, id: &JobId) -> bool {
        self.entries.contains_key(id)
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(crate) fn values(&self) -> impl Iterator<Item = &JobEntry> {
        self.entries.values()
    }

    /// All of them, to be changed: all are judged again.
    pub(crate) fn values_mut(&mut self) -> impl Iterator<Item = &mut JobEntry> {
        self.touched = self.entries.keys().cloned().collect();
        self.entries.values_mut()
    }

    /// Judges what was changed, and what has become due.
    pub(crate) fn refresh(
        &mut self,
        now: OffsetDateTime,
        judge: impl Fn(&JobId, &JobEntry) -> Judged,
    ) {
        while let Some(id) = self.touched.pop_first() {
            match self.entries.get(&id) {
                Some(entry) => self.queue.place(&id, judge(&id, entry), now),
                None => self.queue.remove(&id),
            }
        }
        while let Some(id) = self.queue.pop_due(now) {
            if let Some(entry) = self.entries.get(&id) {
                self.queue.place(&id, judge(&id, entry), now);
            }
        }
    }
}
