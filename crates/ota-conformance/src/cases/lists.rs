//! Lists and pages.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::future::join;
use ota_core::job::JobStatus;
use ota_core::provider::{JobFilter, TaskFilter};
use ota_core::task::TaskStatus;
use ota_core::{Error, ErrorKind};

use crate::cases::{jobs_in, passed, skipped, tasks_in};
use crate::listing::{
    ListedPages, Row, ensure, job_keys, list_all_jobs, list_all_tasks, task_keys,
    try_list_all_jobs, try_list_all_tasks,
};
use crate::subject::{Subject, Trouble};
use crate::verdict::Verdict;

const PAGE_SIZES: [u32; 4] = [1, 7, 50, 100];

/// The page sizes for a list of so many rows: small pages through hundreds show nothing that fewer calls do not.
fn sizes(rows: usize) -> impl Iterator<Item = u32> {
    let smallest = match rows {
        0..=60 => 1,
        61..=150 => 7,
        _ => 50,
    };
    PAGE_SIZES.into_iter().filter(move |size| *size >= smallest)
}

fn job_ids(subject: &Subject) -> Vec<&str> {
    job_keys(subject.truth.jobs.iter().map(|job| &job.id))
}

pub(crate) async fn every_job_is_listed_exactly_once(subject: &Subject) -> Verdict {
    subject.truth.richest_job()?;
    for page_size in PAGE_SIZES {
        let listed = list_all_jobs(subject, &JobFilter::default(), page_size).await?;
        listed.gave_exactly(&format!("pages of {page_size}"), job_ids(subject))?;
        ensure!(
            listed.0.iter().all(|step| !step.page.truncated),
            "pages of {page_size}: every job came, and `truncated` is said"
        );
        for row in listed.rows() {
            let truth = subject.truth.jobs.iter().find(|job| job.id == row.id);
            ensure!(
                truth.is_some_and(|truth| truth.status == row.status),
                "job `{}` is {:?} and listed as `{}`",
                row.id,
                truth.map(|truth| truth.status),
                row.status
            );
        }
    }
    passed()
}

pub(crate) async fn every_task_is_listed_exactly_once(subject: &Subject) -> Verdict {
    let richest = subject.truth.richest_job()?;
    for job in &subject.truth.jobs {
        for page_size in sizes(job.tasks.len()) {
            if page_size == 1 && job.id != richest.id {
                continue;
            }
            let what = format!("tasks of `{}` in pages of {page_size}", job.id);
            let listed =
                list_all_tasks(subject, &job.id, &TaskFilter::default(), page_size).await?;
            listed.gave_exactly(&what, task_keys(&job.tasks))?;
            ensure!(
                listed.0.iter().all(|step| !step.page.truncated),
                "{what}: every task came, and `truncated` is said"
            );
            let mut counts: BTreeMap<TaskStatus, u64> = BTreeMap::new();
            for task in listed.rows() {
                ensure!(
                    task.job_id == job.id,
                    "{what}: `{}` says that it is of job `{}`",
                    task.id,
                    task.job_id
                );
                *counts.entry(task.status).or_default() += 1;
            }
            for status in TaskStatus::ALL {
                let (reported, true_count) = (counts.get(status), job.counts.get(status));
                ensure!(
                    reported.unwrap_or(&0) == true_count.unwrap_or(&0),
                    "{what}: {reported:?} are `{status}`, really {true_count:?}"
                );
            }
        }
    }
    passed()
}

/// A page that tells the total knows where the list ends.
fn ends_well<T: Row>(what: &str, listed: &ListedPages<T>) -> Result<(), String> {
    let mut seen = 0;
    for (number, step) in listed.0.iter().enumerate() {
        seen += step.page.items.len() as u64;
        if let Some(total) = step.page.total {
            ensure!(
                seen < total || step.page.next.is_none(),
                "{what}: page {} holds the last of {total} rows and has a cursor",
                number + 1
            );
        }
    }
    let empty = listed
        .0
        .iter()
        .filter(|step| step.page.items.is_empty() && step.page.next.is_none())
        .count();
    ensure!(empty <= 1, "{what}: the list ends twice");
    Ok(())
}

