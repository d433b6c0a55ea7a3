//! The reference provider, as a subject.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use ota_conformance::memory::{
    self, Aliases, MemoryProvider, MemoryVendor, ServerVersion, capability_without_failures,
    capability_without_names, full_capability, small_capability,
};
use ota_conformance::{Renewal, Subject, fields_at_ids};
use ota_core::capability::Capability;
use ota_core::clock::Clock;
use ota_core::provider::Provider;

use crate::rig::{MAX_CALLS, Rig, Through, provider_name};
use crate::simulated::{Planned, Vendor};

pub(crate) const VENDOR: Vendor = Vendor {
    name: memory::VENDOR,
    subjects,
};

/// How the vendor in memory differs.
#[derive(Clone, Copy)]
pub(crate) enum Kind {
    Full,
    WithoutSomeFilters,
    WithoutFailures,
    WithoutNames,
    ByTokens,
    VagueLists,
    AliasesByForm,
    AliasesByAnswer,
    /// No good one, and no subject of the suite.
    AliasesBelieved,
    OldServer,
}

impl Kind {
    pub(crate) fn capability(self) -> Capability {
        match self {
            Self::WithoutSomeFilters => small_capability(),
            Self::WithoutFailures => capability_without_failures(),
            Self::WithoutNames => capability_without_names(),
            _ => full_capability(),
        }
    }

    pub(crate) fn provider(self, provider: MemoryProvider) -> MemoryProvider {
        match self {
            Self::ByTokens => provider.by_tokens(),
            Self::VagueLists => provider.with_vague_lists(),
            Self::AliasesByForm => provider.with_aliases(Aliases::RefusedByForm),
            Self::AliasesByAnswer => provider.with_aliases(Aliases::ComparedWithTheAnswer),
            Self::AliasesBelieved => provider.with_aliases(Aliases::Believed),
            Self::OldServer => provider.with_server_version(ServerVersion::One),
            Self::Full | Self::WithoutSomeFilters | Self::WithoutFailures | Self::WithoutNames => {
                provider
            }
        }
    }
}

fn subjects() -> Vec<Planned> {
    const GUARD: &[Through] = &[Through::Guard];
    let kinds = [
        ("memory", Kind::Full, &Through::ALL[..]),
        (
            "memory without some filters",
            Kind::WithoutSomeFilters,
            GUARD,
        ),
        (
            "memory without reasons of failures",
            Kind::WithoutFailures,
            GUARD,
        ),
        ("memory without names", Kind::WithoutNames, GUARD),
        ("memory that pages by tokens", Kind::ByTokens, GUARD),
        ("memory with vague lists", Kind::VagueLists, GUARD),
        (
            "memory with aliases, refused by their form",
            Kind::AliasesByForm,
            GUARD,
        ),
        (
            "memory with aliases, found by the answer",
            Kind::AliasesByAnswer,
            GUARD,
        ),
        (
            "memory with an old server, by its setting",
            Kind::OldServer,
            GUARD,
        ),
    ];
    let planned = kinds.into_iter().flat_map(|(name, kind, gates)| {
        gates.iter().map(move |through| {
            let through = *through;
            Planned::new(name, through, move || async move {
                subject(name, kind.capability(), through, |one| {
                    Arc::new(kind.provider(one))
                })
            })
        })
    });
    planned.collect()
}

/// A memory provider with something around it.
pub(crate) fn subject(
    name: &str,
    capability: Capability,
    through: Through,
    wrap: impl FnOnce(MemoryProvider) -> Arc<dyn Provider>,
) -> Subject {
    subject_with(name, capability, through, wrap, |provider| provider)
}

/// As [`subject`], with something else about the provider whose credential is renewed.
pub(crate) fn subject_with(
    name: &str,
    capability: Capability,
    through: Through,
    wrap: impl FnOnce(MemoryProvider) -> Arc<dyn Provider>,
    renewed_with: impl FnOnce(MemoryProvider) -> MemoryProvider,
) -> Subject {
    let rig = Rig::new(through, MAX_CALLS);
    let vendor = Arc::new(MemoryVendor::new(&provider_name(), 23, 60));
    let provider = MemoryProvider::new(
        provider_name(),
        capability.clone(),
        Arc::clone(&vendor),
        rig.deps.clone(),
    );
    let fields = fields_at_ids(&capability, "id", "id");
    let configured = MemoryProvider::new(
        provider_name(),
        capability,
        Arc::clone(&vendor),
        rig.deps_with(fields),
    );
    let clock: Arc<dyn Clock> = Arc::new(rig.clock.clone());
    let mut subject = memory::subject(
        &format!("{name}, {}", through.name()),
        &vendor,
        wrap(provider),
        clock,
        rig.through.promise(),
    );
    subject.pass_time = Some(rig.pass_time());
    subject.drift = Some(rig.drift_count());
    subject.configured = Some(Arc::new(configured));
    let credential = Arc::new(AtomicU64::new(0));
    let renewed = MemoryProvider::new(
        provider_name(),
        memory::full_capability(),
        Arc::clone(&vendor),
        rig.deps.clone(),
    );
    subject.renewal = Some(Renewal {
        provider: Arc::new(renewed_with(
            renewed.with_credential(Arc::clone(&credential)),
        )),
        at_vendor: Box::new(move |new| vendor.renew_credential(new.into())),
        at_provider: Box::new(move |new| credential.store(new.into(), Ordering::SeqCst)),
    });
    subject
}
