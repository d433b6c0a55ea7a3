#![doc = include_str!("../README.md")]

mod breaker;
mod guard;
mod in_progress;
mod latency;
mod lease;
mod observer;
mod permit_request;
mod queue;
mod quota;
mod slots;

pub use breaker::{Admission, Breaker, BreakerState};
pub use guard::{Guard, GuardLimits};
pub use latency::LatencyEstimate;
pub use lease::Lease;
pub use observer::{NoObserver, Observer, Outcome};
pub use permit_request::PermitRequest;
pub use quota::{AccountQuota, CountedCall, Permit, QuotaLimits, QuotaScope};
pub use slots::Slots;
