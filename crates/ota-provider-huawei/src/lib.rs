#![doc = include_str!("../README.md")]

mod client;
mod config;
mod error;
pub mod internals;
mod map;
mod page;
mod provider;
mod token;
mod wire;

pub use config::{Config, DEFAULT_CALLS, Login, QUOTA, Settings, VENDOR};
pub use provider::HuaweiProvider;
pub use token::TokenPool;
