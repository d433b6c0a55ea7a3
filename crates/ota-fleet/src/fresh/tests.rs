use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use ota_core::clock::{Clock, ManualClock};
use ota_core::context::CallSummary;
use ota_core::{Error, ErrorKind, Result};
use time::macros::datetime;
use tokio::sync::Semaphore;

use super::{Fetched, FreshLimits, FreshStore, Served, Source, Wanted};

const LIMITS: FreshLimits = FreshLimits {
    max_age: Duration::from_secs(5),
    min_age: Duration::from_secs(1),
    stale_if_error: Duration::from_secs(600),
};

const NO_CACHE: Wanted = Wanted {
    max_age: None,
    no_cache: true,
    only_if_cached: false,
};
const ONLY_IF_CACHED: Wanted = Wanted {
    max_age: None,
    no_cache: false,
    only_if_cached: true,
};

struct Bench {
    clock: ManualClock,
    store: FreshStore<u32>,
    fetches: Arc<AtomicU32>,
}

impl Bench {
    fn new(max_bytes: u64) -> Self {
        let clock = ManualClock::new(datetime!(2026-01-01 00:00 UTC));
        Self {
            store: FreshStore::new(max_bytes, Arc::new(clock.clone())),
            clock,
            fetches: Arc::default(),
        }
    }

    async fn get(
        &self,
        wanted: Wanted,
        answer: Result<u32, ErrorKind>,
    ) -> Result<Option<Served<u32>>> {
        self.get_after("key", wanted, answer, Arc::new(Semaphore::new(1)))
            .await
    }

    /// The fetch ends when `gate` lets it.
    async fn get_after(
        &self,
        key: &str,
        wanted: Wanted,
        answer: Result<u32, ErrorKind>,
        gate: Arc<Semaphore>,
    ) -> Result<Option<Served<u32>>> {
        let (fetches, now) = (Arc::clone(&self.fetches), self.clock.now());
        self.store
            .get(key.to_owned(), wanted, LIMITS, move || {
                Box::pin(async move {
                    fetches.fetch_add(1, Ordering::Relaxed);
                    let _ = gate.acquire().await;
                    let calls = CallSummary {
                        count: 1,
                        ..CallSummary::default()
                    };
                    let value = answer.map_err(|kind| Error::new(kind, "x"))?;
                    Ok(Fetched {
                        value,
                        bytes: 100,
                        as_of: now,
                        calls,
                    })
                })
            })
            .await
    }

    fn fetches(&self) -> u32 {
        self.fetches.load(Ordering::Relaxed)
    }

    fn pass(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }
}

#[track_caller]
fn check(served: Result<Option<Served<u32>>>, value: u32, stale: bool, source: Source) {
    let served = served.unwrap().unwrap();
    assert_eq!(
        (*served.value, served.stale, served.source),
        (value, stale, source)
    );
}

#[tokio::test]
async fn an_answer_is_kept_for_its_age_and_not_longer() {
    let bench = Bench::new(10_000);
    check(
        bench.get(Wanted::default(), Ok(1)).await,
        1,
        false,
        Source::Vendor,
    );
    bench.pass(5);
    check(
        bench.get(Wanted::default(), Ok(2)).await,
        1,
        false,
        Source::Kept,
    );
    bench.pass(1);
    check(
        bench.get(Wanted::default(), Ok(3)).await,
        3,
        false,
        Source::Vendor,
    );
    assert_eq!(bench.fetches(), 2);
}

#[tokio::test]
async fn a_caller_can_ask_for_a_fresher_answer_down_to_the_least_age() {
    let bench = Bench::new(10_000);
    let aged = |seconds| Wanted {
        max_age: Some(Duration::from_secs(seconds)),
        ..Wanted::default()
    };
    check(bench.get(NO_CACHE, Ok(1)).await, 1, false, Source::Vendor);
    check(bench.get(NO_CACHE, Ok(2)).await, 1, false, Source::Kept);
    bench.pass(2);
    check(bench.get(aged(2), Ok(3)).await, 1, false, Source::Kept);
    check(bench.get(aged(1), Ok(4)).await, 4, false, Source::Vendor);
    bench.pass(6);
    check(bench.get(aged(1000), Ok(5)).await, 5, false, Source::Vendor);
}

