//! Errors as `application/problem+json` (RFC 9457), and the one place where kinds of errors become HTTP statuses.

use std::time::Duration;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use ota_core::{Error, ErrorKind};
use serde::Serialize;
use utoipa::ToSchema;

/// The stable machine-readable code of a problem.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    /// The request cannot be understood or is out of range.
    InvalidArgument,
    /// The cursor is damaged, of another list or expired.
    InvalidCursor,
    /// The caller's token is missing or not valid.
    Unauthenticated,
    /// The caller's token lacks the scope.
    Forbidden,
    /// The resource does not exist.
    NotFound,
    /// The path does not support the method.
    MethodNotAllowed,
    /// The request accepts no encoding of the response.
    NotAcceptable,
    /// The state of the resource does not allow it.
    Conflict,
    /// The body is larger than allowed.
    PayloadTooLarge,
    /// The request was sent to a name that this gateway does not answer to.
    MisdirectedRequest,
    /// This provider cannot do it.
    UnsupportedByProvider,
    /// A fault of the gateway.
    Internal,
    /// The vendor refused the gateway's credential or permission.
    ProviderAuth,
    /// The vendor rejected the request; a retry does not help.
    ProviderRejected,
    /// The gateway's settings for the vendor are wrong.
    ProviderMisconfigured,
    /// The vendor's answer cannot be read.
    ProviderProtocol,
    /// The vendor throttles, or the quota of its account is used up.
    ProviderThrottled,
    /// The vendor cannot be reached, or fails.
    ProviderUnavailable,
    /// The vendor did not answer in time.
    ProviderTimeout,
    /// `only-if-cached` was requested and nothing is cached.
    NothingCached,
    /// The path and query are longer than allowed.
    UriTooLong,
    /// The headers are larger than allowed.
    HeadersTooLarge,
    /// The request took too long to arrive.
    RequestTimeout,
    /// The caller sends more requests than the gateway's own limiter allows.
    RateLimited,
    /// The keys that tokens are verified with are not available.
    KeysUnavailable,
    /// The gateway is at a limit or shutting down.
    Unavailable,
    /// The database of the mirror is away, or the mirror is switched off.
    MirrorUnavailable,
}

