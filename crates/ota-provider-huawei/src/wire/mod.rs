//! The vendor's format, as types without logic.
//!
//! Names of a task's fields are those of "Querying an Upgrade Task List" (page of 2022-02-24, read 2026-11-23); those of tokens
//! and devices, and all JSON types, are from the northbound API reference as excerpted in the project's vendor notes, 1.3 to
//! 1.8. Every scalar is a `LenientScalar`, every nested object a `LenientObject`, so that no
//! value of another type makes a row, and no row makes a page, unreadable.

mod operation;
mod page;
mod sub_operation;
mod token;

pub(crate) use operation::{OperatePolicy, OperationInfo, OperationStaResult, Targets};
pub(crate) use page::Page;
pub(crate) use sub_operation::SubOperationInfo;
pub(crate) use token::{RefreshRequest, TokenAnswer};

/// A row of a list.
pub(crate) trait Row: serde::de::DeserializeOwned {
    /// The vendor's name for its identifier.
    const ID: &'static str;
}

impl Row for OperationInfo {
    const ID: &'static str = "operationId";
}

impl Row for SubOperationInfo {
    const ID: &'static str = "subOperationId";
}
