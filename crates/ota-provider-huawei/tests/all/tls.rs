//! The vendor's platforms have certificates of a private CA, are addressed by IP and may ask for a client certificate.

use std::path::PathBuf;
use std::sync::Arc;

use ota_core::ErrorKind;
use ota_core::provider::Provider;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_rustls::TlsAcceptor;

use crate::vendor::Subject;

const NAME: &str = "platform.iot.example";

struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        Self(CertifiedIssuer::self_signed(params, key).unwrap())
    }

    /// Returns certificate and key for `name`, in PEM form.
    fn issue(&self, name: &str) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap();
        (certificate.pem(), key.serialize_pem())
    }
}

/// A platform that insists on a client certificate, and the files that an operator was given for it.
struct Platform {
    endpoint: String,
    folder: tempfile::TempDir,
}

impl Platform {
    async fn start() -> Self {
        let authority = Authority::new();
        let folder = tempfile::tempdir().unwrap();
        let write =
            |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
        write("ca.pem", &authority.0.pem());
        write("other-ca.pem", &Authority::new().0.pem());
        let (certificate, key) = authority.issue("gateway");
        write("client.pem", &certificate);
        write("client-key.pem", &key);

        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut roots = rustls::RootCertStore::empty();
        roots.add(authority.0.der().clone()).unwrap();
        let clients = rustls::server::WebPkiClientVerifier::builder_with_provider(
            Arc::new(roots),
            Arc::clone(&provider),
        );
        let (certificate, key) = authority.issue(NAME);
        write("platform.pem", &certificate);
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_client_cert_verifier(clients.build().unwrap())
            .with_single_cert(
                vec![CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap()],
                PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap(),
            )
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("https://{}", listener.local_addr().unwrap());
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let acceptor = acceptor.clone();
                tokio::spawn(async move {
                    if let Ok(stream) = acceptor.accept(socket).await {
                        let _ = serve(stream).await;
                    }
                });
            }
        });
        Self { endpoint, folder }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Makes one call with the settings that work, changed by `change`.
    async fn check(&self, mut change: Value) -> ota_core::Result<()> {
        let mut settings = json!({
            "ca_file": self.file("ca.pem"), "server_name": NAME,
            "client_cert_file": self.file("client.pem"), "client_key_file": self.file("client-key.pem"),
        });
        settings
            .as_object_mut()
            .unwrap()
            .append(change.as_object_mut().unwrap());
        let subject = Subject::with(&self.endpoint, settings, &Arc::default());
        subject.provider.check(&subject.context()).await
    }

    /// No repetition mends it, and the message names the setting that does.
    async fn check_refused(&self, change: Value, setting: &str) {
        let error = self.check(change.clone()).await.unwrap_err();
        assert_eq!(
            error.kind(),
            ErrorKind::Misconfigured,
            "{change}: {error:?}"
        );
        let text = format!("{error}; {}", error.advice().unwrap_or_default());
        assert!(text.contains(setting), "{change}: {text}");
    }
}

/// Answers one request with a document that is a token and an empty page in one.
async fn serve(
    mut stream: tokio_rustls::server::TlsStream<tokio::net::TcpStream>,
) -> std::io::Result<()> {
    let mut request = Vec::new();
    let mut part = [0; 4096];
    let whole = |request: &[u8]| {
        let text = String::from_utf8_lossy(request).to_ascii_lowercase();
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            return false;
        };
        let length = head
            .lines()
            .find_map(|line| line.strip_prefix("content-length:"))
            .map_or(0, |length| length.trim().parse().unwrap());
        body.len() >= length
    };
    while !whole(&request) {
        let read = stream.read(&mut part).await?;
        if read == 0 {
            return Ok(());
        }
        request.extend_from_slice(&part[..read]);
    }
    let body = json!({"accessToken": "access", "expiresIn": 3600, "data": [], "totalCount": 0});
    let body = body.to_string();
    let length = body.len();
    let answer = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}"
    );
    stream.write_all(answer.as_bytes()).await?;
    stream.shutdown().await
}

#[tokio::test]
async fn a_private_ca_a_client_certificate_and_an_expected_name_connect() {
    let platform = Platform::start().await;
    platform.check(json!({})).await.unwrap();
}

#[tokio::test]
async fn a_wrong_name_is_refused() {
    let platform = Platform::start().await;
    platform
        .check_refused(json!({"server_name": "other.example"}), "server_name")
        .await;
    // Without a setting the name is the address, which the certificate does not have.
    platform
        .check_refused(json!({"server_name": null}), "server_name")
        .await;
}

#[tokio::test]
async fn without_the_name_check_the_chain_is_still_checked() {
    let platform = Platform::start().await;
    let unnamed = json!({"server_name": null, "verify_hostname": false});
    platform.check(unnamed).await.unwrap();
    let stranger = json!({
        "server_name": null, "verify_hostname": false, "ca_file": platform.file("other-ca.pem"),
    });
    platform.check_refused(stranger, "ca_file").await;
}

#[tokio::test]
async fn a_missing_client_certificate_is_refused() {
    let platform = Platform::start().await;
    platform
        .check_refused(
            json!({"client_cert_file": null, "client_key_file": null}),
            "client_cert_file",
        )
        .await;
}

#[tokio::test]
async fn the_platforms_own_certificate_in_ca_file_is_trusted() {
    let platform = Platform::start().await;
    // Issued by a CA that the operator was not given.
    let pinned = json!({"ca_file": platform.file("platform.pem")});
    platform.check(pinned).await.unwrap();
    let other = json!({"ca_file": platform.file("client.pem")});
    platform.check_refused(other, "certificate").await;
}
