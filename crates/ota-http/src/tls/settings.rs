//! The TLS keys of a provider section, the same for every vendor.

use std::path::{Path, PathBuf};

use ota_core::provider::{SettingError, SettingErrors};
use time::{Duration, OffsetDateTime};

use super::{Part, TlsOptions, Validity, day};
use crate::endpoint::Endpoint;
use crate::file::{self, MAX_PEM_BYTES};

/// How long before its end a certificate of the gateway's own is warned about.
pub const WARN_BEFORE: Duration = Duration::days(14);

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
            && let Err(what) = super::trusted(pem)
        {
            errors.add(at("ca_file", &self.ca_file, &what));
        }
        for (part, what) in options.identity().err().into_iter().flatten() {
            errors.add(match part {
                Part::Certificate => at("client_cert_file", &self.client_cert_file, &what),
                Part::Key => at("client_key_file", &self.client_key_file, &what),
            });
        }
        if let Some(Err(error)) = options.server_name.as_deref().map(super::name_of) {
            errors.add(SettingError::new("server_name", error.to_string()));
        }
    }
}

fn pem(key: &'static str, path: &Path) -> Result<Vec<u8>, SettingError> {
    file::read(path, MAX_PEM_BYTES)
        .map(|bytes| bytes.to_vec())
        .map_err(|error| SettingError::new(key, error.to_string()))
}

impl Validity {
    /// Says that a certificate of the gateway's own is not valid yet, has ended or is about to; `None` as long as all is well. `what` names it, with
    /// its file.
    #[must_use]
    pub fn warning(&self, what: &str, now: OffsetDateTime) -> Option<String> {
        let Self { begins, ends } = *self;
        let left = ends - now;
        if left <= Duration::ZERO {
            Some(format!("{what} has expired on {}; renew it", day(ends)))
        } else if now < begins {
            Some(format!(
                "{what} is not valid yet, only from {}; compare this machine's clock with the time, or get another one",
                day(begins)
            ))
        } else if left <= WARN_BEFORE {
            Some(format!(
                "{what} ends on {}, in {} days; renew it",
                day(ends),
                left.whole_days()
            ))
        } else {
            None
        }
    }

    /// Whether a certificate can be used at a time.
    #[must_use]
    pub fn holds(&self, now: OffsetDateTime) -> bool {
        self.begins <= now && now < self.ends
    }
}

#[cfg(test)]
mod tests {
    use super::Validity;
    use time::Duration;
    use time::macros::datetime;

    #[test]
    fn the_dates_of_a_certificate_are_told_outside_of_them_and_before_the_end() {
        let now = datetime!(2026-05-01 00:00 UTC);
        let told = |begins, ends| Validity { begins, ends }.warning("the certificate", now);
        let past = now - Duration::days(30);
        assert_eq!(told(past, now + Duration::days(15)), None);
        let soon = told(past, now + Duration::days(3) + Duration::hours(1)).unwrap();
        assert!(
            soon.contains("ends on 2026-05-04") && soon.contains("in 3 days"),
            "{soon}"
        );
        assert!(
            told(past, now - Duration::days(1))
                .unwrap()
                .contains("has expired on 2026-04-30")
        );
        let early = told(now + Duration::days(2), now + Duration::days(90)).unwrap();
        assert!(
            early.contains("is not valid yet, only from 2026-05-03"),
            "{early}"
        );
        assert_eq!(told(now, now + Duration::days(90)), None);
    }
}
