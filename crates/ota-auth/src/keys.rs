//! The keys that tokens are verified with: reading them, and choosing among them.

use hmac::{Hmac, KeyInit as _};
use jsonwebtoken::DecodingKey;
use ota_http::{Secret, json};
use rustls::pki_types::SubjectPublicKeyInfoDer;
use rustls::pki_types::pem::PemObject;
use serde::Deserialize;
use sha2::Sha256;
use spki::der::asn1::{AnyRef, UintRef};
use spki::der::{Decode as _, Reader as _};
use spki::{ObjectIdentifier, SubjectPublicKeyInfo};

use super::algorithm::{Algorithms, Family, KeyKind};
use super::jwk::{self, AllLeftOut, LeftOut};
use super::key::Key;
use super::{point, rsa};

/// The largest key file or answer of a key server that is read, in bytes.
pub(super) const MAX_BYTES: u64 = 256 * 1024;

/// The maximum number of keys in one set. A token without `kid` is tried with each key for its algorithm.
const MAX_KEYS: usize = 32;

/// The minimum length of an HS256 secret, in bytes: RFC 7518 section 3.2 requires as many bits as the hash has.
pub const MIN_SECRET_BYTES: usize = 32;

const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
const EC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const P256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
const P384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.34");
const ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");

/// All keys that tokens are verified with at one time.
#[derive(Default)]
pub struct KeySet {
    keys: Vec<Key>,
    left_out: AllLeftOut,
}

/// Does not show the keys.
impl std::fmt::Debug for KeySet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let kinds: Vec<&str> = self.keys.iter().map(|key| key.kind.name()).collect();
        f.debug_struct("KeySet").field("kinds", &kinds).finish()
    }
}

/// Why keys cannot be used; safe to show to operators, without any part of a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyError {
    pub(super) message: String,
    pub(super) advice: Option<String>,
}

impl KeyError {
    pub(super) fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            advice: None,
        }
    }

    pub(super) fn with_advice(self, advice: impl Into<String>) -> Self {
        Self {
            advice: Some(advice.into()),
            ..self
        }
    }

    /// Returns what an operator can do, where that is known.
    #[must_use]
    pub fn advice(&self) -> Option<&str> {
        self.advice.as_deref()
    }
}

impl std::fmt::Display for KeyError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for KeyError {}

impl KeySet {
    /// Makes the set of one HS256 secret.
    ///
    /// # Errors
    /// When it is too short.
    pub fn secret(secret: &Secret) -> Result<Self, KeyError> {
        let secret = secret.expose_secret().as_bytes();
        if secret.len() < MIN_SECRET_BYTES {
            return Err(KeyError::new(format!(
                "the secret has {} bytes, and HS256 needs at least {MIN_SECRET_BYTES}: a shorter one can be guessed from a token; make one with `openssl rand -hex 32`",
                secret.len()
            )));
        }
        Ok(Self {
            keys: vec![Key {
                id: None,
                kind: KeyKind::Hs256,
                key: DecodingKey::from_secret(secret),
                mac: Hmac::new_from_slice(secret).ok(),
            }],
            left_out: AllLeftOut::default(),
        })
    }

    /// Whether both verify the same tokens. Some servers write their keys in another order each time.
    pub(super) fn same_keys(&self, other: &Self) -> bool {
        // A set contains each key only once.
        self.keys.len() == other.keys.len() && self.keys.iter().all(|key| other.keys.contains(key))
    }

    /// Returns the identifiers for operators of the keys that are not in `other`.
    pub(super) fn beyond(&self, other: &Self) -> Vec<String> {
        let new = self.keys.iter().filter(|key| !other.keys.contains(key));
        new.map(Key::to_string).collect()
    }

    /// Returns the HMAC of a set that is a secret.
    pub(super) fn mac(&self) -> Option<&Hmac<Sha256>> {
        self.keys.first()?.mac.as_ref()
    }

