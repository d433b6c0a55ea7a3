//! From a finished listing to the page that is returned.

use ota_core::paging::{PagedRows, Position};
use ota_core::provider::{Cursor, Page};

/// Makes the page of a listing. The total is given where it is exact, and the page is truncated where rows had to be passed over, in this part or an earlier
/// one. `limit` is the row behind which the vendor answers nothing; `cursor` writes where the list goes on.
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
    }
}
