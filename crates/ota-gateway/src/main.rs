//! The gateway's program.

use std::ffi::OsString;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};
use ota_gateway::commands::{self, Failed};
use ota_gateway::log::Output;

/// One read-only REST API over the firmware-update services of several IoT clouds.
///
/// Exit codes: 0 success, 1 failure, 2 wrong arguments, 78 wrong configuration.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// The configuration file (TOML); environment variables OTA_GATEWAY__SECTION__KEY override it
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
    Check(commands::check::Options),
    /// Print the OpenAPI document
    Openapi,
    /// Look at the mirror's database
    #[command(subcommand)]
    Mirror(commands::mirror::Command),
    /// Print a token signed with the configured HS256 secret
    Token(commands::token::Options),
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let Ok(output) = Output::to_stderr() else {
        // Without a thread or a file descriptor, neither serving nor logging is possible.
        return ExitCode::FAILURE;
    };
    let _ending = output.ending();
    match run(arguments, &output) {
        Ok(code) => code,
        Err(failed) => {
            output.print(&failed.to_string());
            ExitCode::from(failed.exit_code())
        }
    }
}

fn run(arguments: Arguments, output: &Output) -> Result<ExitCode, Failed> {
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
        Command::Mirror(command) => {
            let config = commands::load(path)?;
            output.install(&config.log);
            let (text, all_ok) = on_runtime(commands::mirror::run(&config, command))??;
            show(&text);
            return Ok(exit_code(all_ok));
        }
        Command::Check(options) => {
            let config = commands::load(path)?;
            output.install(&config.log);
            let (table, all_ok) = on_runtime(commands::check::run(&config, &options))??;
            show(&table);
            return Ok(exit_code(all_ok));
        }
        Command::Serve => {
            let config = commands::load(path)?;
            output.install(&config.log);
            on_runtime(commands::serve::run(config, output.dropped()))??;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn exit_code(all_ok: bool) -> ExitCode {
    match all_ok {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}

/// Prints to standard output. An error because the reader closed it is ignored.
fn show(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

/// How long shutdown waits for tasks that still run on the runtime, such as a DNS lookup.
const LAST_TASKS: Duration = Duration::from_secs(1);

fn on_runtime<F: Future>(future: F) -> Result<F::Output, Failed> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failed::Other(format!("cannot start threads: {error}")))?;
    let result = runtime.block_on(future);
    // Dropping it would wait for blocking calls without a time limit, and calls of the system's resolver can take arbitrarily long.
    runtime.shutdown_timeout(LAST_TASKS);
    Ok(result)
}
