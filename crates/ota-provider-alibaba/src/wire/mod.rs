//! The vendor's answers in their own form, JSON or XML. No logic except detecting which of the two it is.
//!
//! SDK models treat every field of an answer as optional, so absent, `null`, `""` and `[]` must all parse; scalars are lenient
//! because the two formats, and sometimes two editions of one page, disagree about their types.

mod undecodable;
pub mod xml;

use ota_adapter::{LenientList, LenientObject, LenientScalar};
use ota_http::json::{self, Odd};
use serde::Deserialize;
use serde_json::{Map, Value};

pub(crate) use undecodable::Undecodable;

/// An answer that was cut into its members.
#[derive(Debug)]
pub struct Decoded {
    /// The members of the answer.
    pub members: Map<String, Value>,
    /// The fields in which something was replaced or stays as text.
    pub odd: Odd,
}

/// Reads an answer in whichever of the two formats it comes.
///
/// # Errors
/// Returns what is wrong.
pub fn decode(body: &[u8]) -> Result<Decoded, Undecodable> {
    let start = json::without_mark(body);
    let document = match start.first() {
        Some(b'<') => xml::decode(start)?,
        _ => json::read(start)?,
    };
    match document.value {
        Value::Object(members) => Ok(Decoded {
            members,
            odd: document.odd,
        }),
        _ => Err("it is not an object".into()),
    }
}

/// What every answer has around its data, and both shapes of errors.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct Envelope {
    pub(crate) request_id: LenientScalar,
    pub(crate) success: LenientScalar,
    pub(crate) code: LenientScalar,
    pub(crate) message: LenientScalar,
    pub(crate) error_message: LenientScalar,
    pub(crate) total: LenientScalar,
    pub(crate) page_size: LenientScalar,
    #[serde(flatten)]
    pub(crate) other: Map<String, Value>,
}

/// Documented members around the data that are not used.
pub(crate) const ENVELOPE_REST: &[&str] = &["CurrentPage", "PageCount", "HostId", "Recommend"];

/// Documented fields of a package that a job does not need.
pub(crate) const FIRMWARE_REST: &[&str] = &[
    "FirmwareDesc",
    "ProductName",
    "ModuleName",
    "SrcVersion",
    "Type",
    "Status",
    "FirmwareSize",
    "SignMethod",
    "FirmwareSign",
    "FirmwareUrl",
    "UtcCreate",
    "UtcModified",
];

/// `Data` of `QueryOTAJob`, and a row of `ListOTAJobByFirmware` and `ListOTAJobByDevice`, which have fewer fields.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct OtaJob {
    pub(crate) job_id: LenientScalar,
    pub(crate) job_status: LenientScalar,
    pub(crate) job_type: LenientScalar,
    pub(crate) job_desc: LenientScalar,
    pub(crate) firmware_id: LenientScalar,
    pub(crate) name: LenientScalar,
    pub(crate) dest_version: LenientScalar,
    pub(crate) product_key: LenientScalar,
    pub(crate) src_versions: LenientObject<SrcVersions>,
    pub(crate) selection_type: LenientScalar,
    pub(crate) target_selection: LenientScalar,
    pub(crate) gray_percent: LenientScalar,
    pub(crate) group_id: LenientScalar,
    pub(crate) group_name: LenientScalar,
    pub(crate) retry_count: LenientScalar,
    pub(crate) retry_interval: LenientScalar,
    pub(crate) timeout_in_minutes: LenientScalar,
    pub(crate) maximum_per_minute: LenientScalar,
    pub(crate) need_confirm: LenientScalar,
    pub(crate) need_push: LenientScalar,
    pub(crate) overwrite_mode: LenientScalar,
    pub(crate) download_protocol: LenientScalar,
    pub(crate) dynamic_mode: LenientScalar,
    pub(crate) multi_module_mode: LenientScalar,
    pub(crate) tags: LenientObject<Tags>,
    pub(crate) utc_create: LenientScalar,
    pub(crate) utc_modified: LenientScalar,
    pub(crate) utc_start_time: LenientScalar,
    pub(crate) utc_end_time: LenientScalar,
    pub(crate) utc_schedule_time: LenientScalar,
    pub(crate) utc_schedule_finish_time: LenientScalar,
    #[serde(flatten)]
    pub(crate) other: Map<String, Value>,
}

/// The wrapper around source versions.
#[derive(Debug, Deserialize)]
pub(crate) struct SrcVersions {
    #[serde(rename = "SrcVersion")]
    pub(crate) list: LenientList<LenientScalar>,
}

/// The wrapper around tags.
#[derive(Debug, Deserialize)]
pub(crate) struct Tags {
    #[serde(rename = "OtaTagDTO")]
    pub(crate) list: LenientList<Tag>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct Tag {
    pub(crate) key: LenientScalar,
    pub(crate) value: LenientScalar,
}

/// A row of `ListOTATaskByJob`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct OtaTask {
    pub(crate) task_id: LenientScalar,
    pub(crate) job_id: LenientScalar,
    pub(crate) firmware_id: LenientScalar,
    pub(crate) product_key: LenientScalar,
    pub(crate) product_name: LenientScalar,
    pub(crate) device_name: LenientScalar,
    pub(crate) iot_id: LenientScalar,
    pub(crate) src_version: LenientScalar,
    pub(crate) dest_version: LenientScalar,
    pub(crate) task_status: LenientScalar,
    pub(crate) progress: LenientScalar,
    pub(crate) task_desc: LenientScalar,
    pub(crate) timeout: LenientScalar,
    pub(crate) utc_create: LenientScalar,
    pub(crate) utc_modified: LenientScalar,
    #[serde(flatten)]
    pub(crate) other: Map<String, Value>,
}

/// A row of `ListOTAFirmware`, as far as a job's package needs it.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct Firmware {
    pub(crate) firmware_id: LenientScalar,
    pub(crate) firmware_name: LenientScalar,
    pub(crate) dest_version: LenientScalar,
    pub(crate) product_key: LenientScalar,
    #[serde(flatten)]
    pub(crate) other: Map<String, Value>,
}
