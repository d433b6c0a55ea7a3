#![doc = include_str!("../README.md")]

mod adapter;
mod client;
mod config;
mod error;
pub mod internals;
mod map;
mod page;
mod provider;
mod token;
mod wire;

pub use adapter::{HuaweiAdapter, Logins};
pub use config::{Config, DEFAULT_CALLS, Login, QUOTA, Settings, VENDOR};
pub use provider::HuaweiProvider;
pub use token::TokenPool;
