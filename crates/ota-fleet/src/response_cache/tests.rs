use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use ota_core::clock::{Clock, ManualClock};
use ota_core::context::{CallLog, Moment};
use ota_core::{Error, ErrorKind, Result};
use time::macros::datetime;
use tokio::sync::Semaphore;

use super::{
    CacheAnswer, CacheDirectives, CacheLimits, Fetch, Fetched, Provenance, ResponseCache, Source,
};

mod other_cache;

const LIMITS: CacheLimits = CacheLimits {
    max_age: Duration::from_secs(5),
    min_age: Duration::from_secs(1),
    stale_if_error: Duration::from_secs(600),
    error_age: Duration::from_secs(5),
    max_wait: Duration::from_secs(8),
};

/// The time limit of a caller.
const TIME: Duration = Duration::from_secs(30);

const NO_CACHE: CacheDirectives = CacheDirectives {
    max_age: None,
    no_cache: true,
    only_if_cached: false,
};
const ONLY_IF_CACHED: CacheDirectives = CacheDirectives {
    max_age: None,
    no_cache: false,
    only_if_cached: true,
};

/// When a fetch waits for its gate.
#[derive(Clone, Copy, PartialEq)]
enum Waits {
    BeforeItsCall,
    InItsCall,
}

struct Bench {
    clock: ManualClock,
    store: ResponseCache<u32>,
    fetches: Arc<AtomicU32>,
}

impl Bench {
    fn new(max_bytes: u64) -> Self {
        let clock = ManualClock::new(datetime!(2026-01-01 00:00 UTC));
        let longest = Duration::from_secs(600);
        Self {
            store: ResponseCache::new(max_bytes, longest, Arc::new(clock.clone())),
            clock,
            fetches: Arc::default(),
        }
    }

    async fn get(
        &self,
        wanted: CacheDirectives,
        answer: Result<u32, ErrorKind>,
    ) -> Result<Option<CacheAnswer<u32>>> {
        self.get_after("key", wanted, answer, Arc::new(Semaphore::new(1)))
            .await
    }

    /// The fetch ends when `gate` is opened.
    async fn get_after(
        &self,
        key: &str,
        wanted: CacheDirectives,
        answer: Result<u32, ErrorKind>,
        gate: Arc<Semaphore>,
    ) -> Result<Option<CacheAnswer<u32>>> {
        self.get_waiting(key, wanted, answer, gate, Waits::InItsCall)
            .await
    }

    async fn get_waiting(
        &self,
        key: &str,
        wanted: CacheDirectives,
        answer: Result<u32, ErrorKind>,
        gate: Arc<Semaphore>,
        waits: Waits,
    ) -> Result<Option<CacheAnswer<u32>>> {
        let (fetches, clock) = (Arc::clone(&self.fetches), self.clock.clone());
        let deadline = self.clock.monotonic() + TIME;
        let fetch = move |_| {
            let calls = Arc::new(CallLog::default());
            let log = Arc::clone(&calls);
            let run = Box::pin(async move {
                fetches.fetch_add(1, Ordering::Relaxed);
                if waits == Waits::BeforeItsCall {
                    let _ = gate.acquire().await;
                }
                log.begin("Read");
                let sent = Moment::now(&clock);
                if waits == Waits::InItsCall {
                    let _ = gate.acquire().await;
                }
                let value = answer.map_err(|kind| Error::new(kind, "x"))?;
                Ok(Fetched {
                    value,
                    bytes: 100,
                    as_of: sent,
                    provenance: Provenance::Vendor,
                })
            });
            Fetch { calls, run }
        };
        self.store.get(key, wanted, LIMITS, deadline, fetch).await
    }

    fn fetches(&self) -> u32 {
        self.fetches.load(Ordering::Relaxed)
    }

    fn pass(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }
}

async fn settle() {
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
}

#[track_caller]
fn check(served: Result<Option<CacheAnswer<u32>>>, value: u32, stale: bool, source: Source) {
    let served = served.unwrap().unwrap();
    assert_eq!(
        (*served.value, served.stale, served.source),
        (value, stale, source)
    );
}