impl Code {
    /// Every code.
    pub const ALL: &'static [Self] = &[
        Self::InvalidArgument,
        Self::InvalidCursor,
        Self::Unauthenticated,
        Self::Forbidden,
        Self::NotFound,
        Self::MethodNotAllowed,
        Self::NotAcceptable,
        Self::Conflict,
        Self::PayloadTooLarge,
        Self::MisdirectedRequest,
        Self::UnsupportedByProvider,
        Self::Internal,
        Self::ProviderAuth,
        Self::ProviderRejected,
        Self::ProviderMisconfigured,
        Self::ProviderProtocol,
        Self::ProviderThrottled,
        Self::ProviderUnavailable,
        Self::ProviderTimeout,
        Self::NothingCached,
        Self::UriTooLong,
        Self::HeadersTooLarge,
        Self::RequestTimeout,
        Self::RateLimited,
        Self::KeysUnavailable,
        Self::Unavailable,
        Self::MirrorUnavailable,
    ];

    /// Returns the code as clients read it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::InvalidArgument => "invalid_argument",
            Self::InvalidCursor => "invalid_cursor",
            Self::Unauthenticated => "unauthenticated",
            Self::Forbidden => "forbidden",
            Self::NotFound => "not_found",
            Self::MethodNotAllowed => "method_not_allowed",
            Self::NotAcceptable => "not_acceptable",
            Self::Conflict => "conflict",
            Self::PayloadTooLarge => "payload_too_large",
            Self::MisdirectedRequest => "misdirected_request",
            Self::UnsupportedByProvider => "unsupported_by_provider",
            Self::Internal => "internal",
            Self::ProviderAuth => "provider_auth",
            Self::ProviderRejected => "provider_rejected",
            Self::ProviderMisconfigured => "provider_misconfigured",
            Self::ProviderProtocol => "provider_protocol",
            Self::ProviderThrottled => "provider_throttled",
            Self::ProviderUnavailable => "provider_unavailable",
            Self::ProviderTimeout => "provider_timeout",
            Self::NothingCached => "nothing_cached",
            Self::UriTooLong => "uri_too_long",
            Self::HeadersTooLarge => "headers_too_large",
            Self::RequestTimeout => "request_timeout",
            Self::RateLimited => "rate_limited",
            Self::KeysUnavailable => "keys_unavailable",
            Self::Unavailable => "unavailable",
            Self::MirrorUnavailable => "mirror_unavailable",
        }
    }

    /// Returns the HTTP status. 401 and 403 always concern the caller's token; a refusal by the vendor is 502.
    #[must_use]
    pub const fn status(self) -> StatusCode {
        match self {
            Self::InvalidArgument | Self::InvalidCursor => StatusCode::BAD_REQUEST,
            Self::Unauthenticated => StatusCode::UNAUTHORIZED,
            Self::Forbidden => StatusCode::FORBIDDEN,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::NotAcceptable => StatusCode::NOT_ACCEPTABLE,
            Self::Conflict => StatusCode::CONFLICT,
            Self::PayloadTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::MisdirectedRequest => StatusCode::MISDIRECTED_REQUEST,
            Self::UnsupportedByProvider => StatusCode::UNPROCESSABLE_ENTITY,
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
            Self::ProviderAuth
            | Self::ProviderRejected
            | Self::ProviderMisconfigured
            | Self::ProviderProtocol => StatusCode::BAD_GATEWAY,
            Self::UriTooLong => StatusCode::URI_TOO_LONG,
            Self::HeadersTooLarge => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::RequestTimeout => StatusCode::REQUEST_TIMEOUT,
            Self::RateLimited => StatusCode::TOO_MANY_REQUESTS,
            Self::ProviderThrottled
            | Self::ProviderUnavailable
            | Self::KeysUnavailable
            | Self::Unavailable
            | Self::MirrorUnavailable => StatusCode::SERVICE_UNAVAILABLE,
            Self::ProviderTimeout | Self::NothingCached => StatusCode::GATEWAY_TIMEOUT,
        }
    }

    /// Returns the short human-readable summary, the same for every occurrence.
    #[must_use]
    pub const fn title(self) -> &'static str {
        match self {
            Self::InvalidArgument => "Invalid request",
            Self::InvalidCursor => "The cursor cannot be used",
            Self::Unauthenticated => "A valid token is needed",
            Self::Forbidden => "The token does not allow this",
            Self::NotFound => "Not found",
            Self::MethodNotAllowed => "Method not allowed",
            Self::NotAcceptable => "No acceptable encoding",
            Self::Conflict => "Conflict with the current state",
            Self::PayloadTooLarge => "The body is too large",
            Self::MisdirectedRequest => "The gateway does not answer to this host name",
            Self::UnsupportedByProvider => "This provider cannot do this",
            Self::Internal => "The gateway failed",
            Self::ProviderAuth => "The vendor refused the gateway's credential or permission",
            Self::ProviderRejected => "The vendor rejected the request",
            Self::ProviderMisconfigured => "The gateway's settings for the vendor are wrong",
            Self::ProviderProtocol => "The vendor's answer cannot be read",
            Self::ProviderThrottled => "The vendor's quota is used up",
            Self::ProviderUnavailable => "The vendor cannot be reached",
            Self::ProviderTimeout => "The vendor did not answer in time",
            Self::NothingCached => "Nothing is cached",
            Self::UriTooLong => "The path and query are too long",
            Self::HeadersTooLarge => "The headers are too large",
            Self::RequestTimeout => "The request took too long to arrive",
            Self::RateLimited => "Too many requests",
            Self::KeysUnavailable => "Tokens cannot be verified at the moment",
            Self::Unavailable => "The gateway accepts no more requests at the moment",
            Self::MirrorUnavailable => "The mirror cannot answer at the moment",
        }
    }

    /// Returns the code for an error of a provider.
    #[must_use]
    pub const fn of_provider_error(kind: ErrorKind) -> Self {
        match kind {
            ErrorKind::InvalidArgument => Self::InvalidArgument,
            ErrorKind::NotFound => Self::NotFound,
            ErrorKind::Conflict => Self::Conflict,
            ErrorKind::Unsupported => Self::UnsupportedByProvider,
            ErrorKind::Auth => Self::ProviderAuth,
            ErrorKind::Throttled => Self::ProviderThrottled,
            ErrorKind::Rejected => Self::ProviderRejected,
            ErrorKind::Misconfigured => Self::ProviderMisconfigured,
            ErrorKind::Timeout => Self::ProviderTimeout,
            ErrorKind::Unavailable => Self::ProviderUnavailable,
            ErrorKind::Protocol => Self::ProviderProtocol,
            ErrorKind::Unexpected => Self::Internal,
        }
    }

    /// Returns the default wait of the codes that carry `Retry-After`.
    const fn default_retry_after_s(self) -> Option<u64> {
        match self {
            Self::ProviderThrottled => Some(2),
            Self::ProviderUnavailable
            | Self::KeysUnavailable
            | Self::Unavailable
            | Self::MirrorUnavailable => Some(5),
            Self::RateLimited => Some(1),
            _ => None,
        }
    }
}

