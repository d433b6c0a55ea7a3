//! `[log]`

use ota_core::nearest::nearest;
use serde::Deserialize;
use tracing_subscriber::filter::Targets;

use super::error::ConfigError;
use super::section::{self, Section};
use crate::vendors;

/// The memory for lines that wait to be written, unless configured otherwise.
pub const BUFFER_BYTES: usize = 1 << 20;

/// What is logged and how.
#[derive(Clone, Debug)]
pub struct LogConfig {
    /// The form of a line.
    pub format: LogFormat,
    /// What is logged, for instance `info` or `info,ota_gateway=debug`.
    pub filter: Targets,
    /// The memory for lines that wait to be written; lines that do not fit are dropped.
    pub buffer_bytes: usize,
    /// Targets of the filter that do not exist in this program; not an error, because they silence nothing.
    pub warnings: Vec<String>,
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
    buffer_bytes: u64,
}

impl Default for Raw {
    fn default() -> Self {
        Self {
            format: "text".to_owned(),
            filter: "info".to_owned(),
            buffer_bytes: BUFFER_BYTES as u64,
        }
    }
}

pub(super) fn keys() -> Vec<String> {
    section::keys_of::<Raw>()
}

pub(super) fn read(section: Section) -> Result<LogConfig, ConfigError> {
    let (raw, mut mistakes): (Raw, _) = section.clone().read()?;
    let format = match raw.format.as_str() {
        "text" => Some(LogFormat::Text),
        "json" => Some(LogFormat::Json),
        other => {
            mistakes.add(
                "format",
                format_args!("`{other}` is not known; use `text` or `json`"),
            );
            None
        }
    };
    let filter = filter(&raw.filter)
        .map_err(|message| mistakes.add("filter", message))
        .ok();
    // The minimum fits the longest line; the maximum prevents a mistake in the unit from using the memory needed for requests.
    let buffer_bytes = mistakes.range("buffer_bytes", "bytes", raw.buffer_bytes, 16_384..=64 << 20);
    let place = section.hint("filter");
    mistakes.finish(|| {
        Some(LogConfig {
            format: format?,
            filter: filter?,
            warnings: unknown_targets(&raw.filter, &place),
            buffer_bytes: usize::try_from(buffer_bytes?).ok()?,
        })
    })
}

/// The levels of the log, as a filter names them.
const LEVELS: &[&str] = &["trace", "debug", "info", "warn", "error", "off"];

/// The gateway's own crates without the adapters, as targets name them.
const CRATES: &[&str] = &[
    "ota_api",
    "ota_auth",
    "ota_cluster",
    "ota_core",
    "ota_fleet",
    "ota_gateway",
    "ota_guard",
    "ota_http",
    "ota_server",
    "ota_store",
    "ota_sync",
];

/// Returns the gateway's own crates, as targets name them.
fn crates() -> Vec<String> {
    let adapters = vendors::descriptors().map(|vendor| vendor.crate_name.replace('-', "_"));
    let own = CRATES.iter().map(|name| (*name).to_owned());
    let mut crates: Vec<String> = own.chain(adapters).collect();
    crates.sort();
    crates
}

/// Libraries that write lines of their own, or may do so in another version.
const LIBRARIES: &[&str] = &[
    "axum",
    "hyper",
    "hyper_util",
    "mio",
    "opentelemetry",
    "opentelemetry_http",
    "opentelemetry_otlp",
    "opentelemetry_sdk",
    "reqwest",
    "rustls",
    "tokio",
    "tower",
    "tower_http",
];

/// Whether lines of one of these crates can have a target that begins so, which is how a filter compares.
fn is_of(target: &str, crates: &[impl AsRef<str>]) -> bool {
    crates.iter().any(|name| {
        let name = name.as_ref();
        let below = target.strip_prefix(name);
        name.starts_with(target) || below.is_some_and(|below| below.starts_with("::"))
    })
}

