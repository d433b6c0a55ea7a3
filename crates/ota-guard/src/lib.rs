#![doc = include_str!("../README.md")]

mod breaker;
mod guard;
mod observer;
mod queue;
mod quota;

pub use breaker::{Admission, Breaker, BreakerState};
pub use guard::{Guard, GuardLimits};
pub use observer::{NoObserver, Observer, Outcome};
pub use quota::{AccountQuota, Permit, QuotaLimits, QuotaScope, Slots};
