//! A bucket of the quota: the calls of the current window, and the queue of calls that wait for a place in it.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use ota_core::clock::after;
use ota_core::context::Priority;
use tokio::sync::Notify;

use crate::in_progress::RequestsInProgress;
use crate::latency::{INITIAL_ESTIMATE, LatencyHistory, estimated_end};
use crate::slots::{FreeSlots, Slots};

/// How long a notified waiter may take before the calls behind it pass. A future that is polled reacts within microseconds; one that is no longer polled
/// must not block the others.
const GRACE: Duration = Duration::from_millis(100);

/// How often a waiter checks its turn without a notification, in case that the earlier waiters are no longer polled.
const RECHECK_INTERVAL: Duration = Duration::from_secs(1);

/// The caller that a call is made for, if known: callers share the quota.
pub(crate) type Caller = Option<Arc<str>>;

/// The place of a call in the order of service.
///
/// Start-time fair queueing with calls of equal cost: each caller has one call per round, so that a call waits for one call of every other caller and not for
/// all of them. A caller's first call is in the current round. Within a round, the calls of the oldest request come first, so that requests end one after the
/// other and not all of them late.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Rank {
    pub(crate) round: u64,
    /// The ticket of the first call of its request.
    pub(crate) request: u64,
    pub(crate) ticket: u64,
}

/// A call in the queue.
#[derive(Debug)]
pub(crate) struct Waiter {
    rank: Rank,
    caller: Caller,
    slots: Slots,
    /// Whether its request has already made calls.
    continues: bool,
    pub(crate) notify: Arc<Notify>,
    /// When it was first notified that it is its turn.
    called: Option<Instant>,
}

impl Waiter {
    pub(crate) fn new(rank: Rank, caller: Caller, slots: Slots, continues: bool) -> Self {
        Self {
            rank,
            caller,
            slots,
            continues,
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

/// Selects the calls that come before a call for the same slots.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Before<'a> {
    slots: &'a Slots,
    priority: Priority,
    rank: Rank,
}

impl<'a> Before<'a> {
    /// Selects the calls that come before a call of this priority and rank.
    pub(crate) fn new(slots: &'a Slots, priority: Priority, rank: Rank) -> Self {
        Self {
            slots,
            priority,
            rank,
        }
    }

    fn holds(&self, waiter: &Waiter, priority: Priority) -> bool {
        let earlier = match priority == self.priority {
            true => waiter.rank < self.rank,
            false => priority == Priority::Interactive,
        };
        earlier && waiter.slots.is(self.slots)
    }
}

/// When a call may be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    /// Now.
    Now,
    /// Not yet; it checks again at this time, or when it is notified.
    At(Instant),
}

/// For how many windows after a caller's last call the other callers are limited to their share.
const SHARE_WINDOWS: u32 = 3;

/// The two most recent callers, to know whether there is only one caller.
#[derive(Debug, Default)]
struct Recent {
    last: Option<(Caller, Instant)>,
    /// The most recent call of another caller.
    other: Option<(Caller, Instant)>,
}

impl Recent {
    fn record(&mut self, caller: &Caller, now: Instant) {
        match &mut self.last {
            Some((last, at)) if last == caller => *at = now,
            last => {
                let before = last.replace((caller.clone(), now));
                self.other = before;
            }
        }
    }

