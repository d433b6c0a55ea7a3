//! Comparing the vendor's counts with the rows of the mirror.

use ota_core::filter::TaskFilter;
use ota_core::job::JobStats;
use ota_core::task::{TaskStage, TaskStatus};

/// A part of a job's tasks that one filter finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// Tasks in a status.
    Status(TaskStatus),
    /// Pending tasks in a stage.
    Stage(TaskStage),
}

impl Part {
    /// What devices work on: only here does something change that no count tells.
    pub(crate) const OPEN: [Self; 2] = [
        Self::Status(TaskStatus::InProgress),
        Self::Stage(TaskStage::Notified),
    ];

    /// The others: all of them together are all tasks but those in unknown statuses.
    pub(crate) const OTHER: [Self; 6] = [
        Self::Stage(TaskStage::AwaitingConfirmation),
        Self::Stage(TaskStage::Queued),
        Self::Status(TaskStatus::Succeeded),
        Self::Status(TaskStatus::Failed),
        Self::Status(TaskStatus::Canceled),
        Self::Status(TaskStatus::Skipped),
    ];

    /// Returns the filter that finds it.
    pub(crate) fn filter(self) -> TaskFilter {
        match self {
            Self::Status(status) => TaskFilter {
                status: vec![status],
                ..TaskFilter::default()
            },
            Self::Stage(stage) => TaskFilter {
                stage: vec![stage],
                ..TaskFilter::default()
            },
        }
    }

    /// Returns the status of its tasks.
    pub(crate) fn status(self) -> TaskStatus {
        match self {
            Self::Status(status) => status,
            Self::Stage(_) => TaskStatus::Pending,
        }
    }

    /// Returns its stage, for a part of a status.
    pub(crate) fn stage(self) -> Option<TaskStage> {
        match self {
            Self::Status(_) => None,
            Self::Stage(stage) => Some(stage),
        }
    }
}

/// Adds the counts of parts up. `total` is what the vendor counts without a filter; none if it was not asked.
pub(crate) fn sum(parts: &[(Part, u64)], total: Option<u64>) -> JobStats {
    let of = |status: TaskStatus| {
        let mut parts = parts.iter().filter(|(part, _)| part.status() == status);
        let (_, first) = parts.next()?;
        Some(parts.fold(*first, |sum, (_, count)| sum.saturating_add(*count)))
    };
    let sum = parts
        .iter()
        .fold(0_u64, |sum, (_, count)| sum.saturating_add(*count));
    JobStats {
        // A total that is smaller than the sum of its parts was counted at another time.
        total: total.or(Some(sum)).filter(|total| *total >= sum),
        pending: of(TaskStatus::Pending),
        in_progress: of(TaskStatus::InProgress),
        succeeded: of(TaskStatus::Succeeded),
        failed: of(TaskStatus::Failed),
        canceled: of(TaskStatus::Canceled),
        skipped: of(TaskStatus::Skipped),
        unknown: (total == Some(sum)).then_some(0),
        ..JobStats::default()
    }
}

/// Returns the count of a status.
pub(crate) fn of(stats: &JobStats, status: TaskStatus) -> Option<u64> {
    match status {
        TaskStatus::Pending => stats.pending,
        TaskStatus::InProgress => stats.in_progress,
        TaskStatus::Succeeded => stats.succeeded,
        TaskStatus::Failed => stats.failed,
        TaskStatus::Canceled => stats.canceled,
        TaskStatus::Skipped => stats.skipped,
        TaskStatus::Unknown => stats.unknown,
    }
}

/// What the comparison says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Comparison {
    /// The vendor tells no counts.
    Nothing,
    /// Every count that the vendor tells is that of the rows.
    Equal,
    /// Some are not.
    Different {
        /// Statuses of which the vendor has more tasks than the mirror.
        grown: Vec<TaskStatus>,
    },
}

/// Compares counts of the vendor with those of the rows.
pub(crate) fn compare(vendor: &JobStats, own: &JobStats) -> Comparison {
    let mut told = false;
    let mut differs = false;
    let mut grown = Vec::new();
    for status in TaskStatus::ALL.iter().copied() {
        let Some(count) = of(vendor, status) else {
            continue;
        };
        told = true;
        let rows = of(own, status).unwrap_or(0);
        differs |= count != rows;
        if count > rows {
            grown.push(status);
        }
    }
    if let Some(total) = vendor.total {
        told = true;
        differs |= total != own.total.unwrap_or_else(|| own.counted());
    }
    match (told, differs) {
        (false, _) => Comparison::Nothing,
        (true, false) => Comparison::Equal,
        (true, true) => Comparison::Different { grown },
    }
}

/// Returns counts of rows with their total.
pub(crate) fn with_total(own: JobStats) -> JobStats {
    let total = own.total.or(Some(own.counted()));
    JobStats { total, ..own }
}

/// Whether the vendor says that no task is open any more.
pub(crate) fn nothing_open(stats: &JobStats) -> bool {
    let open = [stats.pending, stats.in_progress];
    open.iter().all(|count| *count == Some(0))
        && stats.total.is_some_and(|total| total > 0)
        && stats.not_started.unwrap_or(0) == 0
}

#[cfg(test)]
mod tests {
    use super::{Comparison, compare, nothing_open};
    use ota_core::job::JobStats;
    use ota_core::task::TaskStatus;

    #[test]
    fn only_counts_that_are_told_are_compared() {
        let own = JobStats {
            total: Some(3),
            pending: Some(1),
            failed: Some(2),
            ..JobStats::default()
        };
        let mut vendor = JobStats::default();
        assert_eq!(compare(&vendor, &own), Comparison::Nothing);
        vendor.failed = Some(2);
        assert_eq!(compare(&vendor, &own), Comparison::Equal);
        vendor.total = Some(4);
        let grown = Vec::new();
        assert_eq!(compare(&vendor, &own), Comparison::Different { grown });
        vendor.succeeded = Some(1);
        vendor.pending = Some(0);
        let grown = vec![TaskStatus::Succeeded];
        assert_eq!(compare(&vendor, &own), Comparison::Different { grown });
    }

    #[test]
    fn a_job_without_tasks_or_with_targets_to_come_is_open() {
        let mut stats = JobStats {
            total: Some(0),
            pending: Some(0),
            in_progress: Some(0),
            ..JobStats::default()
        };
        assert!(!nothing_open(&stats));
        stats.total = Some(2);
        assert!(nothing_open(&stats));
        stats.not_started = Some(1);
        assert!(!nothing_open(&stats));
    }
}
