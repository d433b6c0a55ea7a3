//! Both signatures of Alibaba Cloud, as pure functions: time, nonce and credential come in as arguments.
//!
//! Sources (read 2026-11-23): "V3 request structure and signature" and "Request syntax and signature method V2 for RPC APIs" of the
//! Alibaba Cloud SDK help, and "Signature method" of the IoT Platform help. The vectors in `tests/fixtures/signature-vectors.json`
//! were made with the vendor's own SDKs.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use ota_core::{Error, ErrorKind, Result};
use ota_http::encode::{percent_encode, query};
use sha1::Sha1;
use sha2::{Digest, Sha256};
use time::OffsetDateTime;
use time::macros::format_description;
use zeroize::Zeroizing;

/// The content type of parameters in a body.
pub(crate) const FORM: &str = "application/x-www-form-urlencoded";

/// Writes the time of a request: `YYYY-MM-DDThh:mm:ssZ`, without a fraction, in UTC.
pub(crate) fn timestamp(now: OffsetDateTime) -> Result<String> {
    let format = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second]Z");
    let now = now.to_offset(time::UtcOffset::UTC);
    now.format(format).map_err(|error| {
        Error::new(ErrorKind::Unexpected, "the clock shows no valid time").with_source(error)
    })
}

/// Sorts parameters by name as bytes and joins them percent-encoded. An empty value stays as `name=`.
#[must_use]
pub fn canonical_query(params: &[(String, String)]) -> String {
    let mut sorted: Vec<(&str, &str)> = params
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    sorted.sort_unstable();
    query(sorted)
}

/// Returns the `HMAC-SHA1` signature over all parameters (query and form body together, without `Signature`).
#[must_use]
pub fn rpc(method: &str, params: &[(String, String)], access_key_secret: &str) -> String {
    // What is signed may contain a token. It and the key are cleared; the HMAC clears its own state.
    let query = Zeroizing::new(canonical_query(params));
    let encoded = Zeroizing::new(percent_encode(&query));
    // The key is the secret with an ampersand behind it.
    let mut key = Zeroizing::new(Vec::with_capacity(access_key_secret.len() + 1));
    key.extend_from_slice(access_key_secret.as_bytes());
    key.push(b'&');
    let mut mac = Hmac::<Sha1>::new_from_slice(&key).expect("HMAC takes keys of every length");
    for part in [method, "&%2F&", &encoded] {
        mac.update(part.as_bytes());
    }
    STANDARD.encode(mac.finalize().into_bytes())
}

/// A request as `ACS3-HMAC-SHA256` signs it.
#[derive(Clone, Copy)]
pub struct Acs3<'a> {
    /// The HTTP method.
    pub method: &'a str,
    /// The path; `/` for every operation of the IoT Platform.
    pub uri: &'a str,
    /// Query parameters; the body is covered by its hash.
    pub query: &'a [(String, String)],
    /// Headers to sign, in any order and case of names, `x-acs-content-sha256` among them.
    pub headers: &'a [(&'a str, &'a str)],
    /// Lower-case hexadecimal SHA-256 of the body.
    pub hashed_payload: &'a str,
    /// The AccessKey ID.
    pub access_key_id: &'a str,
    /// The AccessKey secret, used as it is (without an ampersand).
    pub access_key_secret: &'a str,
}

/// Returns the value of the `Authorization` header.
#[must_use]
pub fn acs3(request: Acs3<'_>) -> String {
    let mut headers: Vec<(String, &str)> = request
        .headers
        .iter()
        .map(|(name, value)| (name.to_ascii_lowercase(), *value))
        .collect();
    headers.sort_unstable();
    // A token may be in it, so it has room for all and is cleared.
    let lengths = headers
        .iter()
        .map(|(name, value)| name.len() + value.len() + 2);
    let mut header_block = Zeroizing::new(String::with_capacity(lengths.sum()));
    let mut signed_headers = String::new();
    for (name, value) in headers {
        header_block.extend([&name, ":", value.trim(), "\n"]);
        if !signed_headers.is_empty() {
            signed_headers.push(';');
        }
        signed_headers.push_str(&name);
    }
    let query = canonical_query(request.query);
    let parts = [
        request.method,
        request.uri,
        &query,
        &header_block,
        &signed_headers,
        request.hashed_payload,
    ];
    // Part by part, so that there is no copy of the whole.
    let mut hash = Sha256::new();
    for (part, before) in parts.into_iter().zip(["", "\n", "\n", "\n", "\n", "\n"]) {
        hash.update(before);
        hash.update(part);
    }
    let string_to_sign = format!("ACS3-HMAC-SHA256\n{}", hex(&hash.finalize()));
    let mut mac = Hmac::<Sha256>::new_from_slice(request.access_key_secret.as_bytes())
        .expect("HMAC takes keys of every length");
    mac.update(string_to_sign.as_bytes());
    let signature = hex(&mac.finalize().into_bytes());
    format!(
        "ACS3-HMAC-SHA256 Credential={},SignedHeaders={signed_headers},Signature={signature}",
        request.access_key_id
    )
}

/// Returns the SHA-256 of `bytes` in lower-case hexadecimal digits.
pub(crate) fn sha256_hex(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes
        .iter()
        .fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
}
