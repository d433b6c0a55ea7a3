#![doc = include_str!("../README.md")]

pub mod alibaba;
mod clock;
mod control;
mod counters;
mod faults;
mod fleet;
pub mod huawei;
mod odd;
mod quota;
mod renewed;
mod server;
mod wire_text;

pub use clock::Clock;
pub use counters::{Counters, RecordedRequest, Refusal};
pub use faults::{Fault, FaultKind, Packing};
pub use fleet::{DeviceTruth, FleetShape, FleetTruth, JobTruth};
pub use quota::Quota;
pub use renewed::Renewed;
pub use server::Server;
