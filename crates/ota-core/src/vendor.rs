//! The part of a row that keeps the vendor's own values.

use serde_json::{Map, Value};

/// A text that is not a value of the enumeration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownValue;

impl std::fmt::Display for UnknownValue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("not one of the known values")
    }
}

impl std::error::Error for UnknownValue {}

/// The part of an answer that keeps the vendor's own values.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct VendorDetail {
    /// The vendor as configuration names it, for instance `acme-iot`.
    pub name: &'static str,
    /// The vendor's own status value, verbatim; absent if the vendor sent none.
    pub status: Option<String>,
    /// Every field that has no neutral counterpart, or whose value could not be understood, verbatim.
    pub fields: Map<String, Value>,
}
