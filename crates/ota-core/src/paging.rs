//! Paging over the numbered pages of a vendor.
//!
//! A [`Pager`] reads one or several *segments* (status values, packages), each a list that the vendor divides into numbered pages.
//! A [`Position`] is a segment and the number of vendor rows already passed in it, so a page of the gateway can end in the middle
//! of a vendor page, and a later call continues exactly there.
//!
//! The positions of rows follow from the vendor's response, not from the request: a vendor may serve smaller pages than requested, leave pages
//! out, or report a different total on every page. [`Pager::run`] describes how that is handled.

mod paged_rows;
mod pager;

pub use paged_rows::{PagedRows, unreachable_rows};
pub use pager::Pager;

use serde::{Deserialize, Serialize};

use crate::error::{Error, ErrorKind, Result};
use crate::provider::Cursor;

/// Where the next page starts, with what is known about the vendor's pages of the segment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Position {
    /// Which segment.
    pub segment: u32,
    /// Number of rows of the segment before this position.
    pub offset: u64,
    /// The fingerprint of the vendor's last page of the segment; detects a repeated page.
    pub fingerprint: Option<PageFingerprint>,
    /// The page size to request, if the vendor serves other sizes than requested.
    pub size: Option<u32>,
    /// Whether the vendor serves no pages smaller than that.
    pub least: bool,
    /// The number of rows of a page that was too short; its rows may be at other positions, so they are requested again in this size.
    pub short: Option<u32>,
    /// The largest total that the vendor has reported for the segment.
    pub total: Option<u64>,
    /// Whether rows that the vendor counts but does not return had to be skipped.
    pub gap: bool,
}

/// An upper bound for the number of rows of any list.
const MAX_OFFSET: u64 = 1 << 32;

impl Position {
    /// Creates the position behind `offset` rows of a segment.
    #[must_use]
    pub const fn new(segment: u32, offset: u64) -> Self {
        Self {
            segment,
            offset,
            fingerprint: None,
            size: None,
            least: false,
            short: None,
            total: None,
            gap: false,
        }
    }

    /// Returns the start of the next segment. `gap` stays set.
    #[must_use]
    pub const fn next_segment(self) -> Self {
        Self {
            gap: self.gap,
            ..Self::new(self.segment + 1, 0)
        }
    }

    /// Writes the position for a cursor: digits and a dot, then `~` before the fingerprint, `x` before the page size (`y` where no smaller one is
    /// served), `z` before the rows of a short page, `t` before the total, and `g` where rows were passed over.
    #[must_use]
    pub fn encode(self) -> String {
        let mut text = format!("{}.{}", self.segment, self.offset);
        let parts = [
            (
                '~',
                self.fingerprint.map(|fingerprint| u64::from(fingerprint.0)),
            ),
            (if self.least { 'y' } else { 'x' }, self.size.map(u64::from)),
            ('z', self.short.map(u64::from)),
            ('t', self.total),
        ];
        for (letter, value) in parts {
            if let Some(value) = value {
                text.push(letter);
                text.push_str(&value.to_string());
            }
        }
        if self.gap {
            text.push('g');
        }
        text
    }

