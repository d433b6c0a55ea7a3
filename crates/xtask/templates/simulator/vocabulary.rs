//! Identifiers and status values. Each comes from the vendor's documents; the values here stand in their place.

use crate::fleet::{Phase, Stage, Stream, Vocabulary};

/// Statuses of tasks with the stages that they stand for.
pub(super) const TASK_STATUSES: [(&str, &[Stage]); 5] = [
    (
        "waiting",
        &[Stage::Confirm, Stage::Queued, Stage::Notified],
    ),
    ("running", &[Stage::InProgress]),
    ("finished", &[Stage::Succeeded]),
    ("error", &[Stage::Failed]),
    ("canceled", &[Stage::Canceled]),
];

/// Returns the status of a job.
pub(super) fn job_status(phase: Phase) -> &'static str {
    match phase {
        Phase::Planned => "ready",
        Phase::InProgress => "running",
        Phase::Completed => "finished",
        Phase::Canceled => "stopped",
    }
}

/// The vendor's identifiers and status values.
pub(super) struct Words;

impl Vocabulary for Words {
    fn product_id(&self, _seed: u64, product: u64) -> String {
        product.to_string()
    }

    fn package_id(&self, seed: u64, package: u64) -> String {
        Stream::of(seed, &[1, package]).uuid()
    }

    fn job_id(&self, seed: u64, job: u64) -> String {
        Stream::of(seed, &[2, job]).uuid()
    }

    fn task_id(&self, seed: u64, job: u64, task: u64) -> String {
        Stream::of(seed, &[3, job, task]).uuid()
    }

    fn device_id(&self, seed: u64, product: u64, device: u64) -> String {
        Stream::of(seed, &[4, product, device]).uuid()
    }

    fn stage(&self, status: &str) -> Option<Stage> {
        let (_, stages) = TASK_STATUSES
            .iter()
            .find(|(one, _)| one.eq_ignore_ascii_case(status))?;
        stages.first().copied()
    }
}
