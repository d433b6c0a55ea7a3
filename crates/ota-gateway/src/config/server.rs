//! `[server]`

use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use axum::http::{HeaderValue, Uri};
use ota_server::limits::{EdgeLimits, Places, RateLimit, TlsFiles};
use serde::Deserialize;

use super::error::ConfigError;
use super::mistakes::Mistakes;
use super::section::{self, Section};

/// Where and how requests are answered.
#[derive(Clone, Debug)]
pub struct ServerConfig {
    /// The address to listen on.
    pub listen: SocketAddr,
    /// How long a request may take, vendor calls included.
    pub request_timeout: Duration,
    /// Certificate and key; plain HTTP without.
    pub tls: Option<TlsFiles>,
    /// Limits on the resources that a client may use.
    pub limits: EdgeLimits,
    /// The web pages of other origins that may call.
    pub cors_origins: Vec<HeaderValue>,
    /// How many requests a caller may send.
    pub rate_limit: Option<RateLimit>,
    /// The address of the API in its document, without a slash at the end. Without it the document says that the API is beside it.
    pub public_url: Option<String>,
    /// How many requests may be in progress.
    pub places: Places,
}

/// The default of reserved connections, but at most an eighth of all.
const RESERVED: u64 = 64;

impl ServerConfig {
    /// Lowers the maximum number of connections. The number of reserved connections stays the same, but at most an eighth of all.
    pub fn lower_connections(&mut self, connections: usize) {
        let reserved =
            self.limits.max_connections - self.places.all.min(self.limits.max_connections);
        let reserved = reserved.min(connections / 8);
        self.places = Places::new(connections, reserved, self.places.each);
        self.limits.max_connections = connections;
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Raw {
    listen: String,
    request_timeout_ms: u64,
    tls_cert_file: Option<PathBuf>,
    tls_key_file: Option<PathBuf>,
    max_connections: u64,
    reserved_connections: Option<u64>,
    max_requests_per_caller: u64,
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
            reserved_connections: None,
            max_requests_per_caller: 0,
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

/// The valid range of `max_header_bytes`. The HTTP library requires at least 8 KiB.
const HEADER_BYTES: RangeInclusive<u64> = 8192..=1 << 20;

pub(super) fn keys() -> Vec<String> {
    section::keys_of::<Raw>()
}

/// What rules across sections, and the check of files, need of the section. Each part is read separately, so that a mistake elsewhere in the section
/// does not affect it; a part is missing only if it is itself invalid.
#[derive(Clone, Debug, Default)]
pub struct ServerParts {
    /// The address to listen on.
    pub listen: Option<SocketAddr>,
    /// The head of a request.
    pub max_header_bytes: Option<usize>,
    /// Certificate and key.
    pub tls: Option<TlsFiles>,
}

pub(super) fn parts(section: &Section) -> ServerParts {
    let usual = Raw::default();
    let known = keys();
    let listen: Option<String> = section.alone("listen", &known, usual.listen);
    let header: Option<u64> = section.alone("max_header_bytes", &known, usual.max_header_bytes);
    let file = |key: &str| {
        section
            .alone::<Option<PathBuf>>(key, &known, None)
            .flatten()
    };
    ServerParts {
        listen: listen.and_then(|listen| listen.parse().ok()),
        max_header_bytes: header
            .filter(|bytes| HEADER_BYTES.contains(bytes))
            .and_then(|bytes| usize::try_from(bytes).ok()),
        tls: file("tls_cert_file")
            .zip(file("tls_key_file"))
            .map(|(cert_file, key_file)| TlsFiles {
                cert_file,
                key_file,
            }),
    }
}

pub(super) fn read(section: Section) -> Result<ServerConfig, ConfigError> {
    let (raw, mut mistakes): (Raw, _) = section.clone().read()?;
    let listen = raw.listen.parse().ok();
    if listen.is_none() {
        mistakes.add(
            "listen",
            format_args!(
                "`{}` is not an address and port such as 127.0.0.1:8080",
                raw.listen
            ),
        );
    }
    let window = mistakes.range(
        "rate_limit_window_s",
        "seconds",
        raw.rate_limit_window_s,
        1..=86_400,
    );
    let tls = tls(&mut mistakes, raw.tls_cert_file, raw.tls_key_file);
    let mut cors_origins = Vec::new();
    for text in &raw.cors_origins {
        cors_origins.extend(mistakes.check(origin(&section, text)));
    }
    let public_url = raw
        .public_url
        .as_deref()
        .map(|url| mistakes.check(self::public_url(&section, url)));
    let mut time = |key: &str, value: u64| {
        let value = mistakes.range(key, "milliseconds", value, 1..=600_000)?;
        Some(Duration::from_millis(value))
    };
    let request_timeout = time("request_timeout_ms", raw.request_timeout_ms);
    let header_timeout = time("header_timeout_ms", raw.header_timeout_ms);
    let idle_timeout = time("idle_timeout_ms", raw.idle_timeout_ms);
    let write_timeout = time("write_timeout_ms", raw.write_timeout_ms);
    let mut size = |key: &str, unit: &str, value: u64, bounds: RangeInclusive<u64>| {
        // No limit here is over 16 MiB.
        let value = mistakes.range(key, unit, value, bounds)?;
        Some(usize::try_from(value).unwrap_or(usize::MAX))
    };
    let max_connections = size(
        "max_connections",
        "connections",
        raw.max_connections,
        1..=1_000_000,
    );
    let max_header_bytes = size(
        "max_header_bytes",
        "bytes",
        raw.max_header_bytes,
        HEADER_BYTES,
    );
    let max_url_bytes = size("max_url_bytes", "bytes", raw.max_url_bytes, 1024..=65_534);
    let max_body_bytes = size("max_body_bytes", "bytes", raw.max_body_bytes, 0..=16 << 20);
    let each = size(
        "max_requests_per_caller",
        "requests",
        raw.max_requests_per_caller,
        0..=1_000_000,
    );
    let reserved = raw
        .reserved_connections
        .unwrap_or(RESERVED.min(raw.max_connections / 8));
    if reserved >= raw.max_connections.max(1) {
        mistakes.add(
            "reserved_connections",
            "is a number of connections smaller than `max_connections`",
        );
    }
    let reserved = usize::try_from(reserved).unwrap_or(usize::MAX);
    mistakes.finish(|| {
        Some(ServerConfig {
            listen: listen?,
            request_timeout: request_timeout?,
            tls,
            limits: EdgeLimits {
                max_connections: max_connections?,
                max_header_bytes: max_header_bytes?,
                max_url_bytes: max_url_bytes?,
                max_body_bytes: max_body_bytes?,
                header_timeout: header_timeout?,
                idle_timeout: idle_timeout?,
                write_timeout: write_timeout?,
            },
            cors_origins,
            rate_limit: match raw.rate_limit {
                0 => None,
                requests => Some(RateLimit {
                    requests,
                    window: Duration::from_secs(window?),
                }),
            },
            places: Places::new(max_connections?, reserved, each.filter(|each| *each > 0)),
            public_url: public_url.flatten(),
        })
    })
}

fn tls(
    mistakes: &mut Mistakes,
    cert_file: Option<PathBuf>,
    key_file: Option<PathBuf>,
) -> Option<TlsFiles> {
    const BOTH: &[&str] = &["tls_cert_file", "tls_key_file"];
    match (cert_file, key_file) {
        (Some(cert_file), Some(key_file)) => {
            return Some(TlsFiles {
                cert_file,
                key_file,
            });
        }
        (None, None) => {}
        (Some(_), None) => {
            mistakes.missing("tls_key_file", BOTH, "is missing beside `tls_cert_file`");
        }
        (None, Some(_)) => {
            mistakes.missing("tls_cert_file", BOTH, "is missing beside `tls_key_file`");
        }
    }
    None
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

/// Reads the origin of a web page. It is compared byte by byte, so a text that a browser never sends is not valid.
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
