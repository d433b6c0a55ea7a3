//! Sending one request.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::ACCEPT_ENCODING;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use ota_core::context::Context;
use ota_core::error::Retry;
use ota_core::{Error, ErrorKind, Result};
use zeroize::Zeroizing;

use crate::coding::{self, DecodeError};
use crate::proxy::{self, Proxies};
use crate::response::Response;
use crate::tls::{self, Problem, TlsError, TlsOptions, Watch};

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// How long a connection that is not used is kept open. A new one costs round trips during which a call holds its place in the quota without being
/// asked; TCP keep-alives, which reqwest sends every 15 seconds, keep the way open and find a dead peer. One that the vendor closes earlier leaves
/// the pool at once; a call that meets just that moment is made again by the gate.
const KEPT_OPEN: Duration = Duration::from_secs(300);

/// How a client behaves.
#[derive(Clone, Debug)]
pub struct Options {
    /// TLS; `None` for an endpoint without TLS, which then cannot be reached over `https`.
    pub tls: Option<TlsOptions>,
    /// The largest answer that is read, in bytes, compressed and decoded; a longer one is a `protocol` error.
    pub max_body_bytes: usize,
    /// How long connecting may take, TLS included.
    pub connect_timeout: Duration,
    /// Connects directly even where the environment names a proxy (`HTTPS_PROXY` and the like), as for an endpoint on this machine.
    pub direct: bool,
}

impl Options {
    /// The largest answer read by default: 8 MiB, twenty times the largest documented page.
    pub const DEFAULT_MAX_BODY_BYTES: usize = 8 * 1024 * 1024;
}

impl Default for Options {
    fn default() -> Self {
        Self {
            tls: Some(TlsOptions::default()),
            max_body_bytes: Self::DEFAULT_MAX_BODY_BYTES,
            connect_timeout: Duration::from_secs(5),
            direct: false,
        }
    }
}

/// An HTTP client for one vendor endpoint. Clones share its connections.
#[derive(Clone, Debug)]
pub struct Client {
    inner: reqwest::Client,
    max_body_bytes: usize,
    tls: Watch,
    proxies: Proxies,
}

/// A request that is complete and signed. It has no `Debug`: its URL and headers hold secrets.
#[derive(Clone)]
pub struct Request {
    /// The method.
    pub method: Method,
    /// The whole URL; path and query are percent-encoded already. It may hold a signature and a token, so it is cleared.
    pub url: Zeroizing<String>,
    /// Headers.
    pub headers: HeaderMap,
    /// The body; empty for none.
    pub body: Bytes,
}

impl Request {
    /// Creates a request without headers and body.
    #[must_use]
    pub fn new(method: Method, url: String) -> Self {
        Self {
            method,
            url: Zeroizing::new(url),
            headers: HeaderMap::new(),
            body: Bytes::new(),
        }
    }

    /// Adds a header; `sensitive` keeps its value out of the debug output of libraries below.
    ///
    /// # Errors
    /// `misconfigured` when the value cannot be in a header, which only happens with a damaged credential or setting.
    pub fn header(&mut self, name: HeaderName, value: &str, sensitive: bool) -> Result<()> {
        let unfit = || {
            Error::new(
                ErrorKind::Misconfigured,
                format!(
                    "the value for the vendor header `{name}` has characters that no header can hold"
                ),
            )
        };
        let mut value = match sensitive {
            // The look by `from_str` would leave a copy behind.
            true if value
                .chars()
                .all(|c| c == '\t' || (c.is_ascii() && !c.is_ascii_control())) =>
            {
                HeaderValue::from_maybe_shared(cleared(value.to_owned())).map_err(|_| unfit())?
            }
            true => return Err(unfit()),
            false => HeaderValue::from_str(value).map_err(|_| unfit())?,
        };
        value.set_sensitive(sensitive);
        self.headers.insert(name, value);
        Ok(())
    }

    /// Sets a body that holds a secret: its memory is cleared when it has been sent.
    pub fn secret_body(&mut self, body: String) {
        self.body = cleared(body);
    }
}

