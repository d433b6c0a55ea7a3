//! Statistics of a job: the vendor has none, so the tasks in each status are counted.

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

/// Counts by eight one-row calls: one without a filter, then one for each status, side by side.
///
/// Tasks move while the calls run: one that is counted in two statuses, or in none, makes numbers that do not fit. They are then read
/// once more. The outcome is left to the caller, who knows whether the batch still runs.
pub(crate) async fn count_tasks(client: &Client, cx: &Context, job_id: &JobId) -> Result<JobStats> {
    let first = read_counts(client, cx, job_id).await?;
    if first.fit() {
        return Ok(first.stats(true));
    }
    let second = read_counts(client, cx, job_id).await?;
    // The same numbers twice, and no task that could be on its way: what is in no known status is in an unknown one. While tasks are
    // open, the same numbers prove nothing: one task may have come into a status as another one left it.
    let stable = first == second && !second.open();
    let explained = second.fit() || (stable && second.rest().is_some());
    if !explained {
        let source = client.account.source(LIST_TASKS);
        source.report(DriftKind::Page, "Total");
    }
    Ok(second.stats(stable))
}

async fn read_counts(client: &Client, cx: &Context, job_id: &JobId) -> Result<Counts> {
    // Before the others: a job that the vendor does not know, or a call that it refuses, costs one call and not eight.
    let total = count(client, cx, job_id, None).await?;
    // The first error ends the calls that have not been sent yet.
    let counts = TASK_STATUSES
        .iter()
        .map(|(status, _, _)| count_status(client, cx, job_id, status));
    let statuses = try_join_all(counts).await?;
    Ok(Counts { total, statuses })
}

/// What one reading of a job's counts gave.
#[derive(Debug, PartialEq, Eq)]
struct Counts {
    total: Option<u64>,
    /// One for each of [`TASK_STATUSES`]; none for a status that the platform does not know.
    statuses: Vec<Option<u64>>,
}

impl Counts {
    /// The tasks in all counted statuses; none for more than a number holds.
    fn sum(&self) -> Option<u64> {
        let mut statuses = self.statuses.iter().flatten();
        statuses.try_fold(0_u64, |sum, count| sum.checked_add(*count))
    }

    /// The tasks in none of the counted statuses; none when the statuses count more than there are.
    fn rest(&self) -> Option<u64> {
        self.total?.checked_sub(self.sum()?)
    }

    /// Whether a task is in a status that it may leave.
    fn open(&self) -> bool {
        let statuses = TASK_STATUSES.iter().zip(&self.statuses);
        statuses
            .filter(|((_, of, _), _)| matches!(of, TaskStatus::Pending | TaskStatus::InProgress))
            .any(|(_, count)| *count != Some(0))
    }

    fn every_status_counts(&self) -> bool {
        self.statuses.iter().all(Option::is_some)
    }

    /// Whether the numbers fit each other. Where a status cannot be counted, a rest is nothing odd.
    fn fit(&self) -> bool {
        self.total.is_none()
            || match self.rest() {
                Some(0) => true,
                Some(_) => !self.every_status_counts(),
                None => false,
            }
    }

    /// Makes statistics of the counts; `stable` says that no task can have moved while they were read.
    fn stats(&self, stable: bool) -> JobStats {
        let sum = |status: TaskStatus| {
            let statuses = TASK_STATUSES.iter().zip(&self.statuses);
            let mut counts = statuses.filter(|((_, of, _), _)| *of == status);
            let mut counts = counts.by_ref().filter_map(|(_, count)| *count);
            let first = counts.next()?;
            counts.try_fold(first, u64::checked_add)
        };
        let rest = self.rest();
        // Without the number of CONFIRM the pending ones are given only where nothing is left that could be among them.
        let whole = rest == Some(0) || self.every_status_counts();
        JobStats {
            not_started: None,
            // A total that is smaller than its parts is none.
            total: self.total.filter(|_| rest.is_some()),
            pending: sum(TaskStatus::Pending).filter(|_| whole),
            in_progress: sum(TaskStatus::InProgress),
            succeeded: sum(TaskStatus::Succeeded),
            failed: sum(TaskStatus::Failed),
            canceled: sum(TaskStatus::Canceled),
            skipped: None,
            // A rest is tasks in unknown statuses only if no task was on its way from one status to the next.
            unknown: rest.filter(|rest| *rest == 0 || (stable && self.every_status_counts())),
            timed_out: None,
            outcome: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Counts, TASK_STATUSES};

    #[test]
    fn counts_beyond_every_number_fit_nothing() {
        let mut statuses = vec![Some(0); TASK_STATUSES.len()];
        statuses[0] = Some(u64::MAX);
        statuses[1] = Some(5);
        let counts = Counts {
            total: Some(u64::MAX),
            statuses,
        };
        assert!(!counts.fit());
        let stats = counts.stats(true);
        assert_eq!((stats.total, stats.unknown), (None, None));
    }
}
