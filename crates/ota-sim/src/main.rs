//! Runs one vendor simulator, or asks a running one whether it is well.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use ota_sim::{Fault, FleetShape, Quota, Server, alibaba, huawei};

/// Simulators of vendor clouds. All default credentials are for demonstration only: no vendor knows them.
#[derive(Parser)]
#[command(name = "ota-sim", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Simulates Alibaba Cloud IoT, version 2018-01-20.
    Alibaba(AlibabaArguments),
    /// Simulates the classic northbound API of the Huawei IoT platform.
    Huawei(HuaweiArguments),
    /// Sends one GET and ends with 0 if the answer is 200, with 1 otherwise.
    Healthcheck {
        /// Plain HTTP URL, for example of `/_sim/health`.
        #[arg(long, default_value = "http://127.0.0.1:9001/_sim/health")]
        url: String,
    },
}

/// What both simulators have.
#[derive(Args)]
struct Common {
    /// Source of everything random: the same seed shows the same fleet.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Shows this many alike jobs instead of the demo fleet.
    #[arg(long)]
    jobs: Option<u32>,
    /// Tasks of each of the alike jobs.
    #[arg(long)]
    tasks_per_job: Option<u32>,
    /// Shows one job of this many tasks instead of the demo fleet.
    #[arg(long, conflicts_with_all = ["jobs", "tasks_per_job"])]
    huge: Option<u32>,
    /// The fleet does not move.
    #[arg(long)]
    frozen: bool,
    /// Calls admitted in a window.
    #[arg(long)]
    quota: Option<u32>,
    /// Length of the window in milliseconds.
    #[arg(long)]
    window_ms: Option<u64>,
    /// Admits any number of calls.
    #[arg(long, conflicts_with_all = ["quota", "window_ms"])]
    no_quota: bool,
    /// How many milliseconds the server's clock is ahead (negative: behind).
    #[arg(long, default_value_t = 0, allow_hyphen_values = true)]
    clock_offset_ms: i64,
    /// Faults from the start, a JSON list as for `PUT /_sim/faults`.
    #[arg(long, value_parser = parse_faults)]
    faults: Option<FaultList>,
}

#[derive(Clone)]
struct FaultList(Vec<Fault>);

fn parse_faults(text: &str) -> Result<FaultList, String> {
    serde_json::from_str(text)
        .map(FaultList)
        .map_err(|error| error.to_string())
}

impl Common {
    fn fleet(&self) -> FleetShape {
        let shape = match (self.huge, self.jobs, self.tasks_per_job) {
            (Some(tasks), ..) => FleetShape::huge(tasks),
            (None, None, None) => FleetShape::demo(),
            (None, jobs, tasks) => FleetShape::uniform(jobs.unwrap_or(20), tasks.unwrap_or(500)),
        };
        if self.frozen { shape.frozen() } else { shape }
    }

    fn quota(&self, default: Option<Quota>) -> Option<Quota> {
        if self.no_quota {
            return None;
        }
        default.map(|quota| Quota {
            calls: self.quota.unwrap_or(quota.calls),
            window: self.window_ms.map_or(quota.window, Duration::from_millis),
        })
    }

    fn faults(&self) -> Vec<Fault> {
        self.faults
            .as_ref()
            .map_or_else(Vec::new, |FaultList(faults)| faults.clone())
    }
}

#[derive(Clone, Copy, ValueEnum)]
enum ThrottleStatus {
    #[value(name = "400")]
    BadRequest,
    #[value(name = "429")]
    TooManyRequests,
    #[value(name = "503")]
    ServiceUnavailable,
}

#[derive(Args)]
struct AlibabaArguments {
    /// Address to listen on.
    #[arg(long, default_value = "127.0.0.1:9001")]
    listen: SocketAddr,
    /// The only access key id that is known.
    #[arg(long, default_value = alibaba::DEMO_ACCESS_KEY_ID)]
    access_key_id: String,
    /// Its secret.
    #[arg(long, default_value = alibaba::DEMO_ACCESS_KEY_SECRET)]
    access_key_secret: String,
    /// Makes the key a temporary one that needs this token.
    #[arg(long)]
    security_token: Option<String>,
    /// Makes this `IotInstanceId` mandatory; without it none may be sent.
    #[arg(long)]
    instance_id: Option<String>,
    /// HTTP status of `Throttling.User`.
    #[arg(long, value_enum, default_value = "400")]
    throttle_status: ThrottleStatus,
    /// Sends `x-acs-retry-after` with `Throttling.User`.
    #[arg(long)]
    retry_after_ms: Option<u64>,
    /// Spells the end state of jobs COMPLETE.
    #[arg(long)]
    complete_spelling: bool,
    /// Spells verification jobs `VERFIY_FIRMWARE`.
    #[arg(long)]
    verfiy_spelling: bool,
    /// Behaves like the oldest documents: no CONFIRM, no Timeout, no newer job fields.
    #[arg(long)]
    old_edition: bool,
    #[command(flatten)]
    common: Common,
}

