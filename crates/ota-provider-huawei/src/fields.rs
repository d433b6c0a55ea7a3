//! The neutral fields that this adapter fills (docs/vendors/huawei.md, 1.6 and 1.7).

use ota_core::fields::FieldSupport;

/// A row of the task list is as complete as the answer for a single task.
const JOB: &[&str] = &[
    "outcome",
    "kind",
    "purpose",
    "target.scope",
    "target.groups",
    "target.device_ids",
    "target.device_type",
    "target.model",
    "target.manufacturer",
    "schedule.mode",
    "schedule.starts_at",
    "schedule.ends_at",
    "policy.max_retries",
    "stats",
    "created_at",
    "started_at",
    "ended_at",
];

pub(crate) const FIELDS: FieldSupport = FieldSupport {
    job_row: JOB,
    job: JOB,
    job_stats: &[
        "total",
        "pending",
        "in_progress",
        "succeeded",
        "failed",
        "canceled",
        "timed_out",
        "outcome",
    ],
    task: &[
        "device.id",
        "message",
        "failure",
        "created_at",
        "started_at",
        "ended_at",
    ],
};
