//! From an upgrade task to a job.

use ota_adapter::{FieldReader, LenientScalar, Source};
use ota_core::drift::DriftKind;
use ota_core::id::{DeviceId, JobId};
use ota_core::job::{
    Detail, Group, Job, JobKind, JobPurpose, JobStats, JobStatus, Policy, Schedule, ScheduleMode,
    Scope, Target,
};
use ota_core::vendor::VendorDetail;

use super::{TIME, VendorStatus};
use crate::wire::{OperatePolicy, OperationInfo, OperationStaResult, Targets};

/// Maps one upgrade task.
///
/// A list row is as complete as the answer for a single task (both are an `OperationInfo`; vendor notes, 1.6 and 1.7),
/// so the detail is always full. A task without an identifier gets an empty one.
pub(crate) fn job(source: Source<'_>, wire: OperationInfo) -> Job {
    let mut row = source.row();
    let id = row.identifier("operationId", wire.operation_id);
    let status = row.status("status", wire.status, VendorStatus::read);
    let mut job = Job::new(
        source.provider.clone(),
        JobId::from(id.unwrap_or_default()),
        status.map_or(JobStatus::Unknown, VendorStatus::job_status),
        Detail::Full,
        VendorDetail::default(),
    );
    kind(&mut job, &mut row, wire.operate_type, wire.operation_type);
    job.created_at = row.time("createTime", wire.create_time, TIME);
    job.started_at = row.time("startTime", wire.start_time, TIME);
    job.ended_at = row.time("stopTime", wire.stop_time, TIME);
    job.target = row
        .object("targets", wire.targets, target)
        .unwrap_or_default();
    let plan = row.object("policy", wire.policy, schedule);
    (job.schedule, job.policy) = plan.unwrap_or_default();
    job.stats = row.object("staResult", wire.sta_result, stats).flatten();
    let counts = job.stats.clone().unwrap_or_default();
    job.outcome = status.and_then(|status| status.job_outcome(&counts));
    if let Some(stats) = &mut job.stats {
        stats.outcome = match status {
            // A status that says how it ended, and counts that say it otherwise: what is right is not known.
            Some(VendorStatus::Success | VendorStatus::Failed) => job.outcome,
            Some(VendorStatus::Stop) => stats.proven_outcome(job.status),
            Some(VendorStatus::Wait | VendorStatus::Processing) | None => None,
        };
    }
    row.keep("extendPara", wire.extend_para);
    row.unknown(wire.other);
    job.vendor = row.finish();
    job
}

fn kind(
    job: &mut Job,
    row: &mut FieldReader<'_>,
    operate_type: LenientScalar,
    operation_type: LenientScalar,
) {
    let (name, scalar) = if operate_type.is_absent() {
        ("operationType", operation_type)
    } else {
        // Two names for one thing: the documented one counts, the other is shown as it came.
        row.keep("operationType", operation_type);
        ("operateType", operate_type)
    };
    let Some(text) = scalar.text() else {
        row.unmapped(DriftKind::Value, name, scalar);
        return;
    };
    let value = text.trim().to_ascii_lowercase();
    job.kind = Some(match value.as_str() {
        "firmware_upgrade" => JobKind::Firmware,
        "software_upgrade" => JobKind::Software,
        _ => {
            row.unmapped(DriftKind::Word, name, scalar);
            JobKind::Other
        }
    });
    job.purpose = value.ends_with("_upgrade").then_some(JobPurpose::Upgrade);
}

fn target(row: &mut FieldReader<'_>, wire: Targets) -> Target {
    let group = |scalar: &LenientScalar| {
        let name = Some(scalar.text()?);
        Some(Group { id: None, name })
    };
    let groups = row.values("deviceGroups", wire.device_groups, group);
    let device_id = |scalar: &LenientScalar| scalar.identifier().map(DeviceId::from);
    let device_ids = row.values("devices", wire.devices, device_id);
    let target = Target {
        // "Either this parameter or devices must be specified": what the vendor does with both is not documented.
        scope: match (groups.is_empty(), device_ids.is_empty()) {
            (false, true) => Some(Scope::Groups),
            (true, false) => Some(Scope::Devices),
            (true, true) | (false, false) => None,
        },
        groups,
        device_ids,
        device_type: row.text("deviceType", wire.device_type),
        model: row.text("model", wire.model),
        manufacturer: row.text("manufacturerName", wire.manufacturer_name),
        ..Target::default()
    };
    row.unknown(wire.other);
    target
}

