#![doc = include_str!("../README.md")]

// The fixtures of the tests are also those of the tests beside the crate.
#[cfg(test)]
extern crate self as ota_store;

mod caches;
mod codes;
mod combination;
mod combinations;
mod conditions;
mod connection;
mod counts;
mod document;
mod engine;
pub mod error;
#[cfg(test)]
mod fixtures;
pub mod fleet;
mod fleet_jobs;
mod fleet_tasks;
#[cfg(test)]
mod full_disk;
mod index_scan;
mod job_counters;
mod job_groups;
mod job_states;
pub mod lease;
mod migrate;
pub mod pass;
mod pass_end;
mod pass_progress;
mod patience;
pub mod place;
#[cfg(test)]
mod plans;
mod position;
mod postgres;
mod postgres_connection;
mod postgres_tls;
mod provider;
pub mod record;
mod scope;
mod selection;
mod sqlite;
mod sqlite_connection;
pub mod store;
pub mod sync_report;
mod tally;
mod task_filter;
mod task_groups;
mod task_scan;
mod text_sample;
mod text_search;
mod value;
mod verify;

mod write_jobs;
mod write_tasks;

pub use error::{OpenError, Result, StoreError};
pub use patience::answered_by;
pub use store::{About, JobState, OpenSettings, Store};
