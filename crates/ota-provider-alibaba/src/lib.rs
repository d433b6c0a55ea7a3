#![doc = include_str!("../README.md")]

mod adapter;
mod answers;
mod blame;
mod client;
mod config;
mod counts;
mod credentials;
mod error;
mod fields;
pub mod internals;
mod job_list;
mod jobs;
mod map;
mod package_cursor;
mod packages;
mod params;
mod provider;
mod refused;
mod sign;
mod skew;
mod task_cursor;
mod tasks;
mod wire;

pub use adapter::AlibabaAdapter;
pub use config::{
    Config, CredentialSettings, DEFAULT_CALLS, Format, QUOTA, REGIONS, RrsaSettings, Settings,
    Signature, VENDOR,
};
pub use provider::AlibabaProvider;
pub use refused::RefusedKeys;
