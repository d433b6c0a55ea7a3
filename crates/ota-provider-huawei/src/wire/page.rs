use ota_http::lenient::{Leaf, Rows};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::Part;

/// One page of a list.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", bound = "T: DeserializeOwned")]
pub(crate) struct Page<T> {
    #[serde(default)]
    pub(crate) data: Option<Rows<Part<T>>>,
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