impl AlibabaArguments {
    fn config(self) -> alibaba::Config {
        let defaults = alibaba::Config::default();
        alibaba::Config {
            listen: self.listen,
            seed: self.common.seed,
            fleet: self.common.fleet(),
            quota: self.common.quota(defaults.quota),
            clock_offset: time::Duration::milliseconds(self.common.clock_offset_ms),
            faults: self.common.faults(),
            access_key_id: self.access_key_id,
            access_key_secret: self.access_key_secret,
            security_token: self.security_token,
            instance_id: self.instance_id,
            throttle_style: alibaba::ThrottleStyle {
                status: match self.throttle_status {
                    ThrottleStatus::BadRequest => alibaba::ThrottleStatus::BadRequest,
                    ThrottleStatus::TooManyRequests => alibaba::ThrottleStatus::TooManyRequests,
                    ThrottleStatus::ServiceUnavailable => {
                        alibaba::ThrottleStatus::ServiceUnavailable
                    }
                },
                retry_after_ms: self.retry_after_ms,
            },
            complete_spelling: self.complete_spelling,
            verfiy_spelling: self.verfiy_spelling,
            old_edition: self.old_edition,
            ..defaults
        }
    }
}

#[derive(Args)]
struct HuaweiArguments {
    /// Address to listen on.
    #[arg(long, default_value = "127.0.0.1:9002")]
    listen: SocketAddr,
    /// The only application that is known.
    #[arg(long, default_value = huawei::DEMO_APP_ID)]
    app_id: String,
    /// Its secret.
    #[arg(long, default_value = huawei::DEMO_SECRET)]
    secret: String,
    /// Header that carries the application id.
    #[arg(long, default_value = "app_key")]
    app_key_header: String,
    /// Life of an access token in seconds.
    #[arg(long, default_value_t = 3600)]
    expires_in: u64,
    /// Prints `expiresIn` as a string.
    #[arg(long)]
    expires_in_as_string: bool,
    /// Calls the total of the task list `totalSize`.
    #[arg(long)]
    total_size: bool,
    /// Prints statuses in upper case, FAIL among them.
    #[arg(long)]
    uppercase_status: bool,
    /// Answers a call without `pageNo` with everything.
    #[arg(long)]
    unpaged_by_default: bool,
    /// Answers every call with all rows.
    #[arg(long)]
    ignore_paging: bool,
    /// Sends errors with HTTP 200.
    #[arg(long)]
    errors_with_200: bool,
    /// Adds `error_code: null` to good answers.
    #[arg(long)]
    null_error_code: bool,
    /// Leaves timeouts out of `staResult.fail`.
    #[arg(long)]
    timeout_beside_fail: bool,
    #[command(flatten)]
    common: Common,
}

impl HuaweiArguments {
    fn config(self) -> huawei::Config {
        let defaults = huawei::Config::default();
        huawei::Config {
            listen: self.listen,
            seed: self.common.seed,
            fleet: self.common.fleet(),
            quota: self.common.quota(defaults.quota),
            clock_offset: time::Duration::milliseconds(self.common.clock_offset_ms),
            faults: self.common.faults(),
            app_id: self.app_id,
            secret: self.secret,
            app_key_header: self.app_key_header,
            expires_in: Duration::from_secs(self.expires_in),
            expires_in_as_string: self.expires_in_as_string,
            total_name: if self.total_size {
                huawei::TotalName::TotalSize
            } else {
                huawei::TotalName::TotalCount
            },
            uppercase_status: self.uppercase_status,
            absent_page_no: if self.unpaged_by_default {
                huawei::AbsentPageNo::Unpaged
            } else {
                huawei::AbsentPageNo::ZeroDefault
            },
            ignore_paging: self.ignore_paging,
            errors_with_200: self.errors_with_200,
            null_error_code_on_success: self.null_error_code,
            timeout_in_fail: !self.timeout_beside_fail,
            ..defaults
        }
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    let served = match Arguments::parse().command {
        Command::Alibaba(arguments) => serve("alibaba", alibaba::start(arguments.config())).await,
        Command::Huawei(arguments) => serve("huawei", huawei::start(arguments.config())).await,
        Command::Healthcheck { url } => check(&url),
    };
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _nobody_listens = writeln!(io::stderr(), "ota-sim: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn serve(vendor: &str, starting: impl Future<Output = io::Result<Server>>) -> io::Result<()> {
    // Signals are caught before the address is printed, so that whoever reads it can stop the process cleanly.
    let ended = end_signal()?;
    let server = starting.await?;
    writeln!(io::stdout(), "ota-sim {vendor} listens on {}", server.url())?;
    ended.await;
    server.stop().await;
    Ok(())
}

/// Resolves on Ctrl-C or SIGTERM.
#[cfg(unix)]
fn end_signal() -> io::Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};

    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}

/// Resolves on Ctrl-C.
#[cfg(not(unix))]
fn end_signal() -> io::Result<impl Future<Output = ()>> {
    Ok(async {
        let _cannot_listen = tokio::signal::ctrl_c().await;
    })
}

/// One GET over plain HTTP, so that a container image needs no other program for its health check.
fn check(url: &str) -> io::Result<()> {
    const PATIENCE: Duration = Duration::from_secs(3);
    let invalid = |message| io::Error::new(io::ErrorKind::InvalidInput, message);
    let rest = url
        .strip_prefix("http://")
        .ok_or_else(|| invalid("the URL must start with http://"))?;
    let (authority, path) = rest
        .split_once('/')
        .map_or((rest, "/".to_owned()), |(authority, path)| {
            (authority, format!("/{path}"))
        });
    let with_port = if authority.contains(':') {
        authority.to_owned()
    } else {
        format!("{authority}:80")
    };
    let address = with_port
        .to_socket_addrs()?
        .next()
        .ok_or_else(|| invalid("the host has no address"))?;
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: {authority}\r\nConnection: close\r\n\r\n"
    )?;
    let mut status = [0; 12];
    stream.read_exact(&mut status)?;
    if status.ends_with(b" 200") {
        Ok(())
    } else {
        Err(io::Error::other(format!(
            "answered `{}`",
            String::from_utf8_lossy(&status)
        )))
    }
}
