//! Makes rows from the list of a response; each keeps its position.

use ota_core::Result;
use ota_core::drift::DriftKind;
use ota_http::json::Budget;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::configured::NeutralRow;
use crate::error::too_many_rows;
use crate::fields::Source;

/// Takes the rows out of the value in the place of a list: an array, one bare row for which `is_row` holds, or nothing.
///
/// Returns `None` for anything else: taken for an empty list, it would hide rows.
#[must_use]
pub fn rows_of(
    value: Value,
    is_row: impl FnOnce(&Map<String, Value>) -> bool,
) -> Option<Vec<Value>> {
    match value {
        nothing if is_nothing(&nothing) => Some(Vec::new()),
        Value::Array(rows) => Some(rows),
        Value::Object(row) if is_row(&row) => Some(vec![Value::Object(row)]),
        _ => None,
    }
}

/// Returns whether a value stands for a list without rows, which vendors write in several forms: null, blank text, an empty list or object.
#[must_use]
pub fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.trim().is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(members) => members.is_empty(),
        Value::Bool(_) | Value::Number(_) => false,
    }
}

/// Maps the rows of a list, and fills the fields whose place is configured. An element that is not a row is reported under the vendor's name of the list, and is `None`: the vendor counts it, so the rows
/// behind it keep their positions.
///
/// # Errors
/// `protocol` for more rows than are read of one answer.
pub fn mapped<W: DeserializeOwned, T: NeutralRow>(
    source: Source<'_>,
    field: &str,
    rows: Vec<Value>,
    map: impl Fn(W) -> T,
) -> Result<Vec<Option<T>>> {
    // They are counted before anything is made of them: wire types take several times the memory.
    if rows.len() > Budget::MAX_ROWS {
        return Err(too_many_rows().with_operation(source.operation));
    }
    let row = |row: Value| {
        let values = source.configured::<T>(&row);
        let wire = match &row {
            Value::Object(members) if !members.is_empty() => serde_json::from_value(row).ok(),
            _ => None,
        };
        if wire.is_none() {
            source.report(DriftKind::Value, field);
        }
        wire.map(|wire| {
            let mut row = map(wire);
            row.fill(values);
            row
        })
    };
    Ok(rows.into_iter().map(row).collect())
}

#[cfg(test)]
mod tests {
    use ota_core::configured_fields::{
        ConfigurableField, ConfiguredFields, FieldPath, FieldValues, RowKind,
    };
    use ota_core::drift::DriftCounter;
    use ota_core::id::ProviderName;
    use ota_http::json::Budget;
    use serde::Deserialize;
    use serde_json::{Value, json};

    use super::{mapped, rows_of};
    use crate::configured::NeutralRow;
    use crate::fields::Source;
    use crate::lenient::{LenientObject, LenientScalar};

    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Row {
        id: LenientScalar,
        detail: LenientObject<Detail>,
    }

    #[derive(Deserialize)]
    struct Detail {}

    impl NeutralRow for String {}

    fn ids(rows: Vec<Value>) -> ota_core::Result<(Vec<Option<String>>, u64)> {
        let (drift, provider) = (DriftCounter::default(), ProviderName::parse("p").unwrap());
        let source = Source {
            vendor: "acme",
            provider: &provider,
            operation: "List",
            drift: &drift,
            fields: &ConfiguredFields::default(),
        };
        let rows = mapped(source, "items", rows, |row: Row| {
            let object = matches!(row.detail, LenientObject::Object(Detail {}));
            format!("{}{object}", row.id.identifier().unwrap_or_default())
        })?;
        Ok((rows, drift.snapshot().into_values().sum()))
    }

    #[test]
    fn what_is_no_row_keeps_its_place_and_is_reported() {
        let rows = json!([{"id": "a"}, null, 5, {}, [], {"id": 6, "detail": {}}]);
        let (rows, reported) = ids(rows_of(rows, |_| true).unwrap()).unwrap();
        let (a, b) = (Some("afalse".to_owned()), Some("6true".to_owned()));
        assert_eq!(rows, [a, None, None, None, None, b]);
        assert_eq!(reported, 4);
    }

    #[test]
    fn a_null_object_costs_no_row() {
        for detail in [json!(null), json!(""), json!([]), json!("x"), json!(7)] {
            let (rows, _) = ids(vec![json!({"id": "a", "detail": detail})]).unwrap();
            assert_eq!(rows, [Some("afalse".to_owned())]);
        }
    }

    #[test]
    fn a_list_is_an_array_a_bare_row_or_nothing() {
        let count = |value| rows_of(value, |row| row.contains_key("id")).map(|rows| rows.len());
        for nothing in [json!(null), json!(" "), json!([]), json!({})] {
            assert_eq!(count(nothing), Some(0));
        }
        assert_eq!(count(json!([1, 2])), Some(2));
        assert_eq!(count(json!({"id": 1})), Some(1));
        for other in [json!({"rows": [1]}), json!("x"), json!(1), json!(false)] {
            assert_eq!(count(other), None);
        }
    }

    /// A row that shows what it was filled with.
    struct Filled(Option<String>);

    impl NeutralRow for Filled {
        const KIND: Option<RowKind> = Some(RowKind::Task);

        fn fill(&mut self, values: FieldValues) {
            self.0 = values.device_name;
        }
    }

    #[test]
    fn rows_are_filled_from_what_the_vendor_sent() {
        let (drift, provider) = (DriftCounter::default(), ProviderName::parse("p").unwrap());
        let path = FieldPath::parse("detail.name").unwrap();
        let source = Source {
            vendor: "acme",
            provider: &provider,
            operation: "List",
            drift: &drift,
            fields: &ConfiguredFields::new([(ConfigurableField::DeviceName, path)]),
        };
        let rows = json!([
            {"id": "a", "detail": {"name": "device-1"}},
            {"id": "b", "detail": "{\"name\": \"https://u:p@h/x?s=1\"}"},
            {"id": "c", "detail": {"name": true}},
            "none",
        ]);
        let rows = rows_of(rows, |_| true).unwrap();
        let rows = mapped(source, "items", rows, |_: Row| Filled(None)).unwrap();
        let names: Vec<_> = rows
            .into_iter()
            .map(|row| row.and_then(|row| row.0))
            .collect();
        let name = |text: &str| Some(text.to_owned());
        assert_eq!(names, [name("device-1"), name("https://h/x"), None, None]);
    }

    #[test]
    fn rows_are_counted_before_they_are_mapped() {
        assert!(ids(vec![json!({"id": 1}); Budget::MAX_ROWS]).is_ok());
        let error = ids(vec![json!({"id": 1}); Budget::MAX_ROWS + 1]).unwrap_err();
        assert_eq!(error.kind(), ota_core::ErrorKind::Protocol);
    }
}
