#![doc = include_str!("../README.md")]
#![expect(
    clippy::unwrap_used,
    reason = "a test fails by panicking, its helpers too"
)]

pub mod decoder;
mod given;
mod server;

pub use given::Given;
pub use server::{Reply, ScriptedServer, Seen};
