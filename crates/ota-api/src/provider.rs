//! Providers: their capabilities and their health.

use std::collections::BTreeMap;

use ota_core::capability as core;
use serde::Serialize;
use utoipa::ToSchema;

/// All providers that the caller may see.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ProviderList {
    /// The providers, by name.
    pub items: Vec<Provider>,
}

/// One configured account at one vendor.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Provider {
    /// The configured name, as used in paths.
    pub name: String,
    /// The vendor: [`ota_core::adapter::Descriptor`].
    pub vendor: String,
    /// The base URL of the vendor's API.
    pub endpoint: String,
    /// What the provider can do.
    pub capabilities: Capabilities,
    /// The quota that the gateway stays within.
    pub quota: Quota,
    /// Whether the provider answers.
    pub health: Health,
    /// How far the provider's mirror is.
    pub sync: ProviderSync,
    /// Whether this gateway holds the vendor account. Of several gateways that share a database, only the holder calls the vendor, and the others pass live reads on to
    /// it. A gateway that shares its database with no other always holds its accounts.
    pub holder: bool,
}

/// How far a provider's mirror is. `GET /v1/providers/{provider}/sync` says more.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ProviderSync {
    /// How far it is: [`crate::fleet::SourceState`].
    pub state: String,
    /// What is wrong, if something is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// What a provider can do. The support of a filter is `native` (the vendor filters), `here` (the gateway filters the rows that it reads, so pages
/// can be short) or `no` (the request fails with `unsupported_by_provider` and no vendor call is made).
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Capabilities {
    /// Support of each filter of the job list.
    #[schema(value_type = std::collections::HashMap<String, String>)]
    pub job_filters: BTreeMap<&'static str, &'static str>,
    /// Filters of the job list that require other filters, each with those that it requires; without them the request fails with
    /// `unsupported_by_provider`.
    #[schema(value_type = std::collections::HashMap<String, Vec<String>>)]
    pub needs: BTreeMap<&'static str, Vec<&'static str>>,
    /// Support of each filter of the task list.
    #[schema(value_type = std::collections::HashMap<String, String>)]
    pub task_filters: BTreeMap<&'static str, &'static str>,
    /// The largest `page_size`.
    pub max_page_size: u32,
    /// Maximum number of `device_name` values in one request for tasks; 0 if the filter is not supported.
    pub max_device_names: u32,
    /// How job statistics are obtained.
    pub job_stats: StatsCapability,
    /// Fields that this provider fills because the operator of the gateway has configured where they stand in the vendor's rows, by their names in jobs and
    /// tasks, such as `package.version`. Left out if there are none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(value_type = Vec<String>)]
    pub configured_fields: Vec<&'static str>,
    /// The write operations of this provider; empty while the API is read-only.
    pub actions: Vec<String>,
    /// The quota that the vendor documents.
    pub documented_quota: DocumentedQuota,
}

/// How job statistics are obtained.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct StatsCapability {
    /// Whether the vendor returns all counts in one call; otherwise the gateway requests each count.
    pub native: bool,
    /// Number of vendor calls per response.
    pub calls: u32,
}

/// The quota that the vendor documents.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct DocumentedQuota {
    /// Number of calls per window.
    pub calls: u32,
    /// Length of the window in seconds.
    pub window_s: u32,
    /// What the vendor counts together: [`core::QuotaPer`].
    pub per: String,
    /// Vendor operations with a different limit, with their number of calls per window. With `reads_and_writes`, these are the writes.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub exceptions: BTreeMap<String, u32>,
}

/// The quota that the gateway stays within.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Quota {
    /// Number of calls per window.
    pub limit: u32,
    /// Length of the window in seconds.
    pub window_s: u32,
    /// Number of calls that can be sent now. If the vendor counts each operation separately, of the operation with the fewest left. 0 while
    /// calls of the account are paused because the vendor throttled them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remaining: Option<u32>,
}

/// The health of a provider, known from the calls made so far. Reading it makes no vendor call.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Health {
    /// `ok`, `degraded` (answers, with errors), `down` (nothing can be read), `unknown` (not called yet).
    pub state: String,
    /// When the call ended that the state is known from.
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
    /// The `code` that a request would receive, such as `provider_auth`.
    pub code: String,
    /// What is wrong and what to do.
    pub detail: String,
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
            // The mirror's own: no parameter of the live list.
            stage: _,
            device_name,
            device_id,
        } = capability.task_filters;
        let task_filters = [
            ("status", status),
            ("device_name", device_name),
            ("device_id", device_id),
        ];
        let support = |filters: &[(&'static str, core::Support)]| {
            filters
                .iter()
                .map(|(name, support)| (*name, support.as_str()))
                .collect()
        };
        Self {
            job_filters: support(&job_filters),
            needs: capability
                .job_filter_needs
                .iter()
                .map(|(name, needs)| (*name, needs.to_vec()))
                .collect(),
            task_filters: support(&task_filters),
            max_page_size: capability.max_page_size,
            max_device_names: capability.max_device_names,
            job_stats: StatsCapability {
                native: capability.job_stats.native,
                calls: capability.job_stats.calls,
            },
            configured_fields: capability
                .configured_fields
                .iter()
                .map(|field| field.field())
                .collect(),
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
