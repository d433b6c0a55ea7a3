//! Quotas as the vendor counts them.
//!
//! A vendor counts a call when it arrives, some time between being sent and being answered. So a permit comes back one window after the
//! call's answer or after `margin` from its sending, whichever is earlier: then no window of that length ever holds more calls than the quota *as
//! the vendor sees it*, as long as a call arrives within the margin. Counting by the sending clock alone overruns whenever one call travels
//! faster than the one before.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use ota_core::clock::Clock;
use ota_core::context::Priority;
use ota_core::{Error, ErrorKind, Result};
use tokio::sync::Notify;

/// How many interactive callers are let through in a row while background callers wait.
const INTERACTIVE_IN_A_ROW: u32 = 7;

/// The figures of a quota.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QuotaLimits {
    /// Calls in one window.
    pub calls: u32,
    /// Length of the window.
    pub window: Duration,
    /// The longest time that a call is taken to travel.
    pub margin: Duration,
    /// What is counted together.
    pub scope: QuotaScope,
}

/// What a vendor counts together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QuotaScope {
    /// Each operation of the account by itself.
    Operation,
    /// All calls of the account.
    Account,
}

/// The quota of one vendor account; providers with the same account share one.
#[derive(Debug)]
pub struct AccountQuota {
    limits: QuotaLimits,
    clock: Arc<dyn Clock>,
    buckets: Mutex<HashMap<&'static str, Arc<Bucket>>>,
    /// No call is sent before this, whatever is left: the vendor has said "slow down".
    blocked_until: Mutex<Option<Instant>>,
}

impl AccountQuota {
    /// Creates the quota of an account that has made no call yet.
    #[must_use]
    pub fn new(limits: QuotaLimits, clock: Arc<dyn Clock>) -> Self {
        Self {
            limits,
            clock,
            buckets: Mutex::default(),
            blocked_until: Mutex::default(),
        }
    }

    /// Returns the figures.
    #[must_use]
    pub fn limits(&self) -> QuotaLimits {
        self.limits
    }

    /// Returns how many calls can be sent now; where operations are counted each by itself, of the operation that has the fewest left.
    #[must_use]
    pub fn remaining(&self) -> u32 {
        let now = self.clock.monotonic();
        if self.blocked(now).is_some() {
            return 0;
        }
        let buckets: Vec<Arc<Bucket>> = lock(&self.buckets).values().cloned().collect();
        buckets
            .iter()
            .map(|bucket| lock(&bucket.state).free(now))
            .min()
            .unwrap_or(self.limits.calls)
    }

    /// Sends nothing of the account for a while.
    pub fn block_until(&self, instant: Instant) {
        let mut blocked = lock(&self.blocked_until);
        *blocked = Some(blocked.map_or(instant, |other| other.max(instant)));
    }

    fn blocked(&self, now: Instant) -> Option<Instant> {
        lock(&self.blocked_until).filter(|until| *until > now)
    }

    /// Waits for the right to send one call. Callers are served in the order of their coming, interactive ones first.
    ///
    /// # Errors
    /// `throttled`, at once, when the wait would pass `deadline`; the error says how long the wait would be.
    pub async fn acquire(
        &self,
        operation: &'static str,
        priority: Priority,
        deadline: Instant,
    ) -> Result<Permit> {
        let bucket = self.bucket(operation);
        let now = self.clock.monotonic();
        let mut place = {
            let mut state = lock(&bucket.state);
            let ready = state
                .ready_at(now, priority)
                .max(self.blocked(now).unwrap_or(now));
            if ready > now && ready >= deadline {
                return Err(Error::new(
                    ErrorKind::Throttled,
                    "the vendor's quota is used up for longer than this request may wait",
                )
                .with_operation(operation)
                .with_retry_after(ready.saturating_duration_since(now)));
            }
            state.enqueue(&bucket, priority)
        };
        loop {
            let now = self.clock.monotonic();
            let blocked = self.blocked(now);
            let wait = {
                let mut state = lock(&bucket.state);
                state.forget(now);
                if state.head() != Some(place.ticket) {
                    None
                } else if blocked.is_none() && state.free(now) > 0 {
                    state.take_head();
                    place.queued = false;
                    drop(state);
                    bucket.wake_head();
                    return Ok(Permit {
                        bucket,
                        clock: Arc::clone(&self.clock),
                        state: PermitState::Held,
                    });
                } else {
                    Some(state.next_release(now).max(blocked))
                }
            };
            if now >= deadline {
                return Err(Error::new(
                    ErrorKind::Throttled,
                    "the vendor's quota was used up for as long as this request could wait",
                )
                .with_operation(operation));
            }
            let until = wait
                .flatten()
                .map_or(deadline, |instant| instant.min(deadline));
            tokio::select! {
                () = self.clock.sleep_until(until) => {}
                () = place.notify.notified() => {}
            }
        }
    }

