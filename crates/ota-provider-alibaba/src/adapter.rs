//! The descriptor of this adapter, and how its providers are built.

use std::sync::Arc;

use ota_core::ErrorKind;
use ota_core::adapter::{Adapter, Descriptor};
use ota_core::id::ProviderName;
use ota_core::provider::{Dependencies, Provider, SettingError, SettingErrors};

use crate::config::{Config, DEFAULT_CALLS, Settings, VENDOR};
use crate::provider::{AlibabaProvider, capability};
use crate::refused::RefusedKeys;

static DESCRIPTOR: Descriptor = Descriptor {
    name: VENDOR,
    title: "Alibaba Cloud",
    product: "IoT Platform, API version 2018-01-20",
    example_fields: &[],
    provider: "aliyun",
    crate_name: env!("CARGO_PKG_NAME"),
    example: include_str!("../config.toml"),
    account: "endpoint + key id",
    default_calls: DEFAULT_CALLS,
    capability,
    advice,
};

/// The adapter of Alibaba Cloud IoT Platform.
#[derive(Clone, Copy, Debug)]
pub struct AlibabaAdapter;

impl Adapter for AlibabaAdapter {
    type Settings = Settings;
    type Config = Config;
    /// Providers that use one credential at one endpoint in one way share its refusal.
    type Shared = Arc<RefusedKeys>;

    fn descriptor(&self) -> &'static Descriptor {
        &DESCRIPTOR
    }

    fn config(&self, settings: Settings) -> Result<Config, SettingErrors> {
        settings.into_config()
    }

    fn account(&self, config: &Config) -> String {
        config.account()
    }

    fn join(
        &self,
        _: &Arc<RefusedKeys>,
        _: &ProviderName,
        _: &Config,
    ) -> Result<(), SettingErrors> {
        Ok(())
    }

    fn build(
        &self,
        name: ProviderName,
        config: Config,
        deps: Dependencies,
        shared: &Arc<RefusedKeys>,
    ) -> Result<Arc<dyn Provider>, SettingError> {
        let provider = AlibabaProvider::new(name, config, deps)?;
        Ok(Arc::new(provider.sharing(Arc::clone(shared))))
    }
}

fn advice(kind: ErrorKind) -> Option<&'static str> {
    match kind {
        ErrorKind::Auth => Some(
            "the vendor refuses the credential or its rights: give the rights that docs/operations.md lists, and compare this machine's clock with the time",
        ),
        ErrorKind::Misconfigured => Some(
            "a setting does not fit the vendor: check `endpoint` or `region`, and `instance_id` (the vendor's console shows it; left out where the instance has none)",
        ),
        _ => None,
    }
}
