//! Reads the numbered pages of a vendor.

use std::collections::HashSet;

use super::paged_rows::{PagedRows, changing_sizes, unreachable_rows};
use super::{Fetched, PageFingerprint, Position, Window, repeated_page};
use crate::BoxFuture;
use crate::error::{Error, Result};

/// Reads vendor pages, segment by segment, until a page of the gateway is full.
#[derive(Clone, Copy, Debug)]
pub struct Pager {
    /// Number of segments.
    pub segments: u32,
    /// Where to start.
    pub from: Position,
    /// Maximum number of rows of a page of the gateway.
    pub page_size: u32,
    /// The vendor's largest page.
    pub max_vendor_page: u32,
    /// The number of rows of a segment that the vendor gives access to; `None` for all.
    pub limit: Option<u64>,
    /// Maximum number of vendor calls for a page; [`Pager::run`] describes the exception.
    pub max_calls: u32,
    /// Number of calls already made for this page; they count towards `max_calls`.
    pub spent: u32,
    /// Whether rows are filtered by the gateway: then the largest vendor pages are read, since most rows may not match.
    pub filtered: bool,
}

/// The result of requesting the next rows.
enum Step<R> {
    /// Rows whose position in the list is known.
    Rows(Placed<R>),
    /// A page size was found. The rows, if any, may be at other positions, so they are requested again in this size.
    Size,
    /// The segment has ended.
    End,
    /// The vendor counts more rows but does not return them.
    Missing,
}

/// Rows whose position in the list is known.
struct Placed<R> {
    rows: Vec<R>,
    /// The position of the first row.
    start: u64,
    /// The position behind them.
    end: u64,
    /// Whether the segment ends with them.
    last: bool,
}

/// Why the next rows cannot be read.
enum Stop {
    /// A vendor call failed, or the vendor contradicts itself.
    Failed(Error),
    /// The page has used all its calls.
    Spent,
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

/// What a response shows about the size of the vendor's pages.
enum Size {
    /// The vendor serves pages of this size and smaller ones.
    Most(u32),
    /// The vendor serves no smaller pages.
    Least(u32),
    /// A page was short, so it is open whether its rows are at the requested positions.
    Short { asked: u32, rows: u32 },
}

impl Size {
    const fn rows(&self) -> u32 {
        match self {
            Self::Most(rows) | Self::Least(rows) | Self::Short { rows, .. } => *rows,
        }
    }
}

/// What the vendor returns at a position, compared with its total.
enum Probe<R> {
    /// The row at the position, and those behind it on the same page.
    Rows(Placed<R>),
    /// Nothing, but the row before it is returned: the list ends here.
    Nothing,
    /// Nothing, but the total says that there is more.
    Counted,
    /// Nothing, and the row before it is not returned either: the vendor does not serve pages that small.
    Unclear,
    /// A page of another size than requested.
    Size,
}

/// A [`Pager`] while it runs.
struct PagerRun<R, F, K, P> {
    pager: Pager,
    fetch: F,
    key: K,
    keep: P,
    position: Position,
    paged: PagedRows<R>,
}

impl Pager {
    /// Maximum number of calls for a page on which the vendor contradicts itself ([`Pager::run`]), if larger than `max_calls`.
    pub const MAX_CALLS_TO_RESOLVE: u32 = 5;

