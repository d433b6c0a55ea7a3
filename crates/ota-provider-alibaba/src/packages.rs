//! Listing all jobs: packages are listed, then the jobs of each. The cursor holds the package whose jobs are being listed, so that the next page needs no
//! call to find it again.

use std::collections::VecDeque;

use ota_adapter::error::code;
use ota_core::context::Context;
use ota_core::id::{PackageId, ProductId};
use ota_core::job::{Job, Package};
use ota_core::paging::{Fetched, PagedRows, Pager, Position, Window};
use ota_core::provider::{JobFilter, Page, PageProblem};
use ota_core::{Error, ErrorKind, Result};

use crate::answers;
use crate::client::{Client, PAGE, page_params};
use crate::error::is_absence;
use crate::job_list::{JobList, MAX_BY_PACKAGE, filters_here, matches};
use crate::package_cursor::{ListedPackage, PackageCursor};
use crate::params::Params;

pub(crate) const LIST_PACKAGES: &str = "ListOTAFirmware";

/// "PageSize: maximum 100" of `ListOTAFirmware`; the largest page makes the fewest calls.
const PACKAGES_IN_PAGE: u32 = 100;

/// Lists the jobs of one package after another until a page is full.
pub(crate) struct PackageLister<'a> {
    client: &'a Client,
    cx: &'a Context,
    filter: &'a JobFilter,
    page_size: u32,
    /// Where the list goes on.
    at: PackageCursor,
    calls: u32,
    /// The number of jobs that the vendor returned, whether they are in the page or not.
    read: u64,
    items: Vec<Job>,
    problems: Vec<PageProblem>,
    /// The package whose last call failed, and for which the call is made once more.
    failed: Option<u64>,
    /// The error of the previous call, for another package, if the vendor was unavailable.
    unavailable: Option<Error>,
    packages: Option<Packages>,
}

/// Packages whose jobs have not been listed yet.
struct Packages {
    /// Each with its number in the vendor's list.
    rows: VecDeque<(u64, ListedPackage)>,
    /// Where the list goes on behind them.
    next: Option<Position>,
}

/// What follows.
enum Step {
    /// The jobs of this package are next.
    Package(ListedPackage),
    /// The next step follows.
    Next,
    /// The page ends here, and the list goes on.
    PageEnds,
    /// The list ends here.
    ListEnds,
}

impl<'a> PackageLister<'a> {
    pub(crate) fn new(
        client: &'a Client,
        cx: &'a Context,
        filter: &'a JobFilter,
        page_size: u32,
        at: PackageCursor,
    ) -> Self {
        Self {
            client,
            cx,
            filter,
            page_size,
            at,
            calls: 0,
            read: 0,
            items: Vec::new(),
            problems: Vec::new(),
            failed: None,
            unavailable: None,
            packages: None,
        }
    }

    /// Fills the page.
    ///
    /// # Errors
    /// The error of a call that concerns more than one package, if no job was read before it.
    pub(crate) async fn run(mut self) -> Result<Page<Job>> {
        loop {
            let step = match self.next_package().await? {
                Step::Package(package) => self.list_package(package).await?,
                step => step,
            };
            let next = match step {
                Step::Package(_) | Step::Next => continue,
                Step::PageEnds => Some(self.at.clone().encode()?),
                Step::ListEnds => None,
            };
            return Ok(Page {
                items: self.items,
                next,
                total: None,
                truncated: self.at.gap || self.at.skipped,
                problems: self.problems,
                missing_named: self.at.skipped && !self.at.gap,
            });
        }
    }

    fn max_calls(&self) -> u32 {
        self.client.account.deps.max_calls_per_page
    }

    /// Whether the page is full, or has used up its calls.
    fn is_full(&self) -> bool {
        self.items.len() >= self.page_size as usize || self.calls >= self.max_calls()
    }

    /// Finds the package whose jobs are listed next.
    async fn next_package(&mut self) -> Result<Step> {
        let ended = self.at.packages.is_some_and(|end| self.at.index >= end);
        let spent = self.calls >= self.max_calls();
        // Unavailable for each package that was requested, and for more than one: then the vendor is unavailable, and no package is skipped.
        if let Some(error) = self.unavailable.take_if(|_| ended || spent)
            && self.read == 0
            && self.problems.len() > 1
            && all_unavailable(&self.problems)
        {
            return Err(error);
        }
        if ended {
            return Ok(Step::ListEnds);
        }
        let read = self.packages.as_mut();
        let package = match self.at.package.take() {
            Some(package) => package,
            None => match read.and_then(|packages| packages.rows.pop_front()) {
                Some((index, package)) => {
                    self.at.index = index;
                    package
                }
                None => return self.more_packages().await,
            },
        };
        if package.id.is_empty() {
            // Its jobs cannot be requested, so they are missing from the list.
            self.at.gap = true;
            self.at.skip_package();
            return Ok(Step::Next);
        }
        if self.is_full() {
            self.at.package = Some(package);
            return Ok(Step::PageEnds);
        }
        Ok(Step::Package(package))
    }

