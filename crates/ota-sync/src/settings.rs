//! What the sync is given.

use std::sync::Arc;
use std::time::Duration;

use ota_fleet::ConfiguredProvider;
use ota_guard::AccountQuota;

/// How often the vendors are read, and for how long rows are kept.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SyncSettings {
    /// The age at which a running job is looked at again, as far as the quota allows.
    pub max_lag: Duration,
    /// The time between two list passes.
    pub full_pass: Duration,
    /// How long jobs that have ended or vanished are kept.
    pub keep: Duration,
}

/// Says whether this process holds the account of a provider. Implementations must not block.
pub trait AccountLease: Send + Sync + std::fmt::Debug {
    /// Returns the number of the tenure during which this process holds the account; none if it does not hold it now. No two tenures have the same number.
    fn epoch(&self) -> Option<i64>;
}

/// One provider of the configuration.
#[derive(Clone, Debug)]
pub struct MirroredProvider {
    /// The provider.
    pub provider: Arc<ConfiguredProvider>,
    /// What identifies its vendor account: providers with the same text share one queue and one quota.
    pub account: String,
    /// The quota of the account. Its share for background calls is set where it is created.
    pub quota: Arc<AccountQuota>,
    /// Whether it is mirrored. One that is not is shown as `off` and is never read.
    pub enabled: bool,
    /// The lease of its account; none where no other gateway uses the database. Without it nothing is read or written, and what its holder reported is shown.
    pub lease: Option<Arc<dyn AccountLease>>,
}
