//! Who may do what.
//!
//! Permissions are extractor types: a handler that takes a [`Reader`] or an [`Admin`] cannot be reached without the scope.

mod algorithm;
mod claims;
mod crypto;
mod jwk;
mod keys;
mod mint;
mod point;
mod rsa;
mod source;
mod token;

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::header::{AUTHORIZATION, HOST, ORIGIN};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Uri};

pub use algorithm::{Algorithms, KeyKind};
pub use claims::{ClaimNames, Claims, Rules, unknown_scope};
pub use jwk::{AllLeftOut, LeftOut};
pub use keys::{KeyError, KeySet, MIN_SECRET_BYTES};
pub use mint::Mint;
pub use source::{KeySource, Keys};
pub use token::{TokenError, Verifier};

use crate::metrics::TurnedAway;
use crate::problem::{Code, Failure};
use crate::server::layer::{Notes, RequestId};
use crate::server::shares::Account;
use crate::state::{App, Edge};
use source::LookedFor;

/// The scope for everything that only reads.
pub const READ: &str = "ota:read";

/// The scope for checks.
pub const ADMIN: &str = "ota:admin";

/// Every scope that opens something.
pub const KNOWN_SCOPES: &[&str] = &[READ, ADMIN];

/// How callers are known.
#[derive(Debug)]
pub enum Access {
    /// By a signed token.
    Jwt(Box<Verifier>),
    /// Everybody may do everything; only on a loopback address, and only for a loopback `Host`.
    Disabled,
}

/// Who calls.
#[derive(Clone, Debug, Default)]
pub struct Caller {
    /// The token's `sub`.
    pub subject: Option<String>,
    scopes: Vec<String>,
    providers: Option<Vec<String>>,
}

impl From<Claims> for Caller {
    fn from(claims: Claims) -> Self {
        Self {
            subject: claims.sub,
            scopes: claims.scopes,
            providers: claims.providers,
        }
    }
}

impl Caller {
    /// Returns who it is, for logs and limits: the token's `sub`. Tokens without one are one caller.
    #[must_use]
    pub fn name(&self) -> &str {
        self.subject.as_deref().unwrap_or("(anonymous)")
    }

    /// Whether the caller may know that a provider exists.
    #[must_use]
    pub fn sees(&self, provider: &str) -> bool {
        self.providers
            .as_ref()
            .is_none_or(|names| names.iter().any(|name| name == provider))
    }
}

/// A caller who may read.
#[derive(Clone, Debug)]
pub struct Reader(pub Arc<Caller>);

/// A caller who may make the gateway check a provider.
#[derive(Clone, Debug)]
pub struct Admin(pub Arc<Caller>);

impl FromRequestParts<App> for Reader {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Failure> {
        admit(parts, app, READ).await.map(Self)
    }
}

impl FromRequestParts<App> for Admin {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Failure> {
        admit(parts, app, ADMIN).await.map(Self)
    }
}

/// Decides whether a request may do what needs this scope. A token of an unknown key makes the gateway look whether there are new keys.
async fn admit(parts: &Parts, app: &App, scope: &str) -> Result<Arc<Caller>, Failure> {
    let mut authorized = authorize(&parts.headers, &parts.uri, app, scope);
    if let (Err(Refused::Token(TokenError::UnknownKey)), Access::Jwt(verifier)) =
        (&authorized, app.access())
    {
        // Anybody can name a key that does not exist, and the key server may take its time; all such requests together have the share of one caller.
        let shares = &app.edge().shares;
        let _place = Notes::of(&parts.extensions)
            .place_for(&Account::Unverified, shares)
            .inspect_err(|_| app.metrics().turned_away(TurnedAway::Full))?;
        match verifier.keys().look_for_new(app.clock()).await {
            // They may have been read between the look at them and the question.
            LookedFor::Read | LookedFor::ReadBefore => {
                authorized = authorize(&parts.headers, &parts.uri, app, scope);
            }
            // Whether the key is good cannot be said, so nothing is said about the token.
            LookedFor::NoAnswer => authorized = Err(Refused::Token(TokenError::NoKeys)),
        }
    }
    if let Err(Refused::Token(TokenError::Foreign { detail, came })) = &authorized {
        let RequestId(request_id) = RequestId::of(&parts.extensions);
        tracing::info!(
            request.id = &*request_id,
            "a token was refused: {detail}; {came}"
        );
    }
    let caller = authorized.map_err(Failure::from)?;
    let notes = Notes::of(&parts.extensions);
    notes.caller(&caller);
    if let Some(limiter) = &app.edge().rate_limiter {
        let allowance = limiter.count(caller.name(), app.monotonic());
        notes.allowance(allowance);
        if let Some(refusal) = allowance.refusal() {
            return Err(refusal);
        }
    }
    notes
        .take_place(&Account::of(caller.subject.as_deref()), &app.edge().shares)
        .inspect_err(|_| app.metrics().turned_away(TurnedAway::Full))?;
    Ok(caller)
}

