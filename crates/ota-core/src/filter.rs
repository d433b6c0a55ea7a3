//! Which jobs and tasks a list is asked for.

use crate::id::{DeviceId, DeviceName, PackageId, ProductId};
use crate::job::{JobKind, JobOutcome, JobStatus};
use crate::task::TaskStatus;

/// Which jobs are asked for. Empty means "any"; several statuses or outcomes mean "one of these".
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JobFilter {
    /// Where in their life.
    pub status: Vec<JobStatus>,
    /// How they ended.
    pub outcome: Vec<JobOutcome>,
    /// What they install.
    pub kind: Option<JobKind>,
    /// The package that they install.
    pub package_id: Option<PackageId>,
    /// The product that they are for.
    pub product_id: Option<ProductId>,
    /// A device that they are for.
    pub device_id: Option<DeviceId>,
    /// A device that they are for, by name.
    pub device_name: Option<DeviceName>,
    /// The device type that they are for.
    pub device_type: Option<String>,
    /// The device model that they are for.
    pub model: Option<String>,
    /// The manufacturer of their devices.
    pub manufacturer: Option<String>,
}

/// Which tasks are asked for. Empty means "any".
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TaskFilter {
    /// Where in their life.
    pub status: Vec<TaskStatus>,
    /// Their devices, by name; at most 50.
    pub device_names: Vec<DeviceName>,
    /// Their device.
    pub device_id: Option<DeviceId>,
}
