//! The counts of a job: as text in the database, and which of two sources is shown.

use ota_core::job::{JobOutcome, JobStats, JobStatus};
use ota_core::task::TaskStatus;

use crate::codes::Code;

/// The counts of the task rows of a job that have not vanished.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct OwnCounts {
    /// By status, in the order of their numbers.
    pub(crate) by_status: [i64; 7],
    /// Those in `failed` that timed out.
    pub(crate) timed_out: i64,
}

impl OwnCounts {
    /// Adds tasks of a status.
    pub(crate) fn add(&mut self, status: i64, timed_out: bool, number: i64) {
        let place = usize::try_from(status - 1).unwrap_or(usize::MAX);
        if let Some(count) = self.by_status.get_mut(place) {
            *count += number;
        }
        if timed_out {
            self.timed_out += number;
        }
    }

    /// Returns them as the API has them.
    pub(crate) fn stats(&self, status: JobStatus) -> JobStats {
        let of = |word: TaskStatus| {
            let place = usize::try_from(word.code() - 1).unwrap_or(usize::MAX);
            self.by_status
                .get(place)
                .and_then(|count| u64::try_from(*count).ok())
        };
        let total = self.by_status.iter().sum::<i64>();
        let mut stats = JobStats {
            not_started: None,
            total: u64::try_from(total).ok(),
            pending: of(TaskStatus::Pending),
            in_progress: of(TaskStatus::InProgress),
            succeeded: of(TaskStatus::Succeeded),
            failed: of(TaskStatus::Failed),
            canceled: of(TaskStatus::Canceled),
            skipped: of(TaskStatus::Skipped),
            unknown: of(TaskStatus::Unknown),
            timed_out: u64::try_from(self.timed_out).ok(),
            outcome: None,
        };
        stats.outcome = stats.proven_outcome(status);
        stats
    }
}

/// Returns counts as text: numbers separated by commas, nothing for those that are missing.
pub(crate) fn to_text(stats: &JobStats) -> String {
    let numbers = [
        stats.not_started,
        stats.total,
        stats.pending,
        stats.in_progress,
        stats.succeeded,
        stats.failed,
        stats.canceled,
        stats.skipped,
        stats.unknown,
        stats.timed_out,
        stats
            .outcome
            .and_then(|outcome| u64::try_from(outcome.code()).ok()),
    ];
    let texts = numbers.map(|number| number.map(|n| n.to_string()).unwrap_or_default());
    texts.join(",")
}

/// Reads what [`to_text`] wrote; none for the empty text.
pub(crate) fn from_text(text: &str) -> Option<JobStats> {
    if text.is_empty() {
        return None;
    }
    let mut numbers = text.split(',').map(|number| number.parse::<u64>().ok());
    let mut next = || numbers.next().flatten();
    let mut stats = JobStats {
        not_started: next(),
        total: next(),
        pending: next(),
        in_progress: next(),
        succeeded: next(),
        failed: next(),
        canceled: next(),
        skipped: next(),
        unknown: next(),
        timed_out: next(),
        outcome: None,
    };
    stats.outcome = next()
        .and_then(|code| i64::try_from(code).ok())
        .and_then(JobOutcome::from_code);
    Some(stats)
}

/// Whether two counts say the same as far as both say something. Vendors leave numbers out that the rows have.
pub(crate) fn agree(a: &JobStats, b: &JobStats) -> bool {
    let pairs = [
        (a.not_started, b.not_started),
        (a.total, b.total),
        (a.pending, b.pending),
        (a.in_progress, b.in_progress),
        (a.succeeded, b.succeeded),
        (a.failed, b.failed),
        (a.canceled, b.canceled),
        (a.skipped, b.skipped),
        (a.unknown, b.unknown),
    ];
    pairs
        .into_iter()
        .all(|(a, b)| a.zip(b).is_none_or(|(a, b)| a == b))
}