#[tokio::test]
async fn a_response_is_cached_for_its_age_and_not_longer() {
    let bench = Bench::new(10_000);
    check(
        bench.get(CacheDirectives::default(), Ok(1)).await,
        1,
        false,
        Source::Fetched,
    );
    bench.pass(5);
    check(
        bench.get(CacheDirectives::default(), Ok(2)).await,
        1,
        false,
        Source::Hit,
    );
    bench.pass(1);
    check(
        bench.get(CacheDirectives::default(), Ok(3)).await,
        3,
        false,
        Source::Fetched,
    );
    assert_eq!(bench.fetches(), 2);
}

#[tokio::test]
async fn a_fresher_response_can_be_requested_down_to_the_least_age() {
    let bench = Bench::new(10_000);
    let aged = |seconds| CacheDirectives {
        max_age: Some(Duration::from_secs(seconds)),
        ..CacheDirectives::default()
    };
    check(bench.get(NO_CACHE, Ok(1)).await, 1, false, Source::Fetched);
    check(bench.get(NO_CACHE, Ok(2)).await, 1, false, Source::Hit);
    bench.pass(2);
    check(bench.get(aged(2), Ok(3)).await, 1, false, Source::Hit);
    check(bench.get(aged(1), Ok(4)).await, 4, false, Source::Fetched);
    bench.pass(6);
    check(
        bench.get(aged(1000), Ok(5)).await,
        5,
        false,
        Source::Fetched,
    );
}

#[tokio::test]
async fn only_if_cached_makes_no_call() {
    let bench = Bench::new(10_000);
    assert!(bench.get(ONLY_IF_CACHED, Ok(1)).await.unwrap().is_none());
    check(
        bench.get(CacheDirectives::default(), Ok(2)).await,
        2,
        false,
        Source::Fetched,
    );
    bench.pass(60);
    check(bench.get(ONLY_IF_CACHED, Ok(3)).await, 2, true, Source::Hit);
    bench.pass(600);
    assert!(bench.get(ONLY_IF_CACHED, Ok(4)).await.unwrap().is_none());
    assert_eq!(bench.fetches(), 1);
}

#[tokio::test]
async fn a_stale_response_is_served_when_the_vendor_does_not_answer_and_not_when_it_refuses() {
    for kind in ErrorKind::ALL {
        let bench = Bench::new(10_000);
        check(
            bench.get(CacheDirectives::default(), Ok(1)).await,
            1,
            false,
            Source::Fetched,
        );
        bench.pass(300);
        let served = bench.get(CacheDirectives::default(), Err(*kind)).await;
        match kind {
            ErrorKind::Throttled
            | ErrorKind::Timeout
            | ErrorKind::Unavailable
            | ErrorKind::Protocol => {
                check(served, 1, true, Source::Hit);
            }
            _ => assert_eq!(served.unwrap_err().kind(), *kind),
        }
        bench.pass(301);
        assert_eq!(
            bench
                .get(CacheDirectives::default(), Err(*kind))
                .await
                .unwrap_err()
                .kind(),
            *kind
        );
        // A refusal is cached for a while, any other failure is not.
        bench.pass(5);
        check(
            bench.get(CacheDirectives::default(), Ok(2)).await,
            2,
            false,
            Source::Fetched,
        );
    }
}

