//! What the API sends, apart from the model inside: this is what clients rely on.
//!
//! All enumerations are open. They are plain text in the document, with the words of today in the description, so that a new
//! word breaks no generated client.

pub mod job;
pub mod page;
pub mod provider;
pub mod task;

use serde::Serialize;
use serde_json::{Map, Value};
use time::OffsetDateTime;
use time::format_description::StaticFormatDescription;
use time::format_description::well_known::Rfc3339;
use time::macros::format_description;
use utoipa::ToSchema;

/// Writes a time as RFC 3339 in UTC; `None` for a year that RFC 3339 cannot write.
#[must_use]
pub fn timestamp(time: OffsetDateTime) -> Option<String> {
    time.to_offset(time::UtcOffset::UTC).format(&Rfc3339).ok()
}

/// Writes a time of the gateway's own with three digits behind the second: finer than any vendor call takes, and always of one length.
#[must_use]
pub fn own_timestamp(time: OffsetDateTime) -> Option<String> {
    const MILLIS: StaticFormatDescription =
        format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");
    time.to_offset(time::UtcOffset::UTC).format(MILLIS).ok()
}

/// The vendor's own words.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Vendor)]
pub struct VendorDetail {
    /// The vendor: `alibaba-iot`, `huawei-iot`.
    pub name: String,
    /// The vendor's own status word, letter for letter.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    /// Every field of the vendor's that has no field of ours, or that could not be understood, verbatim.
    #[serde(skip_serializing_if = "Map::is_empty")]
    #[schema(value_type = Option<std::collections::HashMap<String, Value>>)]
    pub fields: Map<String, Value>,
}

impl From<ota_core::vendor::VendorDetail> for VendorDetail {
    fn from(detail: ota_core::vendor::VendorDetail) -> Self {
        Self {
            name: detail.name.to_owned(),
            status: detail.status,
            fields: detail.fields,
        }
    }
}
