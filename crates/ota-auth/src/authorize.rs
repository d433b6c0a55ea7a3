//! Deciding whether a request may do what it asks for.

use std::sync::Arc;

use axum::http::header::{AUTHORIZATION, HOST, ORIGIN};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Uri};
use time::OffsetDateTime;

use super::caller::Caller;
use super::error::TokenError;
use super::loopback::is_loopback_host;
use super::token::Verifier;

/// How callers are identified.
#[derive(Debug)]
pub enum Access {
    /// By a signed token.
    Jwt(Box<Verifier>),
    /// All requests are allowed; only on a loopback address, and only for a loopback `Host`.
    Disabled,
}

/// The parts of a request that identify its sender.
#[derive(Clone, Copy, Debug)]
pub struct Credentials<'a> {
    /// Its headers.
    pub headers: &'a HeaderMap,
    /// Its target.
    pub uri: &'a Uri,
    /// The listener that received it.
    pub listener: Listener<'a>,
}

/// The properties of the listener that received a request.
#[derive(Clone, Copy, Debug)]
pub struct Listener<'a> {
    /// Whether it is encrypted.
    pub tls: bool,
    /// The origins whose web pages may call.
    pub allowed_origins: &'a [HeaderValue],
}

/// Why a request is rejected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AuthError {
    /// It has no token, or none in the right form; says what is wrong.
    NoToken(&'static str),
    /// Its token is invalid, or cannot be verified.
    Token(TokenError),
    /// Its token does not have this scope.
    Scope(&'static str),
    /// Access control is disabled, and the request does not name this machine.
    NotLoopback,
    /// Access control is disabled, and a web page of another origin sends the request.
    OtherOrigin,
}

impl From<TokenError> for AuthError {
    fn from(error: TokenError) -> Self {
        Self::Token(error)
    }
}

impl std::fmt::Display for AuthError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NoToken(detail) => f.write_str(detail),
            Self::Token(error) => error.fmt(f),
            Self::Scope(scope) => write!(f, "the token does not have the scope `{scope}`"),
            Self::NotLoopback => f.write_str(
                "access control is disabled, so only requests to localhost or a loopback address are answered",
            ),
            Self::OtherOrigin => f.write_str(
                "access control is disabled, so requests of web pages of other origins are refused; list the origin in server.cors_origins if it may call",
            ),
        }
    }
}

impl std::error::Error for AuthError {}

/// Decides whether a request may do what needs this scope, and who sends it.
///
/// # Errors
/// The reason why it is rejected.
pub fn authorize(
    access: &Access,
    request: &Credentials<'_>,
    now: OffsetDateTime,
    scope: &'static str,
) -> Result<Arc<Caller>, AuthError> {
    let Credentials {
        headers,
        uri,
        listener,
    } = *request;
    let verifier = match access {
        Access::Jwt(verifier) => verifier,
        Access::Disabled => {
            // A page of another site can make a browser send requests here, but not with a loopback name in `Host`.
            // Every name that the request gives must be a loopback name: another component may use a second header, or the full URL
            // in the request line.
            let names = headers
                .get_all(HOST)
                .iter()
                .map(|host| host.to_str().unwrap_or_default());
            let names: Vec<&str> = names
                .chain(uri.authority().map(|authority| authority.as_str()))
                .collect();
            if names.is_empty() || !names.iter().all(|name| is_loopback_host(name)) {
                return Err(AuthError::NotLoopback);
            }
            if comes_from_another_site(headers, names[0], listener) {
                return Err(AuthError::OtherOrigin);
            }
            return Ok(Arc::default());
        }
    };
    let caller = verifier
        .caller(bearer(headers)?, now)
        .map_err(AuthError::Token)?;
    if !caller.has_scope(scope) {
        return Err(AuthError::Scope(scope));
    }
    Ok(caller)
}

