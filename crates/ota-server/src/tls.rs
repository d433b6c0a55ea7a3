//! The gateway's own certificate, reloaded when its files change.

use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use ota_core::clock::Clock;
use ota_http::file::{self, FileVersion, MAX_PEM_BYTES};
use ota_http::tls::{Identity, Part, Validity};
use rustls::ServerConfig;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use time::OffsetDateTime;
use tokio_rustls::TlsAcceptor;

use super::limits::TlsFiles;

/// How often the files are checked for changes.
const LOOK: Duration = Duration::from_secs(2);

/// How often the log warns that the certificate is about to expire.
const REMIND: Duration = Duration::from_secs(24 * 3600);

/// The current certificate of the gateway.
pub struct Certificates {
    files: TlsFiles,
    current: RwLock<Identity>,
}

/// Does not print the private key.
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
        Some(Arc::clone(&current.key))
    }
}

type Version = [Option<FileVersion>; 2];

impl Certificates {
    /// Reads the files.
    ///
    /// # Errors
    /// Names each key of the configuration whose file cannot be used.
    pub fn new(files: TlsFiles) -> Result<Arc<Self>, TlsError> {
        let current = load(&files).map_err(TlsError)?;
        Ok(Arc::new(Self {
            files,
            current: RwLock::new(current),
        }))
    }

    /// Returns the validity period of the current certificate, if it can be read.
    #[must_use]
    pub fn validity(&self) -> Option<Validity> {
        let current = self.current.read().unwrap_or_else(PoisonError::into_inner);
        current.validity
    }

    /// Returns a warning if the certificate is not valid yet, has expired or is about to expire.
    #[must_use]
    pub fn warning(&self, now: OffsetDateTime) -> Option<String> {
        let what = format!(
            "the gateway's own certificate (server.tls_cert_file, `{}`)",
            self.files.cert_file.display()
        );
        self.validity()?.warning(&what, now)
    }

    /// Returns the TLS configuration of connections.
    ///
    /// # Errors
    /// When the library supports no version of TLS.
    pub fn acceptor(self: &Arc<Self>) -> Result<TlsAcceptor, rustls::Error> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_cert_resolver(Arc::<Self>::clone(self));
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(TlsAcceptor::from(Arc::new(config)))
    }

    fn version(&self) -> Version {
        [&self.files.cert_file, &self.files.key_file].map(|path| file::version(path).ok())
    }

    /// Reloads the files whenever they have changed, for as long as the future is polled. A certificate and a key that do not match are not used:
    /// most likely, only one of the two files has been replaced so far. Warns once a day that the certificate is about to expire.
    pub async fn keep_fresh(&self, clock: &dyn Clock) {
        let mut known = Some(self.version());
        let mut failing = false;
        let mut reminded = clock.monotonic();
        loop {
            tokio::time::sleep(LOOK).await;
            let now = clock.monotonic();
            if now.saturating_duration_since(reminded) >= REMIND {
                reminded = now;
                if let Some(warning) = self.warning(clock.now()) {
                    tracing::warn!("{warning}");
                }
            }
            let version = self.version();
            if known == Some(version) {
                continue;
            }
            match load(&self.files) {
                Ok(loaded) => {
                    let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
                    *current = loaded;
                    (known, failing) = (Some(version), false);
                    tracing::info!("the certificate has changed; new connections get the new one");
                }
                Err(errors) if failing => {
                    let error = shown(&errors);
                    tracing::debug!("the certificate still cannot be used: {error}");
                }
                // Retried even if the files have not changed: their permissions may have been corrected.
                Err(errors) => {
                    (known, failing) = (None, true);
                    let error = shown(&errors);
                    tracing::error!(
                        "the changed certificate cannot be used, the last one stays: {error}"
                    );
                }
            }
        }
    }
}

/// The errors in the files of the certificate, without consequential errors.
#[derive(Clone, Debug)]
pub struct TlsError(pub Vec<Unusable>);

