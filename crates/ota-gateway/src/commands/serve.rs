//! `ota-gateway serve`

use ota_store::OpenError;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use super::Failed;
use crate::assembly;
use crate::config::{AuthMode, Config, ConfigError};
use crate::listeners::{self, Api};
use crate::log::DroppedLines;
use crate::state::App;

/// Serves until SIGTERM or SIGINT.
///
/// # Errors
/// When the configuration cannot be used or the address cannot be listened on.
pub async fn run(mut config: Config, dropped_lines: DroppedLines) -> Result<(), Failed> {
    open_file_limit(&mut config);
    let app = assembly::app(&config)?;
    app.watch_log(dropped_lines);
    open_mirror(&app, &config).await?;
    let names: Vec<String> = app
        .fleet()
        .members()
        .map(|member| member.provider().name().to_string())
        .collect();
    let failed = |what: &str, error: std::io::Error| Failed::Other(format!("{what}: {error}"));
    let listener = TcpListener::bind(config.server.listen)
        .await
        .map_err(|error| failed(&format!("cannot listen on {}", config.server.listen), error))?;
    let address = listener
        .local_addr()
        .map_err(|error| failed("the listener has no address", error))?;
    let metrics = match config.metrics.enabled {
        true => Some(
            TcpListener::bind(config.metrics.listen)
                .await
                .map_err(|error| {
                    let what = format!(
                        "cannot listen on {} for metrics (set `metrics.listen` to another address, or `metrics.enabled = false`)",
                        config.metrics.listen
                    );
                    failed(&what, error)
                })?,
        ),
        false => None,
    };
    let mut terminate = signal(SignalKind::terminate())
        .map_err(|error| failed("cannot wait for SIGTERM", error))?;
    let mut interrupt =
        signal(SignalKind::interrupt()).map_err(|error| failed("cannot wait for SIGINT", error))?;
    // SIGHUP changes nothing, and must not end the process either.
    let mut hangup =
        signal(SignalKind::hangup()).map_err(|error| failed("cannot wait for SIGHUP", error))?;
    if names.is_empty() {
        tracing::warn!("no providers are configured");
    }
    if let Some((warning, _)) = app.certificate_warning() {
        tracing::warn!("{warning}");
    }
    for warning in config.warnings.iter().chain(&config.auth.warnings) {
        tracing::warn!("{warning}");
    }
    for warning in ota_http::environment::warnings() {
        tracing::warn!("{warning}");
    }
    if matches!(config.auth.mode, AuthMode::Disabled) {
        tracing::warn!("access control is disabled: every program on this machine may call");
    }
    let scheme = match config.server.tls {
        Some(_) => "https",
        None => "http",
    };
    tracing::info!(%address, providers = names.join(","), "listening on {scheme}://{address}, Swagger UI at {scheme}://{address}/docs/");
    let stop = async move {
        loop {
            tokio::select! {
                _ = terminate.recv() => break,
                _ = interrupt.recv() => break,
                _ = hangup.recv() => tracing::info!(
                    "SIGHUP changes nothing: files of secrets, keys and certificates are read again automatically, the configuration needs a restart"
                ),
            }
        }
        tracing::info!("stopping: requests in flight are finished");
    };
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    // Before the metrics: connections there must not take the file descriptors that the threads need.
    let api = Api::start(app.clone(), threads)
        .map_err(|error| failed("no thread can be started", error))?;
    let metrics = metrics.map(|listener| {
        if let Ok(address) = listener.local_addr() {
            tracing::info!(%address, "metrics on http://{address}/metrics");
        }
        tokio::spawn(listeners::serve_metrics(listener, app.clone()))
    });
    let served = api.serve(listener, stop).await;
    // Metrics can be read until the last request is answered.
    if let Some(metrics) = metrics {
        metrics.abort();
    }
    served.map_err(|error| failed("the listener failed", error))
}

/// Opens the database of the mirror. While its server is away the gateway starts all the same; the mirror comes when the database does.
async fn open_mirror(app: &App, config: &Config) -> Result<(), ConfigError> {
    match app.mirror().open().await {
        Ok(()) => Ok(()),
        Err(OpenError::Away(text)) => {
            tracing::warn!("the mirror's database is away, and is tried again: {text}");
            if config.mirror.is_shared() {
                tracing::warn!(
                    "until this gateway reaches it, live reads are made without a lease: gateways that do so at the same time can exceed the quota of a vendor account together"
                );
            }
            Ok(())
        }
        Err(OpenError::Refused(text) | OpenError::Behind(text)) => {
            Err(config.mirror_refused(&text))
        }
    }
}

/// Descriptors beside those of connections: vendor calls, files, listeners.
const OTHER_FILES: usize = 200;

/// Raises the number of files that the process may open as far as it is allowed to: the usual 1024 are fewer than the connections that it takes. Where
/// that is not enough, fewer connections are accepted, so that descriptors remain for vendor calls and files.
fn open_file_limit(config: &mut Config) {
    let beside = OTHER_FILES + config.metrics.max_connections;
    let connections = config.server.limits.max_connections;
    let needed = connections + beside;
    let most = rlimit::increase_nofile_limit(needed as u64).unwrap_or_default();
    let most = usize::try_from(most).unwrap_or(usize::MAX);
    if most < needed {
        let fewer = most.saturating_sub(beside).max(1);
        config.server.lower_connections(fewer);
        tracing::warn!(
            "the process may open {most} files, and {connections} connections need {needed}, so it takes {fewer} connections at most; raise its limit (`ulimit -n`, LimitNOFILE=) or lower server.max_connections"
        );
    }
}
