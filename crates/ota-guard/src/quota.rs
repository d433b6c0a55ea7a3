//! Quotas as the vendor counts them.
//!
//! A vendor counts a call when it arrives, some time between being sent and being answered. So the place of a call comes back one window
//! after its answer; where no answer came, one window after the time at which an attempt is given up, since an abandoned call may still arrive.
//! Then no window of that length ever holds more calls than the quota *as the vendor sees it*, however long calls travel. Counting by the
//! sending clock overruns whenever one call travels faster than the one before. An operator who knows the line may set a margin: then a place comes
//! back one window after the margin at the latest, and the promise holds as long as every call arrives within the margin.
//!
//! Whoever waits is served: a call is put into the queue only if its turn will come while there is still time for the call itself. All others are
//! refused at once.
//!
//! A place in the quota and a slot among the provider's calls at the same time are taken together, in one step, by the caller himself
//! while he is being polled, and the call leaves in the same breath. So there is no permit that waits for something: a caller that is
//! cancelled, or that nobody polls any more, holds nothing, and those behind him pass.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use ota_core::clock::{Clock, after};
use ota_core::random::Random;
use ota_core::{Error, ErrorKind, Result};
use tokio::sync::Notify;

use crate::ask::Ask;
use crate::queue::{Before, Bucket, Caller, Rank, Turn};
use crate::slots::Slots;

/// The longest hint of a vendor that is believed: a broken proxy must not lock an account away for years.
const LONGEST_HINT: Duration = Duration::from_secs(300);

/// The shortest pause of an account that was throttled without a hint.
const FIRST_PAUSE: Duration = Duration::from_millis(500);

/// The figures of a quota.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuotaLimits {
    /// Calls in one window.
    pub calls: u32,
    /// Length of the window.
    pub window: Duration,
    /// The longest time that a call is taken to travel, where the operator has said so: its place then does not wait for its answer any longer.
    pub margin: Option<Duration>,
    /// What is counted together.
    pub scope: QuotaScope,
}

/// What a vendor counts together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum QuotaScope {
    /// Each operation of the account by itself; some have another number of calls.
    Operation {
        /// The operations with another number, and that number.
        exceptions: Vec<(&'static str, u32)>,
    },
    /// All calls of the account.
    Account,
}

impl QuotaLimits {
    /// Returns how much longer than a window a call that is given up after `longest` keeps its place at most.
    fn held(&self, longest: Duration) -> Duration {
        self.margin.unwrap_or(longest)
    }

    /// Returns what an operation is counted under, and how many calls of it a window holds.
    fn bucket(&self, operation: &'static str) -> (&'static str, u32) {
        match &self.scope {
            QuotaScope::Account => ("", self.calls),
            QuotaScope::Operation { exceptions } => {
                let exception = exceptions.iter().find(|(of, _)| *of == operation);
                (operation, exception.map_or(self.calls, |(_, calls)| *calls))
            }
        }
    }
}

