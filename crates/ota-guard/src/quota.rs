//! Quotas as the vendor counts them.
//!
//! A vendor counts a call when it arrives, some time between sending and response. So a call counts until one window after its response; without a
//! response, until one window after the attempt is abandoned, since an abandoned call may still arrive. Then no window of that length ever holds more calls
//! than the quota *as the vendor sees it*, for any latency. Counting from the time of sending would exceed the quota whenever a call arrives faster
//! than the one before. An operator who knows the network may set a margin: then a call counts until one window after the margin at most, and the
//! guarantee holds as long as every call arrives within the margin.
//!
//! A call that waits is served: it is queued only if its turn will come with enough time left for the call itself. All others are refused at once.
//!
//! The place in the quota and the slot of the concurrency limit are acquired in one poll, and the call is sent at once. So no permit is ever held by a call
//! that waits: a call that is cancelled or no longer polled holds nothing, and the calls behind it pass.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use ota_core::clock::{Clock, after};
use ota_core::random::Random;
use ota_core::{Error, ErrorKind, Result};
use tokio::sync::Notify;

use crate::permit_request::PermitRequest;
use crate::queue::{Before, Bucket, Caller, Rank, Turn};
use crate::slots::Slots;

/// The longest `Retry-After` that is followed: a broken proxy must not block an account for years.
const LONGEST_HINT: Duration = Duration::from_secs(300);

/// The shortest pause of an account that was throttled without a hint.
const FIRST_PAUSE: Duration = Duration::from_millis(500);

/// The limits of a quota.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuotaLimits {
    /// Calls in one window.
    pub calls: u32,
    /// Length of the window.
    pub window: Duration,
    /// The longest time in which a call arrives, if configured: the call then does not count any longer than this and a window.
    pub margin: Option<Duration>,
    /// Which calls are counted together.
    pub scope: QuotaScope,
}

/// Which calls a vendor counts together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum QuotaScope {
    /// Each operation of the account separately; some have a different number of calls.
    Operation {
        /// The operations with a different number, and that number.
        exceptions: Vec<(&'static str, u32)>,
    },
    /// Reads together, and writes together.
    ReadsAndWrites {
        /// The operations that write; all others read.
        writes: Vec<&'static str>,
        /// How many writes a window holds.
        calls: u32,
    },
    /// All calls of the account.
    Account,
}

impl QuotaLimits {
    /// Returns how much longer than a window a call counts at most that is abandoned after `longest`.
    fn held(&self, longest: Duration) -> Duration {
        self.margin.unwrap_or(longest)
    }

    /// Returns the calls in a window of a bucket.
    fn calls_of(&self, bucket: &str) -> u32 {
        match &self.scope {
            QuotaScope::Account => self.calls,
            QuotaScope::ReadsAndWrites { calls, .. } if bucket == "write" => *calls,
            QuotaScope::ReadsAndWrites { .. } => self.calls,
            QuotaScope::Operation { exceptions } => {
                let exception = exceptions.iter().find(|(of, _)| *of == bucket);
                exception.map_or(self.calls, |(_, calls)| *calls)
            }
        }
    }

    /// Returns the key of an operation's bucket, and its number of calls per window.
    fn bucket(&self, operation: &'static str) -> (&'static str, u32) {
        match &self.scope {
            QuotaScope::Account => ("", self.calls),
            QuotaScope::ReadsAndWrites { writes, calls } => match writes.contains(&operation) {
                true => ("write", *calls),
                false => ("read", self.calls),
            },
            QuotaScope::Operation { .. } => (operation, self.calls_of(operation)),
        }
    }
}

/// A call that counts, as it is kept over a restart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CountedCall {
    /// What the vendor counts it together with: the operation, `read` or `write`, or nothing where all calls are one.
    pub bucket: String,
    /// How long before now it counts from: a window after that it counts no more.
    pub ago: Duration,
}