pub(crate) async fn a_list_ends_with_its_last_row(subject: &Subject) -> Verdict {
    let job = subject.truth.richest_job()?;
    let count = u32::try_from(subject.truth.jobs.len()).unwrap_or(100);
    let tasks = u32::try_from(job.tasks.len()).unwrap_or(100);
    for page_size in sizes(job.tasks.len()).chain([count.clamp(1, 100), tasks.clamp(1, 100)]) {
        let listed = list_all_jobs(subject, &JobFilter::default(), page_size).await?;
        ends_well(&format!("jobs in pages of {page_size}"), &listed)?;
        let listed = list_all_tasks(subject, &job.id, &TaskFilter::default(), page_size).await?;
        ends_well(&format!("tasks in pages of {page_size}"), &listed)?;
        for status in subject.truth.task_statuses.iter().copied() {
            let listed = list_all_tasks(subject, &job.id, &tasks_in(&[status]), page_size).await?;
            ends_well(
                &format!("`{status}` tasks in pages of {page_size}"),
                &listed,
            )?;
        }
    }
    passed()
}

/// A page costs no more than the limit, and is short of rows only at the end or when the limit is reached.
fn well_filled<T: Row>(
    subject: &Subject,
    what: &str,
    page_size: u32,
    listed: &ListedPages<T>,
) -> Result<(), String> {
    for (number, step) in listed.0.iter().enumerate() {
        let extra = if number == 0 {
            subject.first_page_extra_calls
        } else {
            0
        };
        let limit = u64::from(subject.max_calls_per_page);
        ensure!(
            step.cost <= limit + u64::from(extra),
            "{what}: page {} cost {} calls, the limit is {limit}",
            number + 1,
            step.cost
        );
        let full = step.page.items.len() >= page_size as usize;
        ensure!(
            full || step.page.next.is_none() || step.cost >= limit,
            "{what}: page {} has {} of {page_size} rows after {} calls, and a cursor",
            number + 1,
            step.page.items.len(),
            step.cost
        );
    }
    Ok(())
}

pub(crate) async fn a_page_is_filled_within_its_calls(subject: &Subject) -> Verdict {
    subject.warm_up().await?;
    let job = subject.truth.richest_job()?;
    for page_size in sizes(job.tasks.len()) {
        let listed = list_all_jobs(subject, &JobFilter::default(), page_size).await?;
        let what = format!("jobs in pages of {page_size}");
        well_filled(subject, &what, page_size, &listed)?;
        let listed = list_all_tasks(subject, &job.id, &TaskFilter::default(), page_size).await?;
        let what = format!("tasks in pages of {page_size}");
        well_filled(subject, &what, page_size, &listed)?;
        for filter in status_filters(subject) {
            if page_size == 1 && filter.status.len() > 1 {
                continue;
            }
            let listed = list_all_tasks(subject, &job.id, &filter, page_size).await?;
            let what = format!("{:?} tasks in pages of {page_size}", filter.status);
            well_filled(subject, &what, page_size, &listed)?;
        }
        for filter in job_status_filters(subject) {
            let listed = list_all_jobs(subject, &filter, page_size).await?;
            let what = format!("{:?} jobs in pages of {page_size}", filter.status);
            well_filled(subject, &what, page_size, &listed)?;
        }
    }
    passed()
}

fn status_filters(subject: &Subject) -> Vec<TaskFilter> {
    let support = subject.provider.capability().task_filters.status;
    if support == ota_core::capability::Support::No {
        return Vec::new();
    }
    let words = &subject.truth.task_statuses;
    let each = words.iter().map(|status| tasks_in(&[*status]));
    let pairs = words.windows(2).map(tasks_in);
    each.chain(pairs).chain([tasks_in(words)]).collect()
}

fn job_status_filters(subject: &Subject) -> Vec<JobFilter> {
    let support = subject.provider.capability().job_filters.status;
    if support == ota_core::capability::Support::No {
        return Vec::new();
    }
    let words: &[JobStatus] = &subject.truth.job_statuses;
    let each = words.iter().map(|status| jobs_in(&[*status]));
    each.chain([jobs_in(words)]).collect()
}

