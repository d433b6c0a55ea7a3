//! Servers as private platforms have them, and what a client says about each.

use std::sync::Arc;
use std::time::Duration;

use http::Method;
use ota_core::clock::{Clock, SystemClock};
use ota_core::context::{Context, Priority};
use ota_core::{Error, ErrorKind};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    PublicKeyData as _, SigningKey as _,
};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{RootCertStore, ServerConfig, SupportedProtocolVersion};
use time::OffsetDateTime;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_rustls::TlsAcceptor;

use super::{KeyNames, TlsOptions};
use crate::client::{Client, Options, Request};

const ECDSA_SHA256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02];
const ECDSA_SHA1: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x01];
const COMMON_NAME: &[u8] = &[0x55, 0x04, 0x03];

fn tlv(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let content = parts.concat();
    let mut der = vec![tag];
    match content.len() {
        short @ 0..128 => der.push(short as u8),
        middle @ 128..256 => der.extend([0x81, middle as u8]),
        long => der.extend([0x82, (long >> 8) as u8, long as u8]),
    }
    der.extend(content);
    der
}

/// A certificate of X.509 version 1 for the common name `platform`, as `openssl x509 -req` makes it without an extension file.
fn version_1(public_key: &[u8], hash: &[u8], issuer: &str, signer: &KeyPair) -> Vec<u8> {
    let algorithm = tlv(0x30, &[&tlv(0x06, &[hash])]);
    let name = |name: &str| {
        let pair = tlv(
            0x30,
            &[&tlv(0x06, &[COMMON_NAME]), &tlv(0x0c, &[name.as_bytes()])],
        );
        tlv(0x30, &[&tlv(0x31, &[&pair])])
    };
    let validity = tlv(
        0x30,
        &[
            &tlv(0x17, &[b"250101000000Z"]),
            &tlv(0x17, &[b"490101000000Z"]),
        ],
    );
    let body = tlv(
        0x30,
        &[
            &tlv(0x02, &[&[7]]),
            &algorithm,
            &name(issuer),
            &validity,
            &name("platform"),
            public_key,
        ],
    );
    let signature = signer.sign(&body).unwrap();
    tlv(0x30, &[&body, &algorithm, &tlv(0x03, &[&[0], &signature])])
}

fn pem(der: &[u8]) -> Vec<u8> {
    use base64::Engine as _;
    let text = base64::engine::general_purpose::STANDARD.encode(der);
    format!("-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----\n").into_bytes()
}

/// A certificate with its key.
struct Shown {
    der: Vec<u8>,
    key: KeyPair,
}

impl Shown {
    fn version_1() -> Self {
        let key = KeyPair::generate().unwrap();
        Self {
            der: version_1(
                &key.subject_public_key_info(),
                ECDSA_SHA256,
                "platform",
                &key,
            ),
            key,
        }
    }

    /// Its own CA, as the one-line `openssl req -x509` makes it.
    fn self_signed(change: impl FnOnce(&mut CertificateParams)) -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
        params
            .distinguished_name
            .push(DnType::CommonName, "127.0.0.1");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        change(&mut params);
        let der = params.self_signed(&key).unwrap().der().to_vec();
        Self { der, key }
    }

    fn pem(&self) -> Vec<u8> {
        pem(&self.der)
    }

    fn certified(&self) -> CertifiedKey {
        let key = PrivateKeyDer::try_from(self.key.serialize_der()).unwrap();
        let key = rustls::crypto::ring::sign::any_supported_type(&key).unwrap();
        CertifiedKey::new(vec![CertificateDer::from(self.der.clone())], key)
    }
}

const BOTH: &[&SupportedProtocolVersion] = &[&rustls::version::TLS12, &rustls::version::TLS13];

