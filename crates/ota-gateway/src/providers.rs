//! Building the configured providers: the only place that knows concrete adapters.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use ota_core::capability::{DocumentedQuota, QuotaPer};
use ota_core::clock::Clock;
use ota_core::drift::{DriftCounter, DriftKind, DriftObserver, shown_name};
use ota_core::id::ProviderName;
use ota_core::provider::{Dependencies, Provider, SettingError, SettingErrors};
use ota_core::random::Random;
use ota_fleet::{Fleet, Member, Quota};
use ota_guard::{AccountQuota, Guard, GuardLimits, QuotaLimits, QuotaScope};
use ota_provider_alibaba::RefusedKeys;
use ota_provider_huawei::TokenPool;
use serde::de::DeserializeOwned;

use crate::config::{ConfigError, DefaultQuota, Limits, Mistakes, Section};
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
    refused: Arc<RefusedKeys>,
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
            refused: Arc::new(RefusedKeys::new()),
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
            Some((quota, _))
                if *quota.limits() == wanted
                    && quota.caller_share().total_cmp(&limits.caller_share).is_eq() =>
            {
                Ok(Arc::clone(quota))
            }
            Some((quota, other)) => {
                let has = quota.limits();
                let margin = has.margin.map_or_else(
                    || "not set".to_owned(),
                    |margin| format!("= {}", margin.as_millis()),
                );
                Err(section.error(
                    "limits.account",
                    format_args!(
                        "`{}` is also the account of provider `{other}`, with calls = {}, window_s = {}, margin_ms {}, caller_share = {}; providers of one account share one quota, so give both the same figures, or each an account of its own",
                        limits.account,
                        has.calls,
                        has.window.as_secs(),
                        margin,
                        quota.caller_share(),
                    ),
                ))
            }
            None => {
                let quota = AccountQuota::new(wanted, Arc::clone(clock));
                let quota = Arc::new(quota.with_caller_share(limits.caller_share));
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
        if self.seen.count(kind, operation, field) > 1 {
            return;
        }
        match kind {
            DriftKind::Word | DriftKind::Field | DriftKind::Value => tracing::warn!(
                provider.name = %self.provider,
                vendor.operation = operation,
                vendor.field = shown_name(field),
                drift = kind.as_str(),
                "the vendor sent something that is not in its documents; the answer shows it verbatim"
            ),
            DriftKind::Malformed => tracing::warn!(
                provider.name = %self.provider,
                vendor.operation = operation,
                vendor.field = shown_name(field),
                drift = kind.as_str(),
                "the vendor sent a text, number or name that is not as its format wants it; bytes that cannot be read are replaced, the rest stays as text"
            ),
            DriftKind::Page => tracing::warn!(
                provider.name = %self.provider,
                vendor.operation = operation,
                vendor.field = ?field,
                drift = kind.as_str(),
                "the vendor answered with another page than was asked for, or with numbers that do not fit each other; \
                 no row is left out without an error or `truncated`, and a total that does not fit is left out"
            ),
        }
    }
}

/// Builds every configured provider.
///
/// # Errors
/// Names every provider and key that is missing or wrong; two providers of one account with different quotas are wrong too.
pub fn build(
    sections: &BTreeMap<ProviderName, Section>,
    shared: &Shared,
) -> Result<Providers, ConfigError> {
    let mut builder = Builder {
        shared,
        accounts: Accounts::default(),
        logins: Vec::new(),
        gates: Vec::new(),
    };
    let mut mistakes = Mistakes::default();
    let mut members = Vec::new();
    for (name, section) in sections {
        members.extend(mistakes.check(builder.member(name, section.clone())));
    }
    mistakes.finish(|| {
        Some(Providers {
            fleet: Fleet::new(members),
            gates: builder.gates,
        })
    })
}

struct Builder<'a> {
    shared: &'a Shared,
    accounts: Accounts,
    /// What the providers before log in with.
    logins: Vec<(ProviderName, ota_provider_huawei::Login)>,
    gates: Vec<(ProviderName, Arc<Guard>)>,
}

