//! Building the configured providers: the only place that knows concrete adapters.

use std::sync::Arc;

use ota_core::clock::Clock;
use ota_core::drift::{DriftCounter, DriftKind, DriftObserver};
use ota_core::id::ProviderName;
use ota_core::provider::{Dependencies, Provider, SettingError};
use ota_core::random::Random;
use ota_fleet::{Fleet, Member, Quota};
use ota_guard::SingleAttempt;
use ota_provider_huawei::TokenPool;

use crate::config::{Config, ConfigError, DefaultQuota, Limits, Section};
use crate::query::nearest;

/// The vendors that this gateway knows, as `vendor` names them.
pub const VENDORS: &[&str] = &[ota_provider_alibaba::VENDOR, ota_provider_huawei::VENDOR];

/// What providers share.
#[derive(Clone, Debug)]
pub struct Shared {
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub random: Arc<dyn Random>,
    tokens: Arc<TokenPool>,
}

impl Shared {
    /// Creates what the providers of one process share.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>, random: Arc<dyn Random>) -> Self {
        Self {
            clock,
            random,
            tokens: Arc::new(TokenPool::new()),
        }
    }

    fn dependencies(&self, name: &ProviderName, limits: &Limits) -> Dependencies {
        Dependencies {
            gate: Arc::new(SingleAttempt::new(Arc::clone(&self.clock), limits.timeout)),
            clock: Arc::clone(&self.clock),
            random: Arc::clone(&self.random),
            drift: Arc::new(LoggedDrift {
                provider: name.clone(),
                counter: DriftCounter::default(),
            }),
            max_calls_per_page: limits.max_calls_per_page,
        }
    }
}

/// Counts what a vendor sends that no document of its has, and says so in the log the first time.
#[derive(Debug)]
struct LoggedDrift {
    provider: ProviderName,
    counter: DriftCounter,
}

impl DriftObserver for LoggedDrift {
    fn observe(&self, kind: DriftKind, operation: &'static str, field: &str) {
        if self.counter.count(kind, operation, field) == 1 {
            tracing::warn!(
                provider.name = %self.provider,
                vendor.operation = operation,
                vendor.field = ?field,
                drift = kind.as_str(),
                "the vendor sent something that is not in its documents; the answer shows it verbatim"
            );
        }
    }
}

/// Builds every configured provider.
///
/// # Errors
/// Names the provider and the key that is missing or wrong.
pub fn fleet(config: &Config, shared: &Shared) -> Result<Fleet, ConfigError> {
    let mut members = Vec::new();
    for (name, section) in &config.providers {
        members.push(member(name.clone(), section.clone(), shared)?);
    }
    Ok(Fleet::new(members, Arc::clone(&shared.clock)))
}

fn member(
    name: ProviderName,
    mut section: Section,
    shared: &Shared,
) -> Result<Member, ConfigError> {
    let vendor = section.take_text("vendor")?;
    let limits = section.take_section("limits")?;
    match vendor.as_deref() {
        Some(ota_provider_alibaba::VENDOR) => {
            use ota_provider_alibaba::{AlibabaProvider, DEFAULT_CALLS, QUOTA, Settings};
            let config = section
                .clone()
                .read::<Settings>()?
                .into_config()
                .map_err(|error| at(&section, &error))?;
            let default = DefaultQuota {
                account: config.account(),
                calls: DEFAULT_CALLS,
                window_s: QUOTA.window_s,
            };
            let limits = Limits::read(limits, default)?;
            let provider =
                AlibabaProvider::new(name.clone(), config, shared.dependencies(&name, &limits));
            Ok(joined(
                provider.map_err(|error| at(&section, &error))?,
                &limits,
            ))
        }
        Some(ota_provider_huawei::VENDOR) => {
            use ota_provider_huawei::{DEFAULT_CALLS, HuaweiProvider, QUOTA, Settings};
            let config = section
                .clone()
                .read::<Settings>()?
                .into_config()
                .map_err(|error| at(&section, &error))?;
            let default = DefaultQuota {
                account: config.account(),
                calls: DEFAULT_CALLS,
                window_s: QUOTA.window_s,
            };
            let limits = Limits::read(limits, default)?;
            let tokens = Arc::clone(&shared.tokens);
            let provider = HuaweiProvider::new(
                name.clone(),
                config,
                shared.dependencies(&name, &limits),
                tokens,
            );
            Ok(joined(
                provider.map_err(|error| at(&section, &error))?,
                &limits,
            ))
        }
        Some(other) => {
            let advice = match nearest(other, VENDORS) {
                Some(nearest) => {
                    format!("did you mean `{nearest}`? Known are {}", VENDORS.join(", "))
                }
                None => format!("known are {}", VENDORS.join(", ")),
            };
            Err(section.error("vendor", format_args!("`{other}` is not known; {advice}")))
        }
        None => Err(section.error(
            "vendor",
            format_args!("is missing; use one of {}", VENDORS.join(", ")),
        )),
    }
}

fn joined(provider: impl Provider + 'static, limits: &Limits) -> Member {
    Member::new(
        Arc::new(provider),
        Quota {
            limit: limits.calls,
            window_s: limits.window_s,
        },
    )
}

fn at(section: &Section, error: &SettingError) -> ConfigError {
    section.error(error.key, &error.message)
}
