//! `[log]`

use serde::Deserialize;
use tracing_subscriber::filter::Targets;

use super::{ConfigError, Section};
use crate::log::BUFFER_BYTES;
use crate::query::nearest;

/// What is logged and how.
#[derive(Clone, Debug)]
pub struct LogConfig {
    /// The form of a line.
    pub format: LogFormat,
    /// What is logged, for instance `info` or `info,ota_gateway=debug`.
    pub filter: Targets,
    /// The memory for lines that wait to be written; what finds no room is dropped.
    pub buffer_bytes: usize,
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
    super::section::keys_of::<Raw>()
}

pub(super) fn read(section: Section) -> Result<LogConfig, ConfigError> {
    let (raw, mut mistakes): (Raw, _) = section.read()?;
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
    // The least takes the longest line; the most keeps a mistake in the unit from taking the memory of requests.
    let buffer_bytes = mistakes.range("buffer_bytes", "bytes", raw.buffer_bytes, 16_384..=64 << 20);
    mistakes.finish(|| {
        Some(LogConfig {
            format: format?,
            filter: filter?,
            buffer_bytes: usize::try_from(buffer_bytes?).ok()?,
        })
    })
}

/// The levels of the log, as a filter names them.
const LEVELS: &[&str] = &["trace", "debug", "info", "warn", "error", "off"];

/// Reads levels and levels by target. A word that is no level would be taken for a target whose every level is on, and all else would be off.
fn filter(text: &str) -> Result<Targets, String> {
    const FORM: &str = "is a level, or levels by target: `info`, `warn,ota_gateway=debug`";
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
    }
    text.parse().map_err(|_| FORM.to_owned())
}
