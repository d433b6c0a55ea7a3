//! `OTA_GATEWAY__SECTION__KEY` in the environment.

use std::collections::BTreeMap;

use ota_core::nearest::nearest;
use toml::{Table, Value};

use super::error::{ConfigError, Place};
use super::mistakes::Mistakes;
use super::sections::{SECTIONS, keys_of};

/// What the variables of this program begin with.
pub(super) const PREFIX: &str = "OTA_GATEWAY__";

/// What the names of all variables that were meant for this program begin with.
const PROGRAM: &str = "OTA_GATEWAY_";

/// The variable that names the file.
const FILE: &str = "OTA_GATEWAY_CONFIG";

fn wrong(variable: &str, message: impl std::fmt::Display) -> ConfigError {
    let name = variable.to_owned();
    ConfigError::at(Place::Variable { name }, message.to_string())
}

/// Applies the variables over the file's table. In a provider's name `_` means `-`.
///
/// Values stay text here; [`convert`](super::convert::convert) makes of them what their key holds.
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
        let advice = match meant(variable) {
            Some(meant) => format!("; did you mean `{meant}`?"),
            None => String::new(),
        };
        let message = format_args!("is not of the form {PREFIX}SECTION__KEY{advice}");
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

/// Looks for variables that were most likely meant for this program and that nothing reads. One that begins with the name of a section is a mistake;
/// of others there is a warning, which is returned: they may belong to another program, and must not prevent this one from starting.
pub(super) fn unread(environment: &[(String, String)], mistakes: &mut Mistakes) -> Vec<String> {
    let mut warnings = Vec::new();
    let ours = environment
        .iter()
        .filter(|(name, _)| name.starts_with(PROGRAM) && !name.starts_with(PREFIX));
    for (name, value) in ours {
        if name == FILE || is_service_link(&name[PROGRAM.len()..], value) {
            continue;
        }
        match meant(name) {
            Some(meant) => {
                let message = format_args!(
                    "nothing reads it: two underscores separate a section and its key; did you mean `{meant}`?"
                );
                mistakes.push(wrong(name, message));
            }
            None => warnings.push(format!(
                "nothing reads the environment variable {name}; there are {FILE} and {PREFIX}SECTION__KEY"
            )),
        }
    }
    warnings.sort();
    warnings
}

/// Returns the variable that a name with single underscores was most likely meant to be.
fn meant(name: &str) -> Option<String> {
    let rest = name[PROGRAM.len()..].trim_start_matches('_');
    let section = SECTIONS.iter().find(|section| {
        let rest = rest.to_ascii_lowercase();
        let after = rest.strip_prefix(**section);
        after.is_some_and(|after| after.starts_with('_'))
    })?;
    let key = rest[section.len()..].trim_matches('_').to_ascii_lowercase();
    let known = keys_of(section);
    let known: Vec<&str> = known.iter().map(String::as_str).collect();
    let key = match (*section, nearest(&key, &known)) {
        ("providers", _) => "NAME__KEY".to_owned(),
        (_, Some(known)) => known.to_ascii_uppercase(),
        (_, None) => "KEY".to_owned(),
    };
    Some(format!("{PREFIX}{}__{key}", section.to_ascii_uppercase()))
}

/// Whether a variable is one of those that Kubernetes gives every container for a Service whose name begins with `ota-gateway`.
fn is_service_link(rest: &str, value: &str) -> bool {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let address = ["tcp://", "udp://", "sctp://"]
        .iter()
        .any(|scheme| value.starts_with(scheme));
    let port = rest.split("PORT_").nth(1).unwrap_or_default();
    let (number, protocol) = port.split_once('_').unwrap_or((port, ""));
    let protocol = protocol.split('_').next().unwrap_or_default();
    rest.ends_with("SERVICE_HOST")
        || (rest.contains("SERVICE_PORT") && digits(value))
        || (rest.ends_with("PORT") && address)
        || (digits(number) && matches!(protocol, "TCP" | "UDP" | "SCTP"))
}
