#![doc = include_str!("../README.md")]

mod ask;
mod begun;
mod breaker;
mod guard;
mod observer;
mod pace;
mod queue;
mod quota;
mod slots;

pub use ask::Ask;
pub use breaker::{Admission, Breaker, BreakerState};
pub use guard::{Guard, GuardLimits};
pub use observer::{NoObserver, Observer, Outcome};
pub use pace::Takes;
pub use quota::{AccountQuota, Permit, QuotaLimits, QuotaScope};
pub use slots::Slots;
