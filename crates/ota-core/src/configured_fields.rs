//! Fields that the vendor's documents do not fix, at the place that the operator has configured.
//!
//! Some vendors carry free-form data in their rows, such as an object of extensions. What stands in it depends on the platform, so no adapter can map it.
//! The operator knows, and says by a path where a neutral field stands: `extension.version`. The adapter hands over each row as the vendor sent it.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use serde_json::Value;

use crate::fields::FieldSupport;
use crate::id::DeviceName;
use crate::job::Job;
use crate::open_enum::open_enum;
use crate::task::Task;

open_enum!(
    /// A neutral field whose place an operator can configure, by its key in the configuration.
    ConfigurableField {
        /// `package.name` of a job.
        PackageName = "package_name",
        /// `package.version` of a job.
        PackageVersion = "package_version",
        /// `device.name` of a task.
        DeviceName = "device_name",
    }
);

/// What a row of a vendor describes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RowKind {
    /// A job, in a list or alone.
    Job,
    /// A task.
    Task,
}

impl ConfigurableField {
    /// Returns the name of the field in the API.
    #[must_use]
    pub const fn field(self) -> &'static str {
        match self {
            Self::PackageName => "package.name",
            Self::PackageVersion => "package.version",
            Self::DeviceName => "device.name",
        }
    }

    /// Returns the kind of the rows that have the field.
    #[must_use]
    pub const fn row(self) -> RowKind {
        match self {
            Self::PackageName | Self::PackageVersion => RowKind::Job,
            Self::DeviceName => RowKind::Task,
        }
    }

    /// Returns the fields that a vendor does not report on its own in every row, so that their place can be configured.
    pub fn missing_from(reported: FieldSupport) -> impl Iterator<Item = Self> {
        let reports = move |field: &Self| match field.row() {
            RowKind::Job => [reported.job_row, reported.job]
                .iter()
                .all(|fields| fields.contains(&field.field())),
            RowKind::Task => reported.task.contains(&field.field()),
        };
        Self::ALL
            .iter()
            .copied()
            .filter(move |field| !reports(field))
    }
}

/// A path into a row of a vendor: names of fields with dots between them. A number leads into a list.
///
/// A text on the way that holds JSON is read as JSON: some vendors send an object as text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldPath {
    text: String,
    names: Vec<String>,
}

/// The longest path in bytes, and the most names in it. Rows of vendors nest a few levels deep.
const MAX_PATH_LEN: usize = 256;
const MAX_NAMES: usize = 16;

/// The longest value in characters; a longer text is no name and no version.
const MAX_VALUE_CHARS: usize = 256;

/// The longest text in bytes that is read as JSON on the way to a value.
const MAX_JSON_LEN: usize = 65_536;

impl FieldPath {
    /// Reads a path.
    ///
    /// # Errors
    /// Says what is wrong with it and what to write, for an operator.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong = |what: &str| {
            Err(format!(
                "{what}; write the names of the vendor's fields with dots between them, as `vendor.fields` of a row shows them, for instance `extension.version`"
            ))
        };
        let text = text.trim();
        if text.is_empty() {
            return wrong("the path is empty");
        }
        if text.len() > MAX_PATH_LEN {
            return wrong(&format!("the path is longer than {MAX_PATH_LEN} bytes"));
        }
        if text.chars().any(char::is_control) {
            return wrong("the path has a control character");
        }
        let names: Vec<String> = text.split('.').map(str::to_owned).collect();
        if names.iter().any(String::is_empty) {
            return wrong("a name between two dots, or at an end of the path, is empty");
        }
        if names.iter().any(|name| name.trim() != name) {
            return wrong("there is a blank beside a dot");
        }
        if names.len() > MAX_NAMES {
            return wrong(&format!("the path has more than {MAX_NAMES} names"));
        }
        Ok(Self {
            text: text.to_owned(),
            names,
        })
    }

    /// Returns the path as it was configured.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Returns the text at the end of the path, without blanks around it. A number is written out. Anything else is none: another type, blank, longer
    /// than 256 characters, or with a control character.
    #[must_use]
    pub fn find(&self, row: &Value) -> Option<String> {
        find(row, &self.names)
    }
}

fn find(value: &Value, names: &[String]) -> Option<String> {
    let Some((name, rest)) = names.split_first() else {
        return text(value);
    };
    match value {
        Value::Object(members) => find(members.get(name)?, rest),
        Value::Array(items) => find(items.get(name.parse::<usize>().ok()?)?, rest),
        Value::String(json) if json.len() <= MAX_JSON_LEN => {
            // Only an object or a list leads on, and a text in a text would not be the vendor's doing.
            let inner: Value = serde_json::from_str(json).ok()?;
            (inner.is_object() || inner.is_array()).then(|| find(&inner, names))?
        }
        Value::String(_) | Value::Null | Value::Bool(_) | Value::Number(_) => None,
    }
}

