//! The walk through a vendor's pages.

use std::collections::HashSet;

use super::{Fetched, Mark, Position, Window, repeated_page};
use crate::BoxFuture;
use crate::error::{Error, ErrorKind, Result, Retry};

/// How often a page is asked for in another size before its place in the list counts as unknown.
const MAX_SIZES: u32 = 2;

/// A walk through segments until a page of ours is full.
#[derive(Clone, Copy, Debug)]
pub struct Walk {
    /// How many segments there are.
    pub segments: u32,
    /// Where to start.
    pub from: Position,
    /// How many rows a page of ours takes.
    pub page_size: u32,
    /// The vendor's largest page.
    pub max_vendor_page: u32,
    /// The row of a segment behind which the vendor answers nothing.
    pub limit: Option<u64>,
    /// The most vendor calls.
    pub max_calls: u32,
    /// Whether rows are filtered here: then the largest vendor pages are read, since most rows may be left out.
    pub filtered: bool,
}

/// The result of a walk.
#[derive(Clone, Debug)]
pub struct Walked<R> {
    /// The rows that were kept, none twice.
    pub rows: Vec<R>,
    /// The place of each kept row in its segment.
    pub places: Vec<u64>,
    /// Where to go on; absent at the end.
    pub next: Option<Position>,
    /// The vendor's totals for the segments that were asked, as far as the rows do not prove them wrong.
    pub totals: Vec<(u32, u64)>,
    /// How many vendor calls were made.
    pub calls: u32,
    /// Whether the walk had to pass over rows that the vendor counts and does not give, in this part or an earlier one.
    pub gap: bool,
    /// Rows of the last segment that were passed.
    passed: u64,
    /// Whether a total was proved wrong by the rows that came with it.
    wrong_total: bool,
}

impl<R> Walked<R> {
    /// Returns the total of a walk through one segment, if it fits the rows that came.
    ///
    /// A total is left out when rows are missing, when more rows came than it counts, and when the list ended before it.
    #[must_use]
    pub fn fitting_total(&self, limit: Option<u64>) -> Option<u64> {
        let (_, total) = *self.totals.last()?;
        let reachable = total.min(limit.unwrap_or(u64::MAX));
        let fits = match self.next {
            Some(_) => self.passed <= total,
            None => self.passed == reachable,
        };
        (fits && !self.gap && !self.wrong_total).then_some(total)
    }
}

/// Returns the error for a vendor that counts rows and does not give them.
#[must_use]
pub fn unreachable_rows(total: Option<u64>, offset: u64) -> Error {
    let total = total.map_or_else(|| "unknown".to_owned(), |total| total.to_string());
    Error::new(
        ErrorKind::Protocol,
        "the vendor counts more rows than it gives, so the rest of this list cannot be read",
    )
    .with_retry(Retry::Later)
    .with_context("vendor_total", total)
    .with_context("rows_passed", offset.to_string())
}

/// The error for a vendor that answers each page size with yet another one.
fn changing_sizes() -> Error {
    Error::new(
        ErrorKind::Protocol,
        "the vendor changes its page size from answer to answer, so the place of its rows is unknown",
    )
    .with_retry(Retry::Later)
}

/// What asking for the next rows came to.
enum Met<R> {
    /// Rows whose place in the list is known.
    Rows(Placed<R>),
    /// The segment has ended.
    End,
    /// The vendor counts more rows and does not give them.
    Missing(Option<u64>),
}

/// Rows whose place in the list is known.
struct Placed<R> {
    rows: Vec<R>,
    /// The place of the first row.
    start: u64,
    /// Where the list goes on behind them.
    end: u64,
    /// Whether the segment ends with them.
    last: bool,
}

/// Asks the vendor for pages of one segment, and counts.
struct Asking<F> {
    fetch: F,
    segment: u32,
    calls: u32,
}

impl<F> Asking<F> {
    async fn ask<'a, R>(&mut self, window: Window) -> Result<Fetched<R>>
    where
        F: FnMut(u32, Window) -> BoxFuture<'a, Result<Fetched<R>>> + Send,
        R: Send,
    {
        self.calls = self.calls.saturating_add(1);
        (self.fetch)(self.segment, window).await
    }
}

