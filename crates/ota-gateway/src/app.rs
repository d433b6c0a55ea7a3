//! What every handler shares, and the router.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::http::header::CONTENT_TYPE;
use axum::middleware;
use axum::response::IntoResponse;
use axum::routing::get;
use ota_core::clock::Clock;
use ota_core::random::Random;
use ota_fleet::{Fleet, Member};
use time::OffsetDateTime;
use tower_http::CompressionLevel;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::compression::CompressionLayer;

use crate::auth::{Access, Caller};
use crate::problem::{Code, Failure};
use crate::{document, edge, routes};

/// What every handler shares. Clones are cheap.
#[derive(Clone, Debug)]
pub struct App(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    fleet: Fleet,
    access: Access,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
    request_timeout: Duration,
}

impl App {
    /// Puts the parts together.
    #[must_use]
    pub fn new(
        fleet: Fleet,
        access: Access,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
        request_timeout: Duration,
    ) -> Self {
        Self(Arc::new(Inner {
            fleet,
            access,
            clock,
            random,
            request_timeout,
        }))
    }

    /// Returns the providers.
    #[must_use]
    pub fn fleet(&self) -> &Fleet {
        &self.0.fleet
    }

    pub(crate) fn access(&self) -> &Access {
        &self.0.access
    }

    pub(crate) fn random(&self) -> &dyn Random {
        &*self.0.random
    }

    pub(crate) fn now(&self) -> OffsetDateTime {
        self.0.clock.now()
    }

    pub(crate) fn monotonic(&self) -> Instant {
        self.0.clock.monotonic()
    }

    pub(crate) fn request_timeout(&self) -> Duration {
        self.0.request_timeout
    }

    pub(crate) fn deadline(&self) -> Instant {
        self.monotonic() + self.0.request_timeout
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

/// Builds the router: the API, its document, Swagger UI, and the two health paths.
pub fn router(app: App) -> Router {
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
    Router::new()
        .merge(api)
        .merge(swagger)
        .route(
            "/openapi.json",
            get(|| async move { ([(CONTENT_TYPE, "application/json")], text) }),
        )
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
        // The higher levels cost many times the time of the vendor call for a few percent less.
        .layer(CompressionLayer::new().quality(CompressionLevel::Fastest))
        .layer(middleware::from_fn_with_state(app.clone(), edge::wrap))
        .with_state(app)
}
