//! `[server]`

use std::net::SocketAddr;
use std::time::Duration;

use serde::Deserialize;

use super::{ConfigError, Section};

/// Where and how requests are answered.
#[derive(Clone, Debug)]
pub struct ServerConfig {
    /// The address to listen on.
    pub listen: SocketAddr,
    /// How long a request may take, vendor calls included.
    pub request_timeout: Duration,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Raw {
    listen: String,
    request_timeout_ms: u64,
}

impl Default for Raw {
    fn default() -> Self {
        Self {
            listen: "127.0.0.1:8080".to_owned(),
            request_timeout_ms: 30_000,
        }
    }
}

pub(super) fn read(section: Section) -> Result<ServerConfig, ConfigError> {
    let raw: Raw = section.clone().read()?;
    let listen = raw.listen.parse().map_err(|_| {
        section.error(
            "listen",
            format_args!(
                "`{}` is not an address and port such as 127.0.0.1:8080",
                raw.listen
            ),
        )
    })?;
    if !(1..=600_000).contains(&raw.request_timeout_ms) {
        return Err(section.error(
            "request_timeout_ms",
            "is a number of milliseconds from 1 to 600000",
        ));
    }
    Ok(ServerConfig {
        listen,
        request_timeout: Duration::from_millis(raw.request_timeout_ms),
    })
}
