//! The algorithms of signatures, and which of them a key may be used with.

use jsonwebtoken::Algorithm;

/// The type of a public key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Family {
    Rsa,
    P256,
    P384,
    Ed25519,
}

impl Family {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Rsa => "an RSA key",
            Self::P256 => "an EC key on P-256",
            Self::P384 => "an EC key on P-384",
            Self::Ed25519 => "an Ed25519 key",
        }
    }

    /// The bytes of one coordinate of a point; RSA has none.
    pub(super) const fn coordinate_bytes(self) -> usize {
        match self {
            Self::Rsa => 0,
            Self::P256 | Self::Ed25519 => 32,
            Self::P384 => 48,
        }
    }

    /// The algorithm of a key that names none, where the configuration names none either.
    const fn usual(self) -> KeyKind {
        match self {
            Self::Rsa => KeyKind::Rs256,
            Self::P256 => KeyKind::Es256,
            Self::P384 => KeyKind::Es384,
            Self::Ed25519 => KeyKind::EdDsa,
        }
    }
}

/// The algorithm of a token's signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyKind {
    /// HMAC with SHA-256 and a shared secret.
    Hs256,
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    Rs256,
    /// RSASSA-PKCS1-v1_5 with SHA-384.
    Rs384,
    /// RSASSA-PKCS1-v1_5 with SHA-512.
    Rs512,
    /// RSASSA-PSS with SHA-256.
    Ps256,
    /// RSASSA-PSS with SHA-384.
    Ps384,
    /// RSASSA-PSS with SHA-512.
    Ps512,
    /// ECDSA on P-256 with SHA-256.
    Es256,
    /// ECDSA on P-384 with SHA-384.
    Es384,
    /// Ed25519.
    EdDsa,
}

impl KeyKind {
    /// Every algorithm of public keys.
    pub const PUBLIC: [Self; 9] = [
        Self::Rs256,
        Self::Rs384,
        Self::Rs512,
        Self::Ps256,
        Self::Ps384,
        Self::Ps512,
        Self::Es256,
        Self::Es384,
        Self::EdDsa,
    ];

    /// Returns the algorithm of a public key by the name that RFC 7518 and RFC 8037 give it.
    #[must_use]
    pub fn public_by_name(name: &str) -> Option<Self> {
        Self::PUBLIC.into_iter().find(|kind| kind.name() == name)
    }

    /// Returns the name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Hs256 => "HS256",
            Self::Rs256 => "RS256",
            Self::Rs384 => "RS384",
            Self::Rs512 => "RS512",
            Self::Ps256 => "PS256",
            Self::Ps384 => "PS384",
            Self::Ps512 => "PS512",
            Self::Es256 => "ES256",
            Self::Es384 => "ES384",
            Self::EdDsa => "EdDSA",
        }
    }

    /// Returns the names of several algorithms as an enumeration for a sentence.
    #[must_use]
    pub fn names(kinds: &[Self]) -> String {
        let names: Vec<&str> = kinds.iter().map(|kind| kind.name()).collect();
        names.join(", ")
    }

    pub(super) const fn algorithm(self) -> Algorithm {
        match self {
            Self::Hs256 => Algorithm::HS256,
            Self::Rs256 => Algorithm::RS256,
            Self::Rs384 => Algorithm::RS384,
            Self::Rs512 => Algorithm::RS512,
            Self::Ps256 => Algorithm::PS256,
            Self::Ps384 => Algorithm::PS384,
            Self::Ps512 => Algorithm::PS512,
            Self::Es256 => Algorithm::ES256,
            Self::Es384 => Algorithm::ES384,
            Self::EdDsa => Algorithm::EdDSA,
        }
    }

    const fn family(self) -> Option<Family> {
        match self {
            Self::Hs256 => None,
            Self::Rs256 | Self::Rs384 | Self::Rs512 | Self::Ps256 | Self::Ps384 | Self::Ps512 => {
                Some(Family::Rsa)
            }
            Self::Es256 => Some(Family::P256),
            Self::Es384 => Some(Family::P384),
            Self::EdDsa => Some(Family::Ed25519),
        }
    }
}

/// The algorithms that public keys may be used with, as the configuration has them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Algorithms(Vec<KeyKind>);

impl Algorithms {
    /// Allows these only; with an empty list, the keys decide.
    #[must_use]
    pub fn only(kinds: Vec<KeyKind>) -> Self {
        Self(kinds)
    }

    /// Returns those that are configured.
    pub(super) fn configured(&self) -> &[KeyKind] {
        &self.0
    }

    /// Selects the algorithms of a key: its own (`alg`), else those configured for its type, else the default of its type. A token has
    /// no influence on this.
    ///
    /// # Errors
    /// The reason why it cannot be used with any algorithm.
    pub(super) fn of_key(
        &self,
        family: Family,
        own: Option<KeyKind>,
    ) -> Result<Vec<KeyKind>, String> {
        match own {
            Some(own) if own.family() != Some(family) => Err(format!(
                "its algorithm (`alg`) is {}, and it is {}",
                own.name(),
                family.name()
            )),
            Some(own) if !self.0.is_empty() && !self.0.contains(&own) => Err(format!(
                "it is for {}, and `auth.algorithm` takes {} only",
                own.name(),
                KeyKind::names(&self.0)
            )),
            Some(own) => Ok(vec![own]),
            None if self.0.is_empty() => Ok(vec![family.usual()]),
            None => {
                let fits = |kind: &KeyKind| kind.family() == Some(family);
                let kinds: Vec<KeyKind> = self.0.iter().copied().filter(fits).collect();
                match kinds.is_empty() {
                    true => Err(format!(
                        "it is {}, and `auth.algorithm` takes {} only",
                        family.name(),
                        KeyKind::names(&self.0)
                    )),
                    false => Ok(kinds),
                }
            }
        }
    }
}
