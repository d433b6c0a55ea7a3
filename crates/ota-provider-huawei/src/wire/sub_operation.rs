use ota_adapter::lenient::LenientScalar;
use serde::Deserialize;
use serde_json::{Map, Value};

/// One device of an upgrade task.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct SubOperationInfo {
    pub(crate) sub_operation_id: LenientScalar,
    pub(crate) create_time: LenientScalar,
    pub(crate) start_time: LenientScalar,
    pub(crate) stop_time: LenientScalar,
    pub(crate) operate_type: LenientScalar,
    pub(crate) device_id: LenientScalar,
    pub(crate) status: LenientScalar,
    pub(crate) detail_info: LenientScalar,
    pub(crate) extend_info: LenientScalar,
    #[serde(flatten)]
    pub(crate) other: Map<String, Value>,
}
