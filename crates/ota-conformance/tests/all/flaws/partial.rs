//! Flaws where a part of the vendor's calls fails.

use ota_conformance::Trouble;
use ota_core::id::PackageId;
use ota_core::job::Job;
use ota_core::provider::{Page, PageProblem};
use ota_core::{Error, ErrorKind, Result};

use super::flaw::Flaw;
use super::flawed::Flawed;

impl Flawed {
    /// What is wrong with a page of jobs, or the error in its place, where a part of the vendor's calls fails.
    pub(super) fn partial(&self, page: Result<Page<Job>>) -> Result<Page<Job>> {
        let later = matches!(
            self.trouble(),
            Trouble::LaterThrottle | Trouble::LaterRefusal
        );
        let broken = |page: &Page<Job>| !page.problems.is_empty();
        match (self.flaw, page) {
            (Flaw::DropsRowsBeforeAnError, Ok(page)) if later && page.next.is_some() => {
                Err(Error::new(ErrorKind::Throttled, "a later call failed"))
            }
            (Flaw::LosesTheCursorOfAnError, Ok(page)) if later => Ok(Page { next: None, ..page }),
            (Flaw::PassesARefusalOver, Err(error)) if later && error.kind() == ErrorKind::Auth => {
                let problem = PageProblem {
                    package_id: PackageId::from("package-3"),
                    product_id: None,
                    kind: error.kind(),
                    message: error.message().to_owned(),
                    vendor: error.vendor().cloned(),
                };
                Ok(Page {
                    truncated: true,
                    problems: vec![problem],
                    missing_named: true,
                    ..Page::empty()
                })
            }
            (Flaw::BlocksBehindABrokenPart, Ok(page)) if broken(&page) => {
                Err(Error::new(ErrorKind::Rejected, "a package cannot be read"))
            }
            (Flaw::HidesBrokenParts, Ok(page)) if broken(&page) => Ok(Page {
                truncated: false,
                problems: Vec::new(),
                missing_named: false,
                ..page
            }),
            (_, page) => page,
        }
    }
}
