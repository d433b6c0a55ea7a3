//! Rows of `ListOTATaskByJob`.

use ota_adapter::Source;
use ota_core::id::{DeviceId, DeviceName, JobId, PackageId, ProductId, TaskId};
use ota_core::task::{Device, Task, TaskStatus};
use ota_core::vendor::VendorDetail;

use super::TIME;
use super::failure::failure;
use super::status::task_status;
use crate::wire::OtaTask;

/// Maps a task of `job_id`; the row's own `JobId` wins when it has one. A row without an identifier gets an empty one.
pub(crate) fn task(source: Source<'_>, wire: OtaTask, job_id: &JobId) -> Task {
    let mut row = source.row();
    let id = row.identifier("TaskId", wire.task_id).unwrap_or_default();
    let status = row.status("TaskStatus", wire.task_status, task_status);
    let (status, stage) = status.unwrap_or((TaskStatus::Unknown, None));
    let of_row = row.identifier("JobId", wire.job_id);
    let mut task = Task::new(
        source.provider.clone(),
        of_row.map_or_else(|| job_id.clone(), JobId::from),
        TaskId::from(id),
        status,
        VendorDetail::default(),
    );
    task.stage = stage;
    task.device = Device {
        id: row.identifier("IotId", wire.iot_id).map(DeviceId::from),
        name: row
            .identifier("DeviceName", wire.device_name)
            .map(DeviceName::from),
        product_id: row
            .identifier("ProductKey", wire.product_key)
            .map(ProductId::from),
        product_name: row.text("ProductName", wire.product_name),
    };
    task.progress_percent = row.percent("Progress", wire.progress);
    task.package_id = row
        .identifier("FirmwareId", wire.firmware_id)
        .map(PackageId::from);
    task.from_version = row.text("SrcVersion", wire.src_version);
    task.to_version = row.text("DestVersion", wire.dest_version);
    task.message = row.text("TaskDesc", wire.task_desc);
    task.failure = (status == TaskStatus::Failed).then(|| failure(task.message.as_deref()));
    // Null when the batch has no time limit; absent in the oldest edition.
    task.timeout_s = row.minutes("Timeout", wire.timeout);
    task.created_at = row.time("UtcCreate", wire.utc_create, TIME);
    task.updated_at = row.time("UtcModified", wire.utc_modified, TIME);
    row.unknown(wire.other);
    task.vendor = row.finish();
    task
}
