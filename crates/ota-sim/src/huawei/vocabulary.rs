//! Identifiers and status values: UUIDs, and hexadecimal for packages.

use crate::fleet::{Failure, Stage, Stream, Vocabulary};

/// Statuses of sub-tasks with the stages that they stand for.
pub(super) const SUB_STATUSES: [(&str, &[Stage]); 5] = [
    ("wait", &[Stage::Confirm, Stage::Queued, Stage::Notified]),
    ("processing", &[Stage::InProgress]),
    ("success", &[Stage::Succeeded]),
    ("fail", &[Stage::Failed]),
    ("stop", &[Stage::Canceled]),
];

/// The vendor's identifiers and status values.
pub(super) struct Words;

impl Vocabulary for Words {
    /// Products have no identifier of their own; operations name the device type.
    fn product_id(&self, _seed: u64, product: u64) -> String {
        product.to_string()
    }

    /// `fileId`
    fn package_id(&self, seed: u64, package: u64) -> String {
        Stream::of(seed, &[0x9B00, package]).hex(24)
    }

    /// `operationId`
    fn job_id(&self, seed: u64, job: u64) -> String {
        Stream::of(seed, &[0x1D01, job]).uuid()
    }

    /// `subOperationId`
    fn task_id(&self, seed: u64, job: u64, task: u64) -> String {
        Stream::of(seed, &[0x7A52, job, task]).uuid()
    }

    /// `deviceId`
    fn device_id(&self, seed: u64, product: u64, device: u64) -> String {
        Stream::of(seed, &[0xDE02, product, device]).uuid()
    }

    fn stage(&self, status: &str) -> Option<Stage> {
        let (_, stages) = SUB_STATUSES
            .iter()
            .find(|(one, _)| one.eq_ignore_ascii_case(status))?;
        let usual = |stage: &&Stage| **stage == Stage::Queued;
        stages.iter().find(usual).or(stages.first()).copied()
    }
}

/// `detailInfo` of a failed sub-task, from the vendor's list of failure causes (IoT FAQ).
pub(super) fn failure_text(failure: Failure) -> &'static str {
    match failure {
        Failure::NeverOnline => "Waiting for the device online timeout",
        Failure::NoReport => "Wait for the device to report upgrade result timeout",
        Failure::Download => "Connection lost during downloading process",
        Failure::Integrity => "Integrity check failure for new downloaded package",
        Failure::Offline => "Device Abnormal is not online",
        Failure::Storage => "Not enough storage for the new firmware package",
        Failure::Update => "Firmware update failed",
        Failure::SameVersion => "The current version is the same as the target version",
    }
}
