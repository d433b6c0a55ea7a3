//! Answers that are kept for a while, and equal questions that are asked once.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use moka::ops::compute::Op;
use moka::policy::EvictionPolicy;
use moka::sync::Cache;
use ota_core::clock::{Clock, after};
use ota_core::context::{CallLog, CallSummary, Moment};
use ota_core::{BoxFuture, Error, ErrorKind, Result};
use tokio::runtime::Handle;
use tokio::sync::watch;

/// How old answers may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FreshLimits {
    /// The oldest answer that is given without asking the vendor.
    pub max_age: Duration,
    /// Nobody makes the vendor be asked twice within this time.
    pub min_age: Duration,
    /// The oldest answer that is given when the vendor does not answer.
    pub stale_if_error: Duration,
    /// How long a refusal is given again without asking the vendor: that there is no such thing, or that we may not ask.
    pub error_age: Duration,
    /// How long a caller waits for a slow vendor when there is an answer of that age.
    pub patience: Duration,
}

/// What a caller says about freshness.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// An answer not older than this.
    pub max_age: Option<Duration>,
    /// An answer as fresh as can be had.
    pub no_cache: bool,
    /// An answer that costs no vendor call.
    pub only_if_cached: bool,
}

/// What a fetch brought.
#[derive(Clone, Debug)]
pub struct Fetched<V> {
    /// The answer.
    pub value: V,
    /// What it weighs, in bytes.
    pub bytes: u32,
    /// When the earliest vendor call behind it was sent.
    pub as_of: Moment,
}

/// A way to ask the vendor.
pub struct Fetch<V> {
    /// The account of the vendor calls that it makes.
    pub calls: Arc<CallLog>,
    /// Asks.
    pub run: BoxFuture<'static, Result<Fetched<V>>>,
}

/// An answer with its age.
#[derive(Clone, Debug)]
pub struct Served<V> {
    /// The answer.
    pub value: Arc<V>,
    /// When the earliest vendor call behind it was sent.
    pub as_of: Moment,
    /// How long ago that was.
    pub age: Duration,
    /// Whether it is older than the caller wanted because the vendor did not answer.
    pub stale: bool,
    /// The vendor calls that were made for this caller.
    pub calls: CallSummary,
    /// How the answer was come by.
    pub source: Source,
}

/// How an answer was come by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The vendor was asked for this caller.
    Vendor,
    /// The vendor was being asked for somebody else.
    Joined,
    /// It was kept.
    Kept,
}

#[derive(Debug)]
struct Entry<V> {
    value: Arc<V>,
    bytes: AtomicU32,
    as_of: Moment,
    /// When it came. A slow vendor's answer is old by then.
    landed: Instant,
    calls: CallSummary,
    /// When the vendor last failed to give a newer answer.
    failed_at: Mutex<Option<Instant>>,
}

impl<V> Entry<V> {
    /// Counted by a clock that never steps.
    fn age(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.as_of.monotonic)
    }

    /// Whether it may be given without asking the vendor. However long the vendor took, its answer serves for `min_age` from when it came: otherwise
    /// every poll of a vendor that is slower than `max_age` would ask again.
    fn is_fresh(&self, now: Instant, wanted: Wanted, limits: FreshLimits) -> bool {
        self.age(now) <= oldest(wanted, limits)
            || now.saturating_duration_since(self.landed) <= limits.min_age
    }
}

type Outcome<V> = Option<Landed<V>>;

/// How a fetch ended.
#[derive(Debug)]
struct Landed<V> {
    result: Result<Arc<Entry<V>>>,
    /// How long it could take.
    until: Instant,
    /// How long the most patient of those who waited for it wait.
    latest: Instant,
}

impl<V> Clone for Landed<V> {
    fn clone(&self) -> Self {
        Self {
            result: self.result.clone(),
            ..*self
        }
    }
}

/// A refusal, and when it came.
type Refusals = Cache<String, (Instant, Error)>;

