//! `[server]`

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use axum::http::{HeaderValue, Uri};
use serde::Deserialize;

use super::{ConfigError, Section};

/// Where and how requests are answered.
#[derive(Clone, Debug)]
pub struct ServerConfig {
    /// The address to listen on.
    pub listen: SocketAddr,
    /// How long a request may take, vendor calls included.
    pub request_timeout: Duration,
    /// Certificate and key; plain HTTP without.
    pub tls: Option<TlsFiles>,
    /// What a client may take of the gateway.
    pub limits: EdgeLimits,
    /// The web pages of other origins that may call.
    pub cors_origins: Vec<HeaderValue>,
    /// How many requests a caller may send.
    pub rate_limit: Option<RateLimit>,
    /// The address of the API in its document, without a slash at the end. Without it the document says that the API is beside it.
    pub public_url: Option<String>,
}

/// The files of the gateway's own certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// The certificate and what leads to its CA, in PEM form.
    pub cert_file: PathBuf,
    /// The private key, in PEM form.
    pub key_file: PathBuf,
}

/// What a client may take of the gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EdgeLimits {
    /// Connections at the same time; the one that is idle for longest makes room for a new one.
    pub max_connections: usize,
    /// The head of a request: its line and headers.
    pub max_header_bytes: usize,
    /// Path and query of a request.
    pub max_url_bytes: usize,
    /// The body of a request.
    pub max_body_bytes: usize,
    /// How long a client may take for the head of a request, its body, or the TLS handshake.
    pub header_timeout: Duration,
    /// How long a connection is kept on which nothing is asked.
    pub idle_timeout: Duration,
    /// How long a client may take nothing of an answer.
    pub write_timeout: Duration,
}

/// How many requests a caller may send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateLimit {
    /// Requests in one window; so many may come at once.
    pub requests: u32,
    /// The length of the window.
    pub window: Duration,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Raw {
    listen: String,
    request_timeout_ms: u64,
    tls_cert_file: Option<PathBuf>,
    tls_key_file: Option<PathBuf>,
    max_connections: u64,
    max_header_bytes: u64,
    max_url_bytes: u64,
    max_body_bytes: u64,
    header_timeout_ms: u64,
    idle_timeout_ms: u64,
    write_timeout_ms: u64,
    cors_origins: Vec<String>,
    rate_limit: u32,
    rate_limit_window_s: u64,
    public_url: Option<String>,
}

impl Default for Raw {
    fn default() -> Self {
        Self {
            listen: "127.0.0.1:8080".to_owned(),
            request_timeout_ms: 30_000,
            tls_cert_file: None,
            tls_key_file: None,
            max_connections: 2048,
            max_header_bytes: 65_536,
            // An identifier of 5000 characters in percent-encoded UTF-8 is looked for and not found, as a shorter one is.
            max_url_bytes: 49_152,
            max_body_bytes: 65_536,
            header_timeout_ms: 10_000,
            idle_timeout_ms: 75_000,
            write_timeout_ms: 30_000,
            cors_origins: Vec::new(),
            rate_limit: 0,
            rate_limit_window_s: 60,
            public_url: None,
        }
    }
}

