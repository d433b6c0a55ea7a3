//! Counts connections and requests and exports spans. The server below depends on neither metrics nor traces.

use std::sync::Arc;
use std::time::Duration;

use axum::http::StatusCode;
use ota_api::problem::Code;
use ota_core::random::Random;
use ota_core::trace::TraceParent;
use ota_server::access_log::AccessLogRecord;
use ota_server::{CutOff, Observer, TurnedAway};
use prometheus::{Histogram, IntCounter};

use crate::instrument::{self, NO_LABELS, instruments};
use crate::telemetry::Telemetry;

instruments! {
    /// Requests and connections, accepted and rejected.
    pub(crate) struct ServerMetrics {
        /// Completed requests, by route template and status.
        requests: Counter "ota_http_requests_total" ["route", "status"],
        /// Time from the head of a request to the head of its answer.
        request_seconds: Histogram "ota_http_request_duration_seconds" ["route"],
        /// Requests that are being answered.
        requests_in_flight: Gauge "ota_http_requests_in_flight" [],
        /// Requests that were turned away at the limit of concurrent requests: full (all places were taken and the caller had its share, or the caller had as many as one may have), given_up (the place was needed for a caller with fewer requests).
        turned_away: Counter "ota_requests_turned_away_total" ["reason" = || TurnedAway::ALL.map(TurnedAway::as_str).to_vec()],
        /// Requests that were not let in: unauthenticated (no valid token), forbidden (no scope), rate_limited, keys_unavailable (tokens cannot be verified).
        not_let_in: Counter "ota_auth_failures_total" ["reason" = || NOT_LET_IN.map(Code::as_str).to_vec()],
        /// Connections that are open, of at most server.max_connections.
        connections: Gauge "ota_connections_open" [],
        /// Connections that the gateway ended: slow (a request did not come, or an answer was not taken, in time), idle (nothing was asked for long), handshake (TLS did not begin in time), evicted (idle, to make room for a new one), refused (all were being answered).
        cut_off: Counter "ota_connections_cut_off_total" ["reason" = || CutOff::ALL.map(CutOff::as_str).to_vec()],
        /// Connections that could not be accepted because no file descriptor was left.
        accept_failures: Counter "ota_accept_failures_total" [],
    }
}

/// The error codes of requests that are not admitted.
const NOT_LET_IN: [Code; 4] = [
    Code::Unauthenticated,
    Code::Forbidden,
    Code::RateLimited,
    Code::KeysUnavailable,
];

impl ServerMetrics {
    /// Records how many connections are open.
    pub(crate) fn connections(&self, open: usize) {
        instrument::set(&self.connections, &NO_LABELS, open as u64);
    }

    /// Records that a connection was closed by the gateway.
    pub(crate) fn cut_off(&self, reason: CutOff) {
        self.cut_off.with_label_values(&[reason.as_str()]).inc();
    }

    /// Records that a connection could not be accepted because no file descriptor was left.
    pub(crate) fn accept_failure(&self) {
        self.accept_failures.with_label_values(&NO_LABELS).inc();
    }

    /// Records that a request was rejected at the limit of concurrent requests.
    pub(crate) fn turned_away(&self, reason: TurnedAway) {
        self.turned_away.with_label_values(&[reason.as_str()]).inc();
    }

    /// Returns the counters for requests of one route that the fast path answers, looked up once.
    pub(crate) fn of_route(&self, route: &str) -> RouteCounters {
        let requests = |status| self.requests.with_label_values(&[route, status]);
        RouteCounters {
            whole: requests("200"),
            unchanged: requests("304"),
            seconds: self.request_seconds.with_label_values(&[route]),
        }
    }
}

/// The counters for the requests of one route.
#[derive(Debug)]
pub(crate) struct RouteCounters {
    whole: IntCounter,
    unchanged: IntCounter,
    seconds: Histogram,
}

impl RouteCounters {
    /// Records an answer.
    pub(crate) fn count(&self, unchanged: bool, took: Duration) {
        match unchanged {
            true => self.unchanged.inc(),
            false => self.whole.inc(),
        }
        self.seconds.observe(took.as_secs_f64());
    }
}

/// The observer that the layer around every handler reports events to.
#[derive(Debug)]
pub(crate) struct RequestObserver {
    pub(crate) metrics: ServerMetrics,
    pub(crate) telemetry: Arc<Telemetry>,
    pub(crate) random: Arc<dyn Random>,
}

impl Observer for RequestObserver {
    fn begins(&self) {
        let in_flight = &self.metrics.requests_in_flight;
        in_flight.with_label_values(&NO_LABELS).inc();
    }

    fn ends(&self) {
        let in_flight = &self.metrics.requests_in_flight;
        in_flight.with_label_values(&NO_LABELS).dec();
    }

    fn trace(&self, parent: Option<TraceParent>) -> Option<TraceParent> {
        self.telemetry.place(parent, &*self.random)
    }

    fn refused(&self, code: Code) {
        if NOT_LET_IN.contains(&code) {
            let reason = [code.as_str()];
            self.metrics.not_let_in.with_label_values(&reason).inc();
        }
    }

    fn turned_away(&self, reason: TurnedAway) {
        self.metrics.turned_away(reason);
    }

    fn request(&self, route: &str, status: StatusCode, took: Duration) {
        let labels = [route, status.as_str()];
        self.metrics.requests.with_label_values(&labels).inc();
        let seconds = self.metrics.request_seconds.with_label_values(&[route]);
        seconds.observe(took.as_secs_f64());
    }

    fn answered(&self, record: &AccessLogRecord<'_>) {
        self.telemetry.request(record);
    }
}
