#![doc = include_str!("../README.md")]

mod fleet;
mod fresh;
mod health;
mod standing;

pub use fleet::{Answer, Fleet, Member, Quota};
pub use fresh::{Fetch, Fetched, FreshLimits, FreshStore, Served, Source, Wanted};
pub use health::{Health, HealthState};
