//! What is counted, for Prometheus. Labels are from closed sets: configured names, operations, routes, kinds; never an identifier.
//!
//! [`CATALOG`] describes every metric once; the metrics are made from it, and the table in `docs/operations.md` is generated from it.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use ota_core::ErrorKind;
use ota_core::clock::Clock;
use ota_core::context::Context;
use ota_core::drift::DriftKind;
use ota_core::id::ProviderName;
use ota_guard::{BreakerState, Guard, Observer, Outcome};
use prometheus::core::Collector;
use prometheus::{
    Encoder as _, HistogramOpts, HistogramVec, IntCounterVec, IntGaugeVec, Opts, Registry,
    TextEncoder,
};
use time::OffsetDateTime;

use crate::log::DroppedLines;
use crate::problem::Code;
use crate::server::{CutOff, TurnedAway};
use crate::telemetry::Telemetry;

/// What kind of metric it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only rises, until the process ends.
    Counter,
    /// Rises and falls.
    Gauge,
    /// Counts values by size; the values are seconds.
    Histogram,
}

/// One metric as operators know it.
#[derive(Clone, Copy, Debug)]
pub struct Description {
    /// The name.
    pub name: &'static str,
    /// What kind it is.
    pub kind: Kind,
    /// The labels.
    pub labels: &'static [&'static str],
    /// What it counts.
    pub help: &'static str,
}

