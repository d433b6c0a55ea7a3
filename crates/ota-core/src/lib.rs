#![doc = include_str!("../README.md")]

pub mod adapter;
pub mod capability;
pub mod clock;
pub mod configured_fields;
pub mod context;
pub mod drift;
pub mod error;
pub mod escape;
pub mod fields;
pub mod filter;
pub mod gate;
pub mod id;
pub mod job;
pub mod nearest;
mod open_enum;
pub mod paging;
pub mod provider;
pub mod random;
pub mod task;
pub mod trace;
pub mod vendor;

pub use context::Context;
pub use error::{Error, ErrorKind, Result};

/// A boxed future, as the object-safe traits of this crate return it.
pub type BoxFuture<'a, T> = std::pin::Pin<Box<dyn Future<Output = T> + Send + 'a>>;
