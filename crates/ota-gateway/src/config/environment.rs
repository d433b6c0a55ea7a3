//! `OTA_GATEWAY__SECTION__KEY` in the environment.

use std::collections::BTreeMap;

use toml::{Table, Value};

use super::mistakes::{ConfigError, Mistakes, Place};

/// What the variables of this program begin with.
pub(super) const PREFIX: &str = "OTA_GATEWAY__";

fn wrong(variable: &str, message: impl std::fmt::Display) -> ConfigError {
    let name = variable.to_owned();
    ConfigError::at(Place::Variable { name }, message.to_string())
}

/// Lays variables over the file's table. In a provider's name `_` stands for `-`.
///
/// Values stay text here; [`convert`] makes of them what their key holds.
pub(super) fn overlay(
    table: &mut Table,
    variables: &mut BTreeMap<String, String>,
    environment: impl IntoIterator<Item = (String, String)>,
    mistakes: &mut Mistakes,
) {
    let mut ours: Vec<(String, String)> = environment
        .into_iter()
        .filter(|(name, _)| name.starts_with(PREFIX))
        .collect();
    ours.sort();
    for (variable, text) in ours {
        if let Err(error) = lay(table, variables, &variable, text) {
            mistakes.push(error);
        }
    }
}

fn lay(
    table: &mut Table,
    variables: &mut BTreeMap<String, String>,
    variable: &str,
    text: String,
) -> Result<(), ConfigError> {
    let mut keys: Vec<String> = variable[PREFIX.len()..]
        .split("__")
        .map(str::to_ascii_lowercase)
        .collect();
    if keys.len() < 2 || keys.iter().any(String::is_empty) {
        let message = format_args!("is not of the form {PREFIX}SECTION__KEY");
        return Err(wrong(variable, message));
    }
    if keys[0] == "providers" {
        keys[1] = keys[1].replace('_', "-");
    }
    let path = keys.join(".");
    let Some(key) = keys.pop() else { return Ok(()) };
    let mut at = &mut *table;
    for section in &keys {
        let inner = at
            .entry(section.clone())
            .or_insert_with(|| Value::Table(Table::new()));
        at = inner
            .as_table_mut()
            .ok_or_else(|| wrong(variable, format_args!("`{section}` is not a section")))?;
    }
    at.insert(key, Value::String(text));
    variables.insert(path, variable.to_owned());
    Ok(())
}

/// Makes of a variable's text what its key holds, which is said by the error that the text caused: `invalid type: string "5", expected u64`.
///
/// Lists have commas between their parts, and maps `name=value` pairs. Returns `None` when the error is about something else, and what was expected
/// when the text is not that.
pub(super) fn convert(text: &str, error: &str) -> Option<Result<Value, &'static str>> {
    let (_, expected) = error
        .strip_prefix("invalid type: string ")?
        .rsplit_once("expected ")?;
    let text = text.trim();
    let parts = || {
        text.split(',')
            .map(str::trim)
            .filter(|part| !part.is_empty())
    };
    Some(match expected {
        "a boolean" => text
            .parse()
            .map(Value::Boolean)
            .map_err(|_| "`true` or `false`"),
        "f32" | "f64" => text.parse().map(Value::Float).map_err(|_| "a number"),
        "a sequence" => Ok(Value::Array(
            parts().map(|part| Value::String(part.to_owned())).collect(),
        )),
        "a map" => parts()
            .map(|part| {
                let (name, value) = part.split_once('=')?;
                let value = Value::String(value.trim().to_owned());
                Some((name.trim().to_owned(), value))
            })
            .collect::<Option<Table>>()
            .map(Value::Table)
            .ok_or("a list such as `name=value,other=value`"),
        number if number.starts_with(['u', 'i']) => text
            .parse()
            .map(Value::Integer)
            .map_err(|_| "a whole number"),
        _ => return None,
    })
}
