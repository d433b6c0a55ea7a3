use ota_adapter::lenient::LenientScalar;
use serde::Deserialize;
use serde_json::{Map, Value};

/// One page of a list, without its rows in `data`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Page {
    #[serde(default)]
    pub(crate) page_no: LenientScalar,
    #[serde(default)]
    pub(crate) page_size: LenientScalar,
    #[serde(default)]
    pub(crate) total_count: LenientScalar,
    /// The name of the total in the Java and PHP SDK's class for the task list (vendor notes, 1.6).
    #[serde(default)]
    pub(crate) total_size: LenientScalar,
    #[serde(flatten)]
    pub(crate) other: Map<String, Value>,
}