pub(super) fn read(section: Section) -> Result<ServerConfig, ConfigError> {
    let raw: Raw = section.clone().read()?;
    let listen = raw.listen.parse().map_err(|_| {
        section.error(
            "listen",
            format_args!(
                "`{}` is not an address and port such as 127.0.0.1:8080",
                raw.listen
            ),
        )
    })?;
    let range = |key: &str, unit: &str, value: u64, least: u64, most: u64| match (least..=most)
        .contains(&value)
    {
        true => Ok(value),
        false => Err(section.error(
            key,
            format_args!("is a number of {unit} from {least} to {most}"),
        )),
    };
    let time = |key: &str, value: u64| {
        range(key, "milliseconds", value, 1, 600_000).map(Duration::from_millis)
    };
    let size = |key: &str, unit: &str, value: u64, least: u64, most: u64| {
        // No limit here is over 16 MiB.
        range(key, unit, value, least, most)
            .map(|value| usize::try_from(value).unwrap_or(usize::MAX))
    };
    let window = range(
        "rate_limit_window_s",
        "seconds",
        raw.rate_limit_window_s,
        1,
        86_400,
    )?;
    let tls = match (raw.tls_cert_file, raw.tls_key_file) {
        (Some(cert_file), Some(key_file)) => Some(TlsFiles {
            cert_file,
            key_file,
        }),
        (None, None) => None,
        (Some(_), None) => {
            return Err(section.error("tls_key_file", "is missing beside `tls_cert_file`"));
        }
        (None, Some(_)) => {
            return Err(section.error("tls_cert_file", "is missing beside `tls_key_file`"));
        }
    };
    Ok(ServerConfig {
        listen,
        request_timeout: time("request_timeout_ms", raw.request_timeout_ms)?,
        tls,
        limits: EdgeLimits {
            max_connections: size(
                "max_connections",
                "connections",
                raw.max_connections,
                1,
                1_000_000,
            )?,
            // The library below takes no less than 8 KiB.
            max_header_bytes: size(
                "max_header_bytes",
                "bytes",
                raw.max_header_bytes,
                8192,
                1 << 20,
            )?,
            max_url_bytes: size("max_url_bytes", "bytes", raw.max_url_bytes, 1024, 65_534)?,
            max_body_bytes: size("max_body_bytes", "bytes", raw.max_body_bytes, 0, 16 << 20)?,
            header_timeout: time("header_timeout_ms", raw.header_timeout_ms)?,
            idle_timeout: time("idle_timeout_ms", raw.idle_timeout_ms)?,
            write_timeout: time("write_timeout_ms", raw.write_timeout_ms)?,
        },
        cors_origins: raw
            .cors_origins
            .iter()
            .map(|origin| self::origin(&section, origin))
            .collect::<Result<_, _>>()?,
        rate_limit: (raw.rate_limit > 0).then(|| RateLimit {
            requests: raw.rate_limit,
            window: Duration::from_secs(window),
        }),
        public_url: raw
            .public_url
            .map(|url| public_url(&section, &url))
            .transpose()?,
    })
}

/// Reads the address that clients use. A slash at its end would stand before the slash that each path begins with.
fn public_url(section: &Section, text: &str) -> Result<String, ConfigError> {
    let wrong = || {
        section.error(
            "public_url",
            format_args!(
                "is not an address such as https://iot.example.com/ota (http or https; no user name, query or fragment)"
            ),
        )
    };
    let url = text.parse::<Uri>().map_err(|_| wrong())?;
    let web = matches!(url.scheme_str(), Some("http" | "https"));
    let host = url.authority().map(|host| host.as_str());
    // `{` begins a variable in the document.
    if !web || host.is_none_or(|host| host.contains('@')) || text.contains(['?', '#', '{', '}']) {
        return Err(wrong());
    }
    Ok(text.trim_end_matches('/').to_owned())
}

/// Reads an origin of `cors_origins`.
fn origin(section: &Section, text: &str) -> Result<HeaderValue, ConfigError> {
    cors_origin(text).ok_or_else(|| {
        section.error(
            "cors_origins",
            format_args!(
                "`{text}` is not an origin such as https://dashboard.example.com (scheme, host and port if it is not the usual one; no path, no `*`)"
            ),
        )
    })
}

/// Reads the origin of a web page. Browsers compare it byte by byte, so what they would never send is none.
#[must_use]
pub fn cors_origin(text: &str) -> Option<HeaderValue> {
    let uri: Uri = text.parse().ok()?;
    let (scheme, host) = (uri.scheme_str()?, uri.authority()?);
    let usual = matches!(scheme, "http" | "https")
        && format!("{scheme}://{host}") == text
        && !host.as_str().contains(['@', '*'])
        && text == text.to_ascii_lowercase();
    usual.then(|| HeaderValue::from_str(text).ok()).flatten()
}
