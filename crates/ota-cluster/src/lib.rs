#![doc = include_str!("../README.md")]

mod cluster;
mod keeper;
mod table;
pub mod timing;

pub use cluster::{Account, CallWindow, Cluster, Member, Standing};
pub use keeper::Keeper;
pub use table::LeaseTable;
