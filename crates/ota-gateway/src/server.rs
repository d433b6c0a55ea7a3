//! Putting an application together, and serving it.

mod connections;
mod socket;
mod tls;

use std::sync::Arc;

use axum::Router;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use ota_core::clock::{Clock, SystemClock};
use ota_core::random::{BufferedRandom, Random};
use tokio::net::TcpListener;

pub use connections::{serve, serve_on_threads};
pub(crate) use socket::BodyWatch;
pub(crate) use tls::Certificates;

use crate::app::{App, Edge, Parts};
use crate::auth::{Access, Verifier};
use crate::config::{AuthConfig, Config, ConfigError, ServerConfig};
use crate::metrics;
use crate::providers::{self, Providers, Shared};
use crate::rate_limit::RateLimiter;
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
    let telemetry = Arc::new(Telemetry::new(&config.telemetry, &random)?);
    let shared = Shared::new(clock, random).with_telemetry(telemetry);
    let Providers { fleet, gates } = providers::build(config, &shared)?;
    let access = access(&config.auth);
    Ok(App::new(Parts {
        fleet,
        gates,
        access,
        cache: config.cache.clone(),
        metrics: shared.metrics,
        clock: shared.clock,
        random: shared.random,
        request_timeout: config.server.request_timeout,
        edge: edge(&config.server)?,
        telemetry: shared.telemetry,
    }))
}

fn edge(server: &ServerConfig) -> Result<Edge, ConfigError> {
    Ok(Edge {
        limits: server.limits.clone(),
        certificates: server.tls.clone().map(Certificates::new).transpose()?,
        cors_origins: server.cors_origins.clone(),
        rate_limiter: server.rate_limit.map(RateLimiter::new),
        public_url: server.public_url.clone(),
    })
}

fn access(auth: &AuthConfig) -> Access {
    match auth.keys() {
        None => Access::Disabled,
        Some(keys) => Access::Jwt(Box::new(Verifier::new(Arc::clone(keys), &auth.rules()))),
    }
}

/// Answers `GET /metrics` on a listener of its own, until the future is dropped. No token is asked for: who may connect is decided by the
/// address.
///
/// # Errors
/// When the listener fails.
pub async fn serve_metrics(listener: TcpListener, app: App) -> std::io::Result<()> {
    let metrics = get(move || async move { metrics_response(&app) });
    let router = Router::new()
        .route("/metrics", metrics)
        .fallback(|| async { (StatusCode::NOT_FOUND, "metrics are at /metrics\n") });
    axum::serve(listener, router).await
}

fn metrics_response(app: &App) -> Response {
    match app.metrics_text() {
        Ok(text) => ([(CONTENT_TYPE, metrics::CONTENT_TYPE)], text).into_response(),
        Err(error) => {
            tracing::error!("metrics cannot be written: {error}");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}
