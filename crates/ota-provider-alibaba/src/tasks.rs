//! Listing the tasks of a job, and counting those in one word.
//!
//! `CurrentPage × PageSize ≤ 100000` (page of `ListOTATaskByJob`, read 2026-11-23): what lies behind the first 100,000 rows of a
//! batch is reached by walking status by status, each with a window of its own.

use ota_core::context::Context;
use ota_core::id::{DeviceName, JobId};
use ota_core::paging::{Fetched, Position, Walk, Window};
use ota_core::provider::{Cursor, ListTasks, Page, TaskFilter};
use ota_core::task::{Task, TaskStatus};
use ota_core::{Error, ErrorKind, Result};
use ota_http::losses::Losses;

use crate::account::Account;
use crate::answers;
use crate::blame::{can_mean, speaks_of_device};
use crate::jobs::{end_of_list, page_params, with_losses};
use crate::map::status::{CONFIRM, TASK_WORDS};
use crate::params::Params;

pub(crate) const LIST_TASKS: &str = "ListOTATaskByJob";

/// "The product of CurrentPage and PageSize must be less than or equal to 100,000."
const WINDOW: u64 = 100_000;

/// "PageSize: maximum 100."
const MAX_PAGE: u32 = 100;

/// "You can specify up to 50 device names."
pub(crate) const MAX_DEVICE_NAMES: u32 = 50;

/// One unknown name among several hides the tasks of the others.
const UNKNOWN_DEVICE: &str =
    "the vendor does not know one of the devices in `device_name`; request them one by one";

/// How a request is walked. The letter starts the cursor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    /// One list of all tasks.
    All,
    /// One list for each vendor word.
    Words,
    /// Batches of device names.
    Names,
}

/// Where a task walk stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct TaskCursor {
    mode: Mode,
    truncated: bool,
    position: Position,
    /// All tasks of the batch, where words are walked in their stead.
    total: Option<u64>,
}

/// The state of a walk word by word.
struct WordWalk {
    words: Vec<&'static str>,
    from: Position,
    truncated: bool,
    /// Vendor calls already made for this page.
    spent: u32,
    /// All tasks of the batch, where words are walked in their stead.
    total: Option<u64>,
}

impl TaskCursor {
    fn encode(self) -> Cursor {
        let mode = match self.mode {
            Mode::All => 'a',
            Mode::Words => 'w',
            Mode::Names => 'n',
        };
        let total = self
            .total
            .map_or_else(String::new, |total| format!(".{total}"));
        Cursor(format!(
            "{mode}{}.{}{total}",
            u8::from(self.truncated),
            self.position.encode()
        ))
    }

    fn decode(cursor: &Cursor) -> Option<Self> {
        let mut chars = cursor.0.chars();
        let mode = match chars.next()? {
            'a' => Mode::All,
            'w' => Mode::Words,
            'n' => Mode::Names,
            _ => return None,
        };
        let truncated = match chars.next()? {
            '0' => false,
            '1' => true,
            _ => return None,
        };
        let rest = chars.as_str().strip_prefix('.')?;
        let (position, total) = match rest.match_indices('.').nth(1) {
            None => (rest, None),
            Some((dot, _)) => {
                let text = &rest[dot + 1..];
                let total = text
                    .parse::<u64>()
                    .ok()
                    .filter(|total| total.to_string() == text)?;
                (&rest[..dot], Some(total))
            }
        };
        Some(Self {
            mode,
            truncated,
            position: Position::decode(position)?,
            total,
        })
    }
}

