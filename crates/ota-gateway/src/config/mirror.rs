//! `[mirror]`

use std::path::{Path, PathBuf};
use std::time::Duration;

use ota_http::{Secret, SecretSource};
use serde::Deserialize;

use super::error::ConfigError;
use super::mistakes::Mistakes;
use super::section::{self, Section};

/// The copy of all jobs and tasks in a database, and how it is renewed.
#[derive(Debug)]
pub struct MirrorConfig {
    /// Whether there is one.
    pub enabled: bool,
    /// The URL of the database. It may hold a password.
    pub database_url: Secret,
    /// Whether the URL is in a file of its own.
    pub is_url_in_file: bool,
    /// The most of an account's quota that background reads take, more than 0 and at most 1.
    pub quota_share: f64,
    /// The age at which a running job is read again, as far as the quota allows.
    pub max_lag: Duration,
    /// The time between two passes over all jobs.
    pub full_pass: Duration,
    /// How long jobs that have ended or vanished are kept, with their tasks and their history.
    pub keep: Duration,
}

impl MirrorConfig {
    /// Returns the file of the database, where it is one.
    #[must_use]
    pub fn file(&self) -> Option<&Path> {
        let path = self.database_url.expose_secret().strip_prefix("sqlite:")?;
        // As the store reads it.
        Some(Path::new(path.strip_prefix("//").unwrap_or(path)))
    }
}

impl MirrorConfig {
    /// Returns the key that says where the database is.
    #[must_use]
    pub fn url_key(&self) -> &'static str {
        match self.is_url_in_file {
            true => "mirror.database_url_file",
            false => "mirror.database_url",
        }
    }

    /// Returns whether other gateways can use the same database.
    #[must_use]
    pub fn is_shared(&self) -> bool {
        self.enabled && !self.database_url.expose_secret().starts_with("sqlite:")
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Raw {
    enabled: bool,
    database_url: Option<String>,
    database_url_file: Option<PathBuf>,
    quota_share: f64,
    max_lag_s: u64,
    full_pass_s: u64,
    keep_days: u64,
}

impl Default for Raw {
    fn default() -> Self {
        Self {
            enabled: true,
            database_url: None,
            database_url_file: None,
            quota_share: DEFAULT_QUOTA_SHARE,
            max_lag_s: 60,
            full_pass_s: 900,
            keep_days: 365,
        }
    }
}

/// A file in the working directory.
const DEFAULT_URL: &str = "sqlite:ota-gateway.db";

/// Half of the quota stays for interactive reads.
pub(super) const DEFAULT_QUOTA_SHARE: f64 = 0.5;

const DAY: Duration = Duration::from_secs(86_400);

/// What a URL of a database begins with.
const SCHEMES: [&str; 3] = ["sqlite:", "postgres://", "postgresql://"];

pub(super) fn keys() -> Vec<String> {
    section::keys_of::<Raw>()
}

pub(super) fn read(section: Section) -> Result<MirrorConfig, ConfigError> {
    let (raw, mut mistakes): (Raw, _) = section.read()?;
    if !(raw.quota_share > 0.0 && raw.quota_share <= 1.0) {
        mistakes.add(
            "quota_share",
            "is a share of the calls, more than 0 and at most 1",
        );
    }
    let seconds = Duration::from_secs;
    let max_lag = mistakes.range("max_lag_s", "seconds", raw.max_lag_s, 5..=86_400);
    let full_pass = mistakes.range("full_pass_s", "seconds", raw.full_pass_s, 10..=604_800);
    let keep = mistakes.range("keep_days", "days", raw.keep_days, 1..=36_500);
    let is_url_in_file = raw.database_url_file.is_some();
    let database_url = url(raw.database_url, raw.database_url_file, &mut mistakes);
    mistakes.finish(|| {
        Some(MirrorConfig {
            enabled: raw.enabled,
            database_url: database_url?,
            is_url_in_file,
            quota_share: raw.quota_share,
            max_lag: seconds(max_lag?),
            full_pass: seconds(full_pass?),
            keep: DAY * u32::try_from(keep?).ok()?,
        })
    })
}

/// Reads the URL of the database. What is wrong with it is said without showing it: it may hold a password.
fn url(value: Option<String>, file: Option<PathBuf>, mistakes: &mut Mistakes) -> Option<Secret> {
    let key = match file {
        Some(_) => "database_url_file",
        None => "database_url",
    };
    let source = SecretSource::from_settings("database_url", value, "database_url_file", file)
        .map_err(|error| mistakes.setting(&error))
        .ok()?;
    let text = match source {
        None => Secret::new(DEFAULT_URL),
        Some(source) => match source.read() {
            Ok(text) => text,
            Err(error) => {
                mistakes.add(key, error);
                return None;
            }
        },
    };
    let known = |scheme: &&str| text.expose_secret().starts_with(*scheme);
    if !SCHEMES.iter().any(known) {
        mistakes.add(
            key,
            "is the URL of a database: `sqlite:PATH` or `postgres://USER:PASSWORD@HOST/NAME`",
        );
        return None;
    }
    if text.expose_secret() == "sqlite:" {
        mistakes.add(key, "names no file: `sqlite:PATH`");
        return None;
    }
    Some(text)
}
