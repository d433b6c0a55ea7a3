//! Tasks.

use ota_core::task as core;
use serde::Serialize;
use utoipa::ToSchema;

use super::{VendorDetail, timestamp};

/// One device of a job. Fields that the vendor did not report are left out.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Task {
    /// The configured provider that the task was read from.
    pub provider: String,
    /// The job that the task belongs to.
    pub job_id: String,
    /// The vendor's identifier.
    pub id: String,
    /// The device.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device: Option<Device>,
    /// The state of the task: [`core::TaskStatus`]. Expect new values. A finished task may run again.
    pub status: String,
    /// The step within the status: [`core::TaskStage`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stage: Option<String>,
    /// Progress of the device, in percent.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 0, maximum = 100)]
    pub progress_percent: Option<f64>,
    /// The package that is installed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub package_id: Option<String>,
    /// The version that the device had before the update.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from_version: Option<String>,
    /// The version that the device is updated to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to_version: Option<String>,
    /// The vendor's text about the status, complete.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// The reason of the failure, for failed tasks only: [`core::Failure`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
    /// Time limit of the device, in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout_s: Option<u64>,
    /// When it was created.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    pub created_at: Option<String>,
    /// When it was last changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    pub updated_at: Option<String>,
    /// When it started.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    pub started_at: Option<String>,
    /// When it ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    pub ended_at: Option<String>,
    /// The vendor's own values.
    pub vendor: VendorDetail,
}

/// A device, as far as the task describes it.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Device {
    /// The vendor's identifier.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// The device name, unique within its product.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The product of the device.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub product_id: Option<String>,
    /// The product's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub product_name: Option<String>,
}

impl From<core::Task> for Task {
    fn from(task: core::Task) -> Self {
        Self {
            provider: task.provider.into_string(),
            job_id: task.job_id.into_string(),
            id: task.id.into_string(),
            device: Device::non_empty(task.device),
            status: task.status.to_string(),
            stage: task.stage.map(|value| value.to_string()),
            progress_percent: task.progress_percent,
            package_id: task.package_id.map(|id| id.into_string()),
            from_version: task.from_version,
            to_version: task.to_version,
            message: task.message,
            failure: task.failure.map(|value| value.to_string()),
            timeout_s: task.timeout_s,
            created_at: task.created_at.and_then(timestamp),
            updated_at: task.updated_at.and_then(timestamp),
            started_at: task.started_at.and_then(timestamp),
            ended_at: task.ended_at.and_then(timestamp),
            vendor: task.vendor.into(),
        }
    }
}

impl Device {
    fn non_empty(device: core::Device) -> Option<Self> {
        (device != core::Device::default()).then(|| Self {
            id: device.id.map(|id| id.into_string()),
            name: device.name.map(|name| name.into_string()),
            product_id: device.product_id.map(|id| id.into_string()),
            product_name: device.product_name,
        })
    }
}