fn first_mark<R>(rows: &[R], key: impl Fn(&R) -> &str) -> Option<Mark> {
    rows.first().and_then(|row| Mark::of(key(row)))
}

impl Walk {
    /// Reads vendor pages until the page is full, the calls are used up or the list ends.
    ///
    /// `fetch` asks the vendor for one window of one segment. `key` identifies a row; rows met twice are left out. `keep`
    /// filters.
    ///
    /// The vendor's answer decides where its rows stand:
    /// - A reported page size other than the one asked for is the size in force; the rest of the walk asks for it.
    /// - A page with fewer rows than belong into it, while the total says that there are more, is asked for once more. If it stays short,
    ///   its number of rows is taken for the size in force, and a page that begins with the next row and is no larger decides.
    /// - A page that stays empty is passed over if the page after it has rows; [`Walked::gap`] says so from there on.
    /// - A total that is smaller than the rows that came is not believed. One that is smaller than an earlier one ends the list only
    ///   when no rows come behind it.
    /// - A vendor that ignores paging and answers with more rows than were asked for, and no total that says more, has answered with the
    ///   whole segment.
    /// - Without size and total, only an empty page ends the segment.
    ///
    /// A page that begins as the page before began is compared with the page that stands directly before it, asked for now: if both begin
    /// with the same row, the vendor repeats itself.
    ///
    /// Each of these doubts is settled at once, which can take a few calls more than `max_calls`; a page that is as it was asked for
    /// takes none.
    ///
    /// # Errors
    /// The first error of `fetch`; `protocol` when the vendor's next page is the one before, when its page size changes from answer to
    /// answer, and when the total says that there are more rows and none come. Rows that came before are returned first: the error is
    /// the answer to the next request.
    pub async fn run<'a, R>(
        self,
        fetch: impl FnMut(u32, Window) -> BoxFuture<'a, Result<Fetched<R>>> + Send,
        key: impl Fn(&R) -> &str + Send + Sync,
        keep: impl Fn(&R) -> bool + Send + Sync,
    ) -> Result<Walked<R>>
    where
        R: Send,
    {
        let mut position = self.from;
        let mut asking = Asking {
            fetch,
            segment: position.segment,
            calls: 0,
        };
        let mut seen = HashSet::new();
        let mut walked = Walked {
            rows: Vec::new(),
            places: Vec::new(),
            next: None,
            totals: Vec::new(),
            calls: 0,
            gap: position.gap,
            passed: position.offset,
            wrong_total: false,
        };
        while position.segment < self.segments {
            let missing = self
                .page_size
                .saturating_sub(u32::try_from(walked.rows.len()).unwrap_or(u32::MAX));
            if missing == 0 || asking.calls >= self.max_calls {
                walked.next = Some(position);
                break;
            }
            asking.segment = position.segment;
            let met = self
                .next_rows(&mut asking, &mut position, &mut walked, missing, &key)
                .await?;
            let placed = match met {
                Met::Rows(placed) => placed,
                Met::End => {
                    walked.passed = position.offset;
                    position = position.next_segment();
                    continue;
                }
                Met::Missing(_) if !walked.rows.is_empty() => {
                    walked.next = Some(position);
                    break;
                }
                Met::Missing(total) => return Err(unreachable_rows(total, position.offset)),
            };
            let skip = position.offset.saturating_sub(placed.start);
            let mut place = placed.start.max(position.offset);
            let mut rest = placed
                .rows
                .into_iter()
                .skip(usize::try_from(skip).unwrap_or(usize::MAX));
            while walked.rows.len() < self.page_size as usize {
                let Some(row) = rest.next() else { break };
                // A row without an identifier cannot be compared, so it is never taken for a repetition.
                let repeated = !key(&row).is_empty() && !seen.insert(key(&row).to_owned());
                if !repeated && keep(&row) {
                    walked.rows.push(row);
                    walked.places.push(place);
                }
                place += 1;
            }
            let consumed = rest.next().is_none();
            position.offset = if consumed {
                placed.end.max(position.offset)
            } else {
                place
            };
            walked.gap |= position.gap;
            walked.passed = position.offset;
            if consumed && placed.last {
                position = position.next_segment();
            }
        }
        walked.calls = asking.calls;
        Ok(walked)
    }

    /// The page to ask for; `None` behind the vendor's limit.
    fn window(&self, position: &Position, missing: u32) -> Option<Window> {
        let max = self.max_vendor_page.max(1);
        let want = if self.filtered { max } else { missing };
        if let Some(size) = position.size {
            let size = size.min(max);
            let window = Window::holding(position.offset, size);
            let end = window.start().saturating_add(u64::from(size));
            return match self.limit {
                Some(limit) if end > limit => {
                    Window::covering(position.offset, want, size, self.limit)
                }
                _ => Some(window),
            };
        }
        Window::covering(position.offset, want, max, self.limit)
    }

    /// The row that a total reaches, as far as the vendor lets it be read.
    fn reach(&self, total: Option<u64>) -> u64 {
        total.unwrap_or(0).min(self.limit.unwrap_or(u64::MAX))
    }

    /// Asks for the rows at a position until their place in the list is known.
    async fn next_rows<'a, R, F>(
        &self,
        asking: &mut Asking<F>,
        position: &mut Position,
        walked: &mut Walked<R>,
        missing: u32,
        key: &(impl Fn(&R) -> &str + Send + Sync),
    ) -> Result<Met<R>>
    where
        F: FnMut(u32, Window) -> BoxFuture<'a, Result<Fetched<R>>> + Send,
        R: Send,
    {
        let mut sizes = 0;
        let (window, mut fetched) = loop {
            let Some(mut window) = self.window(position, missing) else {
                return Ok(Met::End);
            };
            let fetched = asking.ask(window).await?;
            let rows = fetched.rows.len() as u64;
            // A vendor that reports a page size, and as many rows, has answered with one page, though a larger one than was asked for.
            let larger_page = fetched.total.is_none()
                && fetched
                    .size
                    .is_some_and(|size| u64::from(size) == rows && size <= self.max_vendor_page);
            if fetched.ignores_paging(window) && !larger_page {
                walked
                    .totals
                    .extend(fetched.total.map(|total| (position.segment, total)));
                // A list that has become shorter than what was passed ends here as well.
                return Ok(Met::Rows(Placed {
                    rows: fetched.rows,
                    start: 0,
                    end: rows.max(position.offset),
                    last: true,
                }));
            }
            let force = fetched.size_in_force(window);
            if force == window.size {
                break (window, fetched);
            }
            position.size = Some(force);
            // The first page begins with the first row whatever its size; where another one begins depends on it.
            if window.index == 0 && window.skip < force {
                window.size = force;
                break (window, fetched);
            }
            sizes += 1;
            if sizes > MAX_SIZES {
                return Err(changing_sizes());
            }
        };
        let mark = first_mark(&fetched.rows, key);
        // A window that starts at its offset starts behind the window before it, so it cannot begin with the same row.
        if window.index > 0 && window.skip == 0 && mark.is_some() && mark == position.mark {
            let before = Window {
                index: window.index - 1,
                ..window
            };
            let before = asking.ask(before).await?;
            if first_mark(&before.rows, key) == mark {
                // Neither size nor total: the short page before was the whole list of a vendor that ignores paging.
                return match (fetched.total, fetched.size, position.size) {
                    (None, None, Some(_)) => Ok(Met::End),
                    _ => Err(repeated_page()),
                };
            }
        }
        position.mark = mark;
        let size = u64::from(window.size);
        let end = |fetched: &Fetched<R>| window.start() + fetched.rows.len() as u64;
        let nothing_new = end(&fetched) <= position.offset;
        let unknown = fetched.total.or(position.total).is_none() && fetched.size.is_none();
        let short = (fetched.rows.len() as u64) < size && !fetched.rows.is_empty();
        if unknown && short && (window.index > 0 || nothing_new) {
            return self
                .next_row(asking, position, fetched.rows.len(), missing, key)
                .await;
        }
        if nothing_new && self.reach(fetched.total) <= position.offset {
            match self.shrunk(asking, position, fetched.total).await? {
                Shrunk::Ended => {
                    let total = fetched.total.map(|total| (position.segment, total));
                    walked.totals.extend(total);
                    return Ok(Met::End);
                }
                Shrunk::Not(total) => fetched.total = total,
            }
        }
        let full = fetched.rows.len() as u64 == size;
        let earlier = self.reach(position.total);
        // A total that was reported once holds for the pages that report none.
        if fetched.total.is_none() && earlier >= end(&fetched) {
            fetched.total = position.total;
        }
        // A total that has become smaller may be wrong; rows behind it would prove that. Behind a full page the next one is asked for
        // anyway.
        let fallen =
            earlier > end(&fetched) && fetched.total.is_some_and(|total| total <= end(&fetched));
        let doubted = fallen && (full || !self.ends_at(asking, end(&fetched)).await?);
        if !full && self.reach(fetched.total) > end(&fetched) {
            return self
                .short_page(asking, position, walked, window, fetched, missing)
                .await;
        }
        let wrong = fetched.total.is_some_and(|total| total < end(&fetched));
        if wrong {
            walked.wrong_total = true;
            fetched.total = None;
        }
        let last = match fetched.total {
            Some(total) => {
                walked.totals.push((position.segment, total));
                position.total = position.total.max(Some(total));
                end(&fetched) >= total && !doubted
            }
            None if fetched.size.is_some() => !full,
            None => {
                if !full {
                    position.size = u32::try_from(fetched.rows.len()).ok();
                }
                false
            }
        };
        Ok(Met::Rows(Placed {
            start: window.start(),
            end: end(&fetched),
            rows: fetched.rows,
            last,
        }))
    }

    /// Asks for a page that begins with the next row, because the place of a short page is unknown: without total and size, it can be the end
    /// of the list, or a page of a vendor that serves smaller pages now, and then its rows stand elsewhere.
    async fn next_row<'a, R, F>(
        &self,
        asking: &mut Asking<F>,
        position: &mut Position,
        rows: usize,
        missing: u32,
        key: &(impl Fn(&R) -> &str + Send + Sync),
    ) -> Result<Met<R>>
    where
        F: FnMut(u32, Window) -> BoxFuture<'a, Result<Fetched<R>>> + Send,
        R: Send,
    {
        let mut most = u32::try_from(rows).unwrap_or(u32::MAX).min(missing);
        for _ in 0..=MAX_SIZES {
            let part = Window::beginning_at(position.offset, most);
            let answer = asking.ask(part).await?;
            let found = u32::try_from(answer.rows.len()).unwrap_or(u32::MAX);
            if found == 0 {
                return Ok(Met::End);
            }
            if found > part.size {
                break;
            }
            if found == part.size {
                position.size = Some(part.size);
                position.mark = first_mark(&answer.rows, key);
                return Ok(Met::Rows(Placed {
                    start: part.start(),
                    end: part.start() + u64::from(found),
                    rows: answer.rows,
                    last: false,
                }));
            }
            most = found;
        }
        Err(changing_sizes())
    }

    /// Whether the vendor shows no row at a place, and counts none there.
    async fn ends_at<'a, R, F>(&self, asking: &mut Asking<F>, end: u64) -> Result<bool>
    where
        F: FnMut(u32, Window) -> BoxFuture<'a, Result<Fetched<R>>> + Send,
        R: Send,
    {
        let behind = asking.ask(Window::holding(end, 1)).await?;
        Ok(behind.rows.is_empty() && self.reach(behind.total) <= end)
    }

    /// Finds out whether a list has really become shorter than it was: the row before the position is asked for, and its answer's total
    /// counts.
    async fn shrunk<'a, R, F>(
        &self,
        asking: &mut Asking<F>,
        position: &Position,
        total: Option<u64>,
    ) -> Result<Shrunk>
    where
        F: FnMut(u32, Window) -> BoxFuture<'a, Result<Fetched<R>>> + Send,
        R: Send,
    {
        if position.offset == 0 || self.reach(position.total) <= position.offset {
            return Ok(Shrunk::Ended);
        }
        let before = asking.ask(Window::holding(position.offset - 1, 1)).await?;
        let total = match (before.total, total) {
            (None, None) => position.total,
            (now, then) => now.max(then),
        };
        Ok(match self.reach(total) > position.offset {
            true => Shrunk::Not(total),
            false => Shrunk::Ended,
        })
    }

    /// Settles a page that has fewer rows than belong into it, although the total says that there are more.
    async fn short_page<'a, R, F>(
        &self,
        asking: &mut Asking<F>,
        position: &mut Position,
        walked: &mut Walked<R>,
        window: Window,
        fetched: Fetched<R>,
        missing: u32,
    ) -> Result<Met<R>>
    where
        F: FnMut(u32, Window) -> BoxFuture<'a, Result<Fetched<R>>> + Send,
        R: Send,
    {
        let again = asking.ask(window).await?;
        let rows = again.rows.len() as u64;
        let end = window.start() + rows;
        let total = again.total.or(fetched.total);
        if rows > u64::from(window.size) {
            return Err(changing_sizes());
        }
        let full = rows == u64::from(window.size);
        let last = rows > 0 && again.total == Some(end);
        // Two totals for one page: the smaller one is believed where no row comes behind it.
        let doubted = last && !full && end > position.offset && self.reach(fetched.total) > end;
        if full || last {
            let last = last && (!doubted || self.ends_at(asking, end).await?);
            self.count(position, walked, again.total, end);
            return Ok(Met::Rows(Placed {
                rows: again.rows,
                start: window.start(),
                end,
                last,
            }));
        }
        if self.reach(total) <= position.offset {
            return Ok(Met::End);
        }
        // A page that begins with the next row, and has no more rows than the vendor gives, has its place whatever made the other short.
        let most = match u32::try_from(rows) {
            Ok(0) | Err(_) => window.size / 2,
            Ok(rows) => {
                position.size = Some(rows);
                rows
            }
        };
        let part = Window::beginning_at(position.offset, most.min(missing));
        let answer = asking.ask(part).await?;
        let found = answer.rows.len() as u64;
        if found > u64::from(part.size) {
            return Err(changing_sizes());
        }
        let total = answer.total.or(total);
        let end = part.start() + found;
        self.count(position, walked, answer.total, end);
        if found == u64::from(part.size) || (found > 0 && answer.total == Some(end)) {
            return Ok(Met::Rows(Placed {
                rows: answer.rows,
                start: part.start(),
                end,
                last: answer.total == Some(end),
            }));
        }
        if found > 0 || rows > 0 {
            // The vendor counts rows here that it does not show.
            position.gap = true;
            return Ok(Met::Rows(Placed {
                rows: answer.rows,
                start: part.start(),
                end: part.start() + u64::from(part.size),
                last: false,
            }));
        }
        self.behind_a_hole(asking, position, walked, window, total)
            .await
    }

    /// Goes on behind a page that stays empty, if rows come there.
    async fn behind_a_hole<'a, R, F>(
        &self,
        asking: &mut Asking<F>,
        position: &mut Position,
        walked: &mut Walked<R>,
        window: Window,
        total: Option<u64>,
    ) -> Result<Met<R>>
    where
        F: FnMut(u32, Window) -> BoxFuture<'a, Result<Fetched<R>>> + Send,
        R: Send,
    {
        let next = Window {
            index: window.index + 1,
            size: window.size,
            skip: 0,
        };
        let end = next.start() + u64::from(next.size);
        if next.start() >= self.reach(total) || self.limit.is_some_and(|limit| end > limit) {
            return Ok(Met::Missing(total));
        }
        let behind = asking.ask(next).await?;
        let rows = behind.rows.len() as u64;
        if rows == 0 || rows > u64::from(next.size) {
            return Ok(Met::Missing(total));
        }
        position.gap = true;
        position.offset = next.start();
        position.mark = None;
        let end = next.start() + rows;
        let last = behind.total == Some(end);
        // A page that is not full is asked for once more, as any other.
        let placed = rows == u64::from(next.size) || last;
        if placed {
            self.count(position, walked, behind.total, end);
        }
        Ok(Met::Rows(Placed {
            rows: if placed { behind.rows } else { Vec::new() },
            start: next.start(),
            end: if placed { end } else { next.start() },
            last,
        }))
    }

    /// Notes the total of an answer whose rows end at `end`.
    fn count<R>(
        &self,
        position: &mut Position,
        walked: &mut Walked<R>,
        total: Option<u64>,
        end: u64,
    ) {
        match total {
            Some(total) if total < end => walked.wrong_total = true,
            Some(total) => {
                walked.totals.push((position.segment, total));
                position.total = position.total.max(Some(total));
            }
            None => {}
        }
    }
}

/// Whether a list has become shorter than it was.
enum Shrunk {
    /// It has ended.
    Ended,
    /// It has more rows, as this total says.
    Not(Option<u64>),
}
