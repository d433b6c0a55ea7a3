//! What is wrong with a TLS connection, and what to do about it.
//!
//! A message says what was found and names no setting. The advice names settings as the section calls that the connection belongs to, so that only
//! keys that exist there are advised.

use rustls::{AlertDescription, CertificateError, PeerIncompatible, PeerMisbehaved};
use time::OffsetDateTime;

use super::certificate::{Facts, LEAST_RSA_BITS, listed};
use super::validity::{Validity, day};
use crate::response::Response;

/// How the settings of a connection are called where they are set. `None` for what cannot be set there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyNames {
    /// The certificates that are trusted.
    pub ca_file: &'static str,
    /// The certificate that the gateway shows.
    pub client_cert_file: Option<&'static str>,
    /// The private key of it.
    pub client_key_file: Option<&'static str>,
    /// The name that the server's certificate must have.
    pub server_name: Option<&'static str>,
    /// Whether names are compared.
    pub verify_hostname: Option<&'static str>,
    /// The address.
    pub endpoint: &'static str,
}

impl KeyNames {
    /// The keys of a provider section, the same for every vendor.
    pub const PROVIDER: Self = Self {
        ca_file: "ca_file",
        client_cert_file: Some("client_cert_file"),
        client_key_file: Some("client_key_file"),
        server_name: Some("server_name"),
        verify_hostname: Some("verify_hostname"),
        endpoint: "endpoint",
    };
}

impl Default for KeyNames {
    fn default() -> Self {
        Self::PROVIDER
    }
}

/// What is wrong with a TLS connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Problem {
    /// No certificate that is trusted vouches for the server's.
    Untrusted {
        /// What the server's certificate says.
        facts: Option<Box<Facts>>,
        /// Whether the server showed other certificates that a CA made with a hash that is not trusted any more.
        weak_chain: Option<&'static str>,
    },
    /// The key is too short for its signatures to be taken.
    ShortKey(usize),
    /// It has ended, at this time.
    Expired(Option<OffsetDateTime>),
    /// It is not valid yet, before this time.
    NotYetValid(Option<OffsetDateTime>),
    /// It is for other names.
    OtherName(Vec<String>),
    /// It names no host; it may have a common name, which nothing compares any more.
    NamesNoHost(Option<String>),
    /// The server has not proved that it has the key of its certificate.
    BadSignature,
    /// The server speaks no version of TLS that the gateway does.
    Version,
    /// The server takes none of the ciphers that the gateway offers.
    Cipher,
    /// The server asked for a certificate of the gateway, and there was none to show.
    ClientCertificateMissing,
    /// The server refused the certificate of the gateway because it has ended.
    ClientCertificateExpired(Option<OffsetDateTime>),
    /// The server refused the certificate of the gateway.
    ClientCertificateRefused {
        /// How it said so.
        how: String,
        /// When the certificate is valid.
        validity: Option<Validity>,
    },
    /// The server does not serve the name of the address.
    UnknownName,
    /// The server ended the handshake with another alert.
    Alert(String),
    /// The server does not speak TLS.
    NotTls,
}

/// What is known of a connection beside its error.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Known {
    /// Whether the server has asked for a certificate of the gateway.
    pub(crate) asked: bool,
    /// Whether the gateway has one, and when it is valid.
    pub(crate) own: Option<Option<Validity>>,
}

/// What servers say on the page that they answer with instead of ending the handshake (nginx: "No required SSL certificate was sent", "The SSL
/// certificate error").
const PAGE_WORDS: &[u8] = b"ssl certificate";

/// The statuses of nginx for a client certificate that was refused, and for none. It shows both as 400 unless it is configured otherwise.
const PAGE_STATUSES: [u16; 2] = [495, 496];

/// The most of a page that is looked at.
const PAGE_HEAD: usize = 4096;