/// The quota of one vendor account; providers with the same account share one.
#[derive(Debug)]
pub struct AccountQuota {
    limits: QuotaLimits,
    caller_share: f64,
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    buckets: HashMap<&'static str, Bucket>,
    /// No call is sent before this, whatever is left: the vendor has said "slow down".
    blocked_until: Option<Instant>,
    /// How often in a row the vendor has said so.
    throttles: u32,
    next_ticket: u64,
    /// The round of the call that was sent last, whatever its operation: the slots of a provider are for all of them.
    round: u64,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl AccountQuota {
    /// Creates the quota of an account that has made no call yet.
    #[must_use]
    pub fn new(limits: QuotaLimits, clock: Arc<dyn Clock>) -> Self {
        Self {
            limits,
            caller_share: 1.0,
            clock,
            state: Mutex::default(),
        }
    }

    /// Says how much of a window's calls one caller may take while others ask, from 0 to 1; all of them unless this is said. What is left is there for
    /// the others, who then need not wait for a whole window. A caller who is alone may take all.
    #[must_use]
    pub fn with_caller_share(mut self, share: f64) -> Self {
        self.caller_share = share;
        self
    }

    /// Returns how much of a window's calls one caller may take while others ask.
    #[must_use]
    pub fn caller_share(&self) -> f64 {
        self.caller_share
    }

    /// Returns the figures.
    #[must_use]
    pub fn limits(&self) -> &QuotaLimits {
        &self.limits
    }

    /// Returns how many calls can be sent now; where operations are counted each by itself, of the operation that has the fewest left.
    #[must_use]
    pub fn remaining(&self) -> u32 {
        let now = self.clock.monotonic();
        let mut state = lock(&self.state);
        if state.blocked(now).is_some() {
            return 0;
        }
        let free = state.buckets.values_mut().map(|bucket| bucket.free(now));
        free.min().unwrap_or(self.limits.calls)
    }

    /// Returns how many callers wait.
    #[must_use]
    pub fn waiting(&self) -> usize {
        let state = lock(&self.state);
        state.buckets.values().map(Bucket::waiting).sum()
    }

    /// Notes that the vendor has throttled a call that was sent at `sent`, and slows the whole account: for as long as the vendor asks, or for
    /// a time that grows with each throttle after a pause. A part of that time is random, so that several gateways on one account do not come
    /// back together.
    pub fn throttled(&self, sent: Instant, hint: Option<Duration>, random: &dyn Random) {
        let now = self.clock.monotonic();
        // "Slower, but not at all later" is no hint.
        let hint = hint.filter(|hint| !hint.is_zero());
        let mut state = lock(&self.state);
        // Calls that were under way when the pause began tell nothing new.
        if hint.is_none() && state.blocked_until.is_some_and(|until| sent < until) {
            return;
        }
        let wait = match hint {
            Some(hint) => hint.min(LONGEST_HINT),
            None => {
                let first = (self.limits.window / 12).max(FIRST_PAUSE);
                let longest = self.limits.window.max(FIRST_PAUSE * 10);
                let full = first.saturating_mul(1 << state.throttles.min(16));
                state.throttles = state.throttles.saturating_add(1);
                half_random(full.min(longest), random)
            }
        };
        let until = after(now, wait);
        state.blocked_until = Some(state.blocked_until.map_or(until, |other| other.max(until)));
        // Whoever cannot wait that long is told at once.
        state.wake_all();
    }

    /// Waits for the right to send one call, and takes a slot with it. Callers take turns, however many calls each has waiting; the calls of one caller
    /// are served in the order of their coming. Interactive ones go first, background ones once in eight turns at least.
    ///
    /// The call counts from now on: it must leave at once, or be given back with [`Permit::unused`].
    ///
    /// # Errors
    /// At once, when the call's turn would come too late for the call to end before the deadline: `throttled` when the quota is the reason, `unavailable` when
    /// it is the number of calls at the same time; the error says how long the wait would be. `timeout` when the call could leave now, but calls take longer than the caller can wait.
    pub async fn acquire(self: &Arc<Self>, ask: &Ask<'_>) -> Result<Permit> {
        let caller: Caller = ask.caller.cloned();
        let mut place: Option<Place> = None;
        loop {
            let (notify, until) = match self.look(ask, &caller, &mut place)? {
                Look::Served(permit) => return Ok(permit),
                Look::Again(notify, until) => (notify, until),
            };
            tokio::select! {
                () = self.clock.sleep_until(until) => {}
                () = notify.notified() => {}
            }
        }
    }

    /// Takes a place and a slot if it is the call's turn, puts it into the queue if its turn will come in time, or refuses it.
    fn look(
        self: &Arc<Self>,
        ask: &Ask<'_>,
        caller: &Caller,
        place: &mut Option<Place>,
    ) -> Result<Look> {
        let (key, calls) = self.limits.bucket(ask.operation);
        let held_most = self.limits.held(ask.takes.longest);
        let (queued, continues) = (place.is_some(), ask.request.summary().count > 0);
        let mut state = lock(&self.state);
        let now = self.clock.monotonic();
        let (blocked, present) = (state.blocked(now), state.round);
        let ticket = state.issue_ticket();
        let new = || Bucket::new(calls, self.limits.window, self.caller_share);
        let bucket = state.buckets.entry(key).or_insert_with(new);
        let rank = match place {
            Some(place) => place.rank,
            None => {
                bucket.note(caller, now);
                let begun = continues.then(|| bucket.begun.since(ask.request).unwrap_or(ticket));
                bucket.next_rank(caller, ticket, present, begun)
            }
        };
        let who = (caller, rank, (!continues).then_some(ask.operation));
        let mut wait = Wait {
            ready: bucket.ready_at(now, blocked, held_most, ask.priority, who),
            why: Why::Quota,
            doubt: match bucket.begun.expected(ask.operation) {
                1 => DOUBT,
                _ => DOUBT_OF_SEVERAL,
            },
        };
        if !queued {
            wait = wait.or_slot(state.slot_ready_at(rank, ask, now));
        } else if wait.ready <= now {
            // There is a place for it, so what it waits for is a slot.
            wait.why = Why::Slots;
        }
        let bucket = state.buckets.entry(key).or_insert_with(new);
        let waited = bucket.begun.has_waited(ask.request);
        ask.check(now, wait, queued, waited)
            .inspect_err(|_| bucket.begun.cut(ask.request))?;
        let place = place.get_or_insert_with(|| Place {
            quota: Arc::clone(self),
            key,
            rank,
            notify: bucket.enqueue(
                rank,
                caller.clone(),
                ask.slots.clone(),
                (ask.priority, continues),
            ),
            queued: true,
        });
        let turn = match bucket.turn(rank, now, blocked) {
            Turn::Now => state.turn_for_slot(key, rank, ask, now),
            later @ Turn::At(_) => later,
        };
        if let Turn::At(instant) = turn {
            let until = instant.min(ask.last_start());
            return Ok(Look::Again(Arc::clone(&place.notify), until));
        }
        let given_up = after(now, ask.takes.longest);
        let back_at = after(after(now, held_most), self.limits.window);
        state.take(key, rank, (now, given_up, back_at));
        if let Some(bucket) = state.buckets.get_mut(key) {
            bucket.begun.note(ask, rank.request, queued, now);
        }
        ask.slots.take(now, rank.ticket, given_up, ask.priority);
        state.wake(key, now);
        place.queued = false;
        Ok(Look::Served(Permit {
            quota: Arc::clone(self),
            slots: ask.slots.clone(),
            key,
            ticket: rank.ticket,
            sent: now,
            back_at,
            held_most,
            counted: true,
            unused: false,
        }))
    }

    /// Changes a bucket and calls those whose turn that may have brought.
    fn change(&self, key: &'static str, change: impl FnOnce(&mut Bucket)) {
        let mut state = lock(&self.state);
        let now = self.clock.monotonic();
        if let Some(bucket) = state.buckets.get_mut(key) {
            change(bucket);
            bucket.wake(now);
        }
    }
}

/// What came of a look at the queue.
enum Look {
    Served(Permit),
    /// To look again when called, or then.
    Again(Arc<Notify>, Instant),
}

/// A wait that is estimated may turn out longer by such a part of it.
const DOUBT: u32 = 16;

/// As [`DOUBT`], where requests make several calls: how many, and when, is known less well.
const DOUBT_OF_SEVERAL: u32 = 6;

impl Ask<'_> {
    /// Refuses what cannot end in time after this wait.
    fn check(
        &self,
        now: Instant,
        Wait { ready, why, doubt }: Wait,
        queued: bool,
        waited: bool,
    ) -> Result<()> {
        let wait = ready.saturating_duration_since(now);
        if wait.is_zero() && !queued {
            let takes = match self.takes.trial {
                true => Duration::ZERO,
                false => self.takes.usual,
            };
            return match after(now, takes) <= self.deadline {
                true => Ok(()),
                // The calls before it have waited, so it is not the vendor alone who has taken the time.
                false if waited => Err(refusal(self.operation, why, wait)),
                false => Err(slow(self.operation)),
            };
        }
        // Less careful than on the way in: whoever has waited is served as long as there is a chance.
        let (doubt, takes) = match queued {
            true => (Duration::ZERO, self.takes.usual),
            false => (wait / doubt, self.takes.careful),
        };
        let starts = after(ready.max(now), doubt);
        match after(starts, takes) < self.deadline {
            true => Ok(()),
            false => Err(refusal(self.operation, why, wait)),
        }
    }

