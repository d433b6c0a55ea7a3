//! From a device of an upgrade task to a task.

use ota_adapter::Source;
use ota_core::id::{DeviceId, JobId, TaskId};
use ota_core::task::{Task, TaskStatus};
use ota_core::vendor::VendorDetail;

use super::failure::failure;
use super::{TIME, VendorStatus};
use crate::wire::SubOperationInfo;

/// Maps one device of an upgrade task. A row without an identifier gets an empty one.
///
/// There is no status for a timeout: it shows only in the text. The row does not say what is installed either (its
/// `operateType` belongs to the job and stays in `vendor.fields`).
pub(crate) fn task(source: Source<'_>, wire: SubOperationInfo, job_id: &JobId) -> Task {
    let mut row = source.row();
    let id = row.identifier("subOperationId", wire.sub_operation_id);
    let status = row.status("status", wire.status, VendorStatus::read);
    let mut task = Task::new(
        source.provider.clone(),
        job_id.clone(),
        TaskId::from(id.unwrap_or_default()),
        status.map_or(TaskStatus::Unknown, VendorStatus::task_status),
        VendorDetail::default(),
    );
    task.device.id = row
        .identifier("deviceId", wire.device_id)
        .map(DeviceId::from);
    task.message = row.text("detailInfo", wire.detail_info);
    if task.status == TaskStatus::Failed {
        task.failure = Some(failure(task.message.as_deref()));
    }
    task.created_at = row.time("createTime", wire.create_time, TIME);
    task.started_at = row.time("startTime", wire.start_time, TIME);
    task.ended_at = row.time("stopTime", wire.stop_time, TIME);
    row.keep("operateType", wire.operate_type);
    row.keep("extendInfo", wire.extend_info);
    row.unknown(wire.other);
    task.vendor = row.finish();
    task
}