    /// Reads the public keys of a PEM text (`BEGIN PUBLIC KEY`); several are tried one after the other. Those that cannot be used are left out.
    ///
    /// # Errors
    /// When it is damaged, or none of them can be used.
    pub fn pem(text: &[u8], allowed: &Algorithms) -> Result<Self, KeyError> {
        let (mut keys, mut left_out, mut count) = (Vec::new(), AllLeftOut::default(), 0);
        for der in SubjectPublicKeyInfoDer::pem_slice_iter(text) {
            // A damaged file may still be being written, so its readable part is not used as the whole set.
            let der = der.map_err(|_| KeyError::new("is not in PEM form"))?;
            count += 1;
            match public_key(&der, allowed) {
                Ok(read) => keys.push(read),
                Err(reason) => left_out.push(LeftOut {
                    name: format!("key {count}"),
                    reason,
                    by_design: false,
                }),
            }
        }
        if count == 0 {
            let holds = |mark: &str| {
                String::from_utf8_lossy(text).contains(&format!("-----BEGIN {mark}-----"))
            };
            let advice = if holds("CERTIFICATE") {
                "holds a certificate; take its public key out with `openssl x509 -in FILE -pubkey -noout`"
            } else if holds("RSA PUBLIC KEY") {
                "holds a key in the older form; turn it with `openssl rsa -RSAPublicKey_in -in FILE -pubout`"
            } else if String::from_utf8_lossy(text).contains("PRIVATE KEY-----") {
                "holds a private key, which must not lie here; take its public key out with `openssl pkey -in FILE -pubout`"
            } else {
                "holds no public key in PEM form (`-----BEGIN PUBLIC KEY-----`)"
            };
            return Err(KeyError::new(advice));
        }
        Self::of(keys, left_out, allowed)
    }

    /// Reads a JSON Web Key Set (RFC 7517). A key that cannot be used (another purpose, curve or algorithm, weak or damaged) is left out; the others
    /// count.
    ///
    /// # Errors
    /// When it is no such set, or has no key that can be used.
    pub fn jwks(text: &[u8], allowed: &Algorithms) -> Result<Self, KeyError> {
        #[derive(Deserialize)]
        struct Set {
            keys: Vec<serde_json::Value>,
        }
        // Editors of Windows begin a file with a byte order mark.
        let start = json::without_mark(text);
        if start.is_empty() {
            return Err(KeyError::new("is empty"));
        }
        if start.starts_with(b"<") {
            return Err(KeyError::new(
                "is a page (HTML or XML), not a JSON Web Key Set",
            ));
        }
        let not_one = |why: String| {
            KeyError::new(format!(
                "is not a JSON Web Key Set, an object with the list `keys` ({why})"
            ))
        };
        // An invalid value in one entry, such as a comment that is not UTF-8, must not make the other entries unusable.
        let document = json::read(start).map_err(|error| not_one(error.to_string()))?;
        let set: Set = serde_json::from_value(document.value)
            .map_err(|_| not_one("there is no such list".to_owned()))?;
        let (mut keys, mut left_out) = (Vec::new(), AllLeftOut::default());
        for (number, value) in set.keys.iter().enumerate() {
            match jwk::read(number + 1, value, allowed) {
                Ok(read) => keys.push(read),
                Err(why) => left_out.push(why),
            }
        }
        Self::of(keys, left_out, allowed)
    }

    /// Makes a set of keys, each of them as it is used with one or more algorithms.
    fn of(
        read: Vec<Vec<Key>>,
        mut left_out: AllLeftOut,
        allowed: &Algorithms,
    ) -> Result<Self, KeyError> {
        let (mut keys, mut taken) = (Vec::<Key>::new(), 0);
        for mut uses in read {
            uses.retain(|key| !keys.contains(key));
            let Some(first) = uses.first() else {
                continue;
            };
            if taken < MAX_KEYS {
                taken += 1;
                keys.append(&mut uses);
                continue;
            }
            left_out.push(LeftOut {
                name: first.to_string(),
                reason: format!("the set has more keys; at most {MAX_KEYS} are taken"),
                by_design: false,
            });
        }
        if keys.is_empty() {
            let mut why = match left_out.named() {
                [] => "it is empty".to_owned(),
                named => {
                    let shown = named.iter().take(MAX_REASONS).map(LeftOut::to_string);
                    let shown: Vec<String> = shown.collect();
                    let more = named.len().saturating_sub(MAX_REASONS) + left_out.more();
                    match more {
                        0 => shown.join("; "),
                        more => format!("{}; and {more} more", shown.join("; ")),
                    }
                }
            };
            if !allowed.configured().is_empty() {
                let names = KeyKind::names(allowed.configured());
                return Err(KeyError::new(format!(
                    "holds no key for {names}, which `auth.algorithm` asks for ({why})"
                )));
            }
            why.push_str("); RSA keys of 2048 to 8192 bits, EC keys on P-256 and P-384, and Ed25519 keys can");
            return Err(KeyError::new(format!(
                "holds no key that can be used ({why}"
            )));
        }
        Ok(Self { keys, left_out })
    }

