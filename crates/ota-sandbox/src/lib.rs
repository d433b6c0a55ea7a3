#![doc = include_str!("../README.md")]

mod folder;

use std::net::SocketAddr;

use ota_auth::TokenIssuer;
use ota_core::clock::{Clock, SystemClock};
use ota_core::random::{Random, SystemRandom};
use ota_gateway::config::{AuthMode, Config};
use ota_gateway::{assembly, listeners};
use ota_sim::{SIMULATORS, Server, Setup, Simulator};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tokio::net::TcpListener;

use crate::folder::Folder;

/// How long the printed token lives, in seconds: a working day and the evening.
const TOKEN_TTL_S: u64 = 24 * 3600;

/// What cannot be started, for the person who tries it.
#[derive(Debug)]
pub struct SandboxError(String);

impl std::fmt::Display for SandboxError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for SandboxError {}

fn failed(what: &str) -> impl FnOnce(&dyn std::fmt::Display) -> SandboxError {
    move |error| SandboxError(format!("{what}: {error}"))
}

/// How a sandbox is started.
#[derive(Clone, Debug)]
pub struct Options {
    /// The address of the gateway.
    pub listen: SocketAddr,
    /// The address of the metrics. Where it is taken, another port serves them.
    pub metrics: SocketAddr,
    /// The web pages of other origins that may call.
    pub cors_origins: Vec<String>,
}

