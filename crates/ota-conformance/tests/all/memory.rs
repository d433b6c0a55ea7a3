//! The reference provider, as a subject.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use ota_conformance::memory::{
    self, MemoryProvider, MemoryVendor, full_capability, small_capability,
};
use ota_conformance::{Renewal, Subject};
use ota_core::capability::Capability;
use ota_core::clock::Clock;
use ota_core::provider::Provider;

use crate::rig::{MAX_CALLS, Rig, Through, provider_name};
use crate::simulated::{Planned, Vendor};

pub(crate) const VENDOR: Vendor = Vendor {
    name: memory::VENDOR,
    subjects,
};

fn subjects() -> Vec<Planned> {
    let kinds = [
        ("memory", full_capability(), &Through::ALL[..]),
        (
            "memory without some filters",
            small_capability(),
            &[Through::Guard],
        ),
    ];
    let planned = kinds.into_iter().flat_map(|(name, capability, gates)| {
        gates.iter().map(move |through| {
            let (through, capability) = (*through, capability.clone());
            Planned::new(name, through, move || async move {
                subject(name, capability, through, |one| Arc::new(one))
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
        capability,
        Arc::clone(&vendor),
        rig.deps.clone(),
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
