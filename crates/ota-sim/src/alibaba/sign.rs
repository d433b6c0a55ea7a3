//! The vendor's side of both signatures: what the server computes from what it received.
//!
//! Sources: "Signature method" of the IoT Platform documentation and "Request syntax and signature method V2 for RPC
//! APIs" (HMAC-SHA1); "V3 request structure and signature" (ACS3-HMAC-SHA256), both of the Alibaba Cloud SDK help.
//! The server canonicalises decoded parameters: the official client writes a space in the URL as `+` while it signs `%20`.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;
use sha2::{Digest, Sha256};

use crate::wire_text::{hex, percent_encode};

/// Name of the V3 algorithm, with which its `Authorization` header starts.
pub(super) const ACS3: &str = "ACS3-HMAC-SHA256";

/// Sorts by name as bytes and joins the encoded pairs; pairs with an empty value stay.
fn canonical_query<'a>(params: impl Iterator<Item = &'a (String, String)>) -> String {
    let mut pairs: Vec<&(String, String)> = params.collect();
    pairs.sort_by(|a, b| a.0.as_bytes().cmp(b.0.as_bytes()));
    let pairs: Vec<String> = pairs
        .iter()
        .map(|(name, value)| format!("{}={}", percent_encode(name), percent_encode(value)))
        .collect();
    pairs.join("&")
}

/// The string to sign of an RPC call, from the merged parameters of query and form body.
pub(super) fn rpc_string_to_sign(method: &str, params: &[(String, String)]) -> String {
    let query = canonical_query(params.iter().filter(|(name, _)| name != "Signature"));
    format!("{method}&%2F&{}", percent_encode(&query))
}

/// `base64(HMAC-SHA1(secret + "&", text))`
pub(super) fn rpc_signature(secret: &str, string_to_sign: &str) -> String {
    let key = format!("{secret}&");
    let Ok(mut mac) = Hmac::<Sha1>::new_from_slice(key.as_bytes()) else {
        return String::new();
    };
    mac.update(string_to_sign.as_bytes());
    STANDARD.encode(mac.finalize().into_bytes())
}

/// The parts of an `Authorization: ACS3-HMAC-SHA256 …` header.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Authorization<'a> {
    pub(super) credential: &'a str,
    /// Names as written; they are lower case and sorted if the client follows the rules.
    pub(super) signed_headers: Vec<&'a str>,
    pub(super) signature: &'a str,
}

impl<'a> Authorization<'a> {
    /// Reads the header; `None` when a part is missing.
    pub(super) fn parse(header: &'a str) -> Option<Self> {
        let parts = header.strip_prefix(ACS3)?.trim_start();
        let (mut credential, mut signed_headers, mut signature) = (None, None, None);
        for part in parts.split(',') {
            match part.trim().split_once('=')? {
                ("Credential", value) => credential = Some(value),
                ("SignedHeaders", value) => signed_headers = Some(value),
                ("Signature", value) => signature = Some(value),
                _ => return None,
            }
        }
        Some(Self {
            credential: credential?,
            signed_headers: signed_headers?.split(';').collect(),
            signature: signature?,
        })
    }
}

/// The canonical request of a V3 call.
pub(super) fn acs3_canonical_request(
    method: &str,
    path: &str,
    query: &[(String, String)],
    signed_headers: &[(&str, String)],
    body: &[u8],
) -> String {
    let mut headers: Vec<&(&str, String)> = signed_headers.iter().collect();
    headers.sort_by_key(|(name, _)| *name);
    let block: String = headers
        .iter()
        .map(|(name, value)| format!("{name}:{}\n", value.trim()))
        .collect();
    let names: Vec<&str> = headers.iter().map(|(name, _)| *name).collect();
    let query = canonical_query(query.iter());
    let payload = hex(&Sha256::digest(body));
    format!(
        "{method}\n{path}\n{query}\n{block}\n{}\n{payload}",
        names.join(";")
    )
}

