//! Reads lists to their end, with what holds for every page checked on the way.

use std::collections::BTreeSet;

use ota_core::Error;
use ota_core::id::{JobId, TaskId};
use ota_core::job::Job;
use ota_core::provider::{Cursor, JobFilter, ListJobs, ListTasks, Page, TaskFilter};
use ota_core::task::Task;

use crate::subject::Subject;

/// Fails the case unless the condition holds.
macro_rules! ensure {
    ($condition:expr, $($message:tt)+) => {
        if !$condition {
            return Err(format!($($message)+));
        }
    };
}
pub(crate) use ensure;

/// One page of a listing.
pub(crate) struct Step<T> {
    pub(crate) page: Page<T>,
    /// Vendor calls that it took.
    pub(crate) cost: u64,
}

/// A row with a key.
pub(crate) trait Row {
    fn key(&self) -> &str;
}

impl Row for Job {
    fn key(&self) -> &str {
        self.id.as_str()
    }
}

impl Row for Task {
    fn key(&self) -> &str {
        self.id.as_str()
    }
}

/// All pages of a list.
pub(crate) struct ListedPages<T>(pub(crate) Vec<Step<T>>);

impl<T: Row> ListedPages<T> {
    pub(crate) fn rows(&self) -> impl Iterator<Item = &T> {
        self.0.iter().flat_map(|step| &step.page.items)
    }

    /// Checks that the listing gave exactly the rows of these identifiers, each once, and that every reported total is their number.
    pub(crate) fn gave_exactly<'a>(
        &self,
        what: &str,
        expected: impl IntoIterator<Item = &'a str>,
    ) -> Result<(), String> {
        let expected: BTreeSet<&str> = expected.into_iter().collect();
        let mut seen = BTreeSet::new();
        for row in self.rows() {
            ensure!(seen.insert(row.key()), "{what}: `{}` came twice", row.key());
            ensure!(
                expected.contains(row.key()),
                "{what}: `{}` does not belong there",
                row.key()
            );
        }
        if let Some(missing) = expected.difference(&seen).next() {
            return Err(format!(
                "{what}: `{missing}` is missing ({} of {} rows came)",
                seen.len(),
                expected.len()
            ));
        }
        Ok(())
    }

    /// Checks every total that a page reported.
    pub(crate) fn totals_are(&self, what: &str, expected: usize) -> Result<(), String> {
        for step in &self.0 {
            if let Some(total) = step.page.total {
                ensure!(
                    total == expected as u64,
                    "{what}: a page tells a total of {total}, but {expected} rows match"
                );
            }
        }
        Ok(())
    }
}

pub(crate) fn jobs_request(filter: JobFilter, page_size: u32, cursor: Option<Cursor>) -> ListJobs {
    ListJobs {
        filter,
        page_size,
        cursor,
    }
}

pub(crate) fn tasks_request(
    job_id: &JobId,
    filter: TaskFilter,
    page_size: u32,
    cursor: Option<Cursor>,
) -> ListTasks {
    ListTasks {
        job_id: job_id.clone(),
        filter,
        page_size,
        cursor,
    }
}

/// Reads the job list to its end.
pub(crate) async fn list_all_jobs(
    subject: &Subject,
    filter: &JobFilter,
    page_size: u32,
) -> Result<ListedPages<Job>, String> {
    match try_list_all_jobs(subject, filter, page_size).await? {
        (listed, None) => Ok(listed),
        (_, Some(error)) => Err(format!("list_jobs with {filter:?} failed: {error:?}")),
    }
}

