//! One of the vendor's lists of jobs: those of a package, or those of a device.

use ota_core::Result;
use ota_core::context::Context;
use ota_core::job::Job;
use ota_core::paging::{Fetched, Window};
use ota_core::provider::JobFilter;

use crate::answers;
use crate::client::{Client, PAGE, page_params};
use crate::params::Params;

const LIST_BY_PACKAGE: &str = "ListOTAJobByFirmware";
const LIST_BY_DEVICE: &str = "ListOTAJobByDevice";

/// "PageSize: maximum 200" of `ListOTAJobByFirmware`.
pub(crate) const MAX_BY_PACKAGE: u32 = 200;

/// "PageSize: maximum 100" of `ListOTAJobByDevice`.
const MAX_BY_DEVICE: u32 = 100;

/// One list of jobs.
pub(crate) struct JobList {
    operation: &'static str,
    /// The vendor's largest page of this list.
    pub(crate) max_vendor_page: u32,
    params: Params,
    /// Which parameters the caller sent.
    callers: &'static [&'static str],
}

impl JobList {
    /// The jobs of a package; `callers` says whether the caller named it.
    pub(crate) fn of_package(id: &str, callers: &'static [&'static str]) -> Self {
        Self {
            operation: LIST_BY_PACKAGE,
            max_vendor_page: MAX_BY_PACKAGE,
            params: vec![("FirmwareId".to_owned(), id.to_owned())],
            callers,
        }
    }

    /// The jobs of a device, which the caller named.
    pub(crate) fn of_device(package_id: &str, product_id: &str, device_name: &str) -> Self {
        const CALLERS: &[&str] = &["FirmwareId", "ProductKey", "DeviceName"];
        let values = [package_id, product_id, device_name];
        let params = CALLERS.iter().zip(values);
        Self {
            operation: LIST_BY_DEVICE,
            max_vendor_page: MAX_BY_DEVICE,
            params: params
                .map(|(name, value)| ((*name).to_owned(), value.to_owned()))
                .collect(),
            callers: CALLERS,
        }
    }

    /// Reads one page.
    pub(crate) async fn fetch(
        &self,
        client: &Client,
        cx: &Context,
        window: Window,
    ) -> Result<Fetched<Option<Job>>> {
        let mut params = self.params.clone();
        params.extend(page_params(window));
        let answer = client.read(cx, self.operation, params, self.callers).await;
        let source = client.account.source(self.operation);
        let fetched = answer.and_then(|answer| answers::jobs(source, answer));
        client
            .account
            .judge_page(self.operation, PAGE, window, fetched)
    }
}

/// Whether rows are left out here, so that the vendor's total is not the filter's.
pub(crate) fn filters_here(filter: &JobFilter) -> bool {
    !filter.status.is_empty()
        || filter.kind.is_some()
        || (filter.package_id.is_some()
            && filter.product_id.is_some()
            && filter.device_name.is_none())
}

pub(crate) fn matches(filter: &JobFilter, job: &Job) -> bool {
    let status = filter.status.is_empty() || filter.status.contains(&job.status);
    let kind = filter.kind.is_none() || filter.kind == job.kind;
    // A row that does not name its product is from the list of that product.
    let product = match (&filter.product_id, &job.target.product_id) {
        (Some(wanted), Some(actual)) => wanted == actual,
        _ => true,
    };
    status && kind && product
}