/// Starts a server with this certificate, which asks for one of a client if `clients` is given.
async fn serve(
    shown: &Shown,
    versions: &[&'static SupportedProtocolVersion],
    clients: Option<&[u8]>,
) -> String {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(versions)
        .unwrap();
    let builder = match clients {
        None => builder.with_no_client_auth(),
        Some(ca) => {
            let mut roots = RootCertStore::empty();
            roots
                .add(CertificateDer::from_pem_slice(ca).unwrap())
                .unwrap();
            let verifier =
                WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build();
            builder.with_client_cert_verifier(verifier.unwrap())
        }
    };
    let resolver = SingleCertAndKey::from(shown.certified());
    let acceptor = TlsAcceptor::from(Arc::new(builder.with_cert_resolver(Arc::new(resolver))));
    let answer = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok";
    serve_with(acceptor, answer.to_owned()).await
}

async fn serve_with(acceptor: TlsAcceptor, answer: String) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("https://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let (acceptor, answer) = (acceptor.clone(), answer.clone());
            tokio::spawn(async move {
                let mut stream = acceptor.accept(socket).await?;
                let mut head = [0; 4096];
                if stream.read(&mut head).await? > 0 {
                    stream.write_all(answer.as_bytes()).await?;
                }
                stream.shutdown().await
            });
        }
    });
    address
}

/// Starts a server that answers whatever comes with these bytes.
async fn answers(bytes: Vec<u8>) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("https://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let mut hello = [0; 4096];
            let _ = socket.read(&mut hello).await;
            let _ = socket.write_all(&bytes).await;
            let _ = socket.shutdown().await;
            // Read to the end, so that what was written is not lost with a reset.
            while matches!(socket.read(&mut hello).await, Ok(1..)) {}
        }
    });
    address
}

async fn call(address: &str, tls: TlsOptions) -> Result<u16, Error> {
    let options = Options {
        tls: Some(tls),
        direct: true,
        connect_timeout: Duration::from_secs(20),
        ..Options::default()
    };
    let client = Client::new(&options).unwrap();
    let deadline = SystemClock.monotonic() + Duration::from_secs(30);
    let cx = Context::new("tls", deadline, Priority::Interactive);
    let request = Request::new(Method::GET, format!("{address}/"));
    client
        .send(&cx, request)
        .await
        .map(|response| response.status)
}

fn trusting(pem: Vec<u8>) -> TlsOptions {
    TlsOptions {
        ca_pem: Some(pem),
        ..TlsOptions::default()
    }
}

fn unnamed(pem: Vec<u8>) -> TlsOptions {
    TlsOptions {
        skip_hostname_verification: true,
        ..trusting(pem)
    }
}

/// Checks what is said of a connection that fails: no repetition mends it, and the advice helps.
#[track_caller]
fn refused(result: Result<u16, Error>, message: &[&str], advice: &[&str]) {
    let error = result.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Misconfigured, "{error:?}");
    for words in message {
        assert!(error.message().contains(words), "{words}: {error:?}");
    }
    for words in advice {
        assert!(
            error.advice().unwrap().contains(words),
            "{words}: {error:?}"
        );
    }
}

#[tokio::test]
async fn a_server_that_shows_a_certificate_of_ca_file_is_trusted() {
    let shown = Shown::self_signed(|_| {});
    let address = serve(&shown, BOTH, None).await;
    assert_eq!(call(&address, trusting(shown.pem())).await.unwrap(), 200);
    // Also among others, and with a byte order mark's leftovers of text around it.
    let many = [
        Shown::version_1().pem(),
        b"# platform\n".to_vec(),
        shown.pem(),
    ]
    .concat();
    assert_eq!(call(&address, trusting(many)).await.unwrap(), 200);
    // The name is compared as for others, and waived as for others.
    let other = Shown::self_signed(|params| {
        params.subject_alt_names = CertificateParams::new(vec!["iot.example".to_owned()])
            .unwrap()
            .subject_alt_names;
    });
    let address = serve(&other, BOTH, None).await;
    let names = ["for another name: it is for `iot.example`"];
    let result = call(&address, trusting(other.pem())).await;
    refused(result, &names, &["set `server_name`", "`iot.example`"]);
    let named = TlsOptions {
        server_name: Some("iot.example".to_owned()),
        ..trusting(other.pem())
    };
    assert_eq!(call(&address, named).await.unwrap(), 200);
    assert_eq!(call(&address, unnamed(other.pem())).await.unwrap(), 200);
}