    /// Reads the next page of packages.
    async fn more_packages(&mut self) -> Result<Step> {
        if let Some(read) = self.packages.take() {
            match read.next {
                Some(position) => self.at.set_packages_position(position),
                None => return Ok(Step::ListEnds),
            }
        }
        if self.is_full() {
            return Ok(Step::PageEnds);
        }
        let paged = match self.read_packages().await {
            Ok(paged) => paged,
            // What was read before is returned first; the next request gets the error again.
            Err(error) if self.ends_early(&error) => return Ok(Step::PageEnds),
            Err(error) => return Err(error.with_operation(LIST_PACKAGES)),
        };
        self.calls += paged.calls;
        self.at.gap |= paged.gap;
        if paged.next.is_none() {
            // No more packages have to be requested behind the last one that was read.
            let end = paged.places.last().map(|place| place + 1);
            self.at.packages = end.or(Some(self.at.index));
        }
        self.packages = Some(Packages {
            rows: paged.places.into_iter().zip(paged.rows).collect(),
            next: paged.next,
        });
        Ok(Step::Next)
    }

    /// Reads jobs of a package.
    async fn list_package(&mut self, package: ListedPackage) -> Result<Step> {
        let paged = match self.read_jobs(&package).await {
            Ok(paged) => paged,
            Err(error) => return self.skip_or_end(package, error),
        };
        self.calls += paged.calls;
        self.read += paged.read;
        self.unavailable = None;
        self.at.gap |= paged.gap;
        let jobs = paged.rows.into_iter();
        self.items
            .extend(jobs.map(|job| with_package(job, &package)));
        match paged.next {
            Some(position) => {
                self.at.set_jobs_position(position);
                self.at.package = Some(package);
                if paged.error.is_some() {
                    return Ok(Step::PageEnds);
                }
            }
            None => self.at.skip_package(),
        }
        Ok(Step::Next)
    }

    /// Decides what follows if the jobs of a package could not be read: it is skipped, retried, or the page ends.
    fn skip_or_end(&mut self, package: ListedPackage, error: Error) -> Result<Step> {
        // Deleted between the two calls, together with its jobs.
        if is_unknown_package(&error) {
            self.calls += 1;
            self.at.skip_package();
            return Ok(Step::Next);
        }
        // The first time it may be chance; the second time the cause is this package. Calls that found the vendor unavailable were already retried by the gate.
        // A page of one call has no call left for that, and the next page would begin anew.
        let unreadable = error.kind() == ErrorKind::Protocol;
        if unreadable && self.failed != Some(self.at.index) && self.max_calls() > 1 {
            self.calls += 1;
            self.failed = Some(self.at.index);
            self.at.package = Some(package);
            return Ok(Step::Next);
        }
        if concerns_package(&error) && (self.unavailable.is_none() || self.read == 0) {
            self.calls += 1;
            self.problems.push(problem(&package, &error));
            self.unavailable = Some(error).filter(|error| error.kind() == ErrorKind::Unavailable);
            self.at.skipped = true;
            self.at.skip_package();
            return Ok(Step::Next);
        }
        if self.ends_early(&error) {
            self.at.package = Some(package);
            return Ok(Step::PageEnds);
        }
        Err(error)
    }

    /// Whether an error ends the page early, so that what was read before is not lost.
    fn ends_early(&self, error: &Error) -> bool {
        error.ends_a_page_early() && (self.read > 0 || !all_unavailable(&self.problems))
    }

    async fn read_jobs(&self, package: &ListedPackage) -> Result<PagedRows<Job>> {
        let missing = self.page_size - u32::try_from(self.items.len()).unwrap_or(self.page_size);
        let pager = Pager {
            spent: self.calls,
            filtered: filters_here(self.filter),
            ..self
                .client
                .account
                .pager(1, self.at.jobs_position(), missing, MAX_BY_PACKAGE)
        };
        let list = &JobList::of_package(&package.id, &[]);
        let is_new = |job: &Job| !self.items.iter().any(|seen| seen.id == job.id);
        pager
            .list(
                |_, window| Box::pin(list.fetch(self.client, self.cx, window)),
                |job| job.id.as_str(),
                |_, job| matches(self.filter, job) && is_new(job),
            )
            .await
    }

