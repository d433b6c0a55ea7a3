//! What every handler shares, and the router.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body, Bytes, HttpBody};
use axum::extract::Request;
use axum::http::header::CONTENT_TYPE;
use axum::middleware;
use axum::response::{IntoResponse, Response};
use axum::routing::future::RouteFuture;
use axum::routing::get;
use futures_util::future::Either;
use ota_core::clock::Clock;
use ota_core::context::Moment;
use ota_core::id::ProviderName;
use ota_core::random::Random;
use ota_fleet::{Fleet, FreshStore, Member};
use ota_guard::Guard;
use time::OffsetDateTime;
use tower::Service as _;
use tower_http::CompressionLevel;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::compression::CompressionLayer;

use crate::auth::{Access, Caller};
use crate::config::CacheConfig;
use crate::hits::Hits;
use crate::metrics::Metrics;
use crate::problem::{Code, Failure};
use crate::rendered::Rendered;
use crate::{document, edge, routes};

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
}

#[derive(Debug)]
struct Inner {
    parts: Parts,
    store: FreshStore<Rendered>,
    hits: Hits,
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
            .max(cache.min_age);
        let store = FreshStore::new(cache.max_bytes, longest, Arc::clone(&parts.clock));
        Self(Arc::new(Inner {
            parts,
            store,
            hits: Hits::default(),
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
        self.metrics().text(
            gates.map(|(name, gate)| (name, &**gate)),
            self.store().usage(),
        )
    }

    pub(crate) fn access(&self) -> &Access {
        &self.0.parts.access
    }

    pub(crate) fn cache(&self) -> &CacheConfig {
        &self.0.parts.cache
    }

    pub(crate) fn store(&self) -> &FreshStore<Rendered> {
        &self.0.store
    }

    pub(crate) fn hits(&self) -> &Hits {
        &self.0.hits
    }

    pub(crate) fn metrics(&self) -> &Metrics {
        &self.0.parts.metrics
    }

    pub(crate) fn random(&self) -> &dyn Random {
        &*self.0.parts.random
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
        self.monotonic() + self.request_timeout()
    }

    /// Returns a provider that the caller may know about.
    pub(crate) fn provider(&self, caller: &Caller, name: &str) -> Result<&Member, Failure> {
        self.fleet()
            .member(name)
            .filter(|_| caller.sees(name))
            .ok_or_else(|| Failure {
                field: Some("provider".to_owned()),
                ..Failure::new(
                    Code::NotFound,
                    "there is no provider of this name; see /v1/providers",
                )
            })
    }
}

/// Everything that is served: kept answers by the short way, the rest by the router. Clones are cheap.
#[derive(Clone, Debug)]
pub struct Service {
    app: App,
    router: Router,
}

/// Builds what is served.
#[must_use]
pub fn service(app: App) -> Service {
    Service {
        router: router(app.clone()),
        app,
    }
}

impl Service {
    /// Answers one request.
    pub(crate) fn call<B>(
        &self,
        request: Request<B>,
    ) -> Either<Ready<Result<Response, Infallible>>, RouteFuture<Infallible>>
    where
        B: HttpBody<Data = Bytes> + Send + 'static,
        B::Error: Into<axum::BoxError>,
    {
        match self.app.hits().answer(&self.app, &request) {
            Some(response) => Either::Left(ready(Ok(response))),
            // The router takes itself as changeable and changes nothing.
            None => Either::Right(self.router.clone().call(request.map(Body::new))),
        }
    }
}

/// Builds the router: the API, its document, Swagger UI, and the two health paths.
fn router(app: App) -> Router {
    let (api, openapi) = routes::api().split_for_parts();
    let openapi = document::finish(openapi);
    let text = document::to_text(&openapi);
    let swagger = utoipa_swagger_ui::SwaggerUi::new("/docs").config(
        utoipa_swagger_ui::Config::from("/openapi.json")
            .persist_authorization(true)
            .display_request_duration(true)
            .display_operation_id(true)
            .try_it_out_enabled(true),
    );
    let pages = Router::new()
        .merge(swagger)
        .route(
            "/openapi.json",
            get(|| async move { ([(CONTENT_TYPE, "application/json")], text) }),
        )
        // The answers of the API are packed where they are kept.
        .layer(CompressionLayer::new().quality(CompressionLevel::Fastest));
    Router::new()
        .merge(api)
        .merge(pages)
        .route(
            "/healthz",
            get(|| async { axum::Json(serde_json::json!({"status": "ok"})) }),
        )
        .route(
            "/readyz",
            get(|| async { axum::Json(serde_json::json!({"status": "ready"})) }),
        )
        .fallback(|| async {
            Failure::new(Code::NotFound, "there is nothing at this path; see /docs").into_response()
        })
        .layer(CatchPanicLayer::custom(edge::panicked))
        .layer(middleware::from_fn_with_state(app.clone(), edge::wrap))
        // Made whole here, once, and not for each connection, which takes 200 KB each.
        .with_state(app)
}
