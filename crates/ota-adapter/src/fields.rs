//! Reading one row of a vendor field by field, so that nothing of it is lost.

use ota_core::Error;
use ota_core::configured_fields::{ConfiguredFields, FieldValues};
use ota_core::drift::{DriftKind, DriftObserver};
use ota_core::id::ProviderName;
use ota_core::vendor::VendorDetail;
use ota_http::redact;
use serde_json::{Map, Value};
use time::OffsetDateTime;

use crate::configured::NeutralRow;
use crate::error::wrong_shape;
use crate::lenient::{LenientList, LenientObject, LenientScalar};
use crate::timestamp::TimeFormat;

/// Where a row comes from: the names for its neutral form, and the observer of undocumented values.
#[derive(Clone, Copy, Debug)]
pub struct Source<'a> {
    /// The vendor as configuration names it.
    pub vendor: &'static str,
    /// The provider.
    pub provider: &'a ProviderName,
    /// The vendor's operation that was called.
    pub operation: &'static str,
    /// Receives unknown values and fields.
    pub drift: &'a dyn DriftObserver,
    /// The fields whose place the operator has configured.
    pub fields: &'a ConfiguredFields,
}

impl<'a> Source<'a> {
    /// Reports something that is not in the vendor's documents. `field` is the vendor's name of it.
    pub fn report(&self, kind: DriftKind, field: &str) {
        self.drift
            .observe(kind, self.operation, &redact::urls(field));
    }

    /// Returns the error for a readable answer that is not the one of the operation: `missing` is the vendor's name of what it should hold.
    #[must_use]
    pub fn wrong_shape(self, missing: &'static str) -> Error {
        wrong_shape(missing).with_operation(self.operation)
    }

    /// Returns what the document of a row holds at the configured places, to fill the row with once it is mapped. [`crate::rows::mapped`] does both; this is for
    /// a document that is no row of a list. URLs lose user info and query.
    #[must_use]
    pub fn configured<T: NeutralRow>(&self, document: &Value) -> FieldValues {
        match T::KIND {
            Some(kind) if !self.fields.is_empty() => {
                self.fields.read(kind, document).map(redact::urls)
            }
            Some(_) | None => FieldValues::default(),
        }
    }

    /// Begins to read a row.
    #[must_use]
    pub fn row(self) -> FieldReader<'a> {
        FieldReader {
            source: self,
            object: None,
            status: None,
            fields: Map::new(),
        }
    }
}

/// Reads the fields of one row and collects what goes to `vendor.fields`.
///
/// Each method reads one field, by the vendor's name of it. A value that cannot be read is preserved verbatim under that name
/// and reported as drift, so that nothing is lost and a change at the vendor is noticed. What the vendor left out (absent, null, empty text, list or
/// object) is neither preserved nor reported.
#[derive(Debug)]
pub struct FieldReader<'a> {
    source: Source<'a>,
    /// The nested object that is being read.
    object: Option<&'static str>,
    status: Option<String>,
    fields: Map<String, Value>,
}

