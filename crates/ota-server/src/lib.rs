#![doc = include_str!("../README.md")]

pub mod access_log;
mod connections;
mod framing;
mod large_heads;
pub mod layer;
pub mod limits;
pub mod observer;
mod places;
pub mod rate_limit;
pub mod request_context;
pub mod security_headers;
mod service;
pub mod shares;
mod socket;
mod tls;

pub use connections::{Threads, serve};
pub use observer::{CutOff, Observer, TurnedAway};
pub use service::Service;
pub use socket::ClientWatch;
pub use tls::{Certificates, TlsError};
