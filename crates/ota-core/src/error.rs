//! The one error type of the contract.

use std::sync::Arc;
use std::time::Duration;

use crate::open_enum::open_enum;

/// A result with the contract's error.
pub type Result<T, E = Error> = std::result::Result<T, E>;

open_enum!(
    /// The kind of an error, as far as callers handle it differently.
    ErrorKind {
        /// The caller's request is invalid or out of range.
        InvalidArgument = "invalid_argument",
        /// What the request names does not exist.
        NotFound = "not_found",
        /// The state of the resource does not allow it.
        Conflict = "conflict",
        /// This provider cannot do it; decided before any call was sent.
        Unsupported = "unsupported",
        /// The vendor refused the gateway's credential or permission.
        Auth = "auth",
        /// The vendor throttles, or the gateway's quota for it is used up.
        Throttled = "throttled",
        /// The vendor rejected the request, and a retry does not help: overdue account, unknown code.
        Rejected = "rejected",
        /// The gateway's settings for the vendor are wrong: instance, region, API not enabled.
        Misconfigured = "misconfigured",
        /// No answer in time.
        Timeout = "timeout",
        /// The vendor cannot be reached, or fails.
        Unavailable = "unavailable",
        /// The answer cannot be read.
        Protocol = "protocol",
        /// A fault of the gateway.
        Unexpected = "unexpected",
    }
);

/// Whether a retry of the same call may succeed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Retry {
    /// It will fail again.
    Never,
    /// It may work after a wait. The gate repeats it if the operation is safe to repeat.
    Later,
    /// It may work once more after a correction (a new nonce, a new token, a corrected clock), without a wait.
    Once,
}

/// The vendor's own error. It can be shown to clients: the adapter has removed secrets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VendorError {
    /// The vendor's code.
    pub code: Option<String>,
    /// The vendor's text, without secrets, signatures, strings-to-sign and URL queries.
    pub message: Option<String>,
    /// The vendor's identifier of the call, for its support.
    pub request_id: Option<String>,
    /// The HTTP status that came with it.
    pub http_status: Option<u16>,
}

/// For logs and operators: the vendor's code, text and request identifier, if present.
impl std::fmt::Display for VendorError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the vendor's answer:")?;
        let mut separator = " ";
        if let Some(status) = self.http_status {
            write!(f, "{separator}status {status}")?;
            separator = ", ";
        }
        for (what, text) in [
            ("code", &self.code),
            ("message", &self.message),
            ("request ID", &self.request_id),
        ] {
            if let Some(text) = text {
                write!(f, "{separator}{what} `{text}`")?;
                separator = ", ";
            }
        }
        match separator {
            " " => f.write_str(" nothing that explains it"),
            _ => Ok(()),
        }
    }
}

/// An error of a provider.
///
/// `Display` gives the public message, which can be shown to any client. Everything else belongs in the private context and
/// in the source, which only logs show.
#[derive(Clone)]
pub struct Error(Box<Inner>);

#[derive(Clone)]
struct Inner {
    kind: ErrorKind,
    retry: Retry,
    operation: Option<&'static str>,
    message: String,
    field: Option<&'static str>,
    context: Vec<(&'static str, String)>,
    vendor: Option<VendorError>,
    retry_after: Option<Duration>,
    advice: Option<String>,
    superseded: bool,
    local: bool,
    unsent: bool,
    caller_specific: bool,
    /// Shared, so that all callers that waited for one call get its complete error.
    source: Option<Arc<dyn std::error::Error + Send + Sync>>,
}

impl Error {
    /// Creates an error with its public message: lower case, no full stop, no secret; any client may see it.
    ///
    /// The retry advice starts as the kind suggests and can be changed with [`Error::with_retry`].
    #[must_use]
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        let retry = match kind {
            ErrorKind::Throttled | ErrorKind::Timeout | ErrorKind::Unavailable => Retry::Later,
            ErrorKind::InvalidArgument
            | ErrorKind::NotFound
            | ErrorKind::Conflict
            | ErrorKind::Unsupported
            | ErrorKind::Auth
            | ErrorKind::Rejected
            | ErrorKind::Misconfigured
            | ErrorKind::Protocol
            | ErrorKind::Unexpected => Retry::Never,
        };
        Self(Box::new(Inner {
            kind,
            retry,
            operation: None,
            message: message.into(),
            field: None,
            context: Vec::new(),
            vendor: None,
            retry_after: None,
            advice: None,
            superseded: false,
            local: false,
            unsent: false,
            caller_specific: false,
            source: None,
        }))
    }

