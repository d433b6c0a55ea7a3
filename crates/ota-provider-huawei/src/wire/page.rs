use ota_http::lenient::Leaf;
use serde::Deserialize;
use serde_json::{Map, Value};

/// One page of a list, without its rows in `data`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Page {
    #[serde(default)]
    pub(crate) page_no: Leaf,
    #[serde(default)]
    pub(crate) page_size: Leaf,
    #[serde(default)]
    pub(crate) total_count: Leaf,
    /// The name of the total in the Java and PHP SDK's class for the task list (vendor notes, 1.6).
    #[serde(default)]
    pub(crate) total_size: Leaf,
    #[serde(flatten)]
    pub(crate) other: Map<String, Value>,
}
