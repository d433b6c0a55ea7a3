//! A cache of responses that coalesces equal reads.

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

/// The time limits of the cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CacheLimits {
    /// The maximum age of a cached response that is served without a vendor call.
    pub max_age: Duration,
    /// The same read is not sent to the vendor twice within this time.
    pub min_age: Duration,
    /// The maximum age of a stale response that is served when the vendor does not answer.
    pub stale_if_error: Duration,
    /// How long a refusal of the vendor (not found, not allowed) is cached.
    pub error_age: Duration,
    /// How long a caller waits for a slow vendor if a stale response can be served instead.
    pub max_wait: Duration,
}

/// The cache directives of a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CacheDirectives {
    /// The response must not be older than this.
    pub max_age: Option<Duration>,
    /// The response must be as fresh as possible.
    pub no_cache: bool,
    /// The response must not cost a vendor call.
    pub only_if_cached: bool,
}

/// The result of a fetch.
#[derive(Clone, Debug)]
pub struct Fetched<V> {
    /// The response.
    pub value: V,
    /// Its size in memory, in bytes.
    pub bytes: u32,
    /// When the earliest vendor call that it comes from was sent.
    pub as_of: Moment,
    /// Where it comes from.
    pub provenance: Provenance,
}

/// Where the result of a fetch comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Provenance {
    /// From vendor calls.
    Vendor,
    /// From the cache of another gateway: it is not new because it arrives now.
    OtherCache,
    /// From the cache of another gateway, which had nothing as new as requested because the vendor did not answer.
    Stale,
}

/// A read from the vendor that has not started yet.
pub struct Fetch<V> {
    /// The log of the vendor calls that it makes.
    pub calls: Arc<CallLog>,
    /// The read.
    pub run: BoxFuture<'static, Result<Fetched<V>>>,
}

/// A response of the cache, with its age.
#[derive(Clone, Debug)]
pub struct CacheAnswer<V> {
    /// The response.
    pub value: Arc<V>,
    /// When the earliest vendor call that it comes from was sent.
    pub as_of: Moment,
    /// How long ago that was.
    pub age: Duration,
    /// Whether it is older than requested because the vendor did not answer.
    pub stale: bool,
    /// The vendor calls that were made for this caller.
    pub calls: CallSummary,
    /// Where the response comes from.
    pub source: Source,
}

/// Where a response comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// From vendor calls that were made for this caller.
    Fetched,
    /// From an equal read in flight for another caller.
    Coalesced,
    /// From the cache of another gateway, which was asked for this caller.
    OtherCache,
    /// From the cache.
    Hit,
}

#[derive(Debug)]
struct Entry<V> {
    value: Arc<V>,
    bytes: AtomicU32,
    as_of: Moment,
    /// When it was received. The response of a slow vendor is already old by then.
    received: Instant,
    calls: CallSummary,
    /// When the vendor last failed to give a newer response.
    failed_at: Mutex<Option<Instant>>,
}

impl<V> Entry<V> {
    /// Measured by the monotonic clock.
    fn age(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.as_of.monotonic)
    }

    /// Whether it may be served without a vendor call. However long the vendor took, its response is served for `min_age` after it was received: otherwise
    /// every poll of a vendor that is slower than `max_age` would make calls again.
    fn is_fresh(&self, now: Instant, wanted: CacheDirectives, limits: CacheLimits) -> bool {
        self.age(now) <= oldest(wanted, limits)
            || now.saturating_duration_since(self.received) <= limits.min_age
    }
}

type Outcome<V> = Option<FetchResult<V>>;

/// How a fetch ended.
#[derive(Debug)]
struct FetchResult<V> {
    result: Result<Arc<Entry<V>>>,
    provenance: Provenance,
    /// The deadline of the fetch.
    until: Instant,
    /// The latest deadline of the callers that waited for it.
    latest: Instant,
}

impl<V> Clone for FetchResult<V> {
    fn clone(&self) -> Self {
        Self {
            result: self.result.clone(),
            ..*self
        }
    }
}

/// A refusal, and when it was received.
type Refusals = Cache<String, (Instant, Error)>;

/// A fetch in flight.
#[derive(Debug)]
struct Flight<V> {
    sender: watch::Sender<Outcome<V>>,
    calls: Arc<CallLog>,
    /// As [`FetchResult::latest`], up to now.
    latest: Instant,
}

type Flights<V> = Arc<Mutex<HashMap<String, Flight<V>>>>;

/// Caches responses of one type.
#[derive(Debug)]
pub struct ResponseCache<V: Send + Sync + 'static> {
    entries: Cache<String, Arc<Entry<V>>>,
    refusals: Refusals,
    flights: Flights<V>,
    clock: Arc<dyn Clock>,
    /// The runtime of fetches; that of the first caller if not set.
    runtime: OnceLock<Handle>,
}

