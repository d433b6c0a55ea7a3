//! JSON Web Tokens: verifying a caller's and minting one for trying out.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::Mac as _;
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, EncodingKey, Header, Validation, decode, decode_header, encode};
use ota_http::Secret;
use quick_cache::Weighter;
use quick_cache::sync::Cache;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::keys::{KeyKind, KeySet};
use super::source::Keys;
use super::{Caller, crypto};

/// How far two clocks may be apart, in seconds.
const SKEW_S: f64 = 60.0;

/// Tokens longer than this are refused unread, in bytes.
const MAX_BYTES: usize = 8 * 1024;

/// What a token says.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Claims {
    /// Who.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sub: Option<String>,
    /// Who made the token; checked against the configured issuer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub iss: Option<String>,
    /// When it ends, in seconds since 1970. RFC 7519 allows fractions.
    pub exp: f64,
    /// When it starts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nbf: Option<f64>,
    /// Scopes, separated by spaces.
    #[serde(default)]
    pub scope: String,
    /// The providers that the caller may see; all when absent.
    #[serde(
        default,
        deserialize_with = "told",
        skip_serializing_if = "Option::is_none"
    )]
    pub providers: Option<Vec<String>>,
}

/// A claim that is `null` is a mistake of the issuer and must not mean "all".
fn told<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Vec<String>>, D::Error> {
    Vec::deserialize(deserializer).map(Some)
}

/// Why a token was refused. Says nothing about the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenError {
    /// It is no token, or its signature, algorithm, issuer or audience is not the right one.
    Invalid(&'static str),
    /// It names a key that is not known, perhaps because it is newer than the known ones.
    UnknownKey,
    /// Its time is over.
    Expired,
    /// Its time has not come.
    NotYetValid,
    /// There are no keys to verify it with: the place that they come from has never answered. Not the caller's fault.
    NoKeys,
}

impl std::fmt::Display for TokenError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Invalid(reason) => reason,
            Self::UnknownKey => {
                "the token was signed with a key (`kid`) that this gateway does not know; get a new token"
            }
            Self::Expired => "the token has expired; get a new one",
            Self::NotYetValid => {
                "the token is not valid yet; compare the clocks of issuer and gateway"
            }
            Self::NoKeys => {
                "the keys that tokens are verified with cannot be had at the moment; try again"
            }
        })
    }
}

/// What tokens must say.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    /// The `iss`; any when absent.
    pub issuer: Option<String>,
    /// The `aud`; any when absent.
    pub audience: Option<String>,
    /// Whether a token without `aud` is refused.
    pub requires_audience: bool,
}

impl Rules {
    fn validation(&self, kind: KeyKind) -> Validation {
        let mut validation = Validation::new(kind.algorithm());
        // The library reads the machine's clock; the times are checked here, against the injected one.
        validation.validate_exp = false;
        validation.validate_nbf = false;
        let mut required = vec!["exp"];
        if let Some(issuer) = &self.issuer {
            validation.set_issuer(&[issuer]);
            required.push("iss");
        }
        match &self.audience {
            Some(audience) => {
                validation.set_audience(&[audience]);
                if self.requires_audience {
                    required.push("aud");
                }
            }
            None => validation.validate_aud = false,
        }
        validation.set_required_spec_claims(&required);
        validation
    }
}

/// Verifies tokens.
///
/// Callers send the same token with each request. What stands in a token that was good once is read once. Its times are compared every time, an
/// HMAC is computed every time; a signature by a public key, which takes a hundred times as long, holds for the same text and the same keys.
pub struct Verifier {
    keys: Arc<Keys>,
    validations: [(KeyKind, Validation); 4],
    /// Tokens that were good, by their whole text.
    read: Cache<String, Arc<Read>, Weight>,
}

/// Shows nothing of the keys and of tokens.
impl std::fmt::Debug for Verifier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Verifier")
            .field("keys", &self.keys.current())
            .finish_non_exhaustive()
    }
}

/// A token that was good once.
struct Read {
    keys: Arc<KeySet>,
    signature: Vec<u8>,
    exp: f64,
    nbf: Option<f64>,
    caller: Arc<Caller>,
}

/// The memory that the content of tokens may take, in bytes of token: a thousand callers and more.
const READ_BYTES: u64 = 1 << 20;

#[derive(Clone)]
struct Weight;

impl Weighter<String, Arc<Read>> for Weight {
    fn weight(&self, token: &String, _read: &Arc<Read>) -> u64 {
        (token.len() + 200) as u64
    }
}

