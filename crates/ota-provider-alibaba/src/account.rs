//! One account at the vendor: what reading its jobs, tasks and counts needs.

use ota_core::capability::Capability;
use ota_core::drift::DriftKind;
use ota_core::id::ProviderName;
use ota_core::paging::{Fetched, PageDrift, Window};

use crate::client::Client;
use crate::map::Source;

/// The client of an account, and what is told about it.
#[derive(Debug)]
pub(crate) struct Account {
    pub(crate) name: ProviderName,
    pub(crate) capability: Capability,
    pub(crate) client: Client,
}

impl Account {
    /// Reports a page that is not the one that was asked for.
    pub(crate) fn tell_page<R>(
        &self,
        operation: &'static str,
        window: Window,
        fetched: &Fetched<R>,
    ) {
        let field = match fetched.drift(window) {
            None => return,
            Some(PageDrift::Size) => "PageSize",
            Some(PageDrift::Rows) => "Data",
            Some(PageDrift::Total) => "Total",
        };
        let drift = &self.client.deps.drift;
        drift.observe(DriftKind::Page, operation, field);
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

    pub(crate) fn source(&self, operation: &'static str) -> Source<'_> {
        Source {
            provider: &self.name,
            operation,
            drift: &*self.client.deps.drift,
        }
    }
}
