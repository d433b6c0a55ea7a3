//! The TLS keys of a provider section, the same for every vendor.

use std::path::{Path, PathBuf};

use ota_core::provider::{SettingError, SettingErrors};

use super::connection;
use super::identity::Part;
use super::options::TlsOptions;
use crate::endpoint::Endpoint;
use crate::file::{self, MAX_PEM_BYTES};

/// The TLS keys of a provider section.
#[derive(Debug, Default)]
pub struct TlsSettings {
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

impl TlsSettings {
    /// Checks the settings and reads the files; `None` for an endpoint without TLS. An endpoint that cannot be read is no reason to leave its
    /// certificates unread. `errors` is given every key that is wrong, with what to do.
    pub fn into_options(
        self,
        endpoint: Option<&Endpoint>,
        errors: &mut SettingErrors,
    ) -> Option<TlsOptions> {
        const BOTH: &[&str] = &["client_cert_file", "client_key_file"];
        if self.verify_hostname == Some(false) && self.server_name.is_some() {
            errors.add(SettingError::new(
                "server_name",
                "it is compared with nothing while `verify_hostname` is false; remove one of them",
            ));
        }
        let mut read = |key, path: &Option<PathBuf>| {
            path.as_deref()
                .and_then(|path| errors.check(pem(key, path)))
        };
        let ca_pem = read("ca_file", &self.ca_file);
        let certificate = read("client_cert_file", &self.client_cert_file);
        let key = read("client_key_file", &self.client_key_file);
        match (&self.client_cert_file, &self.client_key_file) {
            (Some(_), None) => errors.add(SettingError::missing(
                "client_key_file",
                BOTH,
                "it is missing; `client_cert_file` needs it",
            )),
            (None, Some(_)) => errors.add(SettingError::missing(
                "client_cert_file",
                BOTH,
                "it is missing; `client_key_file` needs it",
            )),
            _ => {}
        }
        let options = TlsOptions {
            ca_pem,
            client_identity_pem: certificate.zip(key),
            server_name: self.server_name.clone(),
            skip_hostname_verification: self.verify_hostname == Some(false),
            ..TlsOptions::default()
        };
        if endpoint.is_some_and(|endpoint| !endpoint.is_https()) {
            return None;
        }
        self.check(&options, errors);
        Some(options)
    }

    /// Tries each part of the options, so that every error names the key and the file that are at fault.
    fn check(&self, options: &TlsOptions, errors: &mut SettingErrors) {
        let at = |key: &'static str, path: &Option<PathBuf>, what: &str| {
            let path = path.as_deref().unwrap_or(Path::new(""));
            SettingError::new(key, file::FileError::new(path, what).to_string())
        };
        if let Some(pem) = &options.ca_pem
            && let Err(what) = connection::trusted(pem)
        {
            errors.add(at("ca_file", &self.ca_file, &what));
        }
        for (part, what) in options.identity().err().into_iter().flatten() {
            errors.add(match part {
                Part::Certificate => at("client_cert_file", &self.client_cert_file, &what),
                Part::Key => at("client_key_file", &self.client_key_file, &what),
            });
        }
        if let Some(Err(error)) = options.server_name.as_deref().map(connection::name_of) {
            errors.add(SettingError::new("server_name", error.to_string()));
        }
    }
}

fn pem(key: &'static str, path: &Path) -> Result<Vec<u8>, SettingError> {
    file::read(path, MAX_PEM_BYTES)
        .map(|bytes| bytes.to_vec())
        .map_err(|error| SettingError::new(key, error.to_string()))
}
