//! The gateway against the simulators, end to end over real sockets.

#![expect(
    clippy::unwrap_used,
    reason = "a test fails by panicking, its helpers too"
)]

mod answers;
mod auth;
mod bad_input;
mod chaos;
mod commands;
mod configuration;
mod credentials;
mod deploy;
mod disabled;
mod document;
mod edge;
mod fresh;
mod fuzz;
mod hostile;
mod huawei;
mod huge;
mod hung_log;
mod ids;
mod issuers;
mod jobs;
mod kept;
mod key_sets;
mod keys;
mod metrics;
mod observed;
mod providers;
mod quota;
mod remembered;
mod samples_alibaba;
mod samples_huawei;
mod stats;
mod tasks;
mod tls;
mod trouble;
mod trouble_alibaba;
mod trouble_huawei;
mod walks;
mod world;