impl Verifier {
    /// Creates a verifier with these keys.
    #[must_use]
    pub fn new(keys: Arc<Keys>, rules: &Rules) -> Self {
        crypto::install();
        let validations = [
            KeyKind::Hs256,
            KeyKind::Rs256,
            KeyKind::Es256,
            KeyKind::EdDsa,
        ]
        .map(|kind| (kind, rules.validation(kind)));
        Self {
            keys,
            validations,
            read: Cache::with_weighter(1000, READ_BYTES, Weight),
        }
    }

    /// Returns the keys.
    #[must_use]
    pub fn keys(&self) -> &Arc<Keys> {
        &self.keys
    }

    /// Verifies a token at `now` and returns who sends it.
    ///
    /// # Errors
    /// As [`Verifier::verify`].
    pub fn caller(&self, token: &str, now: OffsetDateTime) -> Result<Arc<Caller>, TokenError> {
        let keys = self.keys.current().ok_or(TokenError::NoKeys)?;
        if let Some(read) = self.read.get(token) {
            let holds = match keys.mac() {
                Some(mac) => {
                    let signed = token.rsplit_once('.').map_or("", |(content, _)| content);
                    let mut mac = mac.clone();
                    mac.update(signed.as_bytes());
                    mac.verify_slice(&read.signature).is_ok()
                }
                None => Arc::ptr_eq(&read.keys, &keys),
            };
            if holds {
                in_time(read.exp, read.nbf, now)?;
                return Ok(Arc::clone(&read.caller));
            }
        }
        let claims = self.verify_with(&keys, token, now)?;
        let (exp, nbf) = (claims.exp, claims.nbf);
        let caller = Arc::new(Caller::from(claims));
        let signature = token
            .rsplit_once('.')
            .map_or("", |(_, signature)| signature);
        if let Ok(signature) = URL_SAFE_NO_PAD.decode(signature) {
            let read = Read {
                keys,
                signature,
                exp,
                nbf,
                caller: Arc::clone(&caller),
            };
            self.read.insert(token.to_owned(), Arc::new(read));
        }
        Ok(caller)
    }

    /// Verifies a token at `now`.
    ///
    /// # Errors
    /// Says why it was refused, in words for the caller.
    pub fn verify(&self, token: &str, now: OffsetDateTime) -> Result<Claims, TokenError> {
        let keys = self.keys.current().ok_or(TokenError::NoKeys)?;
        self.verify_with(&keys, token, now)
    }

    fn verify_with(
        &self,
        keys: &KeySet,
        token: &str,
        now: OffsetDateTime,
    ) -> Result<Claims, TokenError> {
        if token.len() > MAX_BYTES {
            return Err(TokenError::Invalid("the token is too long"));
        }
        let header = decode_header(token).map_err(|error| refusal(error.kind()))?;
        // RFC 7515, section 4.1.11: what stands there must be understood, and nothing of it is.
        if header.crit.is_some() {
            return Err(TokenError::Invalid(
                "the token asks for extensions (`crit`) that this gateway does not know",
            ));
        }
        let mut refused = None;
        for key in keys.candidates(header.kid.as_deref()) {
            let validation = self.validations.iter().find(|(kind, _)| *kind == key.kind);
            let Some((_, validation)) = validation else {
                continue;
            };
            match decode::<Claims>(token, &key.key, validation) {
                Ok(decoded) => {
                    in_time(decoded.claims.exp, decoded.claims.nbf, now)?;
                    return Ok(decoded.claims);
                }
                // Another key may fit; what says most about the token is told at the end.
                Err(error) => {
                    let is_other_kind = matches!(
                        error.kind(),
                        ErrorKind::InvalidAlgorithm | ErrorKind::InvalidSignature
                    );
                    if refused.is_none() || !is_other_kind {
                        refused = Some(refusal(error.kind()));
                    }
                }
            }
        }
        // Where neither the token nor the keys say which key it is, it may have been signed with one that is newer than these.
        let named = header.kid.is_some() && keys.has(header.kid.as_deref());
        match refused {
            Some(TokenError::Invalid(OTHER_KEY)) if !named && self.keys.address().is_some() => {
                Err(TokenError::UnknownKey)
            }
            refused => Err(refused.unwrap_or(TokenError::UnknownKey)),
        }
    }
}

const OTHER_KEY: &str = "the token was signed with another secret or key: perhaps for another gateway, or by a sandbox before its restart; get a new token";

