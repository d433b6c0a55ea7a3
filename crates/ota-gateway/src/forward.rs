//! Passing live reads on to the gateway that holds the vendor account.
//!
//! Of the gateways that share a database only the holder of an account calls the vendor. The others pass a live read that they have not cached on to it,
//! with the caller's own token, and only once: a request that came from another gateway is marked, and is never passed on again. The token goes to no
//! address but the one that the table of leases names.

mod answer;
pub(crate) mod metrics;
mod problem;

use std::sync::Arc;
use std::time::Duration;

use axum::http::header::{AUTHORIZATION, CACHE_CONTROL};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, Uri};
pub use ota_cluster::Standing;
use ota_core::clock::Clock;
use ota_core::context::{Context, Moment};
use ota_core::id::ProviderName;
use ota_core::{Error, ErrorKind, Result};
use ota_http::tls::{KeyNames, TlsError};
use ota_http::{Client, Options, Request};
use ota_server::request_context::X_REQUEST_ID;

pub(crate) use answer::HolderAnswer;
pub(crate) use problem::HolderProblem;

use metrics::{ForwardMetrics, ForwardResult};
use problem::away;

/// Marks a request that another gateway has passed on. Such a request is answered here or not at all.
pub const OTA_FORWARDED: HeaderName = HeaderName::from_static("ota-forwarded");

/// How settings are called in advice about a connection to another gateway.
const TLS_KEYS: KeyNames = KeyNames {
    ca_file: "cluster.ca_file",
    client_cert_file: None,
    client_key_file: None,
    server_name: None,
    verify_hostname: None,
    endpoint: "cluster.advertise_url",
};

/// The largest answer of another gateway. A vendor's is at most 8 MiB; ours names every field of every row.
const MAX_BODY_BYTES: usize = 32 << 20;

/// How long connecting to another gateway may take. It is near, and a caller waits.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// Which of the gateways may call a vendor.
pub trait Holders: Send + Sync + std::fmt::Debug {
    /// Returns whether this gateway may call the vendor of a provider now, and which one may if not.
    fn standing(&self, provider: &ProviderName) -> Standing;
}

/// A request as it is passed on: what is read, and what the caller said about it. It holds the caller's token, which its debug output does not show.
#[derive(Clone, Debug)]
pub(crate) struct ForwardedRequest {
    uri: Uri,
    authorization: Option<HeaderValue>,
    cache_control: Vec<HeaderValue>,
}

impl ForwardedRequest {
    /// Takes what is passed on of a request.
    pub(crate) fn of(parts: &Parts) -> Self {
        let mut authorization = parts.headers.get(AUTHORIZATION).cloned();
        if let Some(token) = &mut authorization {
            token.set_sensitive(true);
        }
        let directives = parts.headers.get_all(CACHE_CONTROL).iter();
        Self {
            uri: parts.uri.clone(),
            authorization,
            cache_control: directives.cloned().collect(),
        }
    }

    /// Returns the URL at another gateway; none when no URL can name what is read.
    ///
    /// The library below removes segments of dots and takes a backslash for a slash, as browsers do, and would so read something else.
    fn url(&self, address: &str) -> Option<String> {
        let path = self.uri.path().replace('\\', "%5C");
        let is_dots = |segment: &str| {
            let segment = segment.to_ascii_lowercase().replace("%2e", ".");
            segment == "." || segment == ".."
        };
        if path.split('/').any(is_dots) {
            return None;
        }
        let query = self.uri.query();
        let query = query.map_or_else(String::new, |query| format!("?{query}"));
        Some(format!("{address}{path}{query}"))
    }

    fn headers(&self, request_id: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(OTA_FORWARDED, HeaderValue::from_static("1"));
        if let Ok(id) = HeaderValue::from_str(request_id) {
            headers.insert(X_REQUEST_ID, id);
        }
        if let Some(token) = &self.authorization {
            headers.insert(AUTHORIZATION, token.clone());
        }
        for directive in &self.cache_control {
            headers.append(CACHE_CONTROL, directive.clone());
        }
        headers
    }
}

/// Passes requests on to other gateways.
#[derive(Debug)]
pub struct Forwarder {
    holders: Arc<dyn Holders>,
    client: Client,
    clock: Arc<dyn Clock>,
    metrics: ForwardMetrics,
    /// How long before the caller's deadline the wait for another gateway ends.
    margin: Duration,
}

