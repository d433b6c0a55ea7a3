//! Cached responses, and what HTTP says about reusing them. It knows no application: reads and the fast path above are handed what they need.

pub(crate) mod conditional;
pub mod fleet_text;
pub(crate) mod metrics;
pub mod response;
pub(crate) mod targets;
