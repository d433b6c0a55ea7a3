//! Statuses of jobs and tasks.
//!
//! Source: field tables of `QueryOTAJob` and `ListOTATaskByJob`, all editions (read 2026-11-23). Values are compared without regard to
//! case; the spelling `COMPLETE` is in the older English edition.

use ota_core::job::{JobKind, JobPurpose, JobStatus};
use ota_core::task::{TaskStage, TaskStatus};

/// The job statuses that this vendor can report; `unknown` stands for undocumented values.
pub(crate) const JOB_STATUSES: &[JobStatus] = &[
    JobStatus::Pending,
    JobStatus::InProgress,
    JobStatus::Completed,
    JobStatus::Canceled,
    JobStatus::Unknown,
];

/// The task statuses, in the order of a task's life.
pub(crate) const TASK_STATUSES: &[(&str, TaskStatus, Option<TaskStage>)] = &[
    (
        "CONFIRM",
        TaskStatus::Pending,
        Some(TaskStage::AwaitingConfirmation),
    ),
    ("QUEUED", TaskStatus::Pending, Some(TaskStage::Queued)),
    ("NOTIFIED", TaskStatus::Pending, Some(TaskStage::Notified)),
    (
        "IN_PROGRESS",
        TaskStatus::InProgress,
        Some(TaskStage::Updating),
    ),
    ("SUCCEEDED", TaskStatus::Succeeded, None),
    ("FAILED", TaskStatus::Failed, None),
    ("CANCELED", TaskStatus::Canceled, None),
];

/// The task status that older platforms do not know and refuse as a filter.
pub(crate) const CONFIRM: &str = "CONFIRM";

pub(crate) fn job_status(value: &str) -> Option<JobStatus> {
    match value.trim().to_ascii_uppercase().as_str() {
        "PLANNED" => Some(JobStatus::Pending),
        "IN_PROGRESS" => Some(JobStatus::InProgress),
        "COMPLETED" | "COMPLETE" => Some(JobStatus::Completed),
        "CANCELED" => Some(JobStatus::Canceled),
        _ => None,
    }
}

/// `VERFIY_FIRMWARE` is in every English edition, `VERIFY_FIRMWARE` in the Chinese ones.
pub(crate) fn job_type(value: &str) -> Option<(JobKind, JobPurpose)> {
    match value.to_ascii_uppercase().as_str() {
        "UPGRADE_FIRMWARE" => Some((JobKind::Firmware, JobPurpose::Upgrade)),
        "VERIFY_FIRMWARE" | "VERFIY_FIRMWARE" => Some((JobKind::Firmware, JobPurpose::Verify)),
        _ => None,
    }
}

pub(crate) fn task_status(value: &str) -> Option<(TaskStatus, Option<TaskStage>)> {
    let value = value.trim();
    TASK_STATUSES
        .iter()
        .find(|(known, _, _)| known.eq_ignore_ascii_case(value))
        .map(|(_, status, stage)| (*status, *stage))
}

#[cfg(test)]
mod tests {
    use super::{job_status, job_type, task_status};
    use ota_core::job::{JobKind, JobPurpose, JobStatus};
    use ota_core::task::{TaskStage, TaskStatus};

    #[test]
    fn every_documented_job_value_has_its_status() {
        for (value, status) in [
            ("PLANNED", Some(JobStatus::Pending)),
            ("IN_PROGRESS", Some(JobStatus::InProgress)),
            ("COMPLETED", Some(JobStatus::Completed)),
            ("COMPLETE", Some(JobStatus::Completed)),
            ("CANCELED", Some(JobStatus::Canceled)),
            ("completed", Some(JobStatus::Completed)),
            ("PAUSED", None),
            ("", None),
        ] {
            assert_eq!(job_status(value), status, "{value}");
        }
    }

    #[test]
    fn both_spellings_of_a_verification_job_are_one() {
        let verify = Some((JobKind::Firmware, JobPurpose::Verify));
        assert_eq!(job_type("VERIFY_FIRMWARE"), verify);
        assert_eq!(job_type("VERFIY_FIRMWARE"), verify);
        assert_eq!(
            job_type("UPGRADE_FIRMWARE"),
            Some((JobKind::Firmware, JobPurpose::Upgrade))
        );
        assert_eq!(job_type("UPGRADE_APP"), None);
    }

    #[test]
    fn every_documented_task_value_has_its_status_and_stage() {
        for (value, status) in [
            (
                "CONFIRM",
                Some((TaskStatus::Pending, Some(TaskStage::AwaitingConfirmation))),
            ),
            (
                "QUEUED",
                Some((TaskStatus::Pending, Some(TaskStage::Queued))),
            ),
            (
                "NOTIFIED",
                Some((TaskStatus::Pending, Some(TaskStage::Notified))),
            ),
            (
                "IN_PROGRESS",
                Some((TaskStatus::InProgress, Some(TaskStage::Updating))),
            ),
            ("SUCCEEDED", Some((TaskStatus::Succeeded, None))),
            ("FAILED", Some((TaskStatus::Failed, None))),
            ("CANCELED", Some((TaskStatus::Canceled, None))),
            ("Succeeded", Some((TaskStatus::Succeeded, None))),
            ("REMOVED", None),
        ] {
            assert_eq!(task_status(value), status, "{value}");
        }
    }
}
