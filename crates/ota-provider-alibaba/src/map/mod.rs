//! Converts the vendor's values to neutral ones. Pure functions.

mod failure;
pub(crate) mod job;
pub(crate) mod status;
pub(crate) mod task;

use ota_adapter::TimeFormat;

/// `2019-12-28T02:43:10.000Z`
const TIME: TimeFormat = TimeFormat::Rfc3339;
