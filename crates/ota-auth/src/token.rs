//! JSON Web Tokens: verifying a caller's.

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::Mac as _;
use jsonwebtoken::Algorithm;
use jsonwebtoken::crypto::verify;
use ota_core::escape::shortened;
use quick_cache::Weighter;
use quick_cache::sync::Cache;
use ring::digest::{SHA256, digest};
use serde_json::{Map, Value};
use time::OffsetDateTime;

use super::caller::Caller;
use super::claims::{Claims, Rules, too_long};
use super::crypto;
use super::error::TokenError;
use super::keys::KeySet;
use super::source::Keys;

/// The maximum difference between two clocks, in seconds.
const SKEW_S: f64 = 60.0;

/// Verifies tokens.
///
/// Callers send the same token with each request. The content of a valid token is parsed once. Its times are compared every time, an
/// HMAC is computed every time; the result for a public-key signature, which takes a hundred times as long, is reused for the same text and keys.
pub struct Verifier {
    keys: Arc<Keys>,
    rules: Rules,
    /// Tokens that were verified successfully, by their whole text or its hash.
    read: Cache<String, Arc<Read>, Weight>,
    /// When the log last said that a claim may be misspelled, in seconds since 1970.
    warned: AtomicI64,
}

/// Shows neither keys nor tokens.
impl std::fmt::Debug for Verifier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Verifier")
            .field("keys", &self.keys.current())
            .finish_non_exhaustive()
    }
}

/// A token that was verified successfully once.
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
    pub fn new(keys: Arc<Keys>, rules: Rules) -> Self {
        crypto::install();
        Self {
            keys,
            rules,
            read: Cache::with_weighter(1000, READ_BYTES, Weight),
            warned: AtomicI64::new(i64::MIN),
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
        let known_as = known_as(token);
        if let Some(read) = self.read.get(known_as.as_ref()) {
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
        self.warn_of_near_claim(&claims, now);
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
            self.read.insert(known_as.into_owned(), Arc::new(read));
        }
        Ok(caller)
    }

    /// Verifies a token at `now`.
    ///
    /// # Errors
    /// The reason of the refusal, in a form for the caller.
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
        if token.len() > self.rules.max_token_bytes {
            return Err(too_long(token, self.rules.max_token_bytes));
        }
        let header = Header::read(token)?;
        let id = header.key_id.as_deref();
        let (signed, signature) = token.rsplit_once('.').unwrap_or((token, ""));
        let (mut knows_id, mut tried) = (false, false);
        for key in keys.candidates(id) {
            knows_id = true;
            // The key decides; the token only says which of several keys may be meant.
            let algorithm = key.kind.algorithm();
            if algorithm != header.algorithm {
                continue;
            }
            tried = true;
            let good = verify(signature, signed.as_bytes(), &key.key, algorithm);
            if good.map_err(|_| TokenError::Invalid(Cow::Borrowed(UNREADABLE)))? {
                let claims = part(signed.split('.').nth(1))?;
                let claims = Claims::read(&claims, &self.rules)?;
                in_time(claims.exp, claims.nbf, now)?;
                return Ok(claims);
            }
        }
        // Where neither the token nor the keys say which key it is, it may have been signed with one that is newer than these.
        let named = id.is_some() && keys.has(id);
        Err(match (knows_id, tried) {
            (false, _) => TokenError::UnknownKey,
            (true, true) if !named && self.keys.at_address() => TokenError::UnknownKey,
            (true, true) => TokenError::invalid(OTHER_KEY),
            (true, false) => TokenError::invalid(OTHER_ALGORITHM),
        })
    }

    /// Logs that a caller has access to all providers although a claim of the token may be meant to limit this.
    fn warn_of_near_claim(&self, claims: &Claims, now: OffsetDateTime) {
        let Some(near) = &claims.near_providers else {
            return;
        };
        let (now, last) = (now.unix_timestamp(), self.warned.load(Ordering::Relaxed));
        if now.saturating_sub(last) < WARN_PAUSE_S {
            return;
        }
        self.warned.store(now, Ordering::Relaxed);
        let (near, wanted) = (shortened(near, 100), &self.rules.names.providers);
        tracing::warn!(
            caller = claims.sub.as_deref(),
            "a token has the claim `{near}` and not `{wanted}`, so its caller sees all providers; if it is meant to limit them, mend the claim at the identity provider or set `auth.providers_claim`; `auth.require_providers_claim = true` refuses such tokens"
        );
    }
}

/// How often the log says that a claim may be misspelled, in seconds.
const WARN_PAUSE_S: i64 = 600;

/// Longer tokens are cached by their hash, so that many of them fit into the cache.
const LONG: usize = 2048;

/// The cache key of a token.
fn known_as(token: &str) -> Cow<'_, str> {
    if token.len() <= LONG {
        return Cow::Borrowed(token);
    }
    let hash = URL_SAFE_NO_PAD.encode(digest(&SHA256, token.as_bytes()));
    // No header can contain the first character, so no received token is equal to a hash.
    Cow::Owned(format!("\n{hash}"))
}

/// Reads a part of a token: a JSON object in base64url. Of members of one name the last one counts (RFC 7519, section 4).
fn part(text: Option<&str>) -> Result<Map<String, Value>, TokenError> {
    text.and_then(|text| URL_SAFE_NO_PAD.decode(text).ok())
        .and_then(|json| serde_json::from_slice(&json).ok())
        .ok_or(TokenError::Invalid(Cow::Borrowed(UNREADABLE)))
}

/// The parts of a token's header that describe its signature.
struct Header {
    algorithm: Algorithm,
    key_id: Option<String>,
}

impl Header {
    fn read(token: &str) -> Result<Self, TokenError> {
        let parts = token.split('.').count();
        // RFC 7516, section 9.
        if parts == 5 {
            return Err(TokenError::invalid(
                "the token is encrypted (five parts); ask the identity provider for a signed access token for this API",
            ));
        }
        let members = part(token.split('.').next().filter(|_| parts == 3))?;
        let text = |name: &str| match members.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.clone())),
            Some(_) => Err(TokenError::invalid(format!(
                "`{name}` in the token's header has the wrong type, expected a text"
            ))),
        };
        // RFC 7515, section 4.1.11: all extensions in `crit` must be supported, and none is.
        if members.get("crit").is_some_and(|crit| !crit.is_null()) {
            return Err(TokenError::invalid(
                "the token asks for extensions (`crit`) that this gateway does not know",
            ));
        }
        let algorithm = text("alg")?.and_then(|name| name.parse().ok());
        Ok(Self {
            algorithm: algorithm.ok_or(TokenError::Invalid(Cow::Borrowed(OTHER_ALGORITHM)))?,
            key_id: text("kid")?,
        })
    }
}

const OTHER_KEY: &str = "the token was signed with another secret or key: perhaps for another gateway, or by a sandbox before its restart; get a new token";

const OTHER_ALGORITHM: &str = "the token's algorithm is not accepted by this gateway";

const UNREADABLE: &str =
    "the token is malformed; send the whole token, three parts separated by dots";

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

#[cfg(test)]
mod tests;
