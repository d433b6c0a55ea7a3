//! `[cache]`

use std::time::Duration;

use serde::Deserialize;

use super::error::ConfigError;
use super::section::{self, Section};

/// The limits of the cache.
#[derive(Clone, Debug)]
pub struct CacheConfig {
    /// The maximum age of a cached response that is served without a vendor call.
    pub max_age: Duration,
    /// The same read is not sent to the vendor twice within this time.
    pub min_age: Duration,
    /// As `max_age`, for statistics.
    pub stats_max_age: Duration,
    /// The maximum age of a stale response that is served when the vendor does not answer.
    pub stale_if_error: Duration,
    /// How long an error (not found, refused credential, misconfigured, rejected) is cached.
    pub error_age: Duration,
    /// The maximum memory of the cached responses.
    pub max_bytes: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Raw {
    max_age_s: u64,
    min_age_s: u64,
    stats_max_age_s: u64,
    stale_if_error_s: u64,
    error_age_s: u64,
    max_bytes: u64,
}

impl Default for Raw {
    fn default() -> Self {
        Self {
            max_age_s: 5,
            min_age_s: 1,
            stats_max_age_s: 60,
            stale_if_error_s: 600,
            error_age_s: 5,
            max_bytes: 67_108_864,
        }
    }
}

/// A week: a longer time is most likely a mistake in the unit.
const MAX_S: u64 = 604_800;

pub(super) fn keys() -> Vec<String> {
    section::keys_of::<Raw>()
}

pub(super) fn read(section: Section) -> Result<CacheConfig, ConfigError> {
    let (raw, mut mistakes): (Raw, _) = section.read()?;
    let mut age = |key: &str, seconds: u64| {
        let seconds = mistakes.range(key, "seconds", seconds, 0..=MAX_S)?;
        Some(Duration::from_secs(seconds))
    };
    let max_age = age("max_age_s", raw.max_age_s);
    let min_age = age("min_age_s", raw.min_age_s);
    let stats_max_age = age("stats_max_age_s", raw.stats_max_age_s);
    let stale_if_error = age("stale_if_error_s", raw.stale_if_error_s);
    let error_age = age("error_age_s", raw.error_age_s);
    mistakes.finish(|| {
        Some(CacheConfig {
            max_age: max_age?,
            min_age: min_age?,
            stats_max_age: stats_max_age?,
            stale_if_error: stale_if_error?,
            error_age: error_age?,
            max_bytes: raw.max_bytes,
        })
    })
}
