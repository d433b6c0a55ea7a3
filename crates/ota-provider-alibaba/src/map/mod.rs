//! From the vendor's words to ours. Pure functions.

mod failure;
pub(crate) mod job;
mod reading;
pub(crate) mod status;
pub(crate) mod task;

use ota_core::drift::DriftObserver;
use ota_core::id::ProviderName;

/// Where a row came from.
#[derive(Clone, Copy)]
pub(crate) struct Source<'a> {
    pub(crate) provider: &'a ProviderName,
    pub(crate) operation: &'static str,
    pub(crate) drift: &'a dyn DriftObserver,
}
