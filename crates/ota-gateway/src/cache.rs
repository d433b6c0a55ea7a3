//! Cached responses, and what HTTP says about reusing them.

pub mod response;
