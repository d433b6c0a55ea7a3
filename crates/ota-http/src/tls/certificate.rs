//! What a certificate says, as far as errors name it.
//!
//! Trust is decided by webpki. It reads only certificates that it can trust, so what is wrong with the others is read here, with the DER reader of
//! the `der` crate, and so is the public key of a pinned certificate that webpki does not read.

use der::asn1::{AnyRef, BitStringRef, ObjectIdentifier, UintRef};
use der::{Decode, Encode as _, Reader, SliceReader, Tag, TagNumber};
use time::OffsetDateTime;

const COMMON_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.3");
const ALTERNATIVE_NAMES: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.17");
const BASIC_CONSTRAINTS: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.19");
const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");

/// Signatures that nothing should trust any more.
const WEAK: [(ObjectIdentifier, &str); 5] = [
    (ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.4"), "MD5"),
    (
        ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.5"),
        "SHA-1",
    ),
    (ObjectIdentifier::new_unwrap("1.3.14.3.2.29"), "SHA-1"),
    (ObjectIdentifier::new_unwrap("1.2.840.10045.4.1"), "SHA-1"),
    (ObjectIdentifier::new_unwrap("1.2.840.10040.4.3"), "SHA-1"),
];

/// The shortest RSA key whose signatures are taken, in bits.
pub(super) const LEAST_RSA_BITS: usize = 2048;

/// The most names that an error repeats.
const MAX_NAMES: usize = 3;

/// What a certificate says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// The version of X.509: 1, 2 or 3.
    pub(super) version: u8,
    /// Whether subject and issuer are the same.
    pub(super) self_issued: bool,
    /// The hash of its signature, if it is one that is not trusted any more.
    pub(super) weak_hash: Option<&'static str>,
    /// The length of an RSA key.
    pub(super) rsa_bits: Option<usize>,
    /// When it begins to be valid.
    pub not_before: OffsetDateTime,
    /// When it ends.
    pub not_after: OffsetDateTime,
    /// The common name, fit to be shown.
    pub(super) common_name: Option<String>,
    /// The host names and addresses that it is for, fit to be shown.
    pub(super) names: Vec<String>,
    /// Whether it says that it may vouch for others.
    pub(super) is_ca: bool,
    /// The public key with its algorithm, in DER.
    pub(super) public_key: Vec<u8>,
}

impl Facts {
    /// Reads a certificate in DER; `None` when it is none.
    #[must_use]
    pub fn of(der: &[u8]) -> Option<Self> {
        certificate(der).ok()
    }

    /// Whether its RSA key is too short for any signature of its to be taken.
    pub(super) fn short_rsa(&self) -> Option<usize> {
        self.rsa_bits.filter(|bits| *bits < LEAST_RSA_BITS)
    }
}

fn certificate(der: &[u8]) -> der::Result<Facts> {
    AnyRef::from_der(der)?.sequence(|outer| {
        let facts = outer.sequence(body)?;
        // The algorithm and the signature, which are in the body too and are webpki's to check.
        AnyRef::decode(outer)?;
        AnyRef::decode(outer)?;
        Ok::<_, der::Error>(facts)
    })
}

fn context(number: u32) -> Tag {
    TagNumber(number).context_specific(true)
}

