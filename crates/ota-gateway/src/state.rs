//! What every handler shares.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use axum::http::{HeaderMap, HeaderValue, Uri};
use ota_api::problem::{Code, Failure};
use ota_auth::{Access, AuthError, Caller, Credentials, Listener, TokenError, authorize};
use ota_core::BoxFuture;
use ota_core::clock::Clock;
use ota_core::context::Moment;
use ota_core::id::ProviderName;
use ota_core::random::Random;
use ota_fleet::{ConfiguredProvider, Fleet, ResponseCache};
use ota_guard::Guard;
use ota_server::Certificates;
use ota_server::layer::Edge;
use ota_server::limits::EdgeLimits;
use ota_server::rate_limit::RateLimiter;
use ota_server::shares::Shares;
use time::OffsetDateTime;
use tokio::runtime::Handle;
use tokio::task::JoinSet;

use crate::cache::response::CachedResponse;
use crate::cache::targets::ResolvedTargets;
use crate::config::CacheConfig;
use crate::forward::Forwarder;
use crate::log::DroppedLines;
use crate::metrics::Metrics;
use crate::mirror::Mirror;
use crate::observer::RequestObserver;
use crate::shared_bodies::SharedBodies;
use crate::telemetry::Telemetry;

/// The state that all handlers share. Clones are cheap.
#[derive(Clone, Debug)]
pub struct App(Arc<Inner>);

/// The parts of an application.
#[derive(Debug)]
pub struct Parts {
    /// The providers.
    pub fleet: Fleet,
    /// The gate of each provider.
    pub gates: Vec<(ProviderName, Arc<Guard>)>,
    /// The copy of what the vendors have.
    pub mirror: Mirror,
    /// What passes live reads on to other gateways; none where there is no other.
    pub forwarder: Option<Arc<Forwarder>>,
    /// How callers are identified.
    pub access: Access,
    /// The limits of the cache.
    pub cache: CacheConfig,
    /// The metrics.
    pub metrics: Arc<Metrics>,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// The source of random numbers.
    pub random: Arc<dyn Random>,
    /// How long a request may take, vendor calls included.
    pub request_timeout: Duration,
    /// The limits of a client on the listeners.
    pub server: ServerParts,
    /// The destination of traces.
    pub telemetry: Arc<Telemetry>,
}

/// The settings of the listeners and of the layer around every handler.
#[derive(Debug)]
pub struct ServerParts {
    /// The limits of a client on the API listener.
    pub limits: EdgeLimits,
    /// The limits of a client on the metrics listener.
    pub metrics_limits: EdgeLimits,
    /// The gateway's own certificate; plain HTTP without.
    pub certificates: Option<Arc<Certificates>>,
    /// The origins whose web pages may call the API (CORS).
    pub cors_origins: Vec<HeaderValue>,
    /// How many requests a caller may send.
    pub rate_limiter: Option<RateLimiter>,
    /// The number of requests in progress, by caller.
    pub shares: Arc<Shares>,
    /// The address of the API in its document, where that is not beside the document.
    pub public_url: Option<String>,
}

#[derive(Debug)]
struct Inner {
    parts: Parts,
    edge: Arc<Edge>,
    store: ResponseCache<CachedResponse>,
    targets: ResolvedTargets,
    shared_bodies: SharedBodies,
    draining: AtomicBool,
}

impl App {
    /// Puts the parts together.
    #[must_use]
    pub fn new(parts: Parts) -> Self {
        let cache = &parts.cache;
        let longest = cache
            .max_age
            .max(cache.stats_max_age)
            .max(cache.stale_if_error)
            .max(cache.error_age)
            .max(cache.min_age);
        let store = ResponseCache::new(cache.max_bytes, longest, Arc::clone(&parts.clock));
        let edge = Edge {
            clock: Arc::clone(&parts.clock),
            random: Arc::clone(&parts.random),
            observer: Arc::new(RequestObserver {
                metrics: parts.metrics.server.clone(),
                telemetry: Arc::clone(&parts.telemetry),
                random: Arc::clone(&parts.random),
            }),
            limits: parts.server.limits.clone(),
            tls: parts.server.certificates.is_some(),
        };
        Self(Arc::new(Inner {
            parts,
            edge: Arc::new(edge),
            store,
            targets: ResolvedTargets::default(),
            shared_bodies: SharedBodies::default(),
            draining: AtomicBool::new(false),
        }))
    }

