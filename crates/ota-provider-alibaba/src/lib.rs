#![doc = include_str!("../README.md")]

mod answers;
mod client;
mod config;
mod error;
pub mod internals;
mod jobs;
mod map;
mod provider;
mod sign;
mod skew;
mod tasks;
mod wire;

pub use config::{Config, DEFAULT_CALLS, Format, QUOTA, REGIONS, Settings, Signature, VENDOR};
pub use provider::AlibabaProvider;