    /// When the call must have left.
    fn last_start(&self) -> Instant {
        let last = self.deadline.checked_sub(self.takes.usual);
        last.unwrap_or(self.deadline)
    }
}

/// When a call is served, as far as that can be known, and what it waits for.
#[derive(Clone, Copy, Debug)]
struct Wait {
    ready: Instant,
    why: Why,
    /// It may turn out longer by such a part of it.
    doubt: u32,
}

#[derive(Clone, Copy, Debug)]
enum Why {
    Quota,
    Slots,
}

impl Wait {
    /// Waits for a slot too.
    fn or_slot(self, ready: Instant) -> Self {
        match ready > self.ready {
            true => Self {
                ready,
                why: Why::Slots,
                ..self
            },
            false => self,
        }
    }
}

fn refusal(operation: &'static str, why: Why, wait: Duration) -> Error {
    let error = match why {
        Why::Quota => Error::new(
            ErrorKind::Throttled,
            "the vendor's quota is used up for longer than this request may wait",
        ),
        Why::Slots => Error::new(
            ErrorKind::Unavailable,
            "the limit of concurrent calls to this provider is reached for longer than this request may wait",
        ),
    };
    error
        .with_operation(operation)
        .with_local()
        .with_retry_after(wait.max(SHORTEST_WAIT))
}

