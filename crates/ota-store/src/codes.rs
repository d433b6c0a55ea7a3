//! The numbers that words are stored as. A number is never given to another word: databases hold them.

use ota_core::job::{JobKind, JobOutcome, JobStatus};
use ota_core::task::{Failure, TaskStage, TaskStatus};

/// A word that is stored as a number of its own; 0 stands for none.
pub(crate) trait Code: Copy + 'static {
    /// Every word.
    const WORDS: &'static [Self];

    /// Returns its number, from 1 on.
    fn code(self) -> i64;

    /// Returns the word of a number.
    fn from_code(code: i64) -> Option<Self> {
        Self::WORDS.iter().copied().find(|word| word.code() == code)
    }
}

/// Returns the number of a word that may be missing.
pub(crate) fn optional_code<C: Code>(word: Option<C>) -> i64 {
    word.map_or(0, Code::code)
}

impl Code for JobStatus {
    const WORDS: &'static [Self] = Self::ALL;

    fn code(self) -> i64 {
        match self {
            Self::Pending => 1,
            Self::InProgress => 2,
            Self::Paused => 3,
            Self::Canceling => 4,
            Self::Completed => 5,
            Self::Canceled => 6,
            Self::Unknown => 7,
        }
    }
}

impl Code for JobOutcome {
    const WORDS: &'static [Self] = Self::ALL;

    fn code(self) -> i64 {
        match self {
            Self::Succeeded => 1,
            Self::Failed => 2,
            Self::Partial => 3,
        }
    }
}

impl Code for JobKind {
    const WORDS: &'static [Self] = Self::ALL;

    fn code(self) -> i64 {
        match self {
            Self::Firmware => 1,
            Self::Software => 2,
            Self::Other => 3,
        }
    }
}

impl Code for TaskStatus {
    const WORDS: &'static [Self] = Self::ALL;

    fn code(self) -> i64 {
        match self {
            Self::Pending => 1,
            Self::InProgress => 2,
            Self::Succeeded => 3,
            Self::Failed => 4,
            Self::Canceled => 5,
            Self::Skipped => 6,
            Self::Unknown => 7,
        }
    }
}

impl Code for TaskStage {
    const WORDS: &'static [Self] = Self::ALL;

    fn code(self) -> i64 {
        match self {
            Self::AwaitingConfirmation => 1,
            Self::Queued => 2,
            Self::Notified => 3,
            Self::Updating => 4,
        }
    }
}

impl Code for Failure {
    const WORDS: &'static [Self] = Self::ALL;

    fn code(self) -> i64 {
        match self {
            Self::Timeout => 1,
            Self::Offline => 2,
            Self::Download => 3,
            Self::Integrity => 4,
            Self::VersionMismatch => 5,
            Self::Incompatible => 6,
            Self::Storage => 7,
            Self::Conflict => 8,
            Self::Rejected => 9,
            Self::Other => 10,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Code;

    fn check<C: Code + PartialEq + std::fmt::Debug>() {
        for word in C::WORDS {
            assert!(word.code() > 0, "0 stands for none: {word:?}");
            assert_eq!(C::from_code(word.code()), Some(*word));
        }
        assert_eq!(C::from_code(0), None);
    }

    #[test]
    fn every_word_has_a_number_of_its_own() {
        check::<ota_core::job::JobStatus>();
        check::<ota_core::job::JobOutcome>();
        check::<ota_core::job::JobKind>();
        check::<ota_core::task::TaskStatus>();
        check::<ota_core::task::TaskStage>();
        check::<ota_core::task::Failure>();
    }
}