#[tokio::test]
async fn a_pin_vouches_for_one_key_only() {
    let (one, other) = (Shown::self_signed(|_| {}), Shown::self_signed(|_| {}));
    let address = serve(&one, BOTH, None).await;
    let result = call(&address, unnamed(other.pem())).await;
    refused(
        result,
        &["self-signed"],
        &["put the server's own certificate into `ca_file`"],
    );
    // Who shows the certificate without having its key is not trusted, whatever the version of TLS or of the certificate.
    for honest in [Shown::self_signed(|_| {}), Shown::version_1()] {
        let thief = Shown {
            der: honest.der.clone(),
            key: KeyPair::generate().unwrap(),
        };
        for versions in [&[&rustls::version::TLS12], &[&rustls::version::TLS13]] {
            let address = serve(&thief, versions, None).await;
            let result = call(&address, unnamed(honest.pem())).await;
            refused(result, &["signature", "is wrong"], &[]);
        }
    }
}

#[tokio::test]
async fn version_1_is_trusted_when_pinned_and_named_when_not() {
    let shown = Shown::version_1();
    for versions in [&[&rustls::version::TLS12], &[&rustls::version::TLS13]] {
        let address = serve(&shown, versions, None).await;
        assert_eq!(call(&address, unnamed(shown.pem())).await.unwrap(), 200);
        let result = call(&address, trusting(shown.pem())).await;
        refused(
            result,
            &["names no host", "`platform`"],
            &["only `verify_hostname = false` helps"],
        );
    }
    let address = serve(&shown, BOTH, None).await;
    let result = call(&address, unnamed(Shown::version_1().pem())).await;
    refused(
        result,
        &["self-signed", "X.509 version 1"],
        &["put the server's own certificate into `ca_file`"],
    );
    // One that a CA has signed is trusted because it is listed, not because of its CA.
    let ca_key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, "ca");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca = params.self_signed(&ca_key).unwrap();
    let key = KeyPair::generate().unwrap();
    let der = version_1(&key.subject_public_key_info(), ECDSA_SHA256, "ca", &ca_key);
    let shown = Shown { der, key };
    let address = serve(&shown, BOTH, None).await;
    let result = call(&address, unnamed(ca.pem().into_bytes())).await;
    refused(result, &["X.509 version 1"], &["not by its CA"]);
    assert_eq!(call(&address, unnamed(shown.pem())).await.unwrap(), 200);
}

#[tokio::test]
async fn what_no_setting_mends_is_named() {
    // SHA-1 is no matter where the certificate itself is pinned.
    let key = KeyPair::generate().unwrap();
    let der = version_1(&key.subject_public_key_info(), ECDSA_SHA1, "ca", &key);
    let shown = Shown { der, key };
    let address = serve(&shown, BOTH, None).await;
    let result = call(&address, unnamed(Shown::version_1().pem())).await;
    refused(result, &["signed with SHA-1"], &["with SHA-256"]);
    assert_eq!(call(&address, unnamed(shown.pem())).await.unwrap(), 200);

    // An RSA key of 1024 bits: the modulus is any odd number of that length, since its signature is not looked at.
    let mut modulus = vec![0xff; 128];
    modulus.insert(0, 0);
    let numbers = tlv(0x30, &[&tlv(0x02, &[&modulus]), &tlv(0x02, &[&[1, 0, 1]])]);
    let rsa = [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01];
    let algorithm = tlv(0x30, &[&tlv(0x06, &[&rsa]), &[0x05, 0x00]]);
    let public_key = tlv(0x30, &[&algorithm, &tlv(0x03, &[&[0], &numbers])]);
    let key = KeyPair::generate().unwrap();
    let der = version_1(&public_key, ECDSA_SHA256, "platform", &key);
    let shown = Shown { der, key };
    let address = serve(&shown, BOTH, None).await;
    for trusted in [&shown, &Shown::version_1()] {
        let result = call(&address, unnamed(trusted.pem())).await;
        refused(result, &["RSA of 1024 bits"], &["needs a new key"]);
    }

    let past = |params: &mut CertificateParams| {
        params.not_before = OffsetDateTime::UNIX_EPOCH;
        params.not_after = OffsetDateTime::UNIX_EPOCH + Duration::from_secs(86_400);
    };
    let shown = Shown::self_signed(past);
    let address = serve(&shown, BOTH, None).await;
    let result = call(&address, unnamed(shown.pem())).await;
    refused(result, &["has expired on 1970-01-02"], &["must renew it"]);
}

