#![doc = include_str!("../README.md")]
#![expect(
    clippy::unwrap_used,
    reason = "a test fails by panicking, its helpers too"
)]

pub mod decoder;
mod server;
mod test_deps;

pub use server::{Reply, ScriptedServer, Seen};
pub use test_deps::TestDeps;
