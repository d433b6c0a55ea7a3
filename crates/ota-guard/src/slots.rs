//! The concurrency limit of one provider.
//!
//! A slot is for any operation of a provider; a place in the quota is for one operation, or for all providers of an account. So slots are granted in one
//! order across the queues: interactive calls before background calls, and otherwise by rank.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use ota_core::clock::after;

use crate::latency::{INITIAL_ESTIMATE, LatencyHistory, estimated_end};

/// The concurrency limit of one provider. Counted under the lock of the account.
#[derive(Clone, Debug)]
pub struct Slots(Arc<Mutex<Count>>);

#[derive(Debug)]
struct Count {
    most: u32,
    /// The calls in flight, by time of sending and ticket, and when each is abandoned.
    running: BTreeMap<(Instant, u64), Instant>,
    /// The durations of recent calls.
    ran: LatencyHistory,
    waiting: u32,
}

impl Count {
    fn free(&self) -> u32 {
        let running = u32::try_from(self.running.len()).unwrap_or(u32::MAX);
        self.most.saturating_sub(running)
    }
}

impl Slots {
    /// Creates `most` slots, at least one.
    #[must_use]
    pub fn new(most: u32) -> Self {
        Self(Arc::new(Mutex::new(Count {
            most: most.max(1),
            running: BTreeMap::new(),
            ran: LatencyHistory::default(),
            waiting: 0,
        })))
    }

    fn lock(&self) -> MutexGuard<'_, Count> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the number of calls in flight.
    #[must_use]
    pub fn running(&self) -> u32 {
        u32::try_from(self.lock().running.len()).unwrap_or(u32::MAX)
    }

    /// Returns the number of free slots.
    pub(crate) fn free(&self) -> u32 {
        self.lock().free()
    }

    /// Whether these are the same slots.
    pub(crate) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// Records that a call waits.
    pub(crate) fn enter(&self) {
        self.lock().waiting += 1;
    }

    /// Records that a call no longer waits.
    pub(crate) fn leave(&self) {
        let mut count = self.lock();
        count.waiting = count.waiting.saturating_sub(1);
    }

    /// Whether there are more free slots than waiting calls.
    pub(crate) fn are_plenty(&self) -> bool {
        let count = self.lock();
        count.waiting < count.free()
    }

    /// Takes a slot for a call that is sent now and is abandoned at `abandoned_at`.
    pub(crate) fn take(&self, now: Instant, ticket: u64, abandoned_at: Instant) {
        self.lock().running.insert((now, ticket), abandoned_at);
    }

    /// Releases the slot of a call. `ran` is false if the call was not sent after all.
    pub(crate) fn give_back(&self, sent: Instant, ticket: u64, now: Instant, ran: bool) {
        let mut count = self.lock();
        count.running.remove(&(sent, ticket));
        if ran {
            count.ran.record(now.saturating_duration_since(sent));
        }
    }

    /// Estimates when a slot is free for a call with this many calls before it.
    pub(crate) fn ready_at(&self, now: Instant, ahead: u32) -> Instant {
        let count = self.lock();
        if ahead < count.free() {
            return now;
        }
        let usual = count.ran.median().unwrap_or(INITIAL_ESTIMATE);
        let running = count.running.iter();
        let ends = running
            .map(|((sent, _), abandoned_at)| estimated_end(*sent, now, usual, *abandoned_at));
        let mut ends: BinaryHeap<Reverse<Instant>> =
            ends.map(|end| Reverse(end.max(now))).collect();
        let free = count.free();
        ends.extend(std::iter::repeat_n(
            Reverse(after(now, usual)),
            free as usize,
        ));
        let mut ready = now;
        for _ in free..=ahead {
            let Some(Reverse(end)) = ends.pop() else {
                break;
            };
            ready = end;
            ends.push(Reverse(after(end, usual)));
        }
        ready
    }
}

/// The free slots that are left while a queue is scanned.
#[derive(Debug, Default)]
pub(crate) struct FreeSlots(Vec<(Slots, u32)>);

impl FreeSlots {
    fn of(&mut self, slots: &Slots) -> Option<&mut u32> {
        let index = match self.0.iter().position(|(known, _)| known.is(slots)) {
            Some(index) => index,
            None => {
                self.0.push((slots.clone(), slots.free()));
                self.0.len() - 1
            }
        };
        self.0.get_mut(index).map(|(_, left)| left)
    }

    /// Whether a free slot is left.
    pub(crate) fn any(&mut self, slots: &Slots) -> bool {
        self.of(slots).is_some_and(|left| *left > 0)
    }

    /// Counts a slot as taken.
    pub(crate) fn take(&mut self, slots: &Slots) {
        if let Some(left) = self.of(slots) {
            *left = left.saturating_sub(1);
        }
    }
}
