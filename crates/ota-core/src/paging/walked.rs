//! What a walk through a vendor's pages comes to.

use super::Position;
use crate::error::{Error, ErrorKind, Retry};

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
    /// How many vendor calls this walk made.
    pub calls: u32,
    /// Whether the walk had to pass over rows that the vendor counts and does not give, in this part or an earlier one.
    pub gap: bool,
    /// How many rows of the vendor's were read, whether they were kept or not.
    pub read: u64,
    /// What ended the walk early, after rows had been read: they are given, and the error is the answer to the next request if it lasts.
    pub error: Option<Error>,
    /// Rows of the last segment that were passed.
    pub(super) passed: u64,
    /// Whether a total was proved wrong by the rows that came with it.
    pub(super) wrong_total: bool,
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
