//! The keys that tokens are verified with: reading them, and choosing among them.

use hmac::{Hmac, KeyInit as _};
use jsonwebtoken::jwk::{
    AlgorithmParameters, EllipticCurve, Jwk, KeyAlgorithm, KeyOperations, PublicKeyUse,
};
use jsonwebtoken::{Algorithm, AlgorithmFamily, DecodingKey, DecodingKeyKind};
use ota_http::Secret;
use rustls::pki_types::SubjectPublicKeyInfoDer;
use rustls::pki_types::pem::PemObject;
use serde::Deserialize;
use sha2::Sha256;
use spki::der::Decode as _;
use spki::der::asn1::AnyRef;
use spki::{ObjectIdentifier, SubjectPublicKeyInfo};

/// The largest key file or answer of a key server that is read, in bytes.
pub(super) const MAX_BYTES: u64 = 256 * 1024;

/// The most keys of one set. A token without `kid` is tried with each of them.
const MAX_KEYS: usize = 32;

/// The shortest HS256 secret that is taken, in bytes.
pub const MIN_SECRET_BYTES: usize = 8;

/// The smallest modulus of an RSA key, in bytes (2048 bits), as RFC 7518 section 3.3 demands.
const MIN_RSA_BYTES: usize = 256;

const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
const EC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const P256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
const ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");

/// The algorithm of a token's signature, as configuration pins it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyKind {
    /// HMAC with SHA-256 and a shared secret.
    Hs256,
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    Rs256,
    /// ECDSA on P-256 with SHA-256.
    Es256,
    /// Ed25519.
    EdDsa,
}

impl KeyKind {
    /// Returns the algorithm of a public key by the name that RFC 7518 and RFC 8037 give it.
    #[must_use]
    pub fn public_by_name(name: &str) -> Option<Self> {
        [Self::Rs256, Self::Es256, Self::EdDsa]
            .into_iter()
            .find(|kind| kind.name() == name)
    }

    /// Returns the name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Hs256 => "HS256",
            Self::Rs256 => "RS256",
            Self::Es256 => "ES256",
            Self::EdDsa => "EdDSA",
        }
    }

    pub(super) const fn algorithm(self) -> Algorithm {
        match self {
            Self::Hs256 => Algorithm::HS256,
            Self::Rs256 => Algorithm::RS256,
            Self::Es256 => Algorithm::ES256,
            Self::EdDsa => Algorithm::EdDSA,
        }
    }
}

/// One key. It verifies by its own algorithm and no other, whatever a token says.
pub(super) struct Key {
    pub(super) id: Option<String>,
    pub(super) kind: KeyKind,
    pub(super) key: DecodingKey,
    /// The key's part of an HMAC, computed once.
    pub(super) mac: Option<Hmac<Sha256>>,
}

/// All keys that tokens are verified with at one time.
#[derive(Default)]
pub struct KeySet {
    keys: Vec<Key>,
    /// Why keys of the source were left out.
    left_out: Vec<String>,
}

/// Shows nothing of the keys.
impl std::fmt::Debug for KeySet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let kinds: Vec<&str> = self.keys.iter().map(|key| key.kind.name()).collect();
        f.debug_struct("KeySet").field("kinds", &kinds).finish()
    }
}

/// Why keys cannot be used; fit for an operator, without any part of a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyError(pub(super) String);

impl KeyError {
    fn new(message: impl Into<String>) -> Self {
        Self(message.into())
    }
}

