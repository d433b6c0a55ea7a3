//! Filters: exactly the matching rows.

use ota_core::ErrorKind;
use ota_core::capability::Support;
use ota_core::job::JobStatus;
use ota_core::provider::{JobFilter, TaskFilter};
use ota_core::task::{Task, TaskStage, TaskStatus};

use crate::cases::{
    get_job, job_fields, jobs_in, list_jobs, passed, skipped, task_fields, tasks_at, tasks_in,
    uses_job_field, uses_task_field,
};
use crate::listing::{ensure, job_keys, list_all_jobs, list_all_tasks, task_keys, tasks_request};
use crate::subject::{Subject, Trouble};
use crate::verdict::Verdict;

/// Each word alone, each two together, all together, and one twice.
fn selections<T: Copy>(words: &[T]) -> Vec<Vec<T>> {
    let mut selections: Vec<Vec<T>> = words.iter().map(|word| vec![*word]).collect();
    for (number, one) in words.iter().enumerate() {
        for other in &words[number + 1..] {
            // The other way round: the order of the request is not the order of the listing.
            selections.push(vec![*other, *one]);
        }
    }
    selections.push(words.to_vec());
    if let Some(first) = words.first() {
        selections.push(vec![*first, *first]);
    }
    selections
}

pub(crate) async fn job_status_filters_are_exact(subject: &Subject) -> Verdict {
    if subject.provider.capability().job_filters.status == Support::No {
        return skipped("the capability has no `status` of jobs");
    }
    for status in selections(JobStatus::ALL) {
        let expected = subject
            .truth
            .jobs
            .iter()
            .filter(|job| status.contains(&job.status));
        let listed = list_all_jobs(subject, &jobs_in(&status), 7).await?;
        listed.gave_exactly(
            &format!("jobs in {status:?}"),
            job_keys(expected.map(|job| &job.id)),
        )?;
        if let Some(other) = listed.rows().find(|job| !status.contains(&job.status)) {
            return Err(format!(
                "jobs in {status:?}: `{}` is `{}`",
                other.id, other.status
            ));
        }
    }
    passed()
}

pub(crate) async fn task_status_filters_are_exact(subject: &Subject) -> Verdict {
    if subject.provider.capability().task_filters.status == Support::No {
        return skipped("the capability has no `status` of tasks");
    }
    let richest = subject.truth.richest_job()?;
    for job in &subject.truth.jobs {
        let selections = if job.id == richest.id {
            selections(TaskStatus::ALL)
        } else {
            TaskStatus::ALL.iter().map(|status| vec![*status]).collect()
        };
        // The unfiltered list has the status of every task, so the two must agree task by task.
        let all = list_all_tasks(subject, &job.id, &TaskFilter::default(), 100).await?;
        for status in selections {
            let what = format!("tasks of `{}` in {status:?}", job.id);
            let listed = list_all_tasks(subject, &job.id, &tasks_in(&status), 50).await?;
            let expected = all.rows().filter(|task| status.contains(&task.status));
            listed.gave_exactly(&what, task_keys(expected.map(|task| &task.id)))?;
            if let Some(other) = listed.rows().find(|task| !status.contains(&task.status)) {
                return Err(format!("{what}: `{}` is `{}`", other.id, other.status));
            }
            for one in TaskStatus::ALL.iter().filter(|one| status.contains(one)) {
                let reported = listed.rows().filter(|task| task.status == *one).count() as u64;
                let really = job.counts.get(one).copied().unwrap_or(0);
                ensure!(
                    reported == really,
                    "{what}: {reported} are `{one}`, really {really}"
                );
            }
        }
    }
    passed()
}

pub(crate) async fn task_stage_filters_are_exact(subject: &Subject) -> Verdict {
    if subject.provider.capability().task_filters.stage == Support::No {
        return skipped("the capability has no `stage` of tasks");
    }
    let richest = subject.truth.richest_job()?;
    for job in &subject.truth.jobs {
        // The unfiltered list has the stage of every task, so the two must agree task by task.
        let all = list_all_tasks(subject, &job.id, &TaskFilter::default(), 100).await?;
        let selections = match job.id == richest.id {
            true => selections(TaskStage::ALL),
            false => vec![TaskStage::ALL.to_vec()],
        };
        for stage in selections {
            let what = format!("tasks of `{}` in {stage:?}", job.id);
            let is_at = |task: &&Task| task.stage.is_some_and(|at| stage.contains(&at));
            let listed = list_all_tasks(subject, &job.id, &tasks_at(&stage), 50).await?;
            let expected = all.rows().filter(is_at);
            listed.gave_exactly(&what, task_keys(expected.map(|task| &task.id)))?;
            ensure!(
                listed.rows().all(|task| is_at(&task)),
                "{what}: a task is in another one"
            );
        }
        // A status and a stage narrow together.
        let both = TaskFilter {
            status: vec![TaskStatus::Failed],
            ..tasks_at(TaskStage::ALL)
        };
        let listed = list_all_tasks(subject, &job.id, &both, 50).await?;
        let what = format!("failed tasks of `{}` in a stage", job.id);
        let failed = |task: &&Task| task.status == TaskStatus::Failed && task.stage.is_some();
        let expected = all.rows().filter(failed);
        listed.gave_exactly(&what, task_keys(expected.map(|task| &task.id)))?;
    }
    passed()
}

