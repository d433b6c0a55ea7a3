//! Building the configured providers: the only place that knows concrete adapters.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use ota_core::capability::{DocumentedQuota, QuotaPer};
use ota_core::clock::Clock;
use ota_core::drift::{DriftCounter, DriftKind, DriftObserver};
use ota_core::id::ProviderName;
use ota_core::provider::{Dependencies, Provider, SettingError};
use ota_core::random::Random;
use ota_fleet::{Fleet, Member, Quota};
use ota_guard::{AccountQuota, Guard, GuardLimits, QuotaLimits, QuotaScope};
use ota_provider_huawei::TokenPool;

use crate::config::{Config, ConfigError, DefaultQuota, Limits, Section};
use crate::metrics::Metrics;
use crate::query::nearest;
use crate::telemetry::Telemetry;

/// The vendors that this gateway knows, as `vendor` names them.
pub const VENDORS: &[&str] = &[ota_provider_alibaba::VENDOR, ota_provider_huawei::VENDOR];

/// What providers share.
#[derive(Clone, Debug)]
pub struct Shared {
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub random: Arc<dyn Random>,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// Where traces go.
    pub telemetry: Arc<Telemetry>,
    tokens: Arc<TokenPool>,
}

impl Shared {
    /// Creates what the providers of one process share.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>, random: Arc<dyn Random>) -> Self {
        Self {
            metrics: Arc::new(Metrics::new(&*clock)),
            clock,
            random,
            tokens: Arc::new(TokenPool::new()),
            telemetry: Arc::default(),
        }
    }

    /// Says where traces go; without, nowhere.
    #[must_use]
    pub fn with_telemetry(mut self, telemetry: Arc<Telemetry>) -> Self {
        self.telemetry = telemetry;
        self
    }

    fn dependencies(&self, name: &ProviderName, limits: &Limits, gate: Arc<Guard>) -> Dependencies {
        Dependencies {
            gate,
            clock: Arc::clone(&self.clock),
            random: Arc::clone(&self.random),
            drift: Arc::new(CountedDrift {
                provider: name.clone(),
                seen: DriftCounter::default(),
                metrics: Arc::clone(&self.metrics),
            }),
            max_calls_per_page: limits.max_calls_per_page,
        }
    }
}

/// The configured providers, each with its gate.
#[derive(Debug)]
pub struct Providers {
    /// All of them as one.
    pub fleet: Fleet,
    /// Their gates, by name.
    pub gates: Vec<(ProviderName, Arc<Guard>)>,
}

/// The quotas of the vendor accounts.
#[derive(Default)]
struct Accounts(BTreeMap<String, (Arc<AccountQuota>, ProviderName)>);

impl Accounts {
    /// Returns the quota of a provider's account: its own, or the one of another provider with the same account.
    fn quota(
        &mut self,
        name: &ProviderName,
        section: &Section,
        limits: &Limits,
        documented: &DocumentedQuota,
        clock: &Arc<dyn Clock>,
    ) -> Result<Arc<AccountQuota>, ConfigError> {
        let wanted = QuotaLimits {
            calls: limits.calls,
            window: Duration::from_secs(limits.window_s.into()),
            margin: limits.margin,
            scope: scope(limits.calls, documented),
        };
        match self.0.get(&limits.account) {
            Some((quota, _)) if *quota.limits() == wanted => Ok(Arc::clone(quota)),
            Some((quota, other)) => {
                let has = quota.limits();
                Err(section.error(
                    "limits.account",
                    format_args!(
                        "`{}` is also the account of provider `{other}`, with calls = {}, window_s = {}, margin_ms = {}; providers of one account share one quota, so give both the same figures, or each an account of its own",
                        limits.account,
                        has.calls,
                        has.window.as_secs(),
                        has.margin.as_millis(),
                    ),
                ))
            }
            None => {
                let quota = Arc::new(AccountQuota::new(wanted, Arc::clone(clock)));
                let entry = (Arc::clone(&quota), name.clone());
                self.0.insert(limits.account.clone(), entry);
                Ok(quota)
            }
        }
    }
}

/// What the vendor counts together. An operation with another number of calls keeps its share of a configured figure.
fn scope(calls: u32, documented: &DocumentedQuota) -> QuotaScope {
    let share = |of: u32| {
        let share = u64::from(of) * u64::from(calls) / u64::from(documented.calls.max(1));
        u32::try_from(share.max(1)).unwrap_or(u32::MAX)
    };
    match documented.per {
        QuotaPer::Application => QuotaScope::Account,
        QuotaPer::AccountAndOperation => QuotaScope::Operation {
            exceptions: documented
                .exceptions
                .iter()
                .map(|(operation, calls)| (*operation, share(*calls)))
                .collect(),
        },
    }
}