/// As [`list_all_jobs`], with what ended the listing early.
pub(crate) async fn try_list_all_jobs(
    subject: &Subject,
    filter: &JobFilter,
    page_size: u32,
) -> Result<(ListedPages<Job>, Option<Error>), String> {
    let reader = subject.reader()?;
    let mut pages = Pages::new(subject, subject.truth.jobs.len(), page_size);
    let mut cursor = None;
    loop {
        let before = subject.calls();
        let request = jobs_request(filter.clone(), page_size, cursor);
        let page = match reader.list_jobs(&subject.context(), request).await {
            Ok(page) => page,
            Err(error) => return Ok((ListedPages(pages.steps), Some(error))),
        };
        cursor = pages.take(page, subject.calls() - before)?;
        if cursor.is_none() {
            return Ok((ListedPages(pages.steps), None));
        }
    }
}

/// Reads the tasks of a job to their end.
pub(crate) async fn list_all_tasks(
    subject: &Subject,
    job_id: &JobId,
    filter: &TaskFilter,
    page_size: u32,
) -> Result<ListedPages<Task>, String> {
    match try_list_all_tasks(subject, job_id, filter, page_size).await? {
        (listed, None) => Ok(listed),
        (_, Some(error)) => Err(format!(
            "list_tasks of `{job_id}` with {filter:?} failed: {error:?}"
        )),
    }
}

/// As [`list_all_tasks`], with what ended the listing early.
pub(crate) async fn try_list_all_tasks(
    subject: &Subject,
    job_id: &JobId,
    filter: &TaskFilter,
    page_size: u32,
) -> Result<(ListedPages<Task>, Option<Error>), String> {
    let reader = subject.reader()?;
    let rows = subject
        .truth
        .jobs
        .iter()
        .find(|job| job.id == *job_id)
        .map_or(0, |job| job.tasks.len());
    let mut pages = Pages::new(subject, rows, page_size);
    let mut cursor = None;
    loop {
        let before = subject.calls();
        let request = tasks_request(job_id, filter.clone(), page_size, cursor);
        let page = match reader.list_tasks(&subject.context(), request).await {
            Ok(Some(page)) => page,
            Ok(None) => return Err(format!("list_tasks says that there is no job `{job_id}`")),
            Err(error) => return Ok((ListedPages(pages.steps), Some(error))),
        };
        cursor = pages.take(page, subject.calls() - before)?;
        if cursor.is_none() {
            return Ok((ListedPages(pages.steps), None));
        }
    }
}

/// Collects the pages of a listing that must end.
struct Pages<T> {
    steps: Vec<Step<T>>,
    page_size: u32,
    most: usize,
}

impl<T> Pages<T> {
    /// A list of `rows` rows may take that many pages and a good number of empty ones, but not any number.
    fn new(subject: &Subject, rows: usize, page_size: u32) -> Self {
        let full = rows.div_ceil(page_size.max(1) as usize);
        Self {
            steps: Vec::new(),
            page_size,
            most: 4 * full + subject.truth.jobs.len() + 20,
        }
    }

    fn take(&mut self, page: Page<T>, cost: u64) -> Result<Option<Cursor>, String> {
        let number = self.steps.len() + 1;
        ensure!(
            page.items.len() <= self.page_size as usize,
            "page {number} has {} rows, {} were asked for",
            page.items.len(),
            self.page_size
        );
        ensure!(
            number < self.most,
            "the list does not end: {number} pages of {} rows so far",
            self.page_size
        );
        let next = page.next.clone();
        if let Some(cursor) = &next {
            ensure!(
                !cursor.0.is_empty() && cursor.0.len() <= Cursor::MAX_LEN,
                "the cursor of page {number} has {} bytes",
                cursor.0.len()
            );
        }
        self.steps.push(Step { page, cost });
        Ok(next)
    }
}

pub(crate) fn job_keys<'a>(jobs: impl IntoIterator<Item = &'a JobId>) -> Vec<&'a str> {
    jobs.into_iter().map(JobId::as_str).collect()
}

pub(crate) fn task_keys<'a>(tasks: impl IntoIterator<Item = &'a TaskId>) -> Vec<&'a str> {
    tasks.into_iter().map(TaskId::as_str).collect()
}
