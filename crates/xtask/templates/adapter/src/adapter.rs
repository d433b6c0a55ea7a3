//! What the gateway is told about this adapter.

use std::sync::Arc;

use ota_core::ErrorKind;
use ota_core::adapter::{Adapter, Descriptor};
use ota_core::id::ProviderName;
use ota_core::provider::{Dependencies, Provider, SettingError, SettingErrors};

use crate::config::{Config, DEFAULT_CALLS, Settings, VENDOR};
use crate::provider::{__Name__Provider, capability};

static DESCRIPTOR: Descriptor = Descriptor {
    name: VENDOR,
    title: "__Name__",
    product: "the product and the version of its API",
    example_fields: &[],
    provider: "__name__",
    crate_name: env!("CARGO_PKG_NAME"),
    example: include_str!("../config.toml"),
    account: "endpoint",
    default_calls: DEFAULT_CALLS,
    capability,
    advice,
};

/// The adapter of __Name__.
#[derive(Clone, Copy, Debug)]
pub struct __Name__Adapter;

impl Adapter for __Name__Adapter {
    type Settings = Settings;
    type Config = Config;
    /// Providers share nothing. Logins, or what is known of a refused credential, would stand here.
    type Shared = ();

    fn descriptor(&self) -> &'static Descriptor {
        &DESCRIPTOR
    }

    fn config(&self, settings: Settings) -> Result<Config, SettingErrors> {
        settings.into_config()
    }

    fn account(&self, config: &Config) -> String {
        config.account()
    }

    fn join(&self, (): &(), _: &ProviderName, _: &Config) -> Result<(), SettingErrors> {
        Ok(())
    }

    fn build(
        &self,
        name: ProviderName,
        config: Config,
        deps: Dependencies,
        (): &(),
    ) -> Result<Arc<dyn Provider>, SettingError> {
        Ok(Arc::new(__Name__Provider::new(name, config, deps)?))
    }
}

fn advice(kind: ErrorKind) -> Option<&'static str> {
    match kind {
        ErrorKind::Auth => Some(
            "the vendor refuses the token or its rights: compare `token_file` with the vendor's console",
        ),
        _ => None,
    }
}
