//! One key that tokens are verified with.

use hmac::Hmac;
use jsonwebtoken::{DecodingKey, DecodingKeyKind};
use ota_core::escape::shortened;
use sha2::Sha256;

use super::algorithm::KeyKind;

/// One key. It verifies by its own algorithm and no other, whatever a token says.
#[derive(Clone)]
pub(super) struct Key {
    pub(super) id: Option<String>,
    pub(super) kind: KeyKind,
    pub(super) key: DecodingKey,
    /// The key's part of an HMAC, computed once.
    pub(super) mac: Option<Hmac<Sha256>>,
}

impl Key {
    pub(super) fn public(id: Option<String>, kind: KeyKind, key: DecodingKey) -> Self {
        Self {
            id,
            kind,
            key,
            mac: None,
        }
    }
}

/// Equal when they verify the same tokens.
impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        let same = match (self.key.kind(), other.key.kind()) {
            (DecodingKeyKind::SecretOrDer(one), DecodingKeyKind::SecretOrDer(two)) => one == two,
            (
                DecodingKeyKind::RsaModulusExponent { n, e },
                DecodingKeyKind::RsaModulusExponent { n: n2, e: e2 },
            ) => n == n2 && e == e2,
            _ => false,
        };
        same && self.kind == other.kind && self.id == other.id
    }
}

/// The identifier of a key that is shown to operators; it contains no part of the key.
impl std::fmt::Display for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (&self.id, self.kind) {
            (_, KeyKind::Hs256) => f.write_str("the HS256 secret"),
            (Some(id), kind) => write!(f, "{} ({})", shown_id(id), kind.name()),
            (None, kind) => write!(f, "a key without `kid` ({})", kind.name()),
        }
    }
}

/// A `kid` as it is shown to operators.
pub(super) fn shown_id(id: &str) -> String {
    format!("`{}`", shortened(id, 80))
}