/// The memory of an entry besides its response, in bytes: key, times, slots in maps.
const OVERHEAD: u32 = 400;

/// The estimated memory of a refusal, in bytes: mostly its texts, which are limited when they are read.
const REFUSAL: u32 = 2000;

/// The maximum memory of cached refusals, in addition to the responses: some hundreds of them.
const MAX_REFUSALS: u64 = 4 << 20;

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<V: Send + Sync + 'static> ResponseCache<V> {
    /// Creates a cache of at most `max_bytes`, in which no entry stays longer than `longest`. The least recently used entries are evicted first.
    #[must_use]
    pub fn new(max_bytes: u64, longest: Duration, clock: Arc<dyn Clock>) -> Self {
        let entries = Cache::builder()
            .max_capacity(max_bytes)
            // LRU, not LFU: a frequency-based policy can reject a new entry, and its next reader would call the vendor again.
            .eviction_policy(EvictionPolicy::lru())
            // Only to free memory; the age of an entry decides whether it may be served.
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

    /// Makes all fetches run on this runtime, so that reading vendor responses takes no time of the threads that serve clients. Only the first call
    /// has an effect.
    pub fn run_on(&self, runtime: Handle) {
        let _ = self.runtime.set(runtime);
    }

    /// Returns the runtime of fetches, if one was set.
    #[must_use]
    pub fn runtime(&self) -> Option<&Handle> {
        self.runtime.get()
    }

    /// Returns the cached response, if it is fresh enough.
    #[must_use]
    pub fn lookup(
        &self,
        key: &str,
        wanted: CacheDirectives,
        limits: CacheLimits,
    ) -> Option<CacheAnswer<V>> {
        let entry = self.entries.get(key)?;
        let now = self.clock.monotonic();
        entry
            .is_fresh(now, wanted, limits)
            .then(|| serve(&entry, now, false, Source::Hit))
    }

    /// Returns the cached response, or joins an equal fetch in flight, or fetches.
    ///
    /// The fetch runs in a separate task, so a caller that disconnects does not cancel it for the others. If no caller waits for it any more, it continues, and
    /// its response is cached, unless it has not sent a call yet: then it ends without using the quota. A failure is returned to all callers that waited; it
    /// is not cached, unless it is a refusal that a retry would not change. `fetch` receives its deadline.
    ///
    /// Each caller waits until its own deadline. If a fetch fails only because the deadline of its first caller was reached, the callers with more time start
    /// another one with the latest of their deadlines. A failure that concerns the first caller only is not shared: the others start another fetch.
    ///
    /// # Errors
    /// The error of the fetch, if no cached response may be served instead; `timeout` at the caller's deadline; `None` for `only_if_cached` if nothing is
    /// cached.
    pub async fn get(
        &self,
        key: &str,
        wanted: CacheDirectives,
        limits: CacheLimits,
        deadline: Instant,
        fetch: impl FnOnce(Instant) -> Fetch<V>,
    ) -> Result<Option<CacheAnswer<V>>> {
        let now = self.clock.monotonic();
        let cached = self.entries.get(key);
        if let Some(entry) = &cached {
            let usable = entry.age(now) <= limits.stale_if_error;
            if entry.is_fresh(now, wanted, limits) {
                return Ok(Some(serve(entry, now, false, Source::Hit)));
            }
            // A vendor that has just failed is not called again at once, however many requests arrive.
            let failed = lock(&entry.failed_at)
                .is_some_and(|at| now.saturating_duration_since(at) < limits.min_age);
            if usable && (failed || wanted.only_if_cached) {
                return Ok(Some(serve(entry, now, true, Source::Hit)));
            }
        }
        // A refusal is cached like a response: repeated calls would use the quota of other requests.
        if let Some((at, refusal)) = self.refusals.get(key)
            && now.saturating_duration_since(at) < oldest_refusal(wanted, limits)
        {
            return Err(refusal);
        }
        if wanted.only_if_cached {
            return Ok(None);
        }
        let usable = cached.is_some_and(|entry| entry.age(now) <= limits.stale_if_error);
        // If a stale response can be served, the caller does not wait for all attempts at a slow vendor.
        let max_wait = match usable {
            true => deadline.min(after(now, limits.max_wait)),
            false => deadline,
        };
        let mut fetch = Some(fetch);
        let mut until = deadline;
        let (result, provenance, source) = loop {
            let (flight, source) = self.join_or_start(key, deadline, until, &mut fetch);
            let landed = tokio::select! {
                biased;
                landed = land(flight) => landed,
                () = self.clock.sleep_until(max_wait) => Err(Error::new(
                    ErrorKind::Timeout,
                    "the vendor did not answer within the time limit of this request",
                )),
            };
            match landed {
                Ok(landed)
                    if is_of_another_caller(&landed, source)
                        || !usable && self.continues(&landed, source, deadline) =>
                {
                    until = landed.latest;
                }
                Ok(landed) => break (landed.result, landed.provenance, source),
                Err(error) => break (Err(error), Provenance::Vendor, source),
            }
        };
        let now = self.clock.monotonic();
        match result {
            Ok(entry) => {
                let stale = provenance == Provenance::Stale;
                let source = match (source, provenance) {
                    (Source::Fetched, Provenance::OtherCache) => Source::OtherCache,
                    (source, _) => source,
                };
                Ok(Some(serve(&entry, now, stale, source)))
            }
            Err(error) if may_be_stale(error.kind()) => {
                let cached = self.entries.get(key);
                match cached.filter(|entry| entry.age(now) <= limits.stale_if_error) {
                    Some(entry) => Ok(Some(serve(&entry, now, true, Source::Hit))),
                    None => Err(error),
                }
            }
            Err(error) => Err(error),
        }
    }

    /// Whether a fetch for this key is in flight that has sent no call yet, so that cancelling it costs nothing.
    #[must_use]
    pub fn has_sent_nothing(&self, key: &str) -> bool {
        let flights = lock(&self.flights);
        flights
            .get(key)
            .is_some_and(|flight| flight.calls.summary().count == 0)
    }

    /// Adds to the size of a cached response, as when a compressed encoding is added to it.
    pub fn grow(&self, key: &str, value: &Arc<V>, bytes: usize) {
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        self.entries.entry_by_ref(key).and_compute_with(|cached| {
            let Some(cached) = cached.map(moka::Entry::into_value) else {
                return Op::Nop;
            };
            if !Arc::ptr_eq(&cached.value, value) {
                return Op::Nop;
            }
            let known = cached.bytes.load(Ordering::Relaxed);
            cached
                .bytes
                .store(known.saturating_add(bytes), Ordering::Relaxed);
            // Inserting it again makes the cache weigh it again.
            Op::Put(cached)
        });
    }

    /// Returns the number of cached responses and their size in bytes.
    #[must_use]
    pub fn usage(&self) -> (u64, u64) {
        self.entries.run_pending_tasks();
        (self.entries.entry_count(), self.entries.weighted_size())
    }

    /// Whether a caller that joined a fetch continues with another one: the fetch failed because of its deadline, and the caller has more time.
    fn continues(&self, landed: &FetchResult<V>, source: Source, deadline: Instant) -> bool {
        let now = self.clock.monotonic();
        let ended_early = match &landed.result {
            Ok(_) => false,
            Err(error) => match error.kind() {
                ErrorKind::Timeout => now >= landed.until,
                // The quota has no place before that deadline, but perhaps before the later one.
                ErrorKind::Throttled => error.is_local(),
                _ => false,
            },
        };
        source == Source::Coalesced && landed.until < deadline && now < deadline && ended_early
    }

    /// Joins the fetch in flight, or starts one with the deadline `until`. `deadline` is that of the caller.
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
            return (flight.sender.subscribe(), Source::Coalesced);
        }
        let (sender, receiver) = watch::channel(None);
        let until = until.max(deadline);
        // A caller that has started a fetch does not wait for another one.
        let Some(fetch) = fetch.take().map(|fetch| fetch(until)) else {
            return (receiver, Source::Coalesced);
        };
        let flight = Flight {
            sender: sender.clone(),
            calls: Arc::clone(&fetch.calls),
            latest: until,
        };
        flights.insert(key.to_owned(), flight);
        let end = FlightGuard {
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
            let mut provenance = Provenance::Vendor;
            let result = match result {
                Ok(fetched) => {
                    provenance = fetched.provenance;
                    let now = clock.monotonic();
                    let entry = Arc::new(Entry {
                        value: Arc::new(fetched.value),
                        bytes: AtomicU32::new(fetched.bytes),
                        as_of: fetched.as_of,
                        received: match provenance {
                            Provenance::Vendor => now,
                            // The other cache has served it for `min_age` already.
                            Provenance::OtherCache | Provenance::Stale => fetched.as_of.monotonic,
                        },
                        calls: fetch.calls.summary(),
                        failed_at: Mutex::new((provenance == Provenance::Stale).then_some(now)),
                    });
                    refusals.invalidate(&end.key);
                    Ok(keep_newest(&entries, &end.key, entry, provenance))
                }
                Err(error) => {
                    if is_final(error.kind()) {
                        refusals.insert(end.key.clone(), (clock.monotonic(), error.clone()));
                    }
                    if error.kind() == ErrorKind::NotFound {
                        // It no longer exists; an older response must not be served when the vendor fails.
                        entries.invalidate(&end.key);
                    } else if may_be_stale(error.kind())
                        && let Some(cached) = entries.get(&end.key)
                    {
                        *lock(&cached.failed_at) = Some(clock.monotonic());
                    }
                    Err(error)
                }
            };
            // In this order: cache the response, remove the flight, notify the waiting callers. So no caller can start an equal fetch in between.
            let latest = end.over().unwrap_or(until);
            sender.send_replace(Some(FetchResult {
                result,
                provenance,
                until,
                latest,
            }));
        };
        match self.runtime.get() {
            Some(runtime) => drop(runtime.spawn(flight)),
            None => drop(tokio::spawn(flight)),
        }
        (receiver, Source::Fetched)
    }
}

