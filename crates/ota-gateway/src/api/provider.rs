//! Providers: what they can do and how they are.

use std::collections::BTreeMap;

use ota_core::capability as core;
use ota_fleet::Member;
use serde::Serialize;
use utoipa::ToSchema;

use super::own_timestamp;

/// All providers that the caller may see.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ProviderList {
    /// The providers, by name.
    pub items: Vec<Provider>,
}

/// One configured account at one vendor.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Provider {
    /// The configured name, which stands in paths.
    pub name: String,
    /// The vendor: `alibaba-iot`, `huawei-iot`.
    pub vendor: String,
    /// The base URL of the vendor's API.
    pub endpoint: String,
    /// What it can do.
    pub capabilities: Capabilities,
    /// The quota that the gateway keeps.
    pub quota: Quota,
    /// How it is.
    pub health: Health,
}

/// What a provider can do. Support of a filter is `native` (the vendor filters), `here` (the gateway filters what it reads: pages may
/// be short) or `no` (refused with `unsupported_by_provider` before any call).
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Capabilities {
    /// Support of each filter of the job list.
    #[schema(value_type = std::collections::HashMap<String, String>)]
    pub job_filters: BTreeMap<&'static str, &'static str>,
    /// Filters of the job list that are answered only together with others, each with those; without them it is `unsupported_by_provider`.
    #[schema(value_type = std::collections::HashMap<String, Vec<String>>)]
    pub needs: BTreeMap<&'static str, Vec<&'static str>>,
    /// Support of each filter of the task list.
    #[schema(value_type = std::collections::HashMap<String, String>)]
    pub task_filters: BTreeMap<&'static str, &'static str>,
    /// The largest page.
    pub max_page_size: u32,
    /// The most values of `device_name` in one request for tasks; 0 where it is no filter.
    pub max_device_names: u32,
    /// How statistics of a job are answered.
    pub job_stats: StatsCapability,
    /// Changing operations that this provider has.
    pub actions: Vec<String>,
    /// The quota that the vendor documents.
    pub documented_quota: DocumentedQuota,
}

/// How statistics of a job are answered.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct StatsCapability {
    /// Whether the vendor counts; otherwise the gateway asks for each count.
    pub native: bool,
    /// How many vendor calls one answer costs.
    pub calls: u32,
}

/// The quota that the vendor documents.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct DocumentedQuota {
    /// Calls in one window.
    pub calls: u32,
    /// Length of the window in seconds.
    pub window_s: u32,
    /// What is counted together: `account_and_operation`, `application`.
    pub per: String,
    /// Operations of the vendor with another number of calls in a window.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub exceptions: BTreeMap<String, u32>,
}

/// The quota that the gateway keeps.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Quota {
    /// Calls in one window.
    pub limit: u32,
    /// Length of the window in seconds.
    pub window_s: u32,
    /// Calls that can be sent now; where the vendor counts each operation by itself, of the operation that has the fewest left. 0 while
    /// the account pauses because the vendor has throttled it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remaining: Option<u32>,
}

/// How a provider is, as far as the calls so far told; asking costs no vendor call.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Health {
    /// `ok`, `degraded` (answers, but not as it should), `down` (nothing can be read), `unknown` (not called yet).
    pub state: String,
    /// When the call ended that told it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    pub checked_at: Option<String>,
    /// What is wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<HealthProblem>,
}

/// What is wrong with a provider.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct HealthProblem {
    /// The code that a request would get, such as `provider_auth`.
    pub code: String,
    /// What is wrong and what to do.
    pub detail: String,
}

impl From<&Member> for Provider {
    fn from(member: &Member) -> Self {
        let provider = member.provider();
        let quota = member.quota();
        Self {
            name: provider.name().to_string(),
            vendor: provider.vendor().to_owned(),
            endpoint: ota_http::redact::urls(provider.endpoint()),
            capabilities: provider.capability().into(),
            quota: Quota {
                limit: quota.limit(),
                window_s: quota.window_s(),
                remaining: Some(quota.remaining()),
            },
            health: member.health().into(),
        }
    }
}

impl From<&core::Capability> for Capabilities {
    fn from(capability: &core::Capability) -> Self {
        let core::JobFilterSupport {
            status,
            outcome,
            kind,
            package_id,
            product_id,
            device_id,
            device_name,
            device_type,
            model,
            manufacturer,
        } = capability.job_filters;
        let job_filters = [
            ("status", status),
            ("outcome", outcome),
            ("kind", kind),
            ("package_id", package_id),
            ("product_id", product_id),
            ("device_id", device_id),
            ("device_name", device_name),
            ("device_type", device_type),
            ("model", model),
            ("manufacturer", manufacturer),
        ];
        let core::TaskFilterSupport {
            status,
            device_name,
            device_id,
        } = capability.task_filters;
        let task_filters = [
            ("status", status),
            ("device_name", device_name),
            ("device_id", device_id),
        ];
        let words = |filters: &[(&'static str, core::Support)]| {
            filters
                .iter()
                .map(|(name, support)| (*name, support.as_str()))
                .collect()
        };
        Self {
            job_filters: words(&job_filters),
            needs: capability
                .job_filter_needs
                .iter()
                .map(|(name, needs)| (*name, needs.to_vec()))
                .collect(),
            task_filters: words(&task_filters),
            max_page_size: capability.max_page_size,
            max_device_names: capability.max_device_names,
            job_stats: StatsCapability {
                native: capability.job_stats.native,
                calls: capability.job_stats.calls,
            },
            actions: capability
                .actions
                .iter()
                .map(|action| (*action).to_owned())
                .collect(),
            documented_quota: DocumentedQuota {
                calls: capability.quota.calls,
                window_s: capability.quota.window_s,
                per: capability.quota.per.as_str().to_owned(),
                exceptions: capability
                    .quota
                    .exceptions
                    .iter()
                    .map(|(operation, calls)| ((*operation).to_owned(), *calls))
                    .collect(),
            },
        }
    }
}

impl From<ota_fleet::Health> for Health {
    fn from(health: ota_fleet::Health) -> Self {
        Self {
            state: health.state.as_str().to_owned(),
            checked_at: health.checked_at.and_then(own_timestamp),
            problem: health.problem.map(|(kind, detail)| HealthProblem {
                code: crate::problem::Code::of_provider_error(kind)
                    .as_str()
                    .to_owned(),
                detail,
            }),
        }
    }
}
