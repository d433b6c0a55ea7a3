//! Listening and answering, until told to stop.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::serve::ListenerExt as _;
use ota_core::clock::{Clock, SystemClock};
use ota_core::random::{Random, SystemRandom};
use tokio::net::TcpListener;
use tokio::sync::oneshot;

use crate::app::{App, Parts, router};
use crate::auth::{Access, Verifier};
use crate::config::{AuthConfig, AuthMode, Config, ConfigError};
use crate::metrics;
use crate::providers::{self, Providers, Shared};

/// Builds the application that a configuration describes, on the machine's clock and randomness.
///
/// # Errors
/// Says what is wrong with the configuration.
pub fn app(config: &Config) -> Result<App, ConfigError> {
    app_on(config, Arc::new(SystemClock), Arc::new(SystemRandom))
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
    let shared = Shared::new(clock, random);
    let Providers { fleet, gates } = providers::build(config, &shared)?;
    let access = access(&config.auth)?;
    Ok(App::new(Parts {
        fleet,
        gates,
        access,
        cache: config.cache.clone(),
        metrics: shared.metrics,
        clock: shared.clock,
        random: shared.random,
        request_timeout: config.server.request_timeout,
    }))
}

fn access(auth: &AuthConfig) -> Result<Access, ConfigError> {
    match &auth.mode {
        AuthMode::Disabled => Ok(Access::Disabled),
        AuthMode::Hs256(source) => {
            let secret = source
                .read()
                .map_err(|error| ConfigError::new(error.to_string()))?;
            Ok(Access::Jwt(Box::new(Verifier::hs256(
                &secret,
                auth.issuer.as_deref(),
                auth.audience.as_deref(),
                auth.requires_audience,
            ))))
        }
    }
}

/// How much longer than a request may take the gateway waits for requests under way once it was told to stop.
const DRAIN_MARGIN: Duration = Duration::from_secs(1);

/// Answers requests until `stop` comes; requests under way are finished, for as long as a request may take.
///
/// # Errors
/// When the listener fails.
pub async fn serve(
    listener: TcpListener,
    app: App,
    stop: impl Future<Output = ()> + Send + 'static,
) -> std::io::Result<()> {
    let drain = app.request_timeout() + DRAIN_MARGIN;
    let (stopping, stopped) = oneshot::channel::<()>();
    // Small answers must not wait for the next segment.
    let listener = listener.tap_io(|stream| {
        let _ = stream.set_nodelay(true);
    });
    let server = axum::serve(listener, router(app)).with_graceful_shutdown(async move {
        stop.await;
        let _ = stopping.send(());
    });
    let drained = async {
        match stopped.await {
            Ok(()) => tokio::time::sleep(drain).await,
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        result = server => result,
        () = drained => {
            tracing::warn!("requests were still under way after {} s and were cut off", drain.as_secs());
            Ok(())
        }
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
