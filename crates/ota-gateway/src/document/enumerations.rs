//! The values of enumerations in descriptions.
//!
//! Enumerations are open, so their fields are plain text in the document, and descriptions list the current values. A doc comment names the type
//! (``[`core::JobStatus`]``); the document gets its values in place of it.

use std::fmt::Display;

use ota_api::fleet::{SourceState, SyncPhase};
use ota_api::problem::Code;
use ota_core::capability::QuotaPer;
use ota_core::job::{
    JobKind, JobOutcome, JobPurpose, JobStatus, Overwrite, ScheduleMode, Scope, Selection,
};
use ota_core::task::{Failure, TaskStage, TaskStatus};
use serde_json::Value;

use crate::vendors;

/// Returns the values of an enumeration, by the last part of its path.
fn values(name: &str) -> Option<String> {
    Some(match name {
        "JobStatus" => listed(JobStatus::ALL),
        "JobOutcome" => listed(JobOutcome::ALL),
        "JobKind" => listed(JobKind::ALL),
        "JobPurpose" => listed(JobPurpose::ALL),
        "Selection" => listed(Selection::ALL),
        "Scope" => listed(Scope::ALL),
        "ScheduleMode" => listed(ScheduleMode::ALL),
        "Overwrite" => listed(Overwrite::ALL),
        "TaskStatus" => listed(TaskStatus::ALL),
        "TaskStage" => listed(TaskStage::ALL),
        "Failure" => listed(Failure::ALL),
        "QuotaPer" => listed(QuotaPer::ALL),
        "SourceState" => listed(SourceState::ALL),
        "SyncPhase" => listed(SyncPhase::ALL),
        "Code" => listed(Code::ALL),
        "Descriptor" => listed(&vendors::names()),
        _ => return None,
    })
}

fn listed<T: Display>(all: &[T]) -> String {
    let all: Vec<String> = all.iter().map(|value| format!("`{value}`")).collect();
    all.join(", ")
}

/// Puts values in place of types in all descriptions below `value`.
pub(super) fn name_values(value: &mut Value) {
    match value {
        Value::Object(members) => {
            if let Some(Value::String(text)) = members.get_mut("description") {
                *text = with_values(text);
            }
            members.values_mut().for_each(name_values);
        }
        Value::Array(items) => items.iter_mut().for_each(name_values),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// Returns a text with the values of each type that it names. A name of another type stays.
fn with_values(text: &str) -> String {
    let mut parts = text.split("[`");
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let named = part.split_once("`]").and_then(|(path, rest)| {
            let name = path.rsplit("::").next()?;
            Some((values(name)?, rest))
        });
        match named {
            Some((values, rest)) => out.extend([&*values, rest]),
            None => out.extend(["[`", part]),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::with_values;
    use crate::document::document;

    #[test]
    fn a_type_becomes_its_values() {
        assert_eq!(
            with_values("So: [`core::Selection`]. Not [`Other`] nor [this]."),
            "So: `static`, `dynamic`. Not [`Other`] nor [this]."
        );
    }

    #[test]
    fn no_type_is_left() {
        let text = document().to_string();
        let left = text.split("[`").nth(1).map(|rest| rest.split("`]").next());
        assert_eq!(left, None, "add it to `values`");
    }
}
