//! Reading a row field by field and keeping whatever found no home.

use ota_adapter::TimeFormat;
use ota_adapter::lenient::LenientScalar;
use ota_core::drift::DriftKind;
use serde_json::{Map, Value};
use time::OffsetDateTime;

use super::Source;

/// Collects the fields of one row that go to `vendor.fields`.
///
/// Each method returns what the field means to us. A value that cannot be understood is kept verbatim under the vendor's name
/// and told to the drift observer, so that nothing is lost and a silent change of the vendor is seen.
pub(super) struct Reading<'a> {
    source: Source<'a>,
    fields: Map<String, Value>,
}

impl<'a> Reading<'a> {
    /// Starts with the fields that no document of the vendor has.
    pub(super) fn new(source: Source<'a>, other: Map<String, Value>) -> Self {
        let mut reading = Self {
            source,
            fields: Map::new(),
        };
        for (name, value) in other {
            source
                .drift
                .observe(DriftKind::Field, source.operation, &name);
            reading.keep(&name, LenientScalar(value));
        }
        reading
    }

    /// Keeps a field that has no neutral home.
    pub(super) fn keep(&mut self, name: &str, leaf: LenientScalar) {
        if !leaf.is_absent() {
            self.fields.insert(name.to_owned(), leaf.verbatim());
        }
    }

    /// Reads free text.
    pub(super) fn text(&mut self, name: &str, leaf: LenientScalar) -> Option<String> {
        let text = leaf.text();
        self.known(name, leaf, text, DriftKind::Value)
    }

    /// Reads a word of an enumeration.
    pub(super) fn word<T>(
        &mut self,
        name: &str,
        leaf: LenientScalar,
        table: impl Fn(&str) -> Option<T>,
    ) -> Option<T> {
        let word = leaf.text().and_then(|text| table(text.trim()));
        self.known(name, leaf, word, DriftKind::Word)
    }

    /// Reads a time, `2019-12-28T02:43:10.000Z`.
    pub(super) fn time(&mut self, name: &str, leaf: LenientScalar) -> Option<OffsetDateTime> {
        let time = TimeFormat::Rfc3339.read(&leaf);
        self.known(name, leaf, time, DriftKind::Value)
    }

    /// Reads a count.
    pub(super) fn count(&mut self, name: &str, leaf: LenientScalar) -> Option<u64> {
        let count = leaf.count();
        self.known(name, leaf, count, DriftKind::Value)
    }

    /// Reads a number of minutes as seconds.
    pub(super) fn minutes(&mut self, name: &str, leaf: LenientScalar) -> Option<u64> {
        let seconds = leaf.count().and_then(|minutes| minutes.checked_mul(60));
        self.known(name, leaf, seconds, DriftKind::Value)
    }

    /// Reads a share of 0 to 100.
    pub(super) fn percent(&mut self, name: &str, leaf: LenientScalar) -> Option<f64> {
        let percent = leaf
            .number()
            .filter(|number| (0.0..=100.0).contains(number));
        self.known(name, leaf, percent, DriftKind::Value)
    }

    /// Reads a boolean.
    pub(super) fn flag(&mut self, name: &str, leaf: LenientScalar) -> Option<bool> {
        let flag = leaf.flag();
        self.known(name, leaf, flag, DriftKind::Value)
    }

    fn known<T>(
        &mut self,
        name: &str,
        leaf: LenientScalar,
        value: Option<T>,
        kind: DriftKind,
    ) -> Option<T> {
        if value.is_none() && !leaf.is_absent() {
            self.source.drift.observe(kind, self.source.operation, name);
            self.keep(name, leaf);
        }
        value
    }

    /// Notes a status word that is unknown; the word itself stands in `vendor.status`.
    pub(super) fn unknown_status(&self, name: &str) {
        self.observe(DriftKind::Word, name);
    }

    pub(super) fn observe(&self, kind: DriftKind, name: &str) {
        self.source.drift.observe(kind, self.source.operation, name);
    }

    pub(super) fn into_fields(self) -> Map<String, Value> {
        self.fields
    }
}