impl<'a> FieldReader<'a> {
    /// Returns where the row came from.
    #[must_use]
    pub fn source(&self) -> Source<'a> {
        self.source
    }

    /// Reads free text; URLs lose user info and query.
    pub fn text(&mut self, name: &str, scalar: LenientScalar) -> Option<String> {
        let text = scalar.text();
        self.known(DriftKind::Value, name, scalar, text)
    }

    /// Reads an identifier verbatim: it goes back to the vendor, so nothing may be taken from it.
    pub fn identifier(&mut self, name: &str, scalar: LenientScalar) -> Option<String> {
        let identifier = scalar.identifier();
        self.known(DriftKind::Value, name, scalar, identifier)
    }

    /// Reads a value of an enumeration. `table` is given it without blanks around it.
    pub fn value<T>(
        &mut self,
        name: &str,
        scalar: LenientScalar,
        table: impl Fn(&str) -> Option<T>,
    ) -> Option<T> {
        let value = scalar.text().and_then(|text| table(text.trim()));
        self.known(DriftKind::Word, name, scalar, value)
    }

    /// Reads the status. It is in `vendor.status` as the vendor wrote it, whether `table` knows it or not.
    pub fn status<T>(
        &mut self,
        name: &str,
        scalar: LenientScalar,
        table: impl Fn(&str) -> Option<T>,
    ) -> Option<T> {
        self.status = self.text(name, scalar);
        let text = self.status.as_deref()?;
        let known = table(text.trim());
        if known.is_none() {
            self.report(DriftKind::Word, name);
        }
        known
    }

    /// Reads a time.
    pub fn time(
        &mut self,
        name: &str,
        scalar: LenientScalar,
        format: TimeFormat,
    ) -> Option<OffsetDateTime> {
        let time = format.read(&scalar);
        self.known(DriftKind::Value, name, scalar, time)
    }

    /// Reads a count.
    pub fn count(&mut self, name: &str, scalar: LenientScalar) -> Option<u64> {
        let count = scalar.count();
        self.known(DriftKind::Value, name, scalar, count)
    }

    /// Reads a number of minutes as seconds.
    pub fn minutes(&mut self, name: &str, scalar: LenientScalar) -> Option<u64> {
        let seconds = scalar.count().and_then(|minutes| minutes.checked_mul(60));
        self.known(DriftKind::Value, name, scalar, seconds)
    }

    /// Reads a share of 0 to 100.
    pub fn percent(&mut self, name: &str, scalar: LenientScalar) -> Option<f64> {
        let percent = scalar
            .number()
            .filter(|number| (0.0..=100.0).contains(number));
        self.known(DriftKind::Value, name, scalar, percent)
    }

    /// Reads a boolean.
    pub fn flag(&mut self, name: &str, scalar: LenientScalar) -> Option<bool> {
        let flag = scalar.flag();
        self.known(DriftKind::Value, name, scalar, flag)
    }

    /// Reads a list of values, each with `read`; other elements are preserved together.
    pub fn values<T>(
        &mut self,
        name: &str,
        list: LenientList<LenientScalar>,
        read: impl Fn(&LenientScalar) -> Option<T>,
    ) -> Vec<T> {
        let mut values = Vec::with_capacity(list.0.len());
        let mut others = Vec::new();
        for scalar in list.0 {
            match read(&scalar) {
                Some(value) => values.push(value),
                None if scalar.is_absent() => {}
                None => others.push(scalar.0),
            }
        }
        self.unmapped(DriftKind::Value, name, LenientScalar(others.into()));
        values
    }

    /// Reads a nested object with `read`, in which names are those of the object's fields. Any other value in its place is preserved verbatim.
    pub fn object<W, T>(
        &mut self,
        name: &'static str,
        object: LenientObject<W>,
        read: impl FnOnce(&mut Self, W) -> T,
    ) -> Option<T> {
        match object {
            LenientObject::Object(object) => {
                let outer = self.object.replace(name);
                let value = read(self, object);
                self.object = outer;
                Some(value)
            }
            LenientObject::Other(value) => {
                self.unmapped(DriftKind::Value, name, LenientScalar(value));
                None
            }
        }
    }

    /// Keeps a field that has no neutral counterpart.
    pub fn keep(&mut self, name: &str, scalar: LenientScalar) {
        if scalar.is_absent() {
            return;
        }
        let fields = match self.object {
            None => &mut self.fields,
            Some(object) => {
                let entry = self.fields.entry(object);
                let Value::Object(fields) = entry.or_insert_with(|| Map::new().into()) else {
                    return;
                };
                fields
            }
        };
        fields.insert(redact::urls(name), scalar.verbatim());
    }

    /// Keeps a field whose value could not be mapped, and reports it.
    pub fn unmapped(&mut self, kind: DriftKind, name: &str, scalar: LenientScalar) {
        if !scalar.is_absent() {
            self.report(kind, name);
            self.keep(name, scalar);
        }
    }

    /// Keeps the fields that the vendor's documents do not have, and reports them.
    pub fn unknown(&mut self, fields: Map<String, Value>) {
        for (name, value) in fields {
            self.report(DriftKind::Field, &name);
            self.keep(&name, LenientScalar(value));
        }
    }

    /// Reports something that is not in the vendor's documents, with a dot before the field of a nested object.
    pub fn report(&self, kind: DriftKind, name: &str) {
        match self.object {
            None => self.source.report(kind, name),
            Some(object) => self.source.report(kind, &format!("{object}.{name}")),
        }
    }

    /// Returns the vendor's part of the row.
    #[must_use]
    pub fn finish(self) -> VendorDetail {
        VendorDetail {
            name: self.source.vendor,
            status: self.status,
            fields: self.fields,
        }
    }

    fn known<T>(
        &mut self,
        kind: DriftKind,
        name: &str,
        scalar: LenientScalar,
        value: Option<T>,
    ) -> Option<T> {
        if value.is_none() {
            self.unmapped(kind, name, scalar);
        }
        value
    }
}

#[cfg(test)]
mod tests {
    use ota_core::configured_fields::ConfiguredFields;
    use ota_core::drift::{DriftCounter, DriftKind};
    use ota_core::id::ProviderName;
    use serde::Deserialize;
    use serde_json::{Map, Value, json};

    use super::{FieldReader, Source};
    use crate::lenient::{LenientList, LenientObject, LenientScalar};
    use crate::timestamp::TimeFormat;

    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Policy {
        retries: LenientScalar,
        groups: LenientList<LenientScalar>,
        #[serde(flatten)]
        other: Map<String, Value>,
    }

