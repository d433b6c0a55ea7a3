//! What is wrong with a configuration, and where.

use ota_core::escape::escaped;

/// What is wrong with the configuration: one mistake or more, in the order of the file, then of the environment.
///
/// The text is for the operator and contains no secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    pub(super) mistakes: Vec<Mistake>,
    /// What may help with all of them.
    hint: Option<&'static str>,
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Mistake {
    pub(super) place: Place,
    /// The key, and what to do.
    pub(super) text: String,
}

/// Where a mistake is. The order of the variants is the order in which mistakes are named.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Place {
    /// A line of the file.
    Line { line: usize, file: String },
    /// The file, where it has no line to point at.
    File { file: String },
    /// A variable of the environment.
    Variable { name: String },
    /// Neither is known.
    Unknown,
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Line { line, file } => write!(f, "{file}:{line}: "),
            Self::File { file } => write!(f, "{file}: "),
            Self::Variable { name } => write!(f, "environment variable {name}: "),
            Self::Unknown => Ok(()),
        }
    }
}

impl ConfigError {
    /// Creates the error for one mistake whose place is not known.
    #[must_use]
    pub fn new(message: impl Into<String>) -> Self {
        Self::at(Place::Unknown, message)
    }

    pub(super) fn of(mut mistakes: Vec<Mistake>) -> Self {
        mistakes.sort();
        mistakes.dedup();
        Self {
            mistakes,
            hint: None,
        }
    }

    /// Adds what may help with all of the mistakes.
    #[must_use]
    pub fn with_hint(mut self, hint: &'static str) -> Self {
        self.hint = Some(hint);
        self
    }

    pub(super) fn at(place: Place, message: impl Into<String>) -> Self {
        Self::of(vec![Mistake {
            place,
            text: message.into(),
        }])
    }

    /// Returns each mistake as one line: place, key, and what to do.
    pub fn lines(&self) -> impl Iterator<Item = String> {
        self.mistakes
            .iter()
            .map(|mistake| escaped(&format!("{}{}", mistake.place, mistake.text)).into_owned())
    }

    /// Adds the mistakes of another error, without naming one twice.
    pub fn merge(&mut self, other: Self) {
        self.mistakes.extend(other.mistakes);
        self.mistakes.sort();
        self.mistakes.dedup();
    }
}

/// One mistake is a line; several are a list.
impl std::fmt::Display for ConfigError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let several = self.mistakes.len() > 1;
        if several {
            write!(f, "{} mistakes:", self.mistakes.len())?;
        }
        for line in self.lines() {
            if several {
                f.write_str("\n  ")?;
            }
            f.write_str(&line)?;
        }
        match self.hint {
            Some(hint) if several => write!(f, "\n({hint})"),
            Some(hint) => write!(f, " ({hint})"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for ConfigError {}