fn body<'a>(reader: &mut SliceReader<'a>) -> der::Result<Facts> {
    let mut version = 1;
    if Tag::peek(reader)? == context(0) {
        let explicit = AnyRef::decode(reader)?;
        version = u8::from_der(explicit.value())?.saturating_add(1);
    }
    AnyRef::decode(reader)?; // The serial number.
    let algorithm = AnyRef::decode(reader)?.sequence(|parts| {
        let id = ObjectIdentifier::decode(parts)?;
        skip_rest(parts)?;
        Ok::<_, der::Error>(id)
    })?;
    let issuer = AnyRef::decode(reader)?;
    let (not_before, not_after) =
        reader.sequence(|validity| Ok::<_, der::Error>((moment(validity)?, moment(validity)?)))?;
    let subject = AnyRef::decode(reader)?;
    let public_key = AnyRef::decode(reader)?;
    let mut extensions = Extensions::default();
    while !reader.is_finished() {
        let part = AnyRef::decode(reader)?;
        if part.header().tag() == context(3) {
            extensions = Extensions::of(part.value())?;
        }
    }
    Ok(Facts {
        version,
        self_issued: issuer == subject,
        weak_hash: WEAK
            .iter()
            .find_map(|(id, hash)| (*id == algorithm).then_some(*hash)),
        rsa_bits: rsa_bits(public_key).unwrap_or_default(),
        not_before,
        not_after,
        common_name: common_name(subject).unwrap_or_default(),
        names: extensions.names,
        is_ca: extensions.is_ca,
        public_key: public_key.to_der()?,
    })
}

fn skip_rest<'a>(reader: &mut SliceReader<'a>) -> der::Result<()> {
    while !reader.is_finished() {
        AnyRef::decode(reader)?;
    }
    Ok(())
}

fn moment<'a>(reader: &mut SliceReader<'a>) -> der::Result<OffsetDateTime> {
    let since_1970 = match Tag::peek(reader)? {
        Tag::UtcTime => der::asn1::UtcTime::decode(reader)?.to_unix_duration(),
        _ => der::asn1::GeneralizedTime::decode(reader)?.to_unix_duration(),
    };
    let seconds = i64::try_from(since_1970.as_secs()).unwrap_or(i64::MAX);
    OffsetDateTime::from_unix_timestamp(seconds).map_err(|_| Tag::UtcTime.value_error().into())
}

fn rsa_bits(public_key: AnyRef<'_>) -> der::Result<Option<usize>> {
    public_key.sequence(|parts| {
        let is_rsa = AnyRef::decode(parts)?.sequence(|algorithm| {
            let id = ObjectIdentifier::decode(algorithm)?;
            skip_rest(algorithm)?;
            Ok::<_, der::Error>(id == RSA)
        })?;
        let key = BitStringRef::decode(parts)?;
        if !is_rsa {
            return Ok(None);
        }
        AnyRef::from_der(key.raw_bytes())?.sequence(|numbers| {
            let modulus = UintRef::decode(numbers)?.as_bytes();
            skip_rest(numbers)?;
            let first = modulus
                .first()
                .map_or(8, |byte| byte.leading_zeros() as usize);
            Ok(Some(modulus.len() * 8 - first.min(modulus.len() * 8)))
        })
    })
}

fn common_name(subject: AnyRef<'_>) -> der::Result<Option<String>> {
    let mut found = None;
    subject.sequence(|names| {
        while !names.is_finished() {
            let set = AnyRef::decode(names)?;
            let mut members = SliceReader::new(set.value())?;
            while !members.is_finished() {
                members.sequence(|pair| {
                    let id = ObjectIdentifier::decode(pair)?;
                    let value = AnyRef::decode(pair)?;
                    if id == COMMON_NAME {
                        found = Some(shown(&String::from_utf8_lossy(value.value())));
                    }
                    Ok::<_, der::Error>(())
                })?;
            }
        }
        Ok::<_, der::Error>(())
    })?;
    Ok(found)
}

/// What is read of the extensions.
#[derive(Default)]
struct Extensions {
    names: Vec<String>,
    is_ca: bool,
}

impl Extensions {
    fn of(extensions: &[u8]) -> der::Result<Self> {
        let mut found = Self::default();
        AnyRef::from_der(extensions)?.sequence(|all| {
            while !all.is_finished() {
                all.sequence(|extension| {
                    let id = ObjectIdentifier::decode(extension)?;
                    let mut value = AnyRef::decode(extension)?;
                    // `critical` stands between them where it is true.
                    if !extension.is_finished() {
                        value = AnyRef::decode(extension)?;
                    }
                    if id == ALTERNATIVE_NAMES {
                        found.names.extend(alternative_names(value.value())?);
                    }
                    if id == BASIC_CONSTRAINTS {
                        found.is_ca = is_ca(value.value())?;
                    }
                    Ok::<_, der::Error>(())
                })?;
            }
            Ok::<_, der::Error>(())
        })?;
        Ok(found)
    }
}

