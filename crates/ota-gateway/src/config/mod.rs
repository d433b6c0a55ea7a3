//! The configuration: a TOML file, then the environment.
//!
//! Every mistake is named with file, line where known, key, and the nearest valid key; none ends in a panic and none repeats a secret.

mod auth;
mod cache;
mod environment;
mod limits;
mod log;
mod metrics;
mod server;
mod telemetry;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use ota_core::id::ProviderName;
use serde::de::DeserializeOwned;
use toml::{Table, Value};

pub use auth::{AuthConfig, AuthMode};
pub use cache::CacheConfig;
pub use limits::{DefaultQuota, Limits};
pub use log::{LogConfig, LogFormat};
pub use metrics::MetricsConfig;
pub use server::{EdgeLimits, RateLimit, ServerConfig, TlsFiles, cors_origin};
pub use telemetry::{Collector, TelemetryConfig};

use crate::query::nearest;

/// The whole configuration, checked as far as one section alone can be.
#[derive(Debug)]
pub struct Config {
    /// `[server]`
    pub server: ServerConfig,
    /// `[auth]`
    pub auth: AuthConfig,
    /// `[cache]`
    pub cache: CacheConfig,
    /// `[metrics]`
    pub metrics: MetricsConfig,
    /// `[log]`
    pub log: LogConfig,
    /// `[telemetry]`
    pub telemetry: TelemetryConfig,
    /// `[providers.NAME]`; what stands in one belongs to its vendor's adapter.
    pub providers: BTreeMap<ProviderName, Section>,
}

/// What is wrong with the configuration. Fit for an operator; without any secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError(String);

impl ConfigError {
    /// Creates the error.
    #[must_use]
    pub fn new(message: impl Into<String>) -> Self {
        Self(message.into())
    }
}

impl std::fmt::Display for ConfigError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ConfigError {}

/// Where the configuration comes from, to point at mistakes.
#[derive(Clone, Default)]
pub struct Origin {
    path: Option<PathBuf>,
    text: String,
    /// Keys that the environment set, with the name of the variable.
    variables: BTreeMap<String, String>,
}

impl Origin {
    /// Creates the error for a key, with everything known about its place.
    #[must_use]
    pub fn error(&self, path: &str, message: impl std::fmt::Display) -> ConfigError {
        let place = match (self.variables.get(path), &self.path) {
            (Some(variable), _) => format!("environment variable {variable}: "),
            (None, Some(file)) => match self.line_of(path) {
                Some(line) => format!("{}:{line}: ", file.display()),
                None => format!("{}: ", file.display()),
            },
            (None, None) => String::new(),
        };
        ConfigError(format!("{place}{path}: {message}"))
    }

    /// Finds the line of a key, or else of the section that it belongs to.
    fn line_of(&self, path: &str) -> Option<usize> {
        let mut section = String::new();
        let mut best: Option<(usize, usize)> = None;
        for (number, line) in self.text.lines().enumerate() {
            let line = line.trim();
            let (key, depth) = if let Some(header) = line
                .strip_prefix('[')
                .and_then(|line| line.split(']').next())
            {
                section = header.replace(['"', '\'', ' '], "");
                (section.clone(), 1)
            } else if let Some((key, _)) = line.split_once('=').filter(|_| !line.starts_with('#')) {
                let key = key.trim().trim_matches(['"', '\'']);
                (
                    if section.is_empty() {
                        key.to_owned()
                    } else {
                        format!("{section}.{key}")
                    },
                    2,
                )
            } else {
                continue;
            };
            let belongs = depth == 1
                && key
                    .strip_prefix(path)
                    .is_some_and(|rest| rest.starts_with('.'));
            if key == path || belongs {
                return Some(number + 1);
            }
            let inside = path
                .strip_prefix(key.as_str())
                .is_some_and(|rest| rest.starts_with('.'));
            if inside && best.is_none_or(|(_, length)| key.len() * depth >= length) {
                best = Some((number + 1, key.len() * depth));
            }
        }
        best.map(|(line, _)| line)
    }
}

/// One section before it is understood.
#[derive(Clone)]
pub struct Section {
    /// Its place, such as `providers.aliyun-prod`.
    pub path: String,
    table: Table,
    origin: Origin,
}

/// The text of the file and the values of a section can hold secrets, so neither is shown.
impl std::fmt::Debug for Section {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let keys: Vec<&String> = self.table.keys().collect();
        f.debug_struct("Section")
            .field("path", &self.path)
            .field("keys", &keys)
            .finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Origin")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

impl Section {
    /// Takes a sub-section out.
    ///
    /// # Errors
    /// When the key holds something else than a section.
    pub fn take_section(&mut self, key: &str) -> Result<Option<Section>, ConfigError> {
        let path = format!("{}.{key}", self.path);
        match self.table.remove(key) {
            None => Ok(None),
            Some(Value::Table(table)) => Ok(Some(Section {
                path,
                table,
                origin: self.origin.clone(),
            })),
            Some(_) => Err(self.origin.error(&path, "is a section, written as a table")),
        }
    }

    /// Takes a text out.
    ///
    /// # Errors
    /// When the key holds something else than text.
    pub fn take_text(&mut self, key: &str) -> Result<Option<String>, ConfigError> {
        match self.table.remove(key) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(other) => Err(self.error(key, format_args!("is text, not {}", other.type_str()))),
        }
    }

