#![doc = include_str!("../README.md")]

mod fleet;
mod health;
mod health_tracker;
mod response_cache;

pub use fleet::{Answer, ConfiguredProvider, Fleet, Quota};
pub use health::{Health, HealthState};
pub use response_cache::{
    CacheAnswer, CacheDirectives, CacheLimits, Fetch, Fetched, Provenance, ResponseCache, Source,
};