fn bearer(headers: &HeaderMap) -> Result<&str, AuthError> {
    let refused = AuthError::NoToken;
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let value = values
        .next()
        .ok_or_else(|| refused("no token; send the header `Authorization: Bearer <token>`"))?;
    if values.next().is_some() {
        return Err(refused(
            "the header `Authorization` is given more than once",
        ));
    }
    let text = value
        .to_str()
        .map_err(|_| refused("the header `Authorization` is not text"))?;
    let (scheme, token) = text.split_once(' ').unwrap_or((text, ""));
    let token = token.trim();
    if !scheme.eq_ignore_ascii_case("bearer") || token.is_empty() {
        return Err(refused(
            "the header `Authorization` is not of the form `Bearer <token>`",
        ));
    }
    Ok(token)
}

/// Whether a web page of another origin makes the browser send this, and that origin is not one of those that may call.
///
/// Browsers say where a request comes from in two headers that pages cannot change: `Sec-Fetch-Site`, and `Origin` with whatever is not a plain GET.
/// Other programs send neither. A proxy of this machine that ends TLS makes the scheme of `Origin` another than this listener's; then it counts what
/// the browser says, and that the host is the same.
fn comes_from_another_site(headers: &HeaderMap, host: &str, listener: Listener<'_>) -> bool {
    let mut sites = headers.get_all(SEC_FETCH_SITE).iter().peekable();
    let same_origin = sites.peek().is_some() && sites.all(|site| site.as_bytes() == b"same-origin");
    let mut origins = headers.get_all(ORIGIN).iter().peekable();
    if origins.peek().is_some() {
        let scheme = match listener.tls {
            true => "https",
            false => "http",
        };
        let own = format!("{scheme}://{host}");
        return !origins.all(|origin| {
            origin.as_bytes().eq_ignore_ascii_case(own.as_bytes())
                || (same_origin && is_origin_of_host(origin, host))
                || listener.allowed_origins.contains(origin)
        });
    }
    // `none` means that the user typed the address. An unknown value is treated as cross-site.
    let same = |site: &HeaderValue| matches!(site.as_bytes(), b"same-origin" | b"none");
    !headers.get_all(SEC_FETCH_SITE).iter().all(same)
}

/// Whether an origin has the host and port of a `Host` header, whatever its scheme. Some proxies add the usual port, which browsers leave out.
fn is_origin_of_host(origin: &HeaderValue, host: &str) -> bool {
    let schemes = [("http://", ":80"), ("https://", ":443")];
    let Ok(origin) = origin.to_str() else {
        return false;
    };
    schemes.iter().any(|(scheme, usual_port)| {
        let bare = host.strip_suffix(usual_port).unwrap_or(host);
        origin
            .strip_prefix(scheme)
            .is_some_and(|name| !name.is_empty() && name.eq_ignore_ascii_case(bare))
    })
}

/// Where a browser says that a request comes from (Fetch Metadata Request Headers, section 2.4).
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

#[cfg(test)]
mod tests {
    use super::is_origin_of_host;
    use axum::http::HeaderValue;

    #[test]
    fn an_origin_is_compared_with_the_host_without_its_scheme() {
        let is = |origin: &'static str, host: &str| {
            is_origin_of_host(&HeaderValue::from_static(origin), host)
        };
        for (origin, host) in [
            ("https://localhost", "localhost"),
            ("https://localhost", "LOCALHOST:443"),
            ("http://localhost", "localhost:80"),
            ("https://localhost:8443", "localhost:8443"),
            ("https://[::1]:8443", "[::1]:8443"),
        ] {
            assert!(is(origin, host), "{origin} {host}");
        }
        for (origin, host) in [
            ("null", "localhost"),
            ("https://", ""),
            ("localhost", "localhost"),
            ("ftp://localhost", "localhost"),
            ("https://localhost", "localhost:80"),
            ("https://localhost:8443", "localhost"),
            ("https://localhost.evil.example", "localhost"),
            ("https://evil.example/localhost", "localhost"),
        ] {
            assert!(!is(origin, host), "{origin} {host}");
        }
    }
}
