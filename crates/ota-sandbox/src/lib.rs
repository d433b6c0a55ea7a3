#![doc = include_str!("../README.md")]

use std::net::SocketAddr;

use ota_core::clock::{Clock, SystemClock};
use ota_core::random::{Random, SystemRandom};
use ota_gateway::auth::Mint;
use ota_gateway::config::{AuthMode, Config};
use ota_gateway::{assembly, listeners};
use ota_sim::{Server, alibaba, huawei};
use tokio::net::TcpListener;

/// The provider names of the sandbox.
pub const ALIBABA: &str = "aliyun";
/// The provider names of the sandbox.
pub const HUAWEI: &str = "huawei";

/// How long the printed token lives, in seconds: a working day and the evening.
const TOKEN_TTL_S: u64 = 24 * 3600;

/// What cannot be started, in words for whoever tries it.
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
    simulators: Vec<(&'static str, &'static str, Server)>,
    /// A job with failed tasks at each vendor.
    jobs: Vec<(&'static str, String)>,
    cors_origins: Vec<String>,
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
        // The simulators keep the vendors' real quotas; the gateway is what stays inside them.
        let alibaba = alibaba::start(alibaba::Config::default())
            .await
            .map_err(|error| failed("the Alibaba simulator cannot start")(&error))?;
        let huawei = huawei::start(huawei::Config::default())
            .await
            .map_err(|error| failed("the Huawei simulator cannot start")(&error))?;
        let jobs = [(ALIBABA, &alibaba, "FAILED"), (HUAWEI, &huawei, "fail")]
            .into_iter()
            .filter_map(|(name, server, word)| Some((name, job_with_failures(server, word)?)))
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
        let config = Config::load(
            None,
            settings(
                address,
                &secret,
                &cors_origins,
                &alibaba.url(),
                &huawei.url(),
            ),
        )
        .map_err(|error| failed("the sandbox cannot be configured")(&error))?;
        let app =
            assembly::app(&config).map_err(|error| failed("the gateway cannot start")(&error))?;
        let token = token(&config)?;
        let simulators = vec![
            (ALIBABA, "Alibaba Cloud IoT", alibaba),
            (HUAWEI, "Huawei IoT northbound", huawei),
        ];
        Ok(Self {
            address,
            token,
            listener,
            metrics,
            app,
            simulators,
            jobs,
            cors_origins,
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
        for (name, vendor, _) in &self.simulators {
            lines.push((
                format!("jobs at {vendor}"),
                line(&format!("/v1/providers/{name}/jobs?page_size=3")),
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
        lines
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
        for (name, vendor, server) in &self.simulators {
            text.push_str(&format!(
                "  {name:<12} simulates {vendor}, counters at {}/_sim/\n",
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
        for (_, _, server) in self.simulators {
            server.stop().await;
        }
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

fn job_with_failures(server: &Server, word: &str) -> Option<String> {
    let failures = |job: &ota_sim::JobTruth| job.tasks.get(word).copied().unwrap_or(0);
    let jobs = server.fleet().jobs;
    jobs.iter()
        .filter(|job| failures(job) > 0)
        .max_by_key(|job| failures(job))
        .map(|job| job.id.clone())
}

fn nonce() -> Result<String, SandboxError> {
    SystemRandom
        .nonce()
        .map_err(|error| failed("no token can be made")(&error))
}

fn settings(
    listen: SocketAddr,
    secret: &str,
    cors_origins: &[String],
    alibaba: &str,
    huawei: &str,
) -> Vec<(String, String)> {
    [
        ("SERVER__LISTEN", listen.to_string().as_str()),
        ("SERVER__CORS_ORIGINS", cors_origins.join(",").as_str()),
        ("AUTH__ISSUER", "https://sandbox.invalid"),
        ("AUTH__HS256_SECRET", secret),
        ("PROVIDERS__ALIYUN__VENDOR", "alibaba-iot"),
        ("PROVIDERS__ALIYUN__REGION", "cn-shanghai"),
        ("PROVIDERS__ALIYUN__ENDPOINT", alibaba),
        (
            "PROVIDERS__ALIYUN__ACCESS_KEY_ID",
            alibaba::DEMO_ACCESS_KEY_ID,
        ),
        (
            "PROVIDERS__ALIYUN__ACCESS_KEY_SECRET",
            alibaba::DEMO_ACCESS_KEY_SECRET,
        ),
        ("PROVIDERS__HUAWEI__VENDOR", "huawei-iot"),
        ("PROVIDERS__HUAWEI__ENDPOINT", huawei),
        ("PROVIDERS__HUAWEI__APP_ID", huawei::DEMO_APP_ID),
        ("PROVIDERS__HUAWEI__SECRET", huawei::DEMO_SECRET),
    ]
    .map(|(key, value)| (format!("OTA_GATEWAY__{key}"), value.to_owned()))
    .into()
}

fn token(config: &Config) -> Result<String, SandboxError> {
    let AuthMode::Hs256(source, _) = &config.auth.mode else {
        return Err(SandboxError("the sandbox has access control".to_owned()));
    };
    let secret = source
        .read()
        .map_err(|error| failed("the secret cannot be read")(&error))?;
    let mint = Mint {
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
