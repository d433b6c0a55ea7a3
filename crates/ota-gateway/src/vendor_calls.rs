//! Counts vendor calls and exports their spans. The gates below depend on neither metrics nor traces.

use std::sync::Arc;
use std::time::Duration;

use ota_core::ErrorKind;
use ota_core::clock::Clock;
use ota_core::context::Context;
use ota_core::id::ProviderName;
use ota_guard::{BreakerState, Guard, Observer, Outcome};
use prometheus::IntGaugeVec;

use crate::instrument::{self, instruments};
use crate::telemetry::Telemetry;

instruments! {
    /// What happens to vendor calls.
    pub(crate) struct VendorCallMetrics {
        /// Vendor calls as adapters make them, without retries, by how they ended: ok, a kind of error, superseded (refused with a credential or token that has been replaced since; another call follows), deadline (the time of the request was over, which says nothing about the vendor), quota (refused: the wait for the quota would have been too long), slots (refused: the wait for one of the calls at the same time would have been too long), breaker (refused: the circuit is open), lease (refused: another gateway holds the account).
        calls: Counter "ota_vendor_calls_total" ["provider", "operation", "outcome" = outcomes],
        /// Attempts that were sent to the vendor, by how they ended: as calls; deadline is an attempt that the end of its request has cut short.
        attempts: Counter "ota_vendor_attempts_total" ["provider", "operation", "outcome" = outcomes],
        /// Time of an attempt, from sending to the whole answer or the time-out.
        attempt_seconds: Histogram "ota_vendor_attempt_duration_seconds" ["provider", "operation"],
        /// Attempts in flight, of at most limits.max_concurrent.
        attempts_in_flight: Gauge "ota_vendor_attempts_in_flight" ["provider"],
        /// Time that an attempt waited for the quota and a slot before it was sent.
        quota_wait: Histogram "ota_quota_wait_seconds" ["provider", "operation"],
        /// Calls per window of the quota that the gateway stays within.
        quota_limit: Gauge "ota_quota_limit" ["provider"],
        /// Calls that can be sent now; if each operation is counted separately, of the operation with the fewest left. 0 while the account is paused.
        quota_remaining: Gauge "ota_quota_remaining" ["provider"],
        /// Calls that wait for the quota of the provider's account.
        quota_waiting: Gauge "ota_quota_waiting" ["provider"],
        /// Attempts that the vendor throttled although the gateway stayed within the quota: another program uses the account, or the configured figure is too high.
        throttles: Counter "ota_vendor_throttles_total" ["provider", "operation"],
        /// 1 for the current state of the circuit breaker: closed, open (no calls are sent), probing.
        breaker: Gauge "ota_breaker_state" ["provider", "state" = || BreakerState::ALL.map(BreakerState::as_str).to_vec()],
        /// How often the circuit breaker has opened.
        breaker_openings: Counter "ota_breaker_openings_total" ["provider"],
    }
}

/// Returns every value of the label `outcome`.
fn outcomes() -> Vec<&'static str> {
    let ours = [
        Outcome::Answered,
        Outcome::Superseded,
        Outcome::DeadlineExceeded,
        Outcome::RefusedByQuota,
        Outcome::RefusedBySlots,
        Outcome::RefusedByBreaker,
        Outcome::NotHeld,
    ];
    let failed = ErrorKind::ALL.iter().map(|kind| Outcome::Failed(*kind));
    ours.into_iter()
        .chain(failed)
        .map(Outcome::as_str)
        .collect()
}

impl VendorCallMetrics {
    /// Returns the observer that a provider's gate reports the events of its calls to.
    pub(crate) fn observer(
        &self,
        provider: &ProviderName,
        telemetry: &Arc<Telemetry>,
        clock: &Arc<dyn Clock>,
    ) -> Arc<dyn Observer> {
        Arc::new(CallObserver {
            telemetry: Arc::clone(telemetry),
            clock: Arc::clone(clock),
            metrics: self.clone(),
            provider: provider.clone(),
        })
    }

    /// Reads the current state of the gates into the gauges, and the number of breaker openings.
    pub(crate) fn read<'a>(&self, gates: impl IntoIterator<Item = (&'a ProviderName, &'a Guard)>) {
        for (provider, guard) in gates {
            let provider = provider.as_str();
            let quota = guard.quota();
            let set = |gauge: &IntGaugeVec, value: u64| instrument::set(gauge, &[provider], value);
            set(&self.attempts_in_flight, guard.running().into());
            set(&self.quota_limit, quota.limits().calls.into());
            set(&self.quota_remaining, quota.remaining().into());
            set(&self.quota_waiting, quota.waiting() as u64);
            let current = guard.breaker().state();
            for state in BreakerState::ALL {
                self.breaker
                    .with_label_values(&[provider, state.as_str()])
                    .set(i64::from(state == current));
            }
            let openings = guard.breaker().openings();
            instrument::raise(&self.breaker_openings, &[provider], openings);
        }
    }
}

/// Counts what happens to the calls of one provider.
#[derive(Debug)]
struct CallObserver {
    telemetry: Arc<Telemetry>,
    clock: Arc<dyn Clock>,
    metrics: VendorCallMetrics,
    provider: ProviderName,
}

impl Observer for CallObserver {
    fn call(&self, operation: &'static str, outcome: Outcome, _attempts: u32) {
        let labels = [self.provider.as_str(), operation, outcome.as_str()];
        self.metrics.calls.with_label_values(&labels).inc();
    }

    fn attempt(&self, cx: &Context, operation: &'static str, outcome: Outcome, took: Duration) {
        let (provider, clock) = (self.provider.as_str(), &*self.clock);
        self.telemetry
            .attempt(cx, clock, provider, operation, outcome, took);
        let labels = [self.provider.as_str(), operation, outcome.as_str()];
        self.metrics.attempts.with_label_values(&labels).inc();
        self.metrics
            .attempt_seconds
            .with_label_values(&labels[..2])
            .observe(took.as_secs_f64());
    }

    fn waited(&self, operation: &'static str, wait: Duration) {
        self.metrics
            .quota_wait
            .with_label_values(&[self.provider.as_str(), operation])
            .observe(wait.as_secs_f64());
    }

    fn throttled(&self, operation: &'static str) {
        self.metrics
            .throttles
            .with_label_values(&[self.provider.as_str(), operation])
            .inc();
    }
}
