//! Whether a server is the one that was meant.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::verify_server_name;
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls13_signature_with_raw_key};
use rustls::pki_types::{CertificateDer, ServerName, SubjectPublicKeyInfoDer, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, DigitallySignedStruct, PeerMisbehaved, SignatureScheme};
use time::OffsetDateTime;

use super::certificate::Facts;
use super::problem::{Problem, Refused};

/// A certificate that is trusted itself: a server that shows exactly these bytes, and proves that it has the key, is the one that was meant.
#[derive(Debug)]
pub(super) struct Pin {
    pub(super) der: CertificateDer<'static>,
    pub(super) facts: Facts,
}

/// Trusts a server whose certificate is pinned or has a chain to a CA, and decides which name the certificate must have.
///
/// A pin is no weaker than a CA: it vouches for one key instead of all those that the CA signs. Dates and names are checked as for a chain; the
/// signature on the certificate itself says nothing, because the certificate was given by the operator. The signature of the handshake is always
/// verified.
#[derive(Debug)]
pub(super) struct Verifier {
    /// Verifies chains; `None` when no certificate that was given can be a CA.
    pub(super) chain: Option<Arc<dyn ServerCertVerifier>>,
    pub(super) pins: Vec<Pin>,
    /// The name that the certificate must have instead of the host of the URL.
    pub(super) expected: Option<ServerName<'static>>,
    /// Skips the comparison of names, and only that.
    pub(super) skip_names: bool,
    pub(super) algorithms: WebPkiSupportedAlgorithms,
}

impl Verifier {
    fn pin(&self, certificate: &CertificateDer<'_>) -> Option<&Pin> {
        self.pins
            .iter()
            .find(|pin| pin.der.as_ref() == certificate.as_ref())
    }

    /// Returns the key of a certificate that is trusted as it is and that the library cannot read (X.509 version 1).
    fn raw_key(&self, certificate: &CertificateDer<'_>) -> Option<SubjectPublicKeyInfoDer<'_>> {
        let pin = self.pin(certificate)?;
        let key = || SubjectPublicKeyInfoDer::from(pin.facts.public_key.as_slice());
        ParsedCertificate::try_from(certificate).is_err().then(key)
    }

    fn pinned(
        &self,
        pin: &Pin,
        name: &ServerName<'_>,
        now: UnixTime,
    ) -> Result<ServerCertVerified, Problem> {
        let now = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
        let now = OffsetDateTime::from_unix_timestamp(now).unwrap_or(OffsetDateTime::UNIX_EPOCH);
        if now > pin.facts.not_after {
            return Err(Problem::Expired(Some(pin.facts.not_after)));
        }
        if now < pin.facts.not_before {
            return Err(Problem::NotYetValid(Some(pin.facts.not_before)));
        }
        if let Some(bits) = pin.facts.short_rsa() {
            return Err(Problem::ShortKey(bits));
        }
        if !self.skip_names {
            // What webpki does not read has no name that could be compared.
            ParsedCertificate::try_from(&pin.der)
                .and_then(|certificate| verify_server_name(&certificate, name))
                .map_err(|_| wrong_name(&pin.facts))?;
        }
        Ok(ServerCertVerified::assertion())
    }

    fn chained(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Problem> {
        let facts = Facts::of(end_entity);
        let verified = match &self.chain {
            Some(chain) => {
                chain.verify_server_cert(end_entity, intermediates, name, ocsp_response, now)
            }
            None => Err(CertificateError::UnknownIssuer.into()),
        };
        let verified = match verified {
            // Both verifiers check the chain and the dates first and the name last, so this error means that all else holds.
            Err(rustls::Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) if self.skip_names => Ok(ServerCertVerified::assertion()),
            other => other,
        };
        match (verified, facts) {
            (Ok(verified), facts) => match facts.and_then(|facts| facts.short_rsa()) {
                None => Ok(verified),
                Some(bits) => Err(Problem::ShortKey(bits)),
            },
            (Err(error), facts) => Err(explained(&error, facts, intermediates)),
        }
    }
}

fn wrong_name(facts: &Facts) -> Problem {
    match facts.names.is_empty() {
        true => Problem::NamesNoHost(facts.common_name.clone()),
        false => Problem::OtherName(facts.names.clone()),
    }
}

/// Says why a chain is not trusted, by what its certificates are: the library's error tells only the first thing that it did not like.
fn explained(
    error: &rustls::Error,
    facts: Option<Facts>,
    intermediates: &[CertificateDer<'_>],
) -> Problem {
    let rustls::Error::InvalidCertificate(error) = error else {
        return Problem::Untrusted {
            facts: facts.map(Box::new),
            weak_chain: None,
        };
    };
    match error {
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            return facts.map_or_else(
                || Problem::OtherName(Vec::new()),
                |facts| wrong_name(&facts),
            );
        }
        // The dates of another certificate of the chain are not those of the server's.
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            return Problem::Expired(facts.map(|facts| facts.not_after));
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            return Problem::NotYetValid(facts.map(|facts| facts.not_before));
        }
        _ => {}
    }
    let others: Vec<Facts> = intermediates
        .iter()
        .filter_map(|der| Facts::of(der))
        .collect();
    let short = facts.iter().chain(&others).find_map(Facts::short_rsa);
    if let Some(bits) = short {
        return Problem::ShortKey(bits);
    }
    // The signature of a root on itself is nothing that trust rests on.
    let weak_chain = others
        .iter()
        .filter(|facts| !facts.self_issued)
        .find_map(|facts| facts.weak_hash);
    Problem::Untrusted {
        facts: facts.map(Box::new),
        weak_chain,
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let name = self.expected.as_ref().unwrap_or(server_name);
        match self.pin(end_entity) {
            Some(pin) => self.pinned(pin, name, now),
            None => self.chained(end_entity, intermediates, name, ocsp_response, now),
        }
        .map_err(Refused::error)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        match self.raw_key(cert) {
            Some(key) => tls12_signature_with_raw_key(message, &key, dss, &self.algorithms),
            None => rustls::crypto::verify_tls12_signature(message, cert, dss, &self.algorithms),
        }
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        match self.raw_key(cert) {
            Some(key) => verify_tls13_signature_with_raw_key(message, &key, dss, &self.algorithms),
            None => rustls::crypto::verify_tls13_signature(message, cert, dss, &self.algorithms),
        }
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

/// Verifies a signature of TLS 1.2 by a public key alone, as the library does by a certificate: a scheme of TLS 1.2 does not name the curve, so
/// each algorithm of the scheme is tried until one fits the key.
fn tls12_signature_with_raw_key(
    message: &[u8],
    key: &SubjectPublicKeyInfoDer<'_>,
    dss: &DigitallySignedStruct,
    algorithms: &WebPkiSupportedAlgorithms,
) -> Result<HandshakeSignatureValid, rustls::Error> {
    let (_, candidates) = algorithms
        .mapping
        .iter()
        .find(|(scheme, _)| *scheme == dss.scheme)
        .ok_or(PeerMisbehaved::SignedHandshakeWithUnadvertisedSigScheme)?;
    let bad = || rustls::Error::InvalidCertificate(CertificateError::BadSignature);
    let key = webpki::RawPublicKeyEntity::try_from(key).map_err(|_| bad())?;
    for algorithm in *candidates {
        match key.verify_signature(*algorithm, message, dss.signature()) {
            Ok(()) => return Ok(HandshakeSignatureValid::assertion()),
            Err(webpki::Error::UnsupportedSignatureAlgorithmForPublicKeyContext(_)) => {}
            Err(_) => return Err(bad()),
        }
    }
    Err(bad())
}
