//! Settings of one application.

use std::path::PathBuf;
use std::sync::Arc;

use http::{HeaderName, header};
use ota_adapter::settings::{CredentialKeys, required};
use ota_adapter::{Connection, ConnectionSettings};
use ota_core::capability::{DocumentedQuota, QuotaPer};
use ota_core::provider::{SettingError, SettingErrors};
use ota_http::secret::SecretSource;
use ota_http::tls::TlsOptions;
use serde::Deserialize;

/// The vendor as configuration names it.
pub const VENDOR: &str = "huawei-iot";

/// "(100 calls per minute by default)" ("Querying an Upgrade Task List", remark to 1010009, page of 2022-02-24, read 2026-11-23).
pub const QUOTA: DocumentedQuota = DocumentedQuota {
    calls: 100,
    window_s: 60,
    per: QuotaPer::Application,
    exceptions: &[],
};

/// How many calls are made in a window unless configured otherwise.
///
/// Below the documented figure: whether the vendor's window slides, and whether logins and refused calls count, is not
/// documented.
pub const DEFAULT_CALLS: u32 = 90;

/// The vendor's limit for `appId` (vendor notes, section 1.3).
const MAX_APP_ID_LEN: usize = 256;

const SECRET: CredentialKeys = CredentialKeys {
    key: "secret",
    file_key: "secret_file",
    keys: &["secret_file", "secret"],
};

/// The keys of a provider section, as written in the configuration file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    endpoint: Option<String>,
    app_id: Option<String>,
    secret: Option<String>,
    secret_file: Option<PathBuf>,
    ca_file: Option<PathBuf>,
    client_cert_file: Option<PathBuf>,
    client_key_file: Option<PathBuf>,
    server_name: Option<String>,
    verify_hostname: Option<bool>,
    app_key_header: Option<String>,
    allow_http: Option<bool>,
}

/// Checked settings of one application.
#[derive(Debug)]
pub struct Config {
    /// How the API is reached.
    pub connection: Connection,
    /// The application's ID.
    pub app_id: String,
    /// The application's secret.
    pub secret: Arc<SecretSource>,
    /// The header that carries the application's ID.
    pub app_key_header: HeaderName,
}

impl Config {
    /// Returns what identifies the vendor account: providers with the same value share one quota.
    #[must_use]
    pub fn account(&self) -> String {
        format!(
            "{VENDOR} {} {}",
            self.connection.endpoint.base(),
            self.app_id
        )
    }

    /// Returns what a login is made with.
    #[must_use]
    pub fn login(&self) -> Login {
        Login {
            account: self.account(),
            secret: Arc::clone(&self.secret),
            tls: self.connection.tls.clone(),
            app_key_header: self.app_key_header.clone(),
        }
    }
}

/// What a login is made with. Providers of one application at one endpoint share their login, so they must have all of it in common.
#[derive(Clone, Debug)]
pub struct Login {
    account: String,
    secret: Arc<SecretSource>,
    tls: Option<TlsOptions>,
    app_key_header: HeaderName,
}

impl Login {
    /// Returns the keys of the settings in which this login of the same application differs from another one; none for another application.
    #[must_use]
    pub fn differences(&self, other: &Self) -> Vec<&'static str> {
        if self.account != other.account {
            return Vec::new();
        }
        let mut keys = Vec::new();
        if !self.secret.is_same(&other.secret) {
            keys.push(match self.secret.is_file() {
                true => "secret_file",
                false => "secret",
            });
        }
        let (own, others) = (self.tls.as_ref(), other.tls.as_ref());
        if let (Some(own), Some(others)) = (own, others) {
            keys.extend(own.differences(others));
        }
        if self.app_key_header != other.app_key_header {
            keys.push("app_key_header");
        }
        keys
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
        .into_connection("https://10.0.0.1:8743", &mut errors);
        let app_id = errors.check(app_id(self.app_id));
        let secret = errors.check(SECRET.required(self.secret, self.secret_file));
        let header = self.app_key_header.as_deref().unwrap_or("app_key");
        let app_key_header = errors.check(app_key_header(header));
        errors.finish(|| {
            Some(Config {
                connection: connection?,
                app_id: app_id?,
                secret: Arc::new(secret?),
                app_key_header: app_key_header?,
            })
        })
    }
}

fn app_id(text: Option<String>) -> Result<String, SettingError> {
    let app_id = required("app_id", text, "give the ID of the application")?;
    if app_id.len() > MAX_APP_ID_LEN || !app_id.bytes().all(|b| b.is_ascii_graphic()) {
        return Err(SettingError::new(
            "app_id",
            format!(
                "it is longer than {MAX_APP_ID_LEN} characters or has characters that no ID has"
            ),
        ));
    }
    Ok(app_id)
}

fn app_key_header(text: &str) -> Result<HeaderName, SettingError> {
    let name = HeaderName::from_bytes(text.as_bytes()).map_err(|_| {
        SettingError::new(
            "app_key_header",
            "it is not the name of a header; platforms use `app_key` or `x-app-key`",
        )
    })?;
    // These have a meaning of their own in every request; the application's ID would displace it.
    let taken = [
        header::AUTHORIZATION,
        header::HOST,
        header::CONTENT_TYPE,
        header::CONTENT_LENGTH,
        header::TRANSFER_ENCODING,
        header::CONNECTION,
        header::ACCEPT,
    ];
    if taken.contains(&name) {
        return Err(SettingError::new(
            "app_key_header",
            format!("`{name}` has another meaning; platforms use `app_key` or `x-app-key`"),
        ));
    }
    Ok(name)
}

#[cfg(test)]
mod tests;