impl std::fmt::Display for Code {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The longest wait that a client is given, in seconds: a day, which is the longest window of a quota.
const LONGEST_RETRY_AFTER_S: u64 = 86_400;

/// Returns a wait in whole seconds, rounded up: at least one, since "now" would bring the client back at once, and at most a day.
fn retry_after(wait: Duration) -> u64 {
    let seconds = wait
        .as_secs()
        .saturating_add(u64::from(wait.subsec_nanos() > 0));
    seconds.clamp(1, LONGEST_RETRY_AFTER_S)
}

/// A problem (RFC 9457).
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Problem {
    /// Identifies the kind of problem: `urn:ota-gateway:problem:` and the code.
    #[serde(rename = "type")]
    pub type_uri: String,
    /// A short summary, the same for every problem of this kind.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// What happened, and what to do about it.
    pub detail: String,
    /// The stable code to branch on: [`Code`]. Expect new ones.
    pub code: String,
    /// The identifier of the request, also in the header `X-Request-Id` and in the gateway's log.
    pub request_id: String,
    /// The provider that the request was for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
    /// The vendor's own error.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vendor: Option<VendorProblem>,
    /// Seconds to wait before trying again; also in the header `Retry-After`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_after_s: Option<u64>,
    /// The parameter that is wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
}

/// The vendor's own error, without secrets.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct VendorProblem {
    /// The vendor's code.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// The vendor's text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// The vendor's identifier of the call; quote it to the vendor's support.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
}

/// A problem before it belongs to a request.
#[derive(Clone, Debug)]
pub struct Failure {
    /// The code.
    pub code: Code,
    /// What happened, and what to do about it.
    pub detail: String,
    /// The parameter that is wrong.
    pub field: Option<String>,
    /// The provider that the request was for.
    pub provider: Option<String>,
    /// The vendor's own error.
    pub vendor: Option<VendorProblem>,
    /// Seconds to wait.
    pub retry_after_s: Option<u64>,
    /// The value of `WWW-Authenticate`.
    pub challenge: Option<&'static str>,
    /// The value of `Allow`, for a method that the path does not support.
    pub allow: Option<HeaderValue>,
}

