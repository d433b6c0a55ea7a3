//! One section of the configuration, before it is parsed into its type.

use ota_core::nearest::nearest;
use serde::de::DeserializeOwned;
use serde_path_to_error::Segment;
use toml::{Table, Value};

use super::convert::convert;
use super::error::ConfigError;
use super::mistakes::{Mistakes, unknown};
use super::origin::Origin;

/// One section before it is parsed into its type.
#[derive(Clone)]
pub struct Section {
    /// Its place, such as `providers.cloud-prod`.
    pub path: String,
    pub(super) table: Table,
    pub(super) origin: Origin,
}

/// The maximum number of mistakes reported for one section.
const MOST: usize = 100;

/// The values of a section can be secrets, so none is shown.
impl std::fmt::Debug for Section {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let keys: Vec<&String> = self.table.keys().collect();
        f.debug_struct("Section")
            .field("path", &self.path)
            .field("keys", &keys)
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
            Some(other) => {
                let given = given(other.type_str());
                Err(self.error(key, format_args!("is a text, not {given}")))
            }
        }
    }

    /// Takes a yes or no out, or what holds without it.
    ///
    /// # Errors
    /// When the key holds something else.
    pub fn take_bool(&mut self, key: &str, usual: bool) -> Result<bool, ConfigError> {
        let path = format!("{}.{key}", self.path);
        match self.table.remove(key) {
            None => Ok(usual),
            Some(Value::Boolean(flag)) => Ok(flag),
            // What the environment holds is text.
            Some(Value::String(text)) if self.origin.variable(&path).is_some() => {
                let flag = text.trim().parse();
                flag.map_err(|_| self.error(key, "is `true` or `false`"))
            }
            Some(other) => {
                let given = given(other.type_str());
                Err(self.error(key, format_args!("is `true` or `false`, not {given}")))
            }
        }
    }

    /// Returns the key of this section whose name is most like this one.
    #[must_use]
    pub fn similar(&self, key: &str) -> Option<&str> {
        let keys: Vec<&str> = self.table.keys().map(String::as_str).collect();
        nearest(key, &keys)
    }

    /// Creates the error for a key of this section.
    #[must_use]
    pub fn error(&self, key: &str, message: impl std::fmt::Display) -> ConfigError {
        self.origin.error(&format!("{}.{key}", self.path), message)
    }

    /// Says where a key of this section was set; see [`Origin::hint`].
    #[must_use]
    pub fn hint(&self, key: &str) -> String {
        self.origin.hint(&format!("{}.{key}", self.path))
    }

    /// Returns the value of a key, or its default, even if other parts of the section are wrong. `None` where that is not clear: the value is of
    /// another type, or an unknown key of the section was most likely meant to be this one. `known` are the keys of the section.
    pub(super) fn alone<T: DeserializeOwned>(
        &self,
        key: &str,
        known: &[String],
        usual: T,
    ) -> Option<T> {
        let Some(value) = self.table.get(key) else {
            let known: Vec<&str> = known.iter().map(String::as_str).collect();
            let mut unknown = self
                .table
                .keys()
                .filter(|name| !known.contains(&name.as_str()));
            let meant = unknown.any(|name| nearest(name, &known) == Some(key));
            return (!meant).then_some(usual);
        };
        let error = match value.clone().try_into() {
            Ok(value) => return Some(value),
            Err(error) => error.to_string(),
        };
        self.origin.variable(&format!("{}.{key}", self.path))?;
        let text = error.lines().next().unwrap_or_default();
        let converted = convert(value.as_str()?, text)?.ok()?;
        converted.try_into().ok()
    }

    /// Reads the section as a type of its own, with the collector for all its mistakes.
    ///
    /// A key that is unknown or of the wrong type is noted there and left out, so that the other keys are read and checked too. The value must not
    /// be used before [`Mistakes::finish`] has found nothing.
    ///
    /// # Errors
    /// When not even the rest can be read.
    pub fn read<T: DeserializeOwned>(self) -> Result<(T, Mistakes), ConfigError> {
        self.read_with(|table| serde_path_to_error::deserialize(Value::Table(table)))
    }

    /// As [`Section::read`], with a custom reader.
    ///
    /// # Errors
    /// When not even the rest can be read.
    pub fn read_with<T>(
        self,
        reader: impl Fn(Table) -> Result<T, serde_path_to_error::Error<toml::de::Error>>,
    ) -> Result<(T, Mistakes), ConfigError> {
        let mut table = self.table.clone();
        let mut mistakes = Mistakes::of(self.path.clone(), self.origin.clone());
        for _ in 0..MOST {
            let error = match reader(table.clone()) {
                Ok(value) => return Ok((value, mistakes)),
                Err(error) => error,
            };
            let text = error.inner().to_string();
            let text = text.lines().next().unwrap_or_default();
            let mut keys: Vec<Key> = error.path().iter().filter_map(Key::of).collect();
            let unknown_key = unknown_key(text);
            if let Some((name, _)) = &unknown_key
                && !matches!(keys.last(), Some(Key::Name(last)) if last == name)
            {
                keys.push(Key::Name(name.clone()));
            }
            let key = shown(&keys);
            let path = format!("{}.{key}", self.path);
            if unknown_key.is_none()
                && self.origin.variable(&path).is_some()
                && let Some(value) = find(&mut table, &keys)
                && let Value::String(given) = value
                && let Some(converted) = convert(given, text)
            {
                match converted {
                    Ok(converted) => {
                        *value = converted;
                        continue;
                    }
                    Err(expected) => mistakes.add(&key, format_args!("is {expected}")),
                }
            } else {
                match unknown_key {
                    Some((name, known)) => {
                        let known: Vec<&str> = known.iter().map(String::as_str).collect();
                        if let Some(meant) = nearest(&name, &known) {
                            mistakes.meant(meant);
                        }
                        mistakes.push(self.origin.error(&path, unknown(&name, &known)));
                    }
                    None if keys.is_empty() => {
                        mistakes.push(self.origin.error(&self.path, without_values(text)));
                    }
                    None => mistakes.add(&key, without_values(text)),
                }
            }
            if !remove(&mut table, &keys) {
                break;
            }
            if let Some(Key::Name(first)) = keys.first() {
                mistakes.broke(first);
            }
        }
        mistakes.finish(|| None)
    }
}

