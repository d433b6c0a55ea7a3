//! From an upgrade task to a job.

use ota_core::drift::DriftKind;
use ota_core::id::{DeviceId, JobId, ProviderName};
use ota_core::job::{
    Detail, Group, Job, JobKind, JobPurpose, JobStats, JobStatus, Policy, Schedule, ScheduleMode,
    Scope, Target,
};
use ota_core::vendor::VendorDetail;
use ota_http::lenient::{Leaf, Rows};

use super::rest::Rest;
use super::{Mapped, Word, identifier};
use crate::config::VENDOR;
use crate::wire::{OperatePolicy, OperationInfo, OperationStaResult, Part, Targets};

/// Maps one upgrade task.
///
/// A list row is as complete as the answer for a single task (both are an `OperationInfo`; vendor notes, 1.6 and 1.7),
/// so the detail is always full. A task without an identifier gets an empty one.
pub(crate) fn job(provider: &ProviderName, row: OperationInfo) -> Mapped<Job> {
    let mut rest = Rest::default();
    let id = rest
        .identifier("operationId", row.operation_id)
        .unwrap_or_default();
    let status = rest.text(None, "status", row.status);
    let word = status.as_deref().and_then(Word::read);
    if status.is_some() && word.is_none() {
        rest.note(DriftKind::Word, None, "status");
    }
    let mut job = Job::new(
        provider.clone(),
        JobId::from(id),
        word.map_or(JobStatus::Unknown, Word::job_status),
        Detail::Full,
        VendorDetail {
            name: VENDOR,
            ..VendorDetail::default()
        },
    );
    kind(&mut job, &mut rest, row.operate_type, row.operation_type);
    job.created_at = rest.time(None, "createTime", row.create_time);
    job.started_at = rest.time(None, "startTime", row.start_time);
    job.ended_at = rest.time(None, "stopTime", row.stop_time);
    match row.targets {
        Part::Object(targets) => job.target = target(&mut rest, targets),
        Part::Other(value) => rest.unmapped(DriftKind::Value, None, "targets", Leaf(value)),
    }
    match row.policy {
        Part::Object(policy) => (job.schedule, job.policy) = schedule(&mut rest, policy),
        Part::Other(value) => rest.unmapped(DriftKind::Value, None, "policy", Leaf(value)),
    }
    match row.sta_result {
        Part::Object(counts) => job.stats = stats(&mut rest, counts),
        Part::Other(value) => rest.unmapped(DriftKind::Value, None, "staResult", Leaf(value)),
    }
    let counts = job.stats.clone().unwrap_or_default();
    job.outcome = word.and_then(|word| word.job_outcome(&counts));
    if let Some(stats) = &mut job.stats {
        stats.outcome = match word {
            // A word that tells how it ended, and counts that tell it otherwise: what is right is not known.
            Some(Word::Success | Word::Failed) => job.outcome,
            Some(Word::Stop) => stats.proven_outcome(job.status),
            Some(Word::Wait | Word::Processing) | None => None,
        };
    }
    rest.keep(None, "extendPara", row.extend_para);
    rest.unknown(None, row.other);
    let (vendor, met) = rest.finish(status);
    job.vendor = vendor;
    Mapped {
        item: job,
        word,
        met,
    }
}

fn kind(job: &mut Job, rest: &mut Rest, operate_type: Leaf, operation_type: Leaf) {
    let (name, leaf) = if operate_type.is_absent() {
        ("operationType", operation_type)
    } else {
        // Two names for one thing: the documented one counts, the other is shown as it came.
        rest.keep(None, "operationType", operation_type);
        ("operateType", operate_type)
    };
    let Some(text) = leaf.text() else {
        rest.unmapped(DriftKind::Value, None, name, leaf);
        return;
    };
    let word = text.trim().to_ascii_lowercase();
    job.kind = Some(match word.as_str() {
        "firmware_upgrade" => JobKind::Firmware,
        "software_upgrade" => JobKind::Software,
        _ => {
            rest.unmapped(DriftKind::Word, None, name, leaf);
            JobKind::Other
        }
    });
    job.purpose = word.ends_with("_upgrade").then_some(JobPurpose::Upgrade);
}

