//! Building the configured providers.

use std::any::Any;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use ota_core::capability::{DocumentedQuota, QuotaPer};
use ota_core::clock::Clock;
use ota_core::configured_fields::ConfiguredFields;
use ota_core::id::ProviderName;
use ota_core::nearest::nearest;
use ota_core::provider::{Dependencies, SettingErrors};
use ota_core::random::Random;
use ota_fleet::{ConfiguredProvider, Fleet, Quota};
use ota_guard::{AccountQuota, Guard, GuardLimits, QuotaLimits, QuotaScope};

use crate::config::{ConfigError, DefaultQuota, Limits, Mistakes, Section, configured_fields};
use crate::metrics::Metrics;
use crate::telemetry::Telemetry;
use crate::vendors::{self, ADAPTERS, Account, Vendor};

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
    /// The most of an account's quota that reads in the background take, more than 0 and at most 1.
    pub background_share: f64,
}

impl Shared {
    /// Creates what the providers of one process share.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>, random: Arc<dyn Random>) -> Self {
        Self {
            metrics: Arc::new(Metrics::new(&*clock)),
            clock,
            random,
            telemetry: Arc::default(),
            background_share: 1.0,
        }
    }

    /// Sets the destination of traces; without it, traces are not exported.
    #[must_use]
    pub fn with_telemetry(mut self, telemetry: Arc<Telemetry>) -> Self {
        self.telemetry = telemetry;
        self
    }

    /// Says how much of an account's quota reads in the background take; without, all of it.
    #[must_use]
    pub fn with_background_share(mut self, share: f64) -> Self {
        self.background_share = share;
        self
    }

    fn dependencies(
        &self,
        name: &ProviderName,
        limits: &Limits,
        fields: &Arc<ConfiguredFields>,
        gate: Arc<Guard>,
    ) -> Dependencies {
        Dependencies {
            gate,
            clock: Arc::clone(&self.clock),
            random: Arc::clone(&self.random),
            drift: Arc::new(self.metrics.drift.observer(name)),
            fields: Arc::clone(fields),
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
    /// How the mirror reads each of them, by name.
    pub mirrored: Vec<Mirrored>,
}

/// How the mirror reads a provider.
#[derive(Clone, Debug)]
pub struct Mirrored {
    /// The provider.
    pub name: ProviderName,
    /// The vendor account: providers with the same text share one quota.
    pub account: String,
    /// The quota of that account.
    pub quota: Arc<AccountQuota>,
    /// Whether it is read at all.
    pub enabled: bool,
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
        shared: &Shared,
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
                let quota = AccountQuota::new(wanted, Arc::clone(&shared.clock));
                let quota = quota.with_caller_share(limits.caller_share);
                let quota = Arc::new(quota.with_background_share(shared.background_share));
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
        // If the vendor counts by address, the account's name contains no credential.
        QuotaPer::Application | QuotaPer::ClientAddress => QuotaScope::Account,
        QuotaPer::ReadsAndWrites => {
            let writes = documented.exceptions.iter();
            QuotaScope::ReadsAndWrites {
                writes: writes.clone().map(|(operation, _)| *operation).collect(),
                calls: writes
                    .map(|(_, calls)| share(*calls))
                    .min()
                    .unwrap_or(calls),
            }
        }
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
struct ProviderQuota {
    gate: Arc<Guard>,
    window_s: u32,
}

impl Quota for ProviderQuota {
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
        shares: BTreeMap::new(),
        gates: Vec::new(),
        mirrored: Vec::new(),
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
            mirrored: builder.mirrored,
        })
    })
}

struct Builder<'a> {
    shared: &'a Shared,
    accounts: Accounts,
    /// What the providers of each vendor share.
    shares: BTreeMap<&'static str, Arc<dyn Any + Send + Sync>>,
    gates: Vec<(ProviderName, Arc<Guard>)>,
    mirrored: Vec<Mirrored>,
}

