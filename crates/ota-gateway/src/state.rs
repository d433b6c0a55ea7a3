//! What every handler shares, and the router.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::{Extension, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderValue, Method};
use axum::middleware;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use ota_core::BoxFuture;
use ota_core::clock::{Clock, after};
use ota_core::context::Moment;
use ota_core::id::ProviderName;
use ota_core::random::Random;
use ota_fleet::{ConfiguredProvider, Fleet, ResponseCache};
use ota_guard::Guard;
use time::OffsetDateTime;
use tokio::runtime::Handle;
use tokio::task::JoinSet;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::cors::{AllowOrigin, CorsLayer};

use crate::auth::{Access, Caller, TokenError};
use crate::cache::response::Rendered;
use crate::config::{CacheConfig, EdgeLimits};
use crate::fast_path::Hits;
use crate::log::DroppedLines;
use crate::metrics::Metrics;
use crate::problem::{Code, Failure};
use crate::server::Certificates;
use crate::server::layer as edge;
use crate::server::rate_limit::RateLimiter;
use crate::server::shares::Shares;
use crate::shared_bodies::{self, PagePath, SharedBodies};
use crate::telemetry::Telemetry;
use crate::{document, headers, routes, swagger_ui};

/// What every handler shares. Clones are cheap.
#[derive(Clone, Debug)]
pub struct App(Arc<Inner>);

/// What an application is put together from.
#[derive(Debug)]
pub struct Parts {
    /// The providers.
    pub fleet: Fleet,
    /// The gate of each provider.
    pub gates: Vec<(ProviderName, Arc<Guard>)>,
    /// How callers are known.
    pub access: Access,
    /// How old answers may be, and how many are kept.
    pub cache: CacheConfig,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub random: Arc<dyn Random>,
    /// How long a request may take, vendor calls included.
    pub request_timeout: Duration,
    /// What stands between the network and the handlers.
    pub edge: Edge,
    /// Where traces go.
    pub telemetry: Arc<Telemetry>,
}

/// What stands between the network and the handlers.
#[derive(Debug)]
pub struct Edge {
    pub(crate) limits: EdgeLimits,
    /// Those of the listener for metrics.
    pub(crate) metrics_limits: EdgeLimits,
    pub(crate) certificates: Option<Arc<Certificates>>,
    pub(crate) cors_origins: Vec<HeaderValue>,
    pub(crate) rate_limiter: Option<RateLimiter>,
    /// The address of the API in its document, where that is not beside the document.
    pub(crate) public_url: Option<String>,
    /// Who has how many requests under way.
    pub(crate) shares: Arc<Shares>,
}

