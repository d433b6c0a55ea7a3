use ota_http::lenient::Leaf;
use serde::Deserialize;
use serde_json::{Map, Value};

/// One device of an upgrade task.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct SubOperationInfo {
    pub(crate) sub_operation_id: Leaf,
    pub(crate) create_time: Leaf,
    pub(crate) start_time: Leaf,
    pub(crate) stop_time: Leaf,
    pub(crate) operate_type: Leaf,
    pub(crate) device_id: Leaf,
    pub(crate) status: Leaf,
    pub(crate) detail_info: Leaf,
    pub(crate) extend_info: Leaf,
    #[serde(flatten)]
    pub(crate) other: Map<String, Value>,
}