macro_rules! catalog {
    ($($(#[$meta:meta])* $constant:ident = $kind:ident $name:literal [$($label:literal),*] $help:literal;)+) => {
        $(const $constant: Description = Description {
            name: $name,
            kind: Kind::$kind,
            labels: &[$($label),*],
            help: $help,
        };)+

        /// Every metric.
        pub const CATALOG: &[Description] = &[$($constant),+];
    };
}

catalog! {
    HTTP_REQUESTS = Counter "ota_http_requests_total" ["route", "status"]
        "Completed requests, by route template and status.";
    HTTP_SECONDS = Histogram "ota_http_request_duration_seconds" ["route"]
        "Time from the head of a request to the head of its answer.";
    HTTP_RUNNING = Gauge "ota_http_requests_in_flight" []
        "Requests that are being answered.";
    READS = Counter "ota_reads_total" ["provider", "operation", "result"]
        "Reads by how they were answered: hit (from the cache), fetched (by vendor calls), joined (an equal read was in flight), stale (the vendor did not answer; an older cached response was served), nothing_cached, failed.";
    CACHE_ENTRIES = Gauge "ota_cache_entries" []
        "Cached responses.";
    CACHE_BYTES = Gauge "ota_cache_bytes" []
        "Memory of the cached responses, of at most cache.max_bytes.";
    CALLS = Counter "ota_vendor_calls_total" ["provider", "operation", "outcome"]
        "Vendor calls as adapters make them, repetitions not counted, by how they ended: ok, a kind of error, superseded (refused with a credential or token that has been replaced since; another call follows), deadline (the time of the request was over, which says nothing about the vendor), quota (refused: the wait for the quota would have been too long), slots (refused: the wait for one of the calls at the same time would have been too long), breaker (refused: the vendor is left alone).";
    ATTEMPTS = Counter "ota_vendor_attempts_total" ["provider", "operation", "outcome"]
        "Attempts that were sent to the vendor, by how they ended: as calls; deadline is an attempt that the end of its request has cut short.";
    ATTEMPT_SECONDS = Histogram "ota_vendor_attempt_duration_seconds" ["provider", "operation"]
        "Time of an attempt, from sending to the whole answer or the time-out.";
    ATTEMPTS_RUNNING = Gauge "ota_vendor_attempts_in_flight" ["provider"]
        "Attempts in flight, of at most limits.max_concurrent.";
    QUOTA_WAIT = Histogram "ota_quota_wait_seconds" ["provider", "operation"]
        "Time that an attempt waited for the quota and a slot before it was sent.";
    QUOTA_LIMIT = Gauge "ota_quota_limit" ["provider"]
        "Calls per window of the quota that the gateway stays within.";
    QUOTA_REMAINING = Gauge "ota_quota_remaining" ["provider"]
        "Calls that can be sent now; if each operation is counted separately, of the operation with the fewest left. 0 while the account is paused.";
    QUOTA_WAITING = Gauge "ota_quota_waiting" ["provider"]
        "Calls that wait for the quota of the provider's account.";
    THROTTLES = Counter "ota_vendor_throttles_total" ["provider", "operation"]
        "Attempts that the vendor throttled although the gateway stayed within the quota: another program uses the account, or the configured figure is too high.";
    BREAKER = Gauge "ota_breaker_state" ["provider", "state"]
        "1 for the current state of the circuit breaker: closed, open (no calls are sent), probing.";
    BREAKER_OPENINGS = Counter "ota_breaker_openings_total" ["provider"]
        "How often the circuit breaker has opened.";
    DRIFT = Counter "ota_vendor_drift_total" ["provider", "operation", "kind", "field"]
        "Things in vendor answers that no document of the vendor has, by kind: word (of an enumeration), value (that cannot be read), field, page (another page or total than the one asked for, or numbers that do not fit each other), malformed (a text or number that is not as its format wants it, such as bytes that are not UTF-8). The field is the documented one; for a field that is not documented it is (new), for what is malformed (any), and the log names it.";
    CONNECTIONS = Gauge "ota_connections_open" []
        "Connections that are open, of at most server.max_connections.";
    CUT_OFF = Counter "ota_connections_cut_off_total" ["reason"]
        "Connections that the gateway ended: slow (a request did not come, or an answer was not taken, in time), idle (nothing was asked for long), handshake (TLS did not begin in time), evicted (idle, to make room for a new one), refused (all were being answered).";
    TURNED_AWAY = Counter "ota_requests_turned_away_total" ["reason"]
        "Requests that were turned away at the limit of concurrent requests: full (all places were taken and the caller had its share, or the caller had as many as one may have), given_up (the place was needed for a caller with fewer requests).";
    ACCEPT_FAILURES = Counter "ota_accept_failures_total" []
        "Connections that could not be accepted because no file descriptor was left.";
    AUTH_FAILURES = Counter "ota_auth_failures_total" ["reason"]
        "Requests that were not let in: unauthenticated (no valid token), forbidden (no scope), rate_limited, keys_unavailable (tokens cannot be verified).";
    KEY_REFRESHES = Counter "ota_auth_key_refreshes_total" ["result"]
        "Attempts to read the keys that tokens are verified with again: ok, failed (the last good ones stay in use).";
    LOG_DROPPED = Counter "ota_log_lines_dropped_total" []
        "Lines of the log that were dropped because they were not read in time; see log.buffer_bytes.";
    SPANS_DROPPED = Counter "ota_trace_spans_dropped_total" []
        "Spans that were dropped because the collector did not take them, or not in time.";
    CERTIFICATE = Gauge "ota_tls_certificate_expiry_seconds" []
        "When the gateway's own certificate ends, in seconds since 1970; there with TLS only.";
    BUILD = Gauge "ota_build_info" ["version"]
        "Always 1; the label is the version.";
    STARTED = Gauge "process_start_time_seconds" []
        "When the process started, in seconds since 1970.";
    MEMORY = Gauge "process_resident_memory_bytes" []
        "Memory of the process (Linux only).";
}

/// Limits of the histogram's buckets, in seconds: from a cached response to a request's usual time limit.
const BUCKETS: &[f64] = &[
    0.000_25, 0.001, 0.005, 0.025, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0,
];

/// The label of a field that no document has: a vendor's invention must not become a label.
const NEW_FIELD: &str = "(new)";

/// The field of what is malformed: it may be in any field, documented or not.
const ANY_FIELD: &str = "(any)";

/// The codes of requests that are not let in.
const NOT_LET_IN: [Code; 4] = [
    Code::Unauthenticated,
    Code::Forbidden,
    Code::RateLimited,
    Code::KeysUnavailable,
];

/// How an attempt to read the keys again ends.
const REFRESH_RESULTS: [&str; 2] = ["ok", "failed"];

/// How a read was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadResult {
    /// From a cached response.
    Hit,
    /// By asking the vendor.
    Fetched,
    /// By an equal read that was in flight.
    Joined,
    /// By an older answer, because the vendor did not answer.
    Stale,
    /// Nothing was cached, and no vendor call was allowed.
    NothingCached,
    /// Not: with an error.
    Failed,
}

impl ReadResult {
    /// Every result.
    const ALL: [Self; 6] = [
        Self::Hit,
        Self::Fetched,
        Self::Joined,
        Self::Stale,
        Self::NothingCached,
        Self::Failed,
    ];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Hit => "hit",
            Self::Fetched => "fetched",
            Self::Joined => "joined",
            Self::Stale => "stale",
            Self::NothingCached => "nothing_cached",
            Self::Failed => "failed",
        }
    }
}

