//! Pure functions between the vendor's words and the neutral model.

mod failure;
mod job;
mod query;
mod rest;
mod status;
mod task;
mod time;

#[cfg(test)]
mod tests;

pub(crate) use job::job;
pub(crate) use query::{JobPlan, TaskPlan, job_query, task_query};
pub(crate) use status::Word;
pub(crate) use task::task;

use ota_core::drift::DriftKind;
use ota_http::lenient::Leaf;
use ota_http::redact;
use serde_json::Value;

/// A mapped row.
pub(crate) struct Mapped<T> {
    /// The neutral row.
    pub(crate) item: T,
    /// Its status, when the vendor's word is a known one.
    pub(crate) word: Option<Word>,
    /// What in the row is not in the vendor's documents.
    pub(crate) met: Vec<Met>,
}

/// Something that is not in the vendor's documents.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Met {
    pub(crate) kind: DriftKind,
    /// The vendor's field, with a dot before the field of a nested object.
    pub(crate) field: String,
}

impl Met {
    /// A field that is not documented.
    pub(crate) fn field(name: &str) -> Self {
        Self {
            kind: DriftKind::Field,
            field: redact::urls(name),
        }
    }

    /// A value that could not be read.
    pub(crate) fn value(name: &str) -> Self {
        Self {
            kind: DriftKind::Value,
            field: name.to_owned(),
        }
    }
}

/// Reads an identifier letter for letter: it goes back to the vendor, so nothing may be taken from it.
pub(crate) fn identifier(leaf: &Leaf) -> Option<String> {
    match &leaf.0 {
        Value::String(text) if text.is_empty() => None,
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}
