//! Rows of `ListOTATaskByJob`.

use ota_core::id::{DeviceId, DeviceName, JobId, PackageId, ProductId, TaskId};
use ota_core::task::{Device, Task, TaskStatus};
use ota_core::vendor::VendorDetail;

use super::Source;
use super::failure::failure;
use super::reading::Reading;
use super::status::task_status;
use crate::config::VENDOR;
use crate::wire::OtaTask;

/// Maps a task of `job_id`; the row's own `JobId` wins when it has one.
pub(crate) fn task(source: Source<'_>, wire: OtaTask, job_id: &JobId) -> Task {
    let mut reading = Reading::new(source, wire.other);
    let status_word = wire.task_status.text();
    let (status, stage) = status_word
        .as_deref()
        .and_then(task_status)
        .unwrap_or_else(|| {
            reading.unknown_status("TaskStatus");
            (TaskStatus::Unknown, None)
        });
    let id = TaskId::from(wire.task_id.text().unwrap_or_default());
    let job_id = reading
        .text("JobId", wire.job_id)
        .map_or_else(|| job_id.clone(), JobId::from);
    let mut task = Task::new(
        source.provider.clone(),
        job_id,
        id,
        status,
        VendorDetail::default(),
    );
    task.stage = stage;
    task.device = Device {
        id: reading.text("IotId", wire.iot_id).map(DeviceId::from),
        name: reading
            .text("DeviceName", wire.device_name)
            .map(DeviceName::from),
        product_id: reading
            .text("ProductKey", wire.product_key)
            .map(ProductId::from),
        product_name: reading.text("ProductName", wire.product_name),
    };
    task.progress_percent = reading.percent("Progress", wire.progress);
    task.package_id = reading
        .text("FirmwareId", wire.firmware_id)
        .map(PackageId::from);
    task.from_version = reading.text("SrcVersion", wire.src_version);
    task.to_version = reading.text("DestVersion", wire.dest_version);
    task.message = reading.text("TaskDesc", wire.task_desc);
    task.failure = (status == TaskStatus::Failed).then(|| failure(task.message.as_deref()));
    // Null when the batch has no time limit; absent in the oldest edition.
    task.timeout_s = reading.minutes("Timeout", wire.timeout);
    task.created_at = reading.time("UtcCreate", wire.utc_create);
    task.updated_at = reading.time("UtcModified", wire.utc_modified);
    task.vendor = VendorDetail {
        name: VENDOR,
        status: status_word,
        fields: reading.into_fields(),
    };
    task
}
