//! The leases in the database, as the keeper sees them.

use ota_core::BoxFuture;
use ota_store::lease::{Claim, Granted, Lease, SentCall, Tenure};
use ota_store::{Result, Store};

/// The table of leases. Every method is one transaction; a future that is dropped may still have its effect.
pub trait LeaseTable: Send + Sync {
    /// Returns all leases.
    ///
    /// # Errors
    /// The database cannot be used now.
    fn leases(&self) -> BoxFuture<'_, Result<Vec<Lease>>>;

    /// As [`Store::claim_lease`].
    ///
    /// # Errors
    /// The database cannot be used now.
    fn claim<'a>(&'a self, claim: &'a Claim) -> BoxFuture<'a, Result<Option<Granted>>>;

    /// As [`Store::release_lease`].
    ///
    /// # Errors
    /// The database cannot be used now.
    fn release<'a>(
        &'a self,
        tenure: &'a Tenure,
        calls: &'a [SentCall],
    ) -> BoxFuture<'a, Result<bool>>;
}

impl LeaseTable for Store {
    fn leases(&self) -> BoxFuture<'_, Result<Vec<Lease>>> {
        Box::pin(Store::leases(self))
    }

    fn claim<'a>(&'a self, claim: &'a Claim) -> BoxFuture<'a, Result<Option<Granted>>> {
        Box::pin(self.claim_lease(claim))
    }

    fn release<'a>(
        &'a self,
        tenure: &'a Tenure,
        calls: &'a [SentCall],
    ) -> BoxFuture<'a, Result<bool>> {
        Box::pin(self.release_lease(tenure, calls))
    }
}