/// The mirror counts with pages of one row: each must tell the number of all in one call, and the numbers of all statuses and stages must add up.
pub(crate) async fn one_call_counts_what_a_filter_finds(subject: &Subject) -> Verdict {
    let capability = subject.provider.capability();
    if !capability.change_signs.counts_in_totals {
        return skipped("the capability does not count with filters");
    }
    let filters = capability.task_filters;
    ensure!(
        filters.status == Support::Native && filters.stage == Support::Native,
        "the capability counts with filters that the vendor does not have"
    );
    let richest = subject.truth.richest_job()?;
    for job in subject.truth.jobs.iter().take(2).chain([richest]) {
        let mut sum = 0;
        let statuses = TaskStatus::ALL.iter().copied();
        let statuses = statuses
            .filter(|status| !matches!(status, TaskStatus::Pending | TaskStatus::Unknown))
            .map(|status| tasks_in(&[status]));
        let stages = TaskStage::ALL.iter().copied();
        let stages = stages
            .filter(|stage| *stage != TaskStage::Updating)
            .map(|stage| tasks_at(&[stage]));
        for filter in statuses.chain(stages) {
            let what = format!("tasks of `{}` with {filter:?}", job.id);
            let all = list_all_tasks(subject, &job.id, &filter, 50).await?;
            let before = subject.calls();
            let request = tasks_request(&job.id, filter, 1, None);
            let answer = subject.reader()?;
            let answer = answer.list_tasks(&subject.context(), request).await;
            let page = answer.map_err(|error| format!("{what}: {error:?}"))?;
            let (total, calls) = (page.and_then(|page| page.total), subject.calls() - before);
            let really = all.rows().count() as u64;
            ensure!(
                total == Some(really) || (total.is_none() && really == 0),
                "{what}: {really}, and a page of one says {total:?}"
            );
            // Where nothing matches it may be asked whether there is such a job.
            let most = 1 + u64::from(really == 0);
            ensure!(calls <= most, "{what}: counting takes {calls} calls");
            sum += really;
        }
        let unknown = job.counts.get(&TaskStatus::Unknown).copied().unwrap_or(0);
        ensure!(
            sum + unknown == job.tasks.len() as u64,
            "job `{}` has {} tasks; its statuses and stages add up to {sum}",
            job.id,
            job.tasks.len()
        );
    }
    passed()
}

pub(crate) async fn job_filters_are_exact(subject: &Subject) -> Verdict {
    let examples = &subject.truth.job_examples;
    for (field, support, _) in job_fields(subject) {
        if support == Support::No || field == "status" {
            continue;
        }
        ensure!(
            examples
                .iter()
                .any(|example| uses_job_field(&example.filter, field)),
            "the capability has the filter `{field}`, and the subject gives no example of it"
        );
    }
    if examples.is_empty() {
        return skipped("the capability has no filter of jobs but `status`");
    }
    let narrows = |example: &&crate::Example| example.jobs.len() < subject.truth.jobs.len();
    ensure!(
        examples.iter().any(|example| narrows(&example)),
        "no example of the subject leaves out a job, so that nothing is seen"
    );
    for example in examples {
        let what = format!("jobs with {}", shown(&example.filter));
        for page_size in [1, 50] {
            let listed = list_all_jobs(subject, &example.filter, page_size).await?;
            listed.gave_exactly(&what, job_keys(&example.jobs))?;
        }
        with_status(subject, example).await?;
    }
    passed()
}

/// A second filter narrows further.
async fn with_status(subject: &Subject, example: &crate::Example) -> Result<(), String> {
    let usable = subject.provider.capability().job_filters.status != Support::No;
    if !usable || !example.filter.status.is_empty() || !example.filter.outcome.is_empty() {
        return Ok(());
    }
    for status in &subject.truth.job_statuses {
        let both = JobFilter {
            status: vec![*status],
            ..example.filter.clone()
        };
        let expected = subject
            .truth
            .jobs
            .iter()
            .filter(|job| job.status == *status && example.jobs.contains(&job.id));
        let listed = list_all_jobs(subject, &both, 7).await?;
        listed.gave_exactly(
            &format!("jobs with {}", shown(&both)),
            job_keys(expected.map(|job| &job.id)),
        )?;
    }
    Ok(())
}

