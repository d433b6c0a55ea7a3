//! The gateway as operators run it: a process with a configuration file.

use std::ffi::OsStr;
use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use ota_auth::{ClaimNames, TokenIssuer};
use ota_core::clock::{Clock, SystemClock};
use ota_http::Secret;
use ota_sim::{FleetShape, QuotaSetting, SIMULATORS, Server, Setup, Simulator};
use tempfile::TempDir;
use tokio::process::Command;

use crate::process_guard::{End, ProcessGuard};
use crate::scenario::{Outcome, Setting};

const SECRET: &str = "benchmark-secret-of-32-bytes-or-more";
const ISSUER: &str = "https://id.bench.example";
const AUDIENCE: &str = "ota-bench";

/// The settings of a section for what a scenario does without: background reads would be among the calls that it counts.
const OFF: &str = "enabled = false";

/// The name of the provider in the scenarios that need one only.
pub(crate) const PROVIDER: &str = "vendor";

/// The simulator in the scenarios that need one only: the first of the registry, so that figures of versions can be compared.
pub(crate) fn simulator() -> Outcome<&'static Simulator> {
    let first = SIMULATORS.first().copied();
    first.ok_or_else(|| "there is no simulator".into())
}

/// Starts the simulator in the scenarios that need one only.
pub(crate) async fn simulated(fleet: FleetShape, quota: QuotaSetting) -> Outcome<Server> {
    let setup = Setup {
        fleet,
        quota,
        ..Setup::default()
    };
    Ok(simulator()?.start(setup).await?)
}

/// The section of the configuration for the simulator in the scenarios that need one only.
pub(crate) fn one_section(url: &str, limits: &str) -> Outcome<String> {
    Ok(section(simulator()?, PROVIDER, url, limits))
}

/// A section of the configuration for a simulator.
pub(crate) fn section(simulator: &Simulator, name: &str, url: &str, limits: &str) -> String {
    let settings = simulator.account.section(name, url);
    format!("{settings}[providers.{name}.limits]\n{limits}\n")
}

/// A running gateway; ends when dropped.
#[derive(Debug)]
pub(crate) struct Gateway {
    program: ProcessGuard,
    address: SocketAddr,
    /// From starting the process to its first answer.
    pub(crate) started_in: Duration,
    folder: TempDir,
}

/// Returns an address that was free a moment ago.
pub(crate) fn free_address() -> Outcome<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}

impl Gateway {
    /// Starts the program with these sections, without a mirror, and waits for its first answer. What it logs goes to a file.
    pub(crate) async fn start(setting: &Setting, sections: &str) -> Outcome<Self> {
        Self::launch(setting, free_address()?, OFF, OFF, sections).await
    }

    /// As [`Gateway::start`], with a mirror: these are the settings of its section.
    pub(crate) async fn start_with_mirror(
        setting: &Setting,
        mirror: &str,
        sections: &str,
    ) -> Outcome<Self> {
        Self::start_at(setting, free_address()?, mirror, sections).await
    }

    /// As [`Gateway::start_with_mirror`], at an address at which others may know it.
    pub(crate) async fn start_at(
        setting: &Setting,
        address: SocketAddr,
        mirror: &str,
        sections: &str,
    ) -> Outcome<Self> {
        Self::launch(setting, address, OFF, mirror, sections).await
    }

    /// As [`Gateway::start`], with its metrics at an address.
    pub(crate) async fn start_with_metrics(
        setting: &Setting,
        metrics: SocketAddr,
        sections: &str,
    ) -> Outcome<Self> {
        let metrics = format!("listen = \"{metrics}\"");
        Self::launch(setting, free_address()?, &metrics, OFF, sections).await
    }

    async fn launch(
        setting: &Setting,
        address: SocketAddr,
        metrics: &str,
        mirror: &str,
        sections: &str,
    ) -> Outcome<Self> {
        let folder = TempDir::new()?;
        let path = folder.path().join("gateway.toml");
        let text = format!(
            "[server]\nlisten = \"{address}\"\n[auth]\nissuer = \"{ISSUER}\"\naudience = \"{AUDIENCE}\"\nhs256_secret = \"{SECRET}\"\n\
             [metrics]\n{metrics}\n[mirror]\n{mirror}\n[cluster]\nadvertise_url = \"http://{address}\"\n{sections}"
        );
        std::fs::write(&path, text)?;
        let log = std::fs::File::create(folder.path().join("log"))?;
        let begin = SystemClock.monotonic();
        let arguments = [OsStr::new("--config"), path.as_os_str()];
        let program =
            ProcessGuard::start(&setting.gateway, arguments, log.into(), End::Kill).await?;
        let client = client()?;
        let url = format!("http://{address}/healthz");
        while client.get(&url).send().await.is_err() {
            if begin.elapsed() > Duration::from_secs(10) {
                let log = std::fs::read_to_string(folder.path().join("log"))?;
                return Err(format!("the gateway does not start: {log}").into());
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        Ok(Self {
            program,
            address,
            started_in: begin.elapsed(),
            folder,
        })
    }

    /// Returns a URL of the API.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}/v1/providers/{path}", self.address)
    }

    /// Returns the value of `Authorization` for a caller who may do everything.
    pub(crate) fn authorization(&self) -> Outcome<String> {
        let mint = TokenIssuer {
            secret: &Secret::new(SECRET),
            issuer: Some(ISSUER),
            audience: Some(AUDIENCE),
            subject: "bench",
            scope: "ota:read ota:admin",
            providers: None,
            ttl_s: 3600,
            names: &ClaimNames::default(),
        };
        let token = mint.token(SystemClock.now())?;
        Ok(format!("Bearer {token}"))
    }

    /// Returns the resident memory in bytes, where the system tells it.
    pub(crate) fn resident_bytes(&self) -> Option<f64> {
        self.bytes("VmRSS:")
    }

    /// Returns the most resident memory that it has ever had, in bytes, where the system tells it.
    pub(crate) fn peak_bytes(&self) -> Option<f64> {
        self.bytes("VmHWM:")
    }

    fn bytes(&self, name: &str) -> Option<f64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process())).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        let kibibytes: f64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
        Some(kibibytes * 1024.0)
    }

    /// Returns where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Sends it a signal by its name, such as `STOP`. Whatever that was, it ends when it is dropped.
    pub(crate) async fn signal(&self, name: &str) -> Outcome<()> {
        let mut kill = Command::new("kill");
        let sent = kill.args(["-s", name, &self.process().to_string()]);
        match sent.status().await?.success() {
            true => Ok(()),
            false => Err(format!("the gateway got no {name}").into()),
        }
    }

    /// Returns the process.
    pub(crate) fn process(&self) -> u32 {
        self.program.process()
    }

    /// Returns the folder of this gateway, for files of the scenario.
    pub(crate) fn folder(&self) -> &std::path::Path {
        self.folder.path()
    }
}

/// Returns an HTTP client that keeps its connections.
pub(crate) fn client() -> Outcome<reqwest::Client> {
    Ok(reqwest::Client::builder()
        .no_proxy()
        .pool_max_idle_per_host(256)
        .tcp_nodelay(true)
        .build()?)
}
