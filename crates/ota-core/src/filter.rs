//! Filters of the job list and the task list.

use crate::id::{DeviceId, DeviceName, PackageId, ProductId};
use crate::job::{JobKind, JobOutcome, JobStatus};
use crate::task::{Task, TaskStage, TaskStatus};

/// The filter of a job list. Empty means "any"; several statuses or outcomes mean "one of these".
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JobFilter {
    /// Their status.
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

/// The filter of a task list. Empty means "any".
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TaskFilter {
    /// Their status.
    pub status: Vec<TaskStatus>,
    /// Where inside their status they are.
    pub stage: Vec<TaskStage>,
    /// Their devices, by name; at most 50.
    pub device_names: Vec<DeviceName>,
    /// Their device.
    pub device_id: Option<DeviceId>,
}

impl TaskFilter {
    /// The most device names that a filter has.
    pub const MAX_DEVICE_NAMES: u32 = 50;

    /// Returns whether the filter names a device, by name or by identifier.
    #[must_use]
    pub fn names_devices(&self) -> bool {
        self.device_id.is_some() || !self.device_names.is_empty()
    }

    /// Returns whether a task is of a device that the filter names, as far as it names any. For an adapter whose vendor does not filter by devices.
    #[must_use]
    pub fn wants_device_of(&self, task: &Task) -> bool {
        let device = &task.device;
        (self.device_id.is_none() || self.device_id == device.id)
            && (self.device_names.is_empty()
                || device
                    .name
                    .as_ref()
                    .is_some_and(|name| self.device_names.contains(name)))
    }
}