/// Returns every word that a label can have, for labels whose words this program chooses.
#[must_use]
pub fn label_words(label: &str) -> Option<Vec<&'static str>> {
    let words = match label {
        "kind" => DriftKind::ALL.iter().map(|kind| kind.as_str()).collect(),
        "outcome" => {
            let ours = [
                Outcome::Answered,
                Outcome::Superseded,
                Outcome::DeadlineExceeded,
                Outcome::RefusedByQuota,
                Outcome::RefusedBySlots,
                Outcome::RefusedByBreaker,
            ];
            let failed = ErrorKind::ALL.iter().map(|kind| Outcome::Failed(*kind));
            ours.into_iter()
                .chain(failed)
                .map(Outcome::as_str)
                .collect()
        }
        "result" => {
            let reads = ReadResult::ALL.map(ReadResult::as_str);
            [&reads[..], &REFRESH_RESULTS].concat()
        }
        "reason" => {
            let cut_off = CutOff::ALL.map(CutOff::as_str);
            let turned_away = TurnedAway::ALL.map(TurnedAway::as_str);
            [&cut_off[..], &turned_away, &NOT_LET_IN.map(Code::as_str)].concat()
        }
        "state" => BreakerState::ALL.map(BreakerState::as_str).to_vec(),
        _ => return None,
    };
    Some(words)
}

/// The metrics of one process.
#[derive(Clone, Debug)]
pub struct Metrics {
    registry: Registry,
    http_requests: IntCounterVec,
    http_seconds: HistogramVec,
    http_running: IntGaugeVec,
    reads: IntCounterVec,
    cache_entries: IntGaugeVec,
    cache_bytes: IntGaugeVec,
    calls: IntCounterVec,
    attempts: IntCounterVec,
    attempt_seconds: HistogramVec,
    attempts_running: IntGaugeVec,
    quota_wait: HistogramVec,
    quota_limit: IntGaugeVec,
    quota_remaining: IntGaugeVec,
    quota_waiting: IntGaugeVec,
    throttles: IntCounterVec,
    breaker: IntGaugeVec,
    breaker_openings: IntCounterVec,
    drift: IntCounterVec,
    connections: IntGaugeVec,
    cut_off: IntCounterVec,
    turned_away: IntCounterVec,
    accept_failures: IntCounterVec,
    auth_failures: IntCounterVec,
    key_refreshes: IntCounterVec,
    log_dropped: IntCounterVec,
    spans_dropped: IntCounterVec,
    certificate: IntGaugeVec,
    memory: IntGaugeVec,
    log: Arc<OnceLock<DroppedLines>>,
}

/// Makes and registers metrics. Names and labels are constants that a test makes once, so an error is a mistake of this file.
struct Maker(Registry);

impl Maker {
    fn register<C: Collector + Clone + 'static>(&self, metric: prometheus::Result<C>) -> C {
        let metric = metric.expect("names and labels of the catalog are valid");
        self.0
            .register(Box::new(metric.clone()))
            .expect("names of the catalog are different");
        metric
    }

    fn counter(&self, of: Description) -> IntCounterVec {
        self.register(IntCounterVec::new(Opts::new(of.name, of.help), of.labels))
    }

    fn gauge(&self, of: Description) -> IntGaugeVec {
        self.register(IntGaugeVec::new(Opts::new(of.name, of.help), of.labels))
    }

    fn histogram(&self, of: Description) -> HistogramVec {
        let options = HistogramOpts::new(of.name, of.help).buckets(BUCKETS.to_vec());
        self.register(HistogramVec::new(options, of.labels))
    }
}

