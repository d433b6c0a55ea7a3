//! What every subject is built with: clocks, gates, observers.

use std::sync::Arc;
use std::time::Duration;

use ota_conformance::GateUnderTest;
use ota_core::clock::{Clock, ManualClock};
use ota_core::configured_fields::ConfiguredFields;
use ota_core::context::Context;
use ota_core::drift::DriftCounter;
use ota_core::gate::{Attempt, Gate, OpenGate, VendorCall};
use ota_core::id::ProviderName;
use ota_core::provider::Dependencies;
use ota_core::random::SequenceRandom;
use ota_core::{BoxFuture, Result};
use ota_guard::{AccountQuota, Guard, GuardLimits, NoObserver, QuotaLimits, QuotaScope};
use time::OffsetDateTime;
use time::macros::datetime;
use tokio::sync::watch;

/// When every vendor stands still.
pub(crate) const NOW: OffsetDateTime = datetime!(2026-11-23 08:00 UTC);

/// The limit of calls for a page, as by default.
pub(crate) const MAX_CALLS: u32 = 5;

const ATTEMPT: Duration = Duration::from_secs(8);

/// How far the clock is moved at once where someone waits for it.
const NUDGE: Duration = Duration::from_millis(50);

/// Which gate the provider gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Through {
    Open,
    Guard,
}

impl Through {
    pub(crate) const ALL: [Self; 2] = [Self::Open, Self::Guard];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Open => "open gate",
            Self::Guard => "real gate",
        }
    }

    pub(crate) fn promise(self) -> GateUnderTest {
        match self {
            Self::Open => GateUnderTest::Open,
            Self::Guard => GateUnderTest::Limiting {
                attempt_timeout: ATTEMPT,
            },
        }
    }
}

/// The real gate, with someone who moves the clock while a caller waits for it: before a repetition, or during a pause of the account.
///
/// Only the time in which no attempt is in progress is moved, so no attempt runs out of time by it. Nothing sleeps.
#[derive(Debug)]
struct Nudged {
    guard: Guard,
    under_way: watch::Sender<u32>,
    clock: ManualClock,
    vendors: ota_sim::Clock,
}

/// An attempt that is counted while it is in progress.
struct Counted<'a>(&'a mut dyn Attempt, &'a watch::Sender<u32>);

struct UnderWay<'a>(&'a watch::Sender<u32>);

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count -= 1);
    }
}

impl Attempt for Counted<'_> {
    fn run(&mut self, number: u32) -> BoxFuture<'_, Result<()>> {
        self.1.send_modify(|count| *count += 1);
        let under_way = UnderWay(self.1);
        Box::pin(async move {
            let _under_way = under_way;
            self.0.run(number).await
        })
    }
}

#[async_trait::async_trait]
impl Gate for Nudged {
    async fn pass(&self, cx: &Context, call: VendorCall, attempt: &mut dyn Attempt) -> Result<()> {
        let mut counted = Counted(attempt, &self.under_way);
        let nudge = async {
            let mut under_way = self.under_way.subscribe();
            loop {
                drop(under_way.wait_for(|count| *count == 0).await);
                for _ in 0..3 {
                    tokio::task::yield_now().await;
                }
                if *under_way.borrow() == 0 {
                    self.clock.advance(NUDGE);
                    self.vendors.advance(NUDGE);
                }
            }
        };
        tokio::select! {
            biased;
            result = self.guard.pass(cx, call, &mut counted) => result,
            () = nudge => unreachable!("the clock is moved for ever"),
        }
    }
}

/// The clock, the gate and the observer of one provider.
pub(crate) struct Rig {
    pub(crate) clock: ManualClock,
    /// The vendor's clock, which shows the same time.
    pub(crate) vendors: ota_sim::Clock,
    pub(crate) drift: Arc<DriftCounter>,
    pub(crate) deps: Dependencies,
    pub(crate) through: Through,
}

impl Rig {
    pub(crate) fn new(through: Through, max_calls_per_page: u32) -> Self {
        let clock = ManualClock::new(NOW);
        let drift = Arc::new(DriftCounter::default());
        let shared: Arc<dyn Clock> = Arc::new(clock.clone());
        let vendors = ota_sim::Clock::manual(NOW);
        let random = Arc::new(SequenceRandom::new(7));
        let gate: Arc<dyn Gate> = match through {
            Through::Open => Arc::new(OpenGate::new(Arc::clone(&shared))),
            Through::Guard => {
                // Vendors of the suite have no quota, so that calls can be counted; what keeps one is tested with it.
                let quota = QuotaLimits {
                    calls: 1_000_000,
                    window: Duration::from_secs(1),
                    margin: None,
                    scope: QuotaScope::Account,
                };
                let limits = GuardLimits {
                    timeout: ATTEMPT,
                    max_attempts: 3,
                    max_concurrent: 16,
                };
                let guard = Guard::new(
                    limits,
                    Arc::new(AccountQuota::new(quota, Arc::clone(&shared))),
                    Arc::clone(&shared),
                    Arc::<SequenceRandom>::clone(&random),
                    Arc::new(NoObserver),
                );
                Arc::new(Nudged {
                    guard,
                    under_way: watch::Sender::new(0),
                    clock: clock.clone(),
                    vendors: vendors.clone(),
                })
            }
        };
        let deps = Dependencies {
            gate,
            clock: shared,
            random,
            drift: Arc::<DriftCounter>::clone(&drift),
            fields: Arc::default(),
            max_calls_per_page,
        };
        Self {
            clock,
            vendors,
            drift,
            deps,
            through,
        }
    }

    /// What a provider is built with for which the places of fields are configured.
    pub(crate) fn deps_with(&self, fields: ConfiguredFields) -> Dependencies {
        Dependencies {
            fields: Arc::new(fields),
            ..self.deps.clone()
        }
    }

    pub(crate) fn drift_count(&self) -> Box<dyn Fn() -> u64 + Send + Sync> {
        let drift = Arc::clone(&self.drift);
        Box::new(move || drift.snapshot().values().sum())
    }

    /// Moves the provider's clock and the vendor's together.
    pub(crate) fn pass_time(&self) -> Box<dyn Fn(Duration) + Send + Sync> {
        let (clock, vendors) = (self.clock.clone(), self.vendors.clone());
        Box::new(move |time| {
            clock.advance(time);
            vendors.advance(time);
        })
    }
}

pub(crate) fn provider_name() -> ProviderName {
    ProviderName::parse("under-test").unwrap()
}
