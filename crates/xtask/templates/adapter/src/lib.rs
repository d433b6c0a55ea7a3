#![doc = include_str!("../README.md")]

mod adapter;
mod client;
mod config;
mod error;
mod provider;

pub use adapter::__Name__Adapter;
pub use config::{Config, Settings, VENDOR};
pub use provider::__Name__Provider;
