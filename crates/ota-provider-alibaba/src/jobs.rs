//! Listing jobs.
//!
//! The vendor has no operation that lists all jobs: packages are listed first, then the jobs of each. A cursor carries the package
//! that the walk stands in, so that going on costs no call for finding it again.

use ota_core::context::Context;
use ota_core::id::{PackageId, ProductId};
use ota_core::job::{Job, JobKind, Package};
use ota_core::paging::{Fetched, Mark, Position, Walk, Window, repeated_page};
use ota_core::provider::{Cursor, JobFilter, ListJobs, Page};
use ota_core::{Error, Result};
use serde::{Deserialize, Serialize};

use crate::answers;
use crate::client::Params;
use crate::map::status::JOB_STATUSES;
use crate::provider::AlibabaProvider;

pub(crate) const LIST_PACKAGES: &str = "ListOTAFirmware";
const LIST_BY_PACKAGE: &str = "ListOTAJobByFirmware";
const LIST_BY_DEVICE: &str = "ListOTAJobByDevice";

/// "PageSize: maximum 100" of `ListOTAFirmware`; the largest page makes the fewest calls.
const PACKAGES_IN_PAGE: u64 = 100;

/// "PageSize: maximum 200" of `ListOTAJobByFirmware`.
const MAX_BY_PACKAGE: u32 = 200;

/// "PageSize: maximum 100" of `ListOTAJobByDevice`.
const MAX_BY_DEVICE: u32 = 100;

/// A package as the walk needs it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct WalkedPackage {
    id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    version: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    product: Option<String>,
}

/// Where the walk over packages stands.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct PackageCursor {
    /// Number of the package in the vendor's list, from 0.
    #[serde(rename = "i")]
    index: u64,
    /// Jobs of that package already passed.
    #[serde(rename = "o")]
    offset: u64,
    /// How the vendor's last page of those jobs began.
    #[serde(rename = "m", default, skip_serializing_if = "Option::is_none")]
    mark: Option<Mark>,
    /// How the vendor's last page of packages began.
    #[serde(rename = "f", default, skip_serializing_if = "Option::is_none")]
    packages_mark: Option<Mark>,
    /// All packages, as far as known.
    #[serde(rename = "n", default, skip_serializing_if = "Option::is_none")]
    packages: Option<u64>,
    /// The package itself, when it is known already.
    #[serde(rename = "p", default, skip_serializing_if = "Option::is_none")]
    package: Option<WalkedPackage>,
}

impl PackageCursor {
    fn decode(cursor: Option<&Cursor>) -> Result<Self> {
        let Some(cursor) = cursor else {
            return Ok(Self::default());
        };
        let position: Self =
            serde_json::from_str(&cursor.0).map_err(|_| Error::invalid_cursor())?;
        // Far beyond every real account, and small enough that page numbers cannot overflow.
        let sane = position.index < 1 << 32 && position.offset < 1 << 32;
        if sane {
            Ok(position)
        } else {
            Err(Error::invalid_cursor())
        }
    }

    fn next_package(self) -> Self {
        Self {
            index: self.index + 1,
            offset: 0,
            mark: None,
            package: None,
            ..self
        }
    }

    fn encode(mut self) -> Result<Cursor> {
        let write = |position: &Self| {
            serde_json::to_string(position).map_err(|error| {
                Error::new(
                    ota_core::ErrorKind::Unexpected,
                    "a cursor could not be written",
                )
                .with_source(error)
            })
        };
        let text = write(&self)?;
        if text.len() <= Cursor::MAX_LEN {
            return Ok(Cursor(text));
        }
        // An unusually long name: the package is looked up again, which costs one call more.
        self.package = None;
        write(&self).map(Cursor)
    }
}

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