/// A vector of labels that has none.
const NONE: [&str; 0] = [];

impl Metrics {
    /// Creates the metrics of a process that starts now.
    #[must_use]
    pub fn new(clock: &dyn Clock) -> Self {
        let make = Maker(Registry::new());
        let build = make.gauge(BUILD);
        build.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        let started = make.gauge(STARTED);
        started
            .with_label_values(&NONE)
            .set(clock.now().unix_timestamp());
        let metrics = Self {
            http_requests: make.counter(HTTP_REQUESTS),
            http_seconds: make.histogram(HTTP_SECONDS),
            http_running: make.gauge(HTTP_RUNNING),
            reads: make.counter(READS),
            cache_entries: make.gauge(CACHE_ENTRIES),
            cache_bytes: make.gauge(CACHE_BYTES),
            calls: make.counter(CALLS),
            attempts: make.counter(ATTEMPTS),
            attempt_seconds: make.histogram(ATTEMPT_SECONDS),
            attempts_running: make.gauge(ATTEMPTS_RUNNING),
            quota_wait: make.histogram(QUOTA_WAIT),
            quota_limit: make.gauge(QUOTA_LIMIT),
            quota_remaining: make.gauge(QUOTA_REMAINING),
            quota_waiting: make.gauge(QUOTA_WAITING),
            throttles: make.counter(THROTTLES),
            breaker: make.gauge(BREAKER),
            breaker_openings: make.counter(BREAKER_OPENINGS),
            drift: make.counter(DRIFT),
            connections: make.gauge(CONNECTIONS),
            cut_off: make.counter(CUT_OFF),
            turned_away: make.counter(TURNED_AWAY),
            accept_failures: make.counter(ACCEPT_FAILURES),
            auth_failures: make.counter(AUTH_FAILURES),
            key_refreshes: make.counter(KEY_REFRESHES),
            log_dropped: make.counter(LOG_DROPPED),
            spans_dropped: make.counter(SPANS_DROPPED),
            certificate: make.gauge(CERTIFICATE),
            memory: make.gauge(MEMORY),
            log: Arc::default(),
            registry: make.0,
        };
        // What can happen in a few ways is there from the start, so that the first time is an increase.
        for reason in CutOff::ALL {
            metrics.cut_off.with_label_values(&[reason.as_str()]);
        }
        for code in NOT_LET_IN {
            metrics.auth_failures.with_label_values(&[code.as_str()]);
        }
        for result in REFRESH_RESULTS {
            metrics.key_refreshes.with_label_values(&[result]);
        }
        for reason in TurnedAway::ALL {
            metrics.turned_away.with_label_values(&[reason.as_str()]);
        }
        metrics.accept_failures.with_label_values(&NONE);
        metrics.connections(0);
        metrics
    }

    /// Takes the number of dropped lines of the log from here.
    pub(crate) fn watch_log(&self, dropped: DroppedLines) {
        // A process has one log; a second one would be counted by nothing.
        let _first = self.log.set(dropped);
    }

    /// Records how many connections are open.
    pub(crate) fn connections(&self, open: usize) {
        let open = i64::try_from(open).unwrap_or(i64::MAX);
        self.connections.with_label_values(&NONE).set(open);
    }

    /// Records that a connection was ended from this side.
    pub(crate) fn cut_off(&self, reason: CutOff) {
        self.cut_off.with_label_values(&[reason.as_str()]).inc();
    }

    /// Records that a request found no place.
    pub(crate) fn turned_away(&self, reason: TurnedAway) {
        self.turned_away.with_label_values(&[reason.as_str()]).inc();
    }

    /// Records that no descriptor was left for a connection.
    pub(crate) fn accept_failure(&self) {
        self.accept_failures.with_label_values(&NONE).inc();
    }

    /// Records that a request was not let in.
    pub(crate) fn not_let_in(&self, code: Code) {
        if NOT_LET_IN.contains(&code) {
            self.auth_failures.with_label_values(&[code.as_str()]).inc();
        }
    }

    /// Notes an attempt to read the keys again.
    pub(crate) fn key_refresh(&self, ok: bool) {
        let [good, bad] = REFRESH_RESULTS;
        let result = if ok { good } else { bad };
        self.key_refreshes.with_label_values(&[result]).inc();
    }

