//! `OTA_GATEWAY__SECTION__KEY` in the environment.

use std::collections::BTreeMap;

use toml::{Table, Value};

use super::ConfigError;

const PREFIX: &str = "OTA_GATEWAY__";

/// Keys whose values are not text. The environment has text only, and an identifier may consist of digits.
const NUMBERS: &[&str] = &[
    "calls",
    "max_connections",
    "rate_limit",
    "max_attempts",
    "max_concurrent",
    "max_calls_per_page",
];
const FLAGS: &[&str] = &["enabled", "allow_http", "verify_hostname"];

/// Lists; in a variable their parts stand between commas.
const LISTS: &[&str] = &["cors_origins"];

/// Lays variables over the file's table. In a provider's name `_` stands for `-`.
pub(super) fn overlay(
    table: &mut Table,
    variables: &mut BTreeMap<String, String>,
    environment: impl IntoIterator<Item = (String, String)>,
) -> Result<(), ConfigError> {
    let mut ours: Vec<(String, String)> = environment
        .into_iter()
        .filter(|(name, _)| name.starts_with(PREFIX))
        .collect();
    ours.sort();
    for (variable, text) in ours {
        let mut keys: Vec<String> = variable[PREFIX.len()..]
            .split("__")
            .map(str::to_ascii_lowercase)
            .collect();
        if keys.len() < 2 || keys.iter().any(String::is_empty) {
            return Err(ConfigError::new(format!(
                "environment variable {variable}: is not of the form {PREFIX}SECTION__KEY"
            )));
        }
        if keys[0] == "providers" {
            keys[1] = keys[1].replace('_', "-");
        }
        let path = keys.join(".");
        let Some(key) = keys.pop() else { continue };
        let value = value(&variable, &key, text)?;
        let mut at = &mut *table;
        for section in &keys {
            let inner = at
                .entry(section.clone())
                .or_insert_with(|| Value::Table(Table::new()));
            at = inner.as_table_mut().ok_or_else(|| {
                ConfigError::new(format!(
                    "environment variable {variable}: `{section}` is not a section"
                ))
            })?;
        }
        at.insert(key, value);
        variables.insert(path, variable);
    }
    Ok(())
}

fn value(variable: &str, key: &str, text: String) -> Result<Value, ConfigError> {
    let number = NUMBERS.contains(&key)
        || key.ends_with("_s")
        || key.ends_with("_ms")
        || key.ends_with("_bytes");
    let wrong = |expected: &str| {
        ConfigError::new(format!("environment variable {variable}: is {expected}"))
    };
    if number {
        return text
            .trim()
            .parse()
            .map(Value::Integer)
            .map_err(|_| wrong("a whole number"));
    }
    if key.ends_with("_ratio") {
        return text
            .trim()
            .parse()
            .map(Value::Float)
            .map_err(|_| wrong("a number"));
    }
    if FLAGS.contains(&key) {
        return text
            .trim()
            .parse()
            .map(Value::Boolean)
            .map_err(|_| wrong("`true` or `false`"));
    }
    if LISTS.contains(&key) {
        let parts = text
            .split(',')
            .map(str::trim)
            .filter(|part| !part.is_empty());
        return Ok(Value::Array(
            parts.map(|part| Value::String(part.to_owned())).collect(),
        ));
    }
    Ok(Value::String(text))
}
