//! Statistics of a job. The vendor has none, so the tasks in each status are counted.

use futures_util::future::try_join_all;
use ota_core::Result;
use ota_core::context::Context;
use ota_core::drift::DriftKind;
use ota_core::id::JobId;
use ota_core::job::JobStats;
use ota_core::task::TaskStatus;

use crate::client::Client;
use crate::map::status::TASK_STATUSES;
use crate::tasks::{LIST_TASKS, count, count_status};

/// Counts by eight calls for one row each: one without a filter, then one for each status, concurrently.
///
/// Tasks change their status while the calls are in progress: a task that is counted in two statuses or in none makes the counts inconsistent, and
/// they are read once more. The caller adds the outcome, since it knows whether the batch is still in progress.
pub(crate) async fn count_tasks(client: &Client, cx: &Context, job_id: &JobId) -> Result<JobStats> {
    let first = read_counts(client, cx, job_id).await?;
    if first.is_consistent() {
        return Ok(first.stats(true));
    }
    let second = read_counts(client, cx, job_id).await?;
    // The same counts twice, and no task that can change its status: tasks in no known status are in an unknown one. While tasks are
    // pending or in progress, equal counts prove nothing: one task may have entered a status as another one left it.
    let stable = first == second && !second.has_open_tasks();
    let explained = second.is_consistent() || (stable && second.uncounted().is_some());
    if !explained {
        let source = client.account.source(LIST_TASKS);
        source.report(DriftKind::Page, "Total");
    }
    Ok(second.stats(stable))
}

async fn read_counts(client: &Client, cx: &Context, job_id: &JobId) -> Result<Counts> {
    // Before the others: an unknown job, or a call that the vendor refuses, costs one call and not eight.
    let total = count(client, cx, job_id, None).await?;
    // The first error ends the calls that have not been sent yet.
    let counts = TASK_STATUSES
        .iter()
        .map(|(status, _, _)| count_status(client, cx, job_id, status));
    let statuses = try_join_all(counts).await?;
    Ok(Counts { total, statuses })
}

/// The counts of a job, read once.
#[derive(Debug, PartialEq, Eq)]
struct Counts {
    total: Option<u64>,
    /// One for each of [`TASK_STATUSES`]; `None` for a status that the platform does not know.
    statuses: Vec<Option<u64>>,
}

impl Counts {
    /// The number of tasks in all counted statuses; `None` if it overflows.
    fn sum(&self) -> Option<u64> {
        let mut statuses = self.statuses.iter().flatten();
        statuses.try_fold(0_u64, |sum, count| sum.checked_add(*count))
    }

    /// The number of tasks in none of the counted statuses; `None` if the statuses add up to more than the total.
    fn uncounted(&self) -> Option<u64> {
        self.total?.checked_sub(self.sum()?)
    }

    /// Whether a task may still change its status.
    fn has_open_tasks(&self) -> bool {
        let statuses = TASK_STATUSES.iter().zip(&self.statuses);
        statuses
            .filter(|((_, of, _), _)| matches!(of, TaskStatus::Pending | TaskStatus::InProgress))
            .any(|(_, count)| *count != Some(0))
    }

    fn every_status_counts(&self) -> bool {
        self.statuses.iter().all(Option::is_some)
    }

    /// Whether the counts are consistent. If a status cannot be counted, uncounted tasks are expected.
    fn is_consistent(&self) -> bool {
        self.total.is_none()
            || match self.uncounted() {
                Some(0) => true,
                Some(_) => !self.every_status_counts(),
                None => false,
            }
    }

    /// Returns the statistics; `stable` says that no task can have changed its status while the counts were read.
    fn stats(&self, stable: bool) -> JobStats {
        let sum = |status: TaskStatus| {
            let statuses = TASK_STATUSES.iter().zip(&self.statuses);
            let mut counts = statuses.filter(|((_, of, _), _)| *of == status);
            let mut counts = counts.by_ref().filter_map(|(_, count)| *count);
            let first = counts.next()?;
            counts.try_fold(first, u64::checked_add)
        };
        let uncounted = self.uncounted();
        // Without the count of CONFIRM, the pending tasks are reported only if no uncounted task could be among them.
        let complete = uncounted == Some(0) || self.every_status_counts();
        JobStats {
            not_started: None,
            // A total that is smaller than the sum of its parts is left out.
            total: self.total.filter(|_| uncounted.is_some()),
            pending: sum(TaskStatus::Pending).filter(|_| complete),
            in_progress: sum(TaskStatus::InProgress),
            succeeded: sum(TaskStatus::Succeeded),
            failed: sum(TaskStatus::Failed),
            canceled: sum(TaskStatus::Canceled),
            skipped: None,
            // Uncounted tasks are in unknown statuses only if none changed its status between two calls.
            unknown: uncounted
                .filter(|count| *count == 0 || (stable && self.every_status_counts())),
            timed_out: None,
            outcome: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Counts, TASK_STATUSES};

    #[test]
    fn counts_that_overflow_are_inconsistent() {
        let mut statuses = vec![Some(0); TASK_STATUSES.len()];
        statuses[0] = Some(u64::MAX);
        statuses[1] = Some(5);
        let counts = Counts {
            total: Some(u64::MAX),
            statuses,
        };
        assert!(!counts.is_consistent());
        let stats = counts.stats(true);
        assert_eq!((stats.total, stats.unknown), (None, None));
    }
}
