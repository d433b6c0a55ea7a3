//! The order in which a request is judged: cursor, capability, and only then a call.

use ota_core::capability::Support;
use ota_core::job::JobStatus;
use ota_core::provider::{Cursor, JobFilter, TaskFilter};
use ota_core::task::TaskStatus;
use ota_core::{Error, ErrorKind};

use crate::cases::errors::meets;
use crate::cases::{
    PAGE, job_fields, jobs_in, list_jobs, list_tasks, passed, skipped, task_fields, tasks_in,
    uses_job_field,
};
use crate::listing::{ensure, jobs_request, tasks_request};
use crate::subject::{Subject, Trouble};
use crate::verdict::Verdict;

/// Texts that no list can have given.
const DAMAGED: [&str; 9] = [
    "",
    "x",
    "-1",
    "0.-1",
    "\u{0}",
    "设备",
    "{\"i\":-1}",
    "99999999999999999999999999.0",
    "AAAA%00%0d%0a../../..",
];

/// Returns the first cursor of the job list and of the task list, if pages of one row make one.
async fn real_cursors(subject: &Subject) -> Result<(Option<Cursor>, Option<Cursor>), String> {
    let reader = subject.reader()?;
    let job = subject.truth.richest_job()?;
    let jobs = reader
        .list_jobs(
            &subject.context(),
            jobs_request(JobFilter::default(), 1, None),
        )
        .await
        .map_err(|error| format!("list_jobs failed: {error:?}"))?;
    let tasks = reader
        .list_tasks(
            &subject.context(),
            tasks_request(&job.id, TaskFilter::default(), 1, None),
        )
        .await
        .map_err(|error| format!("list_tasks failed: {error:?}"))?;
    Ok((jobs.next, tasks.and_then(|page| page.next)))
}

fn refused(what: &str, cursor: &str, error: Option<Error>) -> Result<(), String> {
    let shown: String = cursor.chars().take(60).collect();
    match error {
        None => Err(format!("{what} accepted the cursor {shown:?}")),
        Some(error) if error.is_invalid_cursor() => Ok(()),
        Some(error) => Err(format!(
            "{what} with the cursor {shown:?} says `{}` instead of naming the cursor: {error:?}",
            error.kind()
        )),
    }
}

async fn jobs_refuse(subject: &Subject, filter: JobFilter, cursor: &str) -> Result<(), String> {
    let request = jobs_request(filter, 1, Some(Cursor(cursor.to_owned())));
    let before = subject.calls();
    let answer = subject
        .reader()?
        .list_jobs(&subject.context(), request)
        .await;
    refused("list_jobs", cursor, answer.err())?;
    ensure!(
        subject.calls() == before,
        "list_jobs sent a call for a refused cursor"
    );
    Ok(())
}

async fn tasks_refuse(subject: &Subject, filter: TaskFilter, cursor: &str) -> Result<(), String> {
    let job = subject.truth.richest_job()?;
    let request = tasks_request(&job.id, filter, 1, Some(Cursor(cursor.to_owned())));
    let before = subject.calls();
    let answer = subject
        .reader()?
        .list_tasks(&subject.context(), request)
        .await;
    refused("list_tasks", cursor, answer.err())?;
    ensure!(
        subject.calls() == before,
        "list_tasks sent a call for a refused cursor"
    );
    Ok(())
}

pub(crate) async fn damaged_cursors_are_refused_without_a_call(subject: &Subject) -> Verdict {
    let (jobs, tasks) = real_cursors(subject).await?;
    let long = "9".repeat(5000);
    let mut texts: Vec<String> = DAMAGED.iter().map(|text| (*text).to_owned()).collect();
    texts.push(long);
    for cursor in [&jobs, &tasks].into_iter().flatten() {
        texts.push(format!("{}!", cursor.0));
        texts.push(format!("!{}", cursor.0));
        texts.push(format!("{0}{0}", cursor.0));
    }
    for text in &texts {
        jobs_refuse(subject, JobFilter::default(), text).await?;
        tasks_refuse(subject, TaskFilter::default(), text).await?;
    }
    passed()
}

pub(crate) async fn cursors_of_the_other_list_are_refused_without_a_call(
    subject: &Subject,
) -> Verdict {
    let (Some(jobs), Some(tasks)) = real_cursors(subject).await? else {
        return skipped("the subject's lists have no second page");
    };
    jobs_refuse(subject, JobFilter::default(), &tasks.0).await?;
    tasks_refuse(subject, TaskFilter::default(), &jobs.0).await?;
    passed()
}

pub(crate) async fn a_cursor_is_judged_before_the_capability(subject: &Subject) -> Verdict {
    let mut tried = false;
    for (_, support, filter) in job_fields(subject) {
        if support == Support::No {
            tried = true;
            jobs_refuse(subject, filter, "x").await?;
        }
    }
    for (_, support, filter) in task_fields(subject) {
        if support == Support::No {
            tried = true;
            tasks_refuse(subject, filter, "x").await?;
        }
    }
    if tried {
        passed()
    } else {
        skipped("the provider has every filter")
    }
}

