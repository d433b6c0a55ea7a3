#![doc = include_str!("../README.md")]

mod adapter;
mod answers;
mod client;
mod config;
mod error;
mod fields;
pub mod internals;
mod jobs;
mod map;
mod provider;
mod tasks;
mod token;
mod wire;

pub use adapter::{HuaweiAdapter, Logins};
pub use config::{Config, DEFAULT_CALLS, Login, QUOTA, Settings, VENDOR};
pub use provider::HuaweiProvider;
pub use token::TokenPool;