/// What every adapter's configuration tells about itself.
struct Vendor {
    /// Its own account; none where the settings are wrong.
    account: Option<String>,
    default_calls: u32,
    quota: DocumentedQuota,
}

impl Builder<'_> {
    fn member(&mut self, name: &ProviderName, mut section: Section) -> Result<Member, ConfigError> {
        let mut mistakes = Mistakes::default();
        let vendor = mistakes.check(section.take_text("vendor"));
        let limits = mistakes.check(section.take_section("limits"));
        match vendor.as_ref().map(Option::as_deref) {
            Some(Some(ota_provider_alibaba::VENDOR)) => {
                use ota_provider_alibaba::{AlibabaProvider, DEFAULT_CALLS, QUOTA, Settings};
                let config = settings(&section, &mut mistakes, Settings::into_config);
                let vendor = Vendor {
                    account: config.as_ref().map(|config| config.account()),
                    default_calls: DEFAULT_CALLS,
                    quota: QUOTA,
                };
                let refused = Arc::clone(&self.shared.refused);
                self.join(name, &section, limits, vendor, mistakes, |deps| {
                    let provider = AlibabaProvider::new(name.clone(), config?, deps);
                    Some(provider.map(|provider| Arc::new(provider.sharing(refused)) as _))
                })
            }
            Some(Some(ota_provider_huawei::VENDOR)) => {
                use ota_provider_huawei::{DEFAULT_CALLS, HuaweiProvider, QUOTA, Settings};
                let config = settings(&section, &mut mistakes, Settings::into_config);
                let vendor = Vendor {
                    account: config.as_ref().map(|config| config.account()),
                    default_calls: DEFAULT_CALLS,
                    quota: QUOTA,
                };
                if let Some(config) = &config {
                    mistakes.check(self.login(name, &section, config.login()));
                }
                let tokens = Arc::clone(&self.shared.tokens);
                self.join(name, &section, limits, vendor, mistakes, |deps| {
                    let provider = HuaweiProvider::new(name.clone(), config?, deps, tokens);
                    Some(provider.map(|provider| Arc::new(provider) as Arc<dyn Provider>))
                })
            }
            other => {
                match other {
                    Some(Some(other)) => {
                        mistakes.push(section.error("vendor", unknown_vendor(other)));
                    }
                    Some(None) => {
                        // A key that looks like it is most likely the one; the others cannot be judged without a vendor.
                        let known = VENDORS.join(", ");
                        let advice = match section.similar("vendor") {
                            Some(key) => format!("; is `{key}` meant to be it?"),
                            None => String::new(),
                        };
                        let message = format_args!("is missing; use one of {known}{advice}");
                        mistakes.push(section.error("vendor", message));
                    }
                    None => {}
                }
                // Its limits mean the same for every vendor.
                let default = DefaultQuota {
                    account: String::new(),
                    calls: 1,
                    window_s: 1,
                };
                mistakes.check(Limits::read(limits.flatten(), default));
                mistakes.finish(|| None)
            }
        }
    }

    /// Checks that providers that share a login agree on it: one with a wrong setting would fail the other.
    fn login(
        &mut self,
        name: &ProviderName,
        section: &Section,
        login: ota_provider_huawei::Login,
    ) -> Result<(), ConfigError> {
        let mut mistakes = Mistakes::default();
        let differing = self.logins.iter().find_map(|(other, known)| {
            let keys = login.differences(known);
            (!keys.is_empty()).then_some((other, keys))
        });
        if let Some((other, keys)) = differing {
            for key in keys {
                mistakes.push(section.error(
                    key,
                    format_args!(
                        "it is not as in provider `{other}`, which has the same `endpoint` and `app_id`; both share one login, so give both the same `{key}`"
                    ),
                ));
            }
        }
        self.logins.push((name.clone(), login));
        mistakes.finish(|| Some(()))
    }

    /// Builds the gate of a provider, and the provider with it.
    fn join(
        &mut self,
        name: &ProviderName,
        section: &Section,
        limits: Option<Option<Section>>,
        vendor: Vendor,
        mut mistakes: Mistakes,
        provider: impl FnOnce(Dependencies) -> Option<Result<Arc<dyn Provider>, SettingError>>,
    ) -> Result<Member, ConfigError> {
        let default = DefaultQuota {
            account: vendor.account.clone().unwrap_or_default(),
            calls: vendor.default_calls,
            window_s: vendor.quota.window_s,
        };
        let limits = limits.and_then(|limits| mistakes.check(Limits::read(limits, default)));
        let Some(limits) = limits else {
            return mistakes.finish(|| None);
        };
        // Which account it is, is not known where the settings that name it are wrong.
        if vendor.account.is_none() && limits.account.is_empty() {
            return mistakes.finish(|| None);
        }
        let shared = self.shared;
        let quota = self
            .accounts
            .quota(name, section, &limits, &vendor.quota, &shared.clock);
        let Some(quota) = mistakes.check(quota) else {
            return mistakes.finish(|| None);
        };
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
        let provider = provider(deps).and_then(|provider| {
            let provider = provider.map_err(|error| section.error(error.key, &error.message));
            mistakes.check(provider)
        });
        mistakes.finish(|| {
            let kept = KeptQuota {
                gate: Arc::clone(&gate),
                window_s: limits.window_s,
            };
            self.gates.push((name.clone(), gate));
            let clock = Arc::clone(&shared.clock);
            Some(Member::new(
                provider?,
                Arc::new(kept),
                limits.timeout,
                clock,
            ))
        })
    }
}

