//! The gateway against the simulators, end to end over real sockets.

#![expect(
    clippy::unwrap_used,
    reason = "a test fails by panicking, its helpers too"
)]

mod auth;
mod bad_input;
mod chaos;
mod commands;
mod configuration;
mod disabled;
mod document;
mod fresh;
mod huawei;
mod huge;
mod ids;
mod jobs;
mod kept;
mod metrics;
mod providers;
mod quota;
mod samples_alibaba;
mod samples_huawei;
mod stats;
mod tasks;
mod trouble;
mod trouble_alibaba;
mod trouble_huawei;
mod walks;
mod world;
