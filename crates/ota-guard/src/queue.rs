//! What is counted together at a vendor: the calls of the running window, and those who wait for a place in it.

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use ota_core::clock::after;
use ota_core::context::Priority;
use tokio::sync::Notify;

use crate::quota::Slots;

/// How many interactive callers are let through in a row while background callers wait.
const INTERACTIVE_IN_A_ROW: u32 = 7;

/// How long a caller who was called may take to come before those behind pass. A caller that is polled comes within microseconds; one that
/// nobody polls any more must not hold up the others.
const GRACE: Duration = Duration::from_millis(100);

/// How often those who are called when their turn comes look up by themselves, in case that everybody before them has fallen asleep.
const LOOK_UP: Duration = Duration::from_secs(1);

/// A caller in the queue.
#[derive(Debug)]
pub(crate) struct Waiter {
    ticket: u64,
    slots: Slots,
    pub(crate) notify: Arc<Notify>,
    /// When it was first told that its turn has come.
    called: Option<Instant>,
}

impl Waiter {
    pub(crate) fn new(ticket: u64, slots: Slots) -> Self {
        Self {
            ticket,
            slots,
            notify: Arc::default(),
            called: None,
        }
    }

    fn call(&mut self, now: Instant) -> Instant {
        if self.called.is_none() {
            self.notify.notify_one();
        }
        *self.called.get_or_insert(now)
    }
}

/// When a caller may send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    /// Now.
    Now,
    /// Not yet; it looks again then, or when it is called.
    At(Instant),
}

/// The calls that are counted together, and their queue.
#[derive(Debug)]
pub(crate) struct Bucket {
    calls: u32,
    /// When the place of each sent call comes back, with its ticket; the first is the next.
    sent: BTreeSet<(Instant, u64)>,
    interactive: VecDeque<Waiter>,
    background: VecDeque<Waiter>,
    /// Interactive callers served in a row while background callers waited.
    in_a_row: u32,
    /// How much longer than a window a call has kept its place lately, on the average.
    held: Duration,
}

impl Bucket {
    pub(crate) fn new(calls: u32) -> Self {
        Self {
            calls: calls.max(1),
            sent: BTreeSet::new(),
            interactive: VecDeque::new(),
            background: VecDeque::new(),
            in_a_row: 0,
            held: Duration::ZERO,
        }
    }

    pub(crate) fn waiting(&self) -> usize {
        self.interactive.len() + self.background.len()
    }

    /// Returns how many calls can be sent now.
    pub(crate) fn free(&mut self, now: Instant) -> u32 {
        while self
            .sent
            .first()
            .is_some_and(|(back_at, _)| *back_at <= now)
        {
            self.sent.pop_first();
        }
        let counted = u32::try_from(self.sent.len()).unwrap_or(u32::MAX);
        self.calls.saturating_sub(counted)
    }

    pub(crate) fn enqueue(&mut self, waiter: Waiter, priority: Priority) {
        match priority {
            Priority::Interactive => self.interactive.push_back(waiter),
            Priority::Background => self.background.push_back(waiter),
        }
    }

    pub(crate) fn leave(&mut self, ticket: u64) {
        self.remove(ticket);
    }

    // Tickets rise from front to back of each queue.

    fn waiter(&mut self, ticket: u64) -> Option<&mut Waiter> {
        for queue in [&mut self.interactive, &mut self.background] {
            if let Ok(index) = queue.binary_search_by_key(&ticket, |waiter| waiter.ticket) {
                return queue.get_mut(index);
            }
        }
        None
    }

    fn remove(&mut self, ticket: u64) -> Option<Priority> {
        if let Ok(index) = self
            .interactive
            .binary_search_by_key(&ticket, |waiter| waiter.ticket)
        {
            self.interactive.remove(index);
            return Some(Priority::Interactive);
        }
        let index = self
            .background
            .binary_search_by_key(&ticket, |waiter| waiter.ticket)
            .ok()?;
        self.background.remove(index);
        Some(Priority::Background)
    }

    /// Counts a call that leaves now and whose place comes back at `back_at` at the latest.
    pub(crate) fn take(&mut self, ticket: u64, back_at: Instant) {
        let background_waits = !self.background.is_empty();
        match self.remove(ticket) {
            Some(Priority::Interactive) if background_waits => self.in_a_row += 1,
            _ => self.in_a_row = 0,
        }
        self.sent.insert((back_at, ticket));
    }

    /// Notes that a call was answered whose place was to come back at `known`: it comes back at `back_at`, if that is earlier.
    pub(crate) fn answered(
        &mut self,
        ticket: u64,
        known: Instant,
        back_at: Instant,
        held: Duration,
    ) {
        self.held = self.held.saturating_mul(7).saturating_add(held) / 8;
        if back_at < known && self.sent.remove(&(known, ticket)) {
            self.sent.insert((back_at, ticket));
        }
    }

    /// Takes back a call that was not sent after all, and whose place was to come back at `known`.
    pub(crate) fn unused(&mut self, ticket: u64, known: Instant) {
        self.sent.remove(&(known, ticket));
    }

