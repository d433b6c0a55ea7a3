//! A configured provider and its health as the API shows them.

use ota_api::own_timestamp;
use ota_api::problem::Code;
use ota_api::provider::{Health, HealthProblem, Provider, ProviderSync, Quota};
use ota_cluster::Standing;
use ota_fleet::ConfiguredProvider;

use crate::mirror::Mirror;

/// Returns a provider as the API shows it.
pub(super) fn provider(member: &ConfiguredProvider, mirror: &Mirror) -> Provider {
    let provider = member.provider();
    let quota = member.quota();
    let source = mirror.source(provider.name());
    Provider {
        name: provider.name().to_string(),
        vendor: provider.vendor().to_owned(),
        endpoint: ota_http::redact::urls(provider.endpoint()),
        capabilities: provider.capability().into(),
        quota: Quota {
            limit: quota.limit(),
            window_s: quota.window_s(),
            remaining: Some(quota.remaining()),
        },
        health: health(member.health()),
        sync: ProviderSync {
            state: source.state,
            problem: source.problem,
        },
        holder: mirror.standing(provider.name()) == Standing::Holder,
    }
}

/// Returns a provider's health as the API shows it.
pub(super) fn health(health: ota_fleet::Health) -> Health {
    Health {
        state: health.state.as_str().to_owned(),
        checked_at: health.checked_at.and_then(own_timestamp),
        problem: health.problem.map(|(kind, detail)| HealthProblem {
            code: Code::of_provider_error(kind).as_str().to_owned(),
            detail,
        }),
    }
}