impl Problem {
    /// Reads an error of the TLS library; `None` for what may pass.
    pub(crate) fn of(error: &rustls::Error, known: Known) -> Option<Self> {
        match error {
            rustls::Error::InvalidCertificate(certificate) => {
                Some(Self::of_certificate(certificate))
            }
            rustls::Error::InvalidMessage(_) => Some(Self::NotTls),
            rustls::Error::AlertReceived(alert) => Some(Self::of_alert(*alert, known)),
            rustls::Error::PeerIncompatible(
                PeerIncompatible::ServerDoesNotSupportTls12Or13
                | PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig,
            ) => Some(Self::Version),
            rustls::Error::PeerIncompatible(_) => Some(Self::Cipher),
            rustls::Error::PeerMisbehaved(
                PeerMisbehaved::SelectedUnofferedCipherSuite
                | PeerMisbehaved::SelectedUnusableCipherSuiteForVersion
                | PeerMisbehaved::SelectedUnofferedKxGroup,
            ) => Some(Self::Cipher),
            _ => None,
        }
    }

    /// Reads a page that some servers answer with where others end the handshake: about the gateway's certificate. `None` for any other answer.
    pub(crate) fn of_page(response: &Response, known: Known) -> Option<Self> {
        let head = response.body.get(..PAGE_HEAD).unwrap_or(&response.body);
        let said = || {
            head.windows(PAGE_WORDS.len())
                .any(|words| words.eq_ignore_ascii_case(PAGE_WORDS))
        };
        let status = response.status;
        let refused =
            PAGE_STATUSES.contains(&status) || (status == 400 && response.is_html() && said());
        // A server that has not asked for a certificate speaks of one of its own.
        if !refused || !known.asked {
            return None;
        }
        Some(match known.own {
            None => Self::ClientCertificateMissing,
            Some(validity) => Self::ClientCertificateRefused {
                how: format!("status {status}"),
                validity,
            },
        })
    }

