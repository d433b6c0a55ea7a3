#![doc = include_str!("../README.md")]

pub mod alibaba;
mod body;
mod clock;
mod control;
mod counters;
mod exchange;
mod fault;
mod faults;
mod fleet;
pub mod huawei;
mod liberty;
mod odd;
mod quota;
mod registry;
mod renewed;
mod server;
mod setup;
mod simulator;
mod state;
mod wire_text;

pub use clock::Clock;
pub use counters::{Counters, RecordedRequest, Refusal};
pub use fault::{Fault, FaultKind, Packing};
pub use fleet::{DeviceTruth, FleetShape, FleetTruth, JobTruth, TaskTruth};
pub use liberty::Liberty;
pub use quota::Quota;
pub use registry::{SIMULATORS, simulator};
pub use renewed::Renewed;
pub use server::Server;
pub use setup::{QuotaSetting, Setup};
pub use simulator::{Account, Simulator, Starting};
