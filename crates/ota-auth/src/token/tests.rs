use super::{Claims, Rules, TokenError, Verifier};
use crate::source::{KeySource, Keys};
use crate::{Algorithms, ClaimNames, TokenIssuer};
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
    TokenIssuer {
        secret,
        issuer: Some("https://id"),
        audience: Some("ota-gateway"),
        subject: "dashboard",
        scope: "ota:read",
        providers: None,
        ttl_s: 600,
        names: &ClaimNames::default(),
    }
    .token(NOW)
    .unwrap()
}

/// The rules of a configuration that says nothing of claims.
fn rules() -> Rules {
    Rules {
        audiences: vec!["ota-gateway".to_owned()],
        max_token_bytes: 32_768,
        ..Rules::default()
    }
}

fn with(source: KeySource, rules: Rules) -> Verifier {
    let keys = Keys::new(source, Algorithms::default()).unwrap();
    Verifier::new(Arc::new(keys), rules)
}

fn with_rules(issuer: Option<&str>, requires_audience: bool) -> Verifier {
    let source = KeySource::Secret(Arc::new(SecretSource::value(secret())));
    let rules = Rules {
        issuers: issuer.map(str::to_owned).into_iter().collect(),
        requires_audience,
        ..rules()
    };
    with(source, rules)
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
        TokenIssuer {
            secret: &secret,
            issuer,
            audience,
            subject: "s",
            scope: "",
            providers: None,
            ttl_s: 60,
            names: &ClaimNames::default(),
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

fn signed(claims: &serde_json::Value) -> String {
    use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
    let secret = secret();
    let key = EncodingKey::from_secret(secret.expose_secret().as_bytes());
    encode(&Header::new(Algorithm::HS256), claims, &key).unwrap()
}

fn with_names(names: ClaimNames) -> Verifier {
    let source = KeySource::Secret(Arc::new(SecretSource::value(secret())));
    with(source, Rules { names, ..rules() })
}

#[test]
fn a_claim_is_found_by_its_whole_name_and_by_its_path() {
    let end = NOW.unix_timestamp() + 60;
    let read = |name: &str, claims: serde_json::Value| {
        let names = ClaimNames {
            scopes: vec![name.to_owned()],
            ..ClaimNames::default()
        };
        let mut all = claims;
        all["exp"] = json!(end);
        let claims = with_names(names).verify(&signed(&all), NOW).unwrap();
        claims.scopes == ["ota:read"]
    };
    let roles = json!(["ota:read"]);
    assert!(read("a.b", json!({"a": {"b": roles}})));
    assert!(read("a.b", json!({"a.b": roles})));
    assert!(read("a.b.c", json!({"a": {"b.c": roles}})));
    assert!(read("a.b.c", json!({"a.b": {"c": roles}})));
    assert!(read("a.b.c", json!({"a": {"x": 1}, "a.b": {"c": roles}})));
    assert!(read("https://x.y/r", json!({"https://x.y/r": roles})));
    assert!(read("a", json!({"a": "openid  ota:read"})));
    // A name in a list is one name, whatever is in it.
    assert!(!read("a", json!({"a": ["x ota:read"]})));
    assert!(!read("a", json!({"a": null})) && !read("a.b", json!({"a": null})));
    assert!(!read("a.b", json!({"b": roles})) && !read("b", json!({"a": {"b": roles}})));
}

#[test]
fn a_token_of_the_program_is_read_by_the_names_of_its_configuration() {
    for (scope, providers) in [
        ("permissions", "https://x.y/p"),
        ("realm_access.roles", "a.b.c"),
    ] {
        let names = ClaimNames {
            scopes: vec![scope.to_owned(), "scope".to_owned()],
            providers: providers.to_owned(),
            audience: "client_id".to_owned(),
        };
        let secret = secret();
        let only = ["ali".to_owned()];
        let mint = TokenIssuer {
            secret: &secret,
            issuer: None,
            audience: Some("ota-gateway"),
            subject: "s",
            scope: "ota:read ota:admin",
            providers: Some(&only),
            ttl_s: 60,
            names: &names,
        };
        let claims = with_names(names.clone())
            .verify(&mint.token(NOW).unwrap(), NOW)
            .unwrap();
        assert_eq!(claims.scopes, ["ota:read", "ota:admin"]);
        assert_eq!(claims.providers.as_deref(), Some(&only[..]));
    }
}

#[test]
fn a_long_token_is_remembered_by_its_hash_and_by_nothing_else() {
    let verifier = with_rules(None, false);
    let claims = json!({"exp": NOW.unix_timestamp() + 60, "groups": ["x".repeat(4000)]});
    let token = signed(&claims);
    let first = verifier.caller(&token, NOW).unwrap();
    let again = verifier.caller(&token, NOW).unwrap();
    assert!(Arc::ptr_eq(&first, &again));
    let hash = super::known_as(&token).into_owned();
    assert!(hash.len() < 100 && verifier.caller(&hash, NOW).is_err());
    assert!(verifier.caller(&hash[1..], NOW).is_err());
}

proptest::proptest! {
    #[test]
    fn no_token_ends_the_program(
        parts in proptest::collection::vec("\\PC{0,40}", 0..6),
        claims in "[\\[\\]{}:,\"a-z0-9.]{0,60}",
    ) {
        let verifier = verifier();
        let encode = |text: &str| URL_SAFE_NO_PAD.encode(text);
        let _ = verifier.caller(&parts.join("."), NOW);
        let _ = verifier.caller(&parts.iter().map(|part| encode(part)).collect::<Vec<_>>().join("."), NOW);
        let value = serde_json::from_str(&claims).unwrap_or(json!({"exp": claims}));
        if value.is_object() {
            let _ = verifier.caller(&signed(&value), NOW);
        }
        let _ = super::too_long(&format!("a.{}.c", encode(&claims)), 10);
    }
}
