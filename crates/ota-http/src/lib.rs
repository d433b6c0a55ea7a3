#![doc = include_str!("../README.md")]

pub mod client;
mod coding;
pub mod encode;
pub mod endpoint;
pub mod environment;
pub mod file;
pub mod json;
mod proxy;
pub mod redact;
pub mod refused;
pub mod renewal;
pub mod response;
pub mod secret;
pub mod server_time;
pub mod tls;

pub use client::{Client, Options, Request};
pub use response::Response;
pub use secret::{Secret, SecretSource};
