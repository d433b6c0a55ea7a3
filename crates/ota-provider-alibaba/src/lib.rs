#![doc = include_str!("../README.md")]

mod answers;
mod client;
mod config;
mod error;
mod jobs;
mod map;
mod provider;
mod sign;
mod skew;
mod tasks;
mod wire;

pub use config::{Config, DEFAULT_CALLS, Format, QUOTA, REGIONS, Settings, Signature, VENDOR};
pub use provider::AlibabaProvider;

/// The signature schemes and decoders, open for benchmarks, fuzzers and tests with published vectors.
pub mod internals {
    pub use crate::sign::{Acs3, acs3, canonical_query, rpc};
    pub use crate::wire::{decode, xml};
}
