//! The gateway's program.

use std::ffi::OsString;
use std::io::{IsTerminal as _, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use ota_gateway::commands::{self, Failed};
use ota_gateway::config::{LogConfig, LogFormat};
use ota_gateway::escape::OneLine;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{Layer as _, fmt};

/// One REST API over the firmware-update services of all IoT clouds.
///
/// Exit codes: 0 success, 1 failure, 2 wrong arguments, 78 wrong configuration.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// The configuration file (TOML); variables OTA_GATEWAY__SECTION__KEY go over it
    #[arg(long, global = true, env = "OTA_GATEWAY_CONFIG")]
    config: Option<OsString>,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Serve the API (the default)
    Serve,
    /// Check the configuration and call every provider once
    Check,
    /// Print the OpenAPI document
    Openapi,
    /// Print a token signed with the configured HS256 secret
    Token(commands::token::Options),
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(arguments) {
        Ok(code) => code,
        Err(failed) => {
            eprintln!("{failed}");
            ExitCode::from(failed.exit_code())
        }
    }
}

fn run(arguments: Arguments) -> Result<ExitCode, Failed> {
    // An empty variable is one that was not set.
    let path = arguments
        .config
        .filter(|path| !path.is_empty())
        .map(PathBuf::from);
    let path = path.as_deref();
    match arguments.command.unwrap_or(Command::Serve) {
        Command::Openapi => show(&commands::openapi::run()),
        Command::Token(options) => show(&format!(
            "{}
",
            commands::token::run(&commands::load(path)?, &options)?
        )),
        Command::Check => {
            let config = commands::load(path)?;
            log_to_stderr(&config.log);
            let (table, all_ok) = runtime()?.block_on(commands::check::run(&config))?;
            show(&table);
            return Ok(if all_ok {
                ExitCode::SUCCESS
            } else {
                ExitCode::FAILURE
            });
        }
        Command::Serve => {
            let config = commands::load(path)?;
            log_to_stderr(&config.log);
            runtime()?.block_on(commands::serve::run(config))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Prints to standard output. Whoever closed it has read enough.
fn show(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

fn runtime() -> Result<tokio::runtime::Runtime, Failed> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failed::Other(format!("cannot start threads: {error}")))
}

fn log_to_stderr(config: &LogConfig) {
    let layer = match config.format {
        LogFormat::Text => fmt::layer()
            .fmt_fields(OneLine)
            .with_ansi(std::io::stderr().is_terminal())
            .with_writer(std::io::stderr)
            .boxed(),
        LogFormat::Json => fmt::layer()
            .json()
            .flatten_event(true)
            .with_writer(std::io::stderr)
            .boxed(),
    };
    tracing_subscriber::registry()
        .with(layer.with_filter(config.filter.clone()))
        .init();
}