    /// Reads what [`Position::encode`] wrote. Returns `None` for an offset of 2^32 or more: a cursor can be forged, and page numbers must not
    /// overflow.
    #[must_use]
    pub fn decode(text: &str) -> Option<Self> {
        let (text, gap) = match text.strip_suffix('g') {
            Some(text) => (text, true),
            None => (text, false),
        };
        let (text, total) = part(text, 't')?;
        let (text, short) = part(text, 'z')?;
        let least = text.contains('y');
        let (text, size) = part(text, if least { 'y' } else { 'x' })?;
        let (text, fingerprint) = part(text, '~')?;
        let (segment, offset) = text.split_once('.')?;
        Some(Self {
            segment: number(segment)?,
            offset: number(offset).filter(|offset| *offset < MAX_OFFSET)?,
            fingerprint: fingerprint.map(PageFingerprint),
            size: positive(size)?,
            least,
            short: positive(short)?,
            total,
            gap,
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

/// A page size of 0 is invalid.
fn positive(size: Option<u32>) -> Option<Option<u32>> {
    (size != Some(0)).then_some(size)
}

/// Splits the number after `letter` off the end of a text; `None` if it is not a number.
fn part<T: std::str::FromStr + ToString>(text: &str, letter: char) -> Option<(&str, Option<T>)> {
    match text.split_once(letter) {
        None => Some((text, None)),
        Some((text, value)) => Some((text, Some(number(value)?))),
    }
}

/// A hash of the identifier of a vendor page's first row, short enough for a cursor.
///
/// Some vendors answer every page number, or every token, with the page before (a known bug of one vendor's emulator), and some return
/// the last page for page numbers behind the end. Paging that trusted them would never end. A row can also be first twice because rows
/// have moved between two calls, so an equal fingerprint is not a proof; [`Pager::run`] describes how it is checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PageFingerprint(u32);

impl PageFingerprint {
    /// Returns the fingerprint of a page whose first row has this identifier; none without an identifier.
    #[must_use]
    pub fn of(first: &str) -> Option<Self> {
        // FNV-1a: the same in every process and version, because cursors outlive both.
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
        "the vendor returned the previous page again, so the rest of this list cannot be read",
    )
}

/// Parses a decimal number in its canonical form, so that one position has exactly one cursor.
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
    /// Number of rows at its beginning that were read before.
    pub skip: u32,
}

impl Window {
    /// The page that holds the first row alone: the smallest call that a list answers.
    pub const FIRST_ROW: Self = Self {
        index: 0,
        size: 1,
        skip: 0,
    };

    /// Chooses the vendor page that holds the most of `want` rows from `offset` on, all of them wherever one page can.
    ///
    /// Vendors address rows by page number times page size only. A page size can nearly always be found whose pages do not
    /// split the wanted rows, which saves a call whenever paging continues in the middle of a page. `max_size` is the vendor's
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
        // Smallest page first: it returns the fewest rows that are not needed.
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

    /// Returns the page of exactly this size that holds a row.
    fn holding(offset: u64, size: u32) -> Self {
        let size = size.max(1);
        Self {
            index: offset / u64::from(size),
            size,
            skip: u32::try_from(offset % u64::from(size)).unwrap_or(0),
        }
    }

    /// Returns the largest page of at most `most` rows that begins with a row.
    fn beginning_at(offset: u64, most: u32) -> Self {
        let fits = |size: &u32| offset.is_multiple_of(u64::from(*size));
        let size = (1..=most.max(1)).rev().find(fits).unwrap_or(1);
        Self::holding(offset, size)
    }

    /// Returns the page behind this one.
    fn following(self) -> Self {
        Self {
            index: self.index.saturating_add(1),
            size: self.size,
            skip: 0,
        }
    }

    /// The position of the page's first row.
    fn start(self) -> u64 {
        self.index.saturating_mul(u64::from(self.size))
    }

    /// The position behind the page's last row.
    fn end(self) -> u64 {
        self.start().saturating_add(u64::from(self.size))
    }
}

/// The vendor's response for one [`Window`].
#[derive(Clone, Debug)]
pub struct Fetched<R> {
    /// The rows of the whole vendor page.
    pub rows: Vec<R>,
    /// All rows of the segment, when the vendor reports it.
    pub total: Option<u64>,
    /// Rows in a page, when the vendor reports it.
    pub size: Option<u32>,
}

/// How a response differs from the requested page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PageDrift {
    /// The vendor serves pages of another size.
    Size,
    /// The page has fewer rows than its size, although the total says that there are more.
    Rows,
    /// The total is smaller than the number of rows up to the end of the page.
    Total,
}

impl<R> Fetched<R> {
    /// Returns a response without rows.
    #[must_use]
    pub const fn nothing(total: Option<u64>) -> Self {
        Self {
            rows: Vec::new(),
            total,
            size: None,
        }
    }

    /// Returns how the response differs from the requested page, as far as this response alone shows it.
    ///
    /// A difference without consequences is not reported: if the list ends with this page, its size does not matter.
    #[must_use]
    pub fn drift(&self, window: Window) -> Option<PageDrift> {
        let size = self.size_in_force(window);
        let (rows, total) = (self.rows.len() as u64, self.total?);
        if self.ignores_paging(window) {
            return None;
        }
        let start = window.index.saturating_mul(u64::from(size));
        let end = start.saturating_add(rows);
        if rows > 0 && total < end {
            return Some(PageDrift::Total);
        }
        match total > end {
            true if size != window.size => Some(PageDrift::Size),
            true if rows < u64::from(size) => Some(PageDrift::Rows),
            true | false => None,
        }
    }

    /// Whether the vendor returned the whole list: more rows than requested, and no larger total.
    fn ignores_paging(&self, window: Window) -> bool {
        let rows = self.rows.len() as u64;
        rows > u64::from(window.size) && self.total.is_none_or(|total| rows >= total)
    }

    /// The page size that the vendor used: the reported one, unless the rows contradict it; otherwise the requested one.
    fn size_in_force(&self, window: Window) -> u32 {
        let rows = u32::try_from(self.rows.len()).unwrap_or(u32::MAX);
        let reported = self.size.filter(|size| *size >= rows.max(1));
        match reported {
            Some(size) if size < window.size || rows > window.size => size,
            _ => window.size.max(rows),
        }
    }
}

#[cfg(test)]
mod tests;