/// Returns the keys that a section of this type may have, as the error about an unknown one names them.
pub(super) fn keys_of<T: DeserializeOwned>() -> Vec<String> {
    // No key of a section contains a space.
    let unknown = Table::from_iter([("no key".to_owned(), Value::Boolean(true))]);
    let error = Value::Table(unknown).try_into::<T>().err();
    let text = error.map(|error| error.to_string()).unwrap_or_default();
    let known = text.lines().find_map(unknown_key);
    known.map(|(_, known)| known).unwrap_or_default()
}

/// One step of the path to a value.
enum Key {
    Name(String),
    Index(usize),
}

impl Key {
    fn of(segment: &Segment) -> Option<Self> {
        match segment {
            Segment::Map { key } => Some(Self::Name(key.clone())),
            Segment::Seq { index } => Some(Self::Index(*index)),
            Segment::Enum { .. } | Segment::Unknown => None,
        }
    }
}

fn shown(keys: &[Key]) -> String {
    let mut text = String::new();
    for key in keys {
        match key {
            Key::Name(name) => {
                if !text.is_empty() {
                    text.push('.');
                }
                text.push_str(name);
            }
            Key::Index(index) => text.push_str(&format!("[{index}]")),
        }
    }
    text
}

fn find<'a>(table: &'a mut Table, keys: &[Key]) -> Option<&'a mut Value> {
    let (first, rest) = keys.split_first()?;
    let Key::Name(name) = first else { return None };
    let mut value = table.get_mut(name)?;
    for key in rest {
        value = match key {
            Key::Name(name) => value.as_table_mut()?.get_mut(name)?,
            Key::Index(index) => value.as_array_mut()?.get_mut(*index)?,
        };
    }
    Some(value)
}

/// Takes out what cannot be read: the value itself, or the key of the section that it belongs to.
fn remove(table: &mut Table, keys: &[Key]) -> bool {
    let Some((last, before)) = keys.split_last() else {
        return false;
    };
    let gone = match (before, last) {
        ([], Key::Name(name)) => return table.remove(name).is_some(),
        (before, Key::Name(name)) => find(table, before)
            .and_then(Value::as_table_mut)
            .and_then(|table| table.remove(name)),
        (before, Key::Index(index)) => find(table, before)
            .and_then(Value::as_array_mut)
            .filter(|values| *index < values.len())
            .map(|values| values.remove(*index)),
    };
    gone.is_some() || remove(table, before)
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

/// Names what an error of serde expected, in terms of the configuration.
fn expected(text: &str) -> String {
    match text {
        "a boolean" => "`true` or `false`".to_owned(),
        "a string" | "path string" | "a character" => "a text".to_owned(),
        "a sequence" => "a list".to_owned(),
        "a map" => "a section".to_owned(),
        "f32" | "f64" => "a number".to_owned(),
        "u8" => "a whole number from 0 to 255".to_owned(),
        "u16" => "a whole number from 0 to 65535".to_owned(),
        "u32" => format!("a whole number from 0 to {}", u32::MAX),
        "u64" | "u128" | "usize" => "a whole number, 0 or more".to_owned(),
        "i8" | "i16" | "i32" | "i64" | "i128" | "isize" => "a whole number".to_owned(),
        text if text.starts_with("struct ") => "a section".to_owned(),
        text => text.to_owned(),
    }
}

/// Names the type of a value, by the first word that serde or the reader of TOML has for it.
pub(super) fn given(kind: &str) -> &str {
    match kind {
        "string" => "a text",
        "integer" => "a whole number",
        "float" | "floating" => "a number with a fraction",
        "boolean" => "`true` or `false`",
        "array" | "sequence" => "a list",
        "table" | "map" => "a section",
        "datetime" => "a time",
        kind => kind,
    }
}

/// serde repeats the value of a wrong type, which can be a secret: `invalid type: string "hunter2", expected u64`. It uses the names of
/// Rust types; they are replaced as well.
fn without_values(text: &str) -> String {
    let wanted = text
        .rsplit_once("expected ")
        .map(|(_, text)| expected(text));
    match (text.split_once(": "), wanted) {
        (Some(("invalid type", rest)), Some(wanted)) => {
            let kind = given(rest.split([' ', ',']).next().unwrap_or("value"));
            format!("has the wrong type: {kind}, expected {wanted}")
        }
        (Some(("invalid value", _)), Some(wanted)) => {
            format!("has a value that is not allowed, expected {wanted}")
        }
        _ if text.starts_with("invalid value") => "has a value that is not allowed".to_owned(),
        _ => text.to_owned(),
    }
}