/// The quota of one vendor account; providers with the same account share one.
#[derive(Debug)]
pub struct AccountQuota {
    limits: QuotaLimits,
    caller_share: f64,
    background_share: f64,
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    buckets: HashMap<&'static str, Bucket>,
    /// No call is sent before this time, even if the quota allows it: the vendor has throttled.
    blocked_until: Option<Instant>,
    /// How often in a row the vendor has throttled.
    throttles: u32,
    /// What a throttling has left of the share of background calls, and when.
    reduced: Option<(f64, Instant)>,
    next_ticket: u64,
    /// Calls of an earlier process in buckets that have not been made yet, and until when they count.
    restored: Vec<(String, Instant)>,
    /// The round of the most recent call of any operation: all operations share the slots of a provider.
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
            background_share: 1.0,
            clock,
            state: Mutex::default(),
        }
    }

    /// Sets the share of a window's calls that one caller may use while others wait, from 0 to 1; the default is all of them. The rest is left for the other
    /// callers, who then need not wait for a whole window. A single caller may use all.
    #[must_use]
    pub fn with_caller_share(mut self, share: f64) -> Self {
        self.caller_share = share;
        self
    }

    /// Sets the share of a window's calls that background calls may use together, from 0 to 1; the default is all of them. At least one call of a window is
    /// theirs, when no interactive call waits for it.
    #[must_use]
    pub fn with_background_share(mut self, share: f64) -> Self {
        self.background_share = share;
        self
    }

    /// Returns the share of a window's calls that background calls may use together.
    #[must_use]
    pub fn background_share(&self) -> f64 {
        self.background_share
    }

    /// Returns the share of a window's calls that one caller may use while others wait.
    #[must_use]
    pub fn caller_share(&self) -> f64 {
        self.caller_share
    }

    /// Returns the limits.
    #[must_use]
    pub fn limits(&self) -> &QuotaLimits {
        &self.limits
    }

    /// Returns how many calls can be sent now; if operations are counted separately, of the operation with the fewest left.
    #[must_use]
    pub fn remaining(&self) -> u32 {
        let now = self.clock.monotonic();
        let mut state = lock(&self.state);
        if state.blocked(now).is_some() {
            return 0;
        }
        let free = state.buckets.values_mut().map(|bucket| bucket.free(now));
        let free = free.min().unwrap_or(self.limits.calls);
        let restored = state.restored.iter().filter(|(_, until)| *until > now);
        let mut counts: HashMap<&str, u32> = HashMap::new();
        restored.for_each(|(bucket, _)| *counts.entry(bucket).or_default() += 1);
        let left =
            |(bucket, count): (&str, u32)| self.limits.calls_of(bucket).saturating_sub(count);
        counts
            .into_iter()
            .map(left)
            .min()
            .map_or(free, |left| left.min(free))
    }

    /// Returns the calls that count at present, to be kept over a restart.
    #[must_use]
    pub fn counted(&self) -> Vec<CountedCall> {
        let now = self.clock.monotonic();
        let window = self.limits.window;
        let mut state = lock(&self.state);
        let mut counted = Vec::new();
        let mut add = |bucket: &str, until: Instant| {
            let left = until.saturating_duration_since(now);
            if !left.is_zero() {
                counted.push(CountedCall {
                    bucket: bucket.to_owned(),
                    // A call without a response yet counts for longer than a window from now.
                    ago: window.saturating_sub(left),
                });
            }
        };
        for (bucket, calls) in &mut state.buckets {
            calls.until().for_each(|until| add(bucket, until));
        }
        for (bucket, until) in &state.restored {
            add(bucket, *until);
        }
        counted
    }

    /// Counts a call of an earlier process that the vendor still counts: one that [`AccountQuota::counted`] returned, `ago` before now. It counts for the rest
    /// of its window, as an interactive call of no caller. One that no window holds any more changes nothing.
    pub fn restore(&self, call: &CountedCall) {
        let left = self.limits.window.saturating_sub(call.ago);
        if left.is_zero() {
            return;
        }
        let until = after(self.clock.monotonic(), left);
        let mut state = lock(&self.state);
        let ticket = state.issue_ticket();
        match state.buckets.get_mut(call.bucket.as_str()) {
            Some(bucket) => bucket.restore(ticket, until),
            // The bucket is made with the first call of this process.
            None => state.restored.push((call.bucket.clone(), until)),
        }
    }

    /// Returns the number of waiting calls.
    #[must_use]
    pub fn waiting(&self) -> usize {
        let state = lock(&self.state);
        state.buckets.values().map(Bucket::waiting).sum()
    }

    /// Returns the share of a window's calls that background calls may use together now: half of it after a throttling, won back evenly over ten windows.
    #[must_use]
    pub fn present_background_share(&self) -> f64 {
        let now = self.clock.monotonic();
        self.share_left(&lock(&self.state), now) * self.background_share
    }

    /// Returns what throttlings have left of the share of background calls, from 0 to 1.
    fn share_left(&self, state: &State, now: Instant) -> f64 {
        let Some((left, since)) = state.reduced else {
            return 1.0;
        };
        let whole = self.limits.window.as_secs_f64() * WINDOWS_TO_RECOVER;
        let spent = now.saturating_duration_since(since).as_secs_f64();
        let part = if whole > 0.0 {
            (spent / whole).min(1.0)
        } else {
            1.0
        };
        left + (1.0 - left) * part
    }

    /// Records that the vendor has throttled a call that was sent at `sent`: halves the share of background calls, and pauses the whole account: for as long as the vendor asks, or for a time that
    /// grows with each throttling after a pause. A part of that time is random, so that several gateways on one account do not continue at the same time.
    pub fn throttled(&self, sent: Instant, hint: Option<Duration>, random: &dyn Random) {
        let now = self.clock.monotonic();
        // A wait of zero is not a usable hint.
        let hint = hint.filter(|hint| !hint.is_zero());
        let mut state = lock(&self.state);
        // The responses to calls that were in flight when the pause began give no new information.
        if hint.is_none() && state.blocked_until.is_some_and(|until| sent < until) {
            return;
        }
        if state.reduced.is_none_or(|(_, since)| sent >= since) {
            state.reduced = Some((self.share_left(&state, now) / 2.0, now));
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
        // Calls that cannot wait that long are refused at once.
        state.wake_all();
    }

    /// Sends no call for so long: the vendor may still count calls that another process has sent.
    pub fn pause(&self, wait: Duration) {
        let until = after(self.clock.monotonic(), wait);
        let mut state = lock(&self.state);
        state.blocked_until = Some(state.blocked_until.map_or(until, |other| other.max(until)));
        // Calls that cannot wait that long are refused at once.
        state.wake_all();
    }

    /// Waits for the permission to send one call, and takes a slot with it. Callers take turns, however many calls each has waiting; the calls of one caller
    /// are served in order. Interactive calls come first, always; background calls take at most their share of a window
    /// ([`AccountQuota::with_background_share`]).
    ///
    /// The call counts from now on: it must be sent at once, or be returned with [`Permit::unused`].
    ///
    /// # Errors
    /// At once, if the call could not end before the deadline after its wait: `throttled` if the wait is for the quota, `unavailable` if it is for a slot; the
    /// error says how long the wait would be. `timeout` if the call need not wait, but calls take longer than the time that is left.
    pub async fn acquire(self: &Arc<Self>, wanted: &PermitRequest<'_>) -> Result<Permit> {
        let caller: Caller = wanted.caller.cloned();
        let mut place: Option<Place> = None;
        loop {
            let (notify, until) = match self.step(wanted, &caller, &mut place)? {
                Step::Granted(permit) => return Ok(permit),
                Step::Again(notify, until) => (notify, until),
            };
            tokio::select! {
                () = self.clock.sleep_until(until) => {}
                () = notify.notified() => {}
            }
        }
    }

    /// Takes a place and a slot if it is the call's turn, queues the call if its turn will come in time, or refuses it.
    fn step(
        self: &Arc<Self>,
        wanted: &PermitRequest<'_>,
        caller: &Caller,
        place: &mut Option<Place>,
    ) -> Result<Step> {
        let (key, calls) = self.limits.bucket(wanted.operation);
        let held_most = self.limits.held(wanted.estimate.timeout);
        let (queued, continues) = (place.is_some(), wanted.log.summary().count > 0);
        let mut state = lock(&self.state);
        let now = self.clock.monotonic();
        let (blocked, present) = (state.blocked(now), state.round);
        let ticket = state.issue_ticket();
        let present_share = self.share_left(&state, now) * self.background_share;
        let shares = (self.caller_share, present_share);
        let new = || Bucket::new(calls, self.limits.window, shares);
        if !state.buckets.contains_key(key) {
            state.make_bucket(key, new());
        }
        let bucket = state.buckets.entry(key).or_insert_with(new);
        bucket.set_background_share(present_share);
        let rank = match place {
            Some(place) => place.rank,
            None => {
                bucket.record(caller, now);
                let continued = continues.then(|| {
                    bucket
                        .in_progress
                        .first_ticket(wanted.log)
                        .unwrap_or(ticket)
                });
                bucket.next_rank(caller, ticket, present, continued)
            }
        };
        let who = (caller, rank, (!continues).then_some(wanted.operation));
        let mut wait = Wait {
            ready: bucket.ready_at(now, blocked, held_most, wanted.priority, who),
            why: Why::Quota,
            margin: match bucket.in_progress.expected(wanted.operation) {
                1 => MARGIN_DIVISOR,
                _ => MARGIN_DIVISOR_OF_SEVERAL,
            },
        };
        if !queued {
            wait = wait.or_slot(state.slot_ready_at(rank, wanted, now));
        } else if wait.ready <= now {
            // The quota has a place for it, so it waits for a slot.
            wait.why = Why::Slots;
        }
        let bucket = state.buckets.entry(key).or_insert_with(new);
        let waited = bucket.in_progress.has_waited(wanted.log);
        wanted
            .check(now, wait, queued, waited)
            .inspect_err(|_| bucket.in_progress.mark_refused(wanted.log))?;
        let place = place.get_or_insert_with(|| Place {
            quota: Arc::clone(self),
            key,
            rank,
            notify: bucket.enqueue(
                rank,
                caller.clone(),
                wanted.slots.clone(),
                (wanted.priority, continues),
            ),
            queued: true,
        });
        let turn = match bucket.turn(rank, now, blocked) {
            Turn::Now => state.turn_for_slot(key, rank, wanted, now),
            later @ Turn::At(_) => later,
        };
        if let Turn::At(instant) = turn {
            let until = instant.min(wanted.last_start());
            return Ok(Step::Again(Arc::clone(&place.notify), until));
        }
        let abandoned_at = after(now, wanted.estimate.timeout);
        let back_at = after(after(now, held_most), self.limits.window);
        state.take(key, rank, (now, abandoned_at, back_at));
        if let Some(bucket) = state.buckets.get_mut(key) {
            bucket.in_progress.record(wanted, rank.request, queued, now);
        }
        wanted.slots.take(now, rank.ticket, abandoned_at);
        state.wake(key, now);
        place.queued = false;
        Ok(Step::Granted(Permit {
            quota: Arc::clone(self),
            slots: wanted.slots.clone(),
            key,
            ticket: rank.ticket,
            sent: now,
            back_at,
            held_most,
            counted: true,
            unused: false,
        }))
    }

    /// Changes a bucket, and notifies the calls whose turn it may be now.
    fn change(&self, key: &'static str, change: impl FnOnce(&mut Bucket)) {
        let mut state = lock(&self.state);
        let now = self.clock.monotonic();
        let present_share = self.share_left(&state, now) * self.background_share;
        if let Some(bucket) = state.buckets.get_mut(key) {
            bucket.set_background_share(present_share);
            change(bucket);
            bucket.wake(now);
        }
    }
}

