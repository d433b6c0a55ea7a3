//! The TLS side of a client, built from its options.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};

use super::certificate::Facts;
use super::error::TlsError;
use super::identity;
use super::options::TlsOptions;
use super::problem::{KeyNames, Known};
use super::validity::Validity;
use super::verify::{Pin, Verifier};

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

pub(super) fn name_of(name: &str) -> Result<ServerName<'static>, TlsError> {
    ServerName::try_from(name.to_owned())
        .map_err(|_| TlsError(format!("`{name}` is not a host name or an IP address")))
}

/// Reads certificates that are to be trusted: each as a CA, as far as it can be one, and each as a pin. The error is the rest of a sentence.
pub(super) fn trusted(pem: &[u8]) -> Result<(RootCertStore, Vec<Pin>), String> {
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
