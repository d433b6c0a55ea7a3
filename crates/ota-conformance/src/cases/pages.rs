//! Pages that are not the ones that were asked for.

use std::collections::BTreeSet;

use ota_core::provider::{JobFilter, TaskFilter};
use ota_core::{Error, ErrorKind};

use crate::cases::{passed, skipped, tasks_in};
use crate::listing::{
    ListedPages, Row, ensure, job_keys, list_all_jobs, list_all_tasks, task_keys,
    try_list_all_jobs, try_list_all_tasks,
};
use crate::subject::{Subject, Trouble};
use crate::verdict::Verdict;

const PAGE_SIZES: [u32; 3] = [7, 50, 100];

/// How a listing over a vendor with such a trouble may end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    /// With every row.
    EveryRow,
    /// With every row, with `protocol`, or with pages that say that rows are missing.
    NoSilence,
}

fn judge<'a, T: Row>(
    what: &str,
    asked: Asked,
    expected: impl IntoIterator<Item = &'a str>,
    (listed, error): (ListedPages<T>, Option<Error>),
) -> Result<(), String> {
    let expected: BTreeSet<&str> = expected.into_iter().collect();
    let mut seen = BTreeSet::new();
    for row in listed.rows() {
        ensure!(seen.insert(row.key()), "{what}: `{}` came twice", row.key());
        ensure!(
            expected.contains(row.key()),
            "{what}: `{}` does not belong there",
            row.key()
        );
    }
    if let Some(error) = &error {
        ensure!(
            asked == Asked::NoSilence && error.kind() == ErrorKind::Protocol,
            "{what}: the list ends with `{}`: {error:?}",
            error.kind()
        );
    }
    let truncated = listed.0.last().is_some_and(|step| step.page.truncated);
    ensure!(
        asked == Asked::NoSilence || !truncated,
        "{what}: `truncated` is said"
    );
    ensure!(
        seen.len() == expected.len() || error.is_some() || truncated,
        "{what}: {} of {} rows came, and nothing says that there are more",
        seen.len(),
        expected.len()
    );
    for step in listed.0.iter().filter(|_| asked == Asked::EveryRow) {
        ensure!(
            step.page
                .total
                .is_none_or(|total| total == expected.len() as u64),
            "{what}: a page tells a total of {:?}, but {} rows match",
            step.page.total,
            expected.len()
        );
    }
    Ok(())
}

async fn lists_to_its_end(
    subject: &Subject,
    trouble: Trouble,
    asked: Asked,
) -> Result<bool, String> {
    let Some(_broken) = subject.break_vendor(trouble) else {
        return Ok(false);
    };
    let job = subject.truth.richest_job()?;
    for page_size in PAGE_SIZES {
        let listed = try_list_all_jobs(subject, &JobFilter::default(), page_size).await?;
        let what = format!("{trouble:?}: jobs in pages of {page_size}");
        let jobs = subject.truth.jobs.iter().map(|job| &job.id);
        judge(&what, asked, job_keys(jobs), listed)?;
        let listed =
            try_list_all_tasks(subject, &job.id, &TaskFilter::default(), page_size).await?;
        let what = format!("{trouble:?}: tasks in pages of {page_size}");
        judge(&what, asked, task_keys(&job.tasks), listed)?;
    }
    filtered(subject, trouble, asked).await?;
    Ok(true)
}

/// The same for lists that the vendor filters: by status, and the examples of the other filters.
async fn filtered(subject: &Subject, trouble: Trouble, asked: Asked) -> Result<(), String> {
    let job = subject.truth.richest_job()?;
    let support = subject.provider.capability().task_filters.status;
    if support != ota_core::capability::Support::No {
        let each = subject.truth.task_statuses.iter();
        for status in each.copied() {
            let (listed, error) =
                try_list_all_tasks(subject, &job.id, &tasks_in(&[status]), 7).await?;
            let matching = job.counts.get(&status).copied().unwrap_or(0);
            let came = listed.rows().count() as u64;
            let honest = asked == Asked::NoSilence
                && (error.is_some() || listed.0.last().is_some_and(|step| step.page.truncated));
            ensure!(
                came == matching || honest,
                "{trouble:?}: {came} of {matching} `{status}` tasks came: {error:?}"
            );
        }
    }
    for example in &subject.truth.job_examples {
        let listed = try_list_all_jobs(subject, &example.filter, 7).await?;
        let what = format!("{trouble:?}: {:?}", example.filter);
        judge(&what, asked, job_keys(&example.jobs), listed)?;
    }
    for example in &subject.truth.task_examples {
        let listed = try_list_all_tasks(subject, &example.job_id, &example.filter, 7).await?;
        let what = format!("{trouble:?}: {:?}", example.filter);
        judge(&what, asked, task_keys(&example.tasks), listed)?;
    }
    Ok(())
}