    /// Whether no other caller has made a call since then.
    fn is_alone(&self, caller: &Caller, since: Instant) -> bool {
        let seen = [&self.last, &self.other].into_iter().flatten();
        !seen
            .filter(|(other, _)| other != caller)
            .any(|(_, at)| *at >= since)
    }
}

/// The calls of one caller in a bucket.
#[derive(Debug, Default)]
struct Account {
    /// Calls that count in the window.
    sent: usize,
    /// Calls that wait.
    waiting: usize,
    /// The round of the last one that waits.
    last_round: u64,
}

/// The calls that the vendor counts together, and their queue.
#[derive(Debug)]
pub(crate) struct Bucket {
    calls: u32,
    window: Duration,
    /// The maximum of them that one caller may have in a window while others wait.
    each: usize,
    recent: Recent,
    /// The calls sent, by the latest time at which they stop counting, and ticket.
    sent: BTreeMap<(Instant, u64), Sent>,
    /// By rank.
    interactive: VecDeque<Waiter>,
    background: VecDeque<Waiter>,
    accounts: HashMap<Caller, Account>,
    /// The maximum of a window's calls that background calls may have together.
    background_most: usize,
    /// Those of them that count in the window.
    background_sent: usize,
    /// How much longer than a window recent calls have counted.
    held: LatencyHistory,
    /// The requests whose calls count here.
    pub(crate) in_progress: RequestsInProgress,
}

/// A call that counts.
#[derive(Debug)]
struct Sent {
    caller: Caller,
    priority: Priority,
    at: Instant,
    /// When the call is abandoned.
    abandoned_at: Instant,
    answered: bool,
}

impl Bucket {
    /// Creates a bucket with this number of calls per window, of which one caller may have the first share while others wait, and background calls the second.
    pub(crate) fn new(
        calls: u32,
        window: Duration,
        (caller_share, background_share): (f64, f64),
    ) -> Self {
        let calls = calls.max(1);
        Self {
            calls,
            window,
            each: each(calls, caller_share),
            recent: Recent::default(),
            sent: BTreeMap::new(),
            interactive: VecDeque::new(),
            background: VecDeque::new(),
            accounts: HashMap::new(),
            background_most: each(calls, background_share),
            background_sent: 0,
            held: LatencyHistory::default(),
            in_progress: RequestsInProgress::default(),
        }
    }

    /// Sets the share of a window's calls that background calls may have together from now on.
    pub(crate) fn set_background_share(&mut self, share: f64) {
        self.background_most = each(self.calls, share);
    }

    pub(crate) fn waiting(&self) -> usize {
        self.interactive.len() + self.background.len()
    }

    /// Whether no state is held of callers without counted or waiting calls.
    #[cfg(test)]
    pub(crate) fn has_no_idle_callers(&self) -> bool {
        self.accounts.is_empty() && self.sent.is_empty()
    }

    /// Returns how many calls can be sent now.
    pub(crate) fn free(&mut self, now: Instant) -> u32 {
        while let Some(first) = self.sent.first_entry()
            && first.key().0 <= now
        {
            let sent = first.remove();
            self.forget(&sent);
        }
        let counted = u32::try_from(self.sent.len()).unwrap_or(u32::MAX);
        self.calls.saturating_sub(counted)
    }

    /// Returns until when each call counts.
    pub(crate) fn until(&self) -> impl Iterator<Item = Instant> {
        self.sent.keys().map(|(until, _)| *until)
    }

    /// Counts a call of an earlier process until this time.
    pub(crate) fn restore(&mut self, ticket: u64, until: Instant) {
        self.accounts.entry(None).or_default().sent += 1;
        let sent = Sent {
            caller: None,
            priority: Priority::Interactive,
            at: until,
            abandoned_at: until,
            answered: true,
        };
        self.sent.insert((until, ticket), sent);
    }

    /// Takes a call that counts no more out of what its caller and its priority have sent.
    fn forget(&mut self, sent: &Sent) {
        self.settle(&sent.caller, |account| account.sent -= 1);
        if sent.priority == Priority::Background {
            self.background_sent = self.background_sent.saturating_sub(1);
        }
    }

    /// Changes a caller's account, and removes it if it is empty.
    fn settle(&mut self, caller: &Caller, change: impl FnOnce(&mut Account)) {
        if let Some(account) = self.accounts.get_mut(caller) {
            change(account);
            if account.sent == 0 && account.waiting == 0 {
                self.accounts.remove(caller);
            }
        }
    }

    /// Returns the rank of a caller's next call. A call that continues a request is in the current round, before the caller's other calls; the other callers
    /// still have their turns.
    pub(crate) fn next_rank(
        &self,
        caller: &Caller,
        ticket: u64,
        present: u64,
        continued: Option<u64>,
    ) -> Rank {
        let account = self.accounts.get(caller);
        let last = account.filter(|account| account.waiting > 0 && continued.is_none());
        let round = last.map_or(present, |account| {
            present.max(account.last_round.saturating_add(1))
        });
        let request = continued.unwrap_or(ticket);
        Rank {
            round,
            request,
            ticket,
        }
    }

