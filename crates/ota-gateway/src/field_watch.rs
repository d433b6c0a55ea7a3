//! Notices configured paths that lead nowhere.

use std::time::Duration;

use ota_core::configured_fields::FieldUse;
use ota_core::id::ProviderName;
use ota_sync::{MirroredProvider, Observer, PassKind, Reason, SourceState, WriteKind};

/// Warns, at the end of a pass over all jobs of a provider, of every field whose configured place held nothing in any row so far. Passes everything on.
#[derive(Debug)]
pub(crate) struct FieldWatch<O> {
    inner: O,
    providers: Vec<MirroredProvider>,
}

impl<O> FieldWatch<O> {
    /// Creates the observer in front of another one.
    pub(crate) fn new(inner: O, providers: Vec<MirroredProvider>) -> Self {
        Self { inner, providers }
    }

    /// Returns what was never found of a provider's fields; each field once.
    fn never_found(&self, name: &ProviderName) -> Vec<FieldUse> {
        let mut providers = self.providers.iter();
        let found = providers.find(|one| one.provider.provider().name() == name);
        found.map_or_else(Vec::new, |one| one.provider.fields().take_never_found())
    }
}

impl<O: Observer> Observer for FieldWatch<O> {
    fn calls(&self, provider: &ProviderName, reason: Reason, calls: u32) {
        self.inner.calls(provider, reason, calls);
    }

    fn pass_ended(&self, provider: &ProviderName, kind: PassKind, complete: bool) {
        self.inner.pass_ended(provider, kind, complete);
        if kind != PassKind::List {
            return;
        }
        for FieldUse {
            field, path, rows, ..
        } in self.never_found(provider)
        {
            tracing::warn!(
                provider.name = %provider,
                field = %field,
                rows,
                "`providers.{provider}.fields.{field}` has found nothing so far: no row of the vendor holds a text or a number at `{path}`; see `vendor.fields` of a row for what it holds"
            );
        }
    }

    fn lag(&self, provider: &ProviderName, lag: Duration) {
        self.inner.lag(provider, lag);
    }

    fn state(&self, provider: &ProviderName, state: SourceState, stuck: bool) {
        self.inner.state(provider, state, stuck);
    }

    fn wrote(&self, kind: WriteKind, took: Duration) {
        self.inner.wrote(kind, took);
    }

    fn database(&self, available: bool) {
        self.inner.database(available);
    }
}