/// A provider's quota as the API shows it.
#[derive(Debug)]
struct KeptQuota {
    gate: Arc<Guard>,
    window_s: u32,
}

impl Quota for KeptQuota {
    fn limit(&self) -> u32 {
        self.gate.quota().limits().calls
    }

    fn window_s(&self) -> u32 {
        self.window_s
    }

    fn remaining(&self) -> u32 {
        self.gate.quota().remaining()
    }
}

/// Counts what a vendor sends that no document of its has, and says so in the log the first time.
#[derive(Debug)]
struct CountedDrift {
    provider: ProviderName,
    seen: DriftCounter,
    metrics: Arc<Metrics>,
}

impl DriftObserver for CountedDrift {
    fn observe(&self, kind: DriftKind, operation: &'static str, field: &str) {
        self.metrics
            .drifted(self.provider.as_str(), kind, operation, field);
        if self.seen.count(kind, operation, field) == 1 {
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
/// Names the provider and the key that is missing or wrong; two providers of one account with different quotas are wrong too.
pub fn build(config: &Config, shared: &Shared) -> Result<Providers, ConfigError> {
    let mut builder = Builder {
        shared,
        accounts: Accounts::default(),
        gates: Vec::new(),
    };
    let mut members = Vec::new();
    for (name, section) in &config.providers {
        members.push(builder.member(name, section.clone())?);
    }
    Ok(Providers {
        fleet: Fleet::new(members, Arc::clone(&shared.clock)),
        gates: builder.gates,
    })
}

struct Builder<'a> {
    shared: &'a Shared,
    accounts: Accounts,
    gates: Vec<(ProviderName, Arc<Guard>)>,
}

/// What every adapter's configuration tells about itself.
struct Vendor {
    account: String,
    default_calls: u32,
    quota: DocumentedQuota,
}

impl Builder<'_> {
    fn member(&mut self, name: &ProviderName, mut section: Section) -> Result<Member, ConfigError> {
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
                let vendor = Vendor {
                    account: config.account(),
                    default_calls: DEFAULT_CALLS,
                    quota: QUOTA,
                };
                self.join(name, &section, limits, vendor, |deps| {
                    AlibabaProvider::new(name.clone(), config, deps)
                })
            }
            Some(ota_provider_huawei::VENDOR) => {
                use ota_provider_huawei::{DEFAULT_CALLS, HuaweiProvider, QUOTA, Settings};
                let config = section
                    .clone()
                    .read::<Settings>()?
                    .into_config()
                    .map_err(|error| at(&section, &error))?;
                let vendor = Vendor {
                    account: config.account(),
                    default_calls: DEFAULT_CALLS,
                    quota: QUOTA,
                };
                let tokens = Arc::clone(&self.shared.tokens);
                self.join(name, &section, limits, vendor, |deps| {
                    HuaweiProvider::new(name.clone(), config, deps, tokens)
                })
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

    /// Builds the gate of a provider, and the provider with it.
    fn join<P: Provider + 'static>(
        &mut self,
        name: &ProviderName,
        section: &Section,
        limits: Option<Section>,
        vendor: Vendor,
        provider: impl FnOnce(Dependencies) -> Result<P, SettingError>,
    ) -> Result<Member, ConfigError> {
        let default = DefaultQuota {
            account: vendor.account,
            calls: vendor.default_calls,
            window_s: vendor.quota.window_s,
        };
        let limits = Limits::read(limits, default)?;
        let shared = self.shared;
        let quota = self
            .accounts
            .quota(name, section, &limits, &vendor.quota, &shared.clock)?;
        let gate = Arc::new(Guard::new(
            GuardLimits {
                timeout: limits.timeout,
                max_attempts: limits.max_attempts,
                max_concurrent: limits.max_concurrent,
            },
            quota,
            Arc::clone(&shared.clock),
            Arc::clone(&shared.random),
            shared.metrics.meter(name, &shared.telemetry, &shared.clock),
        ));
        let deps = shared.dependencies(name, &limits, Arc::clone(&gate));
        let provider = provider(deps).map_err(|error| at(section, &error))?;
        let kept = KeptQuota {
            gate: Arc::clone(&gate),
            window_s: limits.window_s,
        };
        self.gates.push((name.clone(), gate));
        Ok(Member::new(
            Arc::new(provider),
            Arc::new(kept),
            limits.timeout,
        ))
    }
}

fn at(section: &Section, error: &SettingError) -> ConfigError {
    section.error(error.key, &error.message)
}
