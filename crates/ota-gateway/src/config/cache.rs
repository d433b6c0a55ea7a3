//! `[cache]`

use std::time::Duration;

use serde::Deserialize;

use super::{ConfigError, Section};

/// How old answers may be.
#[derive(Clone, Debug)]
pub struct CacheConfig {
    /// The oldest answer that is given without asking the vendor.
    pub max_age: Duration,
    /// Nobody makes the vendor be asked twice within this time.
    pub min_age: Duration,
    /// As `max_age`, for statistics.
    pub stats_max_age: Duration,
    /// The oldest answer that is given when the vendor does not answer.
    pub stale_if_error: Duration,
    /// The memory that kept answers may take.
    pub max_bytes: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Raw {
    max_age_s: u64,
    min_age_s: u64,
    stats_max_age_s: u64,
    stale_if_error_s: u64,
    max_bytes: u64,
}

impl Default for Raw {
    fn default() -> Self {
        Self {
            max_age_s: 5,
            min_age_s: 1,
            stats_max_age_s: 60,
            stale_if_error_s: 600,
            max_bytes: 67_108_864,
        }
    }
}

/// A week: longer times are mistakes in the unit.
const MAX_S: u64 = 604_800;

pub(super) fn read(section: Section) -> Result<CacheConfig, ConfigError> {
    let raw: Raw = section.clone().read()?;
    for (key, seconds) in [
        ("max_age_s", raw.max_age_s),
        ("min_age_s", raw.min_age_s),
        ("stats_max_age_s", raw.stats_max_age_s),
        ("stale_if_error_s", raw.stale_if_error_s),
    ] {
        if seconds > MAX_S {
            return Err(section.error(key, format_args!("is a number of seconds up to {MAX_S}")));
        }
    }
    Ok(CacheConfig {
        max_age: Duration::from_secs(raw.max_age_s),
        min_age: Duration::from_secs(raw.min_age_s),
        stats_max_age: Duration::from_secs(raw.stats_max_age_s),
        stale_if_error: Duration::from_secs(raw.stale_if_error_s),
        max_bytes: raw.max_bytes,
    })
}
