//! Putting an application together.

use std::collections::BTreeMap;
use std::sync::Arc;

use ota_auth::{Access, Verifier};
use ota_cluster::Member;
use ota_core::clock::{Clock, SystemClock};
use ota_core::id::ProviderName;
use ota_core::random::{BufferedRandom, Random};
use ota_http::file::{self, MAX_PEM_BYTES};
use ota_server::limits::{EdgeLimits, TlsFiles};
use ota_server::rate_limit::RateLimiter;
use ota_server::shares::Shares;
use ota_server::{Certificates, TlsError};
use ota_sync::MirroredProvider;

use crate::config::{
    AuthConfig, Config, ConfigError, Draft, MirrorConfig, Mistakes, Origin, Section,
    TelemetryConfig,
};
use crate::forward::{Forwarder, Holders};
use crate::mirror::Mirror;
use crate::providers::{self, Providers, Shared};
use crate::state::{App, Parts, ServerParts};
use crate::telemetry::Telemetry;

/// Builds the application that a configuration describes, on the machine's clock and randomness.
///
/// # Errors
/// Says what is wrong with the configuration.
pub fn app(config: &Config) -> Result<App, ConfigError> {
    app_on(
        config,
        Arc::new(SystemClock),
        Arc::new(BufferedRandom::default()),
    )
}

/// Builds the application that a configuration describes, on this clock and this randomness.
///
/// # Errors
/// As [`app`].
pub fn app_on(
    config: &Config,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
) -> Result<App, ConfigError> {
    app_among(config, clock, random, None)
}

/// Builds the application that a configuration describes, on this clock and this randomness, as one of several gateways: `holders` says which of them
/// may call a vendor. Without it, the leases in the database do.
///
/// # Errors
/// As [`app`].
pub fn app_among(
    config: &Config,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
    holders: Option<Arc<dyn Holders>>,
) -> Result<App, ConfigError> {
    let mut mistakes = Mistakes::default();
    let parts = assemble(
        (Some(&config.telemetry), Some(&config.mirror)),
        config.server.tls.clone(),
        &config.providers,
        &config.origin,
        (clock, random),
        &mut mistakes,
    );
    let access = access(&config.auth);
    let cluster = match (config.mirror.is_shared(), &parts.providers) {
        (true, Some(providers)) => mistakes
            .check(member(config, &*parts.shared.random))
            .map(|member| crate::cluster::join(member, providers, &parts.shared.clock)),
        _ => None,
    };
    let leases = cluster.clone();
    let holders = holders.or_else(|| Some(Arc::new(leases?) as Arc<dyn Holders>));
    let forwarder = holders
        .and_then(|holders| mistakes.check(forwarder(config, holders, &parts.shared)))
        .map(Arc::new);
    mistakes.finish(|| {
        let (shared, providers) = (parts.shared, parts.providers?);
        let Providers {
            fleet,
            gates,
            mirrored,
        } = providers;
        let leases = cluster.as_ref();
        let mirrored = mirrored.into_iter().filter_map(|one| {
            Some(MirroredProvider {
                lease: leases.map(|cluster| crate::cluster::lease_of(cluster, &one.name)),
                provider: Arc::clone(fleet.member(one.name.as_str())?),
                account: one.account,
                quota: one.quota,
                enabled: one.enabled,
            })
        });
        let mirror = Mirror::new(
            &config.mirror,
            mirrored.collect(),
            Arc::clone(&shared.clock),
            shared.metrics.mirror.clone(),
            cluster.clone(),
        );
        Some(App::new(Parts {
            mirror,
            forwarder,
            fleet,
            gates,
            access,
            cache: config.cache.clone(),
            metrics: shared.metrics,
            clock: shared.clock,
            random: shared.random,
            request_timeout: config.server.request_timeout,
            server: ServerParts {
                limits: config.server.limits.clone(),
                metrics_limits: EdgeLimits {
                    max_connections: config.metrics.max_connections,
                    ..config.server.limits.clone()
                },
                certificates: parts.certificates,
                cors_origins: config.server.cors_origins.clone(),
                rate_limiter: config.server.rate_limit.map(RateLimiter::new),
                shares: Arc::new(Shares::new(config.server.places)),
                public_url: config.server.public_url.clone(),
            },
            telemetry: shared.telemetry,
        }))
    })
}

