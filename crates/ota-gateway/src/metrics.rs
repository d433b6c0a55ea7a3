//! All metrics, for Prometheus: the metrics that each layer declares beside the code that counts them, in one registry.
//!
//! A new metric is a line in the declaration of its layer. A layer that counts nothing yet gets a declaration
//! ([`instruments!`](crate::instrument)) and a line here.

use std::sync::OnceLock;

use ota_core::clock::Clock;
use ota_core::id::ProviderName;
use ota_guard::Guard;
use prometheus::{Encoder as _, Registry, TextEncoder};

use crate::background::BackgroundMetrics;
use crate::cache::metrics::CacheMetrics;
use crate::drift::DriftMetrics;
use crate::forward::metrics::ForwardMetrics;
use crate::instrument::Description;
use crate::log::{DroppedLines, LogMetrics};
use crate::observer::ServerMetrics;
use crate::process::ProcessMetrics;
use crate::sync_metrics::MirrorMetrics;
use crate::telemetry::TraceMetrics;
use crate::vendor_calls::VendorCallMetrics;

macro_rules! layers {
    ($($(#[$meta:meta])* $field:ident: $metrics:ident,)+) => {
        /// The metrics of one process.
        #[derive(Debug)]
        pub struct Metrics {
            registry: Registry,
            log_output: OnceLock<DroppedLines>,
            $($(#[$meta])* pub(crate) $field: $metrics,)+
        }

        impl Metrics {
            fn register() -> Self {
                let registry = Registry::new();
                Self {
                    $($field: $metrics::register(&registry),)+
                    log_output: OnceLock::new(),
                    registry,
                }
            }
        }

        /// Returns the description of every metric, in the order of the table in `docs/operations.md`.
        #[must_use]
        pub fn catalog() -> Vec<Description> {
            [$($metrics::DESCRIPTIONS),+].concat()
        }
    };
}

layers! {
    /// Of connections and requests.
    server: ServerMetrics,
    /// Of reads and the cache.
    cache: CacheMetrics,
    /// Of reads that are passed on to other gateways.
    forwarded: ForwardMetrics,
    /// Of vendor calls, quotas and breakers.
    vendor_calls: VendorCallMetrics,
    /// Of what vendors send that no document has.
    drift: DriftMetrics,
    /// Of keys and certificates.
    background: BackgroundMetrics,
    /// Of the mirror.
    mirror: MirrorMetrics,
    /// Of the log.
    log: LogMetrics,
    /// Of the export of traces.
    traces: TraceMetrics,
    /// Of the process.
    process: ProcessMetrics,
}

/// Returns every value that a label can have in any metric, for labels whose values this program chooses.
#[must_use]
pub fn label_values(label: &str) -> Option<Vec<&'static str>> {
    let labels = catalog().into_iter().flat_map(|metric| metric.labels);
    let values = labels.filter(|of| of.name == label);
    let values: Option<Vec<_>> = values.map(|of| of.values.map(|values| values())).collect();
    values.map(|values| values.concat())
}

/// The media type of [`Metrics::text`].
pub const CONTENT_TYPE: &str = prometheus::TEXT_FORMAT;

impl Metrics {
    /// Creates the metrics of a process that starts now.
    #[must_use]
    pub fn new(clock: &dyn Clock) -> Self {
        let metrics = Self::register();
        metrics.process.starts(clock);
        metrics.server.connections(0);
        metrics
    }

    /// Sets the counter from which the number of dropped log lines is read.
    pub(crate) fn watch_log(&self, dropped: DroppedLines) {
        // A process has one log; the dropped lines of a second one would not be counted.
        let _first = self.log_output.set(dropped);
    }

    /// Writes all metrics in the text format of Prometheus; gauges of current state are read now.
    ///
    /// # Errors
    /// When they cannot be written.
    pub fn text<'a>(
        &self,
        gates: impl IntoIterator<Item = (&'a ProviderName, &'a Guard)>,
        cache: (u64, u64),
        dropped_spans: u64,
    ) -> Result<Vec<u8>, prometheus::Error> {
        self.vendor_calls.read(gates);
        self.cache.held(cache);
        let dropped_lines = self.log_output.get().map_or(0, DroppedLines::count);
        self.log.dropped(dropped_lines);
        self.traces.dropped(dropped_spans);
        self.process.read();
        let mut text = Vec::new();
        TextEncoder::new().encode(&self.registry.gather(), &mut text)?;
        Ok(text)
    }
}

#[cfg(test)]
mod tests {
    use super::{Metrics, catalog, label_values};
    use crate::cache::metrics::ReadResult;
    use crate::forward::metrics::ForwardResult;
    use crate::observer::RequestObserver;
    use axum::http::StatusCode;
    use ota_api::problem::Code;
    use ota_core::ErrorKind;
    use ota_core::clock::{Clock, ManualClock};
    use ota_core::context::{Context, Priority};
    use ota_core::drift::{DriftKind, DriftObserver as _};
    use ota_core::id::ProviderName;
    use ota_core::random::SequenceRandom;
    use ota_guard::{AccountQuota, Guard, GuardLimits, Outcome, QuotaLimits, QuotaScope};
    use ota_server::{CutOff, Observer as _, TurnedAway};
    use ota_sync::{Observer as _, PassKind, Reason, SourceState, WriteKind};
    use std::sync::Arc;
    use std::time::Duration;
    use time::macros::datetime;

    /// Metrics in which everything has been counted once, as text.
    fn everything() -> String {
        let clock: Arc<dyn Clock> = Arc::new(ManualClock::new(datetime!(2026-01-01 00:00 UTC)));
        let metrics = Arc::new(Metrics::new(&*clock));
        let name = ProviderName::parse("acme").unwrap();
        let limits = QuotaLimits {
            calls: 10,
            window: Duration::from_secs(1),
            margin: None,
            scope: QuotaScope::Account,
        };
        let guard = Guard::new(
            GuardLimits {
                timeout: Duration::from_secs(1),
                max_attempts: 1,
                max_concurrent: 1,
            },
            Arc::new(AccountQuota::new(limits, Arc::clone(&clock))),
            Arc::clone(&clock),
            Arc::new(SequenceRandom::new(1)),
            metrics
                .vendor_calls
                .observer(&name, &Arc::default(), &clock),
        );
        let requests = RequestObserver {
            metrics: metrics.server.clone(),
            telemetry: Arc::default(),
            random: Arc::new(SequenceRandom::new(2)),
        };
        requests.begins();
        let second = Duration::from_secs(1);
        requests.request("/v1/providers", StatusCode::OK, second);
        requests.refused(Code::Unauthenticated);
        requests.refused(Code::NotFound);
        metrics.cache.read("acme", "list_jobs", ReadResult::Joined);
        metrics.forwarded.count(&name, ForwardResult::Answered);
        let drift = metrics.drift.observer(&name);
        drift.observe(DriftKind::Word, "List", "TaskStatus");
        drift.observe(DriftKind::Field, "List", &"x".repeat(99));
        let calls = metrics
            .vendor_calls
            .observer(&name, &Arc::default(), &clock);
        calls.call("List", Outcome::RefusedByQuota, 0);
        let cx = Context::new("r", clock.monotonic(), Priority::Interactive);
        calls.attempt(&cx, "List", Outcome::Failed(ErrorKind::Timeout), second);
        calls.waited("List", second);
        calls.throttled("List");
        metrics.server.connections(3);
        metrics.server.cut_off(CutOff::Slow);
        metrics.background.key_refresh(true);
        let mirror = &metrics.mirror;
        mirror.calls(&name, Reason::FirstPass, 3);
        mirror.pass_ended(&name, PassKind::List, true);
        mirror.lag(&name, second);
        mirror.holds(&name, 1, 2);
        mirror.asked("list_fleet_jobs", second);
        mirror.wrote(WriteKind::Tasks, second);
        mirror.state(&name, SourceState::Behind, false);
        mirror.database(true);
        let ends = datetime!(2027-01-01 00:00 UTC);
        metrics.background.certificate_ends(ends);
        let text = metrics.text([(&name, &guard)], (3, 4096), 7).unwrap();
        String::from_utf8(text).unwrap()
    }

    #[test]
    fn every_declared_metric_is_written_with_its_type_and_labels() {
        let text = everything();
        for metric in catalog() {
            let kind = metric.kind.as_str();
            let line = format!("# TYPE {} {kind}\n", metric.name);
            assert!(text.contains(&line), "{line} in\n{text}");
            let mut samples = text.lines().filter(|line| {
                line.strip_prefix(metric.name)
                    .is_some_and(|rest| rest.starts_with(['{', ' ', '_']))
            });
            let labelled = |line: &str| {
                metric
                    .labels
                    .iter()
                    .all(|label| line.contains(&format!("{}=\"", label.name)))
            };
            assert!(samples.any(labelled), "{} in\n{text}", metric.name);
            assert!(metric.help.ends_with('.'), "{}", metric.name);
        }
        let written = text
            .lines()
            .filter(|line| line.starts_with("# TYPE"))
            .count();
        assert_eq!(written, catalog().len());
    }

    #[test]
    fn what_a_vendor_invents_is_no_label() {
        let text = everything();
        assert!(!text.contains("xxx"));
        assert!(text.contains("field=\"(new)\"") && text.contains("field=\"TaskStatus\""));
    }

    #[test]
    fn states_are_read_when_they_are_written() {
        let text = everything();
        for line in [
            "ota_breaker_state{provider=\"acme\",state=\"closed\"} 1",
            "ota_breaker_state{provider=\"acme\",state=\"open\"} 0",
            "ota_quota_remaining{provider=\"acme\"} 10",
            "ota_mirror_state{provider=\"acme\",state=\"behind\"} 1",
            "ota_mirror_state{provider=\"acme\",state=\"current\"} 0",
            "ota_cache_bytes 4096",
            "ota_http_requests_in_flight 1",
        ] {
            assert!(text.lines().any(|one| one == line), "{line} in\n{text}");
        }
    }

    #[test]
    fn what_can_happen_in_a_few_ways_is_written_from_the_start() {
        let metrics = Metrics::new(&ManualClock::new(datetime!(2026-01-01 00:00 UTC)));
        let text = metrics.text([], (0, 0), 0).unwrap();
        let text = String::from_utf8(text).unwrap();
        let reasons = CutOff::ALL.map(CutOff::as_str);
        let reasons = reasons
            .into_iter()
            .map(|reason| ("connections_cut_off", reason));
        let turned_away = TurnedAway::ALL.map(TurnedAway::as_str);
        let turned_away = turned_away
            .into_iter()
            .map(|reason| ("requests_turned_away", reason));
        for (name, reason) in reasons.chain(turned_away) {
            let line = format!("ota_{name}_total{{reason=\"{reason}\"}} 0");
            assert!(text.lines().any(|one| one == line), "{line} in\n{text}");
        }
        for line in [
            "ota_auth_failures_total{reason=\"rate_limited\"} 0",
            "ota_auth_key_refreshes_total{result=\"failed\"} 0",
            "ota_accept_failures_total 0",
            "ota_connections_open 0",
        ] {
            assert!(text.lines().any(|one| one == line), "{line} in\n{text}");
        }
        assert!(!text.contains("ota_tls_certificate"), "TLS is off");
    }

    #[test]
    fn the_values_of_a_label_are_those_of_all_metrics_that_have_it() {
        let reasons = label_values("reason").unwrap();
        for reason in ["slow", "full", "forbidden"] {
            assert!(reasons.contains(&reason), "{reasons:?}");
        }
        assert_eq!(label_values("provider"), None);
    }
}
