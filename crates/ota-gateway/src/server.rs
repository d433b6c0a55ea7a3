//! Listening and answering, until told to stop.

use std::sync::Arc;
use std::time::Duration;

use axum::serve::ListenerExt as _;
use ota_core::clock::{Clock, SystemClock};
use ota_core::random::{Random, SystemRandom};
use tokio::net::TcpListener;
use tokio::sync::oneshot;

use crate::app::{App, router};
use crate::auth::{Access, Verifier};
use crate::config::{AuthConfig, AuthMode, Config, ConfigError};
use crate::providers::{self, Shared};

/// Builds the application that a configuration describes, on the machine's clock and randomness.
///
/// # Errors
/// Says what is wrong with the configuration.
pub fn app(config: &Config) -> Result<App, ConfigError> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let random: Arc<dyn Random> = Arc::new(SystemRandom);
    let shared = Shared::new(Arc::clone(&clock), Arc::clone(&random));
    let fleet = providers::fleet(config, &shared)?;
    Ok(App::new(
        fleet,
        access(&config.auth)?,
        clock,
        random,
        config.server.request_timeout,
    ))
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
