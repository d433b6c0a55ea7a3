//! A gateway of its own for each test: configured by a real file, listening on a free port.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use ota_core::clock::{Clock, SystemClock};
use ota_core::id::ProviderName;
use ota_core::random::SystemRandom;
use ota_gateway::config::Config;
use ota_gateway::forward::{Holders, Standing};
use ota_gateway::{assembly, listeners};
use ota_store::OpenError;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::contract;
use crate::token::{AUDIENCE, ISSUER, SECRET, minted};
use crate::vendors::{ACCESS_KEY_SECRET, APP_SECRET, SECURITY_TOKEN, Section};
use crate::wire::{self, Reply};

/// Everything before the providers: HS256 access, nothing kept between requests, no second listener.
#[must_use]
pub fn head() -> String {
    format!(
        "[server]\nlisten = \"127.0.0.1:0\"\n\
         [auth]\nissuer = \"{ISSUER}\"\naudience = \"{AUDIENCE}\"\nhs256_secret = \"{SECRET}\"\n\
         [cache]\nmax_age_s = 0\nmin_age_s = 0\nstats_max_age_s = 0\nstale_if_error_s = 0\nerror_age_s = 0\n\
         [metrics]\nenabled = false\n"
    )
}

/// What stands before the providers when answers are kept as by default, and metrics are served.
#[must_use]
pub fn keeping_head() -> String {
    format!(
        "[server]\nlisten = \"127.0.0.1:0\"\n\
         [auth]\nissuer = \"{ISSUER}\"\naudience = \"{AUDIENCE}\"\nhs256_secret = \"{SECRET}\"\n\
         [metrics]\nlisten = \"127.0.0.1:0\"\n"
    )
}

/// Stands in a configuration for the folder of its gateway, which is removed with it.
pub const FOLDER: &str = "{folder}";

/// Returns the environment that switches the mirror off where a configuration says nothing of it: its reads in the background would be vendor calls that
/// tests count.
fn without_mirror(text: &str) -> Option<(String, String)> {
    let switch = ("OTA_GATEWAY__MIRROR__ENABLED", "false");
    (!text.contains("[mirror]")).then(|| (switch.0.to_owned(), switch.1.to_owned()))
}

/// Which gateway holds the vendor accounts, as a test says.
#[derive(Debug)]
pub struct PlantedStanding(Mutex<Standing>);

impl PlantedStanding {
    /// The gateway is not the holder; the holder is reached at `address`, if there is one.
    #[must_use]
    pub fn not_holder(address: Option<String>) -> Arc<Self> {
        Arc::new(Self(Mutex::new(Standing::NotHolder { address })))
    }

    /// Changes it.
    pub fn set(&self, standing: Standing) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = standing;
    }
}

impl Holders for PlantedStanding {
    fn standing(&self, _provider: &ProviderName) -> Standing {
        let standing = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        standing.clone()
    }
}

/// A running gateway. Dropping it ends it.
#[derive(Debug)]
pub struct Gateway {
    address: SocketAddr,
    metrics: Option<(SocketAddr, JoinHandle<std::io::Result<()>>)>,
    stop: Option<oneshot::Sender<()>>,
    serving: JoinHandle<std::io::Result<()>>,
    _folder: TempDir,
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.serving.abort();
        if let Some((_, metrics)) = &self.metrics {
            metrics.abort();
        }
    }
}

impl Gateway {
    /// Starts a gateway for these providers.
    ///
    /// # Panics
    /// When it does not start.
    pub async fn start(providers: &[Section]) -> Self {
        let mut text = head();
        for provider in providers {
            text.push_str(&provider.to_toml());
        }
        Self::with_file(&text).await
    }

    /// Starts a gateway for a whole configuration file.
    ///
    /// # Panics
    /// When it does not start.
    pub async fn with_file(text: &str) -> Self {
        Self::on_clock(text, Arc::new(SystemClock)).await
    }

    /// Starts a gateway that keeps answers as by default and serves metrics.
    ///
    /// # Panics
    /// When it does not start.
    pub async fn keeping(providers: &[Section], clock: Arc<dyn Clock>) -> Self {
        let mut text = keeping_head();
        for provider in providers {
            text.push_str(&provider.to_toml());
        }
        Self::on_clock(&text, clock).await
    }

    /// Starts a gateway for a whole configuration file, on a clock.
    ///
    /// # Panics
    /// When it does not start.
    pub async fn on_clock(text: &str, clock: Arc<dyn Clock>) -> Self {
        Self::among(text, clock, None).await
    }

    /// Starts a gateway for a whole configuration file, on a clock, as one of several: `holders` says which of them holds a vendor account.
    ///
    /// # Panics
    /// When it does not start.
    pub async fn among(
        text: &str,
        clock: Arc<dyn Clock>,
        holders: Option<Arc<dyn Holders>>,
    ) -> Self {
        let folder = TempDir::new().expect("a folder can be made");
        let path = folder.path().join("gateway.toml");
        let text = &text.replace(FOLDER, &folder.path().display().to_string());
        std::fs::write(&path, text).expect("a file can be written");
        let config =
            Config::load(Some(&path), without_mirror(text)).expect("the configuration is valid");
        let app = assembly::app_among(&config, clock, Arc::new(SystemRandom), holders)
            .expect("the providers can be built");
        if let Err(OpenError::Refused(text)) = app.mirror().open().await {
            panic!("the database of the mirror cannot be opened: {text}");
        }
        let metrics = match config.metrics.enabled {
            true => {
                let listener = TcpListener::bind(config.metrics.listen)
                    .await
                    .expect("a port is free");
                let address = listener.local_addr().expect("listener has an address");
                let serving = tokio::spawn(listeners::serve_metrics(listener, app.clone()));
                Some((address, serving))
            }
            false => None,
        };
        let listener = TcpListener::bind(config.server.listen)
            .await
            .expect("a port is free");
        let address = listener.local_addr().expect("listener has an address");
        let (stop, stopped) = oneshot::channel::<()>();
        let serving = tokio::spawn(listeners::serve(listener, app, async {
            let _stopped_or_dropped = stopped.await;
        }));
        Self {
            address,
            metrics,
            stop: Some(stop),
            serving,
            _folder: folder,
        }
    }