    fn of_certificate(error: &CertificateError) -> Self {
        match error {
            CertificateError::Other(other) => match other.0.downcast_ref::<Refused>() {
                Some(Refused(problem)) => problem.clone(),
                None => Self::untrusted(),
            },
            CertificateError::BadSignature => Self::BadSignature,
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
                Self::Expired(None)
            }
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                Self::NotYetValid(None)
            }
            _ => Self::untrusted(),
        }
    }

    fn untrusted() -> Self {
        Self::Untrusted {
            facts: None,
            weak_chain: None,
        }
    }

    fn of_alert(alert: AlertDescription, known: Known) -> Self {
        use AlertDescription as A;
        match (alert, known.own) {
            (A::ProtocolVersion, _) => Self::Version,
            (A::UnrecognisedName, _) => Self::UnknownName,
            (A::CertificateRequired, None) => Self::ClientCertificateMissing,
            (A::CertificateExpired, Some(validity)) => {
                Self::ClientCertificateExpired(validity.map(|validity| validity.ends))
            }
            // Up to TLS 1.2 a missing certificate has no alert of its own.
            (
                A::HandshakeFailure | A::BadCertificate | A::AccessDenied | A::NoCertificate,
                None,
            ) if known.asked => Self::ClientCertificateMissing,
            (
                A::HandshakeFailure
                | A::BadCertificate
                | A::UnsupportedCertificate
                | A::CertificateRevoked
                | A::CertificateUnknown
                | A::CertificateRequired
                | A::UnknownCA
                | A::AccessDenied
                | A::DecryptError,
                Some(validity),
            ) if known.asked => Self::ClientCertificateRefused {
                how: format!("alert {alert:?}"),
                validity,
            },
            (A::HandshakeFailure | A::InsufficientSecurity, _) => Self::Cipher,
            _ => Self::Alert(format!("{alert:?}")),
        }
    }

    /// Says what was found, as the rest of "the server …" or a sentence of its own; without names of settings.
    #[must_use]
    pub fn message(&self) -> String {
        match self {
            Self::Untrusted { facts, weak_chain } => untrusted(facts.as_deref(), *weak_chain),
            Self::ShortKey(bits) => format!(
                "the server's certificate cannot be trusted: its key is RSA of {bits} bits, and signatures of less than {LEAST_RSA_BITS} bits are not taken"
            ),
            Self::Expired(at) => format!("the server's certificate has expired{}", on(*at)),
            Self::NotYetValid(at) => {
                format!("the server's certificate is not valid yet{}", from(*at))
            }
            Self::OtherName(names) => format!(
                "the server's certificate is for another name: it is for {}",
                listed(names)
            ),
            Self::NamesNoHost(common_name) => {
                let common = match common_name {
                    Some(name) => format!("only a common name (`{name}`), which is not compared"),
                    None => "no subjectAltName".to_owned(),
                };
                format!("the server's certificate names no host: it has {common}")
            }
            Self::BadSignature => {
                "a signature of the server's certificate or handshake is wrong".to_owned()
            }
            Self::Version => "the server and the gateway have no version of TLS in common: the server speaks TLS 1.1 or older, or takes only newer ones than it was offered".to_owned(),
            Self::Cipher => "the server refused the TLS connection: most likely they have no cipher in common, or the server speaks TLS 1.1 or older".to_owned(),
            Self::ClientCertificateMissing => {
                "the server asks for a client certificate, and the gateway has none to show".to_owned()
            }
            Self::ClientCertificateExpired(at) => {
                format!("the server refused the gateway's client certificate: it has expired{}", on(*at))
            }
            Self::ClientCertificateRefused { how, validity } => {
                let dates = validity.map(|Validity { begins, ends }| {
                    format!("; it is valid from {} until {}", day(begins), day(ends))
                });
                format!(
                    "the server refused the gateway's client certificate ({how}){}",
                    dates.unwrap_or_default()
                )
            }
            Self::UnknownName => "the server does not serve the name of the address (TLS alert UnrecognizedName)".to_owned(),
            Self::Alert(alert) => format!("the server ended the TLS handshake with the alert {alert}"),
            Self::NotTls => "the server does not speak TLS at this address".to_owned(),
        }
    }

    /// Says what to do, with the settings as `keys` calls them.
    #[must_use]
    pub fn advice(&self, keys: &KeyNames) -> String {
        let ca = keys.ca_file;
        let show = "`openssl s_client -connect HOST:PORT -showcerts` shows what the server sends; compare its fingerprint with the one that its operator has published";
        match self {
            Self::Untrusted { facts, weak_chain } => {
                let weak = weak_chain.is_some()
                    || facts.as_ref().is_some_and(|facts| {
                        facts.version < 3 || facts.weak_hash.is_some() || facts.self_issued
                    });
                match weak {
                    true => format!(
                        "put the server's own certificate into `{ca}` (a certificate of this kind is trusted only if it is listed there itself, not by its CA), or give the server a certificate of X.509 version 3 that a CA has signed with SHA-256; {show}"
                    ),
                    false => format!(
                        "put the certificate of the CA that made it into `{ca}`, or the server's own certificate; where a proxy inspects TLS, the CA of the proxy. With `{ca}` only the certificates in it are trusted; without it those of the system, or of the file that the environment variable SSL_CERT_FILE names; {show}"
                    ),
                }
            }
            Self::ShortKey(_) => format!(
                "the server needs a new key: RSA of {LEAST_RSA_BITS} bits or more, or ECDSA P-256; no setting makes a shorter one acceptable"
            ),
            Self::Expired(_) => format!(
                "the server's operator must renew it; if it has been renewed and `{ca}` holds the server's own certificate, put the new one there; compare this machine's clock with the time as well"
            ),
            Self::NotYetValid(_) => {
                "compare this machine's clock with the time; if it is right, the server's operator must replace the certificate".to_owned()
            }
            Self::OtherName(names) => match keys.server_name {
                Some(server_name) => format!(
                    "use one of these names in `{}`, or set `{server_name}` to the one that the server is known by ({})",
                    keys.endpoint,
                    listed(names)
                ),
                None => format!("use one of these names in `{}`, or give the server a certificate with the name that is used", keys.endpoint),
            },
            Self::NamesNoHost(_) => match keys.verify_hostname {
                Some(verify_hostname) => format!(
                    "only `{verify_hostname} = false` helps, or a new certificate with a subjectAltName; any other setting leads to the same error. With `{verify_hostname} = false` put the server's own certificate into `{ca}`, so that no other one is accepted"
                ),
                None => "only a new certificate with a subjectAltName helps".to_owned(),
            },
            Self::BadSignature => format!(
                "another CA of the same name may have made it, or there is a proxy: compare the certificates with those in `{ca}`; {show}"
            ),
            Self::Version | Self::Cipher => "the gateway speaks TLS 1.2 and 1.3, with ECDHE and AES-GCM or ChaCha20-Poly1305: have one of them switched on at the server, or put a proxy before it that speaks both (stunnel, nginx); no setting of the gateway changes that".to_owned(),
            Self::ClientCertificateMissing => match (keys.client_cert_file, keys.client_key_file) {
                (Some(cert), Some(key)) => format!(
                    "set `{cert}` and `{key}` to the client certificate that the server's operator has given out, and its key"
                ),
                _ => "the gateway shows no client certificate to this server; use an address that asks for none".to_owned(),
            },
            Self::ClientCertificateExpired(_) => match keys.client_cert_file {
                Some(cert) => format!(
                    "ask the server's operator for a new client certificate, put it into `{cert}`, and restart the gateway"
                ),
                None => "ask the server's operator".to_owned(),
            },
            Self::ClientCertificateRefused { .. } => match keys.client_cert_file {
                Some(cert) => format!(
                    "the server does not take the certificate in `{cert}`: if it has expired or is not valid yet, ask the server's operator for another one, put it there and restart the gateway; if not, compare the server's clock with the time, and ask its operator whether the CA that made it is known there and whether the certificate was revoked; intermediate certificates belong into the same file, after it"
                ),
                None => "ask the server's operator".to_owned(),
            },
            Self::UnknownName => format!("check the host name in `{}`", keys.endpoint),
            Self::Alert(_) => format!(
                "check scheme, host and port of `{}`; the server's log says more",
                keys.endpoint
            ),
            Self::NotTls => format!("check scheme and port of `{}`", keys.endpoint),
        }
    }
}

