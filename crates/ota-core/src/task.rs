//! The neutral task: one device of a job.

use time::OffsetDateTime;

use crate::id::{DeviceId, DeviceName, JobId, PackageId, ProductId, ProviderName, TaskId};
use crate::open_enum::open_enum;
use crate::vendor::VendorDetail;

open_enum!(
    /// Where a task is in its life.
    TaskStatus {
        /// Not started.
        Pending = "pending",
        /// The device is updating.
        InProgress = "in_progress",
        /// The device has the new version.
        Succeeded = "succeeded",
        /// The device does not have the new version.
        Failed = "failed",
        /// Canceled before its end.
        Canceled = "canceled",
        /// Removed, superseded or not applicable.
        Skipped = "skipped",
        /// A status value of the vendor that this version does not know.
        Unknown = "unknown",
    }
);

open_enum!(
    /// Where inside its status a task is.
    TaskStage {
        /// It must be confirmed first.
        AwaitingConfirmation = "awaiting_confirmation",
        /// The device has not been notified yet.
        Queued = "queued",
        /// The device was notified and has not answered.
        Notified = "notified",
        /// The device has reported progress.
        Updating = "updating",
    }
);

open_enum!(
    /// Why a task failed, read from the vendor's text.
    Failure {
        /// A step took too long.
        Timeout = "timeout",
        /// The device was not reachable.
        Offline = "offline",
        /// The file did not arrive.
        Download = "download",
        /// The file arrived damaged or with a wrong signature.
        Integrity = "integrity",
        /// The device reported another version than expected.
        VersionMismatch = "version_mismatch",
        /// The package is not compatible with the device.
        Incompatible = "incompatible",
        /// The device had not enough storage.
        Storage = "storage",
        /// Another update was in progress.
        Conflict = "conflict",
        /// The device or a user refused.
        Rejected = "rejected",
        /// Any other text, or none.
        Other = "other",
    }
);

/// One device of a job. Fields that the vendor did not report are `None`.
#[derive(Clone, Debug, PartialEq)]
pub struct Task {
    /// The configured provider that the task was read from.
    pub provider: ProviderName,
    /// The job that the task belongs to.
    pub job_id: JobId,
    /// The vendor's identifier.
    pub id: TaskId,
    /// The device.
    pub device: Device,
    /// Where the task is in its life.
    pub status: TaskStatus,
    /// Where inside that status.
    pub stage: Option<TaskStage>,
    /// How far the device is, 0 to 100.
    pub progress_percent: Option<f64>,
    /// The package that is installed.
    pub package_id: Option<PackageId>,
    /// The version that the device had before the update.
    pub from_version: Option<String>,
    /// The version that the device is updated to.
    pub to_version: Option<String>,
    /// The vendor's text about the status, complete.
    pub message: Option<String>,
    /// Why it failed; only for failed tasks, and absent where the vendor's rows do not say why.
    pub failure: Option<Failure>,
    /// Time limit of the device, in seconds.
    pub timeout_s: Option<u64>,
    /// When it was created.
    pub created_at: Option<OffsetDateTime>,
    /// When it was last changed.
    pub updated_at: Option<OffsetDateTime>,
    /// When it started.
    pub started_at: Option<OffsetDateTime>,
    /// When it ended.
    pub ended_at: Option<OffsetDateTime>,
    /// The vendor's own values.
    pub vendor: VendorDetail,
}

impl Task {
    /// Creates a task with the required fields only.
    #[must_use]
    pub fn new(
        provider: ProviderName,
        job_id: JobId,
        id: TaskId,
        status: TaskStatus,
        vendor: VendorDetail,
    ) -> Self {
        Self {
            provider,
            job_id,
            id,
            device: Device::default(),
            status,
            stage: None,
            progress_percent: None,
            package_id: None,
            from_version: None,
            to_version: None,
            message: None,
            failure: None,
            timeout_s: None,
            created_at: None,
            updated_at: None,
            started_at: None,
            ended_at: None,
            vendor,
        }
    }
}

/// A device, as far as the task describes it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Device {
    /// The vendor's identifier.
    pub id: Option<DeviceId>,
    /// The device name, unique within its product.
    pub name: Option<DeviceName>,
    /// Its product.
    pub product_id: Option<ProductId>,
    /// The product's name.
    pub product_name: Option<String>,
}
