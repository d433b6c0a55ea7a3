//! The times of leases. A gateway takes an account over at most 15 s after its holder died: the lease has run out after 12 s, and is noticed 1 s later.

use std::time::Duration;

/// How long a lease lasts after a renewal, by the database's clock.
pub const LEASE: Duration = Duration::from_secs(12);

/// How long a holder trusts its lease, from before the renewal was sent. The rest of the lease is for calls that it sent last to arrive at the vendor.
pub const TRUST: Duration = Duration::from_secs(9);

/// The time between two renewals: two may fail before the trust ends.
pub const RENEW_EVERY: Duration = Duration::from_secs(3);

/// How often the leases are looked at.
pub const TURN: Duration = Duration::from_secs(1);

/// How long one operation of the database may take. A connection that hangs is dropped with it, and the next turn makes another one.
pub const PATIENCE: Duration = Duration::from_secs(2);