    /// Returns the providers.
    #[must_use]
    pub fn fleet(&self) -> &Fleet {
        &self.0.parts.fleet
    }

    /// Returns the mirror.
    #[must_use]
    pub fn mirror(&self) -> &Mirror {
        &self.0.parts.mirror
    }

    /// Returns what passes live reads on to other gateways; none where there is no other.
    pub(crate) fn forwarder(&self) -> Option<&Arc<Forwarder>> {
        self.0.parts.forwarder.as_ref()
    }

    /// Returns all metrics in the text format of Prometheus.
    ///
    /// # Errors
    /// If they cannot be serialized.
    pub fn metrics_text(&self) -> Result<Vec<u8>, prometheus::Error> {
        let gates = self.0.parts.gates.iter();
        if let Some(validity) = self.certificates().and_then(|own| own.validity()) {
            self.metrics().background.certificate_ends(validity.ends);
        }
        self.metrics().text(
            gates.map(|(name, gate)| (name, &**gate)),
            self.store().usage(),
            self.telemetry().dropped_spans(),
        )
    }

    /// Shows in the metrics how many lines of the log were dropped.
    pub fn watch_log(&self, dropped: DroppedLines) {
        self.metrics().watch_log(dropped);
    }

    /// Reports that the gateway's own certificate is not valid yet, has expired or expires soon, and whether clients reject it now.
    pub(crate) fn certificate_warning(&self) -> Option<(String, bool)> {
        let certificates = self.certificates()?;
        let now = self.now();
        let refused = certificates
            .validity()
            .is_some_and(|validity| !validity.holds(now));
        Some((certificates.warning(now)?, refused))
    }

