//! Certificates that the gateway shows: to vendors, and to its own clients.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustls::client::ResolvesClientCert;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use rustls::{InconsistentKeys, SignatureScheme};

use super::certificate::Facts;
use super::error::TlsError;
use super::validity::Validity;

/// A certificate with its private key.
#[derive(Clone, Debug)]
pub struct Identity {
    /// What is shown and signed with.
    pub key: Arc<CertifiedKey>,
    /// When the certificate is valid, if that can be read.
    pub validity: Option<Validity>,
}

/// Which of the two files of an identity is at fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The certificate.
    Certificate,
    /// The private key.
    Key,
}

impl Identity {
    /// Reads a chain of certificates and a private key, in PEM form. Certificates of X.509 version 1 are taken as well.
    ///
    /// # Errors
    /// Names each part that cannot be used, and says what is wrong with it as the rest of a sentence ("holds no certificate"). What only follows from
    /// that is not named.
    pub fn from_pem(certificate: &[u8], key: &[u8]) -> Result<Self, Vec<(Part, String)>> {
        let chain = certificates(certificate).map_err(|what| (Part::Certificate, what));
        let key = private_key(key).map_err(|what| (Part::Key, what));
        match (chain, key) {
            (Ok(chain), Ok(key)) => Self::of(chain, key).map_err(|error| vec![error]),
            (chain, key) => Err([chain.err(), key.err()].into_iter().flatten().collect()),
        }
    }

    fn of(
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
    ) -> Result<Self, (Part, String)> {
        let facts = chain.first().and_then(|der| Facts::of(der));
        let provider = rustls::crypto::ring::default_provider();
        let signing = provider.key_provider.load_private_key(key).map_err(|_| {
            let what = "holds a private key of a kind that is not supported; RSA of 2048 to 8192 bits, ECDSA P-256 and P-384, and Ed25519 are";
            (Part::Key, what.to_owned())
        })?;
        let certified = CertifiedKey::new(chain, signing);
        let fits = match certified.keys_match() {
            Ok(()) | Err(rustls::Error::InconsistentKeys(InconsistentKeys::Unknown)) => true,
            Err(rustls::Error::InconsistentKeys(_)) => false,
            // What webpki does not read, such as version 1, is compared by the key itself.
            Err(_) => match (&facts, certified.key.public_key()) {
                (Some(facts), Some(own)) => facts.public_key == own.as_ref(),
                (None, _) => {
                    return Err((
                        Part::Certificate,
                        "holds a certificate that cannot be read".to_owned(),
                    ));
                }
                (_, None) => true,
            },
        };
        if !fits {
            return Err((Part::Key, "is not the key of the certificate".to_owned()));
        }
        Ok(Self {
            key: Arc::new(certified),
            validity: facts.map(|facts| Validity {
                begins: facts.not_before,
                ends: facts.not_after,
            }),
        })
    }
}

/// Reads certificates in PEM form. The error is the rest of a sentence.
pub(super) fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let certificates: Vec<_> = CertificateDer::pem_slice_iter(pem)
        .collect::<Result<_, _>>()
        .map_err(|_| "is not in PEM form".to_owned())?;
    if !certificates.is_empty() {
        return Ok(certificates);
    }
    Err(match pem.first() {
        // A SEQUENCE, as every certificate in DER begins.
        Some(0x30) => "holds no certificate in PEM form; it may be in DER form: `openssl x509 -inform der` writes PEM".to_owned(),
        _ => "holds no certificate in PEM form (BEGIN CERTIFICATE)".to_owned(),
    })
}

fn private_key(text: &[u8]) -> Result<PrivateKeyDer<'static>, String> {
    PrivateKeyDer::from_pem_slice(text).map_err(|error| {
        let encrypted = b"BEGIN ENCRYPTED PRIVATE KEY";
        let legacy = b"Proc-Type: 4,ENCRYPTED";
        let has = |mark: &[u8]| text.windows(mark.len()).any(|window| window == mark);
        if has(encrypted) || has(legacy) {
            "holds a private key that is encrypted with a passphrase; `openssl pkey` writes it without".to_owned()
        } else if matches!(error, pem::Error::NoItemsFound) {
            "holds no private key in PEM form (BEGIN PRIVATE KEY)".to_owned()
        } else {
            "holds no private key in PEM form that can be read".to_owned()
        }
    })
}

/// Shows the client certificate, if there is one, and notes that a server has asked for it.
#[derive(Debug)]
pub(super) struct Shown {
    pub(super) identity: Option<Arc<CertifiedKey>>,
    pub(super) asked: Arc<AtomicBool>,
}

impl ResolvesClientCert for Shown {
    fn resolve(
        &self,
        _root_hint_subjects: &[&[u8]],
        _sigschemes: &[SignatureScheme],
    ) -> Option<Arc<CertifiedKey>> {
        self.asked.store(true, Ordering::Relaxed);
        self.identity.clone()
    }

    fn has_certs(&self) -> bool {
        self.identity.is_some()
    }
}

impl From<Vec<(Part, String)>> for TlsError {
    fn from(errors: Vec<(Part, String)>) -> Self {
        let texts: Vec<String> = errors
            .into_iter()
            .map(|(part, what)| match part {
                Part::Certificate => format!("the file of `client_cert_file` {what}"),
                Part::Key => format!("the file of `client_key_file` {what}"),
            })
            .collect();
        Self(texts.join("; "))
    }
}
