//! Settings of one account.

use std::path::PathBuf;
use std::sync::Arc;

use ota_adapter::connection::{Connection, ConnectionSettings};
use ota_adapter::settings::CredentialKeys;
use ota_core::capability::{DocumentedQuota, QuotaPer};
use ota_core::provider::SettingErrors;
use ota_http::SecretSource;
use serde::Deserialize;

/// The vendor as configuration names it.
pub const VENDOR: &str = "__name__";

/// What the vendor documents. Cite the page and the date on which you read it.
pub(crate) const QUOTA: DocumentedQuota = DocumentedQuota {
    calls: 100,
    window_s: 60,
    per: QuotaPer::Application,
    exceptions: &[],
};

/// How many calls are made in a window unless configured otherwise.
pub(crate) const DEFAULT_CALLS: u32 = 90;

const TOKEN: CredentialKeys = CredentialKeys {
    key: "token",
    file_key: "token_file",
    keys: &["token_file", "token"],
};

/// The keys of a provider section, as written in the configuration file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    endpoint: Option<String>,
    allow_http: Option<bool>,
    token: Option<String>,
    token_file: Option<PathBuf>,
    ca_file: Option<PathBuf>,
    client_cert_file: Option<PathBuf>,
    client_key_file: Option<PathBuf>,
    server_name: Option<String>,
    verify_hostname: Option<bool>,
}

/// Checked settings of one account.
#[derive(Debug)]
pub struct Config {
    /// How the API is reached.
    pub connection: Connection,
    /// The token that each call carries.
    pub token: Arc<SecretSource>,
}

impl Config {
    /// Returns what identifies the vendor account: providers with the same value share one quota.
    #[must_use]
    pub fn account(&self) -> String {
        format!("{VENDOR} {}", self.connection.endpoint.base())
    }
}

impl Settings {
    /// Checks the settings and reads secret, certificate and key files.
    ///
    /// # Errors
    /// Names the key that is missing or wrong and says what to do.
    pub fn into_config(self) -> Result<Config, SettingErrors> {
        let mut errors = SettingErrors::default();
        let connection = ConnectionSettings {
            endpoint: self.endpoint,
            allow_http: self.allow_http,
            ca_file: self.ca_file,
            client_cert_file: self.client_cert_file,
            client_key_file: self.client_key_file,
            server_name: self.server_name,
            verify_hostname: self.verify_hostname,
        }
        .into_connection("https://__name__.example.com", &mut errors);
        let token = errors.check(TOKEN.required(self.token, self.token_file));
        errors.finish(|| {
            Some(Config {
                connection: connection?,
                token: Arc::new(token?),
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Settings;
    use serde_json::{Value, json};

    #[track_caller]
    fn check(settings: Value, wrong: &[&str]) {
        let settings: Settings = serde_json::from_value(settings).unwrap();
        let keys: Vec<&str> = match settings.into_config() {
            Ok(config) => {
                assert!(!format!("{config:?}").contains("s3cret-value"));
                Vec::new()
            }
            Err(errors) => {
                assert!(!errors.to_string().contains("s3cret-value"), "{errors}");
                errors.iter().map(|error| error.key).collect()
            }
        };
        assert_eq!(keys, wrong);
    }

    #[test]
    fn every_wrong_setting_is_named_without_its_secret() {
        let endpoint = "https://__name__.example.com";
        check(json!({"endpoint": endpoint, "token": "s3cret-value"}), &[]);
        check(json!({}), &["endpoint", "token_file"]);
        check(
            json!({"endpoint": "http://example.com", "token": "s3cret-value"}),
            &["endpoint"],
        );
        check(
            json!({"endpoint": endpoint, "token_file": "/no/such"}),
            &["token_file"],
        );
    }
}