/// A fetch that is under way.
#[derive(Debug)]
struct Flight<V> {
    sender: watch::Sender<Outcome<V>>,
    calls: Arc<CallLog>,
    /// As [`Landed::latest`], so far.
    latest: Instant,
}

type Flights<V> = Arc<Mutex<HashMap<String, Flight<V>>>>;

/// Keeps answers of one kind.
#[derive(Debug)]
pub struct FreshStore<V: Send + Sync + 'static> {
    entries: Cache<String, Arc<Entry<V>>>,
    refusals: Refusals,
    flights: Flights<V>,
    clock: Arc<dyn Clock>,
    /// Where fetches run; where their first caller runs when it is not set.
    runtime: OnceLock<Handle>,
}

/// The bytes that an entry takes beside its answer: key, times, places in maps.
const OVERHEAD: u32 = 400;

/// The bytes that a refusal is taken to have: mostly its texts, which are bounded where they are read.
const REFUSAL: u32 = 2000;

/// The most bytes of refusals that are remembered, beside the answers: some hundreds of them.
const MAX_REFUSALS: u64 = 4 << 20;

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<V: Send + Sync + 'static> FreshStore<V> {
    /// Creates a store that keeps at most `max_bytes`, and nothing longer than `longest`. The answers that were not asked for longest go first.
    #[must_use]
    pub fn new(max_bytes: u64, longest: Duration, clock: Arc<dyn Clock>) -> Self {
        let entries = Cache::builder()
            .max_capacity(max_bytes)
            // Not by frequency: a new answer that is not let in would be asked for again by its next reader, at the vendor's cost.
            .eviction_policy(EvictionPolicy::lru())
            // Only to free memory; whether an answer may be given is decided by its age.
            .time_to_live(longest.max(Duration::from_secs(1)))
            .weigher(|key: &String, entry: &Arc<Entry<V>>| {
                let key = u32::try_from(key.len()).unwrap_or(u32::MAX);
                let bytes = entry.bytes.load(Ordering::Relaxed);
                bytes.saturating_add(key).saturating_add(OVERHEAD)
            })
            .build();
        let refusals = Cache::builder()
            .max_capacity(max_bytes.min(MAX_REFUSALS))
            .eviction_policy(EvictionPolicy::lru())
            .time_to_live(longest.max(Duration::from_secs(1)))
            .weigher(|key: &String, _| {
                let key = u32::try_from(key.len()).unwrap_or(u32::MAX);
                key.saturating_add(OVERHEAD + REFUSAL)
            })
            .build();
        Self {
            entries,
            refusals,
            flights: Arc::default(),
            clock,
            runtime: OnceLock::new(),
        }
    }

    /// Makes all fetches run on this runtime, so that reading a vendor's answer takes no time of the threads that answer callers. Only the first
    /// call counts.
    pub fn run_on(&self, runtime: Handle) {
        let _ = self.runtime.set(runtime);
    }

    /// Returns the runtime that fetches run on, if one was chosen.
    #[must_use]
    pub fn runtime(&self) -> Option<&Handle> {
        self.runtime.get()
    }

    /// Answers from what is kept, if that is fresh enough.
    #[must_use]
    pub fn kept(&self, key: &str, wanted: Wanted, limits: FreshLimits) -> Option<Served<V>> {
        let entry = self.entries.get(key)?;
        let now = self.clock.monotonic();
        entry
            .is_fresh(now, wanted, limits)
            .then(|| serve(&entry, now, false, Source::Kept))
    }

    /// Answers from what is kept, or joins the fetch that is under way, or fetches.
    ///
    /// The fetch is a task of its own: a caller who goes away cancels nobody else's. When nobody waits for it any more it goes on, and its
    /// answer is kept for the next, unless it has not sent a call yet: then it ends, so that it does not cost the quota anything. A failure is
    /// shared by those who waited; it is not kept, unless it is a refusal that asking again would not change. `fetch` is told until when it may ask.
    ///
    /// Everybody waits until his own deadline. When a fetch ends only because the time of whoever began it was over, those with more time go on with one
    /// that has the time of the most patient of them.
    ///
    /// # Errors
    /// What the fetch met, when nothing kept may be given instead; `timeout` at the caller's deadline; `None` for `only_if_cached` when nothing is
    /// kept.
    pub async fn get(
        &self,
        key: &str,
        wanted: Wanted,
        limits: FreshLimits,
        deadline: Instant,
        fetch: impl FnOnce(Instant) -> Fetch<V>,
    ) -> Result<Option<Served<V>>> {
        let now = self.clock.monotonic();
        let kept = self.entries.get(key);
        if let Some(entry) = &kept {
            let usable = entry.age(now) <= limits.stale_if_error;
            if entry.is_fresh(now, wanted, limits) {
                return Ok(Some(serve(entry, now, false, Source::Kept)));
            }
            // A vendor that has just failed is not asked again at once, however many ask.
            let failed = lock(&entry.failed_at)
                .is_some_and(|at| now.saturating_duration_since(at) < limits.min_age);
            if usable && (failed || wanted.only_if_cached) {
                return Ok(Some(serve(entry, now, true, Source::Kept)));
            }
        }
        // It is as good an answer as any, and asking again and again costs the quota of those who ask for what there is.
        if let Some((at, refusal)) = self.refusals.get(key)
            && now.saturating_duration_since(at) < oldest_refusal(wanted, limits)
        {
            return Err(refusal);
        }
        if wanted.only_if_cached {
            return Ok(None);
        }
        let usable = kept.is_some_and(|entry| entry.age(now) <= limits.stale_if_error);
        // Whoever has an older answer to fall back on does not wait for a slow vendor's last attempt.
        let patience = match usable {
            true => deadline.min(after(now, limits.patience)),
            false => deadline,
        };
        let mut fetch = Some(fetch);
        let mut until = deadline;
        let (result, source) = loop {
            let (flight, source) = self.join_or_start(key, deadline, until, &mut fetch);
            let landed = tokio::select! {
                biased;
                landed = land(flight) => landed,
                () = self.clock.sleep_until(patience) => Err(Error::new(
                    ErrorKind::Timeout,
                    "the vendor did not answer within the time limit of this request",
                )),
            };
            match landed {
                Ok(landed) if !usable && self.goes_on(&landed, source, deadline) => {
                    until = landed.latest;
                }
                Ok(landed) => break (landed.result, source),
                Err(error) => break (Err(error), source),
            }
        };
        let now = self.clock.monotonic();
        match result {
            Ok(entry) => Ok(Some(serve(&entry, now, false, source))),
            Err(error) if may_be_stale(error.kind()) => {
                let kept = self.entries.get(key);
                match kept.filter(|entry| entry.age(now) <= limits.stale_if_error) {
                    Some(entry) => Ok(Some(serve(&entry, now, true, Source::Kept))),
                    None => Err(error),
                }
            }
            Err(error) => Err(error),
        }
    }

    /// Whether a fetch for this key is under way that has sent no call yet. Who stops waiting for it costs the vendor nothing.
    #[must_use]
    pub fn has_sent_nothing(&self, key: &str) -> bool {
        let flights = lock(&self.flights);
        flights
            .get(key)
            .is_some_and(|flight| flight.calls.summary().count == 0)
    }

    /// Counts bytes that were made for an answer after it was kept, such as a compressed form.
    pub fn grow(&self, key: &str, value: &Arc<V>, bytes: usize) {
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        self.entries.entry_by_ref(key).and_compute_with(|kept| {
            let Some(kept) = kept.map(moka::Entry::into_value) else {
                return Op::Nop;
            };
            if !Arc::ptr_eq(&kept.value, value) {
                return Op::Nop;
            }
            let known = kept.bytes.load(Ordering::Relaxed);
            kept.bytes
                .store(known.saturating_add(bytes), Ordering::Relaxed);
            // Put again, it is weighed again.
            Op::Put(kept)
        });
    }

    /// Returns how many answers are kept and how many bytes they take.
    #[must_use]
    pub fn usage(&self) -> (u64, u64) {
        self.entries.run_pending_tasks();
        (self.entries.entry_count(), self.entries.weighted_size())
    }

    /// Whether a caller asks on who has joined a fetch that ended for want of time, not of an answer, and has more time himself.
    fn goes_on(&self, landed: &Landed<V>, source: Source, deadline: Instant) -> bool {
        let now = self.clock.monotonic();
        let ended_early = match &landed.result {
            Ok(_) => false,
            Err(error) => match error.kind() {
                ErrorKind::Timeout => now >= landed.until,
                // Our own quota has no place before that deadline, and perhaps one before the later.
                ErrorKind::Throttled => error.is_local(),
                _ => false,
            },
        };
        source == Source::Joined && landed.until < deadline && now < deadline && ended_early
    }

    /// Joins the fetch under way, or begins one that may take until `until`. `deadline` is how long the caller waits.
    fn join_or_start(
        &self,
        key: &str,
        deadline: Instant,
        until: Instant,
        fetch: &mut Option<impl FnOnce(Instant) -> Fetch<V>>,
    ) -> (watch::Receiver<Outcome<V>>, Source) {
        let mut flights = lock(&self.flights);
        if let Some(flight) = flights.get_mut(key) {
            flight.latest = flight.latest.max(deadline);
            return (flight.sender.subscribe(), Source::Joined);
        }
        let (sender, receiver) = watch::channel(None);
        let until = until.max(deadline);
        // Whoever has begun a fetch waits for no other.
        let Some(fetch) = fetch.take().map(|fetch| fetch(until)) else {
            return (receiver, Source::Joined);
        };
        let flight = Flight {
            sender: sender.clone(),
            calls: Arc::clone(&fetch.calls),
            latest: until,
        };
        flights.insert(key.to_owned(), flight);
        let end = End {
            flights: Arc::clone(&self.flights),
            key: key.to_owned(),
            sender: sender.clone(),
        };
        let (entries, refusals) = (self.entries.clone(), self.refusals.clone());
        let clock = Arc::clone(&self.clock);
        let flight = async move {
            let result = tokio::select! {
                result = fetch.run => result,
                    () = abandoned(&end, &fetch.calls) => return,
            };
            let result = match result {
                Ok(fetched) => {
                    let entry = Arc::new(Entry {
                        value: Arc::new(fetched.value),
                        bytes: AtomicU32::new(fetched.bytes),
                        as_of: fetched.as_of,
                        landed: clock.monotonic(),
                        calls: fetch.calls.summary(),
                        failed_at: Mutex::default(),
                    });
                    entries.insert(end.key.clone(), Arc::clone(&entry));
                    refusals.invalidate(&end.key);
                    Ok(entry)
                }
                Err(error) => {
                    if is_final(error.kind()) {
                        refusals.insert(end.key.clone(), (clock.monotonic(), error.clone()));
                    }
                    if error.kind() == ErrorKind::NotFound {
                        // It is gone; an older answer must not come back when the vendor fails.
                        entries.invalidate(&end.key);
                    } else if may_be_stale(error.kind())
                        && let Some(kept) = entries.get(&end.key)
                    {
                        *lock(&kept.failed_at) = Some(clock.monotonic());
                    }
                    Err(error)
                }
            };
            // First the answer is kept, then the flight is over, then those who wait are told: nobody can come between and ask again.
            let latest = end.over().unwrap_or(until);
            sender.send_replace(Some(Landed {
                result,
                until,
                latest,
            }));
        };
        match self.runtime.get() {
            Some(runtime) => drop(runtime.spawn(flight)),
            None => drop(tokio::spawn(flight)),
        }
        (receiver, Source::Vendor)
    }
}