/// A running sandbox. Dropping it stops the simulators.
#[derive(Debug)]
pub struct Sandbox {
    address: SocketAddr,
    token: String,
    listener: TcpListener,
    metrics: TcpListener,
    app: ota_gateway::state::App,
    simulators: Vec<(&'static Simulator, Server)>,
    /// A job with failed tasks at each vendor, with the name of the provider.
    jobs: Vec<(&'static str, String)>,
    cors_origins: Vec<String>,
    /// The name of a device of the fleet of the first vendor.
    device: Option<String>,
    /// A week before the start, as the API takes it.
    week_ago: String,
    /// Holds the database of the mirror, and is removed with it.
    folder: Folder,
}

impl Sandbox {
    /// Starts the simulators and opens the gateway's ports.
    ///
    /// # Errors
    /// When a port cannot be opened, or an origin is none.
    pub async fn start(options: Options) -> Result<Self, SandboxError> {
        let Options {
            listen,
            metrics,
            cors_origins,
        } = options;
        let mut simulators = Vec::new();
        for one in SIMULATORS {
            // The simulators keep the vendors' real quotas; the gateway is what stays inside them.
            let server = one.start(Setup::default()).await.map_err(|error| {
                let what = format!("the simulator of {} cannot start", one.title);
                failed(&what)(&error)
            })?;
            simulators.push((*one, server));
        }
        let device = simulators.first().and_then(|(_, server)| device_of(server));
        let jobs = simulators
            .iter()
            .filter_map(|(one, server)| Some((one.account.provider, job_with_failures(server)?)))
            .collect();

        let listener = TcpListener::bind(listen).await.map_err(|error| {
            let what = format!(
                "cannot listen on {listen} (for another port: cargo run -p ota-sandbox -- --listen 127.0.0.1:8081)"
            );
            failed(&what)(&error)
        })?;
        let address = listener
            .local_addr()
            .map_err(|error| failed("the listener has no address")(&error))?;
        let metrics = metrics_listener(metrics).await?;
        let secret = format!("{}{}", nonce()?, nonce()?);
        let folder = Folder::make()
            .map_err(|error| failed("no folder can be made for the database")(&error))?;
        let database = folder.path().join("mirror.db");
        let mut settings = settings(address, &secret, &cors_origins, &simulators);
        settings.push((
            "OTA_GATEWAY__MIRROR__DATABASE_URL".to_owned(),
            format!("sqlite:{}", database.display()),
        ));
        let config = Config::load(None, settings)
            .map_err(|error| failed("the sandbox cannot be configured")(&error))?;
        let app =
            assembly::app(&config).map_err(|error| failed("the gateway cannot start")(&error))?;
        let opened = app.mirror().open().await;
        opened.map_err(|error| failed("the database cannot be opened")(&error))?;
        let token = token(&config)?;
        Ok(Self {
            address,
            token,
            listener,
            metrics,
            app,
            simulators,
            jobs,
            cors_origins,
            device,
            week_ago: week_before(SystemClock.now())?,
            folder,
        })
    }

    /// Returns the gateway's base URL.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Returns a token with all scopes.
    #[must_use]
    pub fn token(&self) -> &str {
        &self.token
    }

    /// Returns the line that gives the token a name in a shell.
    #[must_use]
    pub fn token_line(&self) -> String {
        format!("TOKEN={}", self.token)
    }

    /// Returns the lines to paste into a shell after that of the token: what each shows, and the command.
    #[must_use]
    pub fn curl_lines(&self) -> Vec<(String, String)> {
        // Answers end without a line end, and the next prompt would stand behind them.
        let line = |path: &str| {
            format!(
                "curl -sS -w '\\n' -H \"Authorization: Bearer $TOKEN\" '{}{path}'",
                self.url()
            )
        };
        let mut lines = Vec::new();
        for (one, _) in &self.simulators {
            let provider = one.account.provider;
            lines.push((
                format!("jobs at {}", one.title),
                line(&format!("/v1/providers/{provider}/jobs?page_size=3")),
            ));
        }
        if let Some((name, job)) = self.jobs.first() {
            let path = format!("/v1/providers/{name}/jobs/{job}");
            lines.push((
                "failed tasks of one job".to_owned(),
                line(&format!("{path}/tasks?status=failed&page_size=3")),
            ));
            lines.push(("its statistics".to_owned(), line(&format!("{path}/stats"))));
        }
        let about_all = self.fleet_questions().into_iter();
        lines.extend(about_all.map(|(what, path)| (format!("all vendors: {what}"), line(&path))));
        lines
    }

    /// Returns questions about all vendors: what each asks, and its path. They are answered from the mirror, which has everything some seconds after the start.
    fn fleet_questions(&self) -> Vec<(&'static str, String)> {
        let mut questions = vec![
            (
                "running jobs with their counts, newest first",
                "/v1/jobs?status=in_progress&page_size=3".to_owned(),
            ),
            (
                "failures by reason",
                "/v1/stats/tasks?status=failed&group_by=failure".to_owned(),
            ),
            (
                "tasks that have not moved for an hour",
                "/v1/tasks?stuck_for_s=3600&page_size=3".to_owned(),
            ),
            (
                "jobs of the last seven days",
                format!("/v1/jobs?created_after={}&page_size=3", self.week_ago),
            ),
        ];
        if let Some(device) = &self.device {
            let path = format!("/v1/tasks?device_name={device}");
            questions.push(("every task of one device", path));
        }
        questions
    }

    /// Returns what a newcomer reads.
    #[must_use]
    pub fn greeting(&self) -> String {
        let mut text = format!(
            "OTA Gateway sandbox: one API over simulated vendors. Ctrl-C ends it.\n\n  Swagger UI   {}/docs/\n",
            self.url()
        );
        if let Ok(address) = self.metrics.local_addr() {
            text.push_str(&format!("  metrics      http://{address}/metrics\n"));
        }
        for (one, server) in &self.simulators {
            text.push_str(&format!(
                "  {:<12} simulates {}, counters at {}/_sim/\n",
                one.account.provider,
                one.title,
                server.url()
            ));
        }
        let pages = match self.cors_origins.as_slice() {
            [] => "only those of the gateway; for others: --cors-origin http://localhost:3000"
                .to_owned(),
            origins => format!("those of the gateway and of {}", origins.join(", ")),
        };
        text.push_str(&format!("  web pages    {pages}\n"));
        // No quote in the text lines: some shells take one that is pasted for the beginning of a string.
        text.push_str(&format!(
            "\nPaste the following into another shell. In Swagger UI, press Authorize and paste the text after TOKEN=:\na token with the scopes ota:read and ota:admin, valid for a day or until the sandbox ends.\n\n{}\n",
            self.token_line()
        ));
        for (what, line) in self.curl_lines() {
            text.push_str(&format!("\n# {what}\n{line}\n"));
        }
        text
    }

    /// Answers requests until `stop` comes, then ends the simulators.
    ///
    /// # Errors
    /// When the gateway's listener fails.
    pub async fn serve(
        self,
        stop: impl Future<Output = ()> + Send + 'static,
    ) -> Result<(), SandboxError> {
        let metrics = tokio::spawn(listeners::serve_metrics(self.metrics, self.app.clone()));
        let result = listeners::serve(self.listener, self.app, stop).await;
        metrics.abort();
        for (_, server) in self.simulators {
            server.stop().await;
        }
        // What cannot be removed is in the system's folder for such files.
        let _ = self.folder.close();
        result.map_err(|error| failed("the listener failed")(&error))
    }
}

async fn metrics_listener(wanted: SocketAddr) -> Result<TcpListener, SandboxError> {
    if let Ok(listener) = TcpListener::bind(wanted).await {
        return Ok(listener);
    }
    TcpListener::bind(SocketAddr::new(wanted.ip(), 0))
        .await
        .map_err(|error| failed("no port is free for metrics")(&error))
}

fn job_with_failures(server: &Server) -> Option<String> {
    let jobs = server.fleet().jobs.into_iter();
    jobs.filter(|job| job.failed > 0)
        .max_by_key(|job| job.failed)
        .map(|job| job.id)
}

/// Returns the name of a device that can stand in a URL as it is.
fn device_of(server: &Server) -> Option<String> {
    let job = job_with_failures(server)?;
    let mut names = server.fleet().devices(&job).into_iter();
    let device = names.next()?.name;
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    device.bytes().all(plain).then_some(device)
}

fn week_before(now: OffsetDateTime) -> Result<String, SandboxError> {
    let moment = now
        .checked_sub(time::Duration::weeks(1))
        .and_then(|moment| moment.replace_nanosecond(0).ok())
        .ok_or_else(|| SandboxError("the clock of this machine is wrong".to_owned()))?;
    moment
        .format(&Rfc3339)
        .map_err(|error| failed("the time cannot be written")(&error))
}

fn nonce() -> Result<String, SandboxError> {
    SystemRandom
        .nonce()
        .map_err(|error| failed("no token can be made")(&error))
}

/// The environment of the gateway.
fn settings(
    listen: SocketAddr,
    secret: &str,
    cors_origins: &[String],
    simulators: &[(&Simulator, Server)],
) -> Vec<(String, String)> {
    let mut all = vec![
        ("SERVER__LISTEN".to_owned(), listen.to_string()),
        ("SERVER__CORS_ORIGINS".to_owned(), cors_origins.join(",")),
        (
            "AUTH__ISSUER".to_owned(),
            "https://sandbox.invalid".to_owned(),
        ),
        ("AUTH__HS256_SECRET".to_owned(), secret.to_owned()),
    ];
    for (one, server) in simulators {
        let provider = one.account.provider.replace('-', "_");
        for (key, value) in one.account.settings_at(&server.url()) {
            let key = key.replace('.', "__");
            let name = format!("PROVIDERS__{provider}__{key}").to_ascii_uppercase();
            all.push((name, value));
        }
    }
    all.into_iter()
        .map(|(name, value)| (format!("OTA_GATEWAY__{name}"), value))
        .collect()
}

fn token(config: &Config) -> Result<String, SandboxError> {
    let AuthMode::Hs256(source, _) = &config.auth.mode else {
        return Err(SandboxError("the sandbox has access control".to_owned()));
    };
    let secret = source
        .read()
        .map_err(|error| failed("the secret cannot be read")(&error))?;
    let mint = TokenIssuer {
        secret: &secret,
        issuer: config.auth.issuer(),
        audience: config.auth.audience(),
        subject: "sandbox",
        scope: "ota:read ota:admin",
        providers: None,
        ttl_s: TOKEN_TTL_S,
        names: &config.auth.rules.names,
    };
    mint.token(SystemClock.now())
        .map_err(|error| failed("the token cannot be written")(&error))
}
