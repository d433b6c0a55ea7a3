//! The context of one request: its identifier, and what the layers and the handler record about it.

use std::sync::{Arc, OnceLock};

use axum::http::{Extensions, HeaderMap, HeaderName, HeaderValue};
use ota_api::problem::Failure;
use ota_core::context::{CallLog, CallSummary};
use ota_core::random::Random;
use ota_core::trace::TraceParent;
use tokio::sync::Notify;

use super::rate_limit::Allowance;
use super::shares::{Account, Share, Shares};

/// The header with the identifier of a request, in requests and responses.
pub const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The header with the trace context of a request.
pub const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// The identifier of a request.
#[derive(Clone, Debug)]
pub struct RequestId(pub Arc<str>);

impl RequestId {
    /// Returns the identifier that the outermost layer gave to a request.
    #[must_use]
    pub fn of(extensions: &Extensions) -> Self {
        extensions
            .get::<Self>()
            .cloned()
            .unwrap_or_else(|| Self(Arc::from(UNKNOWN)))
    }

    /// Returns the identifier of a request with these headers.
    #[must_use]
    pub fn new(headers: &HeaderMap, random: &dyn Random) -> Self {
        let value = request_id(headers, random);
        Self(Arc::from(value.to_str().unwrap_or(UNKNOWN)))
    }
}

const UNKNOWN: &str = "unknown";

/// Returns the caller's identifier if it is well-formed, or else a new one.
#[must_use]
pub fn request_id(headers: &HeaderMap, random: &dyn Random) -> HeaderValue {
    let given = headers.get(X_REQUEST_ID);
    let given = given.filter(|value| value.to_str().is_ok_and(is_well_formed));
    if let Some(given) = given {
        return given.clone();
    }
    let made = random.nonce().ok();
    made.and_then(|nonce| HeaderValue::try_from(nonce).ok())
        .unwrap_or(HeaderValue::from_static(UNKNOWN))
}

fn is_well_formed(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
}

/// What is recorded about a request while it is processed, for its access log record. Clones share one context.
#[derive(Clone, Debug, Default)]
pub struct RequestContext(Arc<RequestState>);

#[derive(Debug, Default)]
struct RequestState {
    caller: OnceLock<Arc<str>>,
    allowance: OnceLock<Allowance>,
    calls: OnceLock<Arc<CallLog>>,
    trace: OnceLock<TraceParent>,
    share: OnceLock<Share>,
    given_up: Arc<Notify>,
}

impl RequestContext {
    /// Returns the context of a request.
    #[must_use]
    pub fn of(extensions: &Extensions) -> Self {
        extensions.get::<Self>().cloned().unwrap_or_default()
    }

    /// Records the caller.
    pub fn set_caller(&self, name: Arc<str>) {
        let _already = self.0.caller.set(name);
    }

    /// Returns the caller, if known.
    #[must_use]
    pub fn caller(&self) -> Option<&Arc<str>> {
        self.0.caller.get()
    }

    /// Acquires a place among the requests in progress. The request holds it until it ends.
    ///
    /// # Errors
    /// `unavailable` or `rate_limited` when there is none for this caller.
    pub fn take_place(&self, caller: &Account, shares: &Arc<Shares>) -> Result<(), Failure> {
        let share = self.place_for(caller, shares)?;
        let _already = self.0.share.set(share);
        Ok(())
    }

    /// As [`RequestContext::take_place`], for a part of the request.
    ///
    /// # Errors
    /// As [`RequestContext::take_place`].
    pub fn place_for(&self, caller: &Account, shares: &Arc<Shares>) -> Result<Share, Failure> {
        Ok(shares.take(caller, &self.0.given_up)?)
    }

    /// Returns when the place of the request is needed for another caller.
    pub async fn given_up(&self) {
        self.0.given_up.notified().await;
    }

    /// Records the remaining rate limit of the caller.
    pub fn set_allowance(&self, allowance: Allowance) {
        let _already = self.0.allowance.set(allowance);
    }

    /// Returns the remaining rate limit of the caller, if there is a limit.
    #[must_use]
    pub fn allowance(&self) -> Option<&Allowance> {
        self.0.allowance.get()
    }

    /// Records the counter of the vendor calls of the request.
    pub fn set_calls(&self, calls: &Arc<CallLog>) {
        let _already = self.0.calls.set(Arc::clone(calls));
    }

    /// Returns the number of vendor calls so far.
    #[must_use]
    pub fn calls(&self) -> CallSummary {
        self.0
            .calls
            .get()
            .map(|calls| calls.summary())
            .unwrap_or_default()
    }

    /// Records the trace context of the request.
    pub fn set_trace(&self, trace: TraceParent) {
        let _already = self.0.trace.set(trace);
    }

    /// Returns the trace context of the request.
    #[must_use]
    pub fn trace(&self) -> Option<TraceParent> {
        self.0.trace.get().copied()
    }
}

/// The trace context that a request brings.
#[must_use]
pub fn trace_of(headers: &HeaderMap) -> Option<TraceParent> {
    TraceParent::parse(headers.get(TRACEPARENT)?.to_str().ok()?)
}

#[cfg(test)]
mod tests {
    use super::is_well_formed;

    #[test]
    fn only_plain_identifiers_are_taken_over() {
        assert!(is_well_formed("abc-123_X.y"));
        for text in ["", "a b", "a\"b", "ä", &"x".repeat(65)] {
            assert!(!is_well_formed(text), "{text}");
        }
    }
}