/// The string to sign of a V3 call.
pub(super) fn acs3_string_to_sign(canonical_request: &str) -> String {
    format!(
        "{ACS3}\n{}",
        hex(&Sha256::digest(canonical_request.as_bytes()))
    )
}

/// `hex(HMAC-SHA256(secret, text))`; here the key has no `&`.
pub(super) fn acs3_signature(secret: &str, string_to_sign: &str) -> String {
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret.as_bytes()) else {
        return String::new();
    };
    mac.update(string_to_sign.as_bytes());
    hex(&mac.finalize().into_bytes())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde::Deserialize;

    use super::*;

    #[derive(Deserialize)]
    struct File {
        vectors: Vec<Vector>,
    }

    #[derive(Deserialize)]
    struct Vector {
        id: String,
        scheme: String,
        input: Input,
        canonical_request: Option<String>,
        string_to_sign: String,
        signature: String,
        authorization: Option<String>,
    }

    #[derive(Deserialize)]
    struct Input {
        http_method: String,
        access_key_id: Option<String>,
        access_key_secret: String,
        #[serde(default)]
        params: BTreeMap<String, String>,
        #[serde(default)]
        query: BTreeMap<String, String>,
        #[serde(default)]
        headers: BTreeMap<String, String>,
        #[serde(default)]
        body: String,
    }

    impl Input {
        /// A header whatever the case of its name.
        fn header(&self, name: &str) -> String {
            let found = self
                .headers
                .iter()
                .find(|(one, _)| one.eq_ignore_ascii_case(name));
            found.unwrap().1.clone()
        }
    }

    fn vectors(scheme: &str) -> Vec<Vector> {
        let text = include_str!("../../tests/fixtures/alibaba-signature-vectors.json");
        let file: File = serde_json::from_str(text).unwrap();
        let vectors: Vec<Vector> = file
            .vectors
            .into_iter()
            .filter(|vector| vector.scheme == scheme)
            .collect();
        assert!(vectors.len() >= 9);
        vectors
    }

    #[test]
    fn every_rpc_vector_gives_its_string_and_signature() {
        for vector in vectors("RPC-V1/HMAC-SHA1") {
            let mut params: Vec<_> = vector.input.params.into_iter().rev().collect();
            params.push(("Signature".to_owned(), "is left out".to_owned()));
            let string = rpc_string_to_sign(&vector.input.http_method, &params);
            assert_eq!(string, vector.string_to_sign, "{}", vector.id);
            let signature = rpc_signature(&vector.input.access_key_secret, &string);
            assert_eq!(signature, vector.signature, "{}", vector.id);
        }
    }

    #[test]
    fn every_acs3_vector_gives_its_string_and_signature() {
        for vector in vectors(ACS3) {
            let header = vector.authorization.unwrap();
            let authorization = Authorization::parse(&header).unwrap();
            assert_eq!(
                Some(authorization.credential),
                vector.input.access_key_id.as_deref()
            );
            let headers: Vec<_> = authorization
                .signed_headers
                .iter()
                .map(|name| (*name, vector.input.header(name)))
                .collect();
            let query: Vec<_> = vector.input.query.into_iter().rev().collect();
            let canonical = acs3_canonical_request(
                &vector.input.http_method,
                "/",
                &query,
                &headers,
                vector.input.body.as_bytes(),
            );
            assert_eq!(
                Some(&canonical),
                vector.canonical_request.as_ref(),
                "{}",
                vector.id
            );
            let string = acs3_string_to_sign(&canonical);
            assert_eq!(string, vector.string_to_sign, "{}", vector.id);
            let signature = acs3_signature(&vector.input.access_key_secret, &string);
            assert_eq!(signature, vector.signature, "{}", vector.id);
            assert_eq!(signature, authorization.signature);
        }
    }

    #[test]
    fn incomplete_authorization_is_not_read() {
        for header in [
            "",
            "ACS3-HMAC-SHA256",
            "ACS3-HMAC-SHA256 Credential=a,Signature=b",
            "Bearer x",
        ] {
            assert_eq!(Authorization::parse(header), None, "{header}");
        }
    }
}