    /// Returns what must run beside the requests, for as long as they are served: keys and certificates are kept fresh.
    pub(crate) fn background(&self) -> Vec<BoxFuture<'static, ()>> {
        let mut tasks = self.mirror().background();
        if let Access::Jwt(verifier) = self.access() {
            let (keys, app) = (Arc::clone(verifier.keys()), self.clone());
            tasks.push(Box::pin(async move {
                keys.keep_fresh(|ok| app.metrics().background.key_refresh(ok))
                    .await;
            }));
        }
        if let Some(certificates) = self.certificates() {
            let (certificates, clock) = (Arc::clone(certificates), Arc::clone(&self.0.parts.clock));
            tasks.push(Box::pin(
                async move { certificates.keep_fresh(&*clock).await },
            ));
        }
        tasks
    }

    /// Ends the calls to vendors, and hands them on: to the next process, or to the gateway that takes the accounts over.
    pub(crate) async fn end(&self) {
        // A read that nobody waits for any more may be under way.
        for (_, gate) in &self.0.parts.gates {
            gate.close();
        }
        self.mirror().close().await;
    }

    /// Records that no more connections are accepted, so that no one sends more requests here.
    pub(crate) fn drain(&self) {
        self.0.draining.store(true, Ordering::Relaxed);
    }

    /// Returns whether something can be served, or else why not.
    pub(crate) fn ready(&self) -> Result<(), Failure> {
        let no_keys = match self.access() {
            Access::Jwt(verifier) => verifier.keys().current().is_none(),
            Access::Disabled => false,
        };
        if self.0.draining.load(Ordering::Relaxed) {
            Err(Failure::new(
                Code::Unavailable,
                "the gateway is shutting down",
            ))
        } else if no_keys {
            Err(Failure::new(
                Code::KeysUnavailable,
                TokenError::NoKeys.to_string(),
            ))
        } else {
            Ok(())
        }
    }

    pub(crate) fn telemetry(&self) -> &Telemetry {
        &self.0.parts.telemetry
    }

    /// Returns what the layer around every handler needs.
    pub(crate) fn edge(&self) -> &Arc<Edge> {
        &self.0.edge
    }

    pub(crate) fn certificates(&self) -> Option<&Arc<Certificates>> {
        self.0.parts.server.certificates.as_ref()
    }

    pub(crate) fn metrics_limits(&self) -> &EdgeLimits {
        &self.0.parts.server.metrics_limits
    }

    pub(crate) fn cors_origins(&self) -> &[HeaderValue] {
        &self.0.parts.server.cors_origins
    }

    pub(crate) fn public_url(&self) -> Option<&str> {
        self.0.parts.server.public_url.as_deref()
    }

    pub(crate) fn rate_limiter(&self) -> Option<&RateLimiter> {
        self.0.parts.server.rate_limiter.as_ref()
    }

    pub(crate) fn shares(&self) -> &Arc<Shares> {
        &self.0.parts.server.shares
    }

    /// Decides whether a request may do what needs this scope, and who sends it.
    ///
    /// # Errors
    /// The reason why it is refused.
    pub(crate) fn authorize(
        &self,
        headers: &HeaderMap,
        uri: &Uri,
        scope: &'static str,
    ) -> Result<Arc<Caller>, AuthError> {
        let credentials = Credentials {
            headers,
            uri,
            listener: Listener {
                tls: self.edge().tls,
                allowed_origins: self.cors_origins(),
            },
        };
        authorize(self.access(), &credentials, self.now(), scope)
    }

    pub(crate) fn access(&self) -> &Access {
        &self.0.parts.access
    }

    pub(crate) fn cache(&self) -> &CacheConfig {
        &self.0.parts.cache
    }

    /// Runs vendor calls on this runtime, separate from the threads that serve connections: parsing a vendor response may take long.
    pub(crate) fn call_vendors_on(&self, runtime: Handle) {
        self.0.store.run_on(runtime);
    }

    /// Runs work that calls a vendor on the runtime for vendor calls. It is cancelled when its caller is dropped.
    pub(crate) async fn with_vendor<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Option<T> {
        let mut tasks = JoinSet::new();
        match self.0.store.runtime() {
            Some(runtime) => drop(tasks.spawn_on(work, runtime)),
            None => drop(tasks.spawn(work)),
        }
        tasks.join_next().await?.ok()
    }

    pub(crate) fn store(&self) -> &ResponseCache<CachedResponse> {
        &self.0.store
    }

    pub(crate) fn targets(&self) -> &ResolvedTargets {
        &self.0.targets
    }

    pub(crate) fn shared_bodies(&self) -> &SharedBodies {
        &self.0.shared_bodies
    }

    pub(crate) fn metrics(&self) -> &Metrics {
        &self.0.parts.metrics
    }

    pub(crate) fn random(&self) -> &dyn Random {
        &*self.0.parts.random
    }

    pub(crate) fn clock(&self) -> &dyn Clock {
        &*self.0.parts.clock
    }

    pub(crate) fn now(&self) -> OffsetDateTime {
        self.0.parts.clock.now()
    }

    pub(crate) fn monotonic(&self) -> Instant {
        self.0.parts.clock.monotonic()
    }

    pub(crate) fn moment(&self) -> Moment {
        Moment::now(&*self.0.parts.clock)
    }

    pub(crate) fn request_timeout(&self) -> Duration {
        self.0.parts.request_timeout
    }

    /// Returns a provider that the caller may know about.
    pub(crate) fn provider(
        &self,
        caller: &Caller,
        name: &str,
    ) -> Result<&Arc<ConfiguredProvider>, Failure> {
        self.fleet()
            .member(name)
            .filter(|_| caller.sees(name))
            .ok_or_else(|| Failure {
                field: Some("provider".to_owned()),
                ..Failure::new(
                    Code::NotFound,
                    "no provider has this name; see /v1/providers",
                )
            })
    }
}
