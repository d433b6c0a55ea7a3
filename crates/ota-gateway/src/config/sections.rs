//! The sections of the configuration and their keys.

use super::{auth, cache, cluster, log, metrics, mirror, server, telemetry};

/// Every section.
pub(super) const SECTIONS: &[&str] = &[
    "server",
    "auth",
    "cache",
    "mirror",
    "cluster",
    "metrics",
    "log",
    "telemetry",
    "providers",
];

/// Returns the keys of a section, as its type knows them.
pub(super) fn keys_of(section: &str) -> Vec<String> {
    match section {
        "server" => server::keys(),
        "auth" => auth::keys(),
        "cache" => cache::keys(),
        "mirror" => mirror::keys(),
        "cluster" => cluster::keys(),
        "metrics" => metrics::keys(),
        "log" => log::keys(),
        "telemetry" => telemetry::keys(),
        _ => Vec::new(),
    }
}
