//! One configured account at a vendor: what an adapter's reads have in common.

use ota_core::capability::Capability;
use ota_core::drift::DriftKind;
use ota_core::id::ProviderName;
use ota_core::paging::{Fetched, PageDrift, Position, Walk, Window};
use ota_core::provider::Dependencies;

use crate::fields::Source;

/// One configured account: its names, what it can do and what it was given.
#[derive(Debug)]
pub struct Account {
    /// The vendor as configuration names it.
    pub vendor: &'static str,
    /// The provider's configured name.
    pub name: ProviderName,
    /// What the provider can do.
    pub capability: Capability,
    /// What the provider was built with.
    pub deps: Dependencies,
}

/// The vendor's names of what a page has around and beside its rows, for reports of drift.
#[derive(Clone, Copy, Debug)]
pub struct PageFields {
    /// The page size.
    pub size: &'static str,
    /// The rows.
    pub rows: &'static str,
    /// The total.
    pub total: &'static str,
}

impl Account {
    /// Returns where the rows of an operation come from.
    #[must_use]
    pub fn source(&self, operation: &'static str) -> Source<'_> {
        Source {
            vendor: self.vendor,
            provider: &self.name,
            operation,
            drift: &*self.deps.drift,
        }
    }

    /// Returns the walk through `segments` lists that fills a page of at most `page_size` rows in the calls that a page may cost. `max_vendor_page` is the
    /// vendor's largest page. The walk filters nothing and has no limit; change its fields where that is not so.
    #[must_use]
    pub fn walk(
        &self,
        segments: usize,
        from: Position,
        page_size: u32,
        max_vendor_page: u32,
    ) -> Walk {
        Walk {
            segments: u32::try_from(segments).unwrap_or(u32::MAX),
            from,
            page_size: page_size.max(1),
            max_vendor_page,
            limit: None,
            max_calls: self.deps.max_calls_per_page.max(1),
            spent: 0,
            filtered: false,
        }
    }

    /// Reports a page that is not the one that was asked for.
    pub fn report_page<R>(
        &self,
        operation: &'static str,
        fields: PageFields,
        window: Window,
        fetched: &Fetched<R>,
    ) {
        let field = match fetched.drift(window) {
            None => return,
            Some(PageDrift::Size) => fields.size,
            Some(PageDrift::Rows) => fields.rows,
            Some(PageDrift::Total) => fields.total,
        };
        self.deps.drift.observe(DriftKind::Page, operation, field);
        tracing::debug!(
            vendor.operation = operation,
            vendor.field = field,
            page.index = window.index,
            page.size = window.size,
            vendor.rows = fetched.rows.len(),
            vendor.total = fetched.total,
            vendor.page_size = fetched.size,
            "the vendor answered with another page than was asked for"
        );
    }
}
