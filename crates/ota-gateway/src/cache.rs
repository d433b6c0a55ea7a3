//! Cached responses, and what HTTP says about reusing them. It does not depend on the application: callers pass in what it needs.

pub(crate) mod conditional;
pub mod fleet_text;
pub(crate) mod metrics;
pub mod response;
pub(crate) mod targets;
