//! The settings of a listener: the limits of clients, and the files of its certificate.

use std::path::PathBuf;
use std::time::Duration;

/// The limits of one client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EdgeLimits {
    /// Open connections. At the limit, an idle connection is closed for a new one.
    pub max_connections: usize,
    /// Maximum size of the head of a request: the request line and the headers.
    pub max_header_bytes: usize,
    /// Maximum length of path and query.
    pub max_url_bytes: usize,
    /// Maximum size of the body of a request.
    pub max_body_bytes: usize,
    /// Timeout for receiving the head of a request, for receiving its body, and for the TLS handshake.
    pub header_timeout: Duration,
    /// How long a connection without a request stays open.
    pub idle_timeout: Duration,
    /// Write timeout: how long a client may read nothing of a response.
    pub write_timeout: Duration,
}

/// How many requests a caller may send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateLimit {
    /// Requests in one window, which is also the maximum burst.
    pub requests: u32,
    /// The length of the window.
    pub window: Duration,
}

/// How many requests may be in progress.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Places {
    /// Of all callers: fewer than the connection limit, so that probes and new callers can still connect.
    pub all: usize,
    /// Of one caller, even when there are free places.
    pub each: Option<usize>,
}

impl Places {
    /// Returns the limit of concurrent requests for this number of connections, of which `reserved` stay free; at least one.
    #[must_use]
    pub fn new(connections: usize, reserved: usize, each: Option<usize>) -> Self {
        Self {
            all: connections.saturating_sub(reserved).max(1),
            each,
        }
    }
}

/// The files of the gateway's own certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// The certificate chain, in PEM form.
    pub cert_file: PathBuf,
    /// The private key, in PEM form.
    pub key_file: PathBuf,
}