/// What the certificate of a CA says of itself.
fn ca_params() -> CertificateParams {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params
        .distinguished_name
        .push(DnType::CommonName, "127.0.0.1");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params
}

#[tokio::test]
async fn a_ca_is_trusted_as_before() {
    let ca = Shown::self_signed(|params| {
        params.subject_alt_names.clear();
    });
    let params = ca_params();
    let issuer = Issuer::from_params(&params, &ca.key);
    let leaf = |names: Vec<String>| {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(names).unwrap();
        let der = params.signed_by(&key, &issuer).unwrap().der().to_vec();
        Shown { der, key }
    };
    let good = leaf(vec!["127.0.0.1".to_owned()]);
    let address = serve(&good, BOTH, None).await;
    assert_eq!(call(&address, trusting(ca.pem())).await.unwrap(), 200);
    let result = call(&address, trusting(Shown::self_signed(|_| {}).pem())).await;
    refused(
        result,
        &["cannot be trusted"],
        &["`ca_file`", "SSL_CERT_FILE"],
    );
    let nameless = leaf(Vec::new());
    let address = serve(&nameless, BOTH, None).await;
    let result = call(&address, trusting(ca.pem())).await;
    refused(
        result,
        &["names no host"],
        &["only `verify_hostname = false` helps"],
    );
    assert_eq!(call(&address, unnamed(ca.pem())).await.unwrap(), 200);
}

#[tokio::test]
async fn old_versions_and_ciphers_are_told_from_client_certificates() {
    // A ServerHello of TLS 1.0, and the two alerts that such servers send.
    let mut hello = vec![0x02, 0, 0, 38, 3, 1];
    hello.extend([7; 32]);
    hello.extend([0, 0x00, 0x2f, 0]);
    let mut record = vec![0x16, 3, 1, 0, hello.len() as u8];
    record.extend(hello);
    let none = || trusting(Shown::version_1().pem());
    for (bytes, words) in [
        (record, "version of TLS"),
        (vec![0x15, 3, 1, 0, 2, 2, 70], "version of TLS"),
        (vec![0x15, 3, 3, 0, 2, 2, 40], "no cipher in common"),
        (vec![0x15, 3, 3, 0, 2, 2, 71], "no cipher in common"),
    ] {
        let address = answers(bytes).await;
        let error = call(&address, none()).await.unwrap_err();
        assert!(
            !format!("{error:?}").contains("client_cert_file"),
            "{error:?}"
        );
        refused(Err(error), &[words], &["TLS 1.2 and 1.3"]);
    }
    let address = answers(b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec()).await;
    refused(
        call(&address, none()).await,
        &["does not speak TLS"],
        &["`endpoint`"],
    );
}