    /// Returns how many of the window's calls a caller may have. Calls without a caller are not limited.
    fn most(&self, caller: &Caller, now: Instant) -> usize {
        let all = self.calls as usize;
        if caller.is_none() || self.each >= all {
            return all;
        }
        let since = now.checked_sub(self.window.saturating_mul(SHARE_WINDOWS));
        match since.is_some_and(|since| self.recent.is_alone(caller, since)) {
            true => all,
            false => self.each,
        }
    }

    /// Whether a caller may have another call in the window.
    fn may_send(&self, caller: &Caller, now: Instant) -> bool {
        let sent = self.accounts.get(caller).map_or(0, |account| account.sent);
        sent < self.most(caller, now)
    }

    /// Records that a caller makes a call.
    pub(crate) fn record(&mut self, caller: &Caller, now: Instant) {
        self.recent.record(caller, now);
    }

    /// Puts a caller's call into the queue.
    pub(crate) fn enqueue(
        &mut self,
        rank: Rank,
        caller: Caller,
        slots: Slots,
        (priority, continues): (Priority, bool),
    ) -> Arc<Notify> {
        let account = self.accounts.entry(caller.clone()).or_default();
        account.last_round = match account.waiting {
            0 => rank.round,
            // A call that continues a request also counts as a turn of its caller: later calls of the caller wait for it.
            _ => rank.round.max(account.last_round.saturating_add(1)),
        };
        account.waiting += 1;
        slots.enter();
        let waiter = Waiter::new(rank, caller, slots, continues);
        let notify = Arc::clone(&waiter.notify);
        let queue = match priority {
            Priority::Interactive => &mut self.interactive,
            Priority::Background => &mut self.background,
        };
        let at = queue.partition_point(|before| before.rank < rank);
        queue.insert(at, waiter);
        notify
    }

    pub(crate) fn leave(&mut self, rank: Rank) {
        self.remove(rank);
    }

    fn waiter(&mut self, rank: Rank) -> Option<&mut Waiter> {
        for queue in [&mut self.interactive, &mut self.background] {
            if let Ok(index) = queue.binary_search_by_key(&rank, |waiter| waiter.rank) {
                return queue.get_mut(index);
            }
        }
        None
    }

    fn remove(&mut self, rank: Rank) -> Option<(Priority, Caller)> {
        let find =
            |queue: &VecDeque<Waiter>| queue.binary_search_by_key(&rank, |waiter| waiter.rank);
        let (waiter, priority) = if let Ok(index) = find(&self.interactive) {
            (self.interactive.remove(index)?, Priority::Interactive)
        } else {
            let index = find(&self.background).ok()?;
            (self.background.remove(index)?, Priority::Background)
        };
        waiter.slots.leave();
        self.settle(&waiter.caller, |account| account.waiting -= 1);
        Some((priority, waiter.caller))
    }

    /// Counts a call that is sent at `at`, is abandoned at `abandoned_at`, and stops counting at `back_at` at the latest.
    pub(crate) fn take(
        &mut self,
        rank: Rank,
        (at, abandoned_at, back_at): (Instant, Instant, Instant),
    ) {
        let (priority, caller) = self.remove(rank).unwrap_or((Priority::Interactive, None));
        self.accounts.entry(caller.clone()).or_default().sent += 1;
        self.background_sent += usize::from(priority == Priority::Background);
        let sent = Sent {
            caller,
            priority,
            at,
            abandoned_at,
            answered: false,
        };
        self.sent.insert((back_at, rank.ticket), sent);
    }

    /// Records the response to a call that was to count until `known`: it counts until `back_at`, if that is earlier.
    pub(crate) fn answered(
        &mut self,
        ticket: u64,
        known: Instant,
        back_at: Instant,
        held: Duration,
    ) {
        self.held.record(held);
        if let Some(mut sent) = self.sent.remove(&(known, ticket)) {
            sent.answered = true;
            self.sent.insert((back_at.min(known), ticket), sent);
        }
    }

    /// Records that a call gets no response; it counts until the latest time.
    pub(crate) fn lost(&mut self, held: Duration) {
        self.held.record(held);
    }

    /// Removes a call that was not sent after all and was to count until `known`.
    pub(crate) fn unused(&mut self, ticket: u64, known: Instant) {
        if let Some(sent) = self.sent.remove(&(known, ticket)) {
            self.forget(&sent);
        }
    }