    /// Reads vendor pages until the page is full, the calls are used up or the list ends.
    ///
    /// `fetch` reads one window of one segment from the vendor. `key` returns a row's identifier; rows with an identifier that was returned before are left
    /// out. `keep` is the filter.
    ///
    /// The positions of rows follow from the vendor's responses:
    /// - If the vendor reports another page size than the requested one, that size is used from there on.
    /// - A page that is shorter than its size, while the total says that there are more rows, is requested once more. If it stays short,
    ///   its number of rows is taken as the page size, and checked with a page that begins at the next row and is no larger.
    /// - A page that stays empty is skipped if the page after it has rows; [`PagedRows::gap`] is set from there on.
    /// - A total that is smaller than the number of rows read is ignored. A total that is smaller than an earlier one ends the list only
    ///   if separate requests show that there is no row behind it, and that the row before it exists.
    /// - A page with more rows than requested is a page of that size, unless the total says that it is the whole segment, or it has
    ///   more rows than the vendor's largest page; smaller pages are not requested from there on. A vendor that ignores paging returns the same
    ///   rows for the next page.
    /// - Without a total, only an empty page ends the segment. A short page, which may be the last one or smaller than requested,
    ///   is requested again in that size.
    /// - If only an earlier response had a total, a short page is the last one only if the page behind it is empty.
    ///
    /// A page with the fingerprint of the page before is compared with a fresh copy of that page: if both begin with the same row, the vendor
    /// repeats pages.
    ///
    /// A page costs at most `max_calls` calls, with one exception: if it has made no progress from where it began, and a response
    /// contradicts itself or an earlier one, it may take up to [`Pager::MAX_CALLS_TO_RESOLVE`] calls, so that there is progress.
    /// A contradiction that is found later, or after the calls in [`Pager::spent`], is resolved on the next page. A page size that was found counts as
    /// progress, because the cursor carries it.
    ///
    /// # Errors
    /// The first error of `fetch`; `protocol` if the vendor repeats a page, if its page size changes with every
    /// response, and if the total says that there are more rows but none are returned. Rows that were read before are returned first, with the position
    /// to continue from; the next request gets the error, if it lasts ([`Error::ends_a_page_early`]).
    pub async fn run<'a, R>(
        self,
        fetch: impl FnMut(u32, Window) -> BoxFuture<'a, Result<Fetched<R>>> + Send,
        key: impl Fn(&R) -> &str + Send + Sync,
        keep: impl Fn(&R) -> bool + Send + Sync,
    ) -> Result<PagedRows<R>>
    where
        R: Send,
    {
        self.start(fetch, |row| Some(key(row)), |_, row| keep(row))
            .until_full()
            .await
    }

    /// Does the same as [`Pager::run`] for lists whose elements may be unreadable (`None`). Such an element counts for positions, because the vendor counts
    /// it, and is not returned, so [`PagedRows::gap`] is set from there on.
    ///
    /// `id` returns a row's identifier, empty for a row without one. `wanted` also gets the segment: a vendor that ignores a filter returns rows that do not
    /// belong to the segment.
    ///
    /// # Errors
    /// As [`Pager::run`].
    pub async fn list<'a, T>(
        self,
        fetch: impl FnMut(u32, Window) -> BoxFuture<'a, Result<Fetched<Option<T>>>> + Send,
        id: impl Fn(&T) -> &str + Send + Sync,
        wanted: impl Fn(u32, &T) -> bool + Send + Sync,
    ) -> Result<PagedRows<T>>
    where
        T: Send,
    {
        let paged = self
            .start(
                fetch,
                |row: &Option<T>| row.as_ref().map(&id),
                |segment, row| row.as_ref().is_some_and(|row| wanted(segment, row)),
            )
            .until_full()
            .await?;
        Ok(paged.readable())
    }

    fn start<'a, R, F, K, P>(self, fetch: F, key: K, keep: P) -> PagerRun<R, F, K, P>
    where
        R: Send,
        F: FnMut(u32, Window) -> BoxFuture<'a, Result<Fetched<R>>> + Send,
        K: Fn(&R) -> Option<&str> + Send + Sync,
        P: Fn(u32, &R) -> bool + Send + Sync,
    {
        PagerRun {
            pager: self,
            fetch,
            key,
            keep,
            position: self.from,
            paged: PagedRows::begin(&self.from, self.segments == 1 && !self.filtered),
        }
    }

    /// The position that a total reaches, at most the vendor's limit.
    fn reach(&self, total: Option<u64>) -> u64 {
        total.unwrap_or(0).min(self.limit.unwrap_or(u64::MAX))
    }
}

