//! Identifiers and status values: 26 letters and digits, of which the last four name the kind.

use crate::fleet::{Failure, Stage, Stream, Vocabulary};

/// The vendor's identifiers and status values.
pub(super) struct Words;

impl Vocabulary for Words {
    /// `ProductKey`: 11 letters and digits that start with `a1`.
    fn product_id(&self, seed: u64, product: u64) -> String {
        format!("a1{}", Stream::of(seed, &[0x9800, product]).letters(9))
    }

    /// `FirmwareId`
    fn package_id(&self, seed: u64, package: u64) -> String {
        format!("{}0100", Stream::of(seed, &[0x9A00, package]).letters(22))
    }

    /// `JobId`
    fn job_id(&self, seed: u64, job: u64) -> String {
        format!("{}0200", Stream::of(seed, &[0x1D00, job]).letters(22))
    }

    /// `TaskId`
    fn task_id(&self, seed: u64, job: u64, task: u64) -> String {
        format!("{}0100", Stream::of(seed, &[0x7A51, job, task]).letters(22))
    }

    /// `IotId`
    fn device_id(&self, seed: u64, product: u64, device: u64) -> String {
        let mut stream = Stream::of(seed, &[0xDE01, product, device]);
        format!("{}000100", stream.letters(20))
    }

    fn stage(&self, status: &str) -> Option<Stage> {
        Stage::ALL
            .into_iter()
            .find(|stage| task_status(*stage).eq_ignore_ascii_case(status))
    }

    /// `DeviceName`: 4 to 32 letters, digits and `-_@.:` (page of RegisterDevice).
    fn takes_device_name(&self, name: &str) -> bool {
        (4..=32).contains(&name.len())
            && name
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || "-_@.:".contains(c))
    }
}

/// `TaskStatus`
pub(super) fn task_status(stage: Stage) -> &'static str {
    match stage {
        Stage::Confirm => "CONFIRM",
        Stage::Queued => "QUEUED",
        Stage::Notified => "NOTIFIED",
        Stage::InProgress => "IN_PROGRESS",
        Stage::Succeeded => "SUCCEEDED",
        Stage::Failed => "FAILED",
        Stage::Canceled => "CANCELED",
    }
}

/// `TaskDesc` of a failed task. Only the first text is in a vendor document (sample of ListOTATaskByJob); the others
/// follow the meanings of the error steps -1 to -4 that devices report, and one is hostile on purpose.
pub(super) fn failure_text(failure: Failure) -> &'static str {
    match failure {
        Failure::NeverOnline => "report version is not conform",
        Failure::NoReport => "upgrade timeout",
        Failure::Download => "download failed",
        Failure::Integrity => "verify failed",
        Failure::Offline => "下载升级包失败：网络 <弱> & 不稳定\n已重试 3/3 次",
        Failure::Storage => "burn failed",
        Failure::Update => "upgrade failed",
        Failure::SameVersion => "",
    }
}