    fn bucket(&self, operation: &'static str) -> Arc<Bucket> {
        let key = match self.limits.scope {
            QuotaScope::Operation => operation,
            QuotaScope::Account => "",
        };
        Arc::clone(lock(&self.buckets).entry(key).or_insert_with(|| {
            Arc::new(Bucket {
                limits: self.limits,
                state: Mutex::new(State::new(self.limits.calls)),
            })
        }))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[derive(Debug)]
struct Bucket {
    limits: QuotaLimits,
    state: Mutex<State>,
}

impl Bucket {
    fn wake_head(&self) {
        let state = lock(&self.state);
        if let Some(waiter) = state.head_waiter() {
            waiter.notify.notify_one();
        }
    }
}

#[derive(Debug)]
struct State {
    calls: u32,
    /// Permits that were given and whose call was not sent yet.
    held: u32,
    /// When each sent call's permit comes back.
    sent: Vec<(u64, Instant)>,
    interactive: VecDeque<Waiter>,
    background: VecDeque<Waiter>,
    /// Interactive callers served in a row while background callers waited.
    in_a_row: u32,
    next: u64,
}

#[derive(Debug)]
struct Waiter {
    ticket: u64,
    notify: Arc<Notify>,
}

impl State {
    fn new(calls: u32) -> Self {
        Self {
            calls: calls.max(1),
            held: 0,
            sent: Vec::new(),
            interactive: VecDeque::new(),
            background: VecDeque::new(),
            in_a_row: 0,
            next: 0,
        }
    }

    fn forget(&mut self, now: Instant) {
        self.sent.retain(|(_, back_at)| *back_at > now);
    }

    fn free(&self, now: Instant) -> u32 {
        let sent = self
            .sent
            .iter()
            .filter(|(_, back_at)| *back_at > now)
            .count();
        self.calls
            .saturating_sub(self.held)
            .saturating_sub(u32::try_from(sent).unwrap_or(u32::MAX))
    }

    fn next_release(&self, now: Instant) -> Option<Instant> {
        self.sent
            .iter()
            .map(|(_, back_at)| *back_at)
            .filter(|back_at| *back_at > now)
            .min()
    }

    /// Estimates when a caller who comes now is served: after everybody before him.
    fn ready_at(&self, now: Instant, priority: Priority) -> Instant {
        let ahead = match priority {
            Priority::Interactive => {
                self.interactive.len() + self.interactive.len() / INTERACTIVE_IN_A_ROW as usize
            }
            Priority::Background => self.interactive.len() + self.background.len(),
        };
        let ahead = ahead.min(self.interactive.len() + self.background.len());
        let free = self.free(now) as usize;
        if ahead < free {
            return now;
        }
        // The calls of a window come back together; whoever is behind them waits for whole windows more.
        let mut releases: Vec<Instant> = self
            .sent
            .iter()
            .map(|(_, back_at)| *back_at)
            .filter(|back_at| *back_at > now)
            .collect();
        releases.sort_unstable();
        let Some(last) = releases.last().copied() else {
            return now;
        };
        let place = ahead - free;
        match releases.get(place) {
            Some(release) => *release,
            None => {
                let cycle = last.saturating_duration_since(now);
                let cycles = place / (self.calls as usize);
                last + cycle * u32::try_from(cycles).unwrap_or(u32::MAX)
            }
        }
    }

    fn enqueue(&mut self, bucket: &Arc<Bucket>, priority: Priority) -> Place {
        let notify = Arc::new(Notify::new());
        let ticket = self.next;
        self.next += 1;
        let waiter = Waiter {
            ticket,
            notify: Arc::clone(&notify),
        };
        match priority {
            Priority::Interactive => self.interactive.push_back(waiter),
            Priority::Background => self.background.push_back(waiter),
        }
        Place {
            bucket: Arc::clone(bucket),
            ticket,
            notify,
            queued: true,
        }
    }

    fn background_is_due(&self) -> bool {
        self.interactive.is_empty()
            || (!self.background.is_empty() && self.in_a_row >= INTERACTIVE_IN_A_ROW)
    }

    fn head_waiter(&self) -> Option<&Waiter> {
        match self.background_is_due() {
            true => self.background.front(),
            false => self.interactive.front(),
        }
    }

    fn head(&self) -> Option<u64> {
        self.head_waiter().map(|waiter| waiter.ticket)
    }

    fn take_head(&mut self) {
        if self.background_is_due() {
            self.background.pop_front();
            self.in_a_row = 0;
        } else {
            self.interactive.pop_front();
            self.in_a_row = if self.background.is_empty() {
                0
            } else {
                self.in_a_row + 1
            };
        }
        self.held += 1;
    }
}

/// A caller's place in the queue; given up when the caller goes away.
#[derive(Debug)]
struct Place {
    bucket: Arc<Bucket>,
    ticket: u64,
    notify: Arc<Notify>,
    queued: bool,
}

impl Drop for Place {
    fn drop(&mut self) {
        if !self.queued {
            return;
        }
        {
            let mut state = lock(&self.bucket.state);
            state
                .interactive
                .retain(|waiter| waiter.ticket != self.ticket);
            state
                .background
                .retain(|waiter| waiter.ticket != self.ticket);
        }
        self.bucket.wake_head();
    }
}

/// The right to send one call.
///
/// Dropped before [`Permit::sent`] it costs nothing; dropped after it, as when a caller goes away in the middle of a call, it comes back
/// as if the call was never answered.
#[derive(Debug)]
pub struct Permit {
    bucket: Arc<Bucket>,
    clock: Arc<dyn Clock>,
    state: PermitState,
}

#[derive(Debug, PartialEq)]
enum PermitState {
    Held,
    Sent(u64),
    Done,
}

impl Permit {
    /// Notes that the call leaves now.
    pub fn sent(&mut self) {
        let back_at =
            self.clock.monotonic() + self.bucket.limits.margin + self.bucket.limits.window;
        let mut state = lock(&self.bucket.state);
        if self.state == PermitState::Held {
            let id = state.next;
            state.next += 1;
            state.held = state.held.saturating_sub(1);
            state.sent.push((id, back_at));
            self.state = PermitState::Sent(id);
        }
    }

    /// Notes that the call's answer has come.
    pub fn answered(mut self) {
        let back_at = self.clock.monotonic() + self.bucket.limits.window;
        if let PermitState::Sent(id) = self.state {
            let mut state = lock(&self.bucket.state);
            if let Some((_, known)) = state.sent.iter_mut().find(|(of, _)| *of == id) {
                *known = back_at.min(*known);
            }
            self.state = PermitState::Done;
        }
        // Whoever waits for the next release has a nearer one now.
        self.bucket.wake_head();
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if self.state == PermitState::Held {
            {
                let mut state = lock(&self.bucket.state);
                state.held = state.held.saturating_sub(1);
            }
            self.bucket.wake_head();
        }
    }
}

#[cfg(test)]
mod tests;