impl Builder<'_> {
    fn member(
        &mut self,
        name: &ProviderName,
        mut section: Section,
    ) -> Result<ConfiguredProvider, ConfigError> {
        let mut mistakes = Mistakes::default();
        let vendor = mistakes.check(section.take_text("vendor"));
        let limits = mistakes.check(section.take_section("limits"));
        let mirror = mistakes.check(section.take_bool("mirror", true));
        let fields = mistakes.check(section.take_section("fields"));
        let known = vendor
            .as_ref()
            .and_then(Option::as_deref)
            .and_then(vendor_of);
        if let Some(vendor) = known {
            let fields = configured_fields(fields.flatten(), vendor.descriptor());
            let fields = mistakes.check(fields).unwrap_or_default();
            let account = self.account(vendor, &section, &mut mistakes);
            if let Some(account) = &account {
                let joined = account.join(name);
                let named = |errors: SettingErrors| {
                    errors
                        .iter()
                        .for_each(|error| mistakes.push(section.error(error.key, &error.message)));
                };
                joined.unwrap_or_else(named);
            }
            let settings = CommonSettings {
                limits,
                mirror: mirror.unwrap_or(true),
                fields: Arc::new(fields),
            };
            return self.join(name, &section, settings, (vendor, account), mistakes);
        }
        match vendor {
            Some(Some(other)) => mistakes.push(section.error("vendor", unknown_vendor(&other))),
            Some(None) => {
                // A key with a similar name was most likely meant as `vendor`; other keys cannot be checked without a vendor.
                let known = vendors::names().join(", ");
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

    /// Reads the section of a provider as its vendor's settings, and checks them as far as they could be read.
    fn account(
        &mut self,
        vendor: &'static dyn Vendor,
        section: &Section,
        mistakes: &mut Mistakes,
    ) -> Option<Box<dyn Account>> {
        let shared = self
            .shares
            .entry(vendor.descriptor().name)
            .or_insert_with(|| vendor.shared());
        let read = section
            .clone()
            .read_with(|table| vendor.settings(table, shared));
        let (settings, mut found) = mistakes.check(read)?;
        let account = settings
            .check()
            .map_err(|errors| errors.iter().for_each(|error| found.setting(error)))
            .ok();
        mistakes.check(found.finish(|| account))
    }

    /// Builds the gate of a provider, and the provider with it.
    fn join(
        &mut self,
        name: &ProviderName,
        section: &Section,
        settings: CommonSettings,
        (vendor, account): (&'static dyn Vendor, Option<Box<dyn Account>>),
        mut mistakes: Mistakes,
    ) -> Result<ConfiguredProvider, ConfigError> {
        let vendor = vendor.descriptor();
        let documented = (vendor.capability)().quota;
        let default = DefaultQuota {
            account: account
                .as_ref()
                .map(|account| account.account())
                .unwrap_or_default(),
            calls: vendor.default_calls,
            window_s: documented.window_s,
        };
        let limits = settings.limits;
        let limits = limits.and_then(|limits| mistakes.check(Limits::read(limits, default)));
        let Some(limits) = limits else {
            return mistakes.finish(|| None);
        };
        // If the settings that name the account are wrong, the account is not known.
        if account.is_none() && limits.account.is_empty() {
            return mistakes.finish(|| None);
        }
        let shared = self.shared;
        let quota = self
            .accounts
            .quota(name, section, &limits, &documented, shared);
        let Some(quota) = mistakes.check(quota) else {
            return mistakes.finish(|| None);
        };
        let mirrored = Mirrored {
            name: name.clone(),
            account: limits.account.clone(),
            quota: Arc::clone(&quota),
            enabled: settings.mirror,
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
            shared
                .metrics
                .vendor_calls
                .observer(name, &shared.telemetry, &shared.clock),
        ));
        let deps = shared.dependencies(name, &limits, &settings.fields, Arc::clone(&gate));
        let provider = account.and_then(|account| {
            let provider = account.build(name.clone(), deps);
            mistakes.check(provider.map_err(|error| section.error(error.key, &error.message)))
        });
        mistakes.finish(|| {
            let kept = ProviderQuota {
                gate: Arc::clone(&gate),
                window_s: limits.window_s,
            };
            self.gates.push((name.clone(), gate));
            self.mirrored.push(mirrored);
            let clock = Arc::clone(&shared.clock);
            let provider =
                ConfiguredProvider::new(provider?, Arc::new(kept), limits.timeout, clock);
            Some(provider.with_fields(settings.fields))
        })
    }
}

/// What the section of a provider holds that means the same for every vendor.
struct CommonSettings {
    /// `limits`, when it is a section.
    limits: Option<Option<Section>>,
    /// `mirror`
    mirror: bool,
    /// `fields`
    fields: Arc<ConfiguredFields>,
}

/// Returns the vendor of this name.
fn vendor_of(name: &str) -> Option<&'static dyn Vendor> {
    ADAPTERS
        .iter()
        .copied()
        .find(|vendor| vendor.descriptor().name == name)
}

/// Says which vendors there are. Every name ends in `-iot`, so what is compared is the part before it.
fn unknown_vendor(name: &str) -> String {
    let stem = |name: &str| name.trim_end_matches("-iot").to_ascii_lowercase();
    let vendors = vendors::names();
    let stems: Vec<String> = vendors.iter().map(|vendor| stem(vendor)).collect();
    let known: Vec<&str> = stems.iter().map(String::as_str).collect();
    let meant = nearest(&stem(name), &known)
        .and_then(|near| vendors.iter().find(|vendor| stem(vendor) == near));
    let advice = match meant {
        Some(meant) => format!("did you mean `{meant}`? Known are"),
        None => "known are".to_owned(),
    };
    format!("`{name}` is not known; {advice} {}", vendors.join(", "))
}

#[cfg(test)]
mod tests {
    use ota_core::capability::{DocumentedQuota, QuotaPer};
    use ota_guard::QuotaScope;

    use super::{scope, unknown_vendor};

    #[test]
    fn what_the_vendor_counts_together_is_counted_together() {
        let documented = |per, exceptions| DocumentedQuota {
            calls: 100,
            window_s: 60,
            per,
            exceptions,
        };
        for per in [QuotaPer::Application, QuotaPer::ClientAddress] {
            assert_eq!(scope(50, &documented(per, &[])), QuotaScope::Account);
        }
        let writes = &[("Create", 20), ("Cancel", 10)];
        let scope = |calls| scope(calls, &documented(QuotaPer::ReadsAndWrites, writes));
        // All writes share one figure, so the smallest applies; if the reads get half of their calls, so do the writes.
        for (calls, share) in [(100, 10), (50, 5), (1, 1)] {
            let QuotaScope::ReadsAndWrites { writes, calls } = scope(calls) else {
                panic!("reads and writes are counted separately");
            };
            assert!(writes.iter().eq(&["Create", "Cancel"]), "{writes:?}");
            assert_eq!(calls, share);
        }
    }

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
