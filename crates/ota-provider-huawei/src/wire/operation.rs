use ota_adapter::{LenientList, LenientObject, LenientScalar};
use serde::Deserialize;
use serde_json::{Map, Value};

/// One upgrade task: a row of the list and the whole answer of the detail call.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct OperationInfo {
    pub(crate) operation_id: LenientScalar,
    pub(crate) create_time: LenientScalar,
    pub(crate) start_time: LenientScalar,
    pub(crate) stop_time: LenientScalar,
    pub(crate) operate_type: LenientScalar,
    /// The name that the filter has; the answer is documented with `operateType`.
    pub(crate) operation_type: LenientScalar,
    pub(crate) targets: LenientObject<Targets>,
    pub(crate) policy: LenientObject<OperatePolicy>,
    pub(crate) status: LenientScalar,
    pub(crate) sta_result: LenientObject<OperationStaResult>,
    pub(crate) extend_para: LenientScalar,
    #[serde(flatten)]
    pub(crate) other: Map<String, Value>,
}

/// The documents call it `OperateDevices`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Targets {
    pub(crate) device_groups: LenientList<LenientScalar>,
    pub(crate) device_type: LenientScalar,
    pub(crate) model: LenientScalar,
    pub(crate) manufacturer_name: LenientScalar,
    pub(crate) devices: LenientList<LenientScalar>,
    #[serde(flatten)]
    pub(crate) other: Map<String, Value>,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct OperatePolicy {
    pub(crate) execute_type: LenientScalar,
    pub(crate) start_time: LenientScalar,
    pub(crate) end_time: LenientScalar,
    pub(crate) retry_type: LenientScalar,
    pub(crate) retry_times: LenientScalar,
    #[serde(flatten)]
    pub(crate) other: Map<String, Value>,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(crate) struct OperationStaResult {
    pub(crate) total: LenientScalar,
    pub(crate) wait: LenientScalar,
    pub(crate) processing: LenientScalar,
    pub(crate) success: LenientScalar,
    pub(crate) fail: LenientScalar,
    pub(crate) stop: LenientScalar,
    pub(crate) timeout: LenientScalar,
    #[serde(flatten)]
    pub(crate) other: Map<String, Value>,
}
