//! Where each key of the configuration comes from.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use toml::de::{DeTable, DeValue};

use super::error::{ConfigError, Place};

/// Where the configuration comes from, to point at mistakes. Clones are cheap.
#[derive(Clone, Default)]
pub struct Origin(Arc<Places>);

#[derive(Default)]
struct Places {
    file: Option<String>,
    /// The line of each key and section of the file.
    lines: BTreeMap<String, usize>,
    /// Keys that the environment set, with the name of the variable.
    variables: BTreeMap<String, String>,
}

impl std::fmt::Debug for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Origin")
            .field("file", &self.0.file)
            .finish_non_exhaustive()
    }
}

/// Returns the line of each key and section of a file.
pub(super) fn lines_of(text: &str, table: &DeTable<'_>) -> BTreeMap<String, usize> {
    // The starts of lines, so that the lines of a large file are not counted again for each key.
    let starts: Vec<usize> = std::iter::once(0)
        .chain(text.match_indices('\n').map(|(at, _)| at + 1))
        .collect();
    let line = |at: usize| starts.partition_point(|start| *start <= at);
    let mut lines = BTreeMap::new();
    let mut tables = vec![(String::new(), table)];
    while let Some((path, table)) = tables.pop() {
        for (key, value) in table {
            let path = match path.as_str() {
                "" => key.get_ref().to_string(),
                path => format!("{path}.{}", key.get_ref()),
            };
            lines.insert(path.clone(), line(key.span().start));
            match value.get_ref() {
                DeValue::Table(inner) => tables.push((path, inner)),
                DeValue::Array(values) => {
                    for (index, value) in values.iter().enumerate() {
                        lines.insert(format!("{path}[{index}]"), line(value.span().start));
                    }
                }
                _ => {}
            }
        }
    }
    lines
}

impl Origin {
    pub(super) fn new(
        file: Option<&Path>,
        lines: BTreeMap<String, usize>,
        variables: BTreeMap<String, String>,
    ) -> Self {
        Self(Arc::new(Places {
            file: file.map(|file| file.display().to_string()),
            lines,
            variables,
        }))
    }

    /// Creates the error for a key, with everything known about its place.
    #[must_use]
    pub fn error(&self, path: &str, message: impl std::fmt::Display) -> ConfigError {
        ConfigError::at(self.place(path), format!("{path}: {message}"))
    }

    /// Returns the variable that set this key.
    pub(super) fn variable(&self, path: &str) -> Option<&str> {
        self.0.variables.get(path).map(String::as_str)
    }

    /// Says where a key was set, to be put behind its value: ` (line 3)`, ` (environment variable X)`, or nothing where its default holds.
    #[must_use]
    pub fn hint(&self, path: &str) -> String {
        match (self.variable(path), self.0.lines.get(path)) {
            (Some(variable), _) => format!(" (environment variable {variable})"),
            (None, Some(line)) => format!(" (line {line})"),
            (None, None) => String::new(),
        }
    }

    /// Finds the place of a key, or else of the section that it belongs to.
    fn place(&self, path: &str) -> Place {
        let mut part = path;
        loop {
            if let Some(name) = self.variable(part) {
                return variable(name);
            }
            if let (Some(line), Some(file)) = (self.0.lines.get(part), &self.0.file) {
                return Place::Line {
                    line: *line,
                    file: file.clone(),
                };
            }
            // A section that only the environment defines, such as one whose name is misspelled there.
            if part == path || part.starts_with("providers.") {
                let below = format!("{part}.");
                let inner = self.0.variables.range(below.clone()..).next();
                if let Some((_, name)) = inner.filter(|(path, _)| path.starts_with(&below)) {
                    return variable(name);
                }
            }
            match part.rfind(['.', '[']) {
                Some(end) => part = &part[..end],
                None => break,
            }
        }
        match &self.0.file {
            Some(file) => Place::File { file: file.clone() },
            None => Place::Unknown,
        }
    }
}

fn variable(name: &str) -> Place {
    Place::Variable {
        name: name.to_owned(),
    }
}
