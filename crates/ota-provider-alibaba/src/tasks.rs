//! Listing the tasks of a job, and counting those in one status.
//!
//! `CurrentPage × PageSize ≤ 100000` (page of `ListOTATaskByJob`, read 2026-11-23): rows behind the first 100,000 of a batch are
//! reached by reading the list of each status, which has its own window.

use ota_adapter::page::page;
use ota_core::context::Context;
use ota_core::id::{DeviceName, JobId};
use ota_core::paging::{Fetched, Pager, Position, Window};
use ota_core::provider::{ListTasks, Page, TaskFilter};
use ota_core::task::{Task, TaskStage, TaskStatus};
use ota_core::{Error, ErrorKind, Result};

use crate::answers;
use crate::blame::{can_mean, is_about_device};
use crate::client::{Client, PAGE, page_params};
use crate::map::status::{CONFIRM, TASK_STATUSES};
use crate::params::Params;
use crate::task_cursor::{Mode, TaskCursor};

pub(crate) const LIST_TASKS: &str = "ListOTATaskByJob";

/// "The product of CurrentPage and PageSize must be less than or equal to 100,000."
const WINDOW: u64 = 100_000;

/// "PageSize: maximum 100."
const MAX_PAGE: u32 = 100;

/// "You can specify up to 50 device names."
pub(crate) const MAX_DEVICE_NAMES: u32 = 50;

/// If one of several names is unknown, the vendor returns no tasks of the others either.
const UNKNOWN_DEVICE: &str =
    "the vendor does not know one of the devices in `device_name`; request them one by one";

/// One request for a page of tasks.
struct TaskList<'a> {
    client: &'a Client,
    cx: &'a Context,
    job_id: &'a JobId,
    filter: &'a TaskFilter,
    page_size: u32,
}

/// Where the lists of the statuses are read from.
struct StatusesFrom {
    statuses: Vec<&'static str>,
    from: Position,
    truncated: bool,
    /// Vendor calls that were already made for this page.
    spent: u32,
    /// The number of all tasks of the batch, if the statuses are read because there are too many for one list.
    total: Option<u64>,
}

/// Returns a page of tasks.
///
/// # Errors
/// As [`ota_core::provider::JobReader::list_tasks`], and `not_found` for an unknown job.
pub(crate) async fn tasks_page(
    client: &Client,
    cx: &Context,
    request: &ListTasks,
) -> Result<Page<Task>> {
    let filter = &request.filter;
    let statuses = statuses(filter);
    let at = request
        .cursor
        .as_ref()
        .map(|cursor| {
            TaskCursor::decode(cursor)
                .filter(|at| fits(*at, filter, statuses.len(), request.page_size))
                .ok_or_else(Error::invalid_cursor)
        })
        .transpose()?;
    client.account.capability.check_tasks(filter)?;
    if never_matches(filter) {
        return Ok(Page::empty());
    }
    let list = TaskList {
        client,
        cx,
        job_id: &request.job_id,
        filter,
        page_size: request.page_size,
    };
    let mut start = StatusesFrom {
        statuses,
        from: Position::default(),
        truncated: false,
        spent: 0,
        total: None,
    };
    match at {
        _ if !filter.device_names.is_empty() => {
            let from = at.map_or_else(Position::default, |at| at.position);
            list.by_names(from).await
        }
        Some(at) if at.mode == Mode::Statuses => {
            if start.statuses.is_empty() {
                start.statuses = all_statuses();
            }
            (start.from, start.truncated, start.total) = (at.position, at.truncated, at.total);
            list.by_statuses(start).await
        }
        Some(at) => list.unfiltered(at.position, 0).await.map(|(page, _)| page),
        None if native(filter) => {
            // The total of a single status comes with its first page.
            if start.statuses.len() > 1 {
                list.look_ahead(None, &mut start).await?;
            }
            list.by_statuses(start).await
        }
        None => list.first_page().await,
    }
}