impl Account {
    pub(crate) async fn tasks_page(&self, cx: &Context, request: ListTasks) -> Result<Page<Task>> {
        let ListTasks {
            job_id,
            filter,
            page_size,
            cursor,
        } = request;
        let words = words(&filter);
        let at = match &cursor {
            None => None,
            Some(cursor) => {
                let at = TaskCursor::decode(cursor)
                    .filter(|at| fits(*at, &filter, words.len(), page_size));
                Some(at.ok_or_else(Error::invalid_cursor)?)
            }
        };
        self.capability.check_tasks(&filter)?;
        if never_matches(&filter) {
            return Ok(Page::empty());
        }
        if !filter.device_names.is_empty() {
            let from = at.map_or_else(Position::default, |at| at.position);
            return self.by_names(cx, &job_id, &filter, page_size, from).await;
        }
        match at {
            Some(TaskCursor {
                mode: Mode::Words,
                truncated,
                position,
                total,
            }) => {
                let words = if words.is_empty() { all_words() } else { words };
                let start = WordWalk {
                    words,
                    from: position,
                    truncated,
                    spent: 0,
                    total,
                };
                self.by_words(cx, &job_id, &filter, page_size, start).await
            }
            Some(at) => self
                .all(cx, &job_id, &filter, page_size, at.position, 0)
                .await
                .map(|(page, _)| page),
            None if native(&filter) => {
                let mut start = WordWalk {
                    words,
                    from: Position::default(),
                    truncated: false,
                    spent: 0,
                    total: None,
                };
                // The total of a single word comes with its first page.
                if start.words.len() > 1 {
                    self.look_ahead(cx, &job_id, None, &mut start).await?;
                }
                self.by_words(cx, &job_id, &filter, page_size, start).await
            }
            None => self.first_of_all(cx, &job_id, &filter, page_size).await,
        }
    }

    /// Begins a walk over tasks of every word.
    async fn first_of_all(
        &self,
        cx: &Context,
        job_id: &JobId,
        filter: &TaskFilter,
        page_size: u32,
    ) -> Result<Page<Task>> {
        let start = Position::default();
        let filtered = filters_here(filter);
        // Words of no document can be found in the list of all tasks only, as far as its window reaches.
        let only_here = filter.status.contains(&TaskStatus::Unknown);
        // Rows that are left out here are read in the largest pages, up to the limit of calls; so it is asked first whether this is
        // the right way at all.
        let counted = match filtered && !only_here {
            true => self.count(cx, job_id, None).await?,
            false => None,
        };
        let total = match counted {
            Some(total) if total > WINDOW => Some(total),
            counted => {
                let spent = u32::from(counted.is_some());
                let (page, total) = self
                    .all(cx, job_id, filter, page_size, start, spent)
                    .await?;
                if only_here || total.is_none_or(|total| total <= WINDOW) {
                    return Ok(page);
                }
                total
            }
        };
        // More than one window: start again, word by word.
        let mut walk = WordWalk {
            words: all_words(),
            from: start,
            truncated: false,
            spent: 1,
            total: total.filter(|_| !filtered),
        };
        self.look_ahead(cx, job_id, total, &mut walk).await?;
        self.by_words(cx, job_id, filter, page_size, walk).await
    }

    /// Walks the unfiltered list; `truncated` tells that it is longer than the vendor's window. Returns the length of the list beside the
    /// page: with rows left out here it is not the page's total.
    async fn all(
        &self,
        cx: &Context,
        job_id: &JobId,
        filter: &TaskFilter,
        page_size: u32,
        from: Position,
        spent: u32,
    ) -> Result<(Page<Task>, Option<u64>)> {
        let filtered = filters_here(filter);
        let mut walk = self.walk(1, from, page_size, filtered);
        walk.spent = spent;
        let losses = &Losses::default();
        let mut walked = walk
            .run(
                |_, window| Box::pin(self.fetch_tasks(cx, job_id, None, window, losses)),
                task_id,
                |task| task.as_ref().is_some_and(|task| matches(filter, task)),
            )
            .await?;
        with_losses(&mut walked, losses);
        let total = walked.totals.last().map(|(_, total)| *total);
        let truncated = walked.gap || total.is_some_and(|total| total > WINDOW);
        let page = Page {
            total: walked
                .fitting_total(Some(WINDOW))
                .filter(|_| !filtered && losses.none()),
            items: walked.rows.into_iter().flatten().collect(),
            next: walked.next.map(|position| {
                TaskCursor {
                    mode: Mode::All,
                    truncated,
                    position,
                    total: None,
                }
                .encode()
            }),
            truncated,
            problems: Vec::new(),
        };
        Ok((page, total))
    }

