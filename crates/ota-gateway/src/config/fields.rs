//! `[providers.NAME.fields]`

use std::fmt::Write as _;

use ota_core::adapter::Descriptor;
use ota_core::configured_fields::{ConfigurableField, ConfiguredFields, FieldPath};
use toml::Value;

use super::error::ConfigError;
use super::mistakes::{Mistakes, unknown};
use super::section::{Section, given};

/// Writes the section of a provider, named `name`, with every field that its vendor does not report on its own; nothing where it reports all.
pub(super) fn example(name: &str, vendor: &Descriptor) -> String {
    let mut fields = vendor.configurable_fields().peekable();
    if fields.peek().is_none() {
        return String::new();
    }
    let mut text = format!(
        "\n# Where the vendor's rows hold what its documents do not fix: names with dots between them, as `vendor.fields` of a row shows them.\n[providers.{name}.fields]\n"
    );
    for field in fields {
        let mut known = vendor.example_fields.iter();
        let line = match known.find(|(known, _)| *known == field) {
            Some((_, path)) => format!("{field} = \"{path}\""),
            None => format!("# {field} = \"...\""),
        };
        let of = match field {
            ConfigurableField::PackageName | ConfigurableField::PackageVersion => "a job",
            ConfigurableField::DeviceName => "a task",
        };
        let _infallible = writeln!(text, "{line:<45}# no default; `{}` of {of}", field.field());
    }
    text
}

/// Reads the section of a provider of this vendor.
///
/// # Errors
/// Names every key that is unknown, that the vendor reports on its own, or whose path cannot be read.
pub fn configured_fields(
    section: Option<Section>,
    vendor: &Descriptor,
) -> Result<ConfiguredFields, ConfigError> {
    let Some(section) = section else {
        return Ok(ConfiguredFields::default());
    };
    let accepted: Vec<ConfigurableField> = vendor.configurable_fields().collect();
    let mut mistakes = Mistakes::default();
    let mut paths = Vec::new();
    for (key, value) in &section.table {
        match field(key, value, &accepted, vendor) {
            Ok(path) => paths.push(path),
            Err(message) => mistakes.push(section.error(key, message)),
        }
    }
    mistakes.finish(|| Some(ConfiguredFields::new(paths)))
}

fn field(
    key: &str,
    value: &Value,
    accepted: &[ConfigurableField],
    vendor: &Descriptor,
) -> Result<(ConfigurableField, FieldPath), String> {
    let Ok(field) = key.parse::<ConfigurableField>() else {
        let known = match accepted {
            [] => ConfigurableField::ALL,
            accepted => accepted,
        };
        let known: Vec<&str> = known.iter().map(|field| field.as_str()).collect();
        return Err(unknown(key, &known));
    };
    if !accepted.contains(&field) {
        return Err(format!(
            "is not needed: `{}` reports `{}` on its own; take the key out",
            vendor.name,
            field.field()
        ));
    }
    match value {
        Value::String(path) => Ok((field, FieldPath::parse(path)?)),
        other => Err(format!(
            "is a path, written as a text, not {}",
            given(other.type_str())
        )),
    }
}
