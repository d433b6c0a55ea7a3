//! `[metrics]`

use std::net::SocketAddr;

use serde::Deserialize;

use super::{ConfigError, Section};

/// Where metrics are served.
#[derive(Clone, Debug)]
pub struct MetricsConfig {
    /// The address of the metrics listener.
    pub listen: SocketAddr,
    /// Whether it is opened.
    pub enabled: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Raw {
    listen: String,
    enabled: bool,
}

impl Default for Raw {
    fn default() -> Self {
        Self {
            listen: "127.0.0.1:9464".to_owned(),
            enabled: true,
        }
    }
}

pub(super) fn read(section: Section) -> Result<MetricsConfig, ConfigError> {
    let raw: Raw = section.clone().read()?;
    let listen = raw.listen.parse().map_err(|_| {
        section.error(
            "listen",
            format_args!(
                "`{}` is not an address and port such as 127.0.0.1:9464",
                raw.listen
            ),
        )
    })?;
    Ok(MetricsConfig {
        listen,
        enabled: raw.enabled,
    })
}
