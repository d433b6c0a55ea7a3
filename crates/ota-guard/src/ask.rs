//! What a call says of itself when it asks for its place.

use std::sync::Arc;
use std::time::Instant;

use ota_core::context::{CallLog, Priority};

use crate::pace::Takes;
use crate::slots::Slots;

/// A call that asks for its place.
#[derive(Clone, Copy, Debug)]
pub struct Ask<'a> {
    /// Whose call it is, as far as that is known.
    pub caller: Option<&'a Arc<str>>,
    /// What is called.
    pub operation: &'static str,
    /// The slots of its provider.
    pub slots: &'a Slots,
    /// Who waits.
    pub priority: Priority,
    /// The calls that its request has made so far. What those have cost is lost if this one is refused, so it comes before the first calls of other requests of
    /// its caller.
    pub request: &'a Arc<CallLog>,
    /// When the caller stops waiting.
    pub deadline: Instant,
    /// What the call itself takes.
    pub takes: Takes,
}