/// Why a request is not let in.
#[derive(Debug)]
pub(crate) enum Refused {
    /// Its token is not good, or cannot be verified.
    Token(TokenError),
    /// For another reason.
    For(Box<Failure>),
}

impl From<Failure> for Refused {
    fn from(failure: Failure) -> Self {
        Self::For(Box::new(failure))
    }
}

impl From<Refused> for Failure {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::For(failure) => *failure,
            Refused::Token(error @ TokenError::NoKeys) => {
                Self::new(Code::KeysUnavailable, error.to_string())
            }
            Refused::Token(error) => Self {
                challenge: Some("Bearer error=\"invalid_token\""),
                ..Self::new(Code::Unauthenticated, error.to_string())
            },
        }
    }
}

/// Decides whether a request may do what needs this scope, and who sends it.
///
/// # Errors
/// `unauthenticated`, `forbidden`, or `misdirected_request` where access control is disabled.
pub(crate) fn authorize(
    headers: &HeaderMap,
    uri: &Uri,
    app: &App,
    scope: &str,
) -> Result<Arc<Caller>, Refused> {
    let verifier = match app.access() {
        Access::Jwt(verifier) => verifier,
        Access::Disabled => {
            // A page of another site can make a browser send requests here, but not with a loopback name in `Host`.
            // Every name that the request gives must be one: a second header, or a whole URL in the request line, could be the one that
            // somebody else goes by.
            let names = headers
                .get_all(HOST)
                .iter()
                .map(|host| host.to_str().unwrap_or_default());
            let names: Vec<&str> = names
                .chain(uri.authority().map(|authority| authority.as_str()))
                .collect();
            if names.is_empty() || !names.iter().all(|name| is_loopback_host(name)) {
                return Err(Refused::from(Failure::new(
                    Code::MisdirectedRequest,
                    "access control is disabled, so only requests to localhost or a loopback address are answered",
                )));
            }
            if comes_from_another_site(headers, names[0], app.edge()) {
                return Err(Refused::from(Failure::new(
                    Code::Forbidden,
                    "access control is disabled, so requests of web pages of other origins are refused; list the origin in server.cors_origins if it may call",
                )));
            }
            return Ok(Arc::default());
        }
    };
    let caller = verifier
        .caller(bearer(headers)?, app.now())
        .map_err(Refused::Token)?;
    if !caller.scopes.iter().any(|has| has == scope) {
        return Err(Refused::from(Failure {
            challenge: Some("Bearer error=\"insufficient_scope\""),
            ..Failure::new(
                Code::Forbidden,
                format!("the token does not have the scope `{scope}`"),
            )
        }));
    }
    Ok(caller)
}

fn bearer(headers: &HeaderMap) -> Result<&str, Failure> {
    let refused = |detail: &str| Failure {
        challenge: Some("Bearer"),
        ..Failure::new(Code::Unauthenticated, detail)
    };
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
fn comes_from_another_site(headers: &HeaderMap, host: &str, edge: &Edge) -> bool {
    let mut sites = headers.get_all(SEC_FETCH_SITE).iter().peekable();
    let same_origin = sites.peek().is_some() && sites.all(|site| site.as_bytes() == b"same-origin");
    let mut origins = headers.get_all(ORIGIN).iter().peekable();
    if origins.peek().is_some() {
        let scheme = match edge.certificates {
            Some(_) => "https",
            None => "http",
        };
        let own = format!("{scheme}://{host}");
        return !origins.all(|origin| {
            origin.as_bytes().eq_ignore_ascii_case(own.as_bytes())
                || (same_origin && is_origin_of_host(origin, host))
                || edge.cors_origins.contains(origin)
        });
    }
    // `none` is a person who typed the address. What is in no list yet is not taken for harmless.
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

/// Whether a `Host` header names this machine.
fn is_loopback_host(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) && !name.is_empty() => name,
        _ => host,
    };
    let name = name
        .strip_prefix('[')
        .and_then(|name| name.strip_suffix(']'))
        .unwrap_or(name);
    name.eq_ignore_ascii_case("localhost")
        || name
            .parse::<IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::{is_loopback_host, is_origin_of_host};
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

    #[test]
    fn only_this_machine_is_loopback() {
        for host in [
            "localhost",
            "LOCALHOST:8080",
            "127.0.0.1:8080",
            "127.9.9.9",
            "[::1]:8080",
            "[::1]",
        ] {
            assert!(is_loopback_host(host), "{host}");
        }
        for host in [
            "",
            "example.com",
            "localhost.example.com",
            "127.0.0.1.example.com",
            "10.0.0.1:80",
            "[::2]",
            "evil:localhost",
        ] {
            assert!(!is_loopback_host(host), "{host}");
        }
    }
}