/// Returns when nobody waits for a fetch that has not sent a call yet; the flight is off the board then, so that nobody can join it.
async fn abandoned<V: Send + Sync + 'static>(end: &End<V>, calls: &CallLog) {
    loop {
        end.sender.closed().await;
        let mut flights = lock(&end.flights);
        // Callers join under the lock.
        if end.sender.receiver_count() > 0 {
            continue;
        }
        if calls.summary().count == 0 {
            flights.remove(&end.key);
            return;
        }
        break;
    }
    // What has cost the vendor a call is worth finishing.
    std::future::pending().await
}

/// Takes a flight off the board however it ends.
struct End<V: Send + Sync + 'static> {
    flights: Flights<V>,
    key: String,
    sender: watch::Sender<Outcome<V>>,
}

impl<V: Send + Sync + 'static> End<V> {
    /// Takes it off, and returns how long the most patient of those who wait for it wait.
    fn over(&self) -> Option<Instant> {
        let mut flights = lock(&self.flights);
        // Another flight may have begun since this one was given up.
        let own = flights
            .get(&self.key)
            .is_some_and(|flight| flight.sender.same_channel(&self.sender));
        match own {
            true => flights.remove(&self.key).map(|flight| flight.latest),
            false => None,
        }
    }
}

impl<V: Send + Sync + 'static> Drop for End<V> {
    fn drop(&mut self) {
        self.over();
    }
}