impl std::fmt::Display for KeyError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
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
                "the secret has {} bytes; HS256 needs at least {MIN_SECRET_BYTES} (for instance `openssl rand -hex 32`)",
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
            left_out: Vec::new(),
        })
    }

    /// Whether both sets are one and the same secret.
    pub(super) fn same_secret(&self, other: &Self) -> bool {
        let secret = |keys: &Self| match keys.keys.as_slice() {
            [key] if key.kind == KeyKind::Hs256 => {
                key.key.try_get_as_bytes().ok().map(<[u8]>::to_vec)
            }
            _ => None,
        };
        secret(self).is_some_and(|own| secret(other) == Some(own))
    }

    /// Returns the HMAC of a set that is a secret.
    pub(super) fn mac(&self) -> Option<&Hmac<Sha256>> {
        self.keys.first()?.mac.as_ref()
    }

    /// Reads the public keys of a PEM text (`BEGIN PUBLIC KEY`); several are tried one after the other.
    ///
    /// # Errors
    /// When there is none, or one of them cannot be used.
    pub fn pem(text: &[u8]) -> Result<Self, KeyError> {
        let mut keys = Vec::new();
        for der in SubjectPublicKeyInfoDer::pem_slice_iter(text) {
            let der = der.map_err(|_| KeyError::new("is not in PEM form"))?;
            keys.push(public_key(&der)?);
        }
        if keys.is_empty() {
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
        Self::of(keys, Vec::new())
    }

    /// Reads a JSON Web Key Set (RFC 7517). Keys that no token here is signed with (other uses, curves, algorithms, shared secrets) are left out.
    ///
    /// # Errors
    /// When it is no such set, has no key that can be used, more than 32, or two of one `kid`.
    pub fn jwks(text: &[u8]) -> Result<Self, KeyError> {
        #[derive(Deserialize)]
        struct Set {
            keys: Vec<serde_json::Value>,
        }
        let start = text.trim_ascii_start();
        if start.is_empty() {
            return Err(KeyError::new("is empty"));
        }
        if start.starts_with(b"<") {
            return Err(KeyError::new(
                "is a page (HTML or XML), not a JSON Web Key Set",
            ));
        }
        let set: Set = serde_json::from_slice(text).map_err(|error| {
            let place = format!("line {} column {}", error.line(), error.column());
            KeyError::new(format!(
                "is not a JSON Web Key Set, an object with the list `keys` ({place})"
            ))
        })?;
        let (mut keys, mut left_out) = (Vec::new(), Vec::new());
        for (number, value) in set.keys.into_iter().enumerate() {
            let id = value.get("kid").and_then(serde_json::Value::as_str);
            let name = id.map_or_else(|| format!("key {}", number + 1), |id| format!("`{id}`"));
            let read = serde_json::from_value(value)
                .map_err(|_| "it cannot be read".to_owned())
                .and_then(|jwk| of_jwk(&jwk));
            match read {
                Ok(key) => keys.push(key),
                Err(why) => left_out.push(format!("{name}: {why}")),
            }
        }
        Self::of(keys, left_out)
    }

    fn of(keys: Vec<Key>, left_out: Vec<String>) -> Result<Self, KeyError> {
        if keys.len() > MAX_KEYS {
            return Err(KeyError::new(format!(
                "holds {} keys; at most {MAX_KEYS} are taken",
                keys.len()
            )));
        }
        for (number, key) in keys.iter().enumerate() {
            let same = |other: &Key| key.id.is_some() && other.id == key.id;
            if keys[..number].iter().any(same) {
                let id = key.id.as_deref().unwrap_or_default();
                return Err(KeyError::new(format!(
                    "has two keys of one identifier (`kid` `{id}`); which of them is meant cannot be told"
                )));
            }
        }
        if keys.is_empty() {
            let why = match left_out.is_empty() {
                true => "it is empty".to_owned(),
                false => left_out.join("; "),
            };
            return Err(KeyError::new(format!(
                "holds no key that can be used ({why}); RS256 (2048 bits and more), ES256 and EdDSA (Ed25519) can"
            )));
        }
        Ok(Self { keys, left_out })
    }

    /// Leaves only the keys of one algorithm.
    ///
    /// # Errors
    /// When none is left.
    pub fn pinned(mut self, kind: Option<KeyKind>) -> Result<Self, KeyError> {
        let Some(kind) = kind else { return Ok(self) };
        let has = self.keys.first().map_or("none", |key| key.kind.name());
        self.keys.retain(|key| key.kind == kind);
        match self.keys.is_empty() {
            true => Err(KeyError::new(format!(
                "holds no key for {}, which `auth.algorithm` asks for, but one for {has}",
                kind.name()
            ))),
            false => Ok(self),
        }
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

    /// Returns why keys of the source were left out.
    #[must_use]
    pub fn left_out(&self) -> &[String] {
        &self.left_out
    }

    /// Returns whether one of the keys has this identifier.
    pub(super) fn has(&self, id: Option<&str>) -> bool {
        self.keys.iter().any(|key| key.id.as_deref() == id)
    }

    /// Returns the keys that may have signed a token with this `kid`. A key without an identifier may have signed any.
    pub(super) fn candidates<'a>(&'a self, id: Option<&'a str>) -> impl Iterator<Item = &'a Key> {
        self.keys.iter().filter(move |key| match (id, &key.id) {
            (Some(id), Some(own)) => own == id,
            _ => true,
        })
    }
}

/// Reads a key in the form of X.509.
fn public_key(der: &[u8]) -> Result<Key, KeyError> {
    let unusable =
        || KeyError::new("holds a key that is neither RSA, nor EC on P-256, nor Ed25519");
    let info = SubjectPublicKeyInfo::<AnyRef<'_>, spki::der::asn1::BitString>::from_der(der)
        .map_err(|_| KeyError::new("holds a public key that cannot be read"))?;
    let bytes = info.subject_public_key.as_bytes().ok_or_else(unusable)?;
    let (kind, key) = match info.algorithm.oid {
        RSA => (KeyKind::Rs256, DecodingKey::from_rsa_der(bytes)),
        EC if info.algorithm.parameters_oid().is_ok_and(|of| of == P256) => {
            (KeyKind::Es256, DecodingKey::from_ec_der(bytes))
        }
        ED25519 => (KeyKind::EdDsa, DecodingKey::from_ed_der(bytes)),
        _ => return Err(unusable()),
    };
    // The key's own structure: a modulus, an exponent and their frames.
    if kind == KeyKind::Rs256 && bytes.len() < MIN_RSA_BYTES + 8 {
        return Err(KeyError::new("holds an RSA key of less than 2048 bits"));
    }
    let whole = match kind {
        KeyKind::Es256 => bytes.len() == EC_POINT_BYTES,
        KeyKind::EdDsa => bytes.len() == ED25519_BYTES,
        KeyKind::Rs256 | KeyKind::Hs256 => true,
    };
    if !whole {
        return Err(KeyError::new(
            "holds an EC key in compressed form; turn it with `openssl pkey -pubin -in FILE -ec_conv_form uncompressed -pubout`",
        ));
    }
    Ok(Key {
        id: None,
        kind,
        key,
        mac: None,
    })
}

/// A point of P-256 that is not compressed, in bytes.
const EC_POINT_BYTES: usize = 65;

/// A public key of Ed25519, in bytes.
const ED25519_BYTES: usize = 32;

fn of_jwk(jwk: &Jwk) -> Result<Key, String> {
    let common = &jwk.common;
    let (kind, named) = match &jwk.algorithm {
        AlgorithmParameters::RSA(_) => (KeyKind::Rs256, KeyAlgorithm::RS256),
        AlgorithmParameters::EllipticCurve(key) if key.curve == EllipticCurve::P256 => {
            (KeyKind::Es256, KeyAlgorithm::ES256)
        }
        AlgorithmParameters::OctetKeyPair(key) if key.curve == EllipticCurve::Ed25519 => {
            (KeyKind::EdDsa, KeyAlgorithm::EdDSA)
        }
        AlgorithmParameters::OctetKey(_) => {
            return Err("a shared secret has no place in a key set".to_owned());
        }
        _ => return Err("its type or curve is not supported".to_owned()),
    };
    if common.key_algorithm.is_some_and(|alg| alg != named) {
        return Err(format!("it is for another algorithm than {}", kind.name()));
    }
    let signs = common
        .public_key_use
        .as_ref()
        .is_none_or(|of| *of == PublicKeyUse::Signature);
    let verifies = common
        .key_operations
        .as_ref()
        .is_none_or(|of| of.contains(&KeyOperations::Verify));
    if !signs || !verifies {
        return Err("it is not for verifying signatures".to_owned());
    }
    let key = DecodingKey::from_jwk(jwk).map_err(|_| "it cannot be read".to_owned())?;
    let whole = match (key.family(), key.kind()) {
        (_, DecodingKeyKind::RsaModulusExponent { n, .. }) => n.len() >= MIN_RSA_BYTES,
        (AlgorithmFamily::Ec, DecodingKeyKind::SecretOrDer(point)) => point.len() == EC_POINT_BYTES,
        (_, DecodingKeyKind::SecretOrDer(key)) => key.len() == ED25519_BYTES,
    };
    if !whole {
        return Err("its numbers are too short or too long".to_owned());
    }
    Ok(Key {
        id: common.key_id.clone(),
        kind,
        key,
        mac: None,
    })
}