fn unsupported(field: &str, error: Option<&Error>) -> Result<(), String> {
    let Some(error) = error else {
        return Err(format!(
            "the filter `{field}` was accepted, the capability says `no`"
        ));
    };
    ensure!(
        error.kind() == ErrorKind::Unsupported && error.field() == Some(field),
        "the filter `{field}` was refused as `{}` of {:?}: {error:?}",
        error.kind(),
        error.field()
    );
    Ok(())
}

pub(crate) async fn refused_job_filters_are_named_and_cost_nothing(subject: &Subject) -> Verdict {
    let mut tried = false;
    for (field, support, filter) in job_fields(subject) {
        if support != Support::No {
            continue;
        }
        tried = true;
        let before = subject.calls();
        let answer = subject
            .reader()?
            .list_jobs(&subject.context(), list_jobs(filter))
            .await;
        unsupported(field, answer.as_ref().err())?;
        ensure!(
            subject.calls() == before,
            "a call was sent for the refused filter `{field}`"
        );
    }
    if tried {
        passed()
    } else {
        skipped("the provider has every filter")
    }
}

/// Takes a filter's field out.
fn without(filter: &mut JobFilter, field: &str) {
    match field {
        "status" => filter.status.clear(),
        "outcome" => filter.outcome.clear(),
        "kind" => filter.kind = None,
        "package_id" => filter.package_id = None,
        "product_id" => filter.product_id = None,
        "device_id" => filter.device_id = None,
        "device_name" => filter.device_name = None,
        "device_type" => filter.device_type = None,
        "model" => filter.model = None,
        "manufacturer" => filter.manufacturer = None,
        _ => {}
    }
}

/// A filter with a value for every field that the provider has.
fn every_field(subject: &Subject) -> JobFilter {
    let fields = job_fields(subject).into_iter();
    let fields = fields.filter(|(_, support, _)| *support != Support::No);
    fields.fold(JobFilter::default(), |all, (_, _, one)| JobFilter {
        status: [all.status, one.status].concat(),
        outcome: [all.outcome, one.outcome].concat(),
        kind: all.kind.or(one.kind),
        package_id: all.package_id.or(one.package_id),
        product_id: all.product_id.or(one.product_id),
        device_id: all.device_id.or(one.device_id),
        device_name: all.device_name.or(one.device_name),
        device_type: all.device_type.or(one.device_type),
        model: all.model.or(one.model),
        manufacturer: all.manufacturer.or(one.manufacturer),
    })
}

pub(crate) async fn a_filter_without_those_that_it_needs_is_refused(subject: &Subject) -> Verdict {
    let all_needs = subject.provider.capability().job_filter_needs;
    if all_needs.is_empty() {
        return skipped("each filter of jobs is answered alone");
    }
    let reader = subject.reader()?;
    for (field, needs) in all_needs {
        let whole = every_field(subject);
        for used in [field].into_iter().chain(*needs) {
            ensure!(
                uses_job_field(&whole, used),
                "the capability says that `{field}` needs others, and has no `{used}`"
            );
        }
        let alone = job_fields(subject).into_iter();
        let alone = alone.filter(|(name, _, _)| name == field);
        let mut refused: Vec<JobFilter> = alone.map(|(_, _, filter)| filter).collect();
        for missing in *needs {
            // The others are all there, so it is for the one that is missing.
            let mut filter = whole.clone();
            let fields = job_fields(subject).into_iter().map(|(name, _, _)| name);
            let kept = |name: &str| name == *field || (needs.contains(&name) && name != *missing);
            fields
                .filter(|name| !kept(name))
                .for_each(|name| without(&mut filter, name));
            refused.push(filter);
        }
        for filter in refused {
            let before = subject.calls();
            let request = list_jobs(filter.clone());
            let answer = reader.list_jobs(&subject.context(), request).await;
            unsupported(field, answer.as_ref().err())
                .map_err(|error| format!("without what it needs, {filter:?}: {error}"))?;
            let message = answer.err().map(|error| error.message().to_owned());
            let named = |need: &&str| message.as_ref().is_some_and(|text| text.contains(need));
            ensure!(
                needs.iter().all(named),
                "the refusal of `{field}` does not name {needs:?}: {message:?}"
            );
            ensure!(
                subject.calls() == before,
                "a call was sent for `{field}` without what it needs"
            );
        }
    }
    passed()
}

pub(crate) async fn refused_task_filters_are_named_and_cost_nothing(subject: &Subject) -> Verdict {
    let mut tried = false;
    let job = subject.truth.richest_job()?;
    for (field, support, filter) in task_fields(subject) {
        if support != Support::No {
            continue;
        }
        tried = true;
        let before = subject.calls();
        let answer = subject
            .reader()?
            .list_tasks(&subject.context(), list_tasks(&job.id, filter))
            .await;
        unsupported(field, answer.as_ref().err())?;
        ensure!(
            subject.calls() == before,
            "a call was sent for the refused filter `{field}`"
        );
    }
    if tried {
        passed()
    } else {
        skipped("the provider has every filter")
    }
}