impl TaskList<'_> {
    /// Reads the first page of tasks in every status.
    async fn first_page(&self) -> Result<Page<Task>> {
        let filtered = filters_here(self.filter);
        // Undocumented statuses are found only in the list of all tasks, as far as its window reaches.
        let only_here = self.filter.status.contains(&TaskStatus::Unknown);
        // If rows are left out here, the largest pages are read, up to the limit of calls; so a count first decides whether the list of all
        // tasks is the one to read.
        let counted = match filtered && !only_here {
            true => count(self.client, self.cx, self.job_id, None).await?,
            false => None,
        };
        let total = match counted {
            Some(total) if total > WINDOW => Some(total),
            counted => {
                let spent = u32::from(counted.is_some());
                let (page, total) = self.unfiltered(Position::default(), spent).await?;
                if only_here || total.is_none_or(|total| total <= WINDOW) {
                    return Ok(page);
                }
                total
            }
        };
        // More than one window: start again, status by status.
        let mut start = StatusesFrom {
            statuses: all_statuses(),
            from: Position::default(),
            truncated: false,
            spent: 1,
            total: total.filter(|_| !filtered),
        };
        self.look_ahead(total, &mut start).await?;
        self.by_statuses(start).await
    }

    /// Reads a page of the unfiltered list; it is `truncated` if the list is longer than the vendor's window. Also returns the length of the list, which
    /// is not the page's total if rows are left out here.
    async fn unfiltered(&self, from: Position, spent: u32) -> Result<(Page<Task>, Option<u64>)> {
        let pager = Pager {
            spent,
            ..self.pager(1, from, filters_here(self.filter))
        };
        let paged = pager
            .list(
                |_, window| Box::pin(self.fetch_tasks(None, window)),
                |task| task.id.as_str(),
                |_, task| matches(self.filter, task),
            )
            .await?;
        let total = paged.totals.last().map(|(_, total)| *total);
        let truncated = paged.gap || total.is_some_and(|total| total > WINDOW);
        let cursor = TaskCursor::new(Mode::All, truncated, None);
        let page = Page {
            truncated,
            ..page(paged, Some(WINDOW), |position| cursor.at(position))
        };
        Ok((page, total))
    }

    async fn by_statuses(&self, start: StatusesFrom) -> Result<Page<Task>> {
        let filtered = self.filter.device_id.is_some();
        let statuses = &start.statuses;
        let pager = Pager {
            // Looking ahead counts towards the same page.
            spent: start.spent,
            ..self.pager(statuses.len(), start.from, filtered)
        };
        let paged = pager
            .list(
                |segment, window| {
                    let status = statuses.get(segment as usize).copied();
                    Box::pin(self.fetch_status(status, window))
                },
                |task| task.id.as_str(),
                |_, task| matches(self.filter, task),
            )
            .await?;
        let longer = paged.totals.iter().any(|(_, total)| *total > WINDOW);
        let truncated = start.truncated || paged.gap || longer;
        let whole = start.total.filter(|_| paged.is_complete() && !filtered);
        let cursor = TaskCursor::new(Mode::Statuses, truncated, start.total);
        let page = page(paged, Some(WINDOW), |position| cursor.at(position));
        Ok(Page {
            total: whole.or(page.total),
            truncated,
            ..page
        })
    }

    /// Reads the tasks of named devices, in each call at most as many names as fit into a page. The vendor's documents say that it ignores paging then; if a
    /// platform pages nevertheless, or returns several tasks of one device, its pages are read like those of any other list.
    async fn by_names(&self, from: Position) -> Result<Page<Task>> {
        let batches: Vec<_> = self
            .filter
            .device_names
            .chunks(name_batch(self.page_size))
            .collect();
        let names = |segment: u32| batches.get(segment as usize).copied().unwrap_or_default();
        let of_batch = |segment, task: &Task| {
            let name = task.device.name.as_ref();
            name.is_some_and(|name| names(segment).contains(name))
        };
        let paged = self
            .pager(batches.len(), from, false)
            .list(
                |segment, window| Box::pin(self.fetch_names(names(segment), window)),
                |task| task.id.as_str(),
                |segment, task| of_batch(segment, task) && matches(self.filter, task),
            )
            .await?;
        let whole = from == Position::default() && paged.next.is_none() && !paged.gap;
        let cursor = TaskCursor::new(Mode::Names, paged.gap, None);
        Ok(Page {
            total: whole.then_some(paged.rows.len() as u64),
            ..page(paged, Some(WINDOW), |position| cursor.at(position))
        })
    }

    /// Determines before the first page whether one of the statuses has more tasks than a window holds.
    ///
    /// Tasks in undocumented statuses are in none of the lists; in a batch of this size they cannot be reached, nor counted without a call
    /// for each status, so they are not reported here.
    ///
    /// Usually one or two calls for one row each: statuses are counted in the order of their likely size, until the rest of the batch
    /// fits into one window. `truncated` must be right from the first page on, so the limit of calls for
    /// a page does not end it; its calls are missing when that page is filled.
    async fn look_ahead(&self, total: Option<u64>, start: &mut StatusesFrom) -> Result<()> {
        let mut rest = match total {
            Some(total) => total,
            None => {
                start.spent += 1;
                count(self.client, self.cx, self.job_id, None)
                    .await?
                    .unwrap_or(0)
            }
        };
        // There are more tasks than all windows together hold.
        let all = start.statuses.len() == TASK_STATUSES.len();
        if rest > WINDOW * start.statuses.len() as u64 && all {
            start.truncated = true;
            return Ok(());
        }
        for status in [
            "SUCCEEDED",
            "QUEUED",
            "FAILED",
            "NOTIFIED",
            "CANCELED",
            "IN_PROGRESS",
            CONFIRM,
        ] {
            if rest <= WINDOW {
                return Ok(());
            }
            if !start.statuses.contains(&status) {
                continue;
            }
            start.spent += 1;
            let count = count_status(self.client, self.cx, self.job_id, status).await?;
            if count.is_some_and(|count| count > WINDOW) {
                start.truncated = true;
                return Ok(());
            }
            rest = rest.saturating_sub(count.unwrap_or(0));
        }
        Ok(())
    }

    /// Reads one page of the tasks of these devices.
    async fn fetch_names(
        &self,
        names: &[DeviceName],
        window: Window,
    ) -> Result<Fetched<Option<Task>>> {
        let mut params = task_params(self.job_id, None, window);
        for (number, name) in names.iter().enumerate() {
            let name = name.as_str().to_owned();
            params.push((format!("DeviceNames.{}", number + 1), name));
        }
        match self.read(params, &["JobId", "DeviceNames"], window).await {
            Err(error) if error.kind() == ErrorKind::NotFound && is_about_device(&error) => {
                match names {
                    [_] => Ok(Fetched::nothing(Some(0))),
                    _ => Err(error.as_kind(ErrorKind::InvalidArgument, UNKNOWN_DEVICE)),
                }
            }
            fetched => fetched,
        }
    }

    async fn fetch_status(
        &self,
        status: Option<&'static str>,
        window: Window,
    ) -> Result<Fetched<Option<Task>>> {
        match self.fetch_tasks(status, window).await {
            Err(error) if status.is_some_and(|status| is_old_platform(status, &error)) => {
                Ok(Fetched::nothing(Some(0)))
            }
            other => other,
        }
    }

    async fn fetch_tasks(
        &self,
        status: Option<&str>,
        window: Window,
    ) -> Result<Fetched<Option<Task>>> {
        let params = task_params(self.job_id, status, window);
        self.read(params, &["JobId"], window).await
    }

    async fn read(
        &self,
        params: Params,
        callers: &[&str],
        window: Window,
    ) -> Result<Fetched<Option<Task>>> {
        read_tasks(self.client, self.cx, self.job_id, params, callers, window).await
    }

    fn pager(&self, segments: usize, from: Position, filtered: bool) -> Pager {
        Pager {
            limit: Some(WINDOW),
            filtered,
            ..self
                .client
                .account
                .pager(segments, from, self.page_size, MAX_PAGE)
        }
    }
}

