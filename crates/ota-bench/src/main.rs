#![doc = include_str!("../README.md")]

mod bare;
mod cached;
mod cluster;
mod delayed_link;
mod faults;
mod gateway;
mod hostile;
mod load;
mod memory;
mod mirror;
mod nginx;
mod overload;
mod polling;
mod process_guard;
mod processor;
mod quota;
mod report;
mod scenario;
mod soak;
mod uncached;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand, ValueEnum};
use tokio::signal::unix::{SignalKind, signal};

use crate::report::Report;
use crate::scenario::{Failure, Outcome, Setting};

/// Measures the gateway side by side with what it is compared to.
#[derive(Parser)]
struct Arguments {
    /// The gateway's program, built with optimization
    #[arg(long, global = true, default_value = "target/release/ota-gateway")]
    gateway: PathBuf,
    /// Only this scenario; all by default
    #[arg(long, global = true)]
    only: Option<Scenario>,
    /// Shorter and less exact
    #[arg(long, global = true)]
    quick: bool,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Serve a constant from a bare axum route: what `cached` is compared to
    Bare {
        /// Where to listen
        #[arg(long)]
        listen: SocketAddr,
        /// The file with the constant
        #[arg(long)]
        body: PathBuf,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Scenario {
    Quota,
    Overload,
    Polling,
    Cached,
    Uncached,
    Memory,
    Hostile,
    Faults,
    Mirror,
    Cluster,
    /// Ten minutes; only when it is asked for
    Soak,
}

#[tokio::main]
async fn main() -> ExitCode {
    // Whoever was installed first stays; both sides of a comparison use it.
    let _installed_before = rustls::crypto::ring::default_provider().install_default();
    let arguments = Arguments::parse();
    if let Some(Command::Bare { listen, body }) = arguments.command {
        return match bare::serve(listen, &body).await {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => fail(&*error),
        };
    }
    let setting = Setting {
        gateway: arguments.gateway,
        quick: arguments.quick,
    };
    let mut report = Report::new(!setting.quick);
    let ended = tokio::select! {
        ended = run(arguments.only, &setting, &mut report) => ended,
        // What runs is dropped here, and ends what it has started.
        interrupted = interrupted() => Err(interrupted),
    };
    match ended {
        Ok(()) => {
            println!("{}", report.closing());
            ExitCode::SUCCESS
        }
        Err(error) => fail(&*error),
    }
}

/// Waits for Ctrl-C, or for a request to end.
async fn interrupted() -> Failure {
    let signals = (
        signal(SignalKind::interrupt()),
        signal(SignalKind::terminate()),
    );
    match signals {
        (Ok(mut interrupt), Ok(mut terminate)) => {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            "interrupted".into()
        }
        (Err(error), _) | (_, Err(error)) => error.into(),
    }
}

fn fail(error: &(dyn std::error::Error + Send + Sync)) -> ExitCode {
    eprintln!("{error}");
    ExitCode::FAILURE
}

async fn run(only: Option<Scenario>, setting: &Setting, report: &mut Report) -> Outcome<()> {
    report.begin();
    let wanted = |scenario| only.is_none_or(|only| only == scenario);
    if wanted(Scenario::Quota) {
        quota::run(setting, report).await?;
    }
    if wanted(Scenario::Overload) {
        overload::run(setting, report).await?;
    }
    if wanted(Scenario::Polling) {
        polling::run(setting, report).await?;
    }
    if wanted(Scenario::Cached) {
        cached::run(setting, report).await?;
    }
    if wanted(Scenario::Uncached) {
        uncached::run(setting, report).await?;
    }
    if wanted(Scenario::Memory) {
        memory::run(setting, report).await?;
    }
    if wanted(Scenario::Hostile) {
        hostile::run(setting, report).await?;
    }
    if wanted(Scenario::Faults) {
        faults::run(setting, report).await?;
    }
    if wanted(Scenario::Mirror) {
        mirror::run(setting, report).await?;
    }
    if wanted(Scenario::Cluster) {
        cluster::run(setting, report).await?;
    }
    if only == Some(Scenario::Soak) {
        soak::run(setting, report).await?;
    }
    Ok(())
}
