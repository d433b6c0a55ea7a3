//! Statistics.

use ota_core::job::JobStats;
use ota_core::task::TaskStatus;

use crate::case::Verdict;
use crate::cases::{get_job, passed, skipped};
use crate::subject::{JobTruth, Subject, Trouble};
use crate::walk::ensure;

async fn stats_of(subject: &Subject, job: &JobTruth) -> Result<JobStats, String> {
    subject
        .reader()?
        .job_stats(&subject.context(), get_job(&job.id))
        .await
        .map_err(|error| format!("job_stats of `{}` failed: {error:?}", job.id))?
        .ok_or_else(|| format!("job_stats says that there is no job `{}`", job.id))
}

fn told(stats: &JobStats, status: TaskStatus) -> Option<u64> {
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

pub(crate) async fn statistics_equal_the_truth(subject: &Subject) -> Verdict {
    subject.truth.richest_job()?;
    for job in &subject.truth.jobs {
        let stats = stats_of(subject, job).await?;
        ensure!(
            stats
                .total
                .is_none_or(|total| total == job.tasks.len() as u64),
            "job `{}` has {} tasks, the statistics say {:?}",
            job.id,
            job.tasks.len(),
            stats.total
        );
        for status in TaskStatus::ALL {
            let really = job.counts.get(status).copied().unwrap_or(0);
            let count = told(&stats, *status);
            ensure!(
                count.is_none_or(|count| count == really),
                "job `{}` has {really} `{status}` tasks, the statistics say {count:?}",
                job.id
            );
            ensure!(
                count.is_some() || really == 0,
                "job `{}` has {really} `{status}` tasks, the statistics do not count them",
                job.id
            );
        }
        if let (Some(told), Some(really)) = (stats.timed_out, job.timed_out) {
            ensure!(
                told == really,
                "{really} tasks of job `{}` ran out of time, the statistics say {told}",
                job.id
            );
        }
    }
    passed()
}

pub(crate) async fn statistics_are_consistent(subject: &Subject) -> Verdict {
    for job in &subject.truth.jobs {
        let stats = stats_of(subject, job).await?;
        let parts: u64 = TaskStatus::ALL
            .iter()
            .filter_map(|status| told(&stats, *status))
            .sum();
        ensure!(
            stats.total.is_none_or(|total| parts <= total),
            "job `{}`: the parts are {parts}, the total is {:?}",
            job.id,
            stats.total
        );
        ensure!(
            stats.timed_out.unwrap_or(0) <= stats.failed.unwrap_or(u64::MAX),
            "job `{}`: {:?} timed out, {:?} failed",
            job.id,
            stats.timed_out,
            stats.failed
        );
        if let (Some(told), Some(proven)) = (stats.outcome, stats.proven_outcome()) {
            ensure!(
                told == proven,
                "job `{}`: the outcome is `{told}`, the counts prove `{proven}`",
                job.id
            );
        }
        let open = stats.pending.unwrap_or(0) + stats.in_progress.unwrap_or(0);
        ensure!(
            open == 0 || stats.outcome.is_none(),
            "job `{}` has {open} open tasks and an outcome",
            job.id
        );
    }
    passed()
}

/// Tasks that move while they are counted make numbers that do not fit; what is told must.
pub(crate) async fn counts_that_move_fit_each_other(subject: &Subject) -> Verdict {
    subject.warm_up().await?;
    let job = subject.truth.richest_job()?;
    for trouble in [Trouble::CountedTwice, Trouble::NotCounted] {
        let Some(_broken) = subject.break_vendor(trouble) else {
            return skipped(format!("the subject cannot make {trouble:?}"));
        };
        let stats = stats_of(subject, job).await?;
        ensure!(
            stats.total.is_none_or(|total| stats.counted() <= total),
            "{trouble:?}: the parts are {}, the total is {:?}",
            stats.counted(),
            stats.total
        );
        ensure!(
            stats
                .total
                .is_none_or(|total| total == job.tasks.len() as u64),
            "{trouble:?}: the total is {:?}, there are {} tasks",
            stats.total,
            job.tasks.len()
        );
        let really = job.counts.get(&TaskStatus::Unknown).copied().unwrap_or(0);
        ensure!(
            stats.unknown.is_none_or(|unknown| unknown == really),
            "{trouble:?}: {:?} tasks are said to be in a status that is not known, really {really}",
            stats.unknown
        );
    }
    passed()
}

pub(crate) async fn statistics_cost_no_more_than_the_capability_says(subject: &Subject) -> Verdict {
    subject.warm_up().await?;
    let job = subject.truth.richest_job()?;
    let before = subject.calls();
    stats_of(subject, job).await?;
    let cost = subject.calls() - before;
    let told = u64::from(subject.provider.capability().job_stats.calls);
    ensure!(
        (1..=told).contains(&cost),
        "statistics cost {cost} calls, the capability says {told}"
    );
    passed()
}
