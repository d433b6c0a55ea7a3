//! TLS to vendors: private CA, client certificate, expected server name.

use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
};

/// How the server is verified and how we show who we are. PEM texts, not file names.
#[derive(Clone, Default)]
pub struct TlsOptions {
    /// Certificates of a private CA; when given, only they are trusted. Otherwise the system's store.
    pub ca_pem: Option<Vec<u8>>,
    /// Our certificate chain and its private key, for mutual TLS.
    pub client_identity_pem: Option<(Vec<u8>, Vec<u8>)>,
    /// The name that the server's certificate must have instead of the host of the URL.
    pub server_name: Option<String>,
    /// Skips the comparison of names, and only that: the chain is still verified.
    pub skip_hostname_verification: bool,
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
            .finish()
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

/// Builds the TLS configuration of a client.
///
/// # Errors
/// When a PEM text holds no certificate or key, the key does not belong to the certificate, or the name is no host name.
pub fn client_config(options: &TlsOptions) -> Result<ClientConfig, TlsError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier: Arc<dyn ServerCertVerifier> = match &options.ca_pem {
        Some(pem) => {
            let mut roots = RootCertStore::empty();
            for certificate in certificates(pem, "ca_file")? {
                roots.add(certificate).map_err(|error| {
                    TlsError(format!("ca_file holds an unusable certificate: {error}"))
                })?;
            }
            WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
                .build()
                .map_err(|error| TlsError(format!("ca_file cannot be used: {error}")))?
        }
        None => Arc::new(
            rustls_platform_verifier::Verifier::new(Arc::clone(&provider)).map_err(|error| {
                TlsError(format!(
                    "the system's certificate store cannot be used: {error}"
                ))
            })?,
        ),
    };
    let expected = match &options.server_name {
        Some(name) => Some(ServerName::try_from(name.clone()).map_err(|_| {
            TlsError(format!(
                "server_name `{name}` is not a host name or an IP address"
            ))
        })?),
        None => None,
    };
    let verifier = Arc::new(NameRule {
        chain: verifier,
        expected,
        skip: options.skip_hostname_verification,
    });
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| TlsError(error.to_string()))?
        .dangerous()
        .with_custom_certificate_verifier(verifier);
    match &options.client_identity_pem {
        None => Ok(builder.with_no_client_auth()),
        Some((certificate, key)) => {
            let chain = certificates(certificate, "client_cert_file")?;
            let key = PrivateKeyDer::from_pem_slice(key).map_err(|_| {
                TlsError("client_key_file holds no private key in PEM form".to_owned())
            })?;
            builder.with_client_auth_cert(chain, key).map_err(|error| {
                TlsError(format!(
                    "client_cert_file and client_key_file do not fit together: {error}"
                ))
            })
        }
    }
}

fn certificates(pem: &[u8], what: &str) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let certificates: Vec<_> = CertificateDer::pem_slice_iter(pem)
        .collect::<Result<_, _>>()
        .map_err(|_| TlsError(format!("{what} is not in PEM form")))?;
    if certificates.is_empty() {
        return Err(TlsError(format!("{what} holds no certificate in PEM form")));
    }
    Ok(certificates)
}

/// Leaves the chain to the verifier inside and decides only which name the certificate must have.
#[derive(Debug)]
struct NameRule {
    chain: Arc<dyn ServerCertVerifier>,
    expected: Option<ServerName<'static>>,
    skip: bool,
}

impl ServerCertVerifier for NameRule {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let name = self.expected.as_ref().unwrap_or(server_name);
        let verified =
            self.chain
                .verify_server_cert(end_entity, intermediates, name, ocsp_response, now);
        match verified {
            // Both verifiers check the chain and the dates first and the name last, so this error means that all else holds.
            Err(rustls::Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) if self.skip => Ok(ServerCertVerified::assertion()),
            other => other,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.chain.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.chain.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.chain.supported_verify_schemes()
    }
}
