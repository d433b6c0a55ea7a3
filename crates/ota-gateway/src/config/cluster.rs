//! `[cluster]`

use std::net::SocketAddr;
use std::path::PathBuf;

use serde::Deserialize;

use super::error::ConfigError;
use super::section::{self, Section};

/// This gateway among those that share its database. Without PostgreSQL there are no others, and nothing here has an effect.
#[derive(Debug)]
pub struct ClusterConfig {
    /// Where the other gateways reach this one, if it is set: an origin. See [`ClusterConfig::address`].
    advertise_url: Option<String>,
    /// The certificates that other gateways are trusted by; those of the system if there is no file.
    pub ca_file: Option<PathBuf>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Raw {
    advertise_url: Option<String>,
    ca_file: Option<PathBuf>,
}

pub(super) fn keys() -> Vec<String> {
    section::keys_of::<Raw>()
}

pub(super) fn read(section: Section) -> Result<ClusterConfig, ConfigError> {
    let (raw, mut mistakes): (Raw, _) = section.read()?;
    let advertise_url = raw.advertise_url.map(|url| match origin(&url) {
        Ok(origin) => Some(origin),
        Err(what) => {
            mistakes.add("advertise_url", what);
            None
        }
    });
    mistakes.finish(|| {
        Some(ClusterConfig {
            // None within would be a mistake.
            advertise_url: advertise_url.flatten(),
            ca_file: raw.ca_file,
        })
    })
}

impl ClusterConfig {
    /// Returns where the other gateways reach this one: what is set, or else its listener.
    ///
    /// # Errors
    /// What is wrong with `cluster.advertise_url`: it has to be set where the address of the listener is not one that others can reach.
    pub fn address(&self, listen: SocketAddr, tls: bool) -> Result<String, &'static str> {
        if let Some(url) = &self.advertise_url {
            return Ok(url.clone());
        }
        let ip = listen.ip().to_canonical();
        if ip.is_unspecified() || ip.is_loopback() || listen.port() == 0 {
            return Err(
                "has to be set: several gateways can share the PostgreSQL database, and others cannot reach this one at the address of `server.listen`; give the URL by which they do, such as `https://gateway-1.internal:8443`",
            );
        }
        let scheme = if tls { "https" } else { "http" };
        Ok(format!("{scheme}://{}", SocketAddr::new(ip, listen.port())))
    }
}

/// Returns an origin without a slash at its end. What is wrong is said without repeating the text, which may hold a password.
fn origin(url: &str) -> Result<String, &'static str> {
    let text = url.strip_suffix('/').unwrap_or(url);
    let host = text
        .strip_prefix("https://")
        .or_else(|| text.strip_prefix("http://"))
        .ok_or("has to begin with `https://` or `http://`")?;
    if host.contains('@') {
        return Err("must not hold a user or a password");
    }
    let uri = text.parse::<axum::http::Uri>();
    let is_origin = !host.contains(['/', '?', '#'])
        && uri.is_ok_and(|uri| uri.host().is_some_and(|host| !host.is_empty()));
    match is_origin {
        true => Ok(text.to_owned()),
        false => Err("has to be scheme, host and port alone: `https://HOST:PORT`"),
    }
}

#[cfg(test)]
mod tests {
    use super::{ClusterConfig, origin};

    #[test]
    fn an_address_is_an_origin() {
        for (url, expected) in [
            ("https://a.internal:8443/", Ok("https://a.internal:8443")),
            ("http://10.0.0.7:8080", Ok("http://10.0.0.7:8080")),
            ("http://[fd00::7]:8080", Ok("http://[fd00::7]:8080")),
        ] {
            assert_eq!(origin(url).as_deref(), expected.as_deref(), "{url}");
        }
        for url in [
            "",
            "a.internal:8443",
            "ftp://a",
            "https://",
            "https:///",
            "https://u:p@a",
            "https://a/x",
            "https://a?x",
            "https://a#x",
            "https://a b",
        ] {
            let what = origin(url).unwrap_err();
            assert!(!what.contains("u:p"), "{url}: {what}");
        }
    }

    #[test]
    fn without_one_the_listener_is_taken_if_others_reach_it() {
        let config = |url: Option<&str>| ClusterConfig {
            advertise_url: url.map(str::to_owned),
            ca_file: None,
        };
        let listen = |text: &str| text.parse().unwrap();
        let none = config(None);
        assert_eq!(
            none.address(listen("10.0.0.7:8080"), false),
            Ok("http://10.0.0.7:8080".to_owned())
        );
        assert_eq!(
            none.address(listen("[fd00::7]:8443"), true),
            Ok("https://[fd00::7]:8443".to_owned())
        );
        for unreachable in [
            "127.0.0.1:8080",
            "0.0.0.0:8080",
            "[::]:8080",
            "[::1]:8080",
            "[::ffff:127.0.0.1]:8080",
            "10.0.0.7:0",
        ] {
            assert!(
                none.address(listen(unreachable), false).is_err(),
                "{unreachable}"
            );
        }
        let set = config(Some("https://a:1"));
        assert_eq!(
            set.address(listen("127.0.0.1:8080"), false),
            Ok("https://a:1".to_owned())
        );
    }
}