/// The shortest wait that a refused caller is asked for.
const SHORTEST_WAIT: Duration = Duration::from_secs(1);

fn slow(operation: &'static str) -> Error {
    Error::new(
        ErrorKind::Timeout,
        "the remaining time of this request is shorter than the vendor's current response time",
    )
    .with_operation(operation)
    .with_local()
}

/// Takes half of a time, and a random part of the other half.
pub(crate) fn half_random(full: Duration, random: &dyn Random) -> Duration {
    let mut bytes = [0_u8; 4];
    // Without randomness the longest wait is the careful one.
    let part = random
        .fill(&mut bytes)
        .map_or(u32::MAX, |()| u32::from_be_bytes(bytes));
    let half = full / 2;
    // Not by a factor as a double: rounded up, it would overflow for the longest times.
    let random = half.as_nanos() * u128::from(part) / u128::from(u32::MAX);
    let random = Duration::from_nanos(u64::try_from(random).unwrap_or(u64::MAX)).min(half);
    half.saturating_add(random)
}

impl State {
    fn blocked(&self, now: Instant) -> Option<Instant> {
        self.blocked_until.filter(|until| *until > now)
    }

    fn issue_ticket(&mut self) -> u64 {
        self.next_ticket += 1;
        self.next_ticket
    }

    /// Tells whether a call whose turn it is among those of its operation may take a slot. Calls of other operations that want the same slots, and
    /// stand before it, come first.
    fn turn_for_slot(
        &mut self,
        key: &'static str,
        rank: Rank,
        ask: &Ask<'_>,
        now: Instant,
    ) -> Turn {
        let free = ask.slots.free();
        let order = Before::new(ask.slots, ask.priority, rank);
        let mut first: Option<Instant> = None;
        let mut before = 0;
        for (_, bucket) in self.buckets.iter_mut().filter(|(of, _)| **of != key) {
            let (count, until) = bucket.call_before(&order, now);
            before += count;
            first = match (first, until) {
                (Some(first), Some(until)) => Some(first.min(until)),
                (first, until) => first.or(until),
            };
        }
        match first {
            Some(until) if before >= free => Turn::At(until),
            _ => Turn::Now,
        }
    }

