//! From "rows from here on" to the numbered pages that vendors know.
//!
//! A walk goes through one or several *segments* (vendor words, packages), each a list that the vendor numbers in pages.
//! A [`Position`] is a segment and the number of vendor rows already passed in it, so a page of ours can end in the middle of a
//! page of the vendor's, and a later call goes on exactly there.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};

use crate::BoxFuture;
use crate::error::{Error, ErrorKind, Result};
use crate::provider::Cursor;

/// Where a walk goes on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Position {
    /// Which segment.
    pub segment: u32,
    /// Rows of the segment already passed.
    pub offset: u64,
    /// How the vendor's last page of the segment began; tells a page that comes again.
    pub mark: Option<Mark>,
}

/// More rows than any list has.
const MAX_OFFSET: u64 = 1 << 32;

impl Position {
    /// Creates the position behind `offset` rows of a segment.
    #[must_use]
    pub const fn new(segment: u32, offset: u64) -> Self {
        Self {
            segment,
            offset,
            mark: None,
        }
    }

    /// Writes the position for a cursor: digits, dots, and a `~` before the mark.
    #[must_use]
    pub fn encode(self) -> String {
        let mark = self
            .mark
            .map_or_else(String::new, |mark| format!("~{}", mark.0));
        format!("{}.{}{mark}", self.segment, self.offset)
    }

    /// Reads what [`Position::encode`] wrote. A row that no list reaches is none: a cursor can be forged, and numbers of pages must not
    /// overflow.
    #[must_use]
    pub fn decode(text: &str) -> Option<Self> {
        let (segment, offset) = text.split_once('.')?;
        let (offset, mark) = match offset.split_once('~') {
            None => (offset, None),
            Some((offset, mark)) => (offset, Some(Mark(number(mark)?))),
        };
        Some(Self {
            segment: number(segment)?,
            offset: number(offset).filter(|offset| *offset < MAX_OFFSET)?,
            mark,
        })
    }

    /// Reads the position from a cursor of a list with `segments` segments; no cursor is the start.
    ///
    /// # Errors
    /// `invalid_argument` when the cursor is not one of such a list.
    pub fn from_cursor(cursor: Option<&Cursor>, segments: usize) -> Result<Self> {
        let Some(cursor) = cursor else {
            return Ok(Self::default());
        };
        Self::decode(&cursor.0)
            .filter(|position| (position.segment as usize) < segments)
            .ok_or_else(Error::invalid_cursor)
    }
}

/// How a page of a vendor began: a hash of its first row's identifier, short enough for a cursor.
///
/// Some vendors answer every page number, or every token, with the page before (a known bug of one vendor's emulator), and some answer
/// numbers behind the end with the last page. A walk that believed them would never end. A row can also stand first twice because rows
/// have moved between two calls, so an equal mark is a suspicion only; [`Walk::run`] shows how it is settled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Mark(u32);

impl Mark {
    /// Returns the mark of a page whose first row has this identifier; none without an identifier.
    #[must_use]
    pub fn of(first: &str) -> Option<Self> {
        // FNV-1a: the same everywhere and for ever, as what stands in a cursor must be.
        let hash = first.bytes().fold(0x811c_9dc5_u32, |hash, byte| {
            (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
        });
        (!first.is_empty()).then_some(Self(hash))
    }
}

/// Returns the error for a vendor whose next page is the one before.
#[must_use]
pub fn repeated_page() -> Error {
    Error::new(
        ErrorKind::Protocol,
        "the vendor answers the next page with the page before, so the rest of this list cannot be read",
    )
}

/// Parses a decimal number that is written in the one way we write it, so that one position has one cursor.
fn number<T: std::str::FromStr + ToString>(text: &str) -> Option<T> {
    text.parse::<T>()
        .ok()
        .filter(|number| number.to_string() == text)
}

/// One numbered page of a vendor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// The page, counted from 0.
    pub index: u64,
    /// Rows in a page.
    pub size: u32,
    /// Rows of the page that were passed before.
    pub skip: u32,
}

impl Window {
    /// Chooses the vendor page that holds the most of `want` rows from `offset` on, all of them wherever one page can.
    ///
    /// Vendors address rows by page number times page size only. A page size can nearly always be found whose pages do not
    /// split the wanted rows, which saves a call whenever a walk goes on in the middle of a page. `max_size` is the vendor's
    /// largest page, `limit` the row behind which the vendor answers nothing (a page must end at or before it).
    /// Returns `None` when `offset` has reached the limit.
    #[must_use]
    pub fn covering(offset: u64, want: u32, max_size: u32, limit: Option<u64>) -> Option<Self> {
        let max_size = max_size.max(1);
        let room = limit.map_or(u64::MAX, |limit| limit.saturating_sub(offset));
        if room == 0 {
            return None;
        }
        let want = want
            .clamp(1, max_size)
            .min(u32::try_from(room).unwrap_or(u32::MAX));
        let mut best: Option<(u32, Self)> = None;
        // Smallest page first: it brings the fewest rows that nobody asked for.
        for size in 1..=max_size {
            let index = offset / u64::from(size);
            let skip = u32::try_from(offset % u64::from(size)).unwrap_or(u32::MAX);
            let end = (index + 1).saturating_mul(u64::from(size));
            if limit.is_some_and(|limit| end > limit) {
                continue;
            }
            let gain = (size - skip).min(want);
            if best.is_none_or(|(best_gain, _)| gain > best_gain) {
                best = Some((gain, Self { index, size, skip }));
            }
            if gain == want {
                break;
            }
        }
        best.map(|(_, window)| window)
    }
}

