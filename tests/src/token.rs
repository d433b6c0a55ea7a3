//! Tokens, good ones and forged ones.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use ota_auth::{ClaimNames, TokenIssuer};
use ota_http::Secret;
use serde_json::{Value, json};
use sha2::{Sha256, Sha512};

/// The secret that gateways under test are configured with.
pub const SECRET: &str = "e2e-jwt-secret-5f0c9d1e8b7a6c4d3e2f1a0b";
/// The issuer that they demand.
pub const ISSUER: &str = "https://id.e2e.example";
/// The audience that they are.
pub const AUDIENCE: &str = "ota-e2e";

/// Returns the seconds since 1970.
#[must_use]
pub fn now() -> i64 {
    ota_sim::Clock::system().now().unix_timestamp()
}

/// Mints a token with the gateway's own code.
///
/// # Panics
/// When it cannot be written.
#[must_use]
pub fn minted(scope: &str, providers: Option<&[String]>) -> String {
    let mint = TokenIssuer {
        secret: &Secret::new(SECRET),
        issuer: Some(ISSUER),
        audience: Some(AUDIENCE),
        subject: "e2e",
        scope,
        providers,
        // Tests move clocks by hours.
        ttl_s: 86_400,
        names: &ClaimNames::default(),
    };
    mint.token(ota_sim::Clock::system().now())
        .expect("token can be written")
}

/// Returns the claims of a good token.
#[must_use]
pub fn claims() -> Value {
    json!({"sub": "e2e", "iss": ISSUER, "aud": AUDIENCE, "exp": now() + 600, "scope": "ota:read ota:admin ota:write"})
}

/// Returns the claims of a good token with some of them changed; a null takes one out.
#[must_use]
pub fn claims_with(changes: Value) -> Value {
    let mut claims = claims();
    for (name, value) in changes.as_object().into_iter().flatten() {
        if value.is_null() {
            claims.as_object_mut().map(|members| members.remove(name));
        } else {
            claims[name] = value.clone();
        }
    }
    claims
}

/// Signs with HS256 as RFC 7515 says, without the gateway's code.
#[must_use]
pub fn signed(secret: &str, claims: &Value) -> String {
    let content = content("HS256", claims);
    let mut mac =
        Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("HMAC takes any key length");
    mac.update(content.as_bytes());
    let signature = URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes());
    format!("{content}.{signature}")
}

/// Signs with HS512.
#[must_use]
pub fn signed_512(secret: &str, claims: &Value) -> String {
    let content = content("HS512", claims);
    let mut mac =
        Hmac::<Sha512>::new_from_slice(secret.as_bytes()).expect("HMAC takes any key length");
    mac.update(content.as_bytes());
    let signature = URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes());
    format!("{content}.{signature}")
}

/// Writes a token that says that it is not signed.
#[must_use]
pub fn unsigned(claims: &Value) -> String {
    format!("{}.", content("none", claims))
}

fn content(algorithm: &str, claims: &Value) -> String {
    let header = json!({"alg": algorithm, "typ": "JWT"});
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    format!("{}.{}", part(&header), part(claims))
}