    async fn by_words(
        &self,
        cx: &Context,
        job_id: &JobId,
        filter: &TaskFilter,
        page_size: u32,
        start: WordWalk,
    ) -> Result<Page<Task>> {
        let WordWalk {
            words,
            from,
            truncated,
            spent,
            total,
        } = start;
        let filtered = filter.device_id.is_some();
        let segments = u32::try_from(words.len()).unwrap_or(u32::MAX);
        let mut walk = self.walk(segments, from, page_size, filtered);
        // Looking ahead counts for the same page.
        walk.spent = spent;
        let words = &words;
        let losses = &Losses::default();
        let mut walked = walk
            .run(
                |segment, window| {
                    let word = words.get(segment as usize).copied();
                    Box::pin(self.fetch_word(cx, job_id, word, window, losses))
                },
                task_id,
                |task| task.as_ref().is_some_and(|task| matches(filter, task)),
            )
            .await?;
        with_losses(&mut walked, losses);
        let single = (words.len() == 1 && losses.none())
            .then(|| walked.fitting_total(Some(WINDOW)))
            .flatten();
        let truncated =
            truncated || walked.gap || walked.totals.iter().any(|(_, total)| *total > WINDOW);
        Ok(Page {
            items: walked.rows.into_iter().flatten().collect(),
            next: walked.next.map(|position| {
                TaskCursor {
                    mode: Mode::Words,
                    truncated,
                    position,
                    total,
                }
                .encode()
            }),
            total: total
                .filter(|_| losses.none())
                .or(single)
                .filter(|_| !filtered),
            truncated,
            problems: Vec::new(),
        })
    }

    /// Asks for named devices, at most as many in a call as a page has room for. The vendor's documents say that it ignores paging then; a
    /// platform that pages all the same, or shows several tasks of one device, is walked like any other list.
    async fn by_names(
        &self,
        cx: &Context,
        job_id: &JobId,
        filter: &TaskFilter,
        page_size: u32,
        from: Position,
    ) -> Result<Page<Task>> {
        let batches: Vec<_> = filter.device_names.chunks(name_batch(page_size)).collect();
        let segments = u32::try_from(batches.len()).unwrap_or(u32::MAX);
        let batches = &batches;
        let losses = &Losses::default();
        let mut walked = self
            .walk(segments, from, page_size, false)
            .run(
                |segment, window| {
                    let names = batches.get(segment as usize).copied().unwrap_or_default();
                    Box::pin(self.fetch_names(cx, job_id, names, window, losses))
                },
                task_id,
                |task| task.as_ref().is_some_and(|task| matches(filter, task)),
            )
            .await?;
        with_losses(&mut walked, losses);
        let whole = from == Position::default() && walked.next.is_none() && !walked.gap;
        Ok(Page {
            truncated: walked.gap,
            problems: Vec::new(),
            next: walked.next.map(|position| {
                TaskCursor {
                    mode: Mode::Names,
                    truncated: walked.gap,
                    position,
                    total: None,
                }
                .encode()
            }),
            total: whole.then_some(walked.rows.len() as u64),
            items: walked.rows.into_iter().flatten().collect(),
        })
    }

    /// Reads one page of the tasks of these devices. A row of another device keeps its place and is none.
    async fn fetch_names(
        &self,
        cx: &Context,
        job_id: &JobId,
        names: &[DeviceName],
        window: Window,
        losses: &Losses,
    ) -> Result<Fetched<Option<Task>>> {
        let mut params = job_params(job_id);
        params.extend(page_params(window));
        for (number, name) in names.iter().enumerate() {
            params.push((
                format!("DeviceNames.{}", number + 1),
                name.as_str().to_owned(),
            ));
        }
        let fetched = match self.read_tasks(cx, job_id, params, window, losses).await {
            Err(error) if error.kind() == ErrorKind::NotFound && speaks_of_device(&error) => {
                match names {
                    [_] => return Ok(Fetched::nothing(Some(0))),
                    _ => {
                        return Err(error.as_kind(ErrorKind::InvalidArgument, UNKNOWN_DEVICE));
                    }
                }
            }
            fetched => fetched,
        };
        let mut fetched = end_of_list(window, fetched)?;
        for row in &mut fetched.rows {
            *row = row.take().filter(|task| {
                let name = task.device.name.as_ref();
                name.is_some_and(|name| names.contains(name))
            });
        }
        Ok(fetched)
    }

