//! The vendor's answers as they come, in JSON or XML. No logic beyond telling the two apart.
//!
//! SDK models treat every field of an answer as optional, so absent, `null`, `""` and `[]` must all parse; scalars are leaves
//! because the two formats, and sometimes two editions of one page, disagree about their types.

pub mod xml;

use ota_http::json::{self, Odd, Unreadable};
use ota_http::lenient::{Leaf, Rows};
use serde::Deserialize;
use serde_json::{Map, Value};

/// An answer that was cut into its members.
#[derive(Debug)]
pub struct Decoded {
    /// The members of the answer.
    pub members: Map<String, Value>,
    /// The fields in which something was replaced or stays as text.
    pub odd: Odd,
}

/// Why an answer cannot be read; the text holds nothing of it.
#[derive(Debug, PartialEq, Eq)]
pub enum Undecodable {
    /// It is no whole document of its format.
    Malformed(String),
    /// It holds more than is read of one answer.
    TooMuch,
}

impl From<String> for Undecodable {
    fn from(reason: String) -> Self {
        Self::Malformed(reason)
    }
}

impl From<&str> for Undecodable {
    fn from(reason: &str) -> Self {
        Self::Malformed(reason.to_owned())
    }
}

impl From<Unreadable> for Undecodable {
    fn from(error: Unreadable) -> Self {
        match error {
            Unreadable::TooMuch => Self::TooMuch,
            Unreadable::Empty => Self::Malformed(error.to_string()),
            Unreadable::Syntax { .. } | Unreadable::Cut => {
                Self::Malformed(format!("it is not JSON: {error}"))
            }
        }
    }
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

/// What every answer has around its data; both error shapes included.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct Envelope {
    pub(crate) request_id: Leaf,
    pub(crate) success: Leaf,
    pub(crate) code: Leaf,
    pub(crate) message: Leaf,
    pub(crate) error_message: Leaf,
    pub(crate) total: Leaf,
    pub(crate) page_size: Leaf,
    #[serde(flatten)]
    pub(crate) other: Map<String, Value>,
}

/// Documented members around the data that mean nothing to us.
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
    pub(crate) job_id: Leaf,
    pub(crate) job_status: Leaf,
    pub(crate) job_type: Leaf,
    pub(crate) job_desc: Leaf,
    pub(crate) firmware_id: Leaf,
    pub(crate) name: Leaf,
    pub(crate) dest_version: Leaf,
    pub(crate) product_key: Leaf,
    pub(crate) src_versions: SrcVersions,
    pub(crate) selection_type: Leaf,
    pub(crate) target_selection: Leaf,
    pub(crate) gray_percent: Leaf,
    pub(crate) group_id: Leaf,
    pub(crate) group_name: Leaf,
    pub(crate) retry_count: Leaf,
    pub(crate) retry_interval: Leaf,
    pub(crate) timeout_in_minutes: Leaf,
    pub(crate) maximum_per_minute: Leaf,
    pub(crate) need_confirm: Leaf,
    pub(crate) need_push: Leaf,
    pub(crate) overwrite_mode: Leaf,
    pub(crate) download_protocol: Leaf,
    pub(crate) dynamic_mode: Leaf,
    pub(crate) multi_module_mode: Leaf,
    pub(crate) tags: Tags,
    pub(crate) utc_create: Leaf,
    pub(crate) utc_modified: Leaf,
    pub(crate) utc_start_time: Leaf,
    pub(crate) utc_end_time: Leaf,
    pub(crate) utc_schedule_time: Leaf,
    pub(crate) utc_schedule_finish_time: Leaf,
    #[serde(flatten)]
    pub(crate) other: Map<String, Value>,
}

/// The wrapper around source versions. Any other shape is kept as it came.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(crate) enum SrcVersions {
    Wrapped {
        #[serde(rename = "SrcVersion")]
        list: Rows<Leaf>,
    },
    Other(Leaf),
}

impl Default for SrcVersions {
    fn default() -> Self {
        Self::Other(Leaf::default())
    }
}

/// The wrapper around tags. Any other shape is kept as it came.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(crate) enum Tags {
    Wrapped {
        #[serde(rename = "OtaTagDTO")]
        list: Rows<Tag>,
    },
    Other(Leaf),
}

impl Default for Tags {
    fn default() -> Self {
        Self::Other(Leaf::default())
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct Tag {
    pub(crate) key: Leaf,
    pub(crate) value: Leaf,
}

/// A row of `ListOTATaskByJob`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct OtaTask {
    pub(crate) task_id: Leaf,
    pub(crate) job_id: Leaf,
    pub(crate) firmware_id: Leaf,
    pub(crate) product_key: Leaf,
    pub(crate) product_name: Leaf,
    pub(crate) device_name: Leaf,
    pub(crate) iot_id: Leaf,
    pub(crate) src_version: Leaf,
    pub(crate) dest_version: Leaf,
    pub(crate) task_status: Leaf,
    pub(crate) progress: Leaf,
    pub(crate) task_desc: Leaf,
    pub(crate) timeout: Leaf,
    pub(crate) utc_create: Leaf,
    pub(crate) utc_modified: Leaf,
    #[serde(flatten)]
    pub(crate) other: Map<String, Value>,
}

/// A row of `ListOTAFirmware`, as far as a job's package needs it.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct Firmware {
    pub(crate) firmware_id: Leaf,
    pub(crate) firmware_name: Leaf,
    pub(crate) dest_version: Leaf,
    pub(crate) product_key: Leaf,
    #[serde(flatten)]
    pub(crate) other: Map<String, Value>,
}
