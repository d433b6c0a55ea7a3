//! TLS to vendors and key servers: private CA, pinned certificate, client certificate, expected server name.

mod certificate;
mod identity;
mod problem;
mod settings;
mod verify;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use time::OffsetDateTime;

pub use certificate::Facts;
pub use identity::{Identity, Part, Validity};
pub(crate) use problem::Known;
pub use problem::{KeyNames, Problem, day};
pub use settings::{TlsSettings, WARN_BEFORE};
use verify::{Pin, Verifier};

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

/// What is wrong with TLS settings; fit for an operator, without any part of a key.
#[derive(Debug)]
pub struct TlsError(pub(crate) String);

impl std::fmt::Display for TlsError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for TlsError {}

/// The TLS side of a client.
#[derive(Debug)]
pub(crate) struct Tls {
    pub(crate) config: ClientConfig,
    pub(crate) watch: Watch,
}

/// What is known of a client's TLS beside the errors of its connections.
#[derive(Clone, Debug, Default)]
pub(crate) struct Watch {
    asked: Arc<AtomicBool>,
    own: Option<Option<Validity>>,
    pub(crate) keys: KeyNames,
}

impl Watch {
    pub(crate) fn known(&self) -> Known {
        Known {
            asked: self.asked.load(Ordering::Relaxed),
            own: self.own,
        }
    }
}

/// Builds the TLS side of a client.
///
/// # Errors
/// When a PEM text holds no certificate or key, the key does not belong to the certificate, or the name is no host name.
pub(crate) fn build(options: &TlsOptions) -> Result<Tls, TlsError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let (chain, pins): (Option<Arc<dyn ServerCertVerifier>>, Vec<Pin>) = match &options.ca_pem {
        Some(pem) => {
            let (roots, pins) = trusted(pem).map_err(|what| {
                TlsError(format!("the file of `{}` {what}", options.keys.ca_file))
            })?;
            let chain: Option<Arc<dyn ServerCertVerifier>> = if roots.is_empty() {
                None
            } else {
                let builder = WebPkiServerVerifier::builder_with_provider(
                    Arc::new(roots),
                    Arc::clone(&provider),
                );
                Some(builder.build().map_err(|error| {
                    TlsError(format!(
                        "the file of `{}` cannot be used: {error}",
                        options.keys.ca_file
                    ))
                })?)
            };
            (chain, pins)
        }
        None => {
            let system = rustls_platform_verifier::Verifier::new(Arc::clone(&provider)).map_err(
                |error| {
                    let named = crate::environment::certificate_file(&crate::environment::of_process);
                    let own = options.keys.ca_file;
                    TlsError(match named {
                        Some(warning) => format!("{warning}; correct it, or name a file with `{own}`"),
                        None => format!(
                            "the system's certificate store cannot be used: {error}; install the package ca-certificates, or name a file with SSL_CERT_FILE or `{own}`"
                        ),
                    })
                },
            )?;
            (Some(Arc::new(system)), Vec::new())
        }
    };
    let expected = options.server_name.as_deref().map(name_of).transpose()?;
    let verifier = Arc::new(Verifier {
        chain,
        pins,
        expected,
        skip_names: options.skip_hostname_verification,
        algorithms: provider.signature_verification_algorithms,
    });
    let identity = options.identity()?;
    let watch = Watch {
        asked: Arc::default(),
        own: identity.as_ref().map(|identity| identity.validity),
        keys: options.keys,
    };
    let shown = identity::Shown {
        identity: identity.map(|identity| identity.key),
        asked: Arc::clone(&watch.asked),
    };
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| TlsError(error.to_string()))?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_client_cert_resolver(Arc::new(shown));
    Ok(Tls { config, watch })
}

fn name_of(name: &str) -> Result<ServerName<'static>, TlsError> {
    ServerName::try_from(name.to_owned())
        .map_err(|_| TlsError(format!("`{name}` is not a host name or an IP address")))
}

/// Reads certificates that are to be trusted: each as a CA, as far as it can be one, and each as a pin. The error is the rest of a sentence.
fn trusted(pem: &[u8]) -> Result<(RootCertStore, Vec<Pin>), String> {
    let mut roots = RootCertStore::empty();
    let mut pins = Vec::new();
    for (number, der) in identity::certificates(pem)?.into_iter().enumerate() {
        let facts = Facts::of(&der);
        let ca = roots.add(CertificateDer::from(der.to_vec()));
        match (ca, facts) {
            (_, Some(facts)) => pins.push(Pin { der, facts }),
            (Ok(()), None) => {}
            (Err(error), None) => {
                return Err(format!(
                    "holds a certificate (number {}) that cannot be used: {error}",
                    number + 1
                ));
            }
        }
    }
    Ok((roots, pins))
}

#[cfg(test)]
mod tests;
