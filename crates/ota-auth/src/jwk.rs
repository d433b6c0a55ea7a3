//! Reads the keys of a JSON Web Key Set (RFC 7517), including common deviations of servers.

use base64::Engine as _;
use base64::alphabet::URL_SAFE;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use jsonwebtoken::DecodingKey;
use ota_core::escape::shortened;
use serde_json::{Map, Value};

use super::algorithm::{Algorithms, Family, KeyKind};
use super::key::{Key, shown_id};
use super::{point, rsa};

/// With or without padding: servers write both.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &URL_SAFE,
    GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// A key of the source that tokens are not verified with.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct LeftOut {
    /// Its `kid`, or its place in the source; safe to show.
    pub name: String,
    /// Why; safe to show.
    pub reason: String,
    /// Whether the key itself declares another purpose.
    pub by_design: bool,
}

impl std::fmt::Display for LeftOut {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.name, self.reason)
    }
}

/// The maximum number of skipped keys of one set that are named; the others are counted.
const MAX_NAMED: usize = 32;

/// The keys of a source that are not used to verify tokens. A set may have many thousands of them, so only the first ones are named.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AllLeftOut {
    named: Vec<LeftOut>,
    more: usize,
}

impl AllLeftOut {
    pub(super) fn push(&mut self, key: LeftOut) {
        match self.named.len() < MAX_NAMED {
            true => self.named.push(key),
            false => self.more += 1,
        }
    }

    /// Returns the first of them.
    #[must_use]
    pub fn named(&self) -> &[LeftOut] {
        &self.named
    }

    /// Returns how many there are beyond those that are named.
    #[must_use]
    pub fn more(&self) -> usize {
        self.more
    }
}

/// Why a key is skipped, and whether that is intended.
type Reason = (String, bool);

fn defect(reason: impl Into<String>) -> Reason {
    (reason.into(), false)
}

/// Reads the key that stands at this place of a set; one for each algorithm that it may be used with.
pub(super) fn read(place: usize, value: &Value, allowed: &Algorithms) -> Result<Vec<Key>, LeftOut> {
    let id = value.get("kid").and_then(Value::as_str);
    let read = match value {
        Value::Object(members) => read_members(members, id, allowed),
        _ => Err(defect("it is not an object")),
    };
    read.map_err(|(reason, by_design)| LeftOut {
        name: id.map_or_else(|| format!("key {place}"), shown_id),
        reason,
        by_design,
    })
}