    /// Estimates when a call stops counting that does so at `latest` at the latest.
    fn back_at(&self, latest: Instant, sent: &Sent, now: Instant) -> Instant {
        if sent.answered {
            return latest;
        }
        let usual = self.held.median().unwrap_or(INITIAL_ESTIMATE);
        let end = estimated_end(sent.at, now, usual, sent.abandoned_at);
        after(end, self.window).min(latest)
    }

    /// Whether a call can be sent as soon as the window has a place, with the slots that earlier calls leave free.
    fn is_ready(
        &self,
        (waiter, priority): (&Waiter, Priority),
        (slots, background): (&mut FreeSlots, usize),
        now: Instant,
    ) -> bool {
        let within_share = priority == Priority::Interactive
            || self.background_sent + background < self.background_most;
        within_share && slots.any(&waiter.slots) && self.may_send(&waiter.caller, now)
    }

    /// Returns when a queued call may be sent, and notifies the earlier calls whose turn it is.
    pub(crate) fn turn(&mut self, rank: Rank, now: Instant, blocked: Option<Instant>) -> Turn {
        if let Some(waiter) = self.waiter(rank) {
            // This waiter has been polled since its notification; the next notification must wake it again.
            waiter.called = None;
        }
        if let Some(until) = blocked {
            return Turn::At(until);
        }
        let mut left = self.free(now);
        let release = self
            .sent
            .first_key_value()
            .map(|((back_at, _), _)| *back_at);
        let mut again = release;
        if left > 0 {
            let (mut order, mut slots, mut background) =
                (Order::default(), FreeSlots::default(), 0);
            while let Some(next) = order.next(self) {
                let Some(waiter) = self.at(next) else { break };
                let ready = self.is_ready((waiter, next.0), (&mut slots, background), now);
                if waiter.rank == rank {
                    return match ready {
                        true => Turn::Now,
                        // It is notified when a slot or a place of its caller becomes free; the earlier calls may not react.
                        false => {
                            let at = again.map_or(now + RECHECK_INTERVAL, |at| {
                                at.min(now + RECHECK_INTERVAL)
                            });
                            Turn::At(at.max(now))
                        }
                    };
                }
                if !ready {
                    continue;
                }
                let Some(waiter) = self.at_mut(next) else {
                    break;
                };
                let passed_at = after(waiter.call(now), GRACE);
                if passed_at <= now {
                    continue;
                }
                slots.take(&waiter.slots);
                background += usize::from(next.0 == Priority::Background);
                again = Some(again.map_or(passed_at, |again| again.min(passed_at)));
                left -= 1;
                if left == 0 {
                    break;
                }
            }
        }
        let near = self.place(rank) <= 2 * self.calls as usize;
        // A response frees its place earlier; the head of the queue is then notified.
        match again {
            Some(again) if near => Turn::At(again.min(now + RECHECK_INTERVAL)),
            _ => Turn::At(now + RECHECK_INTERVAL),
        }
    }

    /// Notifies the calls whose turn it is in this bucket and that come before a call of another operation for the same slots. Returns their number, and until
    /// when one of them may still react.
    pub(crate) fn call_before(
        &mut self,
        before: &Before<'_>,
        now: Instant,
    ) -> (u32, Option<Instant>) {
        let mut left = self.free(now);
        let (mut count, mut until) = (0, None);
        let (mut order, mut slots, mut background) = (Order::default(), FreeSlots::default(), 0);
        while left > 0
            && let Some(next) = order.next(self)
        {
            let Some(waiter) = self.at(next) else { break };
            if !self.is_ready((waiter, next.0), (&mut slots, background), now) {
                continue;
            }
            let comes_first = before.holds(waiter, next.0);
            let Some(waiter) = self.at_mut(next) else {
                break;
            };
            let passed_at = match comes_first {
                true => after(waiter.call(now), GRACE),
                false => after(now, GRACE),
            };
            if passed_at <= now {
                continue;
            }
            slots.take(&waiter.slots);
            background += usize::from(next.0 == Priority::Background);
            left -= 1;
            if comes_first {
                count += 1;
                until = Some(until.map_or(passed_at, |until: Instant| until.min(passed_at)));
            }
        }
        (count, until)
    }

