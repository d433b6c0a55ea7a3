//! The access log: one record for each answered request.

use std::time::Duration;

use axum::http::{HeaderValue, Method, StatusCode};
use ota_core::context::CallSummary;
use ota_core::trace::TraceParent;
use time::OffsetDateTime;

/// The access log record of one answered request.
#[derive(Debug)]
pub struct AccessLogRecord<'a> {
    /// The identifier of the request.
    pub request_id: &'a HeaderValue,
    /// The trace, and the span of this request in it.
    pub trace: Option<TraceParent>,
    /// The parent span: that of the caller.
    pub parent: Option<TraceParent>,
    /// The caller, if known.
    pub caller: Option<&'a str>,
    /// The method.
    pub method: &'a Method,
    /// The template of the route.
    pub route: &'a str,
    /// The status of the response.
    pub status: StatusCode,
    /// When the request arrived.
    pub began: OffsetDateTime,
    /// From the head of the request to the head of its response.
    pub took: Duration,
    /// The vendor calls that were made for it.
    pub calls: CallSummary,
}

impl AccessLogRecord<'_> {
    /// Returns the identifier of the request as text.
    #[must_use]
    pub fn request_id(&self) -> &str {
        self.request_id.to_str().unwrap_or_default()
    }

    /// Writes the record. Operators' filters and dashboards refer to its log target.
    pub fn write(&self) {
        let trace = self.trace.map(|trace| trace.trace_text());
        let milliseconds = |time: Duration| (time.as_secs_f64() * 10_000.0).round() / 10.0;
        let (method, route) = (self.method, self.route);
        tracing::event!(
            target: "ota_gateway::edge",
            tracing::Level::INFO,
            request.id = self.request_id(),
            trace.id = trace,
            caller = self.caller,
            http.method = %method,
            http.route = route,
            http.status = self.status.as_u16(),
            took_ms = milliseconds(self.took),
            vendor.calls = self.calls.count,
            vendor.ms = (self.calls.count > 0).then(|| milliseconds(self.calls.time)),
            "answered {method} {route}",
        );
    }
}