    /// Creates the refusal of a filter or action that this provider does not have.
    #[must_use]
    pub fn unsupported(field: &'static str, message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Unsupported, message).with_field(field)
    }

    /// Creates the refusal of a cursor that is damaged or of another list.
    #[must_use]
    pub fn invalid_cursor() -> Self {
        Self::new(
            ErrorKind::InvalidArgument,
            "the cursor is damaged or belongs to another list; start again without a cursor",
        )
        .with_field(CURSOR_FIELD)
    }

    /// Replaces kind and public message, if another party turns out to be the cause. Everything else stays.
    #[must_use]
    pub fn as_kind(mut self, kind: ErrorKind, message: impl Into<String>) -> Self {
        self.0.kind = kind;
        self.0.message = message.into();
        self
    }

    /// Replaces the retry advice.
    #[must_use]
    pub fn with_retry(mut self, retry: Retry) -> Self {
        self.0.retry = retry;
        self
    }

    /// Names the vendor operation that failed.
    #[must_use]
    pub fn with_operation(mut self, operation: &'static str) -> Self {
        self.0.operation = Some(operation);
        self
    }

    /// Names the field of the caller's request that is at fault.
    #[must_use]
    pub fn with_field(mut self, field: &'static str) -> Self {
        self.0.field = Some(field);
        self
    }

    /// Adds a fact that only logs show. It must still hold no secret.
    #[must_use]
    pub fn with_context(mut self, key: &'static str, value: impl Into<String>) -> Self {
        self.0.context.push((key, value.into()));
        self
    }

    /// Adds what the vendor said, already cleaned of secrets.
    #[must_use]
    pub fn with_vendor(mut self, vendor: VendorError) -> Self {
        self.0.vendor = Some(vendor);
        self
    }

    /// Adds how long to wait before the next try.
    #[must_use]
    pub fn with_retry_after(mut self, wait: Duration) -> Self {
        self.0.retry_after = Some(wait);
        self
    }

    /// Adds what an operator should do, with the names of settings. Only logs and `check` show it; it must hold no secret.
    #[must_use]
    pub fn with_advice(mut self, advice: impl Into<String>) -> Self {
        self.0.advice = Some(advice.into());
        self
    }

    /// Records that what the vendor refused is a credential or a token that has been replaced since, or is about to be: a call with the new one follows, so
    /// the refusal says nothing about the settings and is not counted as one. With [`Retry::Once`] the gate makes that call, otherwise the adapter.
    #[must_use]
    pub fn with_superseded(mut self) -> Self {
        self.0.superseded = true;
        self
    }

    /// Records that the gateway decided this itself, as when its own quota or the time of the request is used up: it says nothing about the vendor.
    #[must_use]
    pub fn with_local(mut self) -> Self {
        self.0.local = true;
        self
    }

    /// Records that nothing of the call left for the vendor, as when no connection could be opened: the vendor cannot have counted it.
    #[must_use]
    pub fn with_unsent(mut self) -> Self {
        self.0.unsent = true;
        self
    }

    /// Records that the error concerns only the caller for whom the work was done, as when that caller's token was refused: another caller who waits for
    /// the same read may be answered.
    #[must_use]
    pub fn with_caller_specific(mut self) -> Self {
        self.0.caller_specific = true;
        self
    }

