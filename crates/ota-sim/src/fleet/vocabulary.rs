//! What a vendor's module says about a fleet: how things are identified, and what statuses are called.

use super::plan::Stage;

/// The identifiers and status values of one vendor.
///
/// An identifier depends on nothing but the arguments: the same seed gives the same fleet. Things of different
/// numbers have different identifiers.
pub(crate) trait Vocabulary: Send + Sync {
    /// Returns the identifier of a product.
    fn product_id(&self, seed: u64, product: u64) -> String;

    /// Returns the identifier of a package.
    fn package_id(&self, seed: u64, package: u64) -> String;

    /// Returns the identifier of a job.
    fn job_id(&self, seed: u64, job: u64) -> String;

    /// Returns the identifier of a task, which is number `task` of its job.
    fn task_id(&self, seed: u64, job: u64, task: u64) -> String;

    /// Returns the identifier of a device, which is number `device` of its product.
    fn device_id(&self, seed: u64, product: u64, device: u64) -> String;

    /// Returns the stage that a task status stands for, or the usual one of several; `None` for what is no status.
    fn stage(&self, status: &str) -> Option<Stage>;

    /// Tells whether a device can have this name.
    fn takes_device_name(&self, _name: &str) -> bool {
        true
    }
}