/// Caches an entry and returns it; of a stale one and the one that is cached, the newer.
fn keep_newest<V: Send + Sync + 'static>(
    entries: &Cache<String, Arc<Entry<V>>>,
    key: &str,
    entry: Arc<Entry<V>>,
    provenance: Provenance,
) -> Arc<Entry<V>> {
    let newer = entries.get(key).filter(|cached| {
        provenance == Provenance::Stale && cached.as_of.monotonic > entry.as_of.monotonic
    });
    if let Some(newer) = newer {
        *lock(&newer.failed_at) = *lock(&entry.failed_at);
        return newer;
    }
    entries.insert(key.to_owned(), Arc::clone(&entry));
    entry
}

/// Whether a fetch that this caller joined failed for a reason that concerns only the caller who started it.
fn is_of_another_caller<V>(landed: &FetchResult<V>, source: Source) -> bool {
    let failed = landed.result.as_ref().err();
    source == Source::Coalesced && failed.is_some_and(Error::is_caller_specific)
}

/// Returns when no caller waits for a fetch that has not sent a call yet; the flight has been removed then, so that no caller can join it.
async fn abandoned<V: Send + Sync + 'static>(end: &FlightGuard<V>, calls: &CallLog) {
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
    // A fetch that has sent a call is worth finishing.
    std::future::pending().await
}