/// Returns a sentence about the crate that a target was most likely meant to be.
fn advice(target: &str, crates: &[&str]) -> String {
    let name = target.split("::").next().unwrap_or_default();
    match nearest(name, crates) {
        Some(name) => format!("; did you mean `{name}`?"),
        None => String::new(),
    }
}

/// Returns a warning for each target that neither the gateway nor a library that it is made of has.
fn unknown_targets(text: &str, place: &str) -> Vec<String> {
    let targets = text.split(',').filter_map(|part| part.split_once('='));
    let crates = crates();
    targets
        .map(|(target, _)| target.trim())
        .filter(|target| !is_of(target, &crates) && !is_of(target, LIBRARIES))
        .map(|target| {
            let known = crates
                .iter()
                .map(String::as_str)
                .chain(LIBRARIES.iter().copied());
            let known: Vec<&str> = known.collect();
            let advice = advice(target, &known);
            format!("log.filter{place}: nothing writes lines with the target `{target}`{advice}")
        })
        .collect()
}

/// Reads levels and levels by target, of which one must be for all targets: without it everything that no target names is off.
/// A word that is not a level would be parsed as a target with all levels enabled, and everything else would be off.
fn filter(text: &str) -> Result<Targets, String> {
    const FORM: &str =
        "is a level, or a level and levels by target: `info`, `warn,ota_gateway=debug`";
    let mut for_all = false;
    let crates = crates();
    for part in text.split(',').map(str::trim) {
        let (target, level) = match part.split_once('=') {
            Some((target, level)) => (Some(target.trim()), level.trim()),
            None => (None, part),
        };
        let lower = level.to_ascii_lowercase();
        if !LEVELS.contains(&lower.as_str()) && !matches!(level, "0" | "1" | "2" | "3" | "4" | "5")
        {
            let advice = match nearest(&lower, LEVELS) {
                Some(level) => format!("did you mean `{level}`? "),
                None => String::new(),
            };
            let what = match part {
                "" => "has an empty part".to_owned(),
                _ => format!("`{level}` is no level"),
            };
            let levels = LEVELS.join(", ");
            return Err(format!("{what}; {advice}Levels are {levels}; it {FORM}"));
        }
        if target.is_some_and(|target| {
            target.is_empty()
                || !target
                    .chars()
                    .all(|c| c.is_ascii_alphanumeric() || "_:".contains(c))
        }) {
            return Err(format!("`{part}` names no target; it {FORM}"));
        }
        match target {
            None => for_all = true,
            Some(target) if LEVELS.contains(&target.to_ascii_lowercase().as_str()) => {
                return Err(format!("`{target}` is a level and no target; it {FORM}"));
            }
            // A target with this prefix was meant for a crate of the gateway.
            Some(target) if target.starts_with("ota") && !is_of(target, &crates) => {
                let known: Vec<&str> = crates.iter().map(String::as_str).collect();
                let advice = advice(target, &known);
                let crates = crates.join(", ");
                return Err(format!(
                    "`{target}` is no crate of the gateway{advice} (its crates are {crates})"
                ));
            }
            Some(_) => {}
        }
    }
    if !for_all {
        return Err(format!(
            "has no level for all other targets, so they would be silent; put one before: `info,{text}`. It {FORM}"
        ));
    }
    text.parse().map_err(|_| FORM.to_owned())
}

#[cfg(test)]
mod tests {
    use super::crates;

    #[test]
    fn every_crate_of_the_gateway_is_a_target() {
        let manifest = include_str!("../../Cargo.toml");
        let used = manifest
            .lines()
            .filter_map(|line| line.strip_suffix(".workspace = true"))
            .filter(|name| name.starts_with("ota-"))
            .map(|name| name.replace('-', "_"));
        let mut used: Vec<String> = used.chain(["ota_gateway".to_owned()]).collect();
        used.sort();
        assert_eq!(used, crates());
    }
}