    /// Notes when the gateway's own certificate ends.
    pub(crate) fn certificate_ends(&self, at: OffsetDateTime) {
        self.certificate
            .with_label_values(&NONE)
            .set(at.unix_timestamp());
    }

    /// Records that a request is being answered, until [`Metrics::request_ends`].
    pub(crate) fn request_begins(&self) {
        self.http_running.with_label_values(&NONE).inc();
    }

    /// Records that a request has its answer, or was given up.
    pub(crate) fn request_ends(&self) {
        self.http_running.with_label_values(&NONE).dec();
    }

    /// Notes an answered request.
    pub(crate) fn request(&self, route: &str, status: &str, took: Duration) {
        self.http_requests.with_label_values(&[route, status]).inc();
        self.http_seconds
            .with_label_values(&[route])
            .observe(took.as_secs_f64());
    }

    /// Returns what counts the hits of one route, looked up once.
    pub(crate) fn hit_counters(
        &self,
        route: &str,
        provider: &str,
        operation: &'static str,
    ) -> HitCounters {
        let requests = |status| self.http_requests.with_label_values(&[route, status]);
        let labels = [provider, operation, ReadResult::Hit.as_str()];
        HitCounters {
            whole: requests("200"),
            unchanged: requests("304"),
            seconds: self.http_seconds.with_label_values(&[route]),
            reads: self.reads.with_label_values(&labels),
        }
    }

    /// Records how a read was answered.
    pub(crate) fn read(&self, provider: &str, operation: &'static str, result: ReadResult) {
        let labels = [provider, operation, result.as_str()];
        self.reads.with_label_values(&labels).inc();
    }

    /// Counts something that no document of the vendor has.
    pub(crate) fn drifted(
        &self,
        provider: &str,
        kind: DriftKind,
        operation: &'static str,
        field: &str,
    ) {
        let field = match kind {
            DriftKind::Field => NEW_FIELD,
            DriftKind::Malformed => ANY_FIELD,
            DriftKind::Word | DriftKind::Value | DriftKind::Page => field,
        };
        let labels = [provider, operation, kind.as_str(), field];
        self.drift.with_label_values(&labels).inc();
    }

    /// Returns what a provider's gate tells what happens to its calls.
    #[must_use]
    pub fn meter(
        self: &Arc<Self>,
        provider: &ProviderName,
        telemetry: &Arc<Telemetry>,
        clock: &Arc<dyn Clock>,
    ) -> Arc<dyn Observer> {
        Arc::new(Meter {
            telemetry: Arc::clone(telemetry),
            clock: Arc::clone(clock),
            metrics: Arc::clone(self),
            provider: provider.clone(),
        })
    }

    /// Writes all metrics in the text format of Prometheus; what is a state and not a count is read now.
    ///
    /// # Errors
    /// When they cannot be written.
    pub fn text<'a>(
        &self,
        gates: impl IntoIterator<Item = (&'a ProviderName, &'a Guard)>,
        cache: (u64, u64),
        dropped_spans: u64,
    ) -> Result<Vec<u8>, prometheus::Error> {
        let number = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        for (provider, guard) in gates {
            let provider = provider.as_str();
            let quota = guard.quota();
            let set = |gauge: &IntGaugeVec, value: u64| {
                gauge.with_label_values(&[provider]).set(number(value));
            };
            set(&self.attempts_running, guard.running().into());
            set(&self.quota_limit, quota.limits().calls.into());
            set(&self.quota_remaining, quota.remaining().into());
            set(&self.quota_waiting, quota.waiting() as u64);
            let current = guard.breaker().state();
            for state in BreakerState::ALL {
                self.breaker
                    .with_label_values(&[provider, state.as_str()])
                    .set(i64::from(state == current));
            }
            let openings = self.breaker_openings.with_label_values(&[provider]);
            openings.inc_by(guard.breaker().openings().saturating_sub(openings.get()));
        }
        let (entries, bytes) = cache;
        self.cache_entries
            .with_label_values(&NONE)
            .set(number(entries));
        self.cache_bytes.with_label_values(&NONE).set(number(bytes));
        let raise = |counter: &IntCounterVec, to: u64| {
            let counter = counter.with_label_values(&NONE);
            counter.inc_by(to.saturating_sub(counter.get()));
        };
        raise(
            &self.log_dropped,
            self.log.get().map_or(0, DroppedLines::count),
        );
        raise(&self.spans_dropped, dropped_spans);
        if let Some(bytes) = resident_bytes() {
            self.memory.with_label_values(&NONE).set(number(bytes));
        }
        let mut text = Vec::new();
        TextEncoder::new().encode(&self.registry.gather(), &mut text)?;
        Ok(text)
    }
}