#[tokio::test]
async fn equal_reads_are_coalesced_and_a_cancelled_caller_cancels_no_other() {
    let bench = Arc::new(Bench::new(10_000));
    let gate = Arc::new(Semaphore::new(0));
    let callers: Vec<_> = (0..100)
        .map(|number| {
            let (bench, gate) = (Arc::clone(&bench), Arc::clone(&gate));
            tokio::spawn(async move {
                bench
                    .get_after("key", CacheDirectives::default(), Ok(number), gate)
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
    assert!(sources.iter().all(|source| *source == Source::Coalesced));
}

#[tokio::test]
async fn a_failure_is_shared_by_all_callers_that_waited() {
    let bench = Arc::new(Bench::new(10_000));
    let gate = Arc::new(Semaphore::new(0));
    let waiters: Vec<_> = (0..10)
        .map(|_| {
            let (bench, gate) = (Arc::clone(&bench), Arc::clone(&gate));
            tokio::spawn(async move {
                bench
                    .get_after(
                        "key",
                        CacheDirectives::default(),
                        Err(ErrorKind::Auth),
                        gate,
                    )
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
async fn an_answer_counts_its_age_from_its_earliest_call_and_not_from_its_wait_for_the_quota() {
    let bench = Arc::new(Bench::new(10_000));
    let gate = Arc::new(Semaphore::new(0));
    let caller = tokio::spawn({
        let (bench, gate) = (Arc::clone(&bench), Arc::clone(&gate));
        async move {
            bench
                .get_waiting(
                    "key",
                    CacheDirectives::default(),
                    Ok(1),
                    gate,
                    Waits::BeforeItsCall,
                )
                .await
        }
    });
    settle().await;
    bench.pass(10);
    gate.add_permits(1);
    let served = caller.await.unwrap().unwrap().unwrap();
    assert_eq!(served.age, Duration::ZERO);
    bench.pass(5);
    check(
        bench.get(CacheDirectives::default(), Ok(2)).await,
        1,
        false,
        Source::Hit,
    );
}

#[tokio::test]
async fn a_slow_response_is_served_for_the_least_age_after_it_was_received() {
    let bench = Arc::new(Bench::new(10_000));
    let gate = Arc::new(Semaphore::new(0));
    let caller = tokio::spawn({
        let (bench, gate) = (Arc::clone(&bench), Arc::clone(&gate));
        async move {
            bench
                .get_after("key", CacheDirectives::default(), Ok(1), gate)
                .await
        }
    });
    settle().await;
    bench.pass(8);
    gate.add_permits(1);
    check(caller.await.unwrap(), 1, false, Source::Fetched);
    for seconds in 0..2 {
        for wanted in [CacheDirectives::default(), NO_CACHE] {
            let served = bench.get(wanted, Ok(2)).await.unwrap().unwrap();
            // The reported age stays correct.
            assert_eq!(
                (*served.value, served.source, served.age.as_secs()),
                (1, Source::Hit, 8 + seconds)
            );
        }
        assert!(
            bench
                .store
                .lookup("key", CacheDirectives::default(), LIMITS)
                .is_some_and(|served| served.age.as_secs() == 8 + seconds)
        );
        bench.pass(1);
    }
    assert!(bench.store.lookup("key", NO_CACHE, LIMITS).is_none());
    check(
        bench.get(CacheDirectives::default(), Ok(3)).await,
        3,
        false,
        Source::Fetched,
    );
}

#[tokio::test]
async fn steps_of_the_wall_clock_change_no_age() {
    let bench = Bench::new(10_000);
    check(
        bench.get(CacheDirectives::default(), Ok(1)).await,
        1,
        false,
        Source::Fetched,
    );
    bench.clock.set_wall(datetime!(2030-01-01 00:00 UTC));
    check(
        bench.get(CacheDirectives::default(), Ok(2)).await,
        1,
        false,
        Source::Hit,
    );
    bench.clock.set_wall(datetime!(2020-01-01 00:00 UTC));
    bench.pass(6);
    check(
        bench.get(CacheDirectives::default(), Ok(3)).await,
        3,
        false,
        Source::Fetched,
    );
}

#[tokio::test]
async fn an_abandoned_fetch_ends_if_it_has_sent_no_call() {
    for (waits, kept) in [(Waits::BeforeItsCall, false), (Waits::InItsCall, true)] {
        let bench = Arc::new(Bench::new(10_000));
        let gate = Arc::new(Semaphore::new(0));
        let caller = tokio::spawn({
            let (bench, gate) = (Arc::clone(&bench), Arc::clone(&gate));
            async move {
                bench
                    .get_waiting("key", CacheDirectives::default(), Ok(1), gate, waits)
                    .await
            }
        });
        settle().await;
        caller.abort();
        settle().await;
        assert_eq!(super::lock(&bench.store.flights).is_empty(), !kept);
        gate.add_permits(1);
        settle().await;
        let next = bench.get(ONLY_IF_CACHED, Ok(2)).await.unwrap();
        assert_eq!(next.is_some(), kept);
        assert!(super::lock(&bench.store.flights).is_empty());
    }
}

#[tokio::test]
async fn a_caller_with_a_stale_response_does_not_wait_for_all_attempts() {
    let bench = Arc::new(Bench::new(10_000));
    check(
        bench.get(CacheDirectives::default(), Ok(1)).await,
        1,
        false,
        Source::Fetched,
    );
    bench.pass(20);
    let gate = Arc::new(Semaphore::new(0));
    let ask = |answer| {
        let (bench, gate) = (Arc::clone(&bench), Arc::clone(&gate));
        tokio::spawn(async move {
            bench
                .get_after("key", CacheDirectives::default(), Ok(answer), gate)
                .await
        })
    };
    let caller = ask(2);
    settle().await;
    bench.pass(7);
    settle().await;
    assert!(!caller.is_finished());
    bench.pass(1);
    check(caller.await.unwrap(), 1, true, Source::Hit);
    // The fetch goes on, and is joined by the next.
    let next = ask(3);
    settle().await;
    gate.add_permits(1);
    check(next.await.unwrap(), 2, false, Source::Coalesced);
}

#[tokio::test]
async fn a_caller_without_a_stale_response_waits_until_its_deadline() {
    let bench = Arc::new(Bench::new(10_000));
    let gate = Arc::new(Semaphore::new(0));
    let caller = tokio::spawn({
        let (bench, gate) = (Arc::clone(&bench), Arc::clone(&gate));
        async move {
            bench
                .get_after("key", CacheDirectives::default(), Ok(1), gate)
                .await
        }
    });
    settle().await;
    bench.pass(29);
    settle().await;
    assert!(!caller.is_finished());
    bench.pass(1);
    let error = caller.await.unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout);
}

#[tokio::test]
async fn a_vendor_that_has_just_failed_is_not_called_again_at_once() {
    let bench = Bench::new(10_000);
    check(
        bench.get(CacheDirectives::default(), Ok(1)).await,
        1,
        false,
        Source::Fetched,
    );
    bench.pass(10);
    for _ in 0..100 {
        let failing = bench.get(NO_CACHE, Err(ErrorKind::Unavailable)).await;
        check(failing, 1, true, Source::Hit);
    }
    assert_eq!(bench.fetches(), 2);
    bench.pass(1);
    check(
        bench.get(CacheDirectives::default(), Ok(2)).await,
        2,
        false,
        Source::Fetched,
    );
}

#[tokio::test]
async fn a_deleted_resource_is_not_served_when_the_vendor_fails() {
    let bench = Bench::new(10_000);
    check(
        bench.get(CacheDirectives::default(), Ok(1)).await,
        1,
        false,
        Source::Fetched,
    );
    bench.pass(10);
    let gone = bench
        .get(CacheDirectives::default(), Err(ErrorKind::NotFound))
        .await;
    assert_eq!(gone.unwrap_err().kind(), ErrorKind::NotFound);
    bench.pass(5);
    let failed = bench
        .get(CacheDirectives::default(), Err(ErrorKind::Unavailable))
        .await;
    assert_eq!(failed.unwrap_err().kind(), ErrorKind::Unavailable);
}

#[tokio::test]
async fn memory_is_bounded() {
    let bench = Bench::new(10_000);
    for number in 0..1000 {
        let key = format!("key{number}");
        let open = Arc::new(Semaphore::new(1));
        bench
            .get_after(&key, CacheDirectives::default(), Ok(number), open)
            .await
            .unwrap();
    }
    let (entries, bytes) = bench.store.usage();
    assert!(
        (10..25).contains(&entries) && bytes <= 10_000,
        "{entries} {bytes}"
    );
    assert!(super::lock(&bench.store.flights).is_empty());
    // A new response is cached however often the others were read.
    let open = || Arc::new(Semaphore::new(1));
    let newest = bench.get_after("newest", CacheDirectives::default(), Ok(7), open());
    check(newest.await, 7, false, Source::Fetched);
    let again = bench.get_after("newest", CacheDirectives::default(), Ok(8), open());
    check(again.await, 7, false, Source::Hit);
}

#[tokio::test]
async fn a_grown_response_counts_with_its_new_size() {
    let bench = Bench::new(10_000);
    for number in 0..10 {
        let key = format!("key{number}");
        let open = Arc::new(Semaphore::new(1));
        let served = bench
            .get_after(&key, CacheDirectives::default(), Ok(number), open)
            .await
            .unwrap()
            .unwrap();
        bench.store.grow(&key, &served.value, 2000);
        // A response that is not the cached one is not counted.
        bench.store.grow(&key, &Arc::new(number), 2000);
    }
    let (entries, bytes) = bench.store.usage();
    assert!(
        (1..=4).contains(&entries) && bytes <= 10_000,
        "{entries} {bytes}"
    );
}

#[tokio::test]
async fn a_refusal_is_cached_for_its_age() {
    for kind in [
        ErrorKind::NotFound,
        ErrorKind::Auth,
        ErrorKind::Rejected,
        ErrorKind::Misconfigured,
    ] {
        let bench = Bench::new(1 << 20);
        let ask = async |wanted, answer| {
            let result = bench.get(wanted, answer).await;
            let asked = bench.fetches.swap(0, Ordering::Relaxed);
            (result.map_err(|error| error.kind()).map(|_| ()), asked)
        };
        let refused = Err(kind);
        assert_eq!(
            ask(CacheDirectives::default(), refused).await,
            (refused.map(|_: u32| ()), 1)
        );
        for wanted in [CacheDirectives::default(), ONLY_IF_CACHED, NO_CACHE] {
            assert_eq!(ask(wanted, Ok(1)).await, (Err(kind), 0), "{wanted:?}");
        }
        bench.clock.advance(LIMITS.min_age);
        assert_eq!(ask(CacheDirectives::default(), Ok(1)).await, (Err(kind), 0));
        // A request for a fresh response bypasses it, and then it is removed.
        assert_eq!(ask(NO_CACHE, Ok(1)).await, (Ok(()), 1));
        assert_eq!(ask(CacheDirectives::default(), Ok(1)).await, (Ok(()), 0));
        bench.clock.advance(LIMITS.max_age * 2);
        assert_eq!(
            ask(CacheDirectives::default(), Err(kind)).await,
            (Err(kind), 1)
        );
        bench.clock.advance(LIMITS.error_age);
        assert_eq!(ask(CacheDirectives::default(), Ok(1)).await, (Ok(()), 1));
    }
}

#[tokio::test]
async fn failures_that_may_pass_are_not_cached() {
    for kind in [
        ErrorKind::Throttled,
        ErrorKind::Timeout,
        ErrorKind::Unavailable,
        ErrorKind::Protocol,
        ErrorKind::InvalidArgument,
    ] {
        let bench = Bench::new(1 << 20);
        assert!(
            bench
                .get(CacheDirectives::default(), Err(kind))
                .await
                .is_err()
        );
        assert!(
            bench.get(CacheDirectives::default(), Ok(1)).await.is_ok(),
            "{kind:?}"
        );
    }
}

/// Calls a vendor that answers when `gate` is opened, and, like the real gate, stops at the deadline of the fetch.
async fn get_with_deadline(
    bench: Arc<Bench>,
    seconds: u64,
    gate: Arc<Semaphore>,
) -> (ErrorKind, u64) {
    let clock = bench.clock.clone();
    let start = clock.monotonic();
    let deadline = start + Duration::from_secs(seconds);
    let fetch = |until| {
        let calls = Arc::new(CallLog::default());
        let (log, clock) = (Arc::clone(&calls), clock.clone());
        bench.fetches.fetch_add(1, Ordering::Relaxed);
        let run = async move {
            log.begin("Read");
            let as_of = Moment::now(&clock);
            tokio::select! {
                biased;
                _place = gate.acquire() => Ok(Fetched { value: 1, bytes: 1, as_of, provenance: Provenance::Vendor }),
                () = clock.sleep_until(until) => Err(Error::new(ErrorKind::Timeout, "too late")),
            }
        };
        Fetch {
            calls,
            run: Box::pin(run),
        }
    };
    let result = bench
        .store
        .get("key", CacheDirectives::default(), LIMITS, deadline, fetch)
        .await;
    let waited = clock.monotonic().saturating_duration_since(start).as_secs();
    match result {
        // Here it represents a response.
        Ok(_) => (ErrorKind::Conflict, waited),
        Err(error) => (error.kind(), waited),
    }
}

#[tokio::test]
async fn each_caller_waits_until_its_own_deadline() {
    let bench = Arc::new(Bench::new(10_000));
    let gate = Arc::new(Semaphore::new(0));
    let ask = |seconds| {
        tokio::spawn(get_with_deadline(
            Arc::clone(&bench),
            seconds,
            Arc::clone(&gate),
        ))
    };
    let starter = ask(3);
    settle().await;
    let callers = [1, 5, 20, 9].map(ask);
    settle().await;
    assert_eq!(bench.fetches(), 1);
    for _ in 0..10 {
        bench.pass(1);
        settle().await;
    }
    assert_eq!(starter.await.unwrap(), (ErrorKind::Timeout, 3));
    let [short, middle, long, other] = callers;
    for (caller, seconds) in [(short, 1), (middle, 5), (other, 9)] {
        assert_eq!(caller.await.unwrap(), (ErrorKind::Timeout, seconds));
    }
    // The second fetch has the latest deadline of the callers.
    assert_eq!(bench.fetches(), 2);
    gate.add_permits(1);
    assert_eq!(long.await.unwrap(), (ErrorKind::Conflict, 10));
    assert_eq!(bench.fetches(), 2);
}

#[tokio::test]
async fn a_failure_of_the_vendor_ends_all_waits() {
    let bench = Arc::new(Bench::new(10_000));
    let gate = Arc::new(Semaphore::new(0));
    let ask = || {
        let (bench, gate) = (Arc::clone(&bench), Arc::clone(&gate));
        let failing = Err(ErrorKind::Timeout);
        tokio::spawn(async move {
            bench
                .get_after("key", CacheDirectives::default(), failing, gate)
                .await
        })
    };
    let starter = ask();
    settle().await;
    bench.pass(8);
    let joiner = ask();
    settle().await;
    gate.add_permits(1);
    for caller in [starter, joiner] {
        let error = caller.await.unwrap().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Timeout);
    }
    assert_eq!(bench.fetches(), 1);
}

#[tokio::test]
async fn a_fetch_outlives_the_caller_that_started_it() {
    let bench = Arc::new(Bench::new(10_000));
    let gate = Arc::new(Semaphore::new(0));
    let ask = |answer| {
        let (bench, gate) = (Arc::clone(&bench), Arc::clone(&gate));
        tokio::spawn(async move {
            let wanted = CacheDirectives::default();
            bench
                .get_waiting("key", wanted, Ok(answer), gate, Waits::BeforeItsCall)
                .await
        })
    };
    let starter = ask(1);
    settle().await;
    let joiner = ask(2);
    settle().await;
    starter.abort();
    settle().await;
    gate.add_permits(1);
    check(joiner.await.unwrap(), 1, false, Source::Coalesced);
    assert_eq!(bench.fetches(), 1);
}

#[test]
fn fetches_run_on_the_configured_runtime() {
    let runtime = |name: &str| {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        builder
            .worker_threads(1)
            .thread_name(name)
            .enable_time()
            .build()
            .unwrap()
    };
    let (serving, reading) = (runtime("serving"), runtime("reading"));
    let clock: Arc<dyn Clock> = Arc::new(ota_core::clock::SystemClock);
    let store: ResponseCache<String> = ResponseCache::new(1 << 20, TIME, Arc::clone(&clock));
    store.run_on(reading.handle().clone());
    let served = serving.block_on(async {
        let as_of = Moment::now(&*clock);
        let fetch = |_| Fetch {
            calls: Arc::new(CallLog::default()),
            run: Box::pin(async move {
                let thread = std::thread::current().name().unwrap_or_default().to_owned();
                Ok(Fetched {
                    value: thread,
                    bytes: 7,
                    as_of,
                    provenance: Provenance::Vendor,
                })
            }),
        };
        let deadline = clock.monotonic() + TIME;
        store
            .get("key", CacheDirectives::default(), LIMITS, deadline, fetch)
            .await
    });
    assert_eq!(*served.unwrap().unwrap().value, "reading");
}
