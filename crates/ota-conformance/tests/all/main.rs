//! The suite against every provider, and against providers with a flaw.

#![expect(
    clippy::unwrap_used,
    reason = "the rigs of the tests are test code too"
)]

mod alibaba;
mod flaws;
mod huawei;
mod listing;
mod rig;
mod signatures;