#[tokio::test]
async fn a_client_certificate_is_asked_for_shown_or_named() {
    let shown = Shown::self_signed(|_| {});
    let ca = Shown::self_signed(|_| {});
    let params = ca_params();
    let issuer = Issuer::from_params(&params, &ca.key);
    let own = |end: Option<OffsetDateTime>| {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec!["gateway".to_owned()]).unwrap();
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        params.not_after = end.unwrap_or(params.not_after);
        let pem = params.signed_by(&key, &issuer).unwrap().pem();
        Some((pem.into_bytes(), key.serialize_pem().into_bytes()))
    };
    let ended = OffsetDateTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
    for versions in [&[&rustls::version::TLS12], &[&rustls::version::TLS13]] {
        let address = serve(&shown, versions, Some(&ca.pem())).await;
        let with = |client_identity_pem| TlsOptions {
            client_identity_pem,
            ..trusting(shown.pem())
        };
        assert_eq!(call(&address, with(own(None))).await.unwrap(), 200);
        refused(
            call(&address, with(None)).await,
            &["asks for a client certificate"],
            &["set `client_cert_file` and `client_key_file`"],
        );
        refused(
            call(&address, with(own(Some(ended)))).await,
            &["client certificate: it has expired on 2023-11-14"],
            &["new client certificate, put it into `client_cert_file`"],
        );
        let stranger = Shown::self_signed(|_| {});
        let stranger = (stranger.pem(), stranger.key.serialize_pem().into_bytes());
        refused(
            call(&address, with(Some(stranger))).await,
            &["refused the gateway's client certificate"],
            &["`client_cert_file`"],
        );
        // What the key server of another section cannot set is not advised.
        let keys = KeyNames {
            client_cert_file: None,
            client_key_file: None,
            ..KeyNames::PROVIDER
        };
        let error = call(&address, TlsOptions { keys, ..with(None) }).await;
        let advice = error.unwrap_err().advice().unwrap().to_owned();
        assert!(!advice.contains("client_cert_file"), "{advice}");
    }
}

#[test]
fn a_page_about_the_client_certificate_is_told_from_others() {
    use super::problem::Known;
    use super::{Problem, Validity};
    use crate::response::Response;
    let page = |status, body: &'static str| Response {
        status,
        headers: http::HeaderMap::new(),
        body: body.into(),
    };
    const NONE: &str =
        "<html>\r\n<head><title>400 No required SSL certificate was sent</title></head></html>";
    const WRONG: &str =
        "<html>\r\n<head><title>400 The SSL certificate error</title></head></html>";
    const PLAIN: &str = "<html>\r\n<head><title>400 The plain HTTP request was sent to HTTPS port</title></head></html>";
    let validity = Validity {
        begins: OffsetDateTime::UNIX_EPOCH,
        ends: OffsetDateTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000),
    };
    let none = Known {
        asked: true,
        own: None,
    };
    let own = Known {
        asked: true,
        own: Some(Some(validity)),
    };
    let unasked = Known {
        asked: false,
        own: None,
    };
    let advice = |response: &Response, known| {
        let problem = Problem::of_page(response, known)?;
        Some(problem.message() + &problem.advice(&KeyNames::PROVIDER))
    };
    for response in [page(400, NONE), page(496, "")] {
        let text = advice(&response, none).unwrap();
        assert!(text.contains("asks for a client certificate"), "{text}");
        assert!(text.contains("set `client_cert_file`"), "{text}");
    }
    for response in [page(400, WRONG), page(495, "")] {
        let text = advice(&response, own).unwrap();
        assert!(text.contains("until 2023-11-14"), "{text}");
        assert!(text.contains("if it has expired"), "{text}");
    }
    assert_eq!(advice(&page(400, NONE), unasked), None);
    assert_eq!(advice(&page(400, PLAIN), none), None);
    assert_eq!(
        advice(&page(400, r#"{"text": "SSL certificate"}"#), none),
        None
    );
    assert_eq!(advice(&page(200, NONE), none), None);
    assert_eq!(advice(&page(502, WRONG), own), None);
}

#[tokio::test]
async fn a_server_that_answers_a_missing_client_certificate_with_a_page_is_understood() {
    let (shown, ca) = (Shown::self_signed(|_| {}), Shown::self_signed(|_| {}));
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from(ca.der.clone())).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    // As nginx does: it ends the handshake without a certificate, and refuses the request.
    let verifier =
        WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
            .allow_unauthenticated()
            .build()
            .unwrap();
    let config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(BOTH)
        .unwrap()
        .with_client_cert_verifier(verifier)
        .with_cert_resolver(Arc::new(SingleCertAndKey::from(shown.certified())));
    const PAGE: &str =
        "<html><head><title>400 No required SSL certificate was sent</title></head></html>";
    let answer = format!(
        "HTTP/1.1 400 Bad Request\r\ncontent-type: text/html\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{PAGE}",
        PAGE.len()
    );
    let address = serve_with(TlsAcceptor::from(Arc::new(config)), answer).await;
    refused(
        call(&address, trusting(shown.pem())).await,
        &["asks for a client certificate"],
        &["set `client_cert_file` and `client_key_file`"],
    );
}

