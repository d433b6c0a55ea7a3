//! `[metrics]`

use std::net::SocketAddr;

use serde::Deserialize;

use super::error::ConfigError;
use super::section::{self, Section};

/// Where metrics are served.
#[derive(Clone, Debug)]
pub struct MetricsConfig {
    /// The address of the metrics listener.
    pub listen: SocketAddr,
    /// Whether it is opened.
    pub enabled: bool,
    /// The maximum number of concurrent connections to it.
    pub max_connections: usize,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Raw {
    listen: String,
    enabled: bool,
    max_connections: u64,
}

impl Default for Raw {
    fn default() -> Self {
        Self {
            listen: "127.0.0.1:9464".to_owned(),
            enabled: true,
            max_connections: 32,
        }
    }
}

pub(super) fn keys() -> Vec<String> {
    section::keys_of::<Raw>()
}

/// Returns the address that the metrics listener takes, if it is opened; read on its own, so that a mistake elsewhere has no effect.
pub(super) fn taken(section: &Section) -> Option<SocketAddr> {
    let usual = Raw::default();
    let known = keys();
    let listen: String = section.alone("listen", &known, usual.listen)?;
    let enabled = section.alone("enabled", &known, usual.enabled)?;
    enabled.then(|| listen.parse().ok()).flatten()
}

pub(super) fn read(section: Section) -> Result<MetricsConfig, ConfigError> {
    let (raw, mut mistakes): (Raw, _) = section.read()?;
    let listen = raw.listen.parse().ok();
    if listen.is_none() {
        mistakes.add(
            "listen",
            format_args!(
                "`{}` is not an address and port such as 127.0.0.1:9464",
                raw.listen
            ),
        );
    }
    let connections = raw.max_connections;
    let max_connections = mistakes.range("max_connections", "connections", connections, 1..=10_000);
    mistakes.finish(|| {
        Some(MetricsConfig {
            listen: listen?,
            enabled: raw.enabled,
            max_connections: usize::try_from(max_connections?).unwrap_or(usize::MAX),
        })
    })
}
