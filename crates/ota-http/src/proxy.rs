//! The proxies that the environment names (`HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY`, `NO_PROXY`), for errors.
//!
//! The library below uses them; here is only found out which one a request went through, by the same rules, so that an error of the proxy is not
//! taken for one of the vendor.

use std::sync::Arc;

use hyper_util::client::proxy::matcher::Matcher;
use ota_core::{Error, ErrorKind};

/// What the environment says about proxies.
#[derive(Clone, Default)]
pub(crate) struct Proxies(Option<Arc<Matcher>>);

impl std::fmt::Debug for Proxies {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Proxies").field(&self.0.is_some()).finish()
    }
}

impl Proxies {
    /// No proxy.
    pub(crate) fn none() -> Self {
        Self(None)
    }

    /// The environment's.
    pub(crate) fn of_environment() -> Self {
        Self(Some(Arc::new(Matcher::from_system())))
    }

    /// Returns host and port of the proxy that a request goes through, without the credential that its setting may hold.
    pub(crate) fn of(&self, url: &str) -> Option<String> {
        // Without the query, which holds the signature and is not needed.
        let url = url.split('?').next()?.parse().ok()?;
        let proxy = self.0.as_ref()?.intercept(&url)?;
        let uri = proxy.uri();
        let host = uri.host()?;
        Some(match uri.port_u16() {
            Some(port) => format!("{host}:{port}"),
            None => host.to_owned(),
        })
    }
}

const ADVICE: &str = "correct the address of the proxy in the environment variables HTTPS_PROXY, HTTP_PROXY and ALL_PROXY, or list the host of the call in NO_PROXY so that it is called directly";

/// The error for a proxy that asks for a credential.
pub(crate) fn wants_login(proxy: &str) -> Error {
    Error::new(
        ErrorKind::Misconfigured,
        format!("the proxy `{proxy}` asks for a user name and password (407)"),
    )
    .with_advice(format!(
        "write the proxy's user name and password into its URL (http://user:password@host:port); {ADVICE}"
    ))
}

/// The error for a proxy that cannot be reached or refuses; `None` when the proxy did its part.
pub(crate) fn failed(proxy: &str, error: &reqwest::Error) -> Option<Error> {
    let mut causes = Vec::new();
    let mut cause: Option<&dyn std::error::Error> = Some(error);
    while let Some(error) = cause {
        causes.push(error.to_string());
        cause = error.source();
    }
    // The type of this error is private to the library.
    let tunnel = causes.iter().find(|text| text.starts_with("tunnel error"));
    match tunnel {
        Some(text) if text.contains("authorization required") => Some(wants_login(proxy)),
        Some(text) if text.contains("unsuccessful") => Some(
            Error::new(
                ErrorKind::Unavailable,
                format!("the proxy `{proxy}` refuses to connect to the server"),
            )
            .with_advice(format!(
                "the proxy's log says why (403: the host is not allowed there; 502 and 504: it cannot reach the host); {ADVICE}"
            )),
        ),
        Some(_) => Some(unreachable(proxy)),
        None if error.is_connect() => Some(unreachable(proxy)),
        None => None,
    }
}

fn unreachable(proxy: &str) -> Error {
    Error::new(
        ErrorKind::Unavailable,
        format!("the proxy `{proxy}` cannot be reached"),
    )
    .with_advice(ADVICE)
}
