//! What stays in the vendor's own words.

use ::time::OffsetDateTime;
use ota_core::drift::DriftKind;
use ota_core::vendor::VendorDetail;
use ota_http::lenient::Leaf;
use ota_http::redact;
use serde_json::{Map, Value};

use super::{Met, time};
use crate::config::VENDOR;

/// Collects the fields of one row that have no neutral home or whose value could not be mapped.
///
/// What the vendor left out (null, empty text, list or object) is not collected. `group` is the nested object that a field
/// stands in.
#[derive(Default)]
pub(crate) struct Rest {
    fields: Map<String, Value>,
    met: Vec<Met>,
}

impl Rest {
    /// Keeps a field that has no neutral home.
    pub(crate) fn keep(&mut self, group: Option<&'static str>, name: &str, leaf: Leaf) {
        if leaf.is_absent() {
            return;
        }
        let fields = match group {
            None => &mut self.fields,
            Some(group) => {
                let entry = self
                    .fields
                    .entry(group)
                    .or_insert_with(|| Value::Object(Map::new()));
                let Value::Object(fields) = entry else { return };
                fields
            }
        };
        fields.insert(redact::urls(name), leaf.verbatim());
    }

    /// Keeps a field whose value could not be mapped, and notes it.
    pub(crate) fn unmapped(
        &mut self,
        kind: DriftKind,
        group: Option<&'static str>,
        name: &str,
        leaf: Leaf,
    ) {
        if leaf.is_absent() {
            return;
        }
        self.note(kind, group, name);
        self.keep(group, name, leaf);
    }

    /// Keeps fields that are not in the vendor's documents, and notes them.
    pub(crate) fn unknown(&mut self, group: Option<&'static str>, fields: Map<String, Value>) {
        for (name, value) in fields {
            self.note(DriftKind::Field, group, &redact::urls(&name));
            self.keep(group, &name, Leaf(value));
        }
    }

    /// Reads a time; what is not one is kept.
    pub(crate) fn time(
        &mut self,
        group: Option<&'static str>,
        name: &str,
        leaf: Leaf,
    ) -> Option<OffsetDateTime> {
        let read = leaf.time(time::parse);
        if read.is_none() {
            self.unmapped(DriftKind::Value, group, name, leaf);
        }
        read
    }

    /// Reads a text; what is not one is kept.
    pub(crate) fn text(
        &mut self,
        group: Option<&'static str>,
        name: &str,
        leaf: Leaf,
    ) -> Option<String> {
        let read = leaf.text();
        if read.is_none() {
            self.unmapped(DriftKind::Value, group, name, leaf);
        }
        read
    }

    /// Reads an identifier; what is not one is kept.
    pub(crate) fn identifier(&mut self, name: &str, leaf: Leaf) -> Option<String> {
        let read = super::identifier(&leaf);
        if read.is_none() {
            self.unmapped(DriftKind::Value, None, name, leaf);
        }
        read
    }

    /// Reads a count; what is not one is kept.
    pub(crate) fn count(
        &mut self,
        group: Option<&'static str>,
        name: &str,
        leaf: Leaf,
    ) -> Option<u64> {
        let read = leaf.count();
        if read.is_none() {
            self.unmapped(DriftKind::Value, group, name, leaf);
        }
        read
    }

    /// Returns the vendor's part of the row, and what was met.
    pub(crate) fn finish(self, status: Option<String>) -> (VendorDetail, Vec<Met>) {
        let detail = VendorDetail {
            name: VENDOR,
            status,
            fields: self.fields,
        };
        (detail, self.met)
    }

    /// Notes something that is not in the vendor's documents.
    pub(crate) fn note(&mut self, kind: DriftKind, group: Option<&'static str>, name: &str) {
        let field = match group {
            None => name.to_owned(),
            Some(group) => format!("{group}.{name}"),
        };
        self.met.push(Met { kind, field });
    }
}
