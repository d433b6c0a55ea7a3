//! The adapter against a scripted server over real sockets.

#![expect(
    clippy::unwrap_used,
    reason = "a test fails by panicking, its helpers too"
)]

mod configured_fields;
mod decoder;
mod fields;
mod job;
mod jobs;
mod refusals;
mod tasks;
mod tls;
mod tokens;
mod vendor;