    /// Estimates when there is a slot for a call that comes now.
    fn slot_ready_at(&mut self, rank: Rank, ask: &Ask<'_>, now: Instant) -> Instant {
        if ask.slots.are_plenty() {
            return now;
        }
        let order = Before::new(ask.slots, ask.priority, rank);
        let buckets = self.buckets.values_mut();
        let ahead = buckets.map(|bucket| bucket.count_before(&order, now));
        ask.slots.ready_at(now, ahead.fold(0, u32::saturating_add))
    }

    /// Counts a call that leaves now.
    fn take(&mut self, key: &'static str, rank: Rank, times: (Instant, Instant, Instant)) {
        self.round = self.round.max(rank.round);
        if let Some(bucket) = self.buckets.get_mut(key) {
            bucket.take(rank, times);
        }
    }

    fn wake(&mut self, key: &'static str, now: Instant) {
        if let Some(bucket) = self.buckets.get_mut(key) {
            bucket.wake(now);
        }
    }

    fn wake_all(&self) {
        self.buckets.values().for_each(Bucket::wake_all);
    }
}

/// A caller's place in the queue; given up when the caller goes away.
#[derive(Debug)]
struct Place {
    quota: Arc<AccountQuota>,
    key: &'static str,
    rank: Rank,
    notify: Arc<Notify>,
    queued: bool,
}

impl Drop for Place {
    fn drop(&mut self) {
        if self.queued {
            let rank = self.rank;
            self.quota.change(self.key, |bucket| bucket.leave(rank));
        }
    }
}

/// A call that is counted, and its slot.
///
/// Dropped without [`Permit::answered`], as when a caller goes away in the middle of a call, the call stays counted as one that was never
/// answered; the slot is free at once.
#[derive(Debug)]
pub struct Permit {
    quota: Arc<AccountQuota>,
    slots: Slots,
    key: &'static str,
    ticket: u64,
    sent: Instant,
    /// When its place comes back at the latest.
    back_at: Instant,
    /// How much longer than a window it keeps its place at most.
    held_most: Duration,
    /// Whether the quota still waits for its end.
    counted: bool,
    /// Whether it did not leave after all.
    unused: bool,
}

impl Permit {
    /// Notes that the call's answer has come. `accepted` tells that it was no throttling.
    pub fn answered(mut self, accepted: bool) {
        self.counted = false;
        let now = self.quota.clock.monotonic();
        let took = now.saturating_duration_since(self.sent);
        let back_at = after(now, self.quota.limits.window);
        let (ticket, known, held) = (self.ticket, self.back_at, took.min(self.held_most));
        self.quota.change(self.key, |bucket| {
            bucket.answered(ticket, known, back_at, held)
        });
        if accepted {
            let mut state = lock(&self.quota.state);
            // An answer to a call from before the pause does not tell that the pause has helped.
            if state.blocked_until.is_none_or(|until| self.sent >= until) {
                state.throttles = 0;
            }
        }
    }

    /// Gives the call back: it was not sent, so it does not count.
    pub fn unused(mut self) {
        self.counted = false;
        self.unused = true;
        let (ticket, known) = (self.ticket, self.back_at);
        self.quota
            .change(self.key, |bucket| bucket.unused(ticket, known));
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut state = lock(&self.quota.state);
        let now = self.quota.clock.monotonic();
        let ran = !self.unused;
        self.slots.give_back(self.sent, self.ticket, now, ran);
        if self.counted
            && let Some(bucket) = state.buckets.get_mut(self.key)
        {
            bucket.lost(self.held_most);
        }
        // Those who wait for a slot stand in the queues of all operations.
        for bucket in state.buckets.values_mut() {
            bucket.wake(now);
        }
    }
}

#[cfg(test)]
mod slots_tests;

#[cfg(test)]
mod tests;
