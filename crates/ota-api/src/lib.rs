#![doc = include_str!("../README.md")]

pub mod cursor;
pub mod fleet;
pub mod fleet_parameters;
pub mod job;
pub mod page;
pub mod parameters;
pub mod problem;
pub mod provider;
pub mod query;
pub mod responses;
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

/// Writes a time of the gateway's own clock with milliseconds: precise enough for a vendor call, and always of the same length.
#[must_use]
pub fn own_timestamp(time: OffsetDateTime) -> Option<String> {
    const MILLIS: StaticFormatDescription =
        format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");
    time.to_offset(time::UtcOffset::UTC).format(MILLIS).ok()
}

/// The vendor's own values.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Vendor)]
pub struct VendorDetail {
    /// The vendor: [`ota_core::adapter::Descriptor`].
    pub name: String,
    /// The vendor's own status value, verbatim.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    /// Every vendor field that has no neutral field, or whose value could not be read, verbatim.
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
