//! Exporting traces over OTLP (OpenTelemetry), where the program is built with the feature `otlp` and `[telemetry]` names a collector.
//!
//! A request is a span, and so is each attempt at a vendor. Spans are made from the data of the log line and the gate; this data contains no
//! URL, token or header.

use std::sync::Arc;
use std::time::Duration;

use ota_core::BoxFuture;
use ota_core::clock::Clock;
use ota_core::context::Context;
use ota_core::random::Random;
use ota_core::trace::TraceParent;
use ota_guard::Outcome;
use ota_server::access_log::AccessLogRecord;

use crate::config::{ConfigError, Origin, TelemetryConfig};
use crate::instrument::{self, NO_LABELS, instruments};

#[cfg(feature = "otlp")]
mod otlp;

#[cfg(not(feature = "otlp"))]
mod otlp {
    //! Used when the feature is off.

    use super::{
        AccessLogRecord, Arc, BoxFuture, Clock, Context, Duration, Outcome, Random, TelemetryConfig,
    };

    /// Never constructed.
    #[derive(Debug)]
    pub(super) enum Exporter {}

    impl Exporter {
        pub(super) fn new(
            _config: &TelemetryConfig,
            _random: Arc<dyn Random>,
        ) -> Result<Self, String> {
            Err("this program was built without traces; build it with `--features otlp`, or leave the key out".to_owned())
        }

        pub(super) fn samples(&self, _trace_id: [u8; 16]) -> bool {
            match *self {}
        }

        pub(super) fn request(&self, _record: &AccessLogRecord<'_>) {
            match *self {}
        }

        pub(super) fn attempt(
            &self,
            _cx: &Context,
            _clock: &dyn Clock,
            _provider: &str,
            _operation: &'static str,
            _outcome: Outcome,
            _took: Duration,
        ) {
            match *self {}
        }

        pub(super) fn run(&self) -> Option<BoxFuture<'static, ()>> {
            match *self {}
        }

        pub(super) fn dropped(&self) -> u64 {
            match *self {}
        }

        pub(super) fn end(&self) {
            match *self {}
        }
    }
}

instruments! {
    /// Spans that are lost.
    pub(crate) struct TraceMetrics {
        /// Spans that were dropped because the collector did not take them, or not in time.
        dropped: Counter "ota_trace_spans_dropped_total" [],
    }
}

impl TraceMetrics {
    /// Records how many spans have been dropped.
    pub(crate) fn dropped(&self, spans: u64) {
        instrument::raise(&self.dropped, &NO_LABELS, spans);
    }
}

/// The destination of traces: a collector, or none.
#[derive(Debug, Default)]
pub struct Telemetry(Option<otlp::Exporter>);

impl Telemetry {
    /// Prepares the export as configured.
    ///
    /// # Errors
    /// Names the key that cannot be used, also when the program was built without traces.
    pub fn new(
        config: &TelemetryConfig,
        origin: &Origin,
        random: &Arc<dyn Random>,
    ) -> Result<Self, ConfigError> {
        match config.otlp {
            Some(_) => otlp::Exporter::new(config, Arc::clone(random))
                .map(|exporter| Self(Some(exporter)))
                .map_err(|error| origin.error("telemetry.otlp_endpoint", error)),
            None => Ok(Self(None)),
        }
    }

    /// Returns whether traces are exported.
    pub(crate) fn is_on(&self) -> bool {
        self.0.is_some()
    }

    /// Returns the span context of a request: a child of the incoming trace context, whose caller has decided whether it is recorded, or a new
    /// root.
    pub(crate) fn place(
        &self,
        parent: Option<TraceParent>,
        random: &dyn Random,
    ) -> Option<TraceParent> {
        match parent {
            Some(parent) => parent.child(random).ok(),
            None => {
                let start = TraceParent::start(random).ok()?;
                let sampled = self
                    .0
                    .as_ref()
                    .is_some_and(|exporter| exporter.samples(start.trace_id));
                Some(TraceParent { sampled, ..start })
            }
        }
    }

    /// Records an answered request.
    pub(crate) fn request(&self, record: &AccessLogRecord<'_>) {
        if let Some(exporter) = &self.0
            && record.trace.is_some_and(|trace| trace.sampled)
        {
            exporter.request(record);
        }
    }

    /// Records an attempt at a vendor, which has ended now.
    pub(crate) fn attempt(
        &self,
        cx: &Context,
        clock: &dyn Clock,
        provider: &str,
        operation: &'static str,
        outcome: Outcome,
        took: Duration,
    ) {
        if let Some(exporter) = &self.0
            && cx.trace.is_some_and(|trace| trace.sampled)
        {
            exporter.attempt(cx, clock, provider, operation, outcome, took);
        }
    }

    /// Returns how many spans were dropped.
    pub(crate) fn dropped_spans(&self) -> u64 {
        self.0.as_ref().map_or(0, otlp::Exporter::dropped)
    }

    /// Makes the future returned by [`Telemetry::run`] end after it has sent the queued spans.
    pub(crate) fn end(&self) {
        if let Some(exporter) = &self.0 {
            exporter.end();
        }
    }

    /// Returns the future that sends the spans while it is polled.
    pub(crate) fn run(&self) -> Option<BoxFuture<'static, ()>> {
        self.0.as_ref()?.run()
    }
}