fn target(rest: &mut Rest, targets: Targets) -> Target {
    const GROUP: Option<&str> = Some("targets");
    let groups: Vec<Group> = texts(rest, "deviceGroups", targets.device_groups, Leaf::text)
        .into_iter()
        .map(|name| Group {
            id: None,
            name: Some(name),
        })
        .collect();
    let device_ids: Vec<DeviceId> = texts(rest, "devices", targets.devices, identifier)
        .into_iter()
        .map(DeviceId::from)
        .collect();
    let target = Target {
        // "Either this parameter or devices must be specified": with both, nobody knows what the vendor does.
        scope: match (groups.is_empty(), device_ids.is_empty()) {
            (false, true) => Some(Scope::Groups),
            (true, false) => Some(Scope::Devices),
            (true, true) | (false, false) => None,
        },
        groups,
        device_ids,
        device_type: rest.text(GROUP, "deviceType", targets.device_type),
        model: rest.text(GROUP, "model", targets.model),
        manufacturer: rest.text(GROUP, "manufacturerName", targets.manufacturer_name),
        ..Target::default()
    };
    rest.unknown(GROUP, targets.other);
    target
}

/// Reads a list of texts; elements that are none are kept together.
fn texts(
    rest: &mut Rest,
    name: &str,
    rows: Rows<Leaf>,
    read: impl Fn(&Leaf) -> Option<String>,
) -> Vec<String> {
    let mut texts = Vec::with_capacity(rows.0.len());
    let mut others = Vec::new();
    for leaf in rows.0 {
        match read(&leaf) {
            Some(text) => texts.push(text),
            None if leaf.is_absent() => {}
            None => others.push(leaf.0),
        }
    }
    rest.unmapped(DriftKind::Value, Some("targets"), name, Leaf(others.into()));
    texts
}

fn schedule(rest: &mut Rest, policy: OperatePolicy) -> (Schedule, Policy) {
    const GROUP: Option<&str> = Some("policy");
    let mode = policy.execute_type.text().and_then(|text| {
        match text.trim().to_ascii_lowercase().as_str() {
            "now" => Some(ScheduleMode::Immediate),
            "device_online" => Some(ScheduleMode::WhenOnline),
            "custom" => Some(ScheduleMode::Scheduled),
            _ => None,
        }
    });
    if mode.is_none() {
        rest.unmapped(DriftKind::Word, GROUP, "executeType", policy.execute_type);
    }
    let schedule = Schedule {
        mode,
        starts_at: rest.time(GROUP, "startTime", policy.start_time),
        ends_at: rest.time(GROUP, "endTime", policy.end_time),
    };
    let max_retries = max_retries(rest, policy.retry_type, policy.retry_times);
    rest.unknown(GROUP, policy.other);
    let policy = Policy {
        max_retries,
        ..Policy::default()
    };
    (schedule, policy)
}

/// `retryType` says whether a failed device is tried again and `retryTimes` how often; only together do they always make a
/// number. What the number does not tell stays in the vendor's words.
fn max_retries(rest: &mut Rest, retry_type: Leaf, retry_times: Leaf) -> Option<u64> {
    const GROUP: Option<&str> = Some("policy");
    match retry_type.flag() {
        Some(false) => {
            if retry_times.count() != Some(0) {
                rest.keep(GROUP, "retryTimes", retry_times);
            }
            Some(0)
        }
        Some(true) => {
            let times = rest.count(GROUP, "retryTimes", retry_times);
            if times.is_none() {
                rest.keep(GROUP, "retryType", retry_type);
            }
            times
        }
        None => {
            rest.unmapped(DriftKind::Value, GROUP, "retryType", retry_type);
            rest.count(GROUP, "retryTimes", retry_times)
        }
    }
}

/// Reads the counts; `None` when not one is told.
fn stats(rest: &mut Rest, counts: OperationStaResult) -> Option<JobStats> {
    const GROUP: Option<&str> = Some("staResult");
    let (stated_total, stated_timeout) = (counts.total.clone(), counts.timeout.clone());
    let mut count = |name, leaf| rest.count(GROUP, name, leaf);
    let total = count("total", counts.total);
    let wait = count("wait", counts.wait);
    let processing = count("processing", counts.processing);
    let success = count("success", counts.success);
    let fail = count("fail", counts.fail);
    let stop = count("stop", counts.stop);
    let timeout = count("timeout", counts.timeout);
    rest.unknown(GROUP, counts.other);
    let parts = [wait, processing, success, fail, stop];
    let (failed, timed_out) = match failed(total, parts, fail, timeout) {
        Ok(failed) => (failed, timeout),
        // More ran out of time than failed, and the total has no room for them beside the others: they count something else.
        Err(NoRoom) => {
            rest.unmapped(DriftKind::Page, GROUP, "timeout", stated_timeout);
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
        rest.unmapped(DriftKind::Page, GROUP, "total", stated_total);
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
