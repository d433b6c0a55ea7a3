//! Runs one vendor simulator, or checks the health of a running one.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream, ToSocketAddrs};
use std::process::ExitCode;
use std::time::Duration;

use clap::{ArgMatches, Args, Command, CommandFactory, FromArgMatches, Parser, Subcommand};
use ota_sim::{Fault, FleetShape, QuotaSetting, SIMULATORS, Server, Setup, Simulator};

/// Simulators of vendor clouds. All default credentials are for demonstration only: no vendor knows them.
#[derive(Parser)]
#[command(name = "ota-sim", version)]
struct Arguments {
    #[command(subcommand)]
    command: Other,
}

/// Commands other than simulators. Those of the simulators come from the registry.
#[derive(Subcommand)]
enum Other {
    /// Sends one GET and ends with 0 if the answer is 200, with 1 otherwise.
    Healthcheck {
        /// Plain HTTP URL, for example of `/_sim/health`.
        #[arg(long, default_value = "http://127.0.0.1:9001/_sim/health")]
        url: String,
    },
}

/// The arguments of every simulator.
#[derive(Args)]
struct Common {
    /// Address to listen on; port 0 takes a free one.
    #[arg(long)]
    listen: Option<SocketAddr>,
    /// Source of everything random: the same seed shows the same fleet.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Serve this many similar jobs instead of the demo fleet.
    #[arg(long)]
    jobs: Option<u32>,
    /// Number of tasks of each similar job.
    #[arg(long)]
    tasks_per_job: Option<u32>,
    /// Serve one job with this many tasks instead of the demo fleet.
    #[arg(long, conflicts_with_all = ["jobs", "tasks_per_job"])]
    huge: Option<u32>,
    /// The fleet does not change with time.
    #[arg(long)]
    frozen: bool,
    /// Number of calls admitted per window.
    #[arg(long)]
    quota: Option<u32>,
    /// Length of the window in milliseconds.
    #[arg(long)]
    window_ms: Option<u64>,
    /// Admit any number of calls.
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

    fn quota(&self) -> QuotaSetting {
        match (self.no_quota, self.quota, self.window_ms) {
            (true, ..) => QuotaSetting::Unlimited,
            (false, None, None) => QuotaSetting::Documented,
            (false, calls, window_ms) => QuotaSetting::Changed {
                calls,
                window: window_ms.map(Duration::from_millis),
            },
        }
    }

    fn setup(self, simulator: &Simulator) -> Setup {
        let usual = SocketAddr::from((Ipv4Addr::LOCALHOST, simulator.port));
        Setup {
            listen: self.listen.unwrap_or(usual),
            seed: self.seed,
            fleet: self.fleet(),
            quota: self.quota(),
            clock_offset: time::Duration::milliseconds(self.clock_offset_ms),
            faults: self.faults.map_or_else(Vec::new, |FaultList(list)| list),
            ..Setup::default()
        }
    }
}

/// The whole command line: a subcommand for each simulator of the registry.
fn command() -> Command {
    let simulators = SIMULATORS.iter().map(|one| {
        let about = format!(
            "Simulates {}. Listens on 127.0.0.1:{} unless configured otherwise",
            one.title, one.port
        );
        Common::augment_args((one.arguments)(Command::new(one.name))).about(about)
    });
    Arguments::command().subcommands(simulators)
}

#[tokio::main]
async fn main() -> ExitCode {
    let served = run(&command().get_matches()).await;
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _nobody_listens = writeln!(io::stderr(), "ota-sim: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(matches: &ArgMatches) -> io::Result<()> {
    if let Some((name, matches)) = matches.subcommand()
        && let Some(simulator) = ota_sim::simulator(name)
    {
        return serve(simulator, matches).await;
    }
    match Other::from_arg_matches(matches).map_err(invalid)? {
        Other::Healthcheck { url } => check(&url),
    }
}

fn invalid(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, error)
}

async fn serve(simulator: &Simulator, matches: &ArgMatches) -> io::Result<()> {
    let setup = Common::from_arg_matches(matches)
        .map_err(invalid)?
        .setup(simulator);
    // Signals are caught before the address is printed, so that the reader of the address can stop the process cleanly.
    let ended = end_signal()?;
    let server: Server = (simulator.start)(setup, matches).await?;
    let name = simulator.name;
    writeln!(io::stdout(), "ota-sim {name} listens on {}", server.url())?;
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
