//! What an adapter says about its vendor.
//!
//! An adapter crate exports one [`Adapter`], and a program that can reach the vendor lists it. Everything else that names vendors (the example of a
//! configuration, the table of capabilities, the API document, advice to operators) is derived from it, so there is no second list to maintain.

use std::sync::Arc;

use serde::de::DeserializeOwned;

use crate::capability::Capability;
use crate::configured_fields::ConfigurableField;
use crate::error::ErrorKind;
use crate::id::ProviderName;
use crate::provider::{Dependencies, Provider, SettingError, SettingErrors};

/// The facts of one vendor that hold for every account. None of them depends on a configuration.
#[derive(Clone, Copy, Debug)]
pub struct Descriptor {
    /// The vendor as configuration names it in `vendor`: `a-z`, `0-9` and `-`.
    pub name: &'static str,
    /// The vendor's name for people, for instance in texts of the API document.
    pub title: &'static str,
    /// Which of the vendor's products and which version of its API, for people.
    pub product: &'static str,
    /// Where platforms of this vendor are known to hold fields that its documents do not fix: paths that the example of a configuration shows. Operators may
    /// configure other paths, and the places of all fields of [`Descriptor::configurable_fields`].
    pub example_fields: &'static [(ConfigurableField, &'static str)],
    /// The name of a provider of this vendor in examples of requests, and in the sandbox.
    pub provider: &'static str,
    /// The adapter's crate, `env!("CARGO_PKG_NAME")`.
    pub crate_name: &'static str,
    /// The section of the adapter in the example of a configuration: comments, `[providers.NAME]` with `vendor`, and every key with its default. The part
    /// `[providers.NAME.limits]` is the gateway's and is added by it.
    pub example: &'static str,
    /// What `limits.account` is when it is not configured, described for operators: "endpoint + key id".
    pub account: &'static str,
    /// How many calls are made in a window of the documented quota unless configured otherwise.
    pub default_calls: u32,
    /// Returns what providers of this vendor can do, with the quota that the vendor documents.
    pub capability: fn() -> Capability,
    /// Returns what most likely fixes an error of this kind at this vendor, if that differs from the general advice. Keys are in backticks.
    pub advice: fn(ErrorKind) -> Option<&'static str>,
}

impl Descriptor {
    /// Returns the fields whose place in the vendor's rows can be configured: those that the vendor does not report on its own.
    pub fn configurable_fields(&self) -> impl Iterator<Item = ConfigurableField> {
        ConfigurableField::missing_from((self.capability)().fields)
    }

    /// Returns the text that a key has in the example of a configuration.
    #[must_use]
    pub fn example_of(&self, key: &str) -> Option<String> {
        let mut values = self.example.lines().filter_map(|line| {
            let value = line.strip_prefix(key)?.trim_start().strip_prefix('=')?;
            let (text, _) = value.trim_start().strip_prefix('"')?.split_once('"')?;
            Some(text.to_owned())
        });
        values.next()
    }
}

/// An adapter: how the providers of one vendor are configured and built.
pub trait Adapter: Send + Sync + 'static {
    /// The keys of a provider's section. It refuses unknown keys (`#[serde(deny_unknown_fields)]`).
    type Settings: DeserializeOwned + 'static;

    /// Settings that have been checked.
    type Config: 'static;

    /// What the providers of one process share, for instance logins or the state of a credential. `()` for nothing.
    type Shared: Default + Send + Sync + 'static;

    /// Returns the facts of the vendor.
    fn descriptor(&self) -> &'static Descriptor;

    /// Checks settings and reads the files that they name.
    ///
    /// # Errors
    /// Names every key that is missing or wrong and says what to do.
    fn config(&self, settings: Self::Settings) -> Result<Self::Config, SettingErrors>;

    /// Returns what identifies the vendor account: providers with the same text share one quota. It begins with the vendor's name.
    fn account(&self, config: &Self::Config) -> String;

    /// Registers a provider with what is shared. It is called once for each provider whose settings are right, before that provider is built, in the
    /// order of their names.
    ///
    /// # Errors
    /// Names every key that does not fit another provider with which this one shares something.
    fn join(
        &self,
        shared: &Self::Shared,
        name: &ProviderName,
        config: &Self::Config,
    ) -> Result<(), SettingErrors>;

    /// Builds a provider.
    ///
    /// # Errors
    /// Names the key that cannot be used on this machine.
    fn build(
        &self,
        name: ProviderName,
        config: Self::Config,
        deps: Dependencies,
        shared: &Self::Shared,
    ) -> Result<Arc<dyn Provider>, SettingError>;
}
