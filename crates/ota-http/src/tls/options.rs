//! The TLS settings of a connection, read and complete.

use time::OffsetDateTime;

use super::certificate::Facts;
use super::identity::{self, Identity, Part};
use super::problem::KeyNames;

/// How the server is verified and how we show who we are. PEM texts, not file names.
#[derive(Clone, Default)]
pub struct TlsOptions {
    /// Certificates that are trusted, and only they when given: of a CA, or of the server itself. Otherwise the system's store.
    pub ca_pem: Option<Vec<u8>>,
    /// Our certificate chain and its private key, for mutual TLS.
    pub client_identity_pem: Option<(Vec<u8>, Vec<u8>)>,
    /// The name that the server's certificate must have instead of the host of the URL.
    pub server_name: Option<String>,
    /// Skips the comparison of names, and only that: the chain is still verified.
    pub skip_hostname_verification: bool,
    /// How these settings are called where they are set, for advice in errors.
    pub keys: KeyNames,
}

impl TlsOptions {
    /// Reads our certificate and its key; `None` when there is none.
    ///
    /// # Errors
    /// As [`Identity::from_pem`].
    pub fn identity(&self) -> Result<Option<Identity>, Vec<(Part, String)>> {
        self.client_identity_pem
            .as_ref()
            .map(|(certificate, key)| Identity::from_pem(certificate, key))
            .transpose()
    }

    /// Returns the keys of a provider section in which these settings differ from others.
    #[must_use]
    pub fn differences(&self, other: &Self) -> Vec<&'static str> {
        let parts = |options: &Self| options.client_identity_pem.clone().unzip();
        let (certificate, key) = parts(self);
        let (other_certificate, other_key) = parts(other);
        [
            ("ca_file", self.ca_pem != other.ca_pem),
            ("client_cert_file", certificate != other_certificate),
            ("client_key_file", key != other_key),
            ("server_name", self.server_name != other.server_name),
            (
                "verify_hostname",
                self.skip_hostname_verification != other.skip_hostname_verification,
            ),
        ]
        .into_iter()
        .filter_map(|(key, differs)| differs.then_some(key))
        .collect()
    }

    /// Returns what an operator should know about these settings of a provider, though it is no mistake.
    #[must_use]
    pub fn warnings(&self, now: OffsetDateTime) -> Vec<String> {
        let mut warnings = Vec::new();
        if self.skip_hostname_verification && !self.trusts_one_server_only() {
            let advice = match self.ca_pem {
                Some(_) => "put only the server's own certificate into `ca_file`",
                None => "put the server's own certificate into `ca_file`",
            };
            warnings.push(format!(
                "`verify_hostname = false`: the owner of any certificate of a CA that is trusted here can pose as the server; {advice}"
            ));
        }
        let validity = self.identity().ok().flatten().and_then(|own| own.validity);
        let dates = validity
            .and_then(|validity| validity.warning("the certificate in `client_cert_file`", now));
        warnings.extend(dates.map(|warning| format!("{warning}, then restart")));
        warnings
    }

    /// Whether all that is trusted is one certificate that can vouch for no other one.
    fn trusts_one_server_only(&self) -> bool {
        let certificates = self
            .ca_pem
            .as_deref()
            .map(identity::certificates)
            .and_then(Result::ok)
            .unwrap_or_default();
        match &certificates[..] {
            [only] => Facts::of(only).is_some_and(|facts| !facts.is_ca),
            _ => false,
        }
    }

    /// Writes the warnings to the log.
    pub fn warn(&self, provider: &str, now: OffsetDateTime) {
        for warning in self.warnings(now) {
            tracing::warn!(provider.name = provider, "{warning}");
        }
    }
}

impl std::fmt::Debug for TlsOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TlsOptions")
            .field("private_ca", &self.ca_pem.is_some())
            .field("client_identity", &self.client_identity_pem.is_some())
            .field("server_name", &self.server_name)
            .field(
                "skip_hostname_verification",
                &self.skip_hostname_verification,
            )
            .finish_non_exhaustive()
    }
}
