//! From a device of an upgrade task to a task.

use ota_core::drift::DriftKind;
use ota_core::id::{DeviceId, JobId, ProviderName, TaskId};
use ota_core::task::{Task, TaskStatus};
use ota_core::vendor::VendorDetail;

use super::failure::failure;
use super::rest::Rest;
use super::{Mapped, Word};
use crate::config::VENDOR;
use crate::wire::SubOperationInfo;

/// Maps one device of an upgrade task. A row without an identifier gets an empty one.
///
/// There is no status for a timeout: it shows only in the text. The row does not say what is installed either (its
/// `operateType` belongs to the job and stays in the vendor's words).
pub(crate) fn task(provider: &ProviderName, job_id: &JobId, row: SubOperationInfo) -> Mapped<Task> {
    let mut rest = Rest::default();
    let id = rest
        .identifier("subOperationId", row.sub_operation_id)
        .unwrap_or_default();
    let status = rest.text(None, "status", row.status);
    let word = status.as_deref().and_then(Word::read);
    if status.is_some() && word.is_none() {
        rest.note(DriftKind::Word, None, "status");
    }
    let mut task = Task::new(
        provider.clone(),
        job_id.clone(),
        TaskId::from(id),
        word.map_or(TaskStatus::Unknown, Word::task_status),
        VendorDetail {
            name: VENDOR,
            ..VendorDetail::default()
        },
    );
    task.device.id = rest
        .identifier("deviceId", row.device_id)
        .map(DeviceId::from);
    task.message = rest.text(None, "detailInfo", row.detail_info);
    if task.status == TaskStatus::Failed {
        task.failure = Some(failure(task.message.as_deref()));
    }
    task.created_at = rest.time(None, "createTime", row.create_time);
    task.started_at = rest.time(None, "startTime", row.start_time);
    task.ended_at = rest.time(None, "stopTime", row.stop_time);
    rest.keep(None, "operateType", row.operate_type);
    rest.keep(None, "extendInfo", row.extend_info);
    rest.unknown(None, row.other);
    let (vendor, met) = rest.finish(status);
    task.vendor = vendor;
    Mapped {
        item: task,
        word,
        met,
    }
}
