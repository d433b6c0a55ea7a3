#![doc = include_str!("../README.md")]

mod fleet;
mod health;

pub use fleet::{Answer, Fleet, Member, Quota};
pub use health::{Health, HealthState};
