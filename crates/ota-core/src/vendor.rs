//! What stays in the vendor's own words.

use serde_json::{Map, Value};

/// A text that is none of the words of an enumeration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotAWord;

impl std::fmt::Display for NotAWord {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("not one of the known words")
    }
}

impl std::error::Error for NotAWord {}

/// The part of an answer that keeps the vendor's own words.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct VendorDetail {
    /// The vendor as configuration names it, for instance `acme-iot`.
    pub name: &'static str,
    /// The vendor's own status value, verbatim; absent if the vendor sent none.
    pub status: Option<String>,
    /// Every field that has no neutral home, or whose value could not be understood, verbatim.
    pub fields: Map<String, Value>,
}
