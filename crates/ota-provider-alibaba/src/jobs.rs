//! Listing jobs.
//!
//! The vendor has no operation that lists all jobs: packages are listed first, then the jobs of each. A cursor carries the package
//! that the walk stands in, so that going on costs no call for finding it again.

use std::collections::VecDeque;

use ota_core::context::Context;
use ota_core::id::{PackageId, ProductId};
use ota_core::job::{Job, JobKind, Package};
use ota_core::paging::{Fetched, Position, Walk, Walked, Window};
use ota_core::provider::{Cursor, JobFilter, ListJobs, Page, PageProblem};
use ota_core::{Error, ErrorKind, Result};
use ota_http::losses::Losses;

use crate::account::Account;
use crate::answers;
use crate::error::is_absence;
use crate::map::status::JOB_STATUSES;
use crate::package_cursor::{PackageCursor, WalkedPackage};
use crate::params::Params;

pub(crate) const LIST_PACKAGES: &str = "ListOTAFirmware";
const LIST_BY_PACKAGE: &str = "ListOTAJobByFirmware";
const LIST_BY_DEVICE: &str = "ListOTAJobByDevice";

/// "PageSize: maximum 100" of `ListOTAFirmware`; the largest page makes the fewest calls.
const PACKAGES_IN_PAGE: u32 = 100;

/// "PageSize: maximum 200" of `ListOTAJobByFirmware`.
const MAX_BY_PACKAGE: u32 = 200;

/// "PageSize: maximum 100" of `ListOTAJobByDevice`.
const MAX_BY_DEVICE: u32 = 100;

/// Which of the vendor's three ways answers a request.
enum Way {
    ByDevice {
        package_id: String,
        product_id: String,
        device_name: String,
    },
    ByPackage {
        package_id: String,
    },
    AllPackages,
}

impl Account {
    pub(crate) async fn jobs_page(&self, cx: &Context, request: ListJobs) -> Result<Page<Job>> {
        let ListJobs {
            filter,
            page_size,
            cursor,
        } = request;
        let way = way(&filter);
        // Cursor before capability: a damaged cursor is the caller's first mistake.
        let position = match &way {
            Ok(Way::ByDevice { .. } | Way::ByPackage { .. }) => (
                Position::from_cursor(cursor.as_ref(), 1)?,
                PackageCursor::default(),
            ),
            Ok(Way::AllPackages) => (Position::default(), PackageCursor::decode(cursor.as_ref())?),
            Err(_) => Default::default(),
        };
        self.capability.check_jobs(&filter)?;
        let way = way?;
        if never_matches(&filter) {
            return Ok(Page::empty());
        }
        match way {
            Way::ByDevice {
                package_id,
                product_id,
                device_name,
            } => {
                let params = vec![
                    ("FirmwareId".to_owned(), package_id),
                    ("ProductKey".to_owned(), product_id),
                    ("DeviceName".to_owned(), device_name),
                ];
                self.one_list(
                    cx,
                    LIST_BY_DEVICE,
                    MAX_BY_DEVICE,
                    params,
                    &filter,
                    page_size,
                    position.0,
                )
                .await
            }
            Way::ByPackage { package_id } => {
                let params = vec![("FirmwareId".to_owned(), package_id)];
                self.one_list(
                    cx,
                    LIST_BY_PACKAGE,
                    MAX_BY_PACKAGE,
                    params,
                    &filter,
                    page_size,
                    position.0,
                )
                .await
            }
            Way::AllPackages => self.all_packages(cx, &filter, page_size, position.1).await,
        }
    }

