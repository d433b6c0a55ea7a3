//! The vendors that this gateway can reach: the only list of adapters.
//!
//! It knows nothing of the rest of the gateway, so that the configuration, the API document and the commands can derive all their
//! information about vendors from it.

use std::any::Any;
use std::sync::Arc;

use ota_core::adapter::{Adapter, Descriptor};
use ota_core::id::ProviderName;
use ota_core::provider::{Dependencies, Provider, SettingError, SettingErrors};
use toml::{Table, Value};

/// The adapters, one line for each vendor.
pub const ADAPTERS: &[&dyn Vendor] = &[
    // `cargo xtask new-provider` adds a line here.
    &ota_provider_alibaba::AlibabaAdapter,
    &ota_provider_huawei::HuaweiAdapter,
];

/// Returns the facts of all vendors, in the order of the list.
pub fn descriptors() -> impl Iterator<Item = &'static Descriptor> {
    ADAPTERS.iter().map(|adapter| adapter.descriptor())
}

/// Returns the names of all vendors, as `vendor` takes them.
#[must_use]
pub fn names() -> Vec<&'static str> {
    descriptors().map(|vendor| vendor.name).collect()
}

/// Why a section could not be read as settings, and at which key.
pub type ReadError = serde_path_to_error::Error<toml::de::Error>;

/// An adapter without its types, so that adapters are in one list.
pub trait Vendor: Sync {
    /// Returns the facts of the vendor.
    fn descriptor(&self) -> &'static Descriptor;

    /// Creates what the providers of one process share.
    fn shared(&self) -> Arc<dyn Any + Send + Sync>;

    /// Reads a provider's section. `shared` comes from [`Vendor::shared`] of the same vendor.
    ///
    /// # Errors
    /// The first key that is unknown or of the wrong type.
    fn settings(
        &'static self,
        section: Table,
        shared: &Arc<dyn Any + Send + Sync>,
    ) -> Result<Box<dyn Settings>, ReadError>;
}

/// Settings as they were read.
pub trait Settings {
    /// Checks them.
    ///
    /// # Errors
    /// Names every key that is missing or wrong.
    fn check(self: Box<Self>) -> Result<Box<dyn Account>, SettingErrors>;
}

/// Settings that have been checked: one account at the vendor.
pub trait Account {
    /// Returns what identifies the account.
    fn account(&self) -> String;

    /// Adds this provider's part to the state shared by the providers of its vendor.
    ///
    /// # Errors
    /// Names every key that does not fit another provider.
    fn join(&self, name: &ProviderName) -> Result<(), SettingErrors>;

    /// Builds the provider.
    ///
    /// # Errors
    /// Names the key that cannot be used on this machine.
    fn build(
        self: Box<Self>,
        name: ProviderName,
        deps: Dependencies,
    ) -> Result<Arc<dyn Provider>, SettingError>;
}

impl<A: Adapter> Vendor for A {
    fn descriptor(&self) -> &'static Descriptor {
        Adapter::descriptor(self)
    }

    fn shared(&self) -> Arc<dyn Any + Send + Sync> {
        Arc::new(A::Shared::default())
    }

    fn settings(
        &'static self,
        section: Table,
        shared: &Arc<dyn Any + Send + Sync>,
    ) -> Result<Box<dyn Settings>, ReadError> {
        let settings = serde_path_to_error::deserialize(Value::Table(section))?;
        Ok(Box::new(Of {
            adapter: self,
            shared: Arc::clone(shared).downcast().unwrap_or_default(),
            value: Unchecked::<A>(settings),
        }))
    }
}

/// A value of an adapter, with the data needed to create the next one.
struct Of<A: Adapter, V> {
    adapter: &'static A,
    shared: Arc<A::Shared>,
    value: V,
}

struct Unchecked<A: Adapter>(A::Settings);

struct Checked<A: Adapter>(A::Config);

impl<A: Adapter> Settings for Of<A, Unchecked<A>> {
    fn check(self: Box<Self>) -> Result<Box<dyn Account>, SettingErrors> {
        let config = self.adapter.config(self.value.0)?;
        Ok(Box::new(Of {
            adapter: self.adapter,
            shared: self.shared,
            value: Checked::<A>(config),
        }))
    }
}

impl<A: Adapter> Account for Of<A, Checked<A>> {
    fn account(&self) -> String {
        self.adapter.account(&self.value.0)
    }

    fn join(&self, name: &ProviderName) -> Result<(), SettingErrors> {
        self.adapter.join(&self.shared, name, &self.value.0)
    }

    fn build(
        self: Box<Self>,
        name: ProviderName,
        deps: Dependencies,
    ) -> Result<Arc<dyn Provider>, SettingError> {
        self.adapter.build(name, self.value.0, deps, &self.shared)
    }
}