fn schedule(row: &mut FieldReader<'_>, wire: OperatePolicy) -> (Schedule, Policy) {
    let mode = |text: &str| match text.to_ascii_lowercase().as_str() {
        "now" => Some(ScheduleMode::Immediate),
        "device_online" => Some(ScheduleMode::WhenOnline),
        "custom" => Some(ScheduleMode::Scheduled),
        _ => None,
    };
    let schedule = Schedule {
        mode: row.value("executeType", wire.execute_type, mode),
        starts_at: row.time("startTime", wire.start_time, TIME),
        ends_at: row.time("endTime", wire.end_time, TIME),
    };
    let policy = Policy {
        max_retries: max_retries(row, wire.retry_type, wire.retry_times),
        ..Policy::default()
    };
    row.unknown(wire.other);
    (schedule, policy)
}

/// `retryType` says whether a failed device is tried again and `retryTimes` how often; only together do they always make a
/// number. What the number does not say stays in `vendor.fields`.
fn max_retries(
    row: &mut FieldReader<'_>,
    retry_type: LenientScalar,
    retry_times: LenientScalar,
) -> Option<u64> {
    match retry_type.flag() {
        Some(false) => {
            if retry_times.count() != Some(0) {
                row.keep("retryTimes", retry_times);
            }
            Some(0)
        }
        Some(true) => {
            let times = row.count("retryTimes", retry_times);
            if times.is_none() {
                row.keep("retryType", retry_type);
            }
            times
        }
        None => {
            row.unmapped(DriftKind::Value, "retryType", retry_type);
            row.count("retryTimes", retry_times)
        }
    }
}

/// Reads the counts; `None` when none is reported.
fn stats(row: &mut FieldReader<'_>, counts: OperationStaResult) -> Option<JobStats> {
    let (stated_total, stated_timeout) = (counts.total.clone(), counts.timeout.clone());
    let mut count = |name, scalar| row.count(name, scalar);
    let total = count("total", counts.total);
    let wait = count("wait", counts.wait);
    let processing = count("processing", counts.processing);
    let success = count("success", counts.success);
    let fail = count("fail", counts.fail);
    let stop = count("stop", counts.stop);
    let timeout = count("timeout", counts.timeout);
    row.unknown(counts.other);
    let parts = [wait, processing, success, fail, stop];
    let (failed, timed_out) = match failed(total, parts, fail, timeout) {
        Ok(failed) => (failed, timeout),
        // More ran out of time than failed, and the total has no room for them beside the others: they count something else.
        Err(NoRoom) => {
            row.unmapped(DriftKind::Page, "timeout", stated_timeout);
            (fail, None)
        }
    };
    let mut stats = JobStats {
        total,
        pending: wait,
        in_progress: processing,
        succeeded: success,
        failed,
        canceled: stop,
        timed_out,
        ..JobStats::default()
    };
    if stats.total.is_some_and(|total| total < stats.counted()) {
        // The numbers were taken while devices moved, or count something else: which of them is wrong is not known.
        stats.total = None;
        row.unmapped(DriftKind::Page, "total", stated_total);
    }
    (stats != JobStats::default()).then_some(stats)
}

/// Devices that ran out of time are neither among those that failed nor beside them.
struct NoRoom;

/// Returns the number of failed devices, those that timed out included.
///
/// Whether the vendor's `fail` contains its `timeout` differs between platforms, so the two are added only where the numbers prove that
/// they are counted apart: the total is the sum of all, or more devices ran out of time than failed.
///
/// # Errors
/// When more devices ran out of time than failed, and the total is smaller than the sum of all.
fn failed(
    total: Option<u64>,
    parts: [Option<u64>; 5],
    fail: Option<u64>,
    timeout: Option<u64>,
) -> Result<Option<u64>, NoRoom> {
    let (Some(fail), Some(timeout)) = (fail, timeout) else {
        return Ok(fail);
    };
    let Some(both) = fail.checked_add(timeout) else {
        return Ok(Some(fail));
    };
    let sum = parts.into_iter().flatten().fold(0, u64::saturating_add);
    let with_timeouts = sum.saturating_add(timeout);
    let every_part = parts.iter().all(Option::is_some);
    let apart = every_part && Some(sum) != total && Some(with_timeouts) == total;
    if apart {
        return Ok(Some(both));
    }
    if timeout <= fail {
        return Ok(Some(fail));
    }
    match total {
        Some(total) if total < with_timeouts => Err(NoRoom),
        _ => Ok(Some(both)),
    }
}

#[cfg(test)]
mod tests;