/// In so many windows after a throttling the share of background calls is what it was.
const WINDOWS_TO_RECOVER: f64 = 10.0;

/// The result of one poll of the queue.
enum Step {
    Granted(Permit),
    /// To poll again when notified, or at this time.
    Again(Arc<Notify>, Instant),
}

/// An estimated wait may turn out to be longer by this fraction (1/16).
const MARGIN_DIVISOR: u32 = 16;

/// As [`MARGIN_DIVISOR`], if requests make several calls: their number and times are less certain.
const MARGIN_DIVISOR_OF_SEVERAL: u32 = 6;

impl PermitRequest<'_> {
    /// Refuses a call that cannot end in time after this wait.
    fn check(
        &self,
        now: Instant,
        Wait { ready, why, margin }: Wait,
        queued: bool,
        waited: bool,
    ) -> Result<()> {
        let wait = ready.saturating_duration_since(now);
        if wait.is_zero() && !queued {
            let estimate = match self.estimate.probe {
                true => Duration::ZERO,
                false => self.estimate.median,
            };
            return match after(now, estimate) <= self.deadline {
                true => Ok(()),
                // Earlier calls of the request have waited, so the vendor is not the only cause.
                false if waited => Err(refusal(self.operation, why, wait)),
                false => Err(slow(self.operation)),
            };
        }
        // Less strict than for a new call: a call that has waited is served as long as it can succeed.
        let (margin, estimate) = match queued {
            true => (Duration::ZERO, self.estimate.median),
            false => (wait / margin, self.estimate.p90),
        };
        let starts = after(ready.max(now), margin);
        match after(starts, estimate) < self.deadline {
            true => Ok(()),
            false => Err(refusal(self.operation, why, wait)),
        }
    }

    /// The latest time at which the call can be sent.
    fn last_start(&self) -> Instant {
        let last = self.deadline.checked_sub(self.estimate.median);
        last.unwrap_or(self.deadline)
    }
}