#[tokio::test]
async fn only_if_cached_never_asks() {
    let bench = Bench::new(10_000);
    assert!(bench.get(ONLY_IF_CACHED, Ok(1)).await.unwrap().is_none());
    check(
        bench.get(Wanted::default(), Ok(2)).await,
        2,
        false,
        Source::Vendor,
    );
    bench.pass(60);
    check(
        bench.get(ONLY_IF_CACHED, Ok(3)).await,
        2,
        true,
        Source::Kept,
    );
    bench.pass(600);
    assert!(bench.get(ONLY_IF_CACHED, Ok(4)).await.unwrap().is_none());
    assert_eq!(bench.fetches(), 1);
}

#[tokio::test]
async fn an_older_answer_is_given_when_the_vendor_does_not_answer_and_not_when_it_refuses() {
    for kind in ErrorKind::ALL {
        let bench = Bench::new(10_000);
        check(
            bench.get(Wanted::default(), Ok(1)).await,
            1,
            false,
            Source::Vendor,
        );
        bench.pass(300);
        let served = bench.get(Wanted::default(), Err(*kind)).await;
        match kind {
            ErrorKind::Throttled
            | ErrorKind::Timeout
            | ErrorKind::Unavailable
            | ErrorKind::Protocol => {
                check(served, 1, true, Source::Kept);
            }
            _ => assert_eq!(served.unwrap_err().kind(), *kind),
        }
        bench.pass(301);
        assert_eq!(
            bench
                .get(Wanted::default(), Err(*kind))
                .await
                .unwrap_err()
                .kind(),
            *kind
        );
        // A failure is not kept.
        check(
            bench.get(Wanted::default(), Ok(2)).await,
            2,
            false,
            Source::Vendor,
        );
    }
}

#[tokio::test]
async fn equal_questions_are_asked_once_and_a_caller_who_goes_away_cancels_nobody_elses() {
    let bench = Arc::new(Bench::new(10_000));
    let gate = Arc::new(Semaphore::new(0));
    let callers: Vec<_> = (0..100)
        .map(|number| {
            let (bench, gate) = (Arc::clone(&bench), Arc::clone(&gate));
            tokio::spawn(async move {
                bench
                    .get_after("key", Wanted::default(), Ok(number), gate)
                    .await
            })
        })
        .collect();
    while bench.fetches() == 0 {
        tokio::task::yield_now().await;
    }
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    callers[0].abort();
    gate.add_permits(1);
    let mut sources = Vec::new();
    for caller in callers {
        match caller.await {
            Ok(served) => sources.push(served.unwrap().unwrap().source),
            Err(error) => assert!(error.is_cancelled()),
        }
    }
    assert_eq!((bench.fetches(), sources.len()), (1, 99));
    assert!(sources.iter().all(|source| *source == Source::Joined));
}

#[tokio::test]
async fn a_failure_is_shared_by_those_who_waited() {
    let bench = Arc::new(Bench::new(10_000));
    let gate = Arc::new(Semaphore::new(0));
    let waiters: Vec<_> = (0..10)
        .map(|_| {
            let (bench, gate) = (Arc::clone(&bench), Arc::clone(&gate));
            tokio::spawn(async move {
                bench
                    .get_after("key", Wanted::default(), Err(ErrorKind::Auth), gate)
                    .await
            })
        })
        .collect();
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    gate.add_permits(1);
    for waiter in waiters {
        assert_eq!(waiter.await.unwrap().unwrap_err().kind(), ErrorKind::Auth);
    }
    assert_eq!(bench.fetches(), 1);
}

#[tokio::test]
async fn memory_is_bounded() {
    let bench = Bench::new(10_000);
    for number in 0..1000 {
        let key = format!("key{number}");
        let open = Arc::new(Semaphore::new(1));
        bench
            .get_after(&key, Wanted::default(), Ok(number), open)
            .await
            .unwrap();
    }
    bench.store.entries.run_pending_tasks();
    assert!(bench.store.entries.weighted_size() <= 10_000);
    assert!(bench.store.entries.entry_count() < 25);
    assert!(super::lock(&bench.store.flights).is_empty());
}
