//! The database of the mirror: jobs, tasks, counters, history, passes. SQLite or PostgreSQL, one set of statements for both.
//!
//! It knows no vendor and no HTTP. Rows arrive rendered (the JSON of the API) together with the columns that are filtered and sorted by.

pub mod error;
pub mod fleet;
pub mod pass;
pub mod record;
pub mod store;

pub use error::{OpenError, Result, StoreError};
pub use store::{About, OpenSettings, Store};