pub(crate) async fn totals_are_exact(subject: &Subject) -> Verdict {
    let listed = list_all_jobs(subject, &JobFilter::default(), 7).await?;
    listed.totals_are("all jobs", subject.truth.jobs.len())?;
    for filter in job_status_filters(subject) {
        let matching = subject
            .truth
            .jobs
            .iter()
            .filter(|job| filter.status.contains(&job.status))
            .count();
        let listed = list_all_jobs(subject, &filter, 7).await?;
        listed.totals_are(&format!("{:?} jobs", filter.status), matching)?;
    }
    for example in &subject.truth.job_examples {
        let listed = list_all_jobs(subject, &example.filter, 7).await?;
        listed.totals_are(&format!("{:?}", example.filter), example.jobs.len())?;
    }
    let job = subject.truth.richest_job()?;
    let listed = list_all_tasks(subject, &job.id, &TaskFilter::default(), 7).await?;
    listed.totals_are("all tasks", job.tasks.len())?;
    for filter in status_filters(subject) {
        let matching: u64 = filter
            .status
            .iter()
            .filter_map(|status| job.counts.get(status))
            .sum();
        let listed = list_all_tasks(subject, &job.id, &filter, 7).await?;
        let matching = usize::try_from(matching).unwrap_or(usize::MAX);
        listed.totals_are(&format!("{:?} tasks", filter.status), matching)?;
    }
    for example in &subject.truth.task_examples {
        let listed = list_all_tasks(subject, &example.job_id, &example.filter, 7).await?;
        listed.totals_are(&format!("{:?}", example.filter), example.tasks.len())?;
    }
    passed()
}

pub(crate) async fn concurrent_listings_do_not_disturb_each_other(subject: &Subject) -> Verdict {
    let all = JobFilter::default();
    let (one, other) = join(
        list_all_jobs(subject, &all, 7),
        list_all_jobs(subject, &all, 7),
    )
    .await;
    one?.gave_exactly(
        "the first of two concurrent listings of jobs",
        job_ids(subject),
    )?;
    other?.gave_exactly(
        "the second of two concurrent listings of jobs",
        job_ids(subject),
    )?;
    let job = subject.truth.richest_job()?;
    let all = TaskFilter::default();
    let (one, other) = join(
        list_all_tasks(subject, &job.id, &all, 7),
        list_all_tasks(subject, &job.id, &all, 50),
    )
    .await;
    one?.gave_exactly(
        "the first of two concurrent listings of tasks",
        task_keys(&job.tasks),
    )?;
    other?.gave_exactly(
        "the second of two concurrent listings of tasks",
        task_keys(&job.tasks),
    )?;
    passed()
}

/// How a listing over a vendor that repeats its first page ended.
fn ended<T: Row>(
    what: &str,
    rows: usize,
    page_size: u32,
    listed: (ListedPages<T>, Option<Error>),
) -> Result<(), String> {
    let (listed, error) = listed;
    no_row_twice_in_a_page(&listed)?;
    match error {
        Some(error) => ensure!(
            error.kind() == ErrorKind::Protocol,
            "{what} end with `{}`: {error:?}",
            error.kind()
        ),
        // Lists of one vendor page each have no page that could come again.
        None => ensure!(
            listed.rows().count() <= rows,
            "{what}: {} rows of {rows} came, and no error; page size {page_size}",
            listed.rows().count()
        ),
    }
    Ok(())
}

pub(crate) async fn a_repeated_page_ends_the_list_with_an_error(subject: &Subject) -> Verdict {
    subject.warm_up().await?;
    let Some(_broken) = subject.break_vendor(Trouble::RepeatPage) else {
        return skipped("the subject cannot make the vendor repeat a page");
    };
    let job = subject.truth.richest_job()?;
    let (jobs, tasks) = (subject.truth.jobs.len(), job.tasks.len());
    for page_size in [1, 7, 50] {
        let listed = try_list_all_jobs(subject, &JobFilter::default(), page_size).await?;
        ended("jobs", jobs, page_size, listed)?;
        let listed =
            try_list_all_tasks(subject, &job.id, &TaskFilter::default(), page_size).await?;
        let longer = tasks > page_size as usize;
        ensure!(
            !longer || listed.1.is_some(),
            "{tasks} tasks in pages of {page_size} came to an end although each page was the first"
        );
        ended("tasks", tasks, page_size, listed)?;
    }
    passed()
}

