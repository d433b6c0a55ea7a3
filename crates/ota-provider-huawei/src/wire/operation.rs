use ota_http::lenient::{Leaf, Rows};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::Part;

/// One upgrade task: a row of the list and the whole answer of the detail call.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct OperationInfo {
    pub(crate) operation_id: Leaf,
    pub(crate) create_time: Leaf,
    pub(crate) start_time: Leaf,
    pub(crate) stop_time: Leaf,
    pub(crate) operate_type: Leaf,
    /// The name that the filter has; the answer is documented with `operateType`.
    pub(crate) operation_type: Leaf,
    pub(crate) targets: Part<Targets>,
    pub(crate) policy: Part<OperatePolicy>,
    pub(crate) status: Leaf,
    pub(crate) sta_result: Part<OperationStaResult>,
    pub(crate) extend_para: Leaf,
    #[serde(flatten)]
    pub(crate) other: Map<String, Value>,
}

/// The documents call it `OperateDevices`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Targets {
    pub(crate) device_groups: Rows<Leaf>,
    pub(crate) device_type: Leaf,
    pub(crate) model: Leaf,
    pub(crate) manufacturer_name: Leaf,
    pub(crate) devices: Rows<Leaf>,
    #[serde(flatten)]
    pub(crate) other: Map<String, Value>,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct OperatePolicy {
    pub(crate) execute_type: Leaf,
    pub(crate) start_time: Leaf,
    pub(crate) end_time: Leaf,
    pub(crate) retry_type: Leaf,
    pub(crate) retry_times: Leaf,
    #[serde(flatten)]
    pub(crate) other: Map<String, Value>,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(crate) struct OperationStaResult {
    pub(crate) total: Leaf,
    pub(crate) wait: Leaf,
    pub(crate) processing: Leaf,
    pub(crate) success: Leaf,
    pub(crate) fail: Leaf,
    pub(crate) stop: Leaf,
    pub(crate) timeout: Leaf,
    #[serde(flatten)]
    pub(crate) other: Map<String, Value>,
}