    /// Pages through one list of jobs.
    #[expect(
        clippy::too_many_arguments,
        reason = "one call site per vendor operation; a struct would only repeat the names"
    )]
    async fn one_list(
        &self,
        cx: &Context,
        operation: &'static str,
        max_vendor_page: u32,
        params: Params,
        filter: &JobFilter,
        page_size: u32,
        from: Position,
    ) -> Result<Page<Job>> {
        let filtered = filters_here(filter);
        let callers = ["FirmwareId", "ProductKey", "DeviceName"];
        let callers: &[&str] = &callers[..params.len().min(callers.len())];
        let (params, losses) = (&params, &Losses::default());
        let mut walked = Walk {
            segments: 1,
            from,
            page_size,
            max_vendor_page,
            limit: None,
            max_calls: self.client.deps.max_calls_per_page,
            spent: 0,
            filtered,
        }
        .run(
            |_, window| {
                Box::pin(self.fetch_jobs(cx, operation, params.clone(), callers, window, losses))
            },
            job_id,
            |job| job.as_ref().is_some_and(|job| matches(filter, job)),
        )
        .await?;
        with_losses(&mut walked, losses);
        Ok(Page {
            total: walked
                .fitting_total(None)
                .filter(|_| !filtered && losses.none()),
            truncated: walked.gap,
            problems: Vec::new(),
            items: walked.rows.into_iter().flatten().collect(),
            next: walked.next.map(|position| Cursor(position.encode())),
        })
    }

    async fn all_packages(
        &self,
        cx: &Context,
        filter: &JobFilter,
        page_size: u32,
        mut at: PackageCursor,
    ) -> Result<Page<Job>> {
        let max_calls = self.client.deps.max_calls_per_page;
        let mut calls = 0;
        // Jobs that came from the vendor, whether they are given or not.
        let mut read = 0;
        let mut problems: Vec<PageProblem> = Vec::new();
        // The package whose calls have failed last, and are made once more.
        let mut failed: Option<u64> = None;
        // What the call before, for another package, met if it found the vendor out of order.
        let mut out_of_order: Option<Error> = None;
        let mut items: Vec<Job> = Vec::new();
        let mut packages: Option<Packages> = None;
        loop {
            // Out of order for each package that was asked for, and for more than one: that is the vendor, and none is passed over.
            let ended = at.packages.is_some_and(|end| at.index >= end);
            if let Some(error) = out_of_order.take_if(|_| ended || calls >= max_calls)
                && read == 0
                && problems.len() > 1
                && all_out_of_order(&problems)
            {
                return Err(error);
            }
            if ended {
                return last_page(items, problems, at.gap);
            }
            let full = items.len() >= page_size as usize;
            let known = at.package.take();
            let next = match (&known, &mut packages) {
                (None, Some(packages)) => packages.rows.pop_front(),
                _ => None,
            };
            let package = match (known, next) {
                (Some(package), _) => package,
                (None, Some((index, package))) => {
                    at.index = index;
                    package
                }
                (None, None) => {
                    if let Some(read) = packages.take() {
                        match read.next {
                            Some(position) => at = at.with_packages_position(position),
                            None => return last_page(items, problems, at.gap),
                        }
                    }
                    if full || calls >= max_calls {
                        return page_to_go_on(items, problems, at);
                    }
                    let position = at.packages_position();
                    let walked = self.read_packages(cx, filter, position).await;
                    let walked = match walked {
                        Ok(walked) => walked,
                        // What came before is given first; the next request meets the error again.
                        Err(error) if ends_early(&error, read, &problems) => {
                            return page_to_go_on(items, problems, at);
                        }
                        Err(error) => return Err(error.with_operation(LIST_PACKAGES)),
                    };
                    calls += walked.calls;
                    at.gap |= walked.gap;
                    if walked.next.is_none() {
                        // Behind the last one that was read, nothing has to be asked for.
                        let end = walked.places.last().map(|place| place + 1);
                        at.packages = end.or(Some(at.index));
                    }
                    packages = Some(Packages {
                        rows: walked.places.into_iter().zip(walked.rows).collect(),
                        next: walked.next,
                    });
                    continue;
                }
            };
            if package.id.is_empty() {
                // Nothing can be asked for it, so its jobs are missing from the list.
                at.gap = true;
                at = at.next_package();
                continue;
            }
            if full || calls >= max_calls {
                at.package = Some(package);
                return page_to_go_on(items, problems, at);
            }
            let walk = Walk {
                segments: 1,
                from: at.jobs_position(),
                page_size: page_size - u32::try_from(items.len()).unwrap_or(page_size),
                max_vendor_page: MAX_BY_PACKAGE,
                limit: None,
                max_calls,
                spent: calls,
                filtered: filters_here(filter),
            };
            let losses = &Losses::default();
            let walked = walk
                .run(
                    |_, window| {
                        let params = vec![("FirmwareId".to_owned(), package.id.clone())];
                        Box::pin(self.fetch_jobs(cx, LIST_BY_PACKAGE, params, &[], window, losses))
                    },
                    job_id,
                    |job| {
                        let wanted = |job: &Job| {
                            matches(filter, job) && !items.iter().any(|seen| seen.id == job.id)
                        };
                        job.as_ref().is_some_and(wanted)
                    },
                )
                .await;
            let mut walked = match walked {
                Ok(walked) => walked,
                // Deleted between the two calls: its jobs are gone with it.
                Err(error) if is_unknown_package(&error) => {
                    calls += 1;
                    at = at.next_package();
                    continue;
                }
                // Told once may be chance; twice, it is this package's trouble. What is out of order has been tried more often by the gate.
                // A page of one call has none left for that, and the next page would begin anew.
                Err(error)
                    if error.kind() == ErrorKind::Protocol
                        && failed != Some(at.index)
                        && max_calls > 1 =>
                {
                    calls += 1;
                    failed = Some(at.index);
                    at.package = Some(package);
                    continue;
                }
                Err(error) if is_of_package(&error) && (out_of_order.is_none() || read == 0) => {
                    calls += 1;
                    problems.push(problem(&package, &error));
                    out_of_order =
                        Some(error).filter(|error| error.kind() == ErrorKind::Unavailable);
                    at.gap = true;
                    at = at.next_package();
                    continue;
                }
                Err(error) if ends_early(&error, read, &problems) => {
                    at.package = Some(package);
                    return page_to_go_on(items, problems, at);
                }
                Err(error) => return Err(error),
            };
            with_losses(&mut walked, losses);
            calls += walked.calls;
            read += walked.read;
            out_of_order = None;
            at.gap |= walked.gap;
            items.extend(
                walked
                    .rows
                    .into_iter()
                    .flatten()
                    .map(|job| with_package(job, &package)),
            );
            match walked.next {
                Some(position) => {
                    at = at.with_jobs_position(position);
                    at.package = Some(package);
                    if walked.error.is_some() {
                        return page_to_go_on(items, problems, at);
                    }
                }
                None => at = at.next_package(),
            }
        }
    }

    async fn fetch_jobs(
        &self,
        cx: &Context,
        operation: &'static str,
        mut params: Params,
        callers: &[&str],
        window: Window,
        losses: &Losses,
    ) -> Result<Fetched<Option<Job>>> {
        params.extend(page_params(window));
        let answer = self.client.read(cx, operation, params, callers).await;
        let fetched = answer.and_then(|answer| answers::jobs(self.source(operation), answer));
        let fetched = end_of_list(window, fetched)?;
        let rows = fetched.rows.iter();
        losses.note(rows.map(|row| row.as_ref().map(|job| job.id.as_str())));
        self.tell_page(operation, window, &fetched);
        Ok(fetched)
    }

    /// Reads one page of packages, or more where the vendor's answer leaves a doubt.
    async fn read_packages(
        &self,
        cx: &Context,
        filter: &JobFilter,
        from: Position,
    ) -> Result<Walked<WalkedPackage>> {
        let walk = Walk {
            segments: 1,
            from,
            page_size: PACKAGES_IN_PAGE,
            max_vendor_page: PACKAGES_IN_PAGE,
            limit: None,
            max_calls: 1,
            spent: 0,
            filtered: false,
        };
        walk.run(
            |_, window| Box::pin(self.fetch_packages(cx, filter, window)),
            |package| &package.id,
            |_| true,
        )
        .await
    }

    async fn fetch_packages(
        &self,
        cx: &Context,
        filter: &JobFilter,
        window: Window,
    ) -> Result<Fetched<WalkedPackage>> {
        let mut params: Params = page_params(window).into();
        let mut callers: &[&str] = &[];
        if let Some(product) = &filter.product_id {
            params.push(("ProductKey".to_owned(), product.as_str().to_owned()));
            callers = &["ProductKey"];
        }
        let answer = self.client.read(cx, LIST_PACKAGES, params, callers).await;
        let fetched =
            answer.and_then(|answer| answers::packages(self.source(LIST_PACKAGES), answer));
        let Fetched { rows, total, size } = end_of_list(window, fetched)?;
        let packages = rows.into_iter().map(|row| WalkedPackage {
            id: row.firmware_id.text().unwrap_or_default(),
            name: row.firmware_name.text(),
            version: row.dest_version.text(),
            product: row.product_key.text(),
        });
        // A row without an identifier has no jobs that could be asked for, but keeps its place in the numbering.
        let fetched = Fetched {
            rows: packages.collect(),
            total,
            size,
        };
        self.tell_page(LIST_PACKAGES, window, &fetched);
        Ok(fetched)
    }
}

