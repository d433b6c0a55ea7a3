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
    mistakes.finish(|| {
        Some(MetricsConfig {
            listen: listen?,
            enabled: raw.enabled,
        })
    })
}