pub(crate) async fn task_filters_are_exact(subject: &Subject) -> Verdict {
    let examples = &subject.truth.task_examples;
    for (field, support, _) in task_fields(subject) {
        if support == Support::No || matches!(field, "status" | "stage") {
            continue;
        }
        ensure!(
            examples
                .iter()
                .any(|example| uses_task_field(&example.filter, field)),
            "the capability has the filter `{field}`, and the subject gives no example of it"
        );
    }
    if examples.is_empty() {
        return skipped("the capability has no filter of tasks but `status` and `stage`");
    }
    for example in examples {
        let what = format!("tasks of `{}` with {:?}", example.job_id, example.filter);
        for page_size in [1, 7, 50] {
            let listed =
                list_all_tasks(subject, &example.job_id, &example.filter, page_size).await?;
            listed.gave_exactly(&what, task_keys(&example.tasks))?;
        }
    }
    passed()
}

pub(crate) async fn values_that_nothing_has_give_an_empty_list(subject: &Subject) -> Verdict {
    let needs = subject.provider.capability().job_filter_needs;
    for (field, support, filter) in job_fields(subject) {
        let free_text = !matches!(field, "status" | "outcome" | "kind");
        if support == Support::No || !free_text {
            continue;
        }
        let reader = subject.reader()?;
        let answer = reader
            .list_jobs(&subject.context(), list_jobs(filter))
            .await;
        match answer {
            Ok(page) => ensure!(
                page.items.is_empty() && page.total.unwrap_or(0) == 0,
                "jobs with an unknown `{field}` are {}",
                page.items.len()
            ),
            // A filter that the vendor has only together with others, as the capability says.
            Err(error)
                if error.kind() == ErrorKind::Unsupported
                    && error.field() == Some(field)
                    && needs.iter().any(|(of, _)| *of == field) => {}
            Err(error) => return Err(format!("jobs with an unknown `{field}`: {error:?}")),
        }
    }
    let job = subject.truth.richest_job()?;
    for (field, support, filter) in task_fields(subject) {
        if support == Support::No || matches!(field, "status" | "stage") {
            continue;
        }
        let listed = list_all_tasks(subject, &job.id, &filter, 50).await?;
        ensure!(
            listed.rows().next().is_none(),
            "a task was found by an unknown `{field}`"
        );
    }
    passed()
}

/// Shows the fields in use only.
fn shown(filter: &JobFilter) -> String {
    let all = format!("{filter:?}");
    let none = format!("{:?}", JobFilter::default());
    if all == none {
        return "no filter".to_owned();
    }
    all.replace(", outcome: []", "")
        .replace("status: [], ", "")
        .split(", ")
        .filter(|part| !part.ends_with(": None") && !part.ends_with(": None }"))
        .collect::<Vec<_>>()
        .join(", ")
}

pub(crate) async fn rows_of_unknown_status_are_found_by_it(subject: &Subject) -> Verdict {
    let capability = subject.provider.capability();
    let (jobs, tasks) = (
        capability.job_filters.status != Support::No,
        capability.task_filters.status != Support::No,
    );
    if !jobs && !tasks {
        return skipped("the capability has no `status`");
    }
    subject.warm_up().await?;
    let Some(_broken) = subject.break_vendor(Trouble::UnknownStatusRow) else {
        return skipped("the subject cannot make rows of unknown status");
    };
    let job = subject.truth.richest_job()?;
    if jobs {
        let listed = list_all_jobs(subject, &jobs_in(&[JobStatus::Unknown]), 50).await?;
        ensure!(
            listed.rows().next().is_some(),
            "a job of unknown status is not found by `status=unknown`"
        );
    }
    if tasks {
        let unknown = tasks_in(&[TaskStatus::Unknown]);
        let listed = list_all_tasks(subject, &job.id, &unknown, 50).await?;
        ensure!(
            listed.rows().next().is_some(),
            "a task of unknown status is not found by `status=unknown`"
        );
    }
    let one = subject
        .reader()?
        .get_job(&subject.context(), get_job(&job.id))
        .await
        .map_err(|error| format!("get_job failed: {error:?}"))?;
    ensure!(
        one.is_some_and(|job| job.status == JobStatus::Unknown),
        "get_job does not say `unknown`"
    );
    passed()
}
