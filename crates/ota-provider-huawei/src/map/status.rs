//! The vendor's five status values.

use ota_core::job::{JobOutcome, JobStats, JobStatus};
use ota_core::task::TaskStatus;

/// A status value. A task (neutral: job) and a device of it (neutral: task) have the same five.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum VendorStatus {
    Wait,
    Processing,
    Success,
    Failed,
    Stop,
}

impl VendorStatus {
    /// Every value in the order of a task's life. Cursors count in this order, so it never changes.
    pub(crate) const ALL: [Self; 5] = [
        Self::Wait,
        Self::Processing,
        Self::Success,
        Self::Failed,
        Self::Stop,
    ];

    /// Reads the vendor's value, in any case.
    ///
    /// `wait`, `processing`, `failed`, `success` and `stop` for a task ("Querying an Upgrade Task List", page of 2022-02-24, read
    /// 2026-11-23); `fail` for a device and `FAIL` in the vendor's own example of a task (vendor notes, 1.6 and 1.8). `failure`,
    /// `succeeded` and `stopped` are not documented: they are taken so that another stem, as with `fail`, costs nothing.
    pub(crate) fn read(text: &str) -> Option<Self> {
        match text.trim().to_ascii_lowercase().as_str() {
            "wait" => Some(Self::Wait),
            "processing" => Some(Self::Processing),
            "success" | "succeeded" => Some(Self::Success),
            "failed" | "fail" | "failure" => Some(Self::Failed),
            "stop" | "stopped" => Some(Self::Stop),
            _ => None,
        }
    }

    /// Returns the value that the filter `operationStatus` takes.
    pub(crate) const fn of_operation(self) -> &'static str {
        match self {
            Self::Wait => "wait",
            Self::Processing => "processing",
            Self::Success => "success",
            Self::Failed => "failed",
            Self::Stop => "stop",
        }
    }

    /// Returns the value that the filter `subOperationStatus` takes: the same but for `fail`.
    pub(crate) const fn of_sub_operation(self) -> &'static str {
        match self {
            Self::Failed => "fail",
            Self::Wait | Self::Processing | Self::Success | Self::Stop => self.of_operation(),
        }
    }

    /// Returns where a job with this status is in its life.
    pub(crate) const fn job_status(self) -> JobStatus {
        match self {
            Self::Wait => JobStatus::Pending,
            Self::Processing => JobStatus::InProgress,
            Self::Success | Self::Failed => JobStatus::Completed,
            Self::Stop => JobStatus::Canceled,
        }
    }

    /// Returns how a job with this status ended, as far as its counts do not say otherwise.
    ///
    /// The vendor has one status for jobs that failed in part and as a whole, so that only the number of devices that succeeded tells them apart.
    pub(crate) fn job_outcome(self, stats: &JobStats) -> Option<JobOutcome> {
        let any = |counts: &[Option<u64>]| counts.iter().flatten().any(|count| *count > 0);
        if any(&[stats.pending, stats.in_progress]) {
            return None;
        }
        let all = stats.total.is_some() && stats.succeeded == stats.total;
        match self {
            Self::Success => {
                let fewer = stats.total.zip(stats.succeeded).is_some() && !all;
                let otherwise = any(&[stats.failed, stats.timed_out, stats.canceled]);
                (!fewer && !otherwise).then_some(JobOutcome::Succeeded)
            }
            Self::Failed => match stats.succeeded? {
                0 => Some(JobOutcome::Failed),
                _ if all => None,
                _ => Some(JobOutcome::Partial),
            },
            Self::Wait | Self::Processing | Self::Stop => None,
        }
    }

    /// Returns where a task with this status is in its life.
    pub(crate) const fn task_status(self) -> TaskStatus {
        match self {
            Self::Wait => TaskStatus::Pending,
            Self::Processing => TaskStatus::InProgress,
            Self::Success => TaskStatus::Succeeded,
            Self::Failed => TaskStatus::Failed,
            Self::Stop => TaskStatus::Canceled,
        }
    }
}

#[cfg(test)]
mod tests {
    use ota_core::job::{JobOutcome, JobStats, JobStatus};
    use ota_core::task::TaskStatus;

    use super::VendorStatus;

    #[test]
    fn every_word_has_its_neutral_status() {
        for (words, job, task) in [
            (
                &["wait", "WAIT", " Wait "][..],
                JobStatus::Pending,
                TaskStatus::Pending,
            ),
            (
                &["processing", "PROCESSING"],
                JobStatus::InProgress,
                TaskStatus::InProgress,
            ),
            (
                &["success", "SUCCESS", "succeeded"],
                JobStatus::Completed,
                TaskStatus::Succeeded,
            ),
            (
                &["failed", "fail", "FAIL", "Failed", "failure"],
                JobStatus::Completed,
                TaskStatus::Failed,
            ),
            (
                &["stop", "STOP", "stopped"],
                JobStatus::Canceled,
                TaskStatus::Canceled,
            ),
        ] {
            for word in words {
                let read = VendorStatus::read(word).unwrap();
                assert_eq!((read.job_status(), read.task_status()), (job, task));
            }
        }
        for word in ["", "timeout", "waiting", "ok", "fai", "失败"] {
            assert_eq!(VendorStatus::read(word), None, "{word}");
        }
    }

    #[test]
    fn a_word_that_is_sent_is_understood_when_it_comes_back() {
        for word in VendorStatus::ALL {
            assert_eq!(VendorStatus::read(word.of_operation()), Some(word));
            assert_eq!(VendorStatus::read(word.of_sub_operation()), Some(word));
        }
        assert_eq!(VendorStatus::Failed.of_operation(), "failed");
        assert_eq!(VendorStatus::Failed.of_sub_operation(), "fail");
    }

    #[test]
    fn an_outcome_is_told_of_finished_jobs_only() {
        for (word, succeeded, outcome) in [
            (VendorStatus::Success, None, Some(JobOutcome::Succeeded)),
            (VendorStatus::Failed, None, None),
            (VendorStatus::Failed, Some(0), Some(JobOutcome::Failed)),
            (VendorStatus::Failed, Some(1), Some(JobOutcome::Partial)),
            (VendorStatus::Stop, Some(1), None),
            (VendorStatus::Wait, None, None),
            (VendorStatus::Processing, Some(1), None),
        ] {
            let stats = JobStats {
                succeeded,
                ..JobStats::default()
            };
            assert_eq!(word.job_outcome(&stats), outcome, "{word:?}");
        }
    }
}
