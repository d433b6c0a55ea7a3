//! Issues tokens for tests and trials.

use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use ota_http::Secret;
use serde_json::{Map, Value, json};
use time::OffsetDateTime;

use super::claims::{ClaimNames, put};
use super::crypto;

/// Issues tokens that are signed with the HS256 secret.
#[derive(Clone, Debug)]
pub struct TokenIssuer<'a> {
    /// The secret.
    pub secret: &'a Secret,
    /// `iss`.
    pub issuer: Option<&'a str>,
    /// The audience.
    pub audience: Option<&'a str>,
    /// `sub`.
    pub subject: &'a str,
    /// Scopes, separated by spaces.
    pub scope: &'a str,
    /// The providers that the caller may see.
    pub providers: Option<&'a [String]>,
    /// Its lifetime, in seconds.
    pub ttl_s: u64,
    /// The claims that these are written to: the first one of the scopes.
    pub names: &'a ClaimNames,
}

impl TokenIssuer<'_> {
    /// Returns the token.
    ///
    /// # Errors
    /// When the token cannot be written.
    pub fn token(&self, now: OffsetDateTime) -> Result<String, jsonwebtoken::errors::Error> {
        crypto::install();
        let iat = now.unix_timestamp();
        let exp = iat.saturating_add(i64::try_from(self.ttl_s).unwrap_or(i64::MAX));
        let mut claims: Map<String, Value> = Map::new();
        let mut write = |name: &str, value: Value| put(&mut claims, name, value);
        write("sub", json!(self.subject));
        if let Some(issuer) = self.issuer {
            write("iss", json!(issuer));
        }
        if let Some(audience) = self.audience {
            write(&self.names.audience, json!(audience));
        }
        write("iat", json!(iat));
        write("exp", json!(exp));
        if let Some(name) = self.names.scopes.first() {
            write(name, json!(self.scope));
        }
        if let Some(providers) = self.providers {
            write(&self.names.providers, json!(providers));
        }
        encode(
            &Header::new(Algorithm::HS256),
            &claims,
            &EncodingKey::from_secret(self.secret.expose_secret().as_bytes()),
        )
    }
}
