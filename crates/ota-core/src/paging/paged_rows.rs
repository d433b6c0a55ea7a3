//! What a listing of a vendor's pages comes to.

use super::Position;
use crate::error::{Error, ErrorKind, Retry};

/// The result of a listing.
#[derive(Clone, Debug)]
pub struct PagedRows<R> {
    /// The rows that were kept, none twice.
    pub rows: Vec<R>,
    /// The place of each kept row in its segment.
    pub places: Vec<u64>,
    /// Where to go on; absent at the end.
    pub next: Option<Position>,
    /// The vendor's totals for the segments that were asked, as far as the rows do not prove them wrong.
    pub totals: Vec<(u32, u64)>,
    /// How many vendor calls this listing made.
    pub calls: u32,
    /// Whether the listing had to pass over rows that the vendor counts and does not give, in this part or an earlier one.
    pub gap: bool,
    /// How many rows of the vendor's were read, whether they were kept or not.
    pub read: u64,
    /// What ended the listing early, after rows had been read: they are given, and the error is the answer to the next request if it lasts.
    pub error: Option<Error>,
    /// Whether something stood in the place of a row that cannot be read.
    pub unreadable: bool,
    /// Whether one page of the vendor's held a row twice; it is given once.
    pub repeated: bool,
    /// Whether a row of a page that was read is not wanted.
    pub left_out: bool,
    /// Whether the listing reads one segment and filters nothing, so that the segment's total is the listing's.
    whole_segment: bool,
    /// Rows of the last segment that were passed.
    pub(super) passed: u64,
    /// Whether a total was proved wrong by the rows that came with it.
    pub(super) wrong_total: bool,
}

impl<R> PagedRows<R> {
    /// Begins with no rows. `whole_segment` is a listing of one segment that filters nothing.
    pub(super) fn begin(from: &Position, whole_segment: bool) -> Self {
        Self {
            rows: Vec::new(),
            places: Vec::new(),
            next: None,
            totals: Vec::new(),
            calls: 0,
            gap: from.gap,
            read: 0,
            error: None,
            unreadable: false,
            repeated: false,
            left_out: false,
            whole_segment,
            passed: from.offset,
            wrong_total: false,
        }
    }
}

impl<R> PagedRows<Option<R>> {
    /// Leaves out what is not a row. Without it the list is not whole, here and in the parts that follow.
    pub(super) fn readable(mut self) -> PagedRows<R> {
        if self.unreadable {
            self.gap = true;
            if let Some(next) = &mut self.next {
                next.gap = true;
            }
        }
        PagedRows {
            rows: self.rows.into_iter().flatten().collect(),
            places: self.places,
            next: self.next,
            totals: self.totals,
            calls: self.calls,
            gap: self.gap,
            read: self.read,
            error: self.error,
            unreadable: self.unreadable,
            repeated: self.repeated,
            left_out: self.left_out,
            whole_segment: self.whole_segment,
            passed: self.passed,
            wrong_total: self.wrong_total,
        }
    }
}

impl<R> PagedRows<R> {
    /// Returns whether every row that the vendor counts in the pages that were read could be given.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        !self.unreadable && !self.repeated
    }

    /// Returns the total of the listing where the vendor's total is exactly that: it reads one segment, leaves no row out, and the total fits the
    /// rows that came.
    #[must_use]
    pub fn exact_total(&self, limit: Option<u64>) -> Option<u64> {
        self.fitting_total(limit)
            .filter(|_| self.whole_segment && self.is_complete() && !self.left_out)
    }

    /// Returns the total of a listing of one segment, if it fits the rows that came.
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
        "the vendor counts more rows than it returns, so the rest of this list cannot be read",
    )
    .with_retry(Retry::Later)
    .with_context("vendor_total", total)
    .with_context("rows_passed", offset.to_string())
}

/// The error for a vendor that answers each page size with yet another one.
pub(super) fn changing_sizes() -> Error {
    Error::new(
        ErrorKind::Protocol,
        "the vendor's page size changes from response to response, so the position of its rows is unknown",
    )
    .with_retry(Retry::Later)
}
