//! One configured account at a vendor: what an adapter's reads have in common.

use ota_core::Result;
use ota_core::capability::Capability;
use ota_core::drift::DriftKind;
use ota_core::id::ProviderName;
use ota_core::paging::{Fetched, PageDrift, Pager, Position, Window};
use ota_core::provider::Dependencies;

use crate::error::has_code;
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

/// How a vendor's pages look: its names of what a page has around and beside its rows, and its refusal of a page that does not exist.
#[derive(Clone, Copy, Debug)]
pub struct PageFormat {
    /// The page size.
    pub size: &'static str,
    /// The rows.
    pub rows: &'static str,
    /// The total.
    pub total: &'static str,
    /// The codes under which a list may end: the vendor refuses the page behind its last one with them.
    pub no_such_page: &'static [&'static str],
}

impl Account {
    /// Puts together what a provider was configured with. `capability` is the vendor's; fields whose place is configured add to it.
    #[must_use]
    pub fn new(
        vendor: &'static str,
        name: ProviderName,
        capability: Capability,
        deps: Dependencies,
    ) -> Self {
        Self {
            vendor,
            name,
            capability: capability.with_configured(&deps.fields),
            deps,
        }
    }

    /// Returns the row source of an operation.
    #[must_use]
    pub fn source(&self, operation: &'static str) -> Source<'_> {
        Source {
            vendor: self.vendor,
            provider: &self.name,
            operation,
            drift: &*self.deps.drift,
            fields: &self.deps.fields,
        }
    }

    /// Returns the pager that reads `segments` lists and fills a page of at most `page_size` rows within the calls allowed for a page. `max_vendor_page` is the
    /// vendor's largest page. The pager filters nothing and has no limit; change its fields where that is not so.
    #[must_use]
    pub fn pager(
        &self,
        segments: usize,
        from: Position,
        page_size: u32,
        max_vendor_page: u32,
    ) -> Pager {
        Pager {
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

    /// Checks the response for a page of a list. The refusal of a page behind the first one as one that does not exist is the end of the list: a list that
    /// does not report its total ends with it. A page that is not the requested one is reported as drift.
    ///
    /// # Errors
    /// Any other error of `fetched`.
    pub fn judge_page<R>(
        &self,
        operation: &'static str,
        format: PageFormat,
        window: Window,
        fetched: Result<Fetched<R>>,
    ) -> Result<Fetched<R>> {
        match fetched {
            Ok(fetched) => {
                self.report_page(operation, format, window, &fetched);
                Ok(fetched)
            }
            Err(error) if window.index > 0 && has_code(&error, format.no_such_page) => {
                Ok(Fetched::nothing(None))
            }
            Err(error) => Err(error),
        }
    }

    fn report_page<R>(
        &self,
        operation: &'static str,
        format: PageFormat,
        window: Window,
        fetched: &Fetched<R>,
    ) {
        let field = match fetched.drift(window) {
            None => return,
            Some(PageDrift::Size) => format.size,
            Some(PageDrift::Rows) => format.rows,
            Some(PageDrift::Total) => format.total,
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