/// Reads the section of a provider as its vendor's settings, and checks them as far as they could be read.
fn settings<S: DeserializeOwned, C>(
    section: &Section,
    mistakes: &mut Mistakes,
    into_config: impl FnOnce(S) -> Result<C, SettingErrors>,
) -> Option<C> {
    let (settings, mut found) = mistakes.check(section.clone().read::<S>())?;
    let config = into_config(settings)
        .map_err(|errors| errors.iter().for_each(|error| found.setting(error)))
        .ok();
    mistakes.check(found.finish(|| config))
}

/// Says which vendors there are. Every name ends in `-iot`, so what is compared is the part before it.
fn unknown_vendor(name: &str) -> String {
    let stem = |name: &str| name.trim_end_matches("-iot").to_ascii_lowercase();
    let stems: Vec<String> = VENDORS.iter().map(|vendor| stem(vendor)).collect();
    let known: Vec<&str> = stems.iter().map(String::as_str).collect();
    let meant = nearest(&stem(name), &known)
        .and_then(|near| VENDORS.iter().find(|vendor| stem(vendor) == near));
    let advice = match meant {
        Some(meant) => format!("did you mean `{meant}`? Known are"),
        None => "known are".to_owned(),
    };
    format!("`{name}` is not known; {advice} {}", VENDORS.join(", "))
}

#[cfg(test)]
mod tests {
    use super::unknown_vendor;

    #[test]
    fn a_vendor_is_suggested_only_when_it_is_near() {
        for (name, meant) in [
            ("alibaba", "alibaba-iot"),
            ("alibabaiot", "alibaba-iot"),
            ("Alibaba-IoT", "alibaba-iot"),
            ("huawai-iot", "huawei-iot"),
        ] {
            let text = unknown_vendor(name);
            assert!(text.contains(&format!("did you mean `{meant}`?")), "{text}");
        }
        for name in ["aws-iot", "azure-iot", "-iot", "", "sputnik", "tuya-iot"] {
            let text = unknown_vendor(name);
            assert!(!text.contains("did you mean"), "{text}");
            assert!(text.contains("known are alibaba-iot, huawei-iot"), "{text}");
        }
    }
}
