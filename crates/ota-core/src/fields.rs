//! Which neutral fields an adapter fills.
//!
//! A vendor reports only some of the fields of the model. Each adapter declares which, the table for users is generated from the declarations, and the
//! conformance suite compares them with what the adapter delivers. Names are those of the API; a dot leads into an object.

use std::collections::BTreeSet;

use crate::job::{Job, JobStats, Package, Policy, Schedule, Target};
use crate::task::{Device, Task};

/// Names of fields.
pub type Fields = BTreeSet<&'static str>;

/// The fields that an adapter can fill, if the vendor sends them. Fields that every job and task has (`provider`, `id`, `status`, `vendor`, `detail`,
/// `job_id`) are not listed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FieldSupport {
    /// Of a job in a list.
    pub job_row: &'static [&'static str],
    /// Of a job that is read in detail.
    pub job: &'static [&'static str],
    /// Of a job's statistics.
    pub job_stats: &'static [&'static str],
    /// Of a task.
    pub task: &'static [&'static str],
}

/// Every optional field of a job, in the order of the API.
pub const JOB: &[&str] = &[
    "outcome",
    "kind",
    "purpose",
    "name",
    "description",
    "package.id",
    "package.name",
    "package.version",
    "package.product_id",
    "source_versions",
    "target.selection",
    "target.scope",
    "target.percentage",
    "target.groups",
    "target.device_ids",
    "target.product_id",
    "target.device_type",
    "target.model",
    "target.manufacturer",
    "schedule.mode",
    "schedule.starts_at",
    "schedule.ends_at",
    "policy.max_retries",
    "policy.retry_interval_s",
    "policy.timeout_s",
    "policy.max_devices_per_minute",
    "policy.requires_confirmation",
    "policy.pushed",
    "policy.overwrite",
    "policy.download_protocol",
    "stats",
    "tags",
    "created_at",
    "updated_at",
    "started_at",
    "ended_at",
];

/// Every field of statistics, in the order of the API.
pub const JOB_STATS: &[&str] = &[
    "total",
    "not_started",
    "pending",
    "in_progress",
    "succeeded",
    "failed",
    "canceled",
    "skipped",
    "unknown",
    "timed_out",
    "outcome",
];

/// Every optional field of a task, in the order of the API.
pub const TASK: &[&str] = &[
    "device.id",
    "device.name",
    "device.product_id",
    "device.product_name",
    "stage",
    "progress_percent",
    "package_id",
    "from_version",
    "to_version",
    "message",
    "failure",
    "timeout_s",
    "created_at",
    "updated_at",
    "started_at",
    "ended_at",
];