#[derive(Debug)]
struct Inner {
    parts: Parts,
    store: ResponseCache<Rendered>,
    hits: Hits,
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
        Self(Arc::new(Inner {
            parts,
            store,
            hits: Hits::default(),
            shared_bodies: SharedBodies::default(),
            draining: AtomicBool::new(false),
        }))
    }

    /// Returns the providers.
    #[must_use]
    pub fn fleet(&self) -> &Fleet {
        &self.0.parts.fleet
    }

    /// Returns all metrics in the text format of Prometheus.
    ///
    /// # Errors
    /// When they cannot be written.
    pub fn metrics_text(&self) -> Result<Vec<u8>, prometheus::Error> {
        let gates = self.0.parts.gates.iter();
        let certificates = self.edge().certificates.as_ref();
        if let Some(validity) = certificates.and_then(|certificates| certificates.validity()) {
            self.metrics().certificate_ends(validity.ends);
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

    /// Says that the gateway's own certificate is not valid yet, has ended or is about to, and whether no client takes it now.
    pub(crate) fn certificate_warning(&self) -> Option<(String, bool)> {
        let certificates = self.edge().certificates.as_ref()?;
        let now = self.now();
        let refused = certificates
            .validity()
            .is_some_and(|validity| !validity.holds(now));
        Some((certificates.warning(now)?, refused))
    }

    /// Returns what must run beside the requests, for as long as they are served: keys and certificates are kept fresh.
    pub(crate) fn background(&self) -> Vec<BoxFuture<'static, ()>> {
        let mut tasks: Vec<BoxFuture<'static, ()>> = Vec::new();
        if let Access::Jwt(verifier) = self.access() {
            let (keys, app) = (Arc::clone(verifier.keys()), self.clone());
            tasks.push(Box::pin(async move {
                keys.keep_fresh(|ok| app.metrics().key_refresh(ok)).await;
            }));
        }
        if let Some(certificates) = &self.edge().certificates {
            let (certificates, clock) = (Arc::clone(certificates), Arc::clone(&self.0.parts.clock));
            tasks.push(Box::pin(
                async move { certificates.keep_fresh(&*clock).await },
            ));
        }
        tasks
    }

    /// Notes that no more connections are accepted, so that nobody sends more requests here.
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

    pub(crate) fn edge(&self) -> &Edge {
        &self.0.parts.edge
    }

    pub(crate) fn access(&self) -> &Access {
        &self.0.parts.access
    }

    pub(crate) fn cache(&self) -> &CacheConfig {
        &self.0.parts.cache
    }

    /// Runs vendor calls on this runtime, away from the threads that serve connections: what a vendor sends may take a while to read.
    pub(crate) fn call_vendors_on(&self, runtime: Handle) {
        self.0.store.run_on(runtime);
    }

    /// Does work that calls a vendor where vendors are called. It ends when its caller goes away.
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

    pub(crate) fn store(&self) -> &ResponseCache<Rendered> {
        &self.0.store
    }

    pub(crate) fn hits(&self) -> &Hits {
        &self.0.hits
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

    pub(crate) fn deadline(&self) -> Instant {
        after(self.monotonic(), self.request_timeout())
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

/// Builds the router: the API, its document, Swagger UI, and the two health paths.
pub(crate) fn router(app: App) -> Router {
    let (api, openapi) = routes::api().split_for_parts();
    let openapi = document::finish(openapi, app.edge().public_url.as_deref());
    let text = document::to_text(&openapi);
    let open = matches!(app.access(), Access::Disabled);
    let pages = Router::new()
        .merge(swagger_ui::router(open))
        .route(
            "/openapi.json",
            get(|| async move {
                let page = Extension(PagePath("/openapi.json"));
                (page, [(CONTENT_TYPE, "application/json")], text)
            }),
        )
        // The answers of the API are packed where they are kept.
        .layer(middleware::from_fn_with_state(
            app.clone(),
            shared_bodies::serve,
        ));
    let routes = Router::new()
        .merge(api)
        .merge(pages)
        .route(
            "/healthz",
            get(|| async { axum::Json(serde_json::json!({"status": "ok"})) }),
        )
        .route("/readyz", get(readyz))
        .fallback(|| async {
            Failure::new(Code::NotFound, "no such path; see /docs").into_response()
        });
    finished(routes, app)
}

/// Puts what stands around every handler around the routes.
fn finished(routes: Router<App>, app: App) -> Router {
    routes
        .layer(CatchPanicLayer::custom(edge::panicked))
        .layer(middleware::from_fn_with_state(app.clone(), edge::limit))
        .layer(tower::util::option_layer(cors(&app)))
        .layer(middleware::from_fn_with_state(app.clone(), edge::wrap))
        // Made whole here, once, and not for each connection, which takes 200 KB each.
        .with_state(app)
}

/// Says whether requests should be sent here. Vendors do not decide it: another process would ask the same ones.
async fn readyz(State(app): State<App>) -> Result<Response, Failure> {
    app.ready()?;
    let mut counts = serde_json::json!({"ok": 0, "degraded": 0, "down": 0, "unknown": 0});
    for member in app.fleet().members() {
        let count = &mut counts[member.health().state.as_str()];
        *count = (count.as_u64().unwrap_or_default() + 1).into();
    }
    let body = serde_json::json!({"status": "ready", "providers": counts});
    Ok(axum::Json(body).into_response())
}

/// Lets web pages of the configured origins call; without any, browsers let none.
fn cors(app: &App) -> Option<CorsLayer> {
    let origins = &app.edge().cors_origins;
    (!origins.is_empty()).then(|| {
        CorsLayer::new()
            .allow_origin(AllowOrigin::list(origins.iter().cloned()))
            .allow_methods([Method::GET, Method::HEAD, Method::POST])
            .allow_headers(headers::allowed())
            .expose_headers(headers::exposed())
            .max_age(PREFLIGHT_AGE)
    })
}

/// How long browsers may remember what a page may send. Most of them take no longer time than two hours.
const PREFLIGHT_AGE: Duration = Duration::from_secs(7200);

#[cfg(test)]
mod tests {
    use super::finished;
    use crate::config::Config;
    use axum::Router;
    use axum::body::Body;
    use axum::extract::Request;
    use axum::routing::get;
    use http_body_util::BodyExt as _;
    use tower::ServiceExt as _;

    #[tokio::test]
    async fn a_panic_becomes_a_problem_and_the_next_request_is_answered() {
        let secret = (
            "OTA_GATEWAY__AUTH__HS256_SECRET",
            "0123456789abcdef0123456789abcdef",
        );
        let environment = [(secret.0.to_owned(), secret.1.to_owned())];
        let config = Config::load(None, environment).unwrap();
        let app = crate::assembly::app(&config).unwrap();
        let routes = Router::new()
            .route(
                "/panic",
                get(async || -> &'static str { panic!("{}", "told to") }),
            )
            .route("/well", get(async || "well"));
        let router = finished(routes, app);
        for _ in 0..2 {
            let request = Request::get("/panic").body(Body::empty()).unwrap();
            let response = router.clone().oneshot(request).await.unwrap();
            assert_eq!(response.status(), 500);
            assert_eq!(
                response.headers()["content-type"],
                "application/problem+json"
            );
            let id = response.headers()["x-request-id"].clone();
            let body = response.into_body().collect().await.unwrap().to_bytes();
            let problem: serde_json::Value = serde_json::from_slice(&body).unwrap();
            assert_eq!(problem["code"], "internal");
            assert_eq!(problem["request_id"], id.to_str().unwrap());
            assert!(!problem.to_string().contains("told to"));
        }
        let request = Request::get("/well").body(Body::empty()).unwrap();
        let response = router.oneshot(request).await.unwrap();
        assert_eq!(response.status(), 200);
    }
}