fn read_members(
    members: &Map<String, Value>,
    id: Option<&str>,
    allowed: &Algorithms,
) -> Result<Vec<Key>, Reason> {
    let text = |name: &str| match members.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.as_str())),
        Some(_) => Err(defect(format!("its `{name}` is not text"))),
    };
    text("kid")?;
    if let Some(purpose) = text("use")?
        && purpose != "sig"
    {
        let purpose = shortened(purpose, 40);
        return Err((
            format!("it is not for verifying signatures (`use` is `{purpose}`)"),
            true,
        ));
    }
    match members.get("key_ops") {
        None | Some(Value::Null) => {}
        Some(Value::Array(operations)) => {
            if !operations.iter().any(|of| of.as_str() == Some("verify")) {
                return Err((
                    "it is not for verifying signatures (`key_ops` has no `verify`)".to_owned(),
                    true,
                ));
            }
        }
        Some(_) => return Err(defect("its `key_ops` is not a list")),
    }
    let number = |name: &str| {
        let text = text(name)?.ok_or_else(|| defect(format!("its `{name}` is missing")))?;
        decode(text).ok_or_else(|| defect(format!("its `{name}` is not in base64url")))
    };
    let (family, key) = match text("kty")? {
        None => return Err(defect("its type (`kty`) is missing")),
        Some("RSA") => {
            let (modulus, exponent) = (number("n")?, number("e")?);
            let modulus = rsa::without_leading_zeros(&modulus);
            let exponent = rsa::without_leading_zeros(&exponent);
            rsa::check(modulus, exponent).map_err(defect)?;
            let key = DecodingKey::from_rsa_raw_components(modulus, exponent);
            (Family::Rsa, key)
        }
        Some("EC") => {
            let family = match text("crv")? {
                Some("P-256") => Family::P256,
                Some("P-384") => Family::P384,
                curve => return Err(defect(unsupported("curve", curve))),
            };
            let width = family.coordinate_bytes();
            let mut point = vec![0x04];
            for name in ["x", "y"] {
                let coordinate = number(name)?;
                let coordinate = rsa::without_leading_zeros(&coordinate);
                let missing = width
                    .checked_sub(coordinate.len())
                    .ok_or_else(|| defect(format!("its `{name}` has more than {width} bytes")))?;
                // RFC 7518, section 6.2.1.2: of full width. Some writers leave zeros at the front out.
                point.resize(point.len() + missing, 0);
                point.extend_from_slice(coordinate);
            }
            point::check(family, &point).map_err(defect)?;
            (family, DecodingKey::from_ec_der(&point))
        }
        Some("OKP") => match text("crv")? {
            Some("Ed25519") => {
                let point = number("x")?;
                if point.len() != Family::Ed25519.coordinate_bytes() {
                    let bytes = point.len();
                    return Err(defect(format!("its `x` has {bytes} bytes, not 32")));
                }
                (Family::Ed25519, DecodingKey::from_ed_der(&point))
            }
            curve => return Err(defect(unsupported("curve", curve))),
        },
        Some("oct") => return Err(defect("a shared secret has no place in a key set")),
        kind => return Err(defect(unsupported("type", kind))),
    };
    let own = match text("alg")? {
        None => None,
        Some(name) => Some(KeyKind::public_by_name(name).ok_or_else(|| {
            let name = shortened(name, 40);
            defect(format!("its algorithm (`alg`) `{name}` is not supported"))
        })?),
    };
    let kinds = allowed.of_key(family, own).map_err(defect)?;
    Ok(kinds
        .into_iter()
        .map(|kind| Key::public(id.map(str::to_owned), kind, key.clone()))
        .collect())
}

fn unsupported(what: &str, value: Option<&str>) -> String {
    match value {
        Some(value) => format!("its {what} `{}` is not supported", shortened(value, 40)),
        None => format!("its {what} is missing"),
    }
}

/// Decodes base64 of either alphabet, with or without padding: some servers write the alphabet of RFC 4648 section 4.
fn decode(text: &str) -> Option<Vec<u8>> {
    let text: Vec<u8> = text
        .bytes()
        .filter(|byte| !byte.is_ascii_whitespace())
        .map(|byte| match byte {
            b'+' => b'-',
            b'/' => b'_',
            other => other,
        })
        .collect();
    BASE64.decode(text).ok()
}

#[cfg(test)]
mod tests {
    use crate::{Algorithms, KeySet};
    use proptest::prelude::*;
    use serde_json::{Value, json};

    fn value() -> impl Strategy<Value = Value> {
        prop_oneof![
            Just(json!(null)),
            Just(json!(5)),
            Just(json!(["verify"])),
            "(RSA|EC|OKP|oct|sig|P-256|P-384|Ed25519|RS256|ES384|AQAB|AQ)".prop_map(Value::from),
            "[A-Za-z0-9_=+/ -]{0,400}".prop_map(Value::from),
        ]
    }

    proptest! {
        #[test]
        fn no_key_set_ends_the_program(
            keys in proptest::collection::vec(
                proptest::collection::btree_map(
                    "(kty|use|key_ops|alg|kid|n|e|crv|x|y)", value(), 0..10,
                ),
                0..4,
            ),
            bytes in proptest::collection::vec(any::<u8>(), 0..200),
        ) {
            let allowed = Algorithms::default();
            let text = json!({"keys": keys}).to_string();
            let _ = KeySet::jwks(text.as_bytes(), &allowed);
            let _ = KeySet::jwks(&bytes, &allowed);
            let _ = KeySet::pem(&bytes, &allowed);
        }
    }
}
