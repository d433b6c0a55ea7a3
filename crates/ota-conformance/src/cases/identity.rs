//! Identity and capability.

use ota_core::id::ProviderName;

use crate::cases::passed;
use crate::listing::ensure;
use crate::subject::Subject;
use crate::verdict::Verdict;

pub(crate) async fn name_vendor_and_endpoint_are_fit_to_be_shown(subject: &Subject) -> Verdict {
    let provider = &subject.provider;
    ProviderName::parse(provider.name().as_str())?;
    let vendor = provider.vendor();
    ensure!(
        ProviderName::parse(vendor).is_ok(),
        "the vendor is called `{vendor}`"
    );
    let endpoint = provider.endpoint();
    ensure!(
        !endpoint.is_empty() && !endpoint.contains(['@', '?', '#']),
        "the endpoint is `{endpoint}`, with more than scheme, host and path"
    );
    passed()
}

pub(crate) async fn capability_never_changes(subject: &Subject) -> Verdict {
    let first = subject.provider.capability().clone();
    subject.warm_up().await?;
    subject
        .reader()?
        .list_jobs(&subject.context(), super::list_jobs(Default::default()))
        .await
        .map_err(|error| format!("list_jobs failed: {error:?}"))?;
    ensure!(
        *subject.provider.capability() == first,
        "the capability is another one after two requests"
    );
    passed()
}

pub(crate) async fn capability_is_sound(subject: &Subject) -> Verdict {
    let capability = subject.provider.capability();
    ensure!(
        (1..=100).contains(&capability.max_page_size),
        "`max_page_size` is {}",
        capability.max_page_size
    );
    ensure!(
        capability.job_stats.calls > 0,
        "statistics that cost no call are no vendor's"
    );
    ensure!(
        capability.quota.calls > 0 && capability.quota.window_s > 0,
        "the documented quota is {:?}",
        capability.quota
    );
    let by_name = capability.task_filters.device_name != ota_core::capability::Support::No;
    ensure!(
        by_name == (capability.max_device_names > 0),
        "tasks are filtered by device name: {by_name}, with at most {} names",
        capability.max_device_names
    );
    passed()
}

pub(crate) async fn check_makes_one_call(subject: &Subject) -> Verdict {
    let before = subject.calls();
    subject.warm_up().await?;
    ensure!(
        subject.calls() > before,
        "`check` succeeded without a vendor call"
    );
    // The first one may have logged in; the second one shows the price.
    let before = subject.calls();
    subject.warm_up().await?;
    let cost = subject.calls() - before;
    ensure!(cost == 1, "`check` made {cost} calls");
    passed()
}
