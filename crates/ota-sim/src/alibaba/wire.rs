//! Wire types of the vendor's answers.
//!
//! Sources: help pages QueryOTAJob, ListOTATaskByJob, ListOTAJobByFirmware, ListOTAJobByDevice, ListOTAFirmware and
//! QueryOTAFirmware of the IoT Platform. Lists are nested one level more than expected (`Data.SimpleOTATaskInfo[]`);
//! `Progress`, `Timeout` and `GrayPercent` are strings, the other numbers are numbers.

use serde::Serialize;

/// `Data` of QueryOTAJob.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct JobDetail {
    pub(super) job_id: String,
    pub(super) firmware_id: String,
    pub(super) product_key: String,
    pub(super) dest_version: String,
    /// Name of the package.
    pub(super) name: String,
    pub(super) job_status: &'static str,
    pub(super) job_type: &'static str,
    pub(super) selection_type: &'static str,
    pub(super) target_selection: &'static str,
    pub(super) maximum_per_minute: u32,
    pub(super) overwrite_mode: u8,
    pub(super) src_versions: SrcVersions,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) tags: Option<Tags>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) timeout_in_minutes: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) retry_count: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) retry_interval: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) dynamic_mode: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) gray_percent: Option<&'static str>,
    pub(super) utc_create: String,
    pub(super) utc_modified: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) utc_start_time: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) utc_end_time: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) utc_schedule_time: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) utc_schedule_finish_time: Option<String>,
    #[serde(flatten)]
    pub(super) newer: Option<NewerJobFields>,
}

/// Fields that older documents do not have. Unused ones are empty strings, as in the vendor's sample.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct NewerJobFields {
    pub(super) job_desc: &'static str,
    pub(super) download_protocol: &'static str,
    pub(super) group_id: &'static str,
    pub(super) group_name: &'static str,
    pub(super) need_push: bool,
    pub(super) need_confirm: bool,
    pub(super) multi_module_mode: bool,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct SrcVersions {
    pub(super) src_version: &'static [&'static str],
}

#[derive(Debug, Serialize)]
pub(super) struct Tags {
    #[serde(rename = "OtaTagDTO")]
    pub(super) tags: Vec<Tag>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Tag {
    pub(super) key: &'static str,
    pub(super) value: &'static str,
}

/// `SimpleOTAJobInfo` of both job lists.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct JobRow {
    pub(super) job_id: String,
    pub(super) firmware_id: String,
    pub(super) product_key: String,
    pub(super) job_status: &'static str,
    pub(super) job_type: &'static str,
    pub(super) selection_type: &'static str,
    pub(super) target_selection: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) tags: Option<Tags>,
    pub(super) utc_create: String,
    pub(super) utc_modified: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) utc_start_time: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) utc_end_time: Option<String>,
}

/// `SimpleOTATaskInfo` of ListOTATaskByJob.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct TaskRow {
    pub(super) task_id: String,
    pub(super) job_id: String,
    pub(super) firmware_id: String,
    pub(super) product_key: String,
    pub(super) product_name: &'static str,
    pub(super) device_name: String,
    pub(super) iot_id: String,
    pub(super) src_version: &'static str,
    pub(super) dest_version: &'static str,
    pub(super) task_status: &'static str,
    /// Two decimals.
    pub(super) progress: String,
    pub(super) task_desc: &'static str,
    /// Outer `None`: the field is absent (oldest documents); inner `None`: `null` (no time-out given).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) timeout: Option<Option<String>>,
    pub(super) utc_create: String,
    pub(super) utc_modified: String,
}

/// `SimpleFirmwareInfo` of ListOTAFirmware, and most of QueryOTAFirmware.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct FirmwareRow {
    pub(super) firmware_id: String,
    pub(super) firmware_name: &'static str,
    pub(super) firmware_desc: &'static str,
    pub(super) product_key: String,
    pub(super) product_name: &'static str,
    pub(super) module_name: &'static str,
    pub(super) dest_version: &'static str,
    /// `null` for full packages.
    pub(super) src_version: Option<&'static str>,
    #[serde(rename = "Type")]
    pub(super) package_type: u8,
    pub(super) status: i32,
    /// Present for packages of one file only, as the next one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) firmware_size: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) firmware_sign: Option<String>,
    pub(super) sign_method: &'static str,
    pub(super) utc_create: String,
    pub(super) utc_modified: String,
}

/// `FirmwareInfo` of QueryOTAFirmware.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct FirmwareDetail {
    #[serde(flatten)]
    pub(super) row: FirmwareRow,
    /// Signed for a limited time, present for packages of one file only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) firmware_url: Option<String>,
    pub(super) udi: &'static str,
    pub(super) verify_progress: u8,
    /// A plain list, unlike all others.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) multi_files: Vec<FirmwareFile>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct FirmwareFile {
    pub(super) name: String,
    pub(super) url: String,
    pub(super) size: u64,
    pub(super) file_md5: String,
    pub(super) sign_value: String,
}
