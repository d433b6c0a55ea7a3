//! Makes the returned page from the rows that a pager has read.

use ota_core::paging::{PagedRows, Position};
use ota_core::provider::{Cursor, Page};

/// Makes the page. It has a total if that is exact, and is truncated if rows had to be skipped, in this part or an earlier
/// one. `limit` is the number of rows that the vendor gives access to; `cursor` encodes a position.
#[must_use]
pub fn page<T>(
    paged: PagedRows<T>,
    limit: Option<u64>,
    cursor: impl FnOnce(Position) -> Cursor,
) -> Page<T> {
    Page {
        total: paged.exact_total(limit),
        truncated: paged.gap,
        items: paged.rows,
        next: paged.next.map(cursor),
        problems: Vec::new(),
        missing_named: false,
    }
}
