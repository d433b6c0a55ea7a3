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
pub use identity::{Identity, Part};
pub(crate) use problem::Known;
pub use problem::{KeyNames, Problem, day};
pub use settings::{TlsSettings, WARN_BEFORE, end_of};
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

    /// Writes to the log what an operator should know about these settings of a provider, though it is no mistake.
    pub fn warn(&self, provider: &str, now: OffsetDateTime) {
        let pinned = match self.ca_pem {
            Some(_) => "",
            None => "; give `ca_file` as well",
        };
        if self.skip_hostname_verification {
            tracing::warn!(
                provider.name = provider,
                "`verify_hostname = false`: the owner of any certificate of a CA that is trusted here can pose as the server of `{provider}`; prefer `server_name`, or put only the server's own certificate into `ca_file`{pinned}"
            );
        }
        let ends = self.identity().ok().flatten().and_then(|own| own.ends);
        if let Some(warning) =
            ends.and_then(|ends| end_of("the certificate in `client_cert_file`", ends, now))
        {
            tracing::warn!(provider.name = provider, "{warning}, then restart");
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
    own: Option<Option<OffsetDateTime>>,
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
                    TlsError(format!(
                        "the system's certificate store cannot be used: {error}; install the package ca-certificates, or name a file with SSL_CERT_FILE or `{}`",
                        options.keys.ca_file
                    ))
                },
            )?;
            (Some(Arc::new(system)), Vec::new())
        }
    };
    let expected = match &options.server_name {
        Some(name) => Some(
            ServerName::try_from(name.clone())
                .map_err(|_| TlsError(format!("`{name}` is not a host name or an IP address")))?,
        ),
        None => None,
    };
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
        own: identity.as_ref().map(|identity| identity.ends),
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