fn text(value: &Value) -> Option<String> {
    let text = match value {
        Value::String(text) => text.trim().to_owned(),
        Value::Number(number) => number.to_string(),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => return None,
    };
    let fits = !text.is_empty()
        && text.chars().count() <= MAX_VALUE_CHARS
        && !text.chars().any(char::is_control);
    fits.then_some(text)
}

/// The fields whose place is configured for one provider, and how often each was found.
#[derive(Debug, Default)]
pub struct ConfiguredFields(Vec<Entry>);

#[derive(Debug)]
struct Entry {
    field: ConfigurableField,
    path: FieldPath,
    rows: AtomicU64,
    found: AtomicU64,
    reported: AtomicBool,
}

/// How often the path of a field was followed since the start of the process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldUse {
    /// The field.
    pub field: ConfigurableField,
    /// Its path, as configured.
    pub path: String,
    /// In how many rows it was looked for.
    pub rows: u64,
    /// In how many of them it was found.
    pub found: u64,
}

/// What one row holds at the configured places.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FieldValues {
    /// `package.name`
    pub package_name: Option<String>,
    /// `package.version`
    pub package_version: Option<String>,
    /// `device.name`
    pub device_name: Option<String>,
}

impl ConfiguredFields {
    /// Creates the set. Of a field that is given twice the first path holds.
    #[must_use]
    pub fn new(paths: impl IntoIterator<Item = (ConfigurableField, FieldPath)>) -> Self {
        let entries = paths.into_iter().map(|(field, path)| Entry {
            field,
            path,
            rows: AtomicU64::new(0),
            found: AtomicU64::new(0),
            reported: AtomicBool::new(false),
        });
        Self(entries.collect())
    }

    /// Returns whether no place is configured.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the fields whose place is configured.
    pub fn fields(&self) -> impl Iterator<Item = ConfigurableField> {
        self.0.iter().map(|entry| entry.field)
    }

    /// Returns the places in one text, which differs as soon as a place does; empty where none is configured.
    #[must_use]
    pub fn places(&self) -> String {
        let places = self.0.iter().map(|entry| {
            let (field, path) = (entry.field.as_str(), entry.path.as_str());
            format!("{field}={path}")
        });
        let mut places: Vec<String> = places.collect();
        places.sort_unstable();
        places.join("\n")
    }

    /// Returns what a row holds at the configured places of the fields that rows of its kind have.
    #[must_use]
    pub fn read(&self, kind: RowKind, row: &Value) -> FieldValues {
        let mut values = FieldValues::default();
        for entry in self.0.iter().filter(|entry| entry.field.row() == kind) {
            let value = entry.path.find(row);
            entry.rows.fetch_add(1, Ordering::Relaxed);
            let place = values.place(entry.field);
            if value.is_some() {
                entry.found.fetch_add(1, Ordering::Relaxed);
                *place = place.take().or(value);
            }
        }
        values
    }

    /// Returns how often each path was followed.
    #[must_use]
    pub fn uses(&self) -> Vec<FieldUse> {
        self.0.iter().map(Entry::uses).collect()
    }

    /// Returns the fields that were looked for and never found; each of them once in the life of the process.
    pub fn take_never_found(&self) -> Vec<FieldUse> {
        let never = |entry: &&Entry| {
            let uses = entry.uses();
            uses.rows > 0 && uses.found == 0 && !entry.reported.swap(true, Ordering::Relaxed)
        };
        self.0.iter().filter(never).map(Entry::uses).collect()
    }
}

impl Entry {
    fn uses(&self) -> FieldUse {
        // What was found is read first: it is counted last, so it is never more than the rows.
        let found = self.found.load(Ordering::Relaxed);
        FieldUse {
            field: self.field,
            path: self.path.as_str().to_owned(),
            rows: self.rows.load(Ordering::Relaxed).max(found),
            found,
        }
    }
}

impl FieldValues {
    fn place(&mut self, field: ConfigurableField) -> &mut Option<String> {
        match field {
            ConfigurableField::PackageName => &mut self.package_name,
            ConfigurableField::PackageVersion => &mut self.package_version,
            ConfigurableField::DeviceName => &mut self.device_name,
        }
    }

    /// Returns the values with each text changed.
    #[must_use]
    pub fn map(self, change: impl Fn(&str) -> String) -> Self {
        let change = |text: Option<String>| text.map(|text| change(&text));
        Self {
            package_name: change(self.package_name),
            package_version: change(self.package_version),
            device_name: change(self.device_name),
        }
    }

    /// Fills the fields of a job that the vendor did not report itself.
    pub fn fill_job(self, job: &mut Job) {
        if self.package_name.is_none() && self.package_version.is_none() {
            return;
        }
        let package = job.package.get_or_insert_default();
        package.name = package.name.take().or(self.package_name);
        package.version = package.version.take().or(self.package_version);
    }

    /// Fills the fields of a task that the vendor did not report itself.
    pub fn fill_task(self, task: &mut Task) {
        let name = &mut task.device.name;
        *name = name.take().or(self.device_name.map(DeviceName::from));
    }
}

#[cfg(test)]
mod tests;