    /// Returns how many keys there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Returns whether there is no key.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Returns the keys of the source that tokens are not verified with.
    #[must_use]
    pub fn left_out(&self) -> &AllLeftOut {
        &self.left_out
    }

    /// Returns whether one of the keys has this identifier.
    pub(super) fn has(&self, id: Option<&str>) -> bool {
        self.keys.iter().any(|key| key.id.as_deref() == id)
    }

    /// Returns the keys that may have signed a token with this `kid`. A key without an identifier may have signed any. Several keys may have one
    /// identifier (RFC 7517, section 4.5).
    pub(super) fn candidates<'a>(&'a self, id: Option<&'a str>) -> impl Iterator<Item = &'a Key> {
        self.keys.iter().filter(move |key| match (id, &key.id) {
            (Some(id), Some(own)) => own == id,
            _ => true,
        })
    }
}

/// The maximum number of reasons in one error.
const MAX_REASONS: usize = 5;

/// Reads a key in the form of X.509.
fn public_key(der: &[u8], allowed: &Algorithms) -> Result<Vec<Key>, String> {
    let unusable = || "it is neither RSA, nor EC on P-256 or P-384, nor Ed25519".to_owned();
    let info = SubjectPublicKeyInfo::<AnyRef<'_>, spki::der::asn1::BitString>::from_der(der)
        .map_err(|_| "it cannot be read".to_owned())?;
    let bytes = info.subject_public_key.as_bytes().ok_or_else(unusable)?;
    let family = match info.algorithm.oid {
        RSA => Family::Rsa,
        EC => match info.algorithm.parameters_oid() {
            Ok(curve) if curve == P256 => Family::P256,
            Ok(curve) if curve == P384 => Family::P384,
            _ => return Err(unusable()),
        },
        ED25519 => Family::Ed25519,
        _ => return Err(unusable()),
    };
    let key = match family {
        Family::Rsa => {
            let (modulus, exponent) =
                rsa_numbers(bytes).map_err(|_| "it cannot be read".to_owned())?;
            rsa::check(modulus, exponent)?;
            DecodingKey::from_rsa_raw_components(modulus, exponent)
        }
        Family::P256 | Family::P384 => {
            if bytes.len() != 2 * family.coordinate_bytes() + 1 {
                return Err("it is an EC key in compressed form; turn it with `openssl pkey -pubin -in FILE -ec_conv_form uncompressed -pubout`".to_owned());
            }
            point::check(family, bytes)?;
            DecodingKey::from_ec_der(bytes)
        }
        Family::Ed25519 => {
            if bytes.len() != family.coordinate_bytes() {
                return Err("it cannot be read".to_owned());
            }
            DecodingKey::from_ed_der(bytes)
        }
    };
    let kinds = allowed.of_key(family, None)?;
    Ok(kinds
        .into_iter()
        .map(|kind| Key::public(None, kind, key.clone()))
        .collect())
}

/// Reads modulus and exponent of an `RSAPublicKey` (RFC 8017, appendix A.1.1).
fn rsa_numbers(der: &[u8]) -> spki::der::Result<(&[u8], &[u8])> {
    AnyRef::from_der(der)?.sequence(|reader| {
        let modulus: UintRef<'_> = reader.decode()?;
        let exponent: UintRef<'_> = reader.decode()?;
        Ok((modulus.as_bytes(), exponent.as_bytes()))
    })
}

#[cfg(test)]
mod tests;