    /// Creates the error for a key of this section.
    #[must_use]
    pub fn error(&self, key: &str, message: impl std::fmt::Display) -> ConfigError {
        self.origin.error(&format!("{}.{key}", self.path), message)
    }

    /// Reads the section as a type of its own.
    ///
    /// # Errors
    /// Names an unknown key with the nearest valid one, or the key of a wrong type.
    pub fn read<T: DeserializeOwned>(self) -> Result<T, ConfigError> {
        serde_path_to_error::deserialize(Value::Table(self.table)).map_err(|error| {
            let place = error.path().to_string();
            let place = if place == "." {
                String::new()
            } else {
                format!(".{place}")
            };
            let text = error.inner().to_string();
            let text = text.lines().next().unwrap_or_default().to_owned();
            match unknown_key(&text) {
                Some((key, known)) => {
                    let known: Vec<&str> = known.iter().map(String::as_str).collect();
                    // The path already names the key that is too much.
                    let path = format!("{}.{key}", self.path);
                    self.origin.error(&path, advice(&key, &known))
                }
                None => self
                    .origin
                    .error(&format!("{}{place}", self.path), without_values(&text)),
            }
        })
    }
}

fn advice(key: &str, known: &[&str]) -> String {
    match nearest(key, known) {
        Some(nearest) => format!("unknown key; did you mean `{nearest}`?"),
        None => format!("unknown key; known here are {}", known.join(", ")),
    }
}

/// Reads serde's "unknown field `x`, expected one of `a`, `b`".
fn unknown_key(text: &str) -> Option<(String, Vec<String>)> {
    let rest = text.strip_prefix("unknown field `")?;
    let (key, rest) = rest.split_once('`')?;
    let known = rest
        .split('`')
        .skip(1)
        .step_by(2)
        .map(str::to_owned)
        .collect();
    Some((key.to_owned(), known))
}

/// serde repeats the value of a wrong type, which can be a secret: `invalid type: string "hunter2", expected u64`.
fn without_values(text: &str) -> String {
    match (
        text.strip_prefix("invalid type: "),
        text.rsplit_once("expected "),
    ) {
        (Some(rest), Some((_, expected))) => {
            let kind = rest.split([' ', ',']).next().unwrap_or("value");
            format!("has the wrong type: {kind}, expected {expected}")
        }
        _ => match text.split_once('`').or_else(|| text.split_once('"')) {
            Some((before, _)) if text.starts_with("invalid value") => {
                format!("{}: not allowed", before.trim())
            }
            _ => text.to_owned(),
        },
    }
}

impl Config {
    /// Reads the file, if one is named, and lays the environment over it.
    ///
    /// # Errors
    /// Says what is wrong and where.
    pub fn load(
        path: Option<&Path>,
        environment: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, ConfigError> {
        let mut origin = Origin::default();
        let mut table = Table::new();
        if let Some(path) = path {
            let text = std::fs::read_to_string(path).map_err(|error| {
                ConfigError(format!("{}: cannot be read: {error}", path.display()))
            })?;
            table = text.parse::<Table>().map_err(|error| {
                let line = error
                    .span()
                    .map(|span| text[..span.start.min(text.len())].matches('\n').count() + 1);
                let line = line.map_or_else(String::new, |line| format!(":{line}"));
                ConfigError(format!(
                    "{}{line}: is not valid TOML: {}",
                    path.display(),
                    error.message()
                ))
            })?;
            origin.path = Some(path.to_owned());
            origin.text = text;
        }
        environment::overlay(&mut table, &mut origin.variables, environment)?;
        Self::read(table, &origin)
    }

    fn read(mut table: Table, origin: &Origin) -> Result<Self, ConfigError> {
        const SECTIONS: &[&str] = &[
            "server",
            "auth",
            "cache",
            "metrics",
            "log",
            "telemetry",
            "providers",
        ];
        if let Some(key) = table.keys().find(|key| !SECTIONS.contains(&key.as_str())) {
            return Err(origin.error(key, advice(key, SECTIONS)));
        }
        let mut section = |name: &str| -> Result<Section, ConfigError> {
            match table
                .remove(name)
                .unwrap_or_else(|| Value::Table(Table::new()))
            {
                Value::Table(table) => Ok(Section {
                    path: name.to_owned(),
                    table,
                    origin: origin.clone(),
                }),
                _ => Err(origin.error(name, "is a section, written as [section]")),
            }
        };
        let server = server::read(section("server")?)?;
        let cache = cache::read(section("cache")?)?;
        let metrics = metrics::read(section("metrics")?)?;
        let log = log::read(section("log")?)?;
        let telemetry = telemetry::read(section("telemetry")?)?;
        let providers = provider_sections(section("providers")?)?;
        // Last, because a missing secret is the most common mistake and would hide all others.
        let auth = auth::read(section("auth")?, &server)?;
        Ok(Self {
            server,
            auth,
            cache,
            metrics,
            log,
            telemetry,
            providers,
        })
    }
}

fn provider_sections(mut section: Section) -> Result<BTreeMap<ProviderName, Section>, ConfigError> {
    let names: Vec<String> = section.table.keys().cloned().collect();
    let mut providers = BTreeMap::new();
    for name in names {
        let checked =
            ProviderName::parse(&name).map_err(|message| section.error(&name, message))?;
        if let Some(provider) = section.take_section(&name)? {
            providers.insert(checked, provider);
        }
    }
    Ok(providers)
}

#[cfg(test)]
mod tests;