    /// Counts the calls that lack only a slot and come before another call for the same slots.
    pub(crate) fn count_before(&mut self, before: &Before<'_>, now: Instant) -> u32 {
        let free = self.free(now);
        if free == 0 {
            return 0;
        }
        let of = |queue: &VecDeque<Waiter>, priority| {
            let waiting = queue.iter().filter(|waiter| before.holds(waiter, priority));
            u32::try_from(waiting.count()).unwrap_or(u32::MAX)
        };
        let interactive = of(&self.interactive, Priority::Interactive);
        let background = of(&self.background, Priority::Background);
        interactive.saturating_add(background).min(free)
    }

    fn at(&self, (priority, index): (Priority, usize)) -> Option<&Waiter> {
        match priority {
            Priority::Interactive => self.interactive.get(index),
            Priority::Background => self.background.get(index),
        }
    }

    fn at_mut(&mut self, (priority, index): (Priority, usize)) -> Option<&mut Waiter> {
        match priority {
            Priority::Interactive => self.interactive.get_mut(index),
            Priority::Background => self.background.get_mut(index),
        }
    }

    /// Counts the calls that are served before a rank, if the background queue followed the interactive one.
    fn place(&self, rank: Rank) -> usize {
        let find =
            |queue: &VecDeque<Waiter>| queue.binary_search_by_key(&rank, |waiter| waiter.rank);
        match find(&self.interactive) {
            Ok(index) => index,
            Err(_) => self.interactive.len() + find(&self.background).unwrap_or_else(|index| index),
        }
    }

