//! The simulators from outside: real sockets, a clock that the test moves.

#![expect(
    clippy::unwrap_used,
    reason = "the shared clients are test code, too, but stand outside of test functions"
)]

mod alibaba_access;
mod alibaba_reads;
mod client;
mod control;
mod faults;
mod fleet;
mod garbage;
mod huawei_access;
mod huawei_reads;
mod registry;
mod tls;