fn no_row_twice_in_a_page<T: Row>(listed: &ListedPages<T>) -> Result<(), String> {
    for step in &listed.0 {
        let keys: BTreeSet<&str> = step.page.items.iter().map(Row::key).collect();
        ensure!(
            keys.len() == step.page.items.len(),
            "a page holds {} rows, but only {} different ones",
            step.page.items.len(),
            keys.len()
        );
    }
    Ok(())
}

/// The order of a list depends on nothing but the list, or pages would lose rows at their borders.
pub(crate) async fn rows_come_in_one_order(subject: &Subject) -> Verdict {
    fn keys<T: Row>(listed: &ListedPages<T>) -> Vec<String> {
        listed.rows().map(|row| row.key().to_owned()).collect()
    }
    let job = subject.truth.richest_job()?;
    let (jobs, tasks) = (JobFilter::default(), TaskFilter::default());
    let first = keys(&list_all_jobs(subject, &jobs, 50).await?);
    let first_tasks = keys(&list_all_tasks(subject, &job.id, &tasks, 50).await?);
    for page_size in [50, 7] {
        let again = keys(&list_all_jobs(subject, &jobs, page_size).await?);
        ensure!(
            again == first,
            "jobs in pages of {page_size} come in another order than in pages of 50 before"
        );
        let again = keys(&list_all_tasks(subject, &job.id, &tasks, page_size).await?);
        ensure!(
            again == first_tasks,
            "tasks in pages of {page_size} come in another order than in pages of 50 before"
        );
    }
    passed()
}

/// A vendor that promises no order is asked for one, where it takes one: then its rows come as ever. Where it takes none, each page is still sound.
pub(crate) async fn a_vendor_without_an_order_is_asked_for_one(subject: &Subject) -> Verdict {
    subject.warm_up().await?;
    let job = subject.truth.richest_job()?;
    let (jobs, tasks) = (JobFilter::default(), TaskFilter::default());
    for page_size in [7, 50, 100] {
        let jobs_before = list_all_jobs(subject, &jobs, page_size).await?;
        let tasks_before = list_all_tasks(subject, &job.id, &tasks, page_size).await?;
        let Some(_broken) = subject.break_vendor(Trouble::UnstableOrder) else {
            return skipped("the subject cannot give its rows in another order");
        };
        for _ in 0..2 {
            let listed = try_list_all_jobs(subject, &jobs, page_size).await?;
            without_an_order(subject, "jobs", page_size, &jobs_before, listed)?;
            let listed = try_list_all_tasks(subject, &job.id, &tasks, page_size).await?;
            without_an_order(subject, "tasks", page_size, &tasks_before, listed)?;
        }
    }
    passed()
}

/// What a list holds whose rows change places, compared with what it held while they did not.
fn without_an_order<T: Row>(
    subject: &Subject,
    what: &str,
    page_size: u32,
    before: &ListedPages<T>,
    (listed, error): (ListedPages<T>, Option<Error>),
) -> Result<(), String> {
    let expected: Vec<&str> = before.rows().map(Row::key).collect();
    let what = format!("{what} in pages of {page_size}, by a vendor without an order");
    if subject.truth.takes_an_order {
        let came: Vec<&str> = listed.rows().map(Row::key).collect();
        ensure!(came == expected, "{what}: they come in another order");
    }
    // A page that ends within one of the vendor's is followed by that one again, so rows that have changed places come twice or not at all.
    let whole = listed.0.len() == 1 || subject.truth.takes_an_order;
    if let Some(error) = error {
        ensure!(
            error.kind() == ErrorKind::Protocol && !whole,
            "{what}: the list ends with `{}`: {error:?}",
            error.kind()
        );
    }
    if whole {
        return listed.gave_exactly(&what, expected);
    }
    for step in &listed.0 {
        let mut seen = BTreeSet::new();
        for row in &step.page.items {
            ensure!(
                seen.insert(row.key()) && expected.contains(&row.key()),
                "{what}: `{}` came twice in one page, or does not belong there",
                row.key()
            );
        }
    }
    Ok(())
}