fn alternative_names(value: &[u8]) -> der::Result<Vec<String>> {
    let mut names = Vec::new();
    AnyRef::from_der(value)?.sequence(|general| {
        while !general.is_finished() {
            let name = AnyRef::decode(general)?;
            names.extend(host(name));
        }
        Ok::<_, der::Error>(())
    })?;
    Ok(names)
}

fn is_ca(value: &[u8]) -> der::Result<bool> {
    AnyRef::from_der(value)?.sequence(|parts| {
        let ca = match parts.is_finished() {
            // It is left out where it is false.
            true => false,
            false => match AnyRef::decode(parts)? {
                first if first.header().tag() == Tag::Boolean => first.value() != [0],
                _ => false,
            },
        };
        skip_rest(parts)?;
        Ok::<_, der::Error>(ca)
    })
}

/// The name of a host: `dNSName` or `iPAddress`.
fn host(name: AnyRef<'_>) -> Option<String> {
    let (tag, bytes) = (name.header().tag(), name.value());
    if tag == TagNumber(2).context_specific(false) {
        return Some(shown(&String::from_utf8_lossy(bytes)));
    }
    if tag != TagNumber(7).context_specific(false) {
        return None;
    }
    match bytes.len() {
        4 => <[u8; 4]>::try_from(bytes)
            .ok()
            .map(|ip| std::net::Ipv4Addr::from(ip).to_string()),
        16 => <[u8; 16]>::try_from(bytes)
            .ok()
            .map(|ip| std::net::Ipv6Addr::from(ip).to_string()),
        _ => None,
    }
}

/// A name of a stranger's certificate, without characters that no host name has: it goes to a terminal.
fn shown(name: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-._*: ".contains(c);
    name.chars()
        .take(100)
        .map(|c| if plain(c) { c } else { '?' })
        .collect()
}

/// Lists names for an error.
pub(super) fn listed(names: &[String]) -> String {
    let mut text = names
        .iter()
        .take(MAX_NAMES)
        .map(|name| format!("`{name}`"))
        .collect::<Vec<_>>()
        .join(", ");
    if names.len() > MAX_NAMES {
        text.push_str(&format!(" and {} more", names.len() - MAX_NAMES));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::Facts;
    use proptest::prelude::{ProptestConfig, any, proptest};

    #[test]
    fn a_certificate_of_version_3_is_read() {
        let made = rcgen::generate_simple_self_signed(vec![
            "iot.example".to_owned(),
            "10.0.0.1".to_owned(),
        ])
        .unwrap();
        let facts = Facts::of(made.cert.der()).unwrap();
        assert_eq!((facts.version, facts.self_issued), (3, true));
        assert_eq!(facts.names, ["iot.example", "10.0.0.1"]);
        assert_eq!((facts.weak_hash, facts.rsa_bits), (None, None));
        assert!(facts.not_before < facts.not_after);
    }

    static CERTIFICATE: std::sync::LazyLock<Vec<u8>> = std::sync::LazyLock::new(|| {
        let made = rcgen::generate_simple_self_signed(vec!["iot.example".to_owned()]).unwrap();
        made.cert.der().to_vec()
    });

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        #[test]
        fn no_bytes_make_it_panic(place in any::<usize>(), byte in any::<u8>(), cut in any::<usize>()) {
            let mut der = CERTIFICATE.clone();
            let place = place % der.len();
            der[place] = byte;
            der.truncate(cut % der.len() + 1);
            let _ = Facts::of(&der);
        }
    }
}
