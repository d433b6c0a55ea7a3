//! How a vendor's endpoint is reached: the keys that every provider section has.

use std::path::PathBuf;

use ota_core::clock::Clock;
use ota_core::id::ProviderName;
use ota_core::provider::{SettingError, SettingErrors};
use ota_http::endpoint::Endpoint;
use ota_http::tls::{TlsOptions, TlsSettings};
use ota_http::{Client, Options};

/// The keys of a provider section that say how the endpoint is reached. An adapter's `Settings` has a field for each and hands them over.
#[derive(Clone, Debug, Default)]
pub struct ConnectionSettings {
    /// `endpoint`
    pub endpoint: Option<String>,
    /// `allow_http`
    pub allow_http: Option<bool>,
    /// `ca_file`
    pub ca_file: Option<PathBuf>,
    /// `client_cert_file`
    pub client_cert_file: Option<PathBuf>,
    /// `client_key_file`
    pub client_key_file: Option<PathBuf>,
    /// `server_name`
    pub server_name: Option<String>,
    /// `verify_hostname`
    pub verify_hostname: Option<bool>,
}

/// How a vendor's endpoint is reached, checked.
#[derive(Clone, Debug)]
pub struct Connection {
    /// The API's address. Requests go below it.
    pub endpoint: Endpoint,
    /// TLS; `None` for an endpoint without TLS.
    pub tls: Option<TlsOptions>,
}

impl ConnectionSettings {
    /// Checks the settings of a vendor whose endpoint must be given, and reads the files that they name. `errors` is given every key that is wrong, with what
    /// to do; `example` is an endpoint that the advice on a missing one shows.
    pub fn into_connection(self, example: &str, errors: &mut SettingErrors) -> Option<Connection> {
        self.into_connection_at(|endpoint| required_address(endpoint, example), errors)
    }

    /// As [`ConnectionSettings::into_connection`], for a vendor whose address follows from other keys: `address` is given what `endpoint` holds and returns the
    /// address.
    pub fn into_connection_at(
        self,
        address: impl FnOnce(Option<String>) -> Result<String, SettingError>,
        errors: &mut SettingErrors,
    ) -> Option<Connection> {
        let allow_http = self.allow_http.unwrap_or(false);
        let endpoint = errors.check(address(self.endpoint).and_then(|address| {
            Endpoint::parse(address.trim(), allow_http)
                .map_err(|message| SettingError::new("endpoint", message))
        }));
        let tls = TlsSettings {
            ca_file: self.ca_file,
            client_cert_file: self.client_cert_file,
            client_key_file: self.client_key_file,
            server_name: self.server_name,
            verify_hostname: self.verify_hostname,
        }
        .into_options(endpoint.as_ref(), errors);
        Some(Connection {
            endpoint: endpoint?,
            tls,
        })
    }
}

fn required_address(endpoint: Option<String>, example: &str) -> Result<String, SettingError> {
    endpoint.ok_or_else(|| {
        SettingError::missing(
            "endpoint",
            &["endpoint"],
            format!("it is missing; give the platform's address, for instance {example}"),
        )
    })
}

impl Connection {
    /// Builds the client of a provider, and warns of its certificates that end soon. An endpoint on this machine is called directly, even where the environment
    /// names a proxy.
    ///
    /// # Errors
    /// When the TLS settings cannot be used on this machine.
    pub fn client(&self, name: &ProviderName, clock: &dyn Clock) -> Result<Client, SettingError> {
        let options = Options {
            tls: self.tls.clone(),
            direct: self.endpoint.is_loopback(),
            ..Options::default()
        };
        let client = Client::new(&options)
            .map_err(|error| SettingError::new("endpoint", error.to_string()))?;
        if let Some(tls) = &self.tls {
            tls.warn(name.as_str(), clock.now());
        }
        Ok(client)
    }
}

#[cfg(test)]
mod tests {
    use ota_core::clock::SystemClock;
    use ota_core::id::ProviderName;
    use ota_core::provider::SettingErrors;

    use super::{Connection, ConnectionSettings};

    fn connection(settings: ConnectionSettings) -> Result<Connection, SettingErrors> {
        let mut errors = SettingErrors::default();
        let connection = settings.into_connection("https://acme.example.com", &mut errors);
        errors.finish(|| connection)
    }

    fn at(endpoint: &str) -> ConnectionSettings {
        ConnectionSettings {
            endpoint: Some(endpoint.to_owned()),
            ..ConnectionSettings::default()
        }
    }

    #[test]
    fn an_endpoint_is_reached_by_tls_or_on_this_machine() {
        let reached = connection(at(" https://acme.example.com/api ")).unwrap();
        assert_eq!(reached.endpoint.base(), "https://acme.example.com/api");
        assert!(reached.tls.is_some());
        let reached = connection(at("http://127.0.0.1:8080")).unwrap();
        assert!(reached.tls.is_none());
        let name = ProviderName::parse("p").unwrap();
        assert!(reached.client(&name, &SystemClock).is_ok());
        let plain = ConnectionSettings {
            allow_http: Some(true),
            ..at("http://10.0.0.1")
        };
        assert!(connection(plain).is_ok());
    }

    #[test]
    fn every_wrong_key_is_named_at_once() {
        let error = connection(ConnectionSettings {
            ca_file: Some("/no/such".into()),
            ..at("http://10.0.0.1")
        });
        let error = error.unwrap_err();
        let keys: Vec<_> = error.iter().map(|error| error.key).collect();
        assert_eq!(keys, ["endpoint", "ca_file"]);
        let missing = connection(ConnectionSettings::default()).unwrap_err();
        assert!(missing.to_string().contains("https://acme.example.com"));
    }
}
