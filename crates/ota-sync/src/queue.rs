//! Which job is next: an order by due time and by lateness, so that choosing a piece of work looks at few jobs however many are known.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use ota_core::id::JobId;
use time::OffsetDateTime;

use crate::schedule::{Candidate, age};

/// What is to be done with a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// The next page of all its tasks.
    Read,
    /// A look at it alone.
    Look,
    /// A look at it together with all others by one list.
    GroupedLook,
    /// Its open tasks, which no count tells of: only when nothing else is due.
    Open,
}

/// One thing that is to be done with a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Wish {
    pub(crate) kind: Kind,
    /// Since when it has not been done.
    pub(crate) since: OffsetDateTime,
    /// The age at which it is to be done again.
    pub(crate) wanted: Duration,
    /// The vendor calls that it is expected to take.
    pub(crate) cost: u64,
    /// When it may be done.
    pub(crate) due: OffsetDateTime,
}

/// Where a job stands in the queue.
#[derive(Debug, Default)]
struct Place {
    /// When it is to be judged again.
    wakes: Option<OffsetDateTime>,
    /// What is due.
    ready: Vec<Wish>,
    /// Since when nothing is known of it, while it runs.
    running: Option<OffsetDateTime>,
    /// Whether its tasks have never been read.
    unread: bool,
    /// Whether it is looked at with others.
    grouped: bool,
}

/// What a job is judged by.
pub(crate) struct Judged {
    pub(crate) wishes: Vec<Wish>,
    pub(crate) running: Option<OffsetDateTime>,
    pub(crate) unread: bool,
    pub(crate) grouped: bool,
}

type Ready = BTreeSet<(OffsetDateTime, u64, JobId)>;

/// The order of all jobs of a provider.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    places: BTreeMap<JobId, Place>,
    waiting: BTreeSet<(OffsetDateTime, JobId)>,
    /// What is due, by kind and wanted age: within one of them the order never changes with time.
    ready: BTreeMap<(Kind, Duration), Ready>,
    /// The running jobs, by when they were last looked at.
    running: BTreeSet<(OffsetDateTime, JobId)>,
    grouped: BTreeSet<JobId>,
    unread: usize,
    /// Jobs that were judged or compared so far.
    #[cfg(test)]
    pub(crate) steps: usize,
}

impl Queue {
    fn step(&mut self) {
        #[cfg(test)]
        {
            self.steps += 1;
        }
    }

    /// Puts a job at its place.
    pub(crate) fn place(&mut self, id: &JobId, judged: Judged, now: OffsetDateTime) {
        self.step();
        self.remove(id);
        let mut place = Place {
            running: judged.running,
            unread: judged.unread,
            grouped: judged.grouped,
            ..Place::default()
        };
        let (ready, later): (Vec<Wish>, Vec<Wish>) =
            judged.wishes.into_iter().partition(|wish| wish.due <= now);
        place.wakes = later.iter().map(|wish| wish.due).min();
        place.ready = ready;
        if let Some(at) = place.wakes {
            self.waiting.insert((at, id.clone()));
        }
        for wish in &place.ready {
            let ready = self.ready.entry((wish.kind, wish.wanted)).or_default();
            ready.insert((wish.since, wish.cost, id.clone()));
        }
        if let Some(since) = place.running {
            self.running.insert((since, id.clone()));
        }
        if place.grouped {
            self.grouped.insert(id.clone());
        }
        self.unread += usize::from(place.unread);
        self.places.insert(id.clone(), place);
    }

    pub(crate) fn remove(&mut self, id: &JobId) {
        let Some(place) = self.places.remove(id) else {
            return;
        };
        if let Some(at) = place.wakes {
            self.waiting.remove(&(at, id.clone()));
        }
        for wish in place.ready {
            let key = (wish.kind, wish.wanted);
            if let Some(ready) = self.ready.get_mut(&key) {
                ready.remove(&(wish.since, wish.cost, id.clone()));
                if ready.is_empty() {
                    self.ready.remove(&key);
                }
            }
        }
        if let Some(since) = place.running {
            self.running.remove(&(since, id.clone()));
        }
        self.grouped.remove(id);
        self.unread -= usize::from(place.unread);
    }

    /// Returns a job that has waited until now, to be judged again.
    pub(crate) fn pop_due(&mut self, now: OffsetDateTime) -> Option<JobId> {
        let (at, _) = self.waiting.first()?;
        let due = *at <= now;
        let (_, id) = due.then(|| self.waiting.pop_first()).flatten()?;
        if let Some(place) = self.places.get_mut(&id) {
            place.wakes = None;
        }
        Some(id)
    }

    /// Returns when the next job becomes due.
    pub(crate) fn next_due(&self) -> Option<OffsetDateTime> {
        self.waiting.first().map(|(at, _)| *at)
    }

    /// Returns what is latest of what is due. With running jobs that wait longer than `longest` each of them counts by that age alone, so that they share the lag.
    pub(crate) fn latest(
        &mut self,
        now: OffsetDateTime,
        longest: Duration,
        with_open: bool,
    ) -> Option<(Kind, JobId, Candidate)> {
        let overdue = self.longest_unseen(now).is_some_and(|age| age > longest);
        let mut best: Option<(Kind, &JobId, Candidate)> = None;
        let mut compared = 0;
        for ((kind, wanted), ready) in &self.ready {
            compared += 1;
            let Some((since, cost, id)) = ready.first() else {
                continue;
            };
            if *kind == Kind::Open && (best.is_some() || !with_open) {
                continue;
            }
            let shares = matches!(kind, Kind::Look | Kind::GroupedLook) && overdue;
            let candidate = Candidate {
                age: age(now, *since),
                wanted: if shares {
                    longest.max(*wanted)
                } else {
                    *wanted
                },
                cost: *cost,
            };
            if best
                .as_ref()
                .is_none_or(|(_, _, other)| candidate.before(other))
            {
                best = Some((*kind, id, candidate));
            }
        }
        let best = best.map(|(kind, id, candidate)| (kind, id.clone(), candidate));
        for _ in 0..compared {
            self.step();
        }
        best
    }

    /// Returns how long ago the running job was looked at that was looked at longest ago.
    pub(crate) fn longest_unseen(&self, now: OffsetDateTime) -> Option<Duration> {
        self.oldest().map(|at| age(now, at))
    }

    /// Returns when that was.
    pub(crate) fn oldest(&self) -> Option<OffsetDateTime> {
        self.running.first().map(|(at, _)| *at)
    }

    /// Returns the jobs that one list looks at.
    pub(crate) fn grouped(&self) -> Vec<JobId> {
        self.grouped.iter().cloned().collect()
    }

    /// Returns how many jobs remain whose tasks have never been read.
    pub(crate) fn unread(&self) -> usize {
        self.unread
    }
}

#[cfg(test)]
mod tests;
