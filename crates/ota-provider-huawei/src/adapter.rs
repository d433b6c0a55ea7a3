//! The descriptor of this adapter, and how its providers are built.

use std::sync::{Arc, Mutex, PoisonError};

use ota_core::ErrorKind;
use ota_core::adapter::{Adapter, Descriptor};
use ota_core::configured_fields::ConfigurableField;
use ota_core::id::ProviderName;
use ota_core::provider::{Dependencies, Provider, SettingError, SettingErrors};

use crate::config::{Config, DEFAULT_CALLS, Login, Settings, VENDOR};
use crate::provider::{HuaweiProvider, capability};
use crate::token::TokenPool;

static DESCRIPTOR: Descriptor = Descriptor {
    name: VENDOR,
    title: "Huawei",
    product: "IoT platform, classic northbound API (v1.5.0)",
    // The vendor's example of a task has it there (docs/vendors/huawei.md, 1.6); what else is in `extendPara` no document fixes.
    example_fields: &[(ConfigurableField::PackageVersion, "extendPara.fileVersion")],
    provider: "huawei",
    crate_name: env!("CARGO_PKG_NAME"),
    example: include_str!("../config.toml"),
    account: "endpoint + app id",
    default_calls: DEFAULT_CALLS,
    capability,
    advice,
};

/// The adapter of Huawei's classic IoT platform.
#[derive(Clone, Copy, Debug)]
pub struct HuaweiAdapter;

/// What the providers of one process share: the tokens of each application, and what each provider logs in with.
#[derive(Debug, Default)]
pub struct Logins {
    tokens: Arc<TokenPool>,
    known: Mutex<Vec<(ProviderName, Login)>>,
}

impl Adapter for HuaweiAdapter {
    type Settings = Settings;
    type Config = Config;
    type Shared = Logins;

    fn descriptor(&self) -> &'static Descriptor {
        &DESCRIPTOR
    }

    fn config(&self, settings: Settings) -> Result<Config, SettingErrors> {
        settings.into_config()
    }

    fn account(&self, config: &Config) -> String {
        config.account()
    }

    /// Checks that providers that share a login agree on it: one with a wrong setting would fail the other.
    fn join(
        &self,
        shared: &Logins,
        name: &ProviderName,
        config: &Config,
    ) -> Result<(), SettingErrors> {
        let login = config.login();
        let mut errors = SettingErrors::default();
        let mut known = shared.known.lock().unwrap_or_else(PoisonError::into_inner);
        let differing = known.iter().find_map(|(other, known)| {
            let keys = login.differences(known);
            (!keys.is_empty()).then_some((other, keys))
        });
        if let Some((other, keys)) = differing {
            for key in keys {
                errors.add(SettingError::new(
                    key,
                    format!(
                        "it is not as in provider `{other}`, which has the same `endpoint` and `app_id`; both share one login, so give both the same `{key}`"
                    ),
                ));
            }
        }
        known.push((name.clone(), login));
        errors.finish(|| Some(()))
    }

    fn build(
        &self,
        name: ProviderName,
        config: Config,
        deps: Dependencies,
        shared: &Logins,
    ) -> Result<Arc<dyn Provider>, SettingError> {
        let provider = HuaweiProvider::new(name, config, deps, Arc::clone(&shared.tokens))?;
        Ok(Arc::new(provider))
    }
}

fn advice(kind: ErrorKind) -> Option<&'static str> {
    match kind {
        ErrorKind::Auth => Some(
            "the vendor refuses the credential or its rights: compare `app_id` and `secret_file` with the platform's console (both current, both of this application), ask its operator whether the application is authorised for the devices, and compare this machine's clock with the time",
        ),
        ErrorKind::Misconfigured => Some(
            "a setting does not fit the vendor: check `endpoint`, `app_id` and `app_key_header`",
        ),
        _ => None,
    }
}
