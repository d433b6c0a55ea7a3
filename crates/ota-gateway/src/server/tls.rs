//! The gateway's own certificate, read again when its files change.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio_rustls::TlsAcceptor;

use crate::config::{ConfigError, TlsFiles};

/// How often the files are looked at.
const LOOK: Duration = Duration::from_secs(2);

/// The present certificate of the gateway.
pub(crate) struct Certificates {
    files: TlsFiles,
    current: RwLock<Arc<CertifiedKey>>,
}

/// Shows nothing of the key.
impl std::fmt::Debug for Certificates {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Certificates")
            .field("files", &self.files)
            .finish_non_exhaustive()
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let current = self.current.read().unwrap_or_else(PoisonError::into_inner);
        Some(Arc::clone(&current))
    }
}

type Version = [Option<(SystemTime, u64)>; 2];

impl Certificates {
    /// Reads the files.
    ///
    /// # Errors
    /// Names the key of the configuration whose file cannot be used.
    pub(crate) fn new(files: TlsFiles) -> Result<Arc<Self>, ConfigError> {
        let current = load(&files).map_err(ConfigError::new)?;
        Ok(Arc::new(Self {
            files,
            current: RwLock::new(Arc::new(current)),
        }))
    }

    /// Returns what makes a connection encrypted.
    ///
    /// # Errors
    /// When the library supports no version of TLS.
    pub(crate) fn acceptor(self: &Arc<Self>) -> Result<TlsAcceptor, rustls::Error> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_cert_resolver(Arc::<Self>::clone(self));
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(TlsAcceptor::from(Arc::new(config)))
    }

    fn version(&self) -> Version {
        [&self.files.cert_file, &self.files.key_file].map(|path| {
            let metadata = std::fs::metadata(path).ok()?;
            Some((metadata.modified().ok()?, metadata.len()))
        })
    }

    /// Reads the files whenever they have changed, for as long as the future is polled. What does not fit together is not taken: most likely one of
    /// two files has been replaced so far.
    pub(crate) async fn keep_fresh(&self) {
        let mut known = self.version();
        loop {
            tokio::time::sleep(LOOK).await;
            let version = self.version();
            if version == known {
                continue;
            }
            known = version;
            match load(&self.files) {
                Ok(loaded) => {
                    let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
                    *current = Arc::new(loaded);
                    tracing::info!("the certificate has changed; new connections get the new one");
                }
                Err(error) => {
                    tracing::error!(
                        "the changed certificate cannot be used, the last one stays: {error}"
                    );
                }
            }
        }
    }
}

fn load(files: &TlsFiles) -> Result<CertifiedKey, String> {
    let read = |key: &str, path: &std::path::Path| {
        std::fs::read(path)
            .map_err(|error| format!("{key}: `{}` cannot be read: {error}", path.display()))
    };
    let cert = read("server.tls_cert_file", &files.cert_file)?;
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(&cert)
        .collect::<Result<_, _>>()
        .map_err(|_| {
            format!(
                "server.tls_cert_file: `{}` is not in PEM form",
                files.cert_file.display()
            )
        })?;
    if chain.is_empty() {
        return Err(format!(
            "server.tls_cert_file: `{}` holds no certificate in PEM form",
            files.cert_file.display()
        ));
    }
    let key = read("server.tls_key_file", &files.key_file)?;
    let key = PrivateKeyDer::from_pem_slice(&key).map_err(|_| {
        format!(
            "server.tls_key_file: `{}` holds no private key in PEM form",
            files.key_file.display()
        )
    })?;
    let provider = rustls::crypto::ring::default_provider();
    CertifiedKey::from_der(chain, key, &provider).map_err(|error| match error {
        rustls::Error::InconsistentKeys(_) => format!(
            "server.tls_key_file: `{}` is not the key of the certificate in `{}`",
            files.key_file.display(),
            files.cert_file.display()
        ),
        error => format!("server.tls_cert_file and server.tls_key_file cannot be used: {error}"),
    })
}