fn refusal(kind: &ErrorKind) -> TokenError {
    TokenError::Invalid(match kind {
        ErrorKind::InvalidSignature => OTHER_KEY,
        ErrorKind::InvalidAlgorithm
        | ErrorKind::InvalidAlgorithmName
        | ErrorKind::UnsupportedAlgorithm => {
            "the token's algorithm is not the one that this gateway takes"
        }
        ErrorKind::InvalidIssuer => {
            "the token's issuer (`iss`) is not the one that this gateway takes"
        }
        ErrorKind::InvalidAudience => "the token's audience (`aud`) is not this gateway",
        ErrorKind::MissingRequiredClaim(_) => {
            "the token lacks one of the claims `exp`, `iss`, `aud`"
        }
        _ => {
            "this is no token that can be read; send the whole token, three parts with dots between them"
        }
    })
}

fn in_time(exp: f64, nbf: Option<f64>, now: OffsetDateTime) -> Result<(), TokenError> {
    // Whole seconds are precise in a double for the next 285 million years.
    let now = now.unix_timestamp() as f64;
    if !exp.is_finite() || exp + SKEW_S <= now {
        return Err(TokenError::Expired);
    }
    if nbf.is_some_and(|nbf| !nbf.is_finite() || nbf - SKEW_S > now) {
        return Err(TokenError::NotYetValid);
    }
    Ok(())
}

/// Mints a token with the HS256 secret.
#[derive(Clone, Debug)]
pub struct Mint<'a> {
    /// The secret.
    pub secret: &'a Secret,
    /// `iss`.
    pub issuer: Option<&'a str>,
    /// `aud`.
    pub audience: Option<&'a str>,
    /// `sub`.
    pub subject: &'a str,
    /// `scope`.
    pub scope: &'a str,
    /// `providers`.
    pub providers: Option<&'a [String]>,
    /// How long it lives, in seconds.
    pub ttl_s: u64,
}

