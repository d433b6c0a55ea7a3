//! Listening, TLS, and what a client may take of the gateway.

mod connections;
mod framing;
mod large_heads;
pub mod layer;
mod places;
pub(crate) mod rate_limit;
pub(crate) mod shares;
mod socket;
mod tls;

pub use connections::{serve, serve_metrics, serve_on_threads};
pub(crate) use socket::{ClientWatch, State};
pub(crate) use tls::Certificates;
