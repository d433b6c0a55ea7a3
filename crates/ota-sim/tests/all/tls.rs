//! TLS, with and without a client certificate.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig, StreamOwned};

use crate::client::{Alibaba, Huawei, parse};

struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    fn issue(&self, name: &str) -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap();
        (
            vec![certificate.der().clone()],
            PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
        )
    }

    fn roots(&self) -> RootCertStore {
        let mut roots = RootCertStore::empty();
        roots.add(self.0.der().clone()).unwrap();
        roots
    }
}

fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

fn get(addr: std::net::SocketAddr, config: ClientConfig) -> std::io::Result<u16> {
    let name = ServerName::try_from("localhost").unwrap();
    let connection = ClientConnection::new(Arc::new(config), name).unwrap();
    let mut stream = StreamOwned::new(connection, TcpStream::connect(addr)?);
    stream
        .write_all(b"GET /_sim/health HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    Ok(parse(&answer).map_or(0, |answer| answer.status))
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_is_served_and_client_certificates_are_checked() {
    let authority = Authority::new();
    let (chain, key) = authority.issue("localhost");
    let base = || {
        ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .unwrap()
    };
    let client = || {
        ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(authority.roots())
    };

    let plain = base()
        .with_no_client_auth()
        .with_single_cert(chain.clone(), key.clone_key())
        .unwrap();
    let sim = Alibaba::start(|config| config.tls = Some(Arc::new(plain))).await;
    assert!(sim.server.url().starts_with("https://127.0.0.1:"));
    assert_eq!(
        get(sim.server.addr(), client().with_no_client_auth()).unwrap(),
        200
    );

    let verifier =
        WebPkiClientVerifier::builder_with_provider(Arc::new(authority.roots()), provider())
            .build()
            .unwrap();
    let mutual = base()
        .with_client_cert_verifier(verifier)
        .with_single_cert(chain, key)
        .unwrap();
    let sim = Huawei::start(|config| config.tls = Some(Arc::new(mutual))).await;
    assert!(get(sim.server.addr(), client().with_no_client_auth()).is_err());
    let (chain, key) = authority.issue("client");
    let known = client().with_client_auth_cert(chain, key).unwrap();
    assert_eq!(get(sim.server.addr(), known).unwrap(), 200);
}