    /// Tells a caller in the queue when he may send, and calls those before him whose turn has come.
    pub(crate) fn turn(&mut self, ticket: u64, now: Instant, blocked: Option<Instant>) -> Turn {
        if let Some(waiter) = self.waiter(ticket) {
            // It has come; the next call must wake it again.
            waiter.called = None;
        }
        if let Some(until) = blocked {
            return Turn::At(until);
        }
        let mut left = self.free(now);
        let release = self.sent.first().map(|(back_at, _)| *back_at);
        let mut again = release;
        if left > 0 {
            let mut order = Order::of(self);
            while let Some(waiter) = order.next(self) {
                if waiter.ticket == ticket {
                    return match waiter.slots.any_free() {
                        true => Turn::Now,
                        // A slot that becomes free calls it.
                        false => Turn::At(now + LOOK_UP),
                    };
                }
                if !waiter.slots.any_free() {
                    continue;
                }
                let passed_at = waiter.call(now) + GRACE;
                if passed_at <= now {
                    continue;
                }
                again = Some(again.map_or(passed_at, |again| again.min(passed_at)));
                left -= 1;
                if left == 0 {
                    break;
                }
            }
        }
        let near = self.place(ticket) <= 2 * self.calls as usize;
        match again {
            Some(again) if near => Turn::At(again),
            Some(again) => Turn::At(again.max(now + LOOK_UP)),
            None => Turn::At(now + LOOK_UP),
        }
    }

    fn place(&self, ticket: u64) -> usize {
        match self
            .interactive
            .binary_search_by_key(&ticket, |waiter| waiter.ticket)
        {
            Ok(index) => index,
            Err(_) => {
                let index = self
                    .background
                    .binary_search_by_key(&ticket, |waiter| waiter.ticket);
                self.interactive.len() + index.unwrap_or_else(|index| index)
            }
        }
    }

    /// Calls those whose turn has come, and the first one in any case: what it waits for may have changed.
    pub(crate) fn wake(&mut self, now: Instant) {
        let mut left = self.free(now);
        let mut first = true;
        let mut order = Order::of(self);
        while let Some(waiter) = order.next(self) {
            if !waiter.slots.any_free() {
                continue;
            }
            if left > 0 {
                waiter.call(now);
                left -= 1;
            } else if first {
                waiter.notify.notify_one();
            }
            first = false;
            if left == 0 {
                return;
            }
        }
    }

    /// Wakes everybody to look again.
    pub(crate) fn wake_all(&self) {
        for waiter in self.interactive.iter().chain(&self.background) {
            waiter.notify.notify_one();
        }
    }

    /// Estimates when a caller is served, after everybody before him: the one of `ticket`, or one who comes now.
    ///
    /// Each call before him takes a place when one comes back, and gives it back a window (and what calls take on the average) later.
    pub(crate) fn ready_at(
        &mut self,
        now: Instant,
        blocked: Option<Instant>,
        window: Duration,
        priority: Priority,
        ticket: Option<u64>,
    ) -> Instant {
        let begin = blocked.unwrap_or(now).max(now);
        let row = INTERACTIVE_IN_A_ROW as usize;
        let ahead = match priority {
            Priority::Interactive => {
                let before = ticket.map_or(self.interactive.len(), |ticket| self.place(ticket));
                before + self.background.len().min(before / row)
            }
            Priority::Background => {
                let before = ticket.map_or(self.background.len(), |ticket| {
                    self.place(ticket).saturating_sub(self.interactive.len())
                });
                before + self.interactive.len().min(row * (before + 1))
            }
        };
        let free = self.free(now) as usize;
        if ahead < free {
            return begin;
        }
        let mut places: BinaryHeap<Reverse<Instant>> = self
            .sent
            .iter()
            .map(|(back_at, _)| Reverse((*back_at).max(begin)))
            .collect();
        let taken_now = after(begin, window.saturating_add(self.held));
        places.extend(std::iter::repeat_n(Reverse(taken_now), free));
        let mut served = begin;
        for _ in free..=ahead {
            let Some(Reverse(place)) = places.pop() else {
                break;
            };
            served = place;
            places.push(Reverse(after(place, window.saturating_add(self.held))));
        }
        served
    }
}

/// Goes through the queue in the order of service.
struct Order {
    interactive: usize,
    background: usize,
    in_a_row: u32,
}

impl Order {
    fn of(bucket: &Bucket) -> Self {
        Self {
            interactive: 0,
            background: 0,
            in_a_row: bucket.in_a_row,
        }
    }

    fn next<'a>(&mut self, bucket: &'a mut Bucket) -> Option<&'a mut Waiter> {
        let interactive_left = self.interactive < bucket.interactive.len();
        let background_left = self.background < bucket.background.len();
        if background_left && (!interactive_left || self.in_a_row >= INTERACTIVE_IN_A_ROW) {
            self.in_a_row = 0;
            self.background += 1;
            return bucket.background.get_mut(self.background - 1);
        }
        self.in_a_row += u32::from(background_left);
        self.interactive += 1;
        bucket.interactive.get_mut(self.interactive - 1)
    }
}
