//! Responses and failures that come from another gateway, which has a cache of its own.

use std::sync::Arc;
use std::time::Duration;

use ota_core::clock::Clock;
use ota_core::context::{CallLog, Moment};
use ota_core::{Error, ErrorKind, Result};
use tokio::sync::Semaphore;

use super::{
    Bench, CacheAnswer, CacheDirectives, Fetch, Fetched, LIMITS, NO_CACHE, Provenance, Source,
    TIME, check,
};

impl Bench {
    /// The fetch brings `value`, which is `age` seconds old, from another cache.
    async fn get_from(
        &self,
        provenance: Provenance,
        value: u32,
        age: u64,
    ) -> Result<Option<CacheAnswer<u32>>> {
        let now = Moment::now(&self.clock);
        let age = Duration::from_secs(age);
        let as_of = Moment {
            wall: now.wall - age,
            monotonic: now.monotonic - age,
        };
        let fetch = |_| Fetch {
            calls: Arc::new(CallLog::default()),
            run: Box::pin(async move {
                Ok(Fetched {
                    value,
                    bytes: 100,
                    as_of,
                    provenance,
                })
            }),
        };
        let deadline = self.clock.monotonic() + TIME;
        let wanted = CacheDirectives::default();
        self.store.get("key", wanted, LIMITS, deadline, fetch).await
    }
}

#[tokio::test]
async fn a_response_of_another_cache_is_as_old_as_it_was_there() {
    let bench = Bench::new(10_000);
    bench.pass(1000);
    let served = bench.get_from(Provenance::OtherCache, 1, 4).await;
    check(served, 1, false, Source::OtherCache);
    bench.pass(1);
    let served = bench.get_from(Provenance::OtherCache, 2, 0).await;
    check(served, 1, false, Source::Hit);
    // The other cache has served it for the least age already.
    let served = bench.get(NO_CACHE, Ok(3)).await;
    check(served, 3, false, Source::Fetched);
    assert_eq!(bench.fetches(), 1);
}

#[tokio::test]
async fn a_stale_response_of_another_cache_stays_stale() {
    let bench = Bench::new(10_000);
    bench.pass(1000);
    let served = bench.get_from(Provenance::Stale, 1, 60).await;
    check(served, 1, true, Source::Fetched);
    // As after a failure of the vendor, nobody is asked again at once.
    let served = bench.get_from(Provenance::Vendor, 2, 0).await;
    check(served, 1, true, Source::Hit);
    bench.pass(1);
    let served = bench.get_from(Provenance::Vendor, 2, 0).await;
    check(served, 2, false, Source::Fetched);
    // Of two stale responses the newer is served.
    bench.pass(10);
    let served = bench.get_from(Provenance::Stale, 3, 20).await;
    check(served, 2, true, Source::Fetched);
}

#[tokio::test]
async fn a_failure_that_concerns_one_caller_is_shared_with_nobody() {
    let bench = Arc::new(Bench::new(10_000));
    check(
        bench.get(CacheDirectives::default(), Ok(1)).await,
        1,
        false,
        Source::Fetched,
    );
    // With a stale response and without one; the first caller alone is refused, or each of them for itself.
    for (passed, refusals) in [(10, 1), (10, 5), (1000, 1), (1000, 5)] {
        bench.pass(passed);
        let gate = Arc::new(Semaphore::new(0));
        let callers: Vec<_> = (0..5)
            .map(|number| {
                let (bench, gate) = (Arc::clone(&bench), Arc::clone(&gate));
                tokio::spawn(async move { bench.ask_as(number, number < refusals, gate).await })
            })
            .collect();
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        gate.add_permits(100);
        let mut refused = 0;
        for caller in callers {
            match caller.await.unwrap() {
                Err(error) => {
                    assert!(error.is_caller_specific());
                    refused += 1;
                }
                Ok(served) => assert!(!served.unwrap().stale),
            }
        }
        assert_eq!(refused, refusals);
    }
}

impl Bench {
    async fn ask_as(
        &self,
        caller: u32,
        refused: bool,
        gate: Arc<Semaphore>,
    ) -> Result<Option<CacheAnswer<u32>>> {
        let as_of = Moment::now(&self.clock);
        let fetch =
            |_| Fetch {
                calls: Arc::new(CallLog::default()),
                run: Box::pin(async move {
                    let _permit = gate.acquire().await;
                    match refused {
                        true => Err(Error::new(ErrorKind::InvalidArgument, "refused")
                            .with_caller_specific()),
                        false => Ok(Fetched {
                            value: caller,
                            bytes: 100,
                            as_of,
                            provenance: Provenance::Vendor,
                        }),
                    }
                }),
            };
        let deadline = self.clock.monotonic() + TIME;
        let wanted = CacheDirectives::default();
        self.store.get("key", wanted, LIMITS, deadline, fetch).await
    }
}