    /// Finds out before the first page whether one of the words has more tasks than a window holds.
    ///
    /// Tasks in words of no document are in no word's list; in a batch of this size nobody can reach them, nor count them without asking
    /// for every word, so they are not told here.
    ///
    /// Usually one or two one-row calls: words are asked in the order of their likely size, and nothing more is asked once the rest
    /// of the batch fits into one window. `truncated` must be right from the first page on, so this is not cut short by the limit of
    /// calls for a page; what it spends is missing from the filling of that page.
    async fn look_ahead(
        &self,
        cx: &Context,
        job_id: &JobId,
        total: Option<u64>,
        start: &mut WordWalk,
    ) -> Result<()> {
        let mut rest = match total {
            Some(total) => total,
            None => {
                start.spent += 1;
                self.count(cx, job_id, None).await?.unwrap_or(0)
            }
        };
        // More tasks than all windows together hold.
        if rest > WINDOW * start.words.len() as u64 && start.words.len() == TASK_WORDS.len() {
            start.truncated = true;
            return Ok(());
        }
        for word in [
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
            if !start.words.contains(&word) {
                continue;
            }
            start.spent += 1;
            let count = self.count_word(cx, job_id, word).await?.unwrap_or(0);
            if count > WINDOW {
                start.truncated = true;
                return Ok(());
            }
            rest = rest.saturating_sub(count);
        }
        Ok(())
    }

    /// Counts the tasks in one word, or `None` on a platform that does not know the word `CONFIRM`.
    pub(crate) async fn count_word(
        &self,
        cx: &Context,
        job_id: &JobId,
        word: &'static str,
    ) -> Result<Option<u64>> {
        match self.count(cx, job_id, Some(word)).await {
            Err(error) if is_old_platform(word, &error) => Ok(None),
            other => other,
        }
    }

    pub(crate) async fn count(
        &self,
        cx: &Context,
        job_id: &JobId,
        word: Option<&str>,
    ) -> Result<Option<u64>> {
        let window = Window {
            index: 0,
            size: 1,
            skip: 0,
        };
        let mut params = job_params(job_id);
        params.extend(page_params(window));
        params.extend(word.map(|word| ("TaskStatus".to_owned(), word.to_owned())));
        let losses = &Losses::default();
        let fetched = self.read_tasks(cx, job_id, params, window, losses).await?;
        // A total below the rows that came with it counts something else.
        Ok(fetched
            .total
            .filter(|total| *total >= fetched.rows.len() as u64))
    }

    async fn fetch_word(
        &self,
        cx: &Context,
        job_id: &JobId,
        word: Option<&'static str>,
        window: Window,
        losses: &Losses,
    ) -> Result<Fetched<Option<Task>>> {
        match self.fetch_tasks(cx, job_id, word, window, losses).await {
            Err(error) if word.is_some_and(|word| is_old_platform(word, &error)) => {
                Ok(Fetched::nothing(Some(0)))
            }
            other => other,
        }
    }

    async fn fetch_tasks(
        &self,
        cx: &Context,
        job_id: &JobId,
        word: Option<&str>,
        window: Window,
        losses: &Losses,
    ) -> Result<Fetched<Option<Task>>> {
        let mut params = job_params(job_id);
        params.extend(page_params(window));
        params.extend(word.map(|word| ("TaskStatus".to_owned(), word.to_owned())));
        end_of_list(
            window,
            self.read_tasks(cx, job_id, params, window, losses).await,
        )
    }

    async fn read_tasks(
        &self,
        cx: &Context,
        job_id: &JobId,
        params: Params,
        window: Window,
        losses: &Losses,
    ) -> Result<Fetched<Option<Task>>> {
        let named = params
            .iter()
            .any(|(name, _)| name.starts_with("DeviceNames."));
        let callers: &[&str] = match named {
            true => &["JobId", "DeviceNames"],
            false => &["JobId"],
        };
        let answer = self.client.read(cx, LIST_TASKS, params, callers).await?;
        let fetched = answers::tasks(self.source(LIST_TASKS), answer, job_id)?;
        let rows = fetched.rows.iter();
        losses.note(rows.map(|row| row.as_ref().map(|task| task.id.as_str())));
        self.tell_page(LIST_TASKS, window, &fetched);
        Ok(fetched)
    }

    fn walk(&self, segments: u32, from: Position, page_size: u32, filtered: bool) -> Walk {
        Walk {
            segments,
            from,
            page_size,
            max_vendor_page: MAX_PAGE,
            limit: Some(WINDOW),
            max_calls: self.client.deps.max_calls_per_page,
            spent: 0,
            filtered,
        }
    }
}

fn job_params(job_id: &JobId) -> Params {
    vec![("JobId".to_owned(), job_id.as_str().to_owned())]
}