    /// Returns where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns where metrics are served.
    ///
    /// # Panics
    /// When they are not.
    #[must_use]
    pub fn metrics_address(&self) -> SocketAddr {
        self.metrics.as_ref().expect("metrics are served").0
    }

    /// Returns the metrics as Prometheus reads them.
    ///
    /// # Panics
    /// When the gateway serves none.
    pub async fn metrics(&self) -> String {
        let address = self.metrics_address();
        let headers = [("Host".to_owned(), address.to_string())];
        let request = wire::request("GET", "/metrics", &headers, b"");
        let reply = wire::exchange(address, &request).await;
        carries_no_secret(&reply);
        assert_eq!(reply.status, 200, "{}", reply.shown());
        assert!(reply.must("content-type").starts_with("text/plain"));
        reply.text()
    }

    /// Returns the value of one sample, 0 when it is not there. `sample` is name and labels as they are written.
    ///
    /// # Panics
    /// As [`Gateway::metrics`].
    pub async fn metric(&self, sample: &str) -> f64 {
        let text = self.metrics().await;
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix(sample)?.strip_prefix(' '));
        line.map_or(0.0, |value| value.parse().expect("a sample is a number"))
    }

    /// Lets requests in flight finish and ends.
    ///
    /// # Panics
    /// When it fails or does not end.
    pub async fn stop(mut self) {
        drop(self.stop.take());
        tokio::time::timeout(wire::PATIENCE, &mut self.serving)
            .await
            .expect("gateway ends in time")
            .expect("gateway does not panic")
            .expect("gateway ends well");
    }

    /// Begins a request with a token that may do everything.
    #[must_use]
    pub fn ask(&self, method: &str, target: &str) -> Ask {
        Ask {
            address: self.address,
            method: method.to_owned(),
            target: target.to_owned(),
            headers: vec![("Host".to_owned(), self.address.to_string())],
            body: Vec::new(),
            token: Some(minted("ota:read ota:admin", None)),
        }
    }

    /// Sends a GET with a token that may do everything.
    pub async fn get(&self, target: &str) -> Reply {
        self.ask("GET", target).send().await
    }
}

/// A request under construction.
#[derive(Clone, Debug)]
pub struct Ask {
    address: SocketAddr,
    method: String,
    target: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    token: Option<String>,
}

impl Ask {
    /// Adds a header; `Host` replaces the right one.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        if name.eq_ignore_ascii_case("host") {
            self.headers.remove(0);
        }
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Sends this token.
    #[must_use]
    pub fn token(mut self, token: &str) -> Self {
        self.token = Some(token.to_owned());
        self
    }

    /// Sends no token.
    #[must_use]
    pub fn anonymous(mut self) -> Self {
        self.token = None;
        self
    }

    /// Sends a body.
    #[must_use]
    pub fn body(mut self, body: &[u8]) -> Self {
        self.body = body.to_vec();
        self
    }

    /// Sends the request. Every answer is held against the OpenAPI document, and searched for secrets.
    ///
    /// # Panics
    /// When the answer is not one that the document allows, or carries a secret.
    pub async fn send(mut self) -> Reply {
        if let Some(token) = &self.token {
            self.headers
                .push(("Authorization".to_owned(), format!("Bearer {token}")));
        }
        let bytes = wire::request(&self.method, &self.target, &self.headers, &self.body);
        let reply = wire::exchange(self.address, &bytes).await;
        carries_no_secret(&reply);
        if let Some(token) = &self.token {
            let shown = token.len() >= 20 && reply.text().contains(token.as_str());
            assert!(!shown, "the answer shows the caller's token");
        }
        contract::check(&self.method, &self.target, &reply);
        reply
    }
}

/// Searches an answer for every secret of the tests and for the marks of signed requests.
///
/// # Panics
/// When one is there.
pub fn carries_no_secret(reply: &Reply) {
    let mut all = reply.text();
    for (name, value) in &reply.headers {
        all.push_str(&format!("\n{name}: {value}"));
    }
    let secrets = [SECRET, ACCESS_KEY_SECRET, SECURITY_TOKEN, APP_SECRET];
    let marks = [
        "Signature=",
        "ACS3-HMAC-SHA256",
        "SignatureNonce",
        "string to sign is",
    ];
    for hidden in secrets.iter().chain(&marks) {
        assert!(!all.contains(hidden), "the answer shows `{hidden}`");
        // Percent-encoded, as it is in URLs and strings to sign.
        let encoded = hidden
            .replace('/', "%2F")
            .replace('+', "%2B")
            .replace('=', "%3D");
        assert!(
            encoded == **hidden || !all.contains(&encoded),
            "the answer shows `{encoded}`"
        );
    }
}
