//! The gateway against the simulators, end to end over real sockets.

#![expect(
    clippy::unwrap_used,
    reason = "a test fails by panicking, its helpers too"
)]

mod access {
    mod disabled;
    pub(crate) mod issuers;
    pub(crate) mod key_sets;
    pub(crate) mod keys;
    mod scopes;
}
mod cache {
    mod headers;
    mod refusals;
    mod responses;
}
mod deploy;
mod fuzz;
mod network {
    mod forwarding;
    mod hostile_clients;
    mod leases;
    mod limits;
    pub(crate) mod tls;
}
mod paging {
    mod vendor_window;
    mod whole_lists;
}
mod program {
    pub(crate) mod commands;
    pub(crate) mod configuration;
    mod database;
    mod failover;
    pub(crate) mod logs_and_traces;
    mod members;
    mod stalled_log;
}
mod routes {
    mod fleet {
        mod access;
        mod history;
        mod invalid;
        mod jobs;
        mod liberties;
        mod questions;
        mod stats;
        mod sync;
        mod tasks;
        mod texts;
    }
    mod identifiers;
    mod invalid_requests;
    pub(crate) mod jobs {
        mod get;
        pub(crate) mod get_stats;
        mod list;
    }
    mod metrics;
    mod openapi;
    mod providers {
        mod check;
        mod get;
        mod list;
    }
    mod tasks {
        mod list;
    }
}
mod setup;
mod vendors {
    mod configured_fields;
    pub(crate) mod credentials;
    mod fault_rates;
    pub(crate) mod faults;
    mod faults_alibaba;
    mod faults_huawei;
    mod health;
    mod huawei_tokens;
    mod odd_answers;
    mod quota;
    mod samples_alibaba;
    mod samples_huawei;
}