impl std::fmt::Display for TlsError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&shown(&self.0))
    }
}

impl std::error::Error for TlsError {}

/// What is wrong with one of the files.
#[derive(Clone, Debug)]
pub struct Unusable {
    /// The configuration key of the file.
    pub key: &'static str,
    /// What is wrong, without any part of a private key.
    pub what: String,
}

impl std::fmt::Display for Unusable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.key, self.what)
    }
}

const CERT_FILE: &str = "server.tls_cert_file";
const KEY_FILE: &str = "server.tls_key_file";

fn shown(errors: &[Unusable]) -> String {
    let errors: Vec<String> = errors.iter().map(ToString::to_string).collect();
    errors.join("; ")
}

/// Reads the files. Returns all errors in them, without consequential errors.
fn load(files: &TlsFiles) -> Result<Identity, Vec<Unusable>> {
    let read = |key, path: &Path| {
        file::read(path, MAX_PEM_BYTES).map_err(|error| Unusable {
            key,
            what: error.to_string(),
        })
    };
    let (cert, key) = match (
        read(CERT_FILE, &files.cert_file),
        read(KEY_FILE, &files.key_file),
    ) {
        (Ok(cert), Ok(key)) => (cert, key),
        (cert, key) => return Err([cert.err(), key.err()].into_iter().flatten().collect()),
    };
    Identity::from_pem(&cert, &key).map_err(|errors| {
        let errors = errors.into_iter().map(|(part, what)| {
            let (key, path) = match part {
                Part::Certificate => (CERT_FILE, &files.cert_file),
                Part::Key => (KEY_FILE, &files.key_file),
            };
            let mut what = file::FileError::new(path, what).to_string();
            if what.ends_with("the key of the certificate") {
                what.push_str(&format!(" in `{}`", files.cert_file.display()));
            }
            Unusable { key, what }
        });
        errors.collect()
    })
}

#[cfg(test)]
mod tests {
    use super::{Certificates, LOOK};
    use crate::limits::TlsFiles;
    use ota_core::clock::SystemClock;
    use std::path::Path;
    use std::sync::Arc;

    type Made = rcgen::CertifiedKey<rcgen::KeyPair>;

    fn write(folder: &Path, cert: Option<&Made>, key: Option<&Made>) {
        if let Some(cert) = cert {
            std::fs::write(folder.join("cert.pem"), cert.cert.pem()).unwrap();
        }
        if let Some(key) = key {
            std::fs::write(folder.join("key.pem"), key.signing_key.serialize_pem()).unwrap();
        }
    }

    #[tokio::test(start_paused = true)]
    async fn only_a_pair_that_fits_is_taken() {
        let made = || rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let (old, new) = (made(), made());
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), Some(&old), Some(&old));
        let files = TlsFiles {
            cert_file: folder.path().join("cert.pem"),
            key_file: folder.path().join("key.pem"),
        };
        let certificates = Certificates::new(files).unwrap();
        let kept = Arc::clone(&certificates);
        tokio::spawn(async move { kept.keep_fresh(&SystemClock).await });
        // The clock is paused; only these calls advance it.
        let looks = || tokio::time::sleep(LOOK * 3);
        let current = || Arc::clone(&certificates.current.read().unwrap().key);
        looks().await;
        let first = current();
        write(folder.path(), Some(&new), None);
        looks().await;
        assert!(
            Arc::ptr_eq(&first, &current()),
            "only one of the two files was replaced"
        );
        std::fs::write(folder.path().join("cert.pem"), "no certificate").unwrap();
        looks().await;
        assert!(Arc::ptr_eq(&first, &current()), "not a certificate");
        write(folder.path(), Some(&new), Some(&new));
        looks().await;
        let second = current();
        assert_eq!(second.cert[0], *new.cert.der());
        std::fs::remove_file(folder.path().join("key.pem")).unwrap();
        looks().await;
        assert!(Arc::ptr_eq(&second, &current()), "no key");
    }
}
