//! The result of a [`Pager`](super::Pager).

use super::Position;
use crate::error::{Error, ErrorKind, Retry};

/// The rows that a [`Pager`](super::Pager) has read, and where to continue.
#[derive(Clone, Debug)]
pub struct PagedRows<R> {
    /// The rows that match, none twice.
    pub rows: Vec<R>,
    /// The position of each of these rows in its segment.
    pub places: Vec<u64>,
    /// Where to continue; absent at the end.
    pub next: Option<Position>,
    /// The vendor's totals of the segments that were read, without those that the rows contradict.
    pub totals: Vec<(u32, u64)>,
    /// Number of vendor calls made.
    pub calls: u32,
    /// Whether rows that the vendor counts but does not return had to be skipped, in this part or an earlier one.
    pub gap: bool,
    /// Number of vendor rows that were read, matching or not.
    pub read: u64,
    /// The error that ended the page early, after rows had been read. The rows are returned; the next request gets the error, if it lasts.
    pub error: Option<Error>,
    /// Whether an element of the list could not be read as a row.
    pub unreadable: bool,
    /// Whether one vendor page had a row twice; it is returned once.
    pub repeated: bool,
    /// Whether a row was read that does not match.
    pub left_out: bool,
    /// Whether one segment is read without a filter, so that the segment's total is the total of the list.
    whole_segment: bool,
    /// Number of rows of the last segment before the end of this part.
    pub(super) passed: u64,
    /// Whether a total contradicts the rows that came with it.
    pub(super) wrong_total: bool,
}

impl<R> PagedRows<R> {
    /// Creates a result without rows. `whole_segment`: one segment is read without a filter.
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
    /// Leaves out elements that are not rows. The list is then incomplete, here and in the following parts.
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
    /// Returns whether every row that the vendor counts in the pages read could be returned.
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

/// Returns the error for a vendor that counts rows but does not return them.
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

/// The error for a vendor that changes its page size with every response.
pub(super) fn changing_sizes() -> Error {
    Error::new(
        ErrorKind::Protocol,
        "the vendor's page size changes from response to response, so the position of its rows is unknown",
    )
    .with_retry(Retry::Later)
}