    /// Adds the cause. It must hold no secret: a request URL with a signature is one.
    #[must_use]
    pub fn with_source(
        mut self,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        self.0.source = Some(Arc::from(source.into()));
        self
    }

    /// Returns what went wrong.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// Returns whether a retry of the same call may succeed.
    #[must_use]
    pub fn retry(&self) -> Retry {
        self.0.retry
    }

    /// Returns the vendor operation that failed.
    #[must_use]
    pub fn operation(&self) -> Option<&'static str> {
        self.0.operation
    }

    /// Returns the public message.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// Returns the field of the caller's request that is at fault.
    #[must_use]
    pub fn field(&self) -> Option<&'static str> {
        self.0.field
    }

    /// Returns the private facts, for logs.
    #[must_use]
    pub fn context(&self) -> &[(&'static str, String)] {
        &self.0.context
    }

    /// Returns what the vendor said.
    #[must_use]
    pub fn vendor(&self) -> Option<&VendorError> {
        self.0.vendor.as_ref()
    }

    /// Returns how long to wait before the next try.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        self.0.retry_after
    }

    /// Returns what an operator should do.
    #[must_use]
    pub fn advice(&self) -> Option<&str> {
        self.0.advice.as_deref()
    }

    /// Returns whether a call with a newer credential follows.
    #[must_use]
    pub fn is_superseded(&self) -> bool {
        self.0.superseded
    }

    /// Returns whether the gateway decided this itself, so that it says nothing about the vendor.
    #[must_use]
    pub fn is_local(&self) -> bool {
        self.0.local
    }

    /// Returns whether nothing of the call left for the vendor.
    #[must_use]
    pub fn is_unsent(&self) -> bool {
        self.0.unsent
    }

    /// Returns whether the error concerns only the caller for whom the work was done.
    #[must_use]
    pub fn is_caller_specific(&self) -> bool {
        self.0.caller_specific
    }

    /// Returns whether a page whose later vendor call met this error is given with the rows of the calls before. A refusal of what the caller asked
    /// for is the answer to the request itself.
    #[must_use]
    pub fn ends_a_page_early(&self) -> bool {
        match self.kind() {
            ErrorKind::InvalidArgument
            | ErrorKind::NotFound
            | ErrorKind::Conflict
            | ErrorKind::Unsupported => false,
            ErrorKind::Auth
            | ErrorKind::Throttled
            | ErrorKind::Rejected
            | ErrorKind::Misconfigured
            | ErrorKind::Timeout
            | ErrorKind::Unavailable
            | ErrorKind::Protocol
            | ErrorKind::Unexpected => true,
        }
    }

    /// Returns whether this is the refusal of a cursor.
    #[must_use]
    pub fn is_invalid_cursor(&self) -> bool {
        self.kind() == ErrorKind::InvalidArgument && self.field() == Some(CURSOR_FIELD)
    }
}

const CURSOR_FIELD: &str = "cursor";

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0.message)
    }
}

impl std::fmt::Debug for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.0.kind, self.0.message)?;
        if let Some(operation) = self.0.operation {
            write!(f, " (in {operation})")?;
        }
        if let Some(vendor) = &self.0.vendor {
            write!(f, ", {vendor}")?;
        }
        for (key, value) in &self.0.context {
            write!(f, ", {key}: {value}")?;
        }
        let mut source = std::error::Error::source(self);
        while let Some(cause) = source {
            write!(f, ": {cause}")?;
            source = cause.source();
        }
        if let Some(advice) = &self.0.advice {
            write!(f, ". What to do: {advice}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source.as_deref().map(|source| source as _)
    }
}

impl From<crate::random::NoRandomness> for Error {
    fn from(error: crate::random::NoRandomness) -> Self {
        Self::new(
            ErrorKind::Unexpected,
            "the gateway has no source of randomness",
        )
        .with_source(error)
    }
}