/// Counts the tasks in one status, or `None` on a platform that does not know the status `CONFIRM`.
pub(crate) async fn count_status(
    client: &Client,
    cx: &Context,
    job_id: &JobId,
    status: &'static str,
) -> Result<Option<u64>> {
    match count(client, cx, job_id, Some(status)).await {
        Err(error) if is_old_platform(status, &error) => Ok(None),
        other => other,
    }
}

/// Counts the tasks of a job, in one status or in all.
pub(crate) async fn count(
    client: &Client,
    cx: &Context,
    job_id: &JobId,
    status: Option<&str>,
) -> Result<Option<u64>> {
    let params = task_params(job_id, status, Window::FIRST_ROW);
    let fetched = read_tasks(client, cx, job_id, params, &["JobId"], Window::FIRST_ROW).await?;
    // A total that is smaller than the number of rows beside it is wrong.
    let rows = fetched.rows.len() as u64;
    Ok(fetched.total.filter(|total| *total >= rows))
}

async fn read_tasks(
    client: &Client,
    cx: &Context,
    job_id: &JobId,
    params: Params,
    callers: &[&str],
    window: Window,
) -> Result<Fetched<Option<Task>>> {
    let answer = client.read(cx, LIST_TASKS, params, callers).await;
    let source = client.account.source(LIST_TASKS);
    let fetched = answer.and_then(|answer| answers::tasks(source, answer, job_id));
    client.account.judge_page(LIST_TASKS, PAGE, window, fetched)
}