/// What decides which counts are shown.
#[derive(Clone, Debug)]
pub(crate) struct Sources {
    pub(crate) status: JobStatus,
    pub(crate) truncated: bool,
    pub(crate) vendor: Option<JobStats>,
    pub(crate) vendor_at: i64,
    pub(crate) own: OwnCounts,
    /// When all tasks were last read; negative: never.
    pub(crate) tasks_as_of: i64,
}

impl Sources {
    /// Returns the counts to show. Where both sources say the same, those of the rows, which know more; else the vendor's, unless all tasks were read later.
    ///
    /// Rows that are newer than the vendor's counts are no reason to count rows: while a job is read page by page, half of them are older.
    pub(crate) fn shown(&self) -> Option<JobStats> {
        let own_is_whole = self.tasks_as_of >= 0 && !self.truncated;
        let own = own_is_whole.then(|| self.own.stats(self.status));
        let Some(vendor) = &self.vendor else {
            return own;
        };
        match own {
            Some(own) if agree(vendor, &own) => Some(JobStats {
                not_started: vendor.not_started,
                timed_out: vendor.timed_out.or(own.timed_out),
                outcome: own.outcome.or(self.outcome_of(vendor)),
                ..own
            }),
            Some(own) if self.vendor_at < self.tasks_as_of => Some(own),
            _ => Some(JobStats {
                outcome: self.outcome_of(vendor),
                ..vendor.clone()
            }),
        }
    }

    /// What the vendor's counts say about a job in its present status, which may be another one than when they were told.
    fn outcome_of(&self, vendor: &JobStats) -> Option<JobOutcome> {
        match self.status.has_ended() {
            true => vendor.outcome.or(vendor.proven_outcome(self.status)),
            false => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{OwnCounts, Sources, agree, from_text, to_text};
    use ota_core::job::{JobOutcome, JobStats, JobStatus};

    #[test]
    fn text_holds_every_count() {
        let stats = JobStats {
            not_started: Some(1),
            total: Some(10),
            pending: None,
            failed: Some(3),
            timed_out: Some(2),
            outcome: Some(JobOutcome::Partial),
            ..JobStats::default()
        };
        assert_eq!(from_text(&to_text(&stats)), Some(stats));
        assert_eq!(from_text(""), None);
        assert_eq!(
            from_text(&to_text(&JobStats::default())),
            Some(JobStats::default())
        );
    }

    #[test]
    fn the_newest_whole_counts_are_shown() {
        let vendor = JobStats {
            total: Some(9),
            ..JobStats::default()
        };
        let mut own = OwnCounts::default();
        own.add(4, true, 2);
        let mut sources = Sources {
            status: JobStatus::Completed,
            truncated: false,
            vendor: Some(vendor.clone()),
            vendor_at: 10,
            own,
            tasks_as_of: -1,
        };
        assert_eq!(
            sources.shown(),
            Some(vendor.clone()),
            "rows were never all read"
        );
        sources.tasks_as_of = 15;
        let shown = sources.shown().expect("counts");
        assert_eq!((shown.total, shown.timed_out), (Some(2), Some(2)));
        assert_eq!(shown.outcome, Some(JobOutcome::Failed));
        sources.truncated = true;
        assert_eq!(
            sources.shown(),
            Some(vendor.clone()),
            "rows are not all told"
        );
        sources.truncated = false;
        sources.vendor_at = 16;
        assert_eq!(
            sources.shown(),
            Some(vendor.clone()),
            "the vendor has counted since all rows were read"
        );
        let told = JobStats {
            total: Some(2),
            failed: Some(2),
            not_started: Some(7),
            ..JobStats::default()
        };
        sources.vendor = Some(told);
        let shown = sources.shown().expect("counts");
        assert_eq!(
            (shown.skipped, shown.timed_out, shown.not_started),
            (Some(0), Some(2), Some(7)),
            "the rows know more, and say the same"
        );
        sources.status = JobStatus::InProgress;
        assert_eq!(sources.shown().and_then(|shown| shown.outcome), None);
        sources.truncated = true;
        sources.vendor = None;
        assert_eq!(sources.shown(), None);
        assert!(agree(&vendor, &JobStats::default()));
        assert!(!agree(&vendor, &shown));
    }
}
