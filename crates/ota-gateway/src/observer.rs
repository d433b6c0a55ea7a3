//! Counts requests and exports their spans, for the server below that knows neither.

use std::sync::Arc;
use std::time::Duration;

use axum::http::StatusCode;
use ota_core::random::Random;
use ota_core::trace::TraceParent;

use crate::metrics::Metrics;
use crate::problem::Code;
use crate::server::access_log::AccessLogRecord;
use crate::server::{Observer, TurnedAway};
use crate::telemetry::Telemetry;

/// What the layer around every handler tells what happens.
#[derive(Debug)]
pub(crate) struct RequestObserver {
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) telemetry: Arc<Telemetry>,
    pub(crate) random: Arc<dyn Random>,
}

impl Observer for RequestObserver {
    fn begins(&self) {
        self.metrics.request_begins();
    }

    fn ends(&self) {
        self.metrics.request_ends();
    }

    fn trace(&self, parent: Option<TraceParent>) -> Option<TraceParent> {
        self.telemetry.place(parent, &*self.random)
    }

    fn refused(&self, code: Code) {
        self.metrics.not_let_in(code);
    }

    fn turned_away(&self, reason: TurnedAway) {
        self.metrics.turned_away(reason);
    }

    fn request(&self, route: &str, status: StatusCode, took: Duration) {
        self.metrics.request(route, status.as_str(), took);
    }

    fn answered(&self, record: &AccessLogRecord<'_>) {
        self.telemetry.request(record);
    }
}