fn task_params(job_id: &JobId, status: Option<&str>, window: Window) -> Params {
    let mut params = vec![("JobId".to_owned(), job_id.as_str().to_owned())];
    params.extend(page_params(window));
    params.extend(status.map(|status| ("TaskStatus".to_owned(), status.to_owned())));
    params
}

/// `CONFIRM` is absent from the oldest edition of the page; a platform of that time refuses it as a filter, with an undocumented
/// code. A refusal that cannot mean the status is returned: ignoring it would hide tasks.
fn is_old_platform(status: &str, error: &Error) -> bool {
    status == CONFIRM && can_mean(error, "TaskStatus")
}

/// Whether every requested status has values of the vendor, so that the vendor can filter. `unknown` stands for undocumented values, so rows
/// are filtered here.
fn native(filter: &TaskFilter) -> bool {
    let by_status = !filter.status.is_empty() && !filter.status.contains(&TaskStatus::Unknown);
    by_status || !filter.stage.is_empty()
}

/// Whether rows of the unfiltered list are left out here.
fn filters_here(filter: &TaskFilter) -> bool {
    !filter.status.is_empty() || filter.device_id.is_some()
}

/// Whether the filter asks only for statuses that this vendor never uses.
fn never_matches(filter: &TaskFilter) -> bool {
    native(filter) && statuses(filter).is_empty()
}

/// The vendor's values of the requested statuses in the order of a task's life, which a cursor relies on.
fn statuses(filter: &TaskFilter) -> Vec<&'static str> {
    let wanted = TASK_STATUSES
        .iter()
        .filter(|(_, status, stage)| native(filter) && is_wanted(filter, *status, *stage));
    wanted.map(|(value, _, _)| *value).collect()
}

fn all_statuses() -> Vec<&'static str> {
    TASK_STATUSES.iter().map(|(value, _, _)| *value).collect()
}

fn name_batch(page_size: u32) -> usize {
    page_size.clamp(1, MAX_DEVICE_NAMES) as usize
}

/// Whether a list with this filter can have returned this cursor.
fn fits(at: TaskCursor, filter: &TaskFilter, statuses: usize, page_size: u32) -> bool {
    let names = !filter.device_names.is_empty();
    let segments = match at.mode {
        Mode::Names if names => filter.device_names.len().div_ceil(name_batch(page_size)),
        Mode::All if !names && !native(filter) => 1,
        Mode::Statuses if !names && native(filter) => statuses,
        Mode::Statuses if !names => TASK_STATUSES.len(),
        Mode::Names | Mode::All | Mode::Statuses => 0,
    };
    (at.position.segment as usize) < segments && at.position.offset <= WINDOW
}

fn is_wanted(filter: &TaskFilter, status: TaskStatus, stage: Option<TaskStage>) -> bool {
    (filter.status.is_empty() || filter.status.contains(&status))
        && (filter.stage.is_empty() || stage.is_some_and(|stage| filter.stage.contains(&stage)))
}

fn matches(filter: &TaskFilter, task: &Task) -> bool {
    let status = is_wanted(filter, task.status, task.stage);
    let device = filter.device_id.is_none() || filter.device_id == task.device.id;
    status && device
}

#[cfg(test)]
mod tests {
    use super::statuses;
    use ota_core::provider::TaskFilter;
    use ota_core::task::{TaskStage, TaskStatus};

    #[test]
    fn statuses_come_in_the_order_of_a_tasks_life() {
        let filter = |status: &[TaskStatus]| TaskFilter {
            status: status.to_vec(),
            ..TaskFilter::default()
        };
        assert_eq!(
            statuses(&filter(&[TaskStatus::Failed, TaskStatus::Pending])),
            ["CONFIRM", "QUEUED", "NOTIFIED", "FAILED"]
        );
        assert!(statuses(&filter(&[TaskStatus::Skipped])).is_empty());
        assert!(statuses(&filter(&[TaskStatus::Failed, TaskStatus::Unknown])).is_empty());
        let staged = |status: &[TaskStatus], stage: &[TaskStage]| {
            statuses(&TaskFilter {
                stage: stage.to_vec(),
                ..filter(status)
            })
        };
        let open = [TaskStage::Updating, TaskStage::Notified];
        assert_eq!(staged(&[], &open), ["NOTIFIED", "IN_PROGRESS"]);
        assert_eq!(staged(&[TaskStatus::Pending], &open), ["NOTIFIED"]);
        assert!(staged(&[TaskStatus::Failed], &open).is_empty());
    }
}
