//! Reading and listing jobs.
//!
//! The vendor has no operation that lists all jobs: packages are listed first, then the jobs of each (`packages`).

use ota_adapter::error::{about_the_same, found};
use ota_adapter::page::page;
use ota_core::context::Context;
use ota_core::id::{JobId, PackageId};
use ota_core::job::{Job, JobKind};
use ota_core::paging::{Pager, Position};
use ota_core::provider::{Cursor, JobFilter, ListJobs, Page};
use ota_core::{Error, Result};

use crate::answers;
use crate::client::Client;
use crate::job_list::{JobList, filters_here, matches};
use crate::map::status::JOB_STATUSES;
use crate::package_cursor::PackageCursor;
use crate::packages::PackageLister;
use crate::params::Params;

const GET_JOB: &str = "QueryOTAJob";

/// Which of the vendor's lists answers a request.
enum ListStrategy {
    /// One list of the vendor's.
    One(JobList),
    /// The list of each package.
    AllPackages,
}

/// Returns a page of jobs.
///
/// # Errors
/// As [`ota_core::provider::JobReader::list_jobs`].
pub(crate) async fn jobs_page(
    client: &Client,
    cx: &Context,
    request: ListJobs,
) -> Result<Page<Job>> {
    let (filter, cursor) = (&request.filter, request.cursor.as_ref());
    let strategy = list_strategy(filter);
    // The cursor is judged before the capability, as the contract demands.
    let (from, package) = match &strategy {
        Ok(ListStrategy::One(_)) => (Position::from_cursor(cursor, 1)?, PackageCursor::default()),
        Ok(ListStrategy::AllPackages) => (Position::default(), PackageCursor::decode(cursor)?),
        Err(_) => Default::default(),
    };
    client.account.capability.check_jobs(filter)?;
    let strategy = strategy?;
    if never_matches(filter) {
        return Ok(Page::empty());
    }
    match strategy {
        ListStrategy::One(list) => {
            let pager = Pager {
                filtered: filters_here(filter),
                ..client
                    .account
                    .pager(1, from, request.page_size, list.max_vendor_page)
            };
            let paged = pager
                .list(
                    |_, window| Box::pin(list.fetch(client, cx, window)),
                    |job| job.id.as_str(),
                    |_, job| matches(filter, job),
                )
                .await?;
            Ok(page(paged, None, |position| Cursor(position.encode())))
        }
        ListStrategy::AllPackages => {
            PackageLister::new(client, cx, filter, request.page_size, package)
                .run()
                .await
        }
    }
}

/// Returns one job; `None` if the vendor does not know it.
///
/// # Errors
/// The error of the call, and `protocol` for an answer about another job.
pub(crate) async fn job(client: &Client, cx: &Context, id: &JobId) -> Result<Option<Job>> {
    let params: Params = vec![("JobId".to_owned(), id.as_str().to_owned())];
    let Some(answer) = found(client.read(cx, GET_JOB, params, &["JobId"]).await)? else {
        return Ok(None);
    };
    let Some(mut job) = answers::job(client.account.source(GET_JOB), answer)? else {
        return Ok(None);
    };
    if job.id.as_str().is_empty() {
        job.id = id.clone();
    }
    about_the_same(GET_JOB, id, &job.id)?;
    Ok(Some(job))
}

fn list_strategy(filter: &JobFilter) -> Result<ListStrategy> {
    let package_id = filter.package_id.as_ref().map(PackageId::as_str);
    Ok(
        match (package_id, &filter.product_id, &filter.device_name) {
            (Some(package_id), Some(product_id), Some(device_name)) => ListStrategy::One(
                JobList::of_device(package_id, product_id.as_str(), device_name.as_str()),
            ),
            (_, _, Some(_)) => {
                return Err(Error::unsupported(
                    "device_name",
                    "this provider filters jobs by `device_name` only together with others",
                ));
            }
            (Some(package_id), _, None) => {
                ListStrategy::One(JobList::of_package(package_id, &["FirmwareId"]))
            }
            (None, _, None) => ListStrategy::AllPackages,
        },
    )
}

/// Whether the filter asks only for values that this vendor never uses.
fn never_matches(filter: &JobFilter) -> bool {
    let known = |status| JOB_STATUSES.contains(status);
    let status = !filter.status.is_empty() && !filter.status.iter().any(known);
    let kind = filter.kind.is_some_and(|kind| kind != JobKind::Firmware);
    status || kind
}
