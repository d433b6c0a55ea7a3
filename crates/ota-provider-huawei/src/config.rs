//! Settings of one application.

use std::path::{Path, PathBuf};

use http::HeaderName;
use http::header;
use ota_core::capability::{DocumentedQuota, QuotaPer};
use ota_core::provider::SettingError;
use ota_http::endpoint::Endpoint;
use ota_http::secret::SecretSource;
use ota_http::tls::{self, TlsOptions};
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
    /// The API's address.
    pub endpoint: Endpoint,
    /// The application's ID.
    pub app_id: String,
    /// The application's secret.
    pub secret: SecretSource,
    /// TLS; `None` for an endpoint without TLS.
    pub tls: Option<TlsOptions>,
    /// The header that carries the application's ID.
    pub app_key_header: HeaderName,
}

impl Config {
    /// Returns what identifies the vendor account: providers with the same value share one quota.
    #[must_use]
    pub fn account(&self) -> String {
        format!("{VENDOR} {} {}", self.endpoint.base(), self.app_id)
    }
}

impl Settings {
    /// Checks the settings and reads secret, certificate and key files.
    ///
    /// # Errors
    /// Names the key that is missing or wrong and says what to do.
    pub fn into_config(self) -> Result<Config, SettingError> {
        let endpoint = self.endpoint.as_deref().ok_or_else(|| {
            SettingError::new(
                "endpoint",
                "it is missing; give the platform's address, for instance https://10.0.0.1:8743",
            )
        })?;
        let endpoint = Endpoint::parse(endpoint.trim(), self.allow_http.unwrap_or(false))
            .map_err(|message| SettingError::new("endpoint", message))?;
        let app_id = app_id(self.app_id)?;
        let secret =
            SecretSource::from_settings("secret", self.secret, "secret_file", self.secret_file)?
                .ok_or_else(|| {
                    SettingError::new(
                        "secret_file",
                        "it is missing; give `secret_file` or `secret`",
                    )
                })?;
        let app_key_header = app_key_header(self.app_key_header.as_deref().unwrap_or("app_key"))?;
        let client_identity_pem = match (self.client_cert_file, self.client_key_file) {
            (Some(certificate), Some(key)) => Some((
                pem("client_cert_file", &certificate)?,
                pem("client_key_file", &key)?,
            )),
            (None, None) => None,
            (Some(_), None) => {
                return Err(SettingError::new(
                    "client_key_file",
                    "it is missing; `client_cert_file` needs it",
                ));
            }
            (None, Some(_)) => {
                return Err(SettingError::new(
                    "client_cert_file",
                    "it is missing; `client_key_file` needs it",
                ));
            }
        };
        if self.verify_hostname == Some(false) && self.server_name.is_some() {
            return Err(SettingError::new(
                "server_name",
                "it is compared with nothing while `verify_hostname` is false; remove one of them",
            ));
        }
        let tls = TlsOptions {
            ca_pem: self.ca_file.map(|path| pem("ca_file", &path)).transpose()?,
            client_identity_pem,
            server_name: self.server_name,
            skip_hostname_verification: self.verify_hostname == Some(false),
        };
        let tls = endpoint.is_https().then_some(tls);
        if let Some(tls) = &tls {
            check_tls(tls)?;
        }
        Ok(Config {
            endpoint,
            app_id,
            secret,
            tls,
            app_key_header,
        })
    }
}

fn app_id(text: Option<String>) -> Result<String, SettingError> {
    let app_id = text
        .map(|text| text.trim().to_owned())
        .filter(|text| !text.is_empty())
        .ok_or_else(|| {
            SettingError::new("app_id", "it is missing; give the ID of the application")
        })?;
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

fn pem(key: &'static str, path: &Path) -> Result<Vec<u8>, SettingError> {
    std::fs::read(path).map_err(|error| {
        SettingError::new(
            key,
            format!("the file `{}` cannot be read: {error}", path.display()),
        )
    })
}

/// Builds the TLS configuration in steps, so that the error names the key that is at fault.
fn check_tls(options: &TlsOptions) -> Result<(), SettingError> {
    let mut step = TlsOptions {
        ca_pem: options.ca_pem.clone(),
        ..TlsOptions::default()
    };
    let check = |key, step: &TlsOptions| {
        tls::client_config(step)
            .map(drop)
            .map_err(|error| SettingError::new(key, error.to_string()))
    };
    check("ca_file", &step)?;
    step.client_identity_pem
        .clone_from(&options.client_identity_pem);
    check("client_cert_file", &step)?;
    step.server_name.clone_from(&options.server_name);
    check("server_name", &step)
}

#[cfg(test)]
mod tests;
