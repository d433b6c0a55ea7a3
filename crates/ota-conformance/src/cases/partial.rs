//! Lists of which the vendor gives a part: the calls behind the first ones fail, or those for one part of the list.

use std::collections::BTreeSet;

use ota_core::id::PackageId;
use ota_core::provider::{Cursor, JobFilter, Page, TaskFilter};
use ota_core::{Error, ErrorKind};

use crate::cases::{PAGE, RECOVERY, passed, skipped};
use crate::listing::{
    Row, ensure, job_keys, jobs_request, list_all_jobs, task_keys, tasks_request,
};
use crate::subject::{JobTruth, Subject, Trouble};
use crate::verdict::Verdict;

/// A list that is listed.
#[derive(Clone, Copy, Debug)]
enum List<'a> {
    Jobs,
    Tasks(&'a JobTruth),
}

impl List<'_> {
    /// Reads a page, and returns the identifiers of its rows.
    async fn ask(self, subject: &Subject, cursor: Option<Cursor>) -> Result<Page<String>, Error> {
        let unread = || Error::new(ErrorKind::NotFound, "there is no such job");
        let reader = subject.provider.jobs().ok_or_else(unread)?;
        match self {
            List::Jobs => {
                let request = jobs_request(JobFilter::default(), PAGE, cursor);
                let page = reader.list_jobs(&subject.context(), request).await?;
                Ok(keys(page))
            }
            List::Tasks(job) => {
                let request = tasks_request(&job.id, TaskFilter::default(), PAGE, cursor);
                let page = reader.list_tasks(&subject.context(), request).await?;
                page.map(keys).ok_or_else(unread)
            }
        }
    }

    fn expected(self, subject: &Subject) -> BTreeSet<String> {
        let owned = |ids: Vec<&str>| ids.into_iter().map(str::to_owned).collect();
        match self {
            List::Jobs => owned(job_keys(subject.truth.jobs.iter().map(|job| &job.id))),
            List::Tasks(job) => owned(task_keys(&job.tasks)),
        }
    }
}

fn keys<T: Row>(page: Page<T>) -> Page<String> {
    Page {
        items: page.items.iter().map(|row| row.key().to_owned()).collect(),
        next: page.next,
        total: page.total,
        truncated: page.truncated,
        problems: page.problems,
        missing_named: page.missing_named,
    }
}

/// Calls that fail behind others, and what the error is.
const LATER: [(Trouble, ErrorKind); 2] = [
    (Trouble::LaterThrottle, ErrorKind::Throttled),
    (Trouble::LaterRefusal, ErrorKind::Auth),
];

pub(crate) async fn rows_before_a_failing_call_are_given(subject: &Subject) -> Verdict {
    let job = subject.truth.richest_job()?;
    for later in LATER {
        for list in [List::Jobs, List::Tasks(job)] {
            if !is_given(subject, list, later).await? {
                return skipped(format!("the subject cannot make {:?}", later.0));
            }
        }
    }
    passed()
}

/// Asks for a page whose later calls fail, for the one behind it, and for the rest once the vendor is repaired.
async fn is_given(
    subject: &Subject,
    list: List<'_>,
    (trouble, kind): (Trouble, ErrorKind),
) -> Result<bool, String> {
    let what = match list {
        List::Jobs => format!("{trouble:?}: jobs"),
        List::Tasks(job) => format!("{trouble:?}: tasks of `{}`", job.id),
    };
    subject.warm_up().await?;
    let mut rows: Vec<String> = Vec::new();
    let mut take = |page: Page<String>| {
        rows.extend(page.items);
        page.next
    };
    let mut next = {
        let Some(_broken) = subject.break_vendor(trouble) else {
            return Ok(false);
        };
        let page = list
            .ask(subject, None)
            .await
            .map_err(|error| format!("{what}: the rows before the error are lost: {error:?}"))?;
        ensure!(!page.items.is_empty(), "{what}: the page has no row");
        ensure!(
            page.problems.is_empty() && !page.truncated,
            "{what}: an error of the whole provider is passed over: {:?}",
            page.problems
        );
        let Some(next) = take(page) else {
            return Err(format!("{what}: no cursor leads to the rest"));
        };
        match list.ask(subject, Some(next.clone())).await {
            Err(error) => ensure!(
                error.kind() == kind,
                "{what}: the next page says `{}`: {error:?}",
                error.kind()
            ),
            Ok(page) => {
                return Err(format!(
                    "{what}: the error lasts, and the next page has {} rows and the problems {:?}",
                    page.items.len(),
                    page.problems
                ));
            }
        }
        Some(next)
    };
    subject.let_time_pass(RECOVERY);
    let mut pages = 0;
    while let Some(cursor) = next {
        pages += 1;
        ensure!(pages < 1000, "{what}: the list does not end");
        let page = list.ask(subject, Some(cursor)).await;
        next = take(page.map_err(|error| format!("{what}: repaired, and {error:?}"))?);
    }
    let different: BTreeSet<String> = rows.iter().cloned().collect();
    let expected = list.expected(subject);
    ensure!(
        different.len() == rows.len() && different == expected,
        "{what}: {} rows came, {} of {} different ones",
        rows.len(),
        different.len(),
        expected.len()
    );
    Ok(true)
}

pub(crate) async fn a_broken_part_of_a_list_is_named_and_passed(subject: &Subject) -> Verdict {
    let whole = list_all_jobs(subject, &JobFilter::default(), PAGE).await?;
    let package = |id: &str| -> Option<PackageId> {
        let job = whole.rows().find(|job| job.key() == id)?;
        job.package.as_ref().and_then(|package| package.id.clone())
    };
    subject.warm_up().await?;
    let Some(_broken) = subject.break_vendor(Trouble::BrokenPart) else {
        return skipped("the subject's list of jobs has no parts that could break");
    };
    for page_size in [3, PAGE] {
        let listed = list_all_jobs(subject, &JobFilter::default(), page_size).await?;
        let mut broken = BTreeSet::new();
        for step in &listed.0 {
            for problem in &step.page.problems {
                ensure!(
                    matches!(
                        problem.kind,
                        ErrorKind::Rejected
                            | ErrorKind::Protocol
                            | ErrorKind::NotFound
                            | ErrorKind::Unavailable
                    ),
                    "`{}` is no trouble of a part of a list",
                    problem.kind
                );
                ensure!(
                    !problem.message.is_empty() && problem.vendor.is_some(),
                    "a problem does not say what the vendor said: {problem:?}"
                );
                broken.insert(problem.package_id.clone());
            }
            ensure!(
                step.page.truncated != broken.is_empty(),
                "`truncated` is {} beside the problems of {broken:?}",
                step.page.truncated
            );
            ensure!(
                step.page.total.is_none(),
                "a total is given for a list from which rows are missing"
            );
        }
        ensure!(
            !broken.is_empty(),
            "the part that is broken is not named, in pages of {page_size}"
        );
        let is_readable = |id: &&str| package(id).is_none_or(|package| !broken.contains(&package));
        let all = subject.truth.jobs.iter().map(|job| job.id.as_str());
        listed.gave_exactly(&format!("jobs beside {broken:?}"), all.filter(is_readable))?;
    }
    passed()
}
