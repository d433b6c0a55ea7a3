//! The mistakes of a configuration, collected so that one run names all of them.

use ota_core::nearest::nearest;
use ota_core::provider::SettingError;

use super::error::{ConfigError, Mistake};
use super::origin::Origin;

/// Collects mistakes while the rest is read on.
///
/// A section that is read has one of its own (see [`Section::read`](super::Section::read)); it knows which keys could not be read, and leaves out what only follows from
/// that, such as "is missing" for a key whose name is misspelled.
#[derive(Debug, Default)]
pub struct Mistakes {
    /// The section's place, and where its keys come from.
    section: Option<(String, Origin)>,
    /// Keys of the section whose mistake has been named.
    broken: Vec<String>,
    /// Keys that were most likely meant by unknown ones.
    meant: Vec<String>,
    found: Vec<Mistake>,
}

impl Mistakes {
    pub(super) fn of(path: String, origin: Origin) -> Self {
        Self {
            section: Some((path, origin)),
            ..Self::default()
        }
    }

    /// Records that a key cannot be relied on: its mistake has been named.
    pub(super) fn broke(&mut self, key: &str) {
        self.broken.push(key.to_owned());
    }

    /// Records that an unknown key was most likely meant to be this one, so that it is not called missing as well.
    pub(super) fn meant(&mut self, key: &str) {
        self.meant.push(key.to_owned());
    }

    /// Returns whether an unknown key was most likely meant to be this one.
    pub(super) fn was_meant(&self, key: &str) -> bool {
        self.meant.iter().any(|meant| meant == key)
    }

    /// Adds the mistakes of another error.
    pub fn push(&mut self, error: ConfigError) {
        self.found.extend(error.mistakes);
    }

    /// Names what is wrong with a key of the section, unless a mistake of that key has been named already.
    pub fn add(&mut self, key: &str, message: impl std::fmt::Display) {
        if self.is_broken(key) {
            return;
        }
        self.broke(key);
        let error = match &self.section {
            Some((path, origin)) => origin.error(&format!("{path}.{key}"), message),
            None => ConfigError::new(format!("{key}: {message}")),
        };
        self.push(error);
    }

    /// Names a key that is missing, unless one of these keys, each of which would do, is there and could not be read.
    pub fn missing(&mut self, key: &str, alternatives: &[&str], message: impl std::fmt::Display) {
        if !alternatives
            .iter()
            .any(|key| self.is_broken(key) || self.was_meant(key))
        {
            self.add(key, message);
        }
    }

    /// Names what is wrong with a setting of an adapter.
    pub fn setting(&mut self, error: &SettingError) {
        match error.alternatives {
            [] => self.add(error.key, &error.message),
            alternatives => self.missing(error.key, alternatives, &error.message),
        }
    }

    /// Returns whether a mistake of this key has been named.
    #[must_use]
    pub fn is_broken(&self, key: &str) -> bool {
        self.broken.iter().any(|broken| broken == key)
    }

    /// Returns whether no mistake has been found so far.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    /// Returns what could be read, or notes what is wrong with it.
    pub fn check<T>(&mut self, result: Result<T, ConfigError>) -> Option<T> {
        result.map_err(|error| self.push(error)).ok()
    }

    /// Returns a whole number if it is within these bounds, or names its key.
    pub fn range(
        &mut self,
        key: &str,
        unit: &str,
        value: u64,
        bounds: std::ops::RangeInclusive<u64>,
    ) -> Option<u64> {
        if bounds.contains(&value) {
            return Some(value);
        }
        let unit = match unit {
            "" => "whole number".to_owned(),
            unit => format!("number of {unit}"),
        };
        self.add(
            key,
            format_args!("is a {unit} from {} to {}", bounds.start(), bounds.end()),
        );
        None
    }

    /// Ends the collecting: with what was read if nothing was wrong, else with all mistakes.
    ///
    /// # Errors
    /// All mistakes that were collected.
    pub fn finish<T>(self, value: impl FnOnce() -> Option<T>) -> Result<T, ConfigError> {
        if self.found.is_empty()
            && let Some(value) = value()
        {
            return Ok(value);
        }
        Err(self.error().unwrap_or_else(|| {
            // A reader that returns `None` must have reported a mistake; this covers a reader that did not.
            ConfigError::new("the configuration cannot be used")
        }))
    }

    /// Returns the mistakes as one error, if there are any.
    #[must_use]
    pub fn error(self) -> Option<ConfigError> {
        (!self.found.is_empty()).then(|| ConfigError::of(self.found))
    }
}

/// Says that a key is not known, and which one may have been meant.
pub(super) fn unknown(key: &str, known: &[&str]) -> String {
    match nearest(key, known) {
        Some(nearest) => format!("unknown key; did you mean `{nearest}`?"),
        None => format!("unknown key; known here are {}", known.join(", ")),
    }
}
