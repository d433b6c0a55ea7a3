//! Joins the leases of accounts with the quotas and gates of the providers.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ota_cluster::{Account, CallWindow, Cluster, Member};
use ota_core::clock::Clock;
use ota_core::id::ProviderName;
use ota_guard::{AccountQuota, CountedCall, Lease};
use ota_store::lease::SentCall;
use ota_sync::AccountLease;

use crate::forward::{Holders, Standing};
use crate::providers::Providers;

/// The calls that an account's quota counts, to be handed on with its lease.
#[derive(Debug)]
struct QuotaWindow(Arc<AccountQuota>);

impl CallWindow for QuotaWindow {
    fn length(&self) -> Duration {
        self.0.limits().window
    }

    fn counted(&self) -> Vec<SentCall> {
        let counted = self.0.counted().into_iter();
        counted
            .map(|call| SentCall {
                bucket: call.bucket,
                ago: call.ago,
            })
            .collect()
    }

    fn restore(&self, call: &SentCall) {
        self.0.restore(&CountedCall {
            bucket: call.bucket.clone(),
            ago: call.ago,
        });
    }

    fn pause(&self, wait: Duration) {
        self.0.pause(wait);
    }
}

/// The lease of a provider's account, as its gate asks for it.
#[derive(Debug)]
struct ProviderLease {
    cluster: Cluster,
    provider: ProviderName,
}

impl Lease for ProviderLease {
    fn held_until(&self) -> Option<Instant> {
        self.cluster.call_until(&self.provider)
    }
}

impl AccountLease for ProviderLease {
    fn epoch(&self) -> Option<i64> {
        self.cluster.epoch(&self.provider)
    }
}

impl Holders for Cluster {
    fn standing(&self, provider: &ProviderName) -> Standing {
        Self::standing(self, provider)
    }
}

/// Returns the lease of a provider's account, as the sync asks for it.
pub(crate) fn lease_of(cluster: &Cluster, provider: &ProviderName) -> Arc<dyn AccountLease> {
    Arc::new(ProviderLease {
        cluster: cluster.clone(),
        provider: provider.clone(),
    })
}

/// Makes the calls of every provider depend on the lease of its account.
pub(crate) fn join(member: Member, providers: &Providers, clock: &Arc<dyn Clock>) -> Cluster {
    let mut accounts: BTreeMap<&str, Account> = BTreeMap::new();
    for provider in &providers.mirrored {
        let account = accounts
            .entry(&provider.account)
            .or_insert_with(|| Account {
                name: provider.account.clone(),
                providers: Vec::new(),
                window: Arc::new(QuotaWindow(Arc::clone(&provider.quota))),
            });
        account.providers.push(provider.name.clone());
    }
    let cluster = Cluster::new(member, accounts.into_values().collect(), Arc::clone(clock));
    for (provider, gate) in &providers.gates {
        gate.set_lease(Arc::new(ProviderLease {
            cluster: cluster.clone(),
            provider: provider.clone(),
        }));
    }
    cluster
}