    /// Reads one page of packages, or more if the vendor's answer contradicts itself.
    async fn read_packages(&self) -> Result<PagedRows<ListedPackage>> {
        let from = self.at.packages_position();
        let pager = Pager {
            page_size: PACKAGES_IN_PAGE,
            max_calls: 1,
            ..self
                .client
                .account
                .pager(1, from, PACKAGES_IN_PAGE, PACKAGES_IN_PAGE)
        };
        pager
            .run(
                |_, window| Box::pin(self.fetch_packages(window)),
                |package| &package.id,
                |_| true,
            )
            .await
    }

    /// Reads one page of packages. The jobs of a row that cannot be read, or has no identifier, cannot be requested, but the row keeps its place.
    async fn fetch_packages(&self, window: Window) -> Result<Fetched<ListedPackage>> {
        let mut params: Params = page_params(window).into();
        let mut callers: &[&str] = &[];
        if let Some(product) = &self.filter.product_id {
            params.push(("ProductKey".to_owned(), product.as_str().to_owned()));
            callers = &["ProductKey"];
        }
        let account = &self.client.account;
        let answer = self
            .client
            .read(self.cx, LIST_PACKAGES, params, callers)
            .await;
        let fetched =
            answer.and_then(|answer| answers::packages(account.source(LIST_PACKAGES), answer));
        let Fetched { rows, total, size } =
            account.judge_page(LIST_PACKAGES, PAGE, window, fetched)?;
        let rows = rows.into_iter().map(Option::unwrap_or_default);
        Ok(Fetched {
            rows: rows.map(ListedPackage::from).collect(),
            total,
            size,
        })
    }
}

/// Whether the vendor was unavailable for all skipped packages; true if none was skipped.
fn all_unavailable(problems: &[PageProblem]) -> bool {
    let mut kinds = problems.iter().map(|problem| problem.kind);
    kinds.all(|kind| kind == ErrorKind::Unavailable)
}

/// Whether an error concerns the package alone, as far as can be seen: the vendor's API has answered, and has refused neither the credential
/// nor the number of calls. A package is never skipped because of an error of the whole provider.
fn concerns_package(error: &Error) -> bool {
    match error.kind() {
        ErrorKind::Rejected | ErrorKind::Protocol | ErrorKind::NotFound => true,
        // A system error under the vendor's own code; a proxy, or a vendor that is down, has none.
        ErrorKind::Unavailable => error.vendor().is_some_and(|vendor| vendor.code.is_some()),
        ErrorKind::InvalidArgument
        | ErrorKind::Conflict
        | ErrorKind::Unsupported
        | ErrorKind::Auth
        | ErrorKind::Throttled
        | ErrorKind::Misconfigured
        | ErrorKind::Timeout
        | ErrorKind::Unexpected => false,
    }
}

fn problem(package: &ListedPackage, error: &Error) -> PageProblem {
    PageProblem {
        package_id: PackageId::from(package.id.as_str()),
        product_id: package.product.as_deref().map(ProductId::from),
        kind: error.kind(),
        message: error.message().to_owned(),
        vendor: error.vendor().cloned(),
    }
}

/// Whether the vendor does not know a package that its own list has just named.
fn is_unknown_package(error: &Error) -> bool {
    // An AccessKey, an instance or an account that does not exist is not a package.
    error.kind() == ErrorKind::NotFound && is_absence(code(error))
}

/// Fills in what a list row leaves out, from the package in whose list it is.
fn with_package(mut job: Job, paged: &ListedPackage) -> Job {
    let package = job.package.get_or_insert_with(Package::default);
    let other = |id: &PackageId| id.as_str() != paged.id;
    if package.id.as_ref().is_some_and(other) {
        return job;
    }
    package
        .id
        .get_or_insert_with(|| PackageId::from(paged.id.as_str()));
    package.name = package.name.take().or_else(|| paged.name.clone());
    package.version = package.version.take().or_else(|| paged.version.clone());
    let product = || paged.product.as_deref().map(ProductId::from);
    package.product_id = package.product_id.take().or_else(product);
    job
}
