//! Wire types of the vendor's answers.
//!
//! Sources: "Authentication", "Querying an Upgrade Task List", "Querying Details About a Specified Task", "Querying
//! Details About Subtasks of a Specified Task" and "Querying a Version Package List" of the Northbound API Reference.

use serde::Serialize;
use serde_json::Value;

/// Login and refresh.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct TokenAnswer {
    pub(super) scope: &'static str,
    pub(super) token_type: String,
    /// A number, or a string if the configuration says so.
    pub(super) expires_in: Value,
    pub(super) access_token: String,
    pub(super) refresh_token: String,
}

/// `OperationInfo`
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct OperationInfo {
    pub(super) operation_id: String,
    pub(super) create_time: String,
    pub(super) start_time: Option<String>,
    pub(super) stop_time: Option<String>,
    pub(super) operate_type: &'static str,
    pub(super) targets: OperateDevices,
    pub(super) policy: Option<OperatePolicy>,
    pub(super) status: String,
    pub(super) sta_result: OperationStaResult,
    pub(super) extend_para: Option<ExtendPara>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct OperateDevices {
    pub(super) device_groups: Option<Vec<&'static str>>,
    pub(super) device_type: Option<&'static str>,
    pub(super) model: Option<&'static str>,
    pub(super) manufacturer_name: Option<&'static str>,
    pub(super) devices: Option<Vec<String>>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct OperatePolicy {
    pub(super) execute_type: &'static str,
    pub(super) start_time: Option<String>,
    pub(super) end_time: Option<String>,
    pub(super) retry_type: bool,
    pub(super) retry_times: Option<u32>,
}

#[derive(Debug, Serialize)]
pub(super) struct OperationStaResult {
    pub(super) total: u64,
    pub(super) wait: u64,
    pub(super) processing: u64,
    pub(super) success: u64,
    pub(super) fail: u64,
    pub(super) stop: u64,
    pub(super) timeout: u64,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ExtendPara {
    pub(super) file_version: &'static str,
}

/// `SubOperationInfo`
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct SubOperationInfo {
    pub(super) sub_operation_id: String,
    pub(super) create_time: String,
    pub(super) start_time: Option<String>,
    pub(super) stop_time: Option<String>,
    pub(super) operate_type: &'static str,
    pub(super) device_id: String,
    pub(super) status: String,
    pub(super) detail_info: &'static str,
    pub(super) extend_info: Option<Value>,
}

/// A row of the package list.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct PackageInfo {
    pub(super) file_id: String,
    pub(super) name: &'static str,
    pub(super) version: &'static str,
    pub(super) file_type: &'static str,
    pub(super) device_type: &'static str,
    pub(super) model: &'static str,
    pub(super) manufacturer_name: &'static str,
    pub(super) protocol_type: &'static str,
    pub(super) description: &'static str,
    /// Free text, not the compact form.
    pub(super) date: String,
    pub(super) upload_time: String,
}