#[test]
fn waived_names_are_warned_of_only_where_others_could_pose_as_the_server() {
    let now = OffsetDateTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
    let own = Shown::self_signed(|params| params.is_ca = IsCa::ExplicitNoCa);
    let (first, ca) = (Shown::version_1(), Shown::self_signed(|_| {}));
    for pem in [own.pem(), first.pem()] {
        assert_eq!(unnamed(pem).warnings(now), [""; 0]);
    }
    let both = [own.pem(), first.pem()].concat();
    let system = TlsOptions {
        skip_hostname_verification: true,
        ..TlsOptions::default()
    };
    for options in [unnamed(ca.pem()), unnamed(both), system] {
        let warnings = options.warnings(now);
        assert_eq!(warnings.len(), 1, "{warnings:?}");
        assert!(warnings[0].contains("can pose as the server"));
        assert!(!warnings[0].contains("server_name"), "{warnings:?}");
    }
}

#[test]
fn a_client_certificate_that_is_not_valid_yet_is_warned_of() {
    let now = OffsetDateTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
    let own = Shown::self_signed(|params| {
        params.not_before = now + Duration::from_secs(86_400);
        params.not_after = now + Duration::from_secs(86_400 * 300);
    });
    let options = TlsOptions {
        client_identity_pem: Some((own.pem(), own.key.serialize_pem().into_bytes())),
        ..TlsOptions::default()
    };
    let warnings = options.warnings(now);
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(
        warnings[0].contains("`client_cert_file` is not valid yet"),
        "{warnings:?}"
    );
}

#[test]
fn an_identity_that_cannot_be_used_is_named_by_its_part() {
    use super::{Identity, Part};
    let (one, other) = (Shown::version_1(), Shown::version_1());
    let key = |shown: &Shown| shown.key.serialize_pem().into_bytes();
    let read = |cert: &[u8], key: &[u8]| Identity::from_pem(cert, key);
    // Version 1 works as well.
    let identity = read(&one.pem(), &key(&one)).unwrap();
    assert!(identity.validity.is_some());
    let encrypted =
        b"-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n";
    for (cert, key, part, words) in [
        (
            one.pem(),
            key(&other),
            Part::Key,
            "is not the key of the certificate",
        ),
        (one.der.clone(), key(&one), Part::Certificate, "DER form"),
        (
            key(&one),
            key(&one),
            Part::Certificate,
            "holds no certificate",
        ),
        (one.pem(), one.pem(), Part::Key, "holds no private key"),
        (
            one.pem(),
            encrypted.to_vec(),
            Part::Key,
            "encrypted with a passphrase",
        ),
    ] {
        let errors = read(&cert, &key).unwrap_err();
        let [(at, what)] = &errors[..] else {
            panic!("{errors:?}")
        };
        assert_eq!(*at, part, "{what}");
        assert!(what.contains(words), "{what}");
    }
}