fn present<const N: usize>(fields: [(&'static str, bool); N]) -> Fields {
    let present = fields.into_iter().filter(|(_, is_present)| *is_present);
    present.map(|(name, _)| name).collect()
}

/// Returns the optional fields that a job has.
#[must_use]
pub fn of_job(job: &Job) -> Fields {
    let Job {
        provider: _,
        id: _,
        status: _,
        outcome,
        kind,
        purpose,
        name,
        description,
        package,
        source_versions,
        target,
        schedule,
        policy,
        stats,
        tags,
        created_at,
        updated_at,
        started_at,
        ended_at,
        vendor: _,
        detail: _,
    } = job;
    let mut fields = present([
        ("outcome", outcome.is_some()),
        ("kind", kind.is_some()),
        ("purpose", purpose.is_some()),
        ("name", name.is_some()),
        ("description", description.is_some()),
        ("source_versions", !source_versions.is_empty()),
        ("stats", stats.is_some()),
        ("tags", !tags.is_empty()),
        ("created_at", created_at.is_some()),
        ("updated_at", updated_at.is_some()),
        ("started_at", started_at.is_some()),
        ("ended_at", ended_at.is_some()),
    ]);
    if let Some(package) = package {
        fields.extend(of_package(package));
    }
    fields.extend(of_target(target));
    fields.extend(of_schedule(schedule));
    fields.extend(of_policy(policy));
    fields
}

fn of_package(package: &Package) -> Fields {
    let Package {
        id,
        name,
        version,
        product_id,
    } = package;
    present([
        ("package.id", id.is_some()),
        ("package.name", name.is_some()),
        ("package.version", version.is_some()),
        ("package.product_id", product_id.is_some()),
    ])
}

fn of_target(target: &Target) -> Fields {
    let Target {
        selection,
        scope,
        percentage,
        groups,
        device_ids,
        product_id,
        device_type,
        model,
        manufacturer,
    } = target;
    present([
        ("target.selection", selection.is_some()),
        ("target.scope", scope.is_some()),
        ("target.percentage", percentage.is_some()),
        ("target.groups", !groups.is_empty()),
        ("target.device_ids", !device_ids.is_empty()),
        ("target.product_id", product_id.is_some()),
        ("target.device_type", device_type.is_some()),
        ("target.model", model.is_some()),
        ("target.manufacturer", manufacturer.is_some()),
    ])
}

fn of_schedule(schedule: &Schedule) -> Fields {
    let Schedule {
        mode,
        starts_at,
        ends_at,
    } = schedule;
    present([
        ("schedule.mode", mode.is_some()),
        ("schedule.starts_at", starts_at.is_some()),
        ("schedule.ends_at", ends_at.is_some()),
    ])
}

fn of_policy(policy: &Policy) -> Fields {
    let Policy {
        max_retries,
        retry_interval_s,
        timeout_s,
        max_devices_per_minute,
        requires_confirmation,
        pushed,
        overwrite,
        download_protocol,
    } = policy;
    present([
        ("policy.max_retries", max_retries.is_some()),
        ("policy.retry_interval_s", retry_interval_s.is_some()),
        ("policy.timeout_s", timeout_s.is_some()),
        (
            "policy.max_devices_per_minute",
            max_devices_per_minute.is_some(),
        ),
        (
            "policy.requires_confirmation",
            requires_confirmation.is_some(),
        ),
        ("policy.pushed", pushed.is_some()),
        ("policy.overwrite", overwrite.is_some()),
        ("policy.download_protocol", download_protocol.is_some()),
    ])
}

/// Returns the fields that statistics have.
#[must_use]
pub fn of_job_stats(stats: &JobStats) -> Fields {
    let JobStats {
        total,
        not_started,
        pending,
        in_progress,
        succeeded,
        failed,
        canceled,
        skipped,
        unknown,
        timed_out,
        outcome,
    } = stats;
    present([
        ("total", total.is_some()),
        ("not_started", not_started.is_some()),
        ("pending", pending.is_some()),
        ("in_progress", in_progress.is_some()),
        ("succeeded", succeeded.is_some()),
        ("failed", failed.is_some()),
        ("canceled", canceled.is_some()),
        ("skipped", skipped.is_some()),
        ("unknown", unknown.is_some()),
        ("timed_out", timed_out.is_some()),
        ("outcome", outcome.is_some()),
    ])
}

/// Returns the optional fields that a task has.
#[must_use]
pub fn of_task(task: &Task) -> Fields {
    let Task {
        provider: _,
        job_id: _,
        id: _,
        device,
        status: _,
        stage,
        progress_percent,
        package_id,
        from_version,
        to_version,
        message,
        failure,
        timeout_s,
        created_at,
        updated_at,
        started_at,
        ended_at,
        vendor: _,
    } = task;
    let mut fields = present([
        ("stage", stage.is_some()),
        ("progress_percent", progress_percent.is_some()),
        ("package_id", package_id.is_some()),
        ("from_version", from_version.is_some()),
        ("to_version", to_version.is_some()),
        ("message", message.is_some()),
        ("failure", failure.is_some()),
        ("timeout_s", timeout_s.is_some()),
        ("created_at", created_at.is_some()),
        ("updated_at", updated_at.is_some()),
        ("started_at", started_at.is_some()),
        ("ended_at", ended_at.is_some()),
    ]);
    let Device {
        id,
        name,
        product_id,
        product_name,
    } = device;
    fields.extend(present([
        ("device.id", id.is_some()),
        ("device.name", name.is_some()),
        ("device.product_id", product_id.is_some()),
        ("device.product_name", product_name.is_some()),
    ]));
    fields
}