/// `CONFIRM` is absent from the oldest edition of the page; a platform of that time refuses it as a filter, with a code that is in no
/// document. A refusal that cannot mean the word is passed on: taken for this, it would hide tasks.
fn is_old_platform(word: &str, error: &Error) -> bool {
    word == CONFIRM && can_mean(error, "TaskStatus")
}

/// The identifier of a row; none for what is no row.
fn task_id(row: &Option<Task>) -> &str {
    row.as_ref().map_or("", |task| task.id.as_str())
}

/// Whether every requested status has vendor words, so that the vendor can filter. `unknown` stands for words that nobody knows, so
/// it is looked for here.
fn native(filter: &TaskFilter) -> bool {
    !filter.status.is_empty() && !filter.status.contains(&TaskStatus::Unknown)
}

/// Whether rows of the unfiltered list are left out here.
fn filters_here(filter: &TaskFilter) -> bool {
    !filter.status.is_empty() || filter.device_id.is_some()
}

/// Whether the filter asks only for words that this vendor never uses.
fn never_matches(filter: &TaskFilter) -> bool {
    native(filter) && words(filter).is_empty()
}

/// The vendor words of the requested statuses in the order of a task's life, which a cursor relies on.
fn words(filter: &TaskFilter) -> Vec<&'static str> {
    let wanted = TASK_WORDS
        .iter()
        .filter(|(_, status, _)| native(filter) && filter.status.contains(status));
    wanted.map(|(word, _, _)| *word).collect()
}

fn all_words() -> Vec<&'static str> {
    TASK_WORDS.iter().map(|(word, _, _)| *word).collect()
}

fn name_batch(page_size: u32) -> usize {
    page_size.clamp(1, MAX_DEVICE_NAMES) as usize
}

/// Whether a cursor is one that a walk with this filter can have given.
fn fits(at: TaskCursor, filter: &TaskFilter, words: usize, page_size: u32) -> bool {
    let segment = at.position.segment as usize;
    let within = at.position.offset <= WINDOW;
    if !filter.device_names.is_empty() {
        let batches = filter.device_names.len().div_ceil(name_batch(page_size));
        return at.mode == Mode::Names && segment < batches && within;
    }
    match at.mode {
        Mode::All => !native(filter) && segment == 0 && within,
        Mode::Words => {
            within
                && segment
                    < if native(filter) {
                        words
                    } else {
                        TASK_WORDS.len()
                    }
        }
        Mode::Names => false,
    }
}

fn matches(filter: &TaskFilter, task: &Task) -> bool {
    let status = filter.status.is_empty() || filter.status.contains(&task.status);
    let device = filter.device_id.is_none() || filter.device_id == task.device.id;
    status && device
}

#[cfg(test)]
mod tests {
    use super::{Mode, TaskCursor, words};
    use ota_core::paging::Position;
    use ota_core::provider::{Cursor, TaskFilter};
    use ota_core::task::TaskStatus;

    #[test]
    fn a_cursor_comes_back() {
        for (total, text) in [(None, "w1.3.250"), (Some(130_000), "w1.3.250.130000")] {
            let at = TaskCursor {
                mode: Mode::Words,
                truncated: true,
                position: Position::new(3, 250),
                total,
            };
            assert_eq!(at.encode(), Cursor(text.into()));
            assert_eq!(TaskCursor::decode(&at.encode()), Some(at));
        }
        for text in [
            "",
            "w",
            "w1",
            "w1.",
            "x1.0.0",
            "w2.0.0",
            "w1.0",
            "w1.0.0.",
            "w1.0.0.01",
            "w1.0.0.0.0",
            "设1.0.0",
        ] {
            assert_eq!(TaskCursor::decode(&Cursor(text.into())), None, "{text}");
        }
    }

    #[test]
    fn words_come_in_the_order_of_a_tasks_life() {
        let filter = |status: &[TaskStatus]| TaskFilter {
            status: status.to_vec(),
            ..TaskFilter::default()
        };
        assert_eq!(
            words(&filter(&[TaskStatus::Failed, TaskStatus::Pending])),
            ["CONFIRM", "QUEUED", "NOTIFIED", "FAILED"]
        );
        assert!(words(&filter(&[TaskStatus::Skipped])).is_empty());
        assert!(words(&filter(&[TaskStatus::Failed, TaskStatus::Unknown])).is_empty());
    }
}
