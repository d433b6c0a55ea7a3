//! Checking a configured endpoint.

use std::net::IpAddr;

/// The base URL of a vendor's API, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    base: String,
    authority: String,
    https: bool,
    loopback: bool,
}

impl Endpoint {
    /// Checks a configured endpoint: `https`, or `http` for a loopback address (or with `allow_http`), a host, an optional port, and an optional path below
    /// which the API is, as behind a reverse proxy (`https://host/hawkbit`).
    ///
    /// # Errors
    /// Returns what is wrong and what to do. The text never repeats an endpoint that holds user info or a query.
    pub fn parse(text: &str, allow_http: bool) -> Result<Self, String> {
        let url = reqwest::Url::parse(text)
            .map_err(|error| format!("it is not a URL such as `https://host:port` ({error})"))?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err("it holds user info; credentials have settings of their own".to_owned());
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(
                "it has a query or a fragment; give scheme, host and port, and a path if the API is below one".to_owned(),
            );
        }
        let prefix = url.path().trim_end_matches('/');
        if prefix.contains("//") || url.path().ends_with("//") {
            return Err("its path has an empty part (`//`); remove one slash".to_owned());
        }
        let host = url
            .host_str()
            .filter(|host| !host.is_empty())
            .ok_or("it has no host")?;
        let https = match url.scheme() {
            "https" => true,
            "http" if allow_http || is_loopback(host) => false,
            "http" => {
                return Err(format!(
                    "`{text}` is not encrypted; use https, or set `allow_http = true` if you accept that the responses can be read on the network"
                ));
            }
            scheme => return Err(format!("its scheme is `{scheme}`; use https")),
        };
        let authority = match url.port() {
            Some(port) => format!("{host}:{port}"),
            None => host.to_owned(),
        };
        let loopback = is_loopback(host);
        Ok(Self {
            base: format!("{}://{authority}{prefix}", url.scheme()),
            authority,
            https,
            loopback,
        })
    }

    /// Returns scheme, host, port and path, without a slash at the end. A request's path is put behind it.
    #[must_use]
    pub fn base(&self) -> &str {
        &self.base
    }

    /// Returns the value of the `Host` header: host, and port unless it is the scheme's own.
    #[must_use]
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// Returns whether the endpoint is on this machine.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        self.loopback
    }

    /// Returns whether TLS is used.
    #[must_use]
    pub fn is_https(&self) -> bool {
        self.https
    }
}

fn is_loopback(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost")
        || address
            .parse::<IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::Endpoint;

    #[test]
    fn an_endpoint_is_scheme_host_and_port() {
        let endpoint = Endpoint::parse("https://iot.cn-shanghai.aliyuncs.com:443/", false).unwrap();
        assert_eq!(endpoint.base(), "https://iot.cn-shanghai.aliyuncs.com");
        assert_eq!(endpoint.authority(), "iot.cn-shanghai.aliyuncs.com");
        let endpoint = Endpoint::parse("http://127.0.0.1:9001", false).unwrap();
        assert_eq!(
            (endpoint.authority(), endpoint.is_https()),
            ("127.0.0.1:9001", false)
        );
        assert!(Endpoint::parse("http://[::1]:9001", false).is_ok());
        assert!(Endpoint::parse("http://10.0.0.1", true).is_ok());
    }

    #[test]
    fn an_endpoint_can_be_below_a_path() {
        for (text, base) in [
            ("https://host/hawkbit", "https://host/hawkbit"),
            ("https://host/hawkbit/", "https://host/hawkbit"),
            ("https://host:8443/a/b%20c", "https://host:8443/a/b%20c"),
            ("https://host/a/../b", "https://host/b"),
            ("https://host/", "https://host"),
        ] {
            let endpoint = Endpoint::parse(text, false).unwrap();
            assert_eq!(endpoint.base(), base, "{text}");
            assert!(endpoint.authority().starts_with("host"));
        }
    }

    #[test]
    fn what_could_leak_or_mislead_is_refused() {
        for text in [
            "http://10.0.0.1",
            "http://localhost.example.com",
            "ftp://h",
            "https://u:p@h",
            "https://h//path",
            "https://h/path//",
            "https://h/path?x=1",
            "https://h?x=1",
            "https://h#x",
            "h",
            "",
            "https://",
        ] {
            let error = Endpoint::parse(text, false).unwrap_err();
            assert!(!error.contains("u:p"), "{error}");
        }
    }
}