/// Bytes whose memory is cleared when no one holds them any more.
fn cleared(text: String) -> Bytes {
    Bytes::from_owner(Zeroizing::new(text.into_bytes()))
}

impl Client {
    /// Builds a client.
    ///
    /// # Errors
    /// When the TLS settings cannot be used.
    pub fn new(options: &Options) -> Result<Self, TlsError> {
        // Without options it trusts nothing: such a client is only ever given `http` URLs.
        let (config, watch) = match &options.tls {
            Some(options) => {
                let tls = tls::build(options)?;
                (tls.config, tls.watch)
            }
            None => {
                let provider = rustls::crypto::ring::default_provider();
                let config = rustls::ClientConfig::builder_with_provider(provider.into())
                    .with_safe_default_protocol_versions()
                    .map_err(|error| TlsError(error.to_string()))?
                    .with_root_certificates(rustls::RootCertStore::empty())
                    .with_no_client_auth();
                (config, Watch::default())
            }
        };
        let mut builder = reqwest::Client::builder()
            .tls_backend_preconfigured(config)
            // A redirect would carry a signature to another address; vendors never send one.
            .redirect(reqwest::redirect::Policy::none())
            .referer(false)
            // Only the gate decides about retries.
            .retry(reqwest::retry::never())
            .connect_timeout(options.connect_timeout)
            .pool_idle_timeout(KEPT_OPEN)
            .user_agent(concat!("ota-gateway/", env!("CARGO_PKG_VERSION")));
        if options.direct {
            builder = builder.no_proxy();
        }
        let inner = builder
            .build()
            .map_err(|error| TlsError(error.without_url().to_string()))?;
        Ok(Self {
            inner,
            max_body_bytes: options.max_body_bytes,
            tls: watch,
            proxies: match options.direct {
                true => Proxies::none(),
                false => Proxies::of_environment(),
            },
        })
    }

    /// Sends `request` once for the caller of `cx` and reads the answer whole. The trace of `cx` goes along in `traceparent`, which says nothing of
    /// the caller; what other systems put into `tracestate` does not.
    ///
    /// # Errors
    /// `unavailable` when the vendor cannot be reached or the connection breaks, `timeout` when connecting takes too long,
    /// `protocol` for an answer over the limit, a redirect, a content coding that is not read or something that is not HTTP, `misconfigured`
    /// for an endpoint that is no URL and for what is wrong with TLS. Errors never hold the URL.
    pub async fn send(&self, cx: &Context, mut request: Request) -> Result<Response> {
        if let Some(trace) = cx.trace {
            request.header(TRACEPARENT, &trace.to_string(), false)?;
        }
        request.header(ACCEPT_ENCODING, coding::ACCEPTED, false)?;
        let url = reqwest::Url::parse(&request.url).map_err(|error| {
            Error::new(
                ErrorKind::Misconfigured,
                "the configured endpoint is not a URL",
            )
            .with_source(error)
        })?;
        let proxy = self.proxies.of(&request.url);
        let mut response = self
            .inner
            .request(request.method, url)
            .headers(request.headers)
            .body(request.body)
            .send()
            .await
            .map_err(|error| self.transport(error, proxy.as_deref()))?;
        let status = response.status().as_u16();
        if let Some(proxy) = proxy.as_deref().filter(|_| status == 407) {
            return Err(proxy::wants_login(proxy));
        }
        if response.status().is_redirection() {
            return Err(Error::new(
                ErrorKind::Protocol,
                "the vendor's address answered with a redirect, which is never followed; check `endpoint`",
            )
            // Some proxies send one while they are serviced; where it is a mistake, retries cost a few calls.
            .with_retry(Retry::Later)
            .with_context("status", status.to_string()));
        }
        if response
            .content_length()
            .is_some_and(|length| length > self.max_body_bytes as u64)
        {
            return Err(self.too_large());
        }
        let mut body = BytesMut::new();
        while let Some(chunk) = response
            .chunk()
            .await
            .map_err(|error| self.transport(error, proxy.as_deref()))?
        {
            if body.len() + chunk.len() > self.max_body_bytes {
                return Err(self.too_large());
            }
            body.extend_from_slice(&chunk);
        }
        let mut headers = std::mem::take(response.headers_mut());
        let body = coding::unpack(&mut headers, body.freeze(), self.max_body_bytes)
            .map_err(|error| self.decode_error(status, error))?;
        let response = Response {
            status,
            headers,
            body,
        };
        match Problem::of_page(&response, self.tls.known()) {
            Some(problem) => Err(self
                .tls_error(&problem)
                .with_context("status", status.to_string())),
            None => Ok(response),
        }
    }

