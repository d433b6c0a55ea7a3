//! JSON Web Tokens: verifying a caller's and minting one for trying out.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, decode, encode};
use ota_http::Secret;
use quick_cache::Weighter;
use quick_cache::sync::Cache;
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use time::OffsetDateTime;

use super::{Caller, hmac_provider};

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
    /// Its time is over.
    Expired,
    /// Its time has not come.
    NotYetValid,
}

impl std::fmt::Display for TokenError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Invalid(reason) => f.write_str(reason),
            Self::Expired => f.write_str("the token has expired; get a new one"),
            Self::NotYetValid => {
                f.write_str("the token is not valid yet; compare the clocks of issuer and gateway")
            }
        }
    }
}

/// Verifies tokens with one key, one algorithm, one issuer and one audience.
///
/// Callers send the same token with each request. What stands in a token that was good once is read once; its signature and its times are
/// verified every time.
pub struct Verifier {
    key: DecodingKey,
    validation: Validation,
    /// The key's part of the signature, computed once.
    mac: Hmac<Sha256>,
    /// Tokens that were good, by their whole text.
    read: Cache<String, Arc<Read>, Weight>,
}

/// Shows nothing of the key and of tokens.
impl std::fmt::Debug for Verifier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Verifier")
            .field("validation", &self.validation)
            .finish_non_exhaustive()
    }
}

/// A token that was good once.
struct Read {
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
    /// Creates a verifier for HS256. Issuer and audience are checked when given; a token without an audience is refused only when one is
    /// required.
    #[must_use]
    pub fn hs256(
        secret: &Secret,
        issuer: Option<&str>,
        audience: Option<&str>,
        requires_audience: bool,
    ) -> Self {
        hmac_provider::install();
        let mut validation = Validation::new(Algorithm::HS256);
        // The library reads the machine's clock; the times are checked here, against the injected one.
        validation.validate_exp = false;
        validation.validate_nbf = false;
        let mut required = vec!["exp"];
        if let Some(issuer) = issuer {
            validation.set_issuer(&[issuer]);
            required.push("iss");
        }
        match audience {
            Some(audience) => {
                validation.set_audience(&[audience]);
                if requires_audience {
                    required.push("aud");
                }
            }
            None => validation.validate_aud = false,
        }
        validation.set_required_spec_claims(&required);
        let secret = secret.expose_secret().as_bytes();
        Self {
            key: DecodingKey::from_secret(secret),
            validation,
            mac: Hmac::new_from_slice(secret).expect("HMAC takes keys of every length"),
            read: Cache::with_weighter(1000, READ_BYTES, Weight),
        }
    }

    /// Verifies a token at `now` and returns who sends it.
    ///
    /// # Errors
    /// As [`Verifier::verify`].
    pub fn caller(&self, token: &str, now: OffsetDateTime) -> Result<Arc<Caller>, TokenError> {
        if let Some(read) = self.read.get(token) {
            let signed = token.rsplit_once('.').map_or("", |(content, _)| content);
            let mut mac = self.mac.clone();
            mac.update(signed.as_bytes());
            if mac.verify_slice(&read.signature).is_ok() {
                in_time(read.exp, read.nbf, now)?;
                return Ok(Arc::clone(&read.caller));
            }
        }
        let claims = self.verify(token, now)?;
        let (exp, nbf) = (claims.exp, claims.nbf);
        let caller = Arc::new(Caller::from(claims));
        let signature = token
            .rsplit_once('.')
            .map_or("", |(_, signature)| signature);
        if let Ok(signature) = URL_SAFE_NO_PAD.decode(signature) {
            let read = Read {
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
        use jsonwebtoken::errors::ErrorKind;
        if token.len() > MAX_BYTES {
            return Err(TokenError::Invalid("the token is too long"));
        }
        let claims = decode::<Claims>(token, &self.key, &self.validation)
            .map_err(|error| {
                TokenError::Invalid(match error.kind() {
                    ErrorKind::InvalidSignature => "the token was signed with another secret: perhaps for another gateway, or by a sandbox before its restart; get a new token",
                    ErrorKind::InvalidAlgorithm | ErrorKind::InvalidAlgorithmName => {
                        "the token's algorithm is not the one that this gateway takes"
                    }
                    ErrorKind::InvalidIssuer => {
                        "the token's issuer (`iss`) is not the one that this gateway takes"
                    }
                    ErrorKind::InvalidAudience => {
                        "the token's audience (`aud`) is not this gateway"
                    }
                    ErrorKind::MissingRequiredClaim(_) => {
                        "the token lacks one of the claims `exp`, `iss`, `aud`"
                    }
                    _ => "this is no token that can be read; send the whole token, three parts with dots between them",
                })
            })?
            .claims;
        in_time(claims.exp, claims.nbf, now)?;
        Ok(claims)
    }
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
        hmac_provider::install();
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
    use super::{Claims, Mint, TokenError, Verifier};
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use ota_http::Secret;
    use serde_json::json;
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

    fn verifier() -> Verifier {
        Verifier::hs256(&secret(), Some("https://id"), Some("ota-gateway"), true)
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
        let lenient = Verifier::hs256(&secret, None, Some("ota-gateway"), false);
        assert!(lenient.verify(&mint(None, None), NOW).is_ok());
        assert!(lenient.verify(&mint(None, Some("other")), NOW).is_err());
    }
}