pub(crate) async fn unused_job_words_give_an_empty_page_without_a_call(
    subject: &Subject,
) -> Verdict {
    if subject.provider.capability().job_filters.status == Support::No {
        return skipped("the capability has no `status` of jobs");
    }
    let unused: Vec<JobStatus> = JobStatus::ALL
        .iter()
        .copied()
        .filter(|status| *status != JobStatus::Unknown)
        .filter(|status| !subject.truth.job_statuses.contains(status))
        .collect();
    if unused.is_empty() {
        return skipped("the vendor has a word for every status");
    }
    let each = unused.iter().map(std::slice::from_ref);
    for words in each.chain([unused.as_slice()]) {
        let before = subject.calls();
        let page = subject
            .reader()?
            .list_jobs(&subject.context(), list_jobs(jobs_in(words)))
            .await
            .map_err(|error| format!("{words:?} was refused: {error:?}"))?;
        ensure!(
            page.items.is_empty() && page.next.is_none() && !page.truncated,
            "{words:?} did not give the empty list"
        );
        ensure!(subject.calls() == before, "{words:?} made a call");
    }
    passed()
}

/// The statuses of tasks that the vendor has no word for.
fn unused_task_words(subject: &Subject) -> Vec<TaskStatus> {
    let all = TaskStatus::ALL.iter().copied();
    all.filter(|status| *status != TaskStatus::Unknown)
        .filter(|status| !subject.truth.task_statuses.contains(status))
        .collect()
}

pub(crate) async fn unused_task_words_give_an_empty_page_without_a_call(
    subject: &Subject,
) -> Verdict {
    if subject.provider.capability().task_filters.status == Support::No {
        return skipped("the capability has no `status` of tasks");
    }
    let unused = unused_task_words(subject);
    if unused.is_empty() {
        return skipped("the vendor has a word for every status");
    }
    let job = subject.truth.richest_job()?;
    let each = unused.iter().map(std::slice::from_ref);
    for words in each.chain([unused.as_slice()]) {
        let before = subject.calls();
        let page = subject
            .reader()?
            .list_tasks(
                &subject.context(),
                tasks_request(&job.id, tasks_in(words), PAGE, None),
            )
            .await
            .map_err(|error| format!("{words:?} was refused: {error:?}"))?
            .ok_or_else(|| format!("{words:?} gave no list"))?;
        ensure!(
            page.items.is_empty() && page.next.is_none() && !page.truncated,
            "{words:?} did not give the empty list"
        );
        ensure!(subject.calls() == before, "{words:?} made a call");
    }
    passed()
}

/// The filter alone decides: whichever job is named, the page is empty and nothing is sent.
pub(crate) async fn unused_task_words_say_nothing_about_the_job(subject: &Subject) -> Verdict {
    let unused = unused_task_words(subject);
    if subject.provider.capability().task_filters.status == Support::No || unused.is_empty() {
        return skipped("no status of tasks is one that the vendor has no word for");
    }
    let unknown = subject.truth.unknown_job_id.as_str();
    for id in [unknown, "..", "a/b", "升级任务"] {
        let before = subject.calls();
        let request = list_tasks(&id.into(), tasks_in(&unused));
        let page = subject
            .reader()?
            .list_tasks(&subject.context(), request)
            .await
            .map_err(|error| format!("{unused:?} of the job `{id}` was refused: {error:?}"))?;
        ensure!(
            page.is_some_and(|page| page.items.is_empty() && page.next.is_none()),
            "{unused:?} of the job `{id}`, which does not exist, did not give the empty list"
        );
        ensure!(
            subject.calls() == before,
            "{unused:?} of the job `{id}` made a call"
        );
    }
    passed()
}

pub(crate) async fn a_refused_argument_of_the_gateway_is_not_the_callers(
    subject: &Subject,
) -> Verdict {
    subject.warm_up().await?;
    let Some(_broken) = subject.break_vendor(Trouble::BadArgument) else {
        return skipped("the subject cannot refuse an argument");
    };
    let checked = subject.provider.check(&subject.context()).await;
    let request = list_jobs(JobFilter::default());
    let listed = subject
        .reader()?
        .list_jobs(&subject.context(), request)
        .await;
    for (method, error) in [("check", checked.err()), ("list_jobs", listed.err())] {
        let Some(error) = error else {
            return Err(format!("{method} succeeded"));
        };
        ensure!(
            error.kind() == ErrorKind::Rejected,
            "the caller sent no argument, and {method} says `{}`: {error:?}",
            error.kind()
        );
        ensure!(
            error.vendor().is_some_and(|vendor| vendor.code.is_some()),
            "{method} does not repeat the vendor's code: {error:?}"
        );
    }
    passed()
}

pub(crate) async fn a_refused_device_that_was_not_named_is_not_the_callers(
    subject: &Subject,
) -> Verdict {
    meets(subject, Trouble::BadDevice).await
}