/// Builds what passes live reads on to other gateways.
fn forwarder(
    config: &Config,
    holders: Arc<dyn Holders>,
    shared: &Shared,
) -> Result<Forwarder, ConfigError> {
    let wrong = |what: &dyn std::fmt::Display| config.origin.error("cluster.ca_file", what);
    let ca_file = config.cluster.ca_file.as_deref();
    let ca_pem = ca_file.map(|path| file::read(path, MAX_PEM_BYTES).map(|pem| pem.to_vec()));
    let ca_pem = ca_pem.transpose().map_err(|error| wrong(&error))?;
    Forwarder::new(
        holders,
        ca_pem,
        Arc::clone(&shared.clock),
        shared.metrics.forwarded.clone(),
        config.server.request_timeout,
    )
    .map_err(|error| wrong(&error))
}

/// Returns this process among the gateways that share its database.
fn member(config: &Config, random: &dyn Random) -> Result<Member, ConfigError> {
    let tls = config.server.tls.is_some();
    let address = config.cluster.address(config.server.listen, tls);
    let address = address.map_err(|what| config.origin.error("cluster.advertise_url", what))?;
    let mut id = [0; 16];
    random.fill(&mut id).map_err(|_| {
        let what =
            "cannot be used: the system gives no randomness for the identity of this process";
        config.origin.error("cluster.advertise_url", what)
    })?;
    Ok(Member {
        id: id.iter().map(|byte| format!("{byte:02x}")).collect(),
        address,
    })
}

/// Assembles as much as a configuration with mistakes allows, to find mistakes that are visible only then. Makes no network calls.
#[must_use]
pub fn mistakes_of(draft: &Draft) -> Mistakes {
    let mut mistakes = Mistakes::default();
    let random = Arc::new(BufferedRandom::default());
    assemble(
        (draft.telemetry.as_ref(), draft.mirror.as_ref()),
        draft.server_parts.tls.clone(),
        &draft.providers,
        &draft.origin,
        (Arc::new(SystemClock), random),
        &mut mistakes,
    );
    mistakes
}

/// The parts of an application that are usable.
struct Assembled {
    shared: Shared,
    providers: Option<Providers>,
    certificates: Option<Arc<Certificates>>,
}

fn assemble(
    (telemetry, mirror): (Option<&TelemetryConfig>, Option<&MirrorConfig>),
    files: Option<TlsFiles>,
    providers: &BTreeMap<ProviderName, Section>,
    origin: &Origin,
    (clock, random): (Arc<dyn Clock>, Arc<dyn Random>),
    mistakes: &mut Mistakes,
) -> Assembled {
    let telemetry = telemetry
        .and_then(|config| mistakes.check(Telemetry::new(config, origin, &random)))
        .unwrap_or_default();
    let share = mirror.map_or(1.0, |mirror| mirror.quota_share);
    let shared = Shared::new(clock, random)
        .with_telemetry(Arc::new(telemetry))
        .with_background_share(share);
    let providers = mistakes.check(providers::build(providers, &shared));
    let certificates = files.and_then(|files| {
        let own = Certificates::new(files);
        let named = own.map_err(|TlsError(errors)| {
            for error in errors {
                mistakes.push(origin.error(error.key, error.what));
            }
        });
        named.ok()
    });
    Assembled {
        shared,
        providers,
        certificates,
    }
}

fn access(auth: &AuthConfig) -> Access {
    match auth.keys() {
        None => Access::Disabled,
        Some(keys) => Access::Jwt(Box::new(Verifier::new(
            Arc::clone(keys),
            auth.rules.clone(),
        ))),
    }
}