impl<'a, R, F, K, P> PagerRun<R, F, K, P>
where
    R: Send,
    F: FnMut(u32, Window) -> BoxFuture<'a, Result<Fetched<R>>> + Send,
    K: Fn(&R) -> Option<&str> + Send + Sync,
    P: Fn(u32, &R) -> bool + Send + Sync,
{
    async fn until_full(mut self) -> Result<PagedRows<R>> {
        let page_size = self.pager.page_size;
        let mut seen = HashSet::new();
        while self.position.segment < self.pager.segments {
            let missing = page_size.saturating_sub(count(&self.paged.rows));
            let spent = self.pager.spent.saturating_add(self.paged.calls) >= self.pager.max_calls;
            if missing == 0 || spent {
                self.paged.next = Some(self.position);
                break;
            }
            let placed = match self.next_rows(missing).await {
                Ok(Step::Rows(placed)) => placed,
                Ok(Step::Size) => continue,
                Ok(Step::End) => {
                    self.paged.passed = self.position.offset;
                    self.position = self.position.next_segment();
                    continue;
                }
                Ok(Step::Missing) if self.paged.rows.is_empty() => {
                    return Err(unreachable_rows(self.position.total, self.position.offset));
                }
                Ok(Step::Missing) | Err(Stop::Spent) => {
                    self.paged.next = Some(self.position);
                    break;
                }
                Err(Stop::Failed(error)) if self.paged.read > 0 && error.ends_a_page_early() => {
                    self.paged.next = Some(self.position);
                    self.paged.error = Some(error);
                    break;
                }
                Err(Stop::Failed(error)) => return Err(error),
            };
            let from = self.position.offset;
            let skip = from.saturating_sub(placed.start);
            let mut place = placed.start.max(from);
            let mut rest = placed
                .rows
                .into_iter()
                .skip(usize::try_from(skip).unwrap_or(usize::MAX));
            while count(&self.paged.rows) < page_size {
                let Some(row) = rest.next() else { break };
                self.paged.read += 1;
                let key = (self.key)(&row).unwrap_or_default();
                // A row without an identifier cannot be compared, so it never counts as a duplicate.
                let wanted = (self.keep)(self.position.segment, &row);
                if wanted && (key.is_empty() || seen.insert(key.to_owned())) {
                    self.paged.rows.push(row);
                    self.paged.places.push(place);
                }
                place += 1;
            }
            let consumed = rest.next().is_none();
            self.position.offset = match consumed {
                true => placed.end.max(from),
                false => place,
            };
            self.paged.gap |= self.position.gap;
            self.paged.passed = self.position.offset;
            if consumed && placed.last {
                self.position = self.position.next_segment();
            }
        }
        Ok(self.paged)
    }

    /// Whether the position has changed since the start, so that the page may end here.
    fn has_progress(&self) -> bool {
        let place = |position: &Position| {
            let size = (position.size, position.least, position.short);
            (position.segment, position.offset, size)
        };
        self.pager.spent > 0 || place(&self.position) != place(&self.pager.from)
    }

    /// Reads a window and records its total.
    async fn ask(&mut self, window: Window) -> Result<Fetched<R>, Stop> {
        let spent = self.pager.spent.saturating_add(self.paged.calls);
        let most = match self.has_progress() {
            true => self.pager.max_calls,
            false => self.pager.max_calls.max(Pager::MAX_CALLS_TO_RESOLVE),
        };
        if spent >= most {
            return Err(Stop::Spent);
        }
        self.paged.calls += 1;
        let fetched = (self.fetch)(self.position.segment, window).await?;
        self.position.total = self.position.total.max(fetched.total);
        self.note_rows(&fetched.rows);
        Ok(fetched)
    }

    /// Records which rows of a page cannot be returned: the vendor counts them, so its total does not match the rows that are returned.
    fn note_rows(&mut self, rows: &[R]) {
        let mut seen = HashSet::new();
        for row in rows {
            match (self.key)(row) {
                None => self.paged.unreadable = true,
                Some("") => {}
                Some(key) => self.paged.repeated |= !seen.insert(key),
            }
            self.paged.left_out |= !(self.keep)(self.position.segment, row);
        }
    }

    fn fingerprint(&self, rows: &[R]) -> Option<PageFingerprint> {
        rows.first()
            .and_then(|row| PageFingerprint::of((self.key)(row).unwrap_or_default()))
    }

    /// The largest total of any response, at most the vendor's limit.
    fn max_total(&self) -> u64 {
        self.pager.reach(self.position.total)
    }

    /// The page to request; `None` behind the vendor's limit.
    fn window(&self, missing: u32) -> Option<Window> {
        let (offset, limit) = (self.position.offset, self.pager.limit);
        let max = self.pager.max_vendor_page.max(1);
        let want = if self.pager.filtered { max } else { missing };
        let Some(size) = self.position.short.or(self.position.size) else {
            return Window::covering(offset, want, max, limit);
        };
        let size = size.min(max);
        let window = Window::holding(offset, size);
        match limit {
            Some(limit) if window.end() > limit => {
                Window::covering(offset, want, size, Some(limit))
            }
            _ => Some(window),
        }
    }

    /// Records the size of the vendor's pages; the rows are requested again in it.
    fn set_size(&mut self, size: Size) -> Step<R> {
        let position = &mut self.position;
        position.short = None;
        match size {
            Size::Most(rows) => (position.size, position.least) = (Some(rows), false),
            Size::Least(rows) => (position.size, position.least) = (Some(rows), true),
            Size::Short { asked, rows } => {
                position.short = Some(rows);
                position.size = Some(asked);
            }
        }
        Step::Size
    }

    /// Records a short page whose rows may be at other positions.
    ///
    /// They are requested again in a smaller size and under a different page number: with the same number, a vendor with smaller pages
    /// than requested and a vendor with a minimum page size would both return the same rows.
    fn too_short(&mut self, window: Window, rows: &[R]) -> Step<R> {
        let other = self.position.offset / window.index.saturating_add(1);
        let rows = count(rows).min(u32::try_from(other).unwrap_or(u32::MAX));
        self.set_size(Size::Short {
            asked: window.size,
            rows: rows.max(1),
        })
    }

    /// Requests the rows at the position until it is known where they are in the list.
    async fn next_rows(&mut self, missing: u32) -> Result<Step<R>, Stop> {
        let Some(mut window) = self.window(missing) else {
            return Ok(Step::End);
        };
        let fetched = self.ask(window).await?;
        if count(&fetched.rows) > window.size && self.is_whole(&fetched) {
            return Ok(self.whole(fetched));
        }
        if let Some(size) = self.other_size(window, &fetched)? {
            let rows = size.rows();
            let step = self.set_size(size);
            // The first page begins with the first row for any size; the start of every other page depends on the size.
            if window.index > 0 || window.skip >= rows {
                return Ok(step);
            }
            window.size = rows;
        }
        let fingerprint = self.fingerprint(&fetched.rows);
        // A window that starts at its offset is behind the window before it, so it cannot begin with the same row.
        if window.index > 0
            && window.skip == 0
            && fingerprint.is_some()
            && fingerprint == self.position.fingerprint
        {
            let before = Window {
                index: window.index - 1,
                ..window
            };
            let before = self.ask(before).await?;
            if self.fingerprint(&before.rows) == fingerprint {
                return self.repeated(&fetched);
            }
        }
        let (start, rows) = (window.start(), count(&fetched.rows));
        let end = start + u64::from(rows);
        let full = rows == window.size;
        // If the total is smaller than the rows read, it is wrong, or the rows are at other positions.
        let wrong = rows > 0 && fetched.total.is_some_and(|total| total < end);
        let reported = fetched.total.filter(|_| !wrong);
        if end <= self.position.offset {
            return self.no_new_rows(window, fetched, reported).await;
        }
        if full {
            if self.position.short.is_some() {
                self.set_size(Size::Most(rows));
            }
            return Ok(self.place(window, fetched));
        }
        if wrong || (reported.is_none() && self.max_total() < end) {
            if window.index > 0 && !self.position.least {
                return Ok(self.too_short(window, &fetched.rows));
            }
            if !self.position.least {
                self.set_size(Size::Most(rows));
            }
            return Ok(self.place(window, fetched));
        }
        if self.pager.reach(reported) > end || (reported.is_none() && self.max_total() > end) {
            return self.short_page(window, missing, false).await;
        }
        if self.max_total() <= end {
            if fetched.total.is_none() && !self.is_last(window).await? {
                return Ok(self.too_short(window, &fetched.rows));
            }
            return Ok(self.place(window, fetched));
        }
        // A total that has become smaller may be wrong; rows behind it would prove that.
        Ok(match self.probe(end).await? {
            Probe::Nothing => {
                let mut step = self.place(window, fetched);
                if let Step::Rows(placed) = &mut step {
                    placed.last = true;
                }
                step
            }
            _ if self.position.least => self.place(window, fetched),
            _ => self.too_short(window, &fetched.rows),
        })
    }

    /// Whether there is nothing behind a short page without a total that ends where an earlier total ends the list. Rows behind it prove that
    /// pages have become smaller meanwhile, or that the total was wrong.
    async fn is_last(&mut self, window: Window) -> Result<bool, Stop> {
        let behind = window.following();
        let reachable = self.pager.limit.is_none_or(|limit| behind.end() <= limit);
        if self.position.least || window.index == 0 || !reachable {
            return Ok(true);
        }
        Ok(self.ask(behind).await?.rows.is_empty())
    }

    /// Whether a response with more rows than requested is the whole segment: by its total, or because it has more rows than any page.
    fn is_whole(&self, fetched: &Fetched<R>) -> bool {
        let rows = fetched.rows.len() as u64;
        let most = u64::from(self.pager.max_vendor_page);
        match fetched.total {
            Some(total) if total == rows => self.max_total() <= rows || rows > most,
            Some(total) if total > rows => false,
            _ => rows > most,
        }
    }

    /// The rows of a vendor that ignores paging. A list that has become shorter than the position ends here too.
    fn whole(&mut self, fetched: Fetched<R>) -> Step<R> {
        let end = fetched.rows.len() as u64;
        self.note_total(fetched.total, end);
        if end <= u64::from(self.pager.max_vendor_page) {
            // The vendor may have a minimum page size, so the next part is read in the same size.
            self.set_size(Size::Least(count(&fetched.rows)));
        }
        Step::Rows(Placed {
            rows: fetched.rows,
            start: 0,
            end: end.max(self.position.offset),
            last: true,
        })
    }

    /// The page size that a response shows, if it is not the requested one.
    fn other_size(&self, window: Window, fetched: &Fetched<R>) -> Result<Option<Size>> {
        let rows = count(&fetched.rows);
        let most = self.pager.max_vendor_page.max(1);
        // A reported size that the rows contradict is ignored.
        let reported = fetched.size.filter(|size| *size >= rows.max(1));
        if rows > window.size {
            let size = reported.filter(|size| *size <= most).unwrap_or(rows);
            return Ok(Some(Size::Least(size)));
        }
        if let Some(size) = reported.filter(|size| *size < window.size) {
            if self.position.least && size == rows && window.index > 0 {
                return Err(changing_sizes());
            }
            return Ok((!self.position.least).then_some(Size::Most(size)));
        }
        // A larger size than requested is accepted once, because some vendors report it on every page. An empty page is as good a sign as rows:
        // with larger pages, this page number is behind the end of the list.
        let larger = reported.filter(|size| *size > window.size && *size <= most);
        Ok(match larger.filter(|_| window.index > 0) {
            Some(larger) if self.position.short.is_some() && rows > 0 => Some(Size::Least(larger)),
            Some(larger) if self.position.size.is_none() => Some(Size::Most(larger)),
            Some(_) | None => None,
        })
    }

    /// Handles a page that begins with the same row as the page directly before it.
    fn repeated(&self, fetched: &Fetched<R>) -> Result<Step<R>, Stop> {
        let counts_more = self.pager.reach(fetched.total) > self.position.offset;
        // A vendor that ignores paging has returned its whole list before: a short page, or one larger than requested.
        let whole = self.position.size.is_some() && (fetched.size.is_none() || self.position.least);
        match whole && !counts_more {
            true => Ok(Step::End),
            false => Err(repeated_page().into()),
        }
    }

    /// Handles a page without a row at the position or behind it.
    async fn no_new_rows(
        &mut self,
        window: Window,
        fetched: Fetched<R>,
        reported: Option<u64>,
    ) -> Result<Step<R>, Stop> {
        let (offset, rows) = (self.position.offset, count(&fetched.rows));
        if self.pager.reach(reported) > offset || (reported.is_none() && self.max_total() > offset)
        {
            return self.short_page(window, 1, false).await;
        }
        if self.max_total() > offset {
            return match self.probe(offset).await? {
                Probe::Rows(placed) => Ok(Step::Rows(placed)),
                Probe::Size => Ok(Step::Size),
                Probe::Nothing => Ok(self.ended(reported)),
                Probe::Counted => self.short_page(window, 1, true).await,
                Probe::Unclear => Ok(self.no_small_pages()),
            };
        }
        if rows > 0 && rows < window.size && !self.position.least {
            // The end, or smaller pages than requested, whose rows are at other positions.
            return Ok(self.set_size(Size::Most(rows)));
        }
        // The short page that this size was learned from had a row here.
        if self.position.short.is_some() {
            let before = self
                .ask(Window::holding(offset.saturating_sub(1), 1))
                .await?;
            if before.rows.is_empty() {
                return Ok(self.no_small_pages());
            }
            if self.max_total() > offset {
                return self.short_page(window, 1, false).await;
            }
        }
        Ok(self.ended(reported))
    }

    fn ended(&mut self, reported: Option<u64>) -> Step<R> {
        let total = reported.map(|total| (self.position.segment, total));
        self.paged.totals.extend(total);
        Step::End
    }

    /// Continues with pages of the previous size, because the vendor does not serve small ones.
    fn no_small_pages(&mut self) -> Step<R> {
        if self.position.least {
            return Step::Missing;
        }
        let size = self
            .position
            .size
            .unwrap_or(self.pager.max_vendor_page.max(1));
        self.set_size(Size::Least(size))
    }

    /// Whether the vendor returned a larger page than the small one requested on purpose; its size is recorded.
    fn is_larger(&mut self, asked: Window, answer: &Fetched<R>) -> bool {
        let rows = count(&answer.rows);
        let size = answer.size.filter(|size| *size > asked.size);
        let size = size.unwrap_or(rows).min(self.pager.max_vendor_page.max(1));
        let larger = size > asked.size;
        if larger {
            self.set_size(Size::Least(size));
        }
        larger
    }

    /// Finds out whether the list ends at a position, with the smallest possible pages: requests the row there, then the row before it.
    async fn probe(&mut self, place: u64) -> Result<Probe<R>, Stop> {
        let size = match (self.position.least, self.position.size) {
            (true, Some(size)) => size,
            _ => 1,
        };
        let at = Window::holding(place, size);
        let mut counted = false;
        if self.pager.limit.is_none_or(|limit| at.end() <= limit) {
            let answer = self.ask(at).await?;
            let rows = count(&answer.rows);
            if self.is_larger(at, &answer) {
                return Ok(Probe::Size);
            }
            if rows > at.skip {
                return Ok(match self.place(at, answer) {
                    Step::Rows(placed) => Probe::Rows(placed),
                    _ => Probe::Size,
                });
            }
            counted |= self.pager.reach(answer.total) > place;
        }
        let Some(before) = place.checked_sub(1).map(|row| Window::holding(row, size)) else {
            // There is no row before it that could show how small pages are served.
            return Ok(Probe::Counted);
        };
        let answer = self.ask(before).await?;
        counted |= self.pager.reach(answer.total) > place;
        let rows = count(&answer.rows);
        // If the list has become much shorter, the row before is gone too, as the total of this response shows.
        let end = before.start() + u64::from(rows);
        let shorter = self.position.least && answer.total.is_some_and(|total| total <= end);
        let served = rows > before.skip || shorter;
        Ok(match (served, counted) {
            (true, true) => Probe::Counted,
            (true, false) => Probe::Nothing,
            (false, _) => Probe::Unclear,
        })
    }

    /// Handles a page that is shorter than its size, although the total says that there are more rows. `probed`: the row at the position has been
    /// requested separately, and was not returned.
    async fn short_page(
        &mut self,
        window: Window,
        missing: u32,
        probed: bool,
    ) -> Result<Step<R>, Stop> {
        let again = self.ask(window).await?;
        let rows = count(&again.rows);
        let end = window.start() + u64::from(rows);
        if let Some(size) = self.other_size(window, &again)? {
            return Ok(self.set_size(size));
        }
        if rows == window.size || (rows > 0 && again.total == Some(end) && self.max_total() <= end)
        {
            return Ok(self.place(window, again));
        }
        let offset = self.position.offset;
        if rows > 0 && again.total == Some(end) && end > offset {
            // Two totals for one page: rows behind it, or the same rows in a page of this size, prove the larger total.
            return Ok(match self.position.least {
                true => self.place(window, again),
                false => self.too_short(window, &again.rows),
            });
        }
        if again.total.is_some() && self.pager.reach(again.total) <= offset && end <= offset {
            if probed {
                return Ok(self.ended(again.total));
            }
            return Ok(match self.probe(offset).await? {
                Probe::Rows(placed) => Step::Rows(placed),
                Probe::Size => Step::Size,
                Probe::Nothing => self.ended(again.total),
                Probe::Counted => Step::Missing,
                Probe::Unclear => self.no_small_pages(),
            });
        }
        if self.position.least || (rows == 0 && (probed || window.size == 1)) {
            return match rows {
                0 => self.skip_empty_page(window).await,
                // The size is right, and rows are missing in the page.
                _ => Ok(self.place_with_gap(window, again)),
            };
        }
        // A page that begins at the next row, and is no larger than what the vendor returns, has a known position in every case.
        let most = match rows {
            0 => window.size / 2,
            rows => rows,
        };
        let part = Window::beginning_at(offset, most.min(missing));
        let answer = self.ask(part).await?;
        let found = count(&answer.rows);
        if self.is_larger(part, &answer) {
            return Ok(Step::Size);
        }
        if let Some(size) = self.other_size(part, &answer)? {
            return Ok(self.set_size(size));
        }
        if rows > 0 {
            self.set_size(Size::Most(rows));
        }
        let end = part.start() + u64::from(found);
        if found == part.size || (found > 0 && answer.total == Some(end)) {
            return Ok(self.place(part, answer));
        }
        match (found, rows) {
            (0, 0) => self.skip_empty_page(window).await,
            (0, _) => Ok(self.place_with_gap(part, answer)),
            _ => self.short_part(part, answer).await,
        }
    }

    /// Handles a short page that begins at the next row: rows are missing in it, or the vendor's pages have become even smaller. A separate
    /// request for the next row distinguishes the two cases.
    async fn short_part(&mut self, part: Window, answer: Fetched<R>) -> Result<Step<R>, Stop> {
        let single = Window::holding(self.position.offset, 1);
        let row = self.ask(single).await?;
        if self.is_larger(single, &row) {
            return Ok(Step::Size);
        }
        Ok(match self.fingerprint(&row.rows) {
            None if row.rows.is_empty() => self.place_with_gap(single, row),
            fingerprint if fingerprint == self.fingerprint(&answer.rows) => {
                self.place_with_gap(part, answer)
            }
            _ => self.set_size(Size::Most(count(&answer.rows))),
        })
    }

    /// Continues behind a page that stays empty, if there are rows.
    async fn skip_empty_page(&mut self, window: Window) -> Result<Step<R>, Stop> {
        let next = window.following();
        let reachable = self.pager.limit.is_none_or(|limit| next.end() <= limit);
        if next.start() >= self.max_total() || !reachable {
            return Ok(Step::Missing);
        }
        let behind = self.ask(next).await?;
        let rows = count(&behind.rows);
        if let Some(size) = self.other_size(next, &behind)? {
            return Ok(self.set_size(size));
        }
        if rows == 0 {
            return Ok(Step::Missing);
        }
        self.position.gap = true;
        self.position.offset = next.start();
        let end = next.start() + u64::from(rows);
        // A page that is not full is requested once more, like any other.
        match rows == next.size || behind.total == Some(end) {
            true => Ok(self.place(next, behind)),
            false => Ok(Step::Size),
        }
    }

    /// Accepts the rows of a page at the requested positions. They are the last ones if no total was ever larger.
    fn place(&mut self, window: Window, answer: Fetched<R>) -> Step<R> {
        let end = window.start() + answer.rows.len() as u64;
        let last = self.max_total() == end && answer.total.is_none_or(|total| total == end);
        let total = answer
            .total
            .or(self.position.total.filter(|total| *total >= end));
        self.note_total(total, end);
        if let Some(fingerprint) = self.fingerprint(&answer.rows) {
            self.position.fingerprint = Some(fingerprint);
        }
        Step::Rows(Placed {
            start: window.start(),
            rows: answer.rows,
            end,
            last,
        })
    }

    /// Accepts the rows of a page in which rows are missing: the vendor counts rows that it does not return.
    fn place_with_gap(&mut self, window: Window, answer: Fetched<R>) -> Step<R> {
        self.position.gap = true;
        let mut step = self.place(window, answer);
        if let Step::Rows(placed) = &mut step {
            (placed.end, placed.last) = (window.end(), false);
        }
        step
    }

    /// Records the total that came with rows that end at `end`.
    fn note_total(&mut self, total: Option<u64>, end: u64) {
        match total {
            Some(total) if total < end => self.paged.wrong_total = true,
            Some(total) => self.paged.totals.push((self.position.segment, total)),
            None => {}
        }
    }
}

fn count<R>(rows: &[R]) -> u32 {
    u32::try_from(rows.len()).unwrap_or(u32::MAX)
}
