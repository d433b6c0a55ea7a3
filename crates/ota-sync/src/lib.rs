#![doc = include_str!("../README.md")]

mod account;
mod call_times;
mod counts;
mod exchange;
mod job_entry;
mod jobs;
mod judge;
mod look;
mod mirror;
mod observer;
mod open_tasks;
mod pages;
mod queue;
mod records;
pub mod schedule;
mod settings;
mod source;
mod state;
mod status;
mod step;
mod task_pages;

pub use mirror::{LiveRead, MirrorSync};
pub use observer::{NoObserver, Observer, PassKind, Reason, WriteKind};
pub use records::{Render, job_record, task_record};
pub use settings::{AccountLease, MirroredProvider, SyncSettings};
pub use status::{Phase, Rows, SourceState, SourceStatus, SyncStatus};
