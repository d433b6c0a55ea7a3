//! Starts the sandbox and prints how to use it.

use std::io::Write as _;
use std::net::SocketAddr;
use std::process::ExitCode;

use clap::Parser;
use ota_gateway::config::{BUFFER_BYTES, LogConfig, LogFormat};
use ota_gateway::log::Output;
use ota_sandbox::{Options, Sandbox, SandboxError};
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::filter::{LevelFilter, Targets};

/// The gateway and a simulator of every vendor in one process, on loopback only.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// The address of the gateway; port 0 takes a free one
    #[arg(long, default_value = "127.0.0.1:8080", value_parser = loopback)]
    listen: SocketAddr,
    /// The address of the metrics; another port is taken where this one is not free
    #[arg(long, default_value = "127.0.0.1:9464", value_parser = loopback)]
    metrics: SocketAddr,
    /// A web page of this origin may call, for instance http://localhost:3000; may be given several times. `localhost` and `127.0.0.1` are two origins
    #[arg(long, value_name = "ORIGIN", value_parser = origin)]
    cors_origin: Vec<String>,
}

/// Reads the origin of a page. Browsers show it with a slash at its end.
fn origin(text: &str) -> Result<String, String> {
    let origin = text.strip_suffix('/').unwrap_or(text);
    if origin == "null" {
        return Err(
            "a page that is opened as a file has no origin; serve its folder (python3 -m http.server 3000) and give http://localhost:3000".to_owned(),
        );
    }
    // The variable that takes them to the gateway separates them by commas.
    if origin.contains(',') {
        return Err("give each origin an option of its own".to_owned());
    }
    match ota_gateway::config::cors_origin(origin) {
        Some(_) => Ok(origin.to_owned()),
        None => {
            Err("give scheme, host and port of the page, such as http://localhost:3000".to_owned())
        }
    }
}

fn loopback(text: &str) -> Result<SocketAddr, String> {
    let address: SocketAddr = text
        .parse()
        .map_err(|_| "give an address and port such as 127.0.0.1:8080".to_owned())?;
    match address.ip().is_loopback() {
        true => Ok(address),
        false => Err("the sandbox listens on a loopback address only".to_owned()),
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let Ok(output) = Output::to_stderr() else {
        return ExitCode::FAILURE;
    };
    let _ending = output.ending();
    output.install(&LogConfig {
        warnings: Vec::new(),
        format: LogFormat::Text,
        filter: Targets::new().with_default(LevelFilter::WARN),
        buffer_bytes: BUFFER_BYTES,
    });
    match run(arguments).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            output.print(&error.to_string());
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: Arguments) -> Result<(), SandboxError> {
    // From the beginning on: one that comes during the start ends the sandbox after it, and its folder is removed.
    let signals = (
        signal(SignalKind::interrupt()),
        signal(SignalKind::terminate()),
    );
    let sandbox = Sandbox::start(Options {
        listen: arguments.listen,
        metrics: arguments.metrics,
        cors_origins: arguments.cors_origin,
    })
    .await?;
    let stop = async move {
        match signals {
            (Ok(mut interrupt), Ok(mut terminate)) => {
                tokio::select! {
                    _ = interrupt.recv() => {}
                    _ = terminate.recv() => {}
                }
            }
            // Without signals the process ends the hard way, which loses nothing here.
            _ => std::future::pending().await,
        }
    };
    // A closed pipe must not end the sandbox.
    let _ = writeln!(std::io::stdout(), "{}", sandbox.greeting());
    let _ = std::io::stdout().flush();
    sandbox.serve(stop).await
}
