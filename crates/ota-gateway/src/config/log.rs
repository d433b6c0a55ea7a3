//! `[log]`

use serde::Deserialize;
use tracing_subscriber::filter::Targets;

use super::{ConfigError, Section};

/// What is logged and how.
#[derive(Clone, Debug)]
pub struct LogConfig {
    /// The form of a line.
    pub format: LogFormat,
    /// What is logged, for instance `info` or `info,ota_gateway=debug`.
    pub filter: Targets,
}

/// The form of a log line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Raw {
    format: String,
    filter: String,
}

impl Default for Raw {
    fn default() -> Self {
        Self {
            format: "text".to_owned(),
            filter: "info".to_owned(),
        }
    }
}

pub(super) fn read(section: Section) -> Result<LogConfig, ConfigError> {
    let raw: Raw = section.clone().read()?;
    let format = match raw.format.as_str() {
        "text" => LogFormat::Text,
        "json" => LogFormat::Json,
        other => {
            return Err(section.error(
                "format",
                format_args!("`{other}` is not known; use `text` or `json`"),
            ));
        }
    };
    let filter = raw.filter.parse().map_err(|_| {
        section.error(
            "filter",
            "is a level, or levels by target: `info`, `warn,ota_gateway=debug`",
        )
    })?;
    Ok(LogConfig { format, filter })
}
