//! The scopes that grant access.

/// The scope for everything that only reads.
pub const READ: &str = "ota:read";

/// The scope for checks.
pub const ADMIN: &str = "ota:admin";

/// Every scope that grants access.
pub const KNOWN_SCOPES: &[&str] = &[READ, ADMIN];