/// The media type of [`Metrics::text`].
pub const CONTENT_TYPE: &str = prometheus::TEXT_FORMAT;

/// Memory of the process as Linux tells it.
fn resident_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}

/// What counts the hits of one route.
#[derive(Debug)]
pub(crate) struct HitCounters {
    whole: prometheus::IntCounter,
    unchanged: prometheus::IntCounter,
    seconds: prometheus::Histogram,
    reads: prometheus::IntCounter,
}

impl HitCounters {
    /// Notes a hit.
    pub(crate) fn count(&self, unchanged: bool, took: Duration) {
        match unchanged {
            true => self.unchanged.inc(),
            false => self.whole.inc(),
        }
        self.seconds.observe(took.as_secs_f64());
        self.reads.inc();
    }
}

/// Counts what happens to the calls of one provider.
#[derive(Debug)]
struct Meter {
    telemetry: Arc<Telemetry>,
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
    provider: ProviderName,
}

impl Observer for Meter {
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

#[cfg(test)]
mod tests {
    use super::{CATALOG, CutOff, Kind, Metrics, ReadResult};
    use crate::problem::Code;
    use ota_core::ErrorKind;
    use ota_core::clock::{Clock, ManualClock};
    use ota_core::context::{Context, Priority};
    use ota_core::drift::DriftKind;
    use ota_core::id::ProviderName;
    use ota_core::random::SequenceRandom;
    use ota_guard::{AccountQuota, Guard, GuardLimits, Outcome, QuotaLimits, QuotaScope};
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
            metrics.meter(&name, &Arc::default(), &clock),
        );
        metrics.request_begins();
        let second = Duration::from_secs(1);
        metrics.request("/v1/providers", "200", second);
        metrics.read("acme", "list_jobs", ReadResult::Joined);
        metrics.drifted("acme", DriftKind::Word, "List", "TaskStatus");
        metrics.drifted("acme", DriftKind::Field, "List", "x".repeat(99).as_str());
        let meter = metrics.meter(&name, &Arc::default(), &clock);
        meter.call("List", Outcome::RefusedByQuota, 0);
        let cx = Context::new("r", clock.monotonic(), Priority::Interactive);
        meter.attempt(&cx, "List", Outcome::Failed(ErrorKind::Timeout), second);
        meter.waited("List", second);
        meter.throttled("List");
        metrics.connections(3);
        metrics.cut_off(CutOff::Slow);
        metrics.not_let_in(Code::Unauthenticated);
        metrics.not_let_in(Code::NotFound);
        metrics.key_refresh(true);
        metrics.certificate_ends(datetime!(2027-01-01 00:00 UTC));
        let text = metrics.text([(&name, &guard)], (3, 4096), 7).unwrap();
        String::from_utf8(text).unwrap()
    }

    #[test]
    fn every_metric_of_the_catalog_is_written_with_its_type_and_labels() {
        let text = everything();
        for metric in CATALOG {
            let kind = match metric.kind {
                Kind::Counter => "counter",
                Kind::Gauge => "gauge",
                Kind::Histogram => "histogram",
            };
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
                    .all(|label| line.contains(&format!("{label}=\"")))
            };
            assert!(samples.any(labelled), "{} in\n{text}", metric.name);
            assert!(metric.help.ends_with('.'), "{}", metric.name);
        }
        let written = text
            .lines()
            .filter(|line| line.starts_with("# TYPE"))
            .count();
        assert_eq!(written, CATALOG.len());
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
            "ota_cache_bytes 4096",
            "ota_http_requests_in_flight 1",
        ] {
            assert!(text.lines().any(|one| one == line), "{line} in\n{text}");
        }
    }
}