    /// Notifies the calls whose turn it is, and always the first one: the time that it waits for may have changed.
    pub(crate) fn wake(&mut self, now: Instant) {
        let mut left = self.free(now);
        let mut first = true;
        let (mut order, mut slots, mut background) = (Order::default(), FreeSlots::default(), 0);
        while let Some(next) = order.next(self) {
            let Some(waiter) = self.at(next) else { return };
            if !self.is_ready((waiter, next.0), (&mut slots, background), now) {
                continue;
            }
            let Some(waiter) = self.at_mut(next) else {
                return;
            };
            if left > 0 {
                waiter.call(now);
                slots.take(&waiter.slots);
                background += usize::from(next.0 == Priority::Background);
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

    /// Notifies all waiters, so that they check again.
    pub(crate) fn wake_all(&self) {
        for waiter in self.interactive.iter().chain(&self.background) {
            waiter.notify.notify_one();
        }
    }

    /// Estimates when a call of this rank is served, after all earlier calls; for the `first` call of a request, when its last call is served.
    ///
    /// Each earlier call takes a place when one becomes free, and holds it for a window and the time beyond it that recent calls have counted; if that time is
    /// not known, for `held_most` at most.
    pub(crate) fn ready_at(
        &mut self,
        now: Instant,
        blocked: Option<Instant>,
        held_most: Duration,
        priority: Priority,
        (caller, rank, first): (&Caller, Rank, Option<&'static str>),
    ) -> Instant {
        let free = self.free(now) as usize;
        let begin = blocked.unwrap_or(now).max(now);
        let before = |queue: &VecDeque<Waiter>| queue.partition_point(|waiter| waiter.rank < rank);
        let ahead = match priority {
            Priority::Interactive => before(&self.interactive),
            Priority::Background => before(&self.background) + self.interactive.len(),
        };
        let held = self.held.mean().unwrap_or(INITIAL_ESTIMATE.min(held_most));
        let round = self.window.saturating_add(held);
        let ahead = match first {
            Some(operation) => self.until_ended(ahead, operation, rank, now),
            None => ahead,
        };
        let own = self
            .own_turn(caller, rank, now, (begin, round))
            .max(self.background_turn(priority, rank, now, (begin, round)));
        if ahead < free {
            return own;
        }
        let mut places: BinaryHeap<Reverse<Instant>> = self
            .sent
            .iter()
            .map(|((latest, _), sent)| Reverse(self.back_at(*latest, sent, now).max(begin)))
            .collect();
        places.extend(std::iter::repeat_n(Reverse(after(begin, round)), free));
        let mut served = begin;
        for _ in free..=ahead {
            let Some(Reverse(place)) = places.pop() else {
                break;
            };
            served = place;
            places.push(Reverse(after(place, round)));
        }
        served.max(own)
    }

    /// Returns how many calls are sent before the last call of a request that begins with this operation and has this many calls before it: the remaining
    /// calls of earlier requests, and all of its own calls but one.
    fn until_ended(
        &mut self,
        ahead: usize,
        operation: &'static str,
        rank: Rank,
        now: Instant,
    ) -> usize {
        let own = self.in_progress.expected(operation);
        // If no request is before it, a partial result is still useful: the rows read before the quota is used up are returned.
        if ahead == 0 && self.in_progress.is_empty(now) {
            return 0;
        }
        // Waiting calls that continue a request are among the remaining calls of that request.
        let waiting = self.interactive.iter().chain(&self.background);
        let continued = waiting.filter(|waiter| waiter.continues && waiter.rank < rank);
        let firsts = ahead.saturating_sub(continued.count());
        let before = firsts.saturating_mul(own);
        let before = before
            .saturating_add(self.in_progress.remaining_calls(now))
            .max(ahead);
        before.saturating_add(own - 1)
    }

    /// Estimates when the share of background calls allows a call of this rank.
    fn background_turn(
        &self,
        priority: Priority,
        rank: Rank,
        now: Instant,
        times: (Instant, Duration),
    ) -> Instant {
        if priority == Priority::Interactive || self.background_most >= self.calls as usize {
            return times.0;
        }
        let before = self.background.partition_point(|waiter| waiter.rank < rank);
        let over = (self.background_sent + before + 1).saturating_sub(self.background_most);
        let sent = self.sent.iter();
        let own = sent.filter(|(_, sent)| sent.priority == Priority::Background);
        let back: Vec<Instant> = own
            .map(|((latest, _), sent)| self.back_at(*latest, sent, now))
            .collect();
        turn_of(back, (over, self.background_most), times)
    }

    /// Estimates when the caller's share allows a call of this rank.
    fn own_turn(
        &self,
        caller: &Caller,
        rank: Rank,
        now: Instant,
        (begin, round): (Instant, Duration),
    ) -> Instant {
        let (Some(account), true) = (self.accounts.get(caller), caller.is_some()) else {
            return begin;
        };
        // Most callers are far below their share; then nothing needs to be counted.
        let most = self.most(caller, now);
        if account.sent + account.waiting < most {
            return begin;
        }
        let own = |waiter: &&Waiter| waiter.rank < rank && waiter.caller == *caller;
        let waiting = self.interactive.iter().chain(&self.background);
        let over = (account.sent + waiting.filter(own).count() + 1).saturating_sub(most);
        if over == 0 {
            return begin;
        }
        let own = self.sent.iter().filter(|(_, sent)| sent.caller == *caller);
        let own = own.map(|((latest, _), sent)| self.back_at(*latest, sent, now));
        turn_of(own.collect(), (over, most), (begin, round))
    }
}

/// Estimates when a call is sent that is `over` calls beyond a share of `most`, whose calls stop counting at `back`.
fn turn_of(
    mut back: Vec<Instant>,
    (over, most): (usize, usize),
    (begin, round): (Instant, Duration),
) -> Instant {
    if over == 0 {
        return begin;
    }
    back.sort_unstable();
    let most = most.max(1);
    let windows = u32::try_from((over - 1) / most).unwrap_or(u32::MAX);
    let back_at = back.get((over - 1) % most).or(back.last());
    let back_at = back_at.map_or(after(begin, round), |at| (*at).max(begin));
    after(back_at, round.saturating_mul(windows))
}

/// Returns how many of a window's calls a caller may have.
fn each(calls: u32, share: f64) -> usize {
    let most = (f64::from(calls) * share.clamp(0.0, 1.0)).floor();
    // A whole number from 0 to `calls`.
    (1..=calls)
        .rev()
        .find(|each| f64::from(*each) <= most)
        .unwrap_or(1) as usize
}

/// Iterates over the queue in the order of service.
#[derive(Debug, Default)]
struct Order {
    interactive: usize,
    background: usize,
}

impl Order {
    /// Returns which queue is next, and the index in it.
    fn next(&mut self, bucket: &Bucket) -> Option<(Priority, usize)> {
        if self.interactive < bucket.interactive.len() {
            self.interactive += 1;
            return Some((Priority::Interactive, self.interactive - 1));
        }
        if self.background < bucket.background.len() {
            self.background += 1;
            return Some((Priority::Background, self.background - 1));
        }
        None
    }
}