impl AlibabaProvider {
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
        self.capability_ref().check_jobs(&filter)?;
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
        let params = &params;
        let walked = Walk {
            segments: 1,
            from,
            page_size,
            max_vendor_page,
            limit: None,
            max_calls: self.client.deps.max_calls_per_page,
            filtered,
        }
        .run(
            |_, window| Box::pin(self.fetch_jobs(cx, operation, params.clone(), window)),
            job_id,
            |job| job.as_ref().is_some_and(|job| matches(filter, job)),
        )
        .await?;
        Ok(Page {
            items: walked.rows.into_iter().flatten().collect(),
            next: walked.next.map(|position| Cursor(position.encode())),
            total: walked
                .totals
                .last()
                .map(|(_, total)| *total)
                .filter(|_| !filtered),
            truncated: false,
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
        let mut items: Vec<Job> = Vec::new();
        let mut packages: Option<(u64, Vec<WalkedPackage>)> = None;
        loop {
            if at.packages.is_some_and(|all| at.index >= all) {
                return Ok(Page {
                    items,
                    next: None,
                    total: None,
                    truncated: false,
                });
            }
            let full = items.len() >= page_size as usize;
            let package = match at.package.take() {
                Some(package) => package,
                None => {
                    let page = at.index / PACKAGES_IN_PAGE;
                    let loaded = match packages.take() {
                        Some((loaded, rows)) if loaded == page => rows,
                        _ if full || calls >= max_calls => {
                            return Ok(Page {
                                items,
                                next: Some(at.encode()?),
                                total: None,
                                truncated: false,
                            });
                        }
                        _ => {
                            calls += 1;
                            let (rows, all) = self.fetch_packages(cx, filter, page).await?;
                            let mark = first_of(&rows);
                            if page > 0 && mark.is_some() && mark == at.packages_mark {
                                // As in `Walk::run`: only the page directly before, asked for now, tells a repetition from rows that moved.
                                calls += 1;
                                let (before, _) = self.fetch_packages(cx, filter, page - 1).await?;
                                if first_of(&before) == mark {
                                    return Err(repeated_page().with_operation(LIST_PACKAGES));
                                }
                            }
                            at.packages_mark = mark;
                            at.packages = all;
                            rows
                        }
                    };
                    let found = usize::try_from(at.index % PACKAGES_IN_PAGE)
                        .ok()
                        .and_then(|row| loaded.get(row))
                        .cloned();
                    packages = Some((page, loaded));
                    match found {
                        Some(package) => package,
                        // The list is shorter than its total said: packages were deleted meanwhile.
                        None => {
                            return Ok(Page {
                                items,
                                next: None,
                                total: None,
                                truncated: false,
                            });
                        }
                    }
                }
            };
            if package.id.is_empty() {
                // Nothing can be asked for it.
                at = at.next_package();
                continue;
            }
            if full || calls >= max_calls {
                at.package = Some(package);
                return Ok(Page {
                    items,
                    next: Some(at.encode()?),
                    total: None,
                    truncated: false,
                });
            }
            // One vendor call for one package; the outer loop keeps the account of calls.
            let walk = Walk {
                segments: 1,
                from: Position {
                    segment: 0,
                    offset: at.offset,
                    mark: at.mark,
                },
                page_size: page_size - u32::try_from(items.len()).unwrap_or(page_size),
                max_vendor_page: MAX_BY_PACKAGE,
                limit: None,
                max_calls: 1,
                filtered: filters_here(filter),
            };
            let walked = walk
                .run(
                    |_, window| {
                        let params = vec![("FirmwareId".to_owned(), package.id.clone())];
                        Box::pin(self.fetch_jobs(cx, LIST_BY_PACKAGE, params, window))
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
            let walked = match walked {
                Ok(walked) => walked,
                // Deleted between the two calls: its jobs are gone with it.
                Err(error) if error.kind() == ota_core::ErrorKind::NotFound => {
                    calls += 1;
                    at = at.next_package();
                    continue;
                }
                Err(error) => return Err(error),
            };
            calls += walked.calls;
            items.extend(
                walked
                    .rows
                    .into_iter()
                    .flatten()
                    .map(|job| with_package(job, &package)),
            );
            match walked.next {
                Some(position) => {
                    at.offset = position.offset;
                    at.mark = position.mark;
                    at.package = Some(package);
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
        window: Window,
    ) -> Result<Fetched<Option<Job>>> {
        params.extend(page_params(window));
        let answer = self.client.read(cx, operation, params).await;
        match answer {
            Ok(answer) => Ok(answers::jobs(self.source(operation), answer)),
            Err(error) => end_of_list(window, Err(error)),
        }
    }

    async fn fetch_packages(
        &self,
        cx: &Context,
        filter: &JobFilter,
        page: u64,
    ) -> Result<(Vec<WalkedPackage>, Option<u64>)> {
        let mut params: Params = vec![
            ("CurrentPage".to_owned(), (page + 1).to_string()),
            ("PageSize".to_owned(), PACKAGES_IN_PAGE.to_string()),
        ];
        if let Some(product) = &filter.product_id {
            params.push(("ProductKey".to_owned(), product.as_str().to_owned()));
        }
        let answer = self.client.read(cx, LIST_PACKAGES, params).await?;
        let Fetched { rows, total } = answers::packages(self.source(LIST_PACKAGES), answer);
        let packages = rows.into_iter().map(|row| WalkedPackage {
            id: row.firmware_id.text().unwrap_or_default(),
            name: row.firmware_name.text(),
            version: row.dest_version.text(),
            product: row.product_key.text(),
        });
        // A row without an identifier has no jobs that could be asked for, but keeps its place in the numbering.
        Ok((packages.collect(), total))
    }
}

fn first_of(packages: &[WalkedPackage]) -> Option<Mark> {
    packages.first().and_then(|package| Mark::of(&package.id))
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
            "this provider filters jobs by `device_name` only together with `package_id` and `product_id`",
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
            Ok(Fetched {
                rows: Vec::new(),
                total: None,
            })
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::{Mark, PackageCursor, WalkedPackage};
    use ota_core::provider::Cursor;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_cursor_comes_back_and_stays_short(
            index in 0_u64..1 << 32, offset in 0_u64..1 << 32, packages: Option<u64>, name in ".{0,2000}",
        ) {
            let position = PackageCursor {
                index, offset, packages, mark: Mark::of("job"), packages_mark: Mark::of("package"),
                package: Some(WalkedPackage { id: "p".into(), name: Some(name), version: None, product: None }),
            };
            let cursor = position.clone().encode().unwrap();
            prop_assert!(cursor.0.len() <= Cursor::MAX_LEN);
            let back = PackageCursor::decode(Some(&cursor)).unwrap();
            prop_assert_eq!((back.index, back.offset, back.packages), (index, offset, packages));
        }

        #[test]
        fn no_text_panics(text in ".{0,100}") {
            let _ = PackageCursor::decode(Some(&Cursor(text)));
        }
    }
}