/// Packages that were read and not yet walked.
struct Packages {
    /// Each with its number in the vendor's list.
    rows: VecDeque<(u64, WalkedPackage)>,
    /// Where the list goes on behind them.
    next: Option<Position>,
}

fn last_page(items: Vec<Job>, problems: Vec<PageProblem>, gap: bool) -> Result<Page<Job>> {
    Ok(Page {
        items,
        next: None,
        total: None,
        truncated: gap,
        problems,
    })
}

fn page_to_go_on(
    items: Vec<Job>,
    problems: Vec<PageProblem>,
    at: PackageCursor,
) -> Result<Page<Job>> {
    Ok(Page {
        items,
        truncated: at.gap,
        problems,
        next: Some(at.encode()?),
        total: None,
    })
}

/// Whether an error ends the page early, so that what came before is not lost.
fn ends_early(error: &Error, read: u64, problems: &[PageProblem]) -> bool {
    error.ends_a_page_early() && (read > 0 || !all_out_of_order(problems))
}

/// Whether the vendor was out of order for all packages that were passed over; so it is where there are none.
fn all_out_of_order(problems: &[PageProblem]) -> bool {
    let mut kinds = problems.iter().map(|problem| problem.kind);
    kinds.all(|kind| kind == ErrorKind::Unavailable)
}

