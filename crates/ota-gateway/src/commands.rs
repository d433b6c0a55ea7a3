//! The commands of the program.

pub mod check;
pub mod mirror;
pub mod openapi;
pub mod serve;
pub mod token;

use std::path::Path;

use ota_core::escape::escaped;

use crate::assembly;
use crate::config::{Config, ConfigError, Draft};

/// The exit code for a configuration that cannot be used (`EX_CONFIG` of sysexits.h).
pub const EXIT_CONFIG: u8 = 78;

/// Why a command ended.
#[derive(Debug)]
pub enum Failed {
    /// The configuration cannot be used: exit code 78.
    Config(ConfigError),
    /// Anything else: exit code 1. The text is for the operator.
    Other(String),
}

impl From<ConfigError> for Failed {
    fn from(error: ConfigError) -> Self {
        Self::Config(error)
    }
}

impl Failed {
    /// Returns the exit code.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Config(_) => EXIT_CONFIG,
            Self::Other(_) => 1,
        }
    }
}

impl std::fmt::Display for Failed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Config(error) => write!(f, "configuration error: {error}"),
            // It can contain file names and values from the configuration.
            Self::Other(text) => f.write_str(&escaped(text)),
        }
    }
}

/// Loads the configuration of this process.
///
/// # Errors
/// Says what is wrong and where.
pub fn load(path: Option<&Path>) -> Result<Config, Failed> {
    let mut environment = Vec::new();
    for (name, value) in std::env::vars_os() {
        // A name that is not UTF-8 cannot be a variable of this program.
        let Ok(name) = name.into_string() else {
            continue;
        };
        match value.into_string() {
            Ok(value) => environment.push((name, value)),
            Err(_) if name.starts_with("OTA_GATEWAY__") => {
                return Err(ConfigError::new(format!(
                    "environment variable {name}: is not UTF-8 text"
                ))
                .into());
            }
            Err(_) => {}
        }
    }
    let draft = Draft::read(path, environment);
    if draft.mistakes.is_empty() {
        return Ok(draft.finish()?);
    }
    // Mistakes that are found only when the parts are assembled are reported in the same run.
    let assembled = assembly::mistakes_of(&draft).error();
    draft.finish().map_err(|mut error| {
        if let Some(assembled) = assembled {
            error.merge(assembled);
        }
        let error = match path {
            Some(_) => error,
            None => error.with_hint(
                "no configuration file is given: use --config FILE or OTA_GATEWAY_CONFIG",
            ),
        };
        error.into()
    })
}