async fn all(subject: &Subject, troubles: &[Trouble], asked: Asked) -> Verdict {
    subject.warm_up().await?;
    for trouble in troubles {
        if !lists_to_its_end(subject, *trouble, asked).await? {
            return skipped(format!("the subject cannot make {trouble:?}"));
        }
    }
    passed()
}

pub(crate) async fn capped_pages_lose_no_row(subject: &Subject) -> Verdict {
    let troubles = [
        Trouble::CapPageSize,
        Trouble::CapPageSizeAsText,
        Trouble::CapPageSizeSilently,
    ];
    all(subject, &troubles, Asked::EveryRow).await
}

pub(crate) async fn pages_without_their_rows_end_no_list_in_silence(subject: &Subject) -> Verdict {
    let troubles = [
        Trouble::EmptyFirstPage,
        Trouble::EmptyPage,
        Trouble::ShortPages,
    ];
    all(subject, &troubles, Asked::NoSilence).await
}

pub(crate) async fn totals_that_change_end_no_list_in_silence(subject: &Subject) -> Verdict {
    all(subject, &[Trouble::ChangingTotals], Asked::NoSilence).await
}

/// A vendor that shows a row twice leaves another one out, and its total counts rows that are not there.
fn once<'a, T: Row>(
    what: &str,
    expected: impl IntoIterator<Item = &'a str>,
    listed: &ListedPages<T>,
) -> Result<(), String> {
    let expected: BTreeSet<&str> = expected.into_iter().collect();
    for step in &listed.0 {
        let keys: BTreeSet<&str> = step.page.items.iter().map(Row::key).collect();
        ensure!(
            keys.len() == step.page.items.len() && keys.is_subset(&expected),
            "{what}: a page has {} rows, {} different ones",
            step.page.items.len(),
            keys.len()
        );
        ensure!(
            step.page.total.is_none(),
            "{what}: a row came twice, and a page tells a total of {:?}",
            step.page.total
        );
    }
    Ok(())
}

pub(crate) async fn a_row_that_comes_twice_is_given_once(subject: &Subject) -> Verdict {
    subject.warm_up().await?;
    let Some(_broken) = subject.break_vendor(Trouble::RowTwice) else {
        return skipped("the subject cannot repeat a row");
    };
    let job = subject.truth.richest_job()?;
    let jobs = list_all_jobs(subject, &JobFilter::default(), 50).await?;
    let all = subject.truth.jobs.iter().map(|job| &job.id);
    once("jobs", job_keys(all), &jobs)?;
    let tasks = list_all_tasks(subject, &job.id, &TaskFilter::default(), 50).await?;
    once("tasks", task_keys(&job.tasks), &tasks)?;
    ensure!(tasks.rows().count() < job.tasks.len(), "no row came twice");
    passed()
}

/// Rows that move while a list is read come twice or not at all, which no client can detect; but the list ends, and no page has a row twice.
pub(crate) async fn rows_that_move_do_not_end_the_list(subject: &Subject) -> Verdict {
    fn whole_pages<T: Row>(
        what: &str,
        (listed, error): (ListedPages<T>, Option<Error>),
    ) -> Result<(), String> {
        ensure!(error.is_none(), "{what} that move end the list: {error:?}");
        for step in &listed.0 {
            let keys: BTreeSet<&str> = step.page.items.iter().map(Row::key).collect();
            ensure!(
                keys.len() == step.page.items.len(),
                "{what} that move: a page has a row twice"
            );
        }
        Ok(())
    }
    subject.warm_up().await?;
    let Some(_broken) = subject.break_vendor(Trouble::MovedPages) else {
        return skipped("the subject cannot move rows");
    };
    let job = subject.truth.richest_job()?;
    for page_size in [7, 50] {
        let jobs = try_list_all_jobs(subject, &JobFilter::default(), page_size).await?;
        whole_pages("jobs", jobs)?;
        let tasks = try_list_all_tasks(subject, &job.id, &TaskFilter::default(), page_size).await?;
        whole_pages("tasks", tasks)?;
    }
    passed()
}
