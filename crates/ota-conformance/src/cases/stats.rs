//! Statistics.

use ota_core::job::{JobStats, JobStatus};
use ota_core::provider::JobFilter;
use ota_core::task::TaskStatus;

use crate::cases::{get_job, passed, skipped};
use crate::listing::{ensure, list_all_jobs};
use crate::subject::{JobTruth, Subject, Trouble};
use crate::verdict::Verdict;

async fn stats_of(subject: &Subject, job: &JobTruth) -> Result<JobStats, String> {
    subject
        .reader()?
        .job_stats(&subject.context(), get_job(&job.id))
        .await
        .map_err(|error| format!("job_stats of `{}` failed: {error:?}", job.id))?
        .ok_or_else(|| format!("job_stats says that there is no job `{}`", job.id))
}

fn reported(stats: &JobStats, status: TaskStatus) -> Option<u64> {
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
            let count = reported(&stats, *status);
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
        ensure!(
            stats.not_started == job.not_started
                || (stats.not_started.is_none() && job.not_started == Some(0)),
            "{:?} targets of job `{}` have no task yet, the statistics say {:?}",
            job.not_started,
            job.id,
            stats.not_started
        );
        if let (Some(reported), Some(really)) = (stats.timed_out, job.timed_out) {
            ensure!(
                reported == really,
                "{really} tasks of job `{}` ran out of time, the statistics say {reported}",
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
            .filter_map(|status| reported(&stats, *status))
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
        // If not everything is counted, nothing has to be reported.
        let counted = stats.total.is_some() && stats.succeeded.is_some();
        ensure!(
            stats.outcome == job.outcome() || (stats.outcome.is_none() && !counted),
            "job `{}`: the outcome is {:?}, really {:?}",
            job.id,
            stats.outcome,
            job.outcome()
        );
    }
    let listed = list_all_jobs(subject, &JobFilter::default(), 50).await?;
    for row in listed.rows() {
        let job = subject.truth.jobs.iter().find(|job| job.id == row.id);
        let really = job.and_then(JobTruth::outcome);
        ensure!(
            row.outcome.is_none_or(|reported| Some(reported) == really),
            "job `{}`: the list says the outcome {:?}, really {really:?}",
            row.id,
            row.outcome
        );
    }
    passed()
}

/// Devices join a job while it runs, and others are rolled out later: what is there now proves nothing.
pub(crate) async fn a_job_that_runs_has_no_outcome(subject: &Subject) -> Verdict {
    subject.warm_up().await?;
    let ended = |job: &&JobTruth| job.outcome().is_some();
    let ended: Vec<&JobTruth> = subject.truth.jobs.iter().filter(ended).collect();
    ensure!(!ended.is_empty(), "the truth has no job that has ended");
    let Some(_broken) = subject.break_vendor(Trouble::StillRunning) else {
        return skipped("the subject cannot say that jobs run on");
    };
    for job in ended {
        let stats = stats_of(subject, job).await?;
        ensure!(
            stats.outcome.is_none(),
            "job `{}` runs, and its outcome is {:?}",
            job.id,
            stats.outcome
        );
    }
    let listed = list_all_jobs(subject, &JobFilter::default(), 50).await?;
    for row in listed.rows() {
        let stats = row.stats.as_ref().and_then(|stats| stats.outcome);
        ensure!(
            row.outcome.is_none() && stats.is_none(),
            "job `{}` is `{}`, and its outcome is {:?} or {stats:?}",
            row.id,
            row.status,
            row.outcome
        );
    }
    passed()
}

/// Tasks that change while they are counted lead to inconsistent numbers; the reported ones must be consistent.
pub(crate) async fn counts_that_move_fit_each_other(subject: &Subject) -> Verdict {
    subject.warm_up().await?;
    let job = subject.truth.richest_job()?;
    for trouble in [
        Trouble::CountedTwice,
        Trouble::NotCounted,
        Trouble::NeverCounted,
    ] {
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
    let reported = u64::from(subject.provider.capability().job_stats.calls);
    ensure!(
        (1..=reported).contains(&cost),
        "statistics cost {cost} calls, the capability says {reported}"
    );
    passed()
}

/// A job that was stopped did not end of itself: only its counts say how, and they say nothing while devices still work on it.
pub(crate) async fn a_stopped_job_has_only_the_outcome_that_its_counts_prove(
    subject: &Subject,
) -> Verdict {
    if !subject.truth.job_statuses.contains(&JobStatus::Canceled) {
        return skipped("the vendor does not stop jobs");
    }
    let stopped = |job: &&JobTruth| job.status == JobStatus::Canceled;
    let stopped: Vec<&JobTruth> = subject.truth.jobs.iter().filter(stopped).collect();
    ensure!(!stopped.is_empty(), "the truth has no job that was stopped");
    let listed = list_all_jobs(subject, &JobFilter::default(), 50).await?;
    for job in stopped {
        let stats = stats_of(subject, job).await?;
        let alone = subject
            .reader()?
            .get_job(&subject.context(), get_job(&job.id))
            .await
            .map_err(|error| format!("get_job of `{}` failed: {error:?}", job.id))?;
        let row = listed.rows().find(|row| row.id == job.id);
        for (method, outcome) in [
            ("job_stats", stats.outcome),
            ("get_job", alone.and_then(|job| job.outcome)),
            ("list_jobs", row.and_then(|row| row.outcome)),
        ] {
            ensure!(
                outcome.is_none() || outcome == job.outcome(),
                "job `{}` was stopped, and {method} says that it ended as {outcome:?}; its counts say {:?}",
                job.id,
                job.outcome()
            );
        }
    }
    passed()
}
