//! TLS of the gateway.

use std::path::Path;
use std::time::{Duration, Instant};

use ota_core::context::{Context, Priority};
use ota_http::tls::TlsOptions;
use ota_http::{Client, Options, Request};
use ota_tests::token::minted;
use ota_tests::{Gateway, program, wire};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// A CA and a certificate for 127.0.0.1 from it.
pub(crate) struct Identity {
    ca: String,
    cert: String,
    key: String,
}

impl Identity {
    pub(crate) fn new() -> Self {
        let ca_key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let ca = params.self_signed(&ca_key).unwrap();
        let issuer = Issuer::from_params(&params, &ca_key);
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
        let cert = params.signed_by(&key, &issuer).unwrap();
        Self {
            ca: ca.pem(),
            cert: cert.pem(),
            key: key.serialize_pem(),
        }
    }

    pub(crate) fn write(&self, folder: &Path) {
        std::fs::write(folder.join("cert.pem"), &self.cert).unwrap();
        std::fs::write(folder.join("key.pem"), &self.key).unwrap();
    }

    /// The certificate of the CA.
    pub(crate) fn ca(&self) -> &str {
        &self.ca
    }

    /// A client that trusts this CA alone.
    fn client(&self) -> Client {
        let options = Options {
            tls: Some(TlsOptions {
                ca_pem: Some(self.ca.clone().into_bytes()),
                ..TlsOptions::default()
            }),
            max_body_bytes: 1 << 20,
            connect_timeout: Duration::from_secs(10),
            direct: true,
        };
        Client::new(&options).unwrap()
    }
}

/// The head of a configuration with the certificate and the key in a folder.
pub(crate) fn file(folder: &Path, more: &str) -> String {
    let lines = format!(
        "[server]\ntls_cert_file = \"{0}/cert.pem\"\ntls_key_file = \"{0}/key.pem\"\n{more}\n",
        folder.display()
    );
    ota_tests::gateway::keeping_head().replacen("[server]\n", &lines, 1)
}

#[expect(clippy::disallowed_methods, reason = "a deadline for a real call")]
fn soon() -> Instant {
    Instant::now() + Duration::from_secs(30)
}

/// The status of an authorized request, or nothing when the connection is not trusted.
async fn status(gateway: &Gateway, client: &Client) -> Option<u16> {
    let url = format!("https://{}/v1/providers", gateway.address());
    let mut request = Request::new(http::Method::GET, url);
    let token = format!("Bearer {}", minted("ota:read", None));
    request
        .header(http::header::AUTHORIZATION, &token, true)
        .unwrap();
    let cx = Context::new("tls", soon(), Priority::Interactive);
    let response = client.send(&cx, request).await.ok()?;
    assert!(response.header("strict-transport-security").is_some());
    Some(response.status)
}

#[tokio::test]
async fn requests_are_answered_over_tls_and_a_new_certificate_is_taken_without_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let (old, new) = (Identity::new(), Identity::new());
    old.write(folder.path());
    let gateway = Gateway::with_file(&file(folder.path(), "")).await;
    assert_eq!(status(&gateway, &old.client()).await, Some(200));
    assert_eq!(status(&gateway, &new.client()).await, None);
    new.write(folder.path());
    wire::until(async || status(&gateway, &new.client()).await == Some(200)).await;
    assert_eq!(status(&gateway, &old.client()).await, None);
}

#[tokio::test]
async fn who_does_not_speak_tls_is_cut_off_and_others_are_served() {
    let folder = tempfile::tempdir().unwrap();
    let identity = Identity::new();
    identity.write(folder.path());
    let gateway = Gateway::with_file(&file(folder.path(), "header_timeout_ms = 500")).await;
    for text in ["GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n", ""] {
        let mut stream = TcpStream::connect(gateway.address()).await.unwrap();
        stream.write_all(text.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        let read = stream.read_to_end(&mut answer);
        let _reset = tokio::time::timeout(wire::PATIENCE, read).await.unwrap();
        assert!(!answer.starts_with(b"HTTP/"), "{answer:?}");
        assert_eq!(status(&gateway, &identity.client()).await, Some(200));
    }
    let sample = "ota_connections_cut_off_total{reason=\"handshake\"}";
    wire::until(async || gateway.metric(sample).await == 1.0).await;
}

#[tokio::test]
async fn a_certificate_that_cannot_be_used_ends_the_start() {
    let (one, other) = (Identity::new(), Identity::new());
    for (cert, key, words) in [
        (&one.cert, &other.key, "is not the key of the certificate"),
        (&String::new(), &one.key, "holds no certificate"),
        (&one.key, &one.key, "holds no certificate"),
        (&one.cert, &one.cert, "holds no private key"),
        (&one.cert, &"garbage".to_owned(), "holds no private key"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("cert.pem"), cert).unwrap();
        std::fs::write(folder.path().join("key.pem"), key).unwrap();
        let path = folder.path().join("gateway.toml");
        std::fs::write(&path, file(folder.path(), "")).unwrap();
        let path = path.display().to_string();
        let output = program::run(&["serve", "--config", &path]).await;
        let text = program::stderr(&output);
        assert_eq!(output.status.code(), Some(78), "{text}");
        assert!(
            text.contains(words) && text.contains("server.tls_"),
            "{text}"
        );
        assert!(!text.contains("PRIVATE KEY-----"), "{text}");
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("gateway.toml");
    let text = file(folder.path(), "").replace("tls_key_file", "# ");
    std::fs::write(&path, text).unwrap();
    let path = path.display().to_string();
    let output = program::run(&["serve", "--config", &path]).await;
    assert_eq!(output.status.code(), Some(78));
    let text = program::stderr(&output);
    assert!(text.contains("tls_key_file: is missing"), "{text}");
}