async fn land<V>(mut flight: watch::Receiver<Outcome<V>>) -> Result<Landed<V>> {
    match flight.wait_for(Option::is_some).await {
        Ok(outcome) => outcome.clone().ok_or_else(ended),
        Err(_) => Err(ended()),
    }
}

fn ended() -> Error {
    Error::new(
        ErrorKind::Unexpected,
        "the read from the vendor ended without a result",
    )
}

/// A caller can only ask for something fresher than is usual, and nobody for something fresher than `min_age`.
fn oldest(wanted: Wanted, limits: FreshLimits) -> Duration {
    let asked = match (wanted.no_cache, wanted.max_age) {
        (true, _) => Duration::ZERO,
        (false, Some(age)) => age.min(limits.max_age),
        (false, None) => limits.max_age,
    };
    asked.max(limits.min_age)
}

/// How long a refusal is given again: as long as is usual, or less for a caller who asks for something fresher, though never less than `min_age`.
fn oldest_refusal(wanted: Wanted, limits: FreshLimits) -> Duration {
    let asked = match (wanted.no_cache, wanted.max_age) {
        (true, _) => Duration::ZERO,
        (false, Some(age)) => age.min(limits.error_age),
        (false, None) => limits.error_age,
    };
    asked.max(limits.min_age.min(limits.error_age))
}