/// Whether an error is one of the package alone, as far as it shows that: the vendor's API has answered, and has refused neither the credential
/// nor the number of calls. Errors of the whole provider are never passed over.
fn is_of_package(error: &Error) -> bool {
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

fn problem(package: &WalkedPackage, error: &Error) -> PageProblem {
    PageProblem {
        package_id: PackageId::from(package.id.as_str()),
        product_id: package.product.as_deref().map(ProductId::from),
        kind: error.kind(),
        message: error.message().to_owned(),
        vendor: error.vendor().cloned(),
    }
}

/// Whether the vendor does not know a package that its own list has named a moment before.
fn is_unknown_package(error: &Error) -> bool {
    let code = error.vendor().and_then(|vendor| vendor.code.as_deref());
    // A key, an instance or an account that does not exist is no package.
    error.kind() == ErrorKind::NotFound && is_absence(code.unwrap_or_default())
}

fn way(filter: &JobFilter) -> Result<Way> {
    match (&filter.package_id, &filter.product_id, &filter.device_name) {
        (Some(package_id), Some(product_id), Some(device_name)) => Ok(Way::ByDevice {
            package_id: package_id.as_str().to_owned(),
            product_id: product_id.as_str().to_owned(),
            device_name: device_name.as_str().to_owned(),
        }),
        (_, _, Some(_)) => Err(Error::unsupported(
            "device_name",
            "this provider filters jobs by `device_name` only together with others",
        )),
        (Some(package_id), _, None) => Ok(Way::ByPackage {
            package_id: package_id.as_str().to_owned(),
        }),
        (None, _, None) => Ok(Way::AllPackages),
    }
}

/// Whether the filter asks only for words that this vendor never uses.
fn never_matches(filter: &JobFilter) -> bool {
    let status = !filter.status.is_empty()
        && !filter
            .status
            .iter()
            .any(|status| JOB_STATUSES.contains(status));
    let kind = filter.kind.is_some_and(|kind| kind != JobKind::Firmware);
    status || kind
}

/// Whether rows are left out here, so that the vendor's total is not the filter's.
fn filters_here(filter: &JobFilter) -> bool {
    !filter.status.is_empty()
        || filter.kind.is_some()
        || (filter.package_id.is_some()
            && filter.product_id.is_some()
            && filter.device_name.is_none())
}

fn matches(filter: &JobFilter, job: &Job) -> bool {
    let status = filter.status.is_empty() || filter.status.contains(&job.status);
    let kind = filter.kind.is_none() || filter.kind == job.kind;
    // A row that does not tell its product came through a list of that product.
    let product = match (&filter.product_id, &job.target.product_id) {
        (Some(wanted), Some(actual)) => wanted == actual,
        _ => true,
    };
    status && kind && product
}

/// Fills in what a list row leaves out from the package that the walk came through.
fn with_package(mut job: Job, walked: &WalkedPackage) -> Job {
    let package = job.package.get_or_insert_with(Package::default);
    if package
        .id
        .as_ref()
        .is_some_and(|id| id.as_str() != walked.id)
    {
        return job;
    }
    package
        .id
        .get_or_insert_with(|| PackageId::from(walked.id.as_str()));
    package.name = package.name.take().or_else(|| walked.name.clone());
    package.version = package.version.take().or_else(|| walked.version.clone());
    package.product_id = package
        .product_id
        .take()
        .or_else(|| walked.product.as_deref().map(ProductId::from));
    job
}

/// The identifier of a row; none for what is no row.
fn job_id(row: &Option<Job>) -> &str {
    row.as_ref().map_or("", |job| job.id.as_str())
}

/// Counts rows that nobody could read as a gap, here and in the parts that follow.
pub(crate) fn with_losses<R>(walked: &mut Walked<R>, losses: &Losses) {
    if losses.unreadable() {
        walked.gap = true;
        if let Some(next) = &mut walked.next {
            next.gap = true;
        }
    }
}

/// The vendor counts pages from 1.
pub(crate) fn page_params(window: Window) -> [(String, String); 2] {
    [
        ("CurrentPage".to_owned(), (window.index + 1).to_string()),
        ("PageSize".to_owned(), window.size.to_string()),
    ]
}

/// Reads "there is no such page" behind the end of a list as what it means: a list that does not tell its total ends with it.
pub(crate) fn end_of_list<R>(window: Window, result: Result<Fetched<R>>) -> Result<Fetched<R>> {
    let code = |error: &Error| {
        error
            .vendor()
            .and_then(|vendor| vendor.code.clone())
            .unwrap_or_default()
    };
    match result {
        Err(error)
            if window.index > 0
                && code(&error).eq_ignore_ascii_case("iot.common.InvalidPageParams") =>
        {
            Ok(Fetched::nothing(None))
        }
        other => other,
    }
}