impl Mint<'_> {
    /// Returns the token.
    ///
    /// # Errors
    /// When the token cannot be written.
    pub fn token(&self, now: OffsetDateTime) -> Result<String, jsonwebtoken::errors::Error> {
        #[derive(Serialize)]
        struct Minted<'a> {
            sub: &'a str,
            #[serde(skip_serializing_if = "Option::is_none")]
            iss: Option<&'a str>,
            #[serde(skip_serializing_if = "Option::is_none")]
            aud: Option<&'a str>,
            iat: i64,
            exp: i64,
            scope: &'a str,
            #[serde(skip_serializing_if = "Option::is_none")]
            providers: Option<&'a [String]>,
        }
        crypto::install();
        let iat = now.unix_timestamp();
        let exp = iat.saturating_add(i64::try_from(self.ttl_s).unwrap_or(i64::MAX));
        let claims = Minted {
            sub: self.subject,
            iss: self.issuer,
            aud: self.audience,
            iat,
            exp,
            scope: self.scope,
            providers: self.providers,
        };
        encode(
            &Header::new(Algorithm::HS256),
            &claims,
            &EncodingKey::from_secret(self.secret.expose_secret().as_bytes()),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::{Claims, Mint, Rules, TokenError, Verifier};
    use crate::auth::source::{KeySource, Keys};
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use ota_http::{Secret, SecretSource};
    use serde_json::json;
    use std::sync::Arc;
    use time::macros::datetime;
    use time::{Duration, OffsetDateTime};

    const NOW: OffsetDateTime = datetime!(2026-11-23 12:00 UTC);

    fn secret() -> Secret {
        Secret::new("0123456789abcdef0123456789abcdef")
    }

    fn token(secret: &Secret) -> String {
        Mint {
            secret,
            issuer: Some("https://id"),
            audience: Some("ota-gateway"),
            subject: "dashboard",
            scope: "ota:read",
            providers: None,
            ttl_s: 600,
        }
        .token(NOW)
        .unwrap()
    }

    fn with_rules(issuer: Option<&str>, requires_audience: bool) -> Verifier {
        let source = KeySource::Secret(Arc::new(SecretSource::value(secret())));
        let rules = Rules {
            issuer: issuer.map(str::to_owned),
            audience: Some("ota-gateway".to_owned()),
            requires_audience,
        };
        Verifier::new(Arc::new(Keys::new(source, None).unwrap()), &rules)
    }

    fn verifier() -> Verifier {
        with_rules(Some("https://id"), true)
    }

    fn at(token: &str, seconds: i64) -> Result<Claims, TokenError> {
        verifier().verify(token, NOW + Duration::seconds(seconds))
    }

    #[test]
    fn a_token_that_was_read_before_is_verified_again() {
        let (token, verifier) = (token(&secret()), verifier());
        let first = verifier.caller(&token, NOW).unwrap();
        let again = verifier.caller(&token, NOW).unwrap();
        assert!(
            std::sync::Arc::ptr_eq(&first, &again),
            "its content is read once"
        );
        let late = NOW + Duration::seconds(660);
        assert_eq!(
            verifier.caller(&token, late).unwrap_err(),
            TokenError::Expired
        );
        // Another signature, other content, other padding: other tokens.
        let (content, signature) = token.rsplit_once('.').unwrap();
        let other = if signature.starts_with('A') { "B" } else { "A" };
        for forged in [
            format!("{content}.{other}{}", &signature[1..]),
            format!("{content}."),
            format!("{content}.{signature}="),
            format!("{}.{signature}", &content[..content.len() - 1]),
        ] {
            for _ in 0..2 {
                assert!(verifier.caller(&forged, NOW).is_err(), "{forged}");
            }
        }
        let debug = format!("{verifier:?}");
        assert!(!debug.contains("0123456789") && !debug.contains(content));
    }

    #[test]
    fn a_token_is_good_for_its_time_and_a_minute() {
        let token = token(&secret());
        assert_eq!(at(&token, 0).unwrap().sub.as_deref(), Some("dashboard"));
        assert!(at(&token, 659).is_ok());
        assert_eq!(at(&token, 660).unwrap_err(), TokenError::Expired);
    }

    fn forged(header: serde_json::Value, claims: serde_json::Value) -> String {
        let part = |value: serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
        format!(
            "{}.{}.{}",
            part(header),
            part(claims),
            URL_SAFE_NO_PAD.encode("signature")
        )
    }

    #[test]
    fn a_bad_token_is_refused() {
        let good = token(&secret());
        let claims =
            json!({"exp": NOW.unix_timestamp() + 60, "iss": "https://id", "aud": "ota-gateway"});
        let bad = [
            String::new(),
            "x".into(),
            "a.b.c".into(),
            "x".repeat(10_000),
            good[..good.len() - 4].to_owned(),
            format!("{good}x"),
            token(&Secret::new("another secret, another secret..")),
            forged(json!({"alg": "none"}), claims.clone()),
            forged(json!({"alg": "HS256"}), claims.clone()),
            forged(json!({"alg": "RS256"}), claims.clone()),
            forged(json!({"alg": "HS512"}), claims),
        ];
        for token in bad {
            assert!(at(&token, 0).is_err(), "{token}");
        }
    }

    #[test]
    fn a_list_of_providers_that_is_null_is_not_all_of_them() {
        use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
        let secret = secret();
        let key = EncodingKey::from_secret(secret.expose_secret().as_bytes());
        let signed = |providers: serde_json::Value| {
            let claims = json!({
                "exp": NOW.unix_timestamp() + 60, "iss": "https://id", "aud": "ota-gateway", "providers": providers,
            });
            encode(&Header::new(Algorithm::HS256), &claims, &key).unwrap()
        };
        assert_eq!(
            at(&signed(json!(["a"])), 0).unwrap().providers,
            Some(vec!["a".to_owned()])
        );
        assert!(at(&signed(json!(null)), 0).is_err());
    }

    #[test]
    fn issuer_audience_and_end_are_required() {
        let secret = secret();
        let mint = |issuer, audience| {
            Mint {
                secret: &secret,
                issuer,
                audience,
                subject: "s",
                scope: "",
                providers: None,
                ttl_s: 60,
            }
            .token(NOW)
            .unwrap()
        };
        assert!(at(&mint(Some("https://id"), Some("ota-gateway")), 0).is_ok());
        assert!(at(&mint(None, Some("ota-gateway")), 0).is_err());
        assert!(at(&mint(Some("https://other"), Some("ota-gateway")), 0).is_err());
        assert!(at(&mint(Some("https://id"), None), 0).is_err());
        assert!(at(&mint(Some("https://id"), Some("other")), 0).is_err());
        let lenient = with_rules(None, false);
        assert!(lenient.verify(&mint(None, None), NOW).is_ok());
        assert!(lenient.verify(&mint(None, Some("other")), NOW).is_err());
    }
}