impl Failure {
    /// Creates a failure.
    #[must_use]
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        Self {
            code,
            detail: detail.into(),
            field: None,
            provider: None,
            vendor: None,
            retry_after_s: code.default_retry_after_s(),
            challenge: None,
            allow: None,
        }
    }

    /// Creates the refusal of a parameter.
    #[must_use]
    pub fn invalid(field: impl Into<String>, detail: impl Into<String>) -> Self {
        Self {
            field: Some(field.into()),
            ..Self::new(Code::InvalidArgument, detail)
        }
    }

    /// Creates the failure that a provider's error is to its caller, and writes the whole chain to the log, once.
    #[must_use]
    pub fn of_provider(error: &Error, provider: &str, request_id: &str) -> Self {
        let code = match error.is_invalid_cursor() {
            true => Code::InvalidCursor,
            false => Code::of_provider_error(error.kind()),
        };
        log(error, code, provider, request_id);
        let retry_after_s = error
            .retry_after()
            .map(retry_after)
            .or_else(|| code.default_retry_after_s());
        Self {
            field: error.field().map(str::to_owned),
            provider: Some(provider.to_owned()),
            vendor: error.vendor().map(|vendor| VendorProblem {
                code: vendor.code.clone(),
                message: vendor.message.clone(),
                request_id: vendor.request_id.clone(),
            }),
            retry_after_s: retry_after_s.filter(|_| code.default_retry_after_s().is_some()),
            ..Self::new(code, error.message())
        }
    }

    /// Writes the problem for a request.
    #[must_use]
    pub fn into_problem(self, request_id: &str) -> Problem {
        Problem {
            type_uri: format!("urn:ota-gateway:problem:{}", self.code.as_str()),
            title: self.code.title().to_owned(),
            status: self.code.status().as_u16(),
            detail: self.detail,
            code: self.code.as_str().to_owned(),
            request_id: request_id.to_owned(),
            provider: self.provider,
            vendor: self.vendor,
            retry_after_s: self.retry_after_s,
            field: self.field,
        }
    }
}

/// `error` needs attention; `warn` is a problem that may pass.
fn log(error: &Error, code: Code, provider: &str, request_id: &str) {
    match code {
        Code::Internal
        | Code::ProviderAuth
        | Code::ProviderMisconfigured
        | Code::ProviderRejected => {
            tracing::error!(
                provider.name = provider,
                request.id = request_id,
                code = code.as_str(),
                "vendor call failed: {error:?}"
            );
        }
        Code::ProviderProtocol
        | Code::ProviderThrottled
        | Code::ProviderUnavailable
        | Code::ProviderTimeout => {
            tracing::warn!(
                provider.name = provider,
                request.id = request_id,
                code = code.as_str(),
                "vendor call failed: {error:?}"
            );
        }
        _ => {
            tracing::debug!(
                provider.name = provider,
                request.id = request_id,
                code = code.as_str(),
                "request refused: {error:?}"
            );
        }
    }
}

/// The type of problem documents.
pub const CONTENT_TYPE: &str = "application/problem+json";

/// A failure leaves a handler without its request's identifier; the outermost layer, which knows it, writes the document.
impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let mut response = self.code.status().into_response();
        response.extensions_mut().insert(self);
        response
    }
}

/// Writes the problem document of `failure` into a response.
pub fn render(failure: Failure, request_id: &str) -> Response {
    let (challenge, allow, status) = (
        failure.challenge,
        failure.allow.clone(),
        failure.code.status(),
    );
    let problem = failure.into_problem(request_id);
    let retry_after = problem.retry_after_s;
    let body = serde_json::to_vec(&problem).unwrap_or_default();
    let mut response = (status, [(header::CONTENT_TYPE, CONTENT_TYPE)], body).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Some(seconds) = retry_after {
        headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    if let Some(challenge) = challenge {
        headers.insert(
            header::WWW_AUTHENTICATE,
            HeaderValue::from_static(challenge),
        );
    }
    if let Some(allow) = allow {
        headers.insert(header::ALLOW, allow);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::{Code, Failure};
    use std::time::Duration;

    use ota_core::{Error, ErrorKind};

    #[test]
    fn what_a_vendor_does_never_speaks_of_the_callers_token() {
        for kind in ErrorKind::ALL {
            let status = Code::of_provider_error(*kind).status().as_u16();
            assert!(![401, 403, 429].contains(&status), "{kind}");
        }
    }

    #[test]
    fn a_client_is_never_told_to_come_back_at_once_nor_never() {
        for (wait, seconds) in [
            (Duration::ZERO, 1),
            (Duration::from_millis(1), 1),
            (Duration::from_millis(1001), 2),
            (Duration::from_secs(30), 30),
            (Duration::MAX, super::LONGEST_RETRY_AFTER_S),
        ] {
            let error = Error::new(ErrorKind::Throttled, "x").with_retry_after(wait);
            let problem = Failure::of_provider(&error, "p", "r");
            assert_eq!(problem.retry_after_s, Some(seconds), "{wait:?}");
        }
    }
}