    fn tls_error(&self, problem: &Problem) -> Error {
        Error::new(ErrorKind::Misconfigured, problem.message())
            .with_advice(problem.advice(&self.tls.keys))
    }

    /// The error for a body that cannot be decoded. Only the status of such a response is known.
    fn decode_error(&self, status: u16, error: DecodeError) -> Error {
        let (message, again) = match error {
            // Unpacking costs processor time, and what is made of an answer is as large or as damaged the next time.
            DecodeError::TooLarge => return self.too_large().with_retry(Retry::Never),
            DecodeError::Damaged => (
                "the vendor's compressed answer is damaged".to_owned(),
                Retry::Never,
            ),
            DecodeError::Unknown(coding) => (
                format!(
                    "the vendor's answer has the content coding `{coding}`, which was not requested and is not supported; a proxy may have added it"
                ),
                Retry::Later,
            ),
        };
        let (kind, retry) = match status {
            429 => (ErrorKind::Throttled, Retry::Later),
            500..=599 => (ErrorKind::Unavailable, Retry::Later),
            _ => (ErrorKind::Protocol, again),
        };
        Error::new(kind, message)
            .with_retry(retry)
            .with_context("status", status.to_string())
    }

    /// Turns a transport error into ours, without its URL: the query holds the signature.
    fn transport(&self, error: reqwest::Error, proxy: Option<&str>) -> Error {
        let error = error.without_url();
        match error.is_connect() {
            // There was no connection yet, so nothing of the request has left.
            true => self.transport_error(error, proxy).with_unsent(),
            false => self.transport_error(error, proxy),
        }
    }

    fn transport_error(&self, error: reqwest::Error, proxy: Option<&str>) -> Error {
        let tls = found::<rustls::Error>(&error).and_then(|tls| Problem::of(tls, self.tls.known()));
        if let Some(problem) = tls {
            return self.tls_error(&problem);
        }
        if let Some(failed) = proxy.and_then(|proxy| proxy::failed(proxy, &error)) {
            return failed.with_source(error);
        }
        let (kind, message) = if error.is_timeout() {
            (ErrorKind::Timeout, "connecting to the vendor took too long")
        } else if error.is_builder() {
            (
                ErrorKind::Misconfigured,
                "the request for the vendor could not be built",
            )
        } else if error.is_connect() {
            (
                ErrorKind::Unavailable,
                "the vendor cannot be reached; check `endpoint` if it never could",
            )
        } else {
            (
                ErrorKind::Unavailable,
                "the connection to the vendor broke before the response was complete",
            )
        };
        Error::new(kind, message).with_source(error)
    }

    fn too_large(&self) -> Error {
        Error::new(
            ErrorKind::Protocol,
            format!(
                "the vendor's answer is larger than {} bytes",
                self.max_body_bytes
            ),
        )
        // An answer that went wrong on the way may be right the next time; a list that is this large costs the same once more.
        .with_retry(Retry::Once)
    }
}

/// Finds an error of a type in a chain. An I/O error hides the error that it wraps from `source`, and they wrap each other.
fn found<'a, E: std::error::Error + 'static>(
    error: &'a (dyn std::error::Error + 'static),
) -> Option<&'a E> {
    if let Some(found) = error.downcast_ref::<E>() {
        return Some(found);
    }
    if let Some(inner) = error
        .downcast_ref::<std::io::Error>()
        .and_then(std::io::Error::get_ref)
    {
        return self::found(inner);
    }
    self::found(error.source()?)
}