    /// Reads with `read`, and returns its value, the preserved fields and what was reported.
    fn read<T>(read: impl FnOnce(&mut FieldReader<'_>) -> T) -> (T, Value, Vec<String>) {
        let (drift, provider) = (DriftCounter::default(), ProviderName::parse("p").unwrap());
        let source = Source {
            vendor: "acme",
            provider: &provider,
            operation: "List",
            drift: &drift,
            fields: &ConfiguredFields::default(),
        };
        let mut row = source.row();
        let value = read(&mut row);
        let detail = row.finish();
        assert_eq!(detail.name, "acme");
        let reported = drift.snapshot().into_keys();
        let reported = reported.map(|(kind, _, field)| format!("{} {field}", kind.as_str()));
        (value, detail.fields.into(), reported.collect())
    }

    fn scalar(value: Value) -> LenientScalar {
        LenientScalar(value)
    }

    #[test]
    fn a_value_that_is_understood_is_neither_kept_nor_reported() {
        let (values, fields, reported) = read(|row| {
            let time = row.time("at", scalar(json!(0)), TimeFormat::EpochSeconds);
            (
                row.text("a", scalar(json!("x"))),
                row.count("b", scalar(json!("5"))),
                row.minutes("c", scalar(json!(2))),
                row.flag("d", scalar(json!("TRUE"))),
                row.percent("e", scalar(json!(33.5))),
                time.is_some(),
            )
        });
        let expected = (
            Some("x".to_owned()),
            Some(5),
            Some(120),
            Some(true),
            Some(33.5),
            true,
        );
        assert_eq!(values, expected);
        assert_eq!((fields, reported), (json!({}), vec![]));
    }

    #[test]
    fn a_value_that_is_not_understood_is_kept_and_reported() {
        let ((), fields, reported) = read(|row| {
            assert_eq!(row.count("count", scalar(json!("many"))), None);
            assert_eq!(row.percent("share", scalar(json!(101))), None);
            assert_eq!(row.text("text", scalar(json!({"a": 1}))), None);
            assert_eq!(row.identifier("id", scalar(json!(true))), None);
            assert_eq!(
                row.value("kind", scalar(json!(" odd ")), |_| None::<()>),
                None
            );
            assert_eq!(row.minutes("minutes", scalar(json!(u64::MAX))), None);
            row.unknown(Map::from_iter([(
                "new".to_owned(),
                json!("https://u:p@h/x?s=1"),
            )]));
        });
        let kept = json!({
            "count": "many", "share": 101, "text": {"a": 1}, "id": true, "kind": " odd ", "minutes": u64::MAX,
            "new": "https://h/x",
        });
        assert_eq!(fields, kept);
        let expected = [
            "word kind",
            "field new",
            "value count",
            "value id",
            "value minutes",
            "value share",
            "value text",
        ];
        assert_eq!(reported, expected);
    }

    #[test]
    fn what_was_left_out_is_neither_kept_nor_reported() {
        for value in [json!(null), json!(""), json!([]), json!({})] {
            let ((), fields, reported) = read(|row| {
                assert_eq!(row.text("a", scalar(value.clone())), None);
                assert_eq!(row.status("b", scalar(value.clone()), |_| Some(())), None);
                assert_eq!(
                    row.object::<Policy, _>("c", LenientObject::Other(value.clone()), |_, _| ()),
                    None
                );
                row.keep("d", scalar(value));
            });
            assert_eq!((fields, reported), (json!({}), vec![]));
        }
    }

    #[test]
    fn a_status_stands_verbatim_whether_it_is_known_or_not() {
        let provider = ProviderName::parse("p").unwrap();
        for (status, known) in [(" Done ", true), ("odd", false)] {
            let drift = DriftCounter::default();
            let source = Source {
                vendor: "acme",
                provider: &provider,
                operation: "List",
                drift: &drift,
                fields: &ConfiguredFields::default(),
            };
            let mut row = source.row();
            let read = row.status("status", scalar(json!(status)), |text| {
                (text == "Done").then_some(())
            });
            assert_eq!(read.is_some(), known);
            assert_eq!(row.finish().status.as_deref(), Some(status));
            let key = (DriftKind::Word, "List", "status".to_owned());
            assert_eq!(drift.snapshot().contains_key(&key), !known);
        }
    }

    #[test]
    fn fields_of_a_nested_object_are_kept_in_it() {
        let object = json!({"retries": "often", "groups": ["a", 1, {"b": 2}, null], "new": 5});
        let (groups, fields, reported) = read(|row| {
            let object = serde_json::from_value(object).unwrap();
            let groups = row.object("policy", object, |row, policy: Policy| {
                row.count("retries", policy.retries);
                row.unknown(policy.other);
                row.values("groups", policy.groups, LenientScalar::text)
            });
            row.keep("beside", scalar(json!(1)));
            groups
        });
        assert_eq!(groups.unwrap(), ["a", "1"]);
        let kept =
            json!({"policy": {"retries": "often", "groups": [{"b": 2}], "new": 5}, "beside": 1});
        assert_eq!(fields, kept);
        assert_eq!(
            reported,
            [
                "field policy.new",
                "value policy.groups",
                "value policy.retries"
            ]
        );
    }

    #[test]
    fn what_stands_in_the_place_of_an_object_is_kept() {
        let other = serde_json::from_value(json!("none")).unwrap();
        let (read, fields, reported) = read(|row| row.object("policy", other, |_, _: Policy| ()));
        assert_eq!(read, None);
        assert_eq!(fields, json!({"policy": "none"}));
        assert_eq!(reported, ["value policy"]);
    }
}
