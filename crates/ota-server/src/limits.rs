//! The settings of a listener: the limits of clients, and the files of its certificate.

use std::path::PathBuf;
use std::time::Duration;

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
    /// How long a connection without a request stays open.
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

/// How many requests may be in progress.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Places {
    /// Of all callers: fewer than there are connections, so that probes and new callers find one.
    pub all: usize,
    /// Of one caller, however few others ask.
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
    /// The certificate and what leads to its CA, in PEM form.
    pub cert_file: PathBuf,
    /// The private key, in PEM form.
    pub key_file: PathBuf,
}