fn untrusted(facts: Option<&Facts>, weak_chain: Option<&'static str>) -> String {
    let mut found = Vec::new();
    if let Some(facts) = facts {
        if facts.self_issued {
            found.push("it is self-signed".to_owned());
        }
        if facts.version < 3 {
            found.push(format!("it is of X.509 version {}", facts.version));
        }
        if let Some(hash) = facts.weak_hash {
            found.push(format!("it is signed with {hash}"));
        }
    }
    if let Some(hash) = weak_chain {
        found.push(format!("a CA certificate beside it is signed with {hash}"));
    }
    if found.is_empty() {
        found.push("it is not from a known CA".to_owned());
    }
    format!(
        "the server's certificate cannot be trusted: {}",
        found.join(", ")
    )
}

fn on(at: Option<OffsetDateTime>) -> String {
    at.map(|at| format!(" on {}", day(at))).unwrap_or_default()
}

fn from(at: Option<OffsetDateTime>) -> String {
    at.map(|at| format!(", only from {}", day(at)))
        .unwrap_or_default()
}

/// A problem on its way through the TLS library.
#[derive(Debug)]
pub(super) struct Refused(pub(super) Problem);

impl Refused {
    pub(super) fn error(problem: Problem) -> rustls::Error {
        let refused = std::sync::Arc::new(Self(problem));
        rustls::Error::InvalidCertificate(CertificateError::Other(rustls::OtherError(refused)))
    }
}

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0.message())
    }
}

impl std::error::Error for Refused {}
