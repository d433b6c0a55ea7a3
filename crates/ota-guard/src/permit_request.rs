//! A request for the permit to send one vendor call.

use std::sync::Arc;
use std::time::Instant;

use ota_core::context::{CallLog, Priority};

use crate::latency::LatencyEstimate;
use crate::slots::Slots;

/// A request for a [`Permit`](crate::Permit).
#[derive(Clone, Copy, Debug)]
pub struct PermitRequest<'a> {
    /// The caller that the call is made for, if known.
    pub caller: Option<&'a Arc<str>>,
    /// The vendor operation.
    pub operation: &'static str,
    /// The slots of its provider.
    pub slots: &'a Slots,
    /// Interactive calls come before background calls.
    pub priority: Priority,
    /// The calls that the API request has made so far. They are wasted if this call is refused, so it comes before the first calls of other requests of the
    /// same caller.
    pub log: &'a Arc<CallLog>,
    /// When the caller stops waiting.
    pub deadline: Instant,
    /// The expected duration of the call.
    pub estimate: LatencyEstimate,
}