/// What the vendor answered for one [`Window`].
#[derive(Clone, Debug)]
pub struct Fetched<R> {
    /// The rows of the whole vendor page.
    pub rows: Vec<R>,
    /// All rows of the segment, when the vendor tells it.
    pub total: Option<u64>,
}

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
    /// Where to go on; absent at the end.
    pub next: Option<Position>,
    /// The vendor's total for each segment that was asked.
    pub totals: Vec<(u32, u64)>,
    /// How many vendor calls were made.
    pub calls: u32,
}

impl Walk {
    /// Reads vendor pages until the page is full, the calls are used up or the list ends.
    ///
    /// `fetch` asks the vendor for one window of one segment. `key` identifies a row; rows met twice are left out. `keep`
    /// filters.
    ///
    /// A vendor that ignores paging and answers with more rows than were asked for is taken to have answered with the whole
    /// segment.
    ///
    /// A page that begins as the page before began is compared with the page that stands directly before it, asked for now: if both begin
    /// with the same row, the vendor repeats itself. That takes one call, which may be one more than `max_calls`.
    ///
    /// # Errors
    /// The first error of `fetch`; `protocol` when the vendor's next page is the one before.
    pub async fn run<'a, R>(
        self,
        mut fetch: impl FnMut(u32, Window) -> BoxFuture<'a, Result<Fetched<R>>> + Send,
        key: impl Fn(&R) -> &str + Send + Sync,
        keep: impl Fn(&R) -> bool + Send + Sync,
    ) -> Result<Walked<R>>
    where
        R: Send,
    {
        let mut position = self.from;
        let mut seen = HashSet::new();
        let mut walked = Walked {
            rows: Vec::new(),
            next: None,
            totals: Vec::new(),
            calls: 0,
        };
        while position.segment < self.segments {
            let missing = self
                .page_size
                .saturating_sub(u32::try_from(walked.rows.len()).unwrap_or(u32::MAX));
            if missing == 0 || walked.calls >= self.max_calls {
                walked.next = Some(position);
                return Ok(walked);
            }
            let want = if self.filtered {
                self.max_vendor_page
            } else {
                missing
            };
            let Some(window) =
                Window::covering(position.offset, want, self.max_vendor_page, self.limit)
            else {
                position = Position::new(position.segment + 1, 0);
                continue;
            };
            walked.calls += 1;
            let fetched = fetch(position.segment, window).await?;
            let unpaged = fetched.rows.len() as u64 > u64::from(window.size);
            let mark = fetched.rows.first().and_then(|row| Mark::of(key(row)));
            // A window that starts at its offset starts behind the window before it, so it cannot begin with the same row.
            let suspicious = window.index > 0 && window.skip == 0 && !unpaged;
            if suspicious && mark.is_some() && mark == position.mark {
                walked.calls += 1;
                let before = Window {
                    index: window.index - 1,
                    ..window
                };
                let before = fetch(position.segment, before).await?;
                if before.rows.first().and_then(|row| Mark::of(key(row))) == mark {
                    return Err(repeated_page());
                }
            }
            position.mark = mark;
            if let Some(total) = fetched.total {
                walked.totals.push((position.segment, total));
            }
            let rows = fetched.rows.len() as u64;
            let skip = if unpaged {
                position.offset
            } else {
                u64::from(window.skip)
            };
            let mut passed = 0;
            for row in fetched
                .rows
                .into_iter()
                .skip(usize::try_from(skip).unwrap_or(usize::MAX))
            {
                if walked.rows.len() >= self.page_size as usize {
                    break;
                }
                passed += 1;
                // A row without an identifier cannot be compared, so it is never taken for a repetition.
                let repeated = !key(&row).is_empty() && !seen.insert(key(&row).to_owned());
                if !repeated && keep(&row) {
                    walked.rows.push(row);
                }
            }
            position.offset += passed;
            let rest = rows.saturating_sub(skip + passed);
            let ended = rest == 0
                && match fetched.total {
                    // An empty page ends the segment whatever the total says: rows may have gone since.
                    Some(total) => unpaged || passed == 0 || position.offset >= total,
                    None => unpaged || rows < u64::from(window.size),
                };
            if ended {
                position = Position::new(position.segment + 1, 0);
            }
        }
        Ok(walked)
    }
}

#[cfg(test)]
mod tests;