/// Removes a flight, however it ends.
struct FlightGuard<V: Send + Sync + 'static> {
    flights: Flights<V>,
    key: String,
    sender: watch::Sender<Outcome<V>>,
}

impl<V: Send + Sync + 'static> FlightGuard<V> {
    /// Removes it, and returns the latest deadline of the callers that wait for it.
    fn over(&self) -> Option<Instant> {
        let mut flights = lock(&self.flights);
        // Another flight may have started since this one was abandoned.
        let own = flights
            .get(&self.key)
            .is_some_and(|flight| flight.sender.same_channel(&self.sender));
        match own {
            true => flights.remove(&self.key).map(|flight| flight.latest),
            false => None,
        }
    }
}

impl<V: Send + Sync + 'static> Drop for FlightGuard<V> {
    fn drop(&mut self) {
        self.over();
    }
}

async fn land<V>(mut flight: watch::Receiver<Outcome<V>>) -> Result<FetchResult<V>> {
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

/// A request can only ask for a fresher response than the default, and not for one fresher than `min_age`.
fn oldest(wanted: CacheDirectives, limits: CacheLimits) -> Duration {
    let asked = match (wanted.no_cache, wanted.max_age) {
        (true, _) => Duration::ZERO,
        (false, Some(age)) => age.min(limits.max_age),
        (false, None) => limits.max_age,
    };
    asked.max(limits.min_age)
}

/// How long a cached refusal is served: the default time, or less for a request for a fresher response, but never less than `min_age`.
fn oldest_refusal(wanted: CacheDirectives, limits: CacheLimits) -> Duration {
    let asked = match (wanted.no_cache, wanted.max_age) {
        (true, _) => Duration::ZERO,
        (false, Some(age)) => age.min(limits.error_age),
        (false, None) => limits.error_age,
    };
    asked.max(limits.min_age.min(limits.error_age))
}

/// Whether a retry would bring the same refusal. Failures that may pass are not cached.
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

/// A stale response is served if the vendor throttles, is slow, unreachable or sends something unreadable; never if it says that the resource does not exist
/// or that access is not allowed.
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

fn serve<V>(entry: &Arc<Entry<V>>, now: Instant, stale: bool, source: Source) -> CacheAnswer<V> {
    let calls = match source {
        Source::Fetched => entry.calls,
        Source::Coalesced | Source::OtherCache | Source::Hit => CallSummary::default(),
    };
    CacheAnswer {
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
