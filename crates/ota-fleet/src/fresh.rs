//! Answers that are kept for a while, and equal questions that are asked once.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use moka::sync::Cache;
use ota_core::clock::Clock;
use ota_core::context::CallSummary;
use ota_core::{BoxFuture, Error, ErrorKind, Result};
use time::OffsetDateTime;
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
    /// The time of the earliest vendor call behind it.
    pub as_of: OffsetDateTime,
    /// The vendor calls that were made for it.
    pub calls: CallSummary,
}

/// An answer with its age.
#[derive(Clone, Debug)]
pub struct Served<V> {
    /// The answer.
    pub value: Arc<V>,
    /// The time of the earliest vendor call behind it.
    pub as_of: OffsetDateTime,
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
    bytes: u32,
    as_of: OffsetDateTime,
    calls: CallSummary,
    /// When the fetch began; ages are counted from here, by a clock that never steps.
    since: Instant,
}

type Outcome<V> = Option<Result<Arc<Entry<V>>>>;

/// Keeps answers of one kind.
#[derive(Debug)]
pub struct FreshStore<V: Send + Sync + 'static> {
    entries: Cache<String, Arc<Entry<V>>>,
    flights: Arc<Mutex<HashMap<String, watch::Receiver<Outcome<V>>>>>,
    clock: Arc<dyn Clock>,
}

/// The bytes that an entry takes beside its answer: key, times, places in maps.
const OVERHEAD: u32 = 400;

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<V: Send + Sync + 'static> FreshStore<V> {
    /// Creates a store that keeps at most `max_bytes`; the least used answers go first.
    #[must_use]
    pub fn new(max_bytes: u64, clock: Arc<dyn Clock>) -> Self {
        let entries = Cache::builder()
            .max_capacity(max_bytes)
            .weigher(|key: &String, entry: &Arc<Entry<V>>| {
                let key = u32::try_from(key.len()).unwrap_or(u32::MAX);
                entry.bytes.saturating_add(key).saturating_add(OVERHEAD)
            })
            .build();
        Self {
            entries,
            flights: Arc::default(),
            clock,
        }
    }

    /// Answers from what is kept, or joins the fetch that is under way, or fetches.
    ///
    /// The fetch is a task of its own: a caller who goes away cancels nobody else's. A failure is shared by those who waited and not kept.
    ///
    /// # Errors
    /// What the fetch met, when nothing kept may be given instead; `None` for `only_if_cached` when nothing is kept.
    pub async fn get(
        &self,
        key: String,
        wanted: Wanted,
        limits: FreshLimits,
        fetch: impl FnOnce() -> BoxFuture<'static, Result<Fetched<V>>>,
    ) -> Result<Option<Served<V>>> {
        let now = self.clock.monotonic();
        let kept = self.entries.get(&key);
        let age = kept
            .as_ref()
            .map(|entry| now.saturating_duration_since(entry.since));
        let oldest = oldest(wanted, limits);
        if let (Some(entry), Some(age)) = (&kept, age) {
            if age <= oldest {
                return Ok(Some(serve(entry, false, Source::Kept)));
            }
            if wanted.only_if_cached && age <= limits.stale_if_error {
                return Ok(Some(serve(entry, true, Source::Kept)));
            }
        }
        if wanted.only_if_cached {
            return Ok(None);
        }
        let (flight, source) = self.join_or_start(key, now, fetch);
        match land(flight).await {
            Ok(entry) => Ok(Some(serve(&entry, false, source))),
            Err(error) => {
                let now = self.clock.monotonic();
                let usable = kept.filter(|entry| {
                    now.saturating_duration_since(entry.since) <= limits.stale_if_error
                });
                match usable {
                    Some(entry) if may_be_stale(error.kind()) => {
                        Ok(Some(serve(&entry, true, Source::Kept)))
                    }
                    _ => Err(error),
                }
            }
        }
    }

    fn join_or_start(
        &self,
        key: String,
        now: Instant,
        fetch: impl FnOnce() -> BoxFuture<'static, Result<Fetched<V>>>,
    ) -> (watch::Receiver<Outcome<V>>, Source) {
        let mut flights = lock(&self.flights);
        if let Some(flight) = flights.get(&key) {
            return (flight.clone(), Source::Joined);
        }
        let (sender, receiver) = watch::channel(None);
        flights.insert(key.clone(), receiver.clone());
        let (entries, fetch) = (self.entries.clone(), fetch());
        let end = End {
            flights: Arc::clone(&self.flights),
            key,
        };
        tokio::spawn(async move {
            let outcome = fetch.await.map(|fetched| {
                let entry = Arc::new(Entry {
                    value: Arc::new(fetched.value),
                    bytes: fetched.bytes,
                    as_of: fetched.as_of,
                    calls: fetched.calls,
                    since: now,
                });
                entries.insert(end.key.clone(), Arc::clone(&entry));
                entry
            });
            // First the answer is kept, then the flight is over, then those who wait are told: nobody can come between and ask again.
            drop(end);
            sender.send_replace(Some(outcome));
        });
        (receiver, Source::Vendor)
    }
}

/// Takes a flight off the board however it ends.
struct End<V: Send + Sync + 'static> {
    flights: Arc<Mutex<HashMap<String, watch::Receiver<Outcome<V>>>>>,
    key: String,
}

impl<V: Send + Sync + 'static> Drop for End<V> {
    fn drop(&mut self) {
        lock(&self.flights).remove(&self.key);
    }
}

async fn land<V>(mut flight: watch::Receiver<Outcome<V>>) -> Result<Arc<Entry<V>>> {
    match flight.wait_for(Option::is_some).await {
        Ok(outcome) => outcome.clone().unwrap_or_else(|| Err(ended())),
        Err(_) => Err(ended()),
    }
}

fn ended() -> Error {
    Error::new(
        ErrorKind::Unexpected,
        "reading from the vendor ended without a result",
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

fn serve<V>(entry: &Arc<Entry<V>>, stale: bool, source: Source) -> Served<V> {
    let calls = match source {
        Source::Vendor => entry.calls,
        Source::Joined | Source::Kept => CallSummary::default(),
    };
    Served {
        value: Arc::clone(&entry.value),
        as_of: entry.as_of,
        stale,
        calls,
        source,
    }
}

#[cfg(test)]
mod tests;