impl Forwarder {
    /// Creates it. `ca_pem` are the certificates that other gateways are trusted by, instead of the system's.
    ///
    /// # Errors
    /// When the certificates cannot be used.
    pub(crate) fn new(
        holders: Arc<dyn Holders>,
        ca_pem: Option<Vec<u8>>,
        clock: Arc<dyn Clock>,
        metrics: ForwardMetrics,
        request_timeout: Duration,
    ) -> Result<Self, TlsError> {
        let tls = ota_http::tls::TlsOptions {
            ca_pem,
            keys: TLS_KEYS,
            ..ota_http::tls::TlsOptions::default()
        };
        let client = Client::new(&Options {
            tls: Some(tls),
            max_body_bytes: MAX_BODY_BYTES,
            connect_timeout: CONNECT_TIMEOUT,
            // A proxy of the environment is for vendors; it must not see the tokens of callers.
            direct: true,
        })?;
        Ok(Self {
            holders,
            client,
            clock,
            metrics,
            margin: request_timeout / 20,
        })
    }

    /// Returns how a request about a provider is passed on; none where this gateway calls the vendor itself.
    pub(crate) fn elsewhere(
        self: &Arc<Self>,
        provider: &ProviderName,
        request: &ForwardedRequest,
    ) -> Option<Elsewhere> {
        match self.holders.standing(provider) {
            Standing::Holder | Standing::Undecided => None,
            Standing::NotHolder { address } => Some(Elsewhere {
                forwarder: Arc::clone(self),
                provider: provider.clone(),
                address,
                request: request.clone(),
            }),
        }
    }

    async fn exchange(
        &self,
        cx: &Context,
        address: Option<&str>,
        method: Method,
        request: &ForwardedRequest,
    ) -> Result<HolderAnswer> {
        let Some(address) = address else {
            return Err(away(
                "no gateway holds this vendor account at the moment; one takes it over within seconds",
            ));
        };
        let url = request.url(address).ok_or_else(|| {
            Error::new(
                ErrorKind::NotFound,
                "the vendor has nothing with this identifier",
            )
        })?;
        let mut forwarded = Request::new(method, url);
        forwarded.headers = request.headers(&cx.request_id);
        let sent = Moment::now(&*self.clock);
        let until = cx.deadline.checked_sub(self.margin);
        let exchange = async {
            let response = self.client.send(cx, forwarded).await;
            response.map_err(|error| away(NO_ANSWER).with_source(error))
        };
        let response = tokio::select! {
            biased;
            response = exchange => response,
            () = self.clock.sleep_until(until.unwrap_or(cx.deadline)) => Err(away(NO_ANSWER).with_context("cause", "the time of the request is over")),
        };
        let answer = response.and_then(|response| answer::read(&response, sent));
        answer.map_err(|error| error.with_context("gateway", address))
    }
}

/// A request that another gateway has to answer.
#[derive(Debug)]
pub(crate) struct Elsewhere {
    forwarder: Arc<Forwarder>,
    provider: ProviderName,
    /// Where the holder is reached, as the table of leases names it; none when nobody holds the account.
    address: Option<String>,
    request: ForwardedRequest,
}

impl Elsewhere {
    /// Asks the holder, and counts its answer.
    ///
    /// # Errors
    /// What the holder answered instead, as far as this request could have met it here, with a [`HolderProblem`] as its source; `unavailable` when nobody
    /// holds the account or the holder does not answer as a gateway in time.
    pub(crate) async fn ask(self, cx: &Context, method: Method) -> Result<HolderAnswer> {
        let address = self.address.as_deref();
        let answered = self
            .forwarder
            .exchange(cx, address, method, &self.request)
            .await;
        let result = match &answered {
            Ok(answer) if answer.stale => ForwardResult::Stale,
            Ok(_) => ForwardResult::Answered,
            Err(error) if HolderProblem::of(error).is_some() => ForwardResult::Problem,
            Err(_) if address.is_none() => ForwardResult::NoHolder,
            Err(_) => ForwardResult::Failed,
        };
        self.forwarder.metrics.count(&self.provider, result);
        let answer = answered?;
        cx.calls.add(answer.calls, answer.calls_took);
        Ok(answer)
    }

    /// Returns the error of a request that another gateway has passed on to this one already, and counts it.
    pub(crate) fn refuse(&self) -> Error {
        let metrics = &self.forwarder.metrics;
        metrics.count(&self.provider, ForwardResult::NotHolder);
        away("this gateway does not hold the vendor account, and a request is passed on only once")
    }
}

const NO_ANSWER: &str = "the gateway that holds this vendor account does not answer";
