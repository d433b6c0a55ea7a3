//! The vendor's answers as they come, in JSON or XML. No logic beyond telling the two apart.
//!
//! SDK models treat every field of an answer as optional, so absent, `null`, `""` and `[]` must all parse; scalars are leaves
//! because the two formats, and sometimes two editions of one page, disagree about their types.

pub mod xml;

use ota_http::lenient::{Leaf, Rows};
use serde::Deserialize;
use serde_json::{Map, Value};

/// Reads an answer in whichever of the two formats it comes.
///
/// # Errors
/// Returns what is wrong; the text holds nothing of the answer.
pub fn decode(body: &[u8]) -> Result<Map<String, Value>, String> {
    let start = body.trim_ascii_start();
    let start = start
        .strip_prefix(b"\xef\xbb\xbf")
        .unwrap_or(start)
        .trim_ascii_start();
    let value = match start.first() {
        None => return Err("the answer is empty".to_owned()),
        Some(b'<') => xml::decode(start)?,
        Some(_) => serde_json::from_slice(start).map_err(|error| {
            format!(
                "it is not JSON: error in line {}, column {}",
                error.line(),
                error.column()
            )
        })?,
    };
    match value {
        Value::Object(members) => Ok(members),
        _ => Err("it is not an object".to_owned()),
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
    pub(crate) data: Value,
    pub(crate) firmware_info: Value,
    #[serde(flatten)]
    pub(crate) other: Map<String, Value>,
}

/// Documented members around the data that mean nothing to us.
pub(crate) const ENVELOPE_REST: &[&str] = &[
    "CurrentPage",
    "PageSize",
    "PageCount",
    "HostId",
    "Recommend",
];

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