/// The estimated time at which a call is served, and what it waits for.
#[derive(Clone, Copy, Debug)]
struct Wait {
    ready: Instant,
    why: Why,
    /// The wait may turn out to be longer by this fraction (1/`margin`).
    margin: u32,
}

#[derive(Clone, Copy, Debug)]
enum Why {
    Quota,
    Slots,
}

impl Wait {
    /// Adds the wait for a slot.
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

/// The shortest `Retry-After` of a refusal.
const SHORTEST_WAIT: Duration = Duration::from_secs(1);

fn slow(operation: &'static str) -> Error {
    Error::new(
        ErrorKind::Timeout,
        "the remaining time of this request is shorter than the vendor's current response time",
    )
    .with_operation(operation)
    .with_local()
}

/// Returns half of a duration plus a random part of the other half.
pub(crate) fn half_random(full: Duration, random: &dyn Random) -> Duration {
    let mut bytes = [0_u8; 4];
    // Without randomness, the longest wait is the safe choice.
    let part = random
        .fill(&mut bytes)
        .map_or(u32::MAX, |()| u32::from_be_bytes(bytes));
    let half = full / 2;
    // Not with a floating-point factor: rounding up would overflow for the longest durations.
    let random = half.as_nanos() * u128::from(part) / u128::from(u32::MAX);
    let random = Duration::from_nanos(u64::try_from(random).unwrap_or(u64::MAX)).min(half);
    half.saturating_add(random)
}

impl State {
    /// Makes a bucket, with the calls of an earlier process.
    fn make_bucket(&mut self, key: &'static str, mut bucket: Bucket) {
        for (of, until) in std::mem::take(&mut self.restored) {
            if of == key {
                let ticket = self.issue_ticket();
                bucket.restore(ticket, until);
            } else {
                self.restored.push((of, until));
            }
        }
        self.buckets.insert(key, bucket);
    }