/// Whether asking again at once brings the same refusal. Whatever may pass by itself is asked again.
fn is_final(kind: ErrorKind) -> bool {
    match kind {
        ErrorKind::NotFound | ErrorKind::Auth | ErrorKind::Rejected | ErrorKind::Misconfigured => {
            true
        }
        ErrorKind::InvalidArgument
        | ErrorKind::Conflict
        | ErrorKind::Unsupported
        | ErrorKind::Throttled
        | ErrorKind::Timeout
        | ErrorKind::Unavailable
        | ErrorKind::Protocol
        | ErrorKind::Unexpected => false,
    }
}

/// An older answer is better than none when the vendor throttles, is slow, away or unreadable; never when it says that there is no such
/// thing, or that we may not ask.
fn may_be_stale(kind: ErrorKind) -> bool {
    match kind {
        ErrorKind::Throttled
        | ErrorKind::Timeout
        | ErrorKind::Unavailable
        | ErrorKind::Protocol => true,
        ErrorKind::InvalidArgument
        | ErrorKind::NotFound
        | ErrorKind::Conflict
        | ErrorKind::Unsupported
        | ErrorKind::Auth
        | ErrorKind::Rejected
        | ErrorKind::Misconfigured
        | ErrorKind::Unexpected => false,
    }
}

fn serve<V>(entry: &Arc<Entry<V>>, now: Instant, stale: bool, source: Source) -> Served<V> {
    let calls = match source {
        Source::Vendor => entry.calls,
        Source::Joined | Source::Kept => CallSummary::default(),
    };
    Served {
        value: Arc::clone(&entry.value),
        as_of: entry.as_of,
        age: entry.age(now),
        stale,
        calls,
        source,
    }
}

#[cfg(test)]
mod tests;