    fn blocked(&self, now: Instant) -> Option<Instant> {
        self.blocked_until.filter(|until| *until > now)
    }

    fn issue_ticket(&mut self) -> u64 {
        self.next_ticket += 1;
        self.next_ticket
    }

    /// Whether a call whose turn it is in its bucket may take a slot. Earlier calls of other operations for the same slots come first.
    fn turn_for_slot(
        &mut self,
        key: &'static str,
        rank: Rank,
        wanted: &PermitRequest<'_>,
        now: Instant,
    ) -> Turn {
        let free = wanted.slots.free();
        let order = Before::new(wanted.slots, wanted.priority, rank);
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

    /// Estimates when there is a slot for a new call.
    fn slot_ready_at(&mut self, rank: Rank, wanted: &PermitRequest<'_>, now: Instant) -> Instant {
        if wanted.slots.are_plenty() {
            return now;
        }
        let order = Before::new(wanted.slots, wanted.priority, rank);
        let buckets = self.buckets.values_mut();
        let ahead = buckets.map(|bucket| bucket.count_before(&order, now));
        wanted
            .slots
            .ready_at(now, ahead.fold(0, u32::saturating_add))
    }

    /// Counts a call that is sent now.
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

/// A place in the queue; released when the call is cancelled.
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

/// A call that counts, and its slot.
///
/// If it is dropped without [`Permit::answered`], as when a caller disconnects during a call, the call counts as one without a response; the slot is free at
/// once.
#[derive(Debug)]
pub struct Permit {
    quota: Arc<AccountQuota>,
    slots: Slots,
    key: &'static str,
    ticket: u64,
    sent: Instant,
    /// When the call stops counting at the latest.
    back_at: Instant,
    /// How much longer than a window it counts at most.
    held_most: Duration,
    /// Whether the end of the call has not been recorded yet.
    counted: bool,
    /// Whether it was not sent after all.
    unused: bool,
}

impl Permit {
    /// Records the response. `accepted` is false if the vendor throttled the call.
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
            // The response to a call from before the pause does not show that the pause has helped.
            if state.blocked_until.is_none_or(|until| self.sent >= until) {
                state.throttles = 0;
            }
        }
    }

    /// Returns the permit: the call was not sent, so it does not count.
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
        // Calls that wait for a slot are in the queues of all operations.
        for bucket in state.buckets.values_mut() {
            bucket.wake(now);
        }
    }
}

#[cfg(test)]
mod share_tests;

#[cfg(test)]
mod slots_tests;

#[cfg(test)]
mod tests;
