//! Settings of tokens and keys.

use super::{SECRET, load};

#[test]
fn issuers_and_audiences_are_a_text_or_a_list() {
    let auth = |lines: &str, variables: &[(&str, &str)]| {
        let text = format!("[auth]\nhs256_secret = \"{SECRET}\"\n{lines}");
        load(&text, variables).map(|config| config.auth.rules)
    };
    let rules = auth("issuer = \"a\"\naudience = [\"b\", \"c\"]", &[]).unwrap();
    assert_eq!(
        (rules.issuers, rules.audiences),
        (vec!["a".to_owned()], vec!["b".to_owned(), "c".to_owned()])
    );
    let variables = [
        ("OTA_GATEWAY__AUTH__ISSUER", "a, b"),
        ("OTA_GATEWAY__AUTH__SCOPE_CLAIMS", "roles,scp"),
        (
            "OTA_GATEWAY__AUTH__SCOPE_MAP",
            "Viewer=ota:read, Boss=ota:read ota:admin",
        ),
        ("OTA_GATEWAY__AUTH__REQUIRE_PROVIDERS_CLAIM", "true"),
    ];
    let rules = auth("", &variables).unwrap();
    assert_eq!(rules.issuers, ["a", "b"]);
    assert_eq!(rules.names.scopes, ["roles", "scp"]);
    assert_eq!(rules.scope_map["Viewer"], ["ota:read"]);
    assert_eq!(rules.scope_map["Boss"], ["ota:read", "ota:admin"]);
    assert!(rules.requires_providers);
    for (lines, words) in [
        ("issuer = []", &["auth.issuer", "is empty"][..]),
        ("audience = [\"a\", \" \"]", &["auth.audience", "is empty"]),
        (
            "issuer = 5",
            &["auth.issuer", "expected a text or a list of texts"],
        ),
        ("scope_claims = [\"\"]", &["auth.scope_claims", "is empty"]),
        (
            "providers_claim = \"\"",
            &["auth.providers_claim", "is empty"],
        ),
        (
            "audience_claim = \"client_id\"",
            &["auth.audience_claim", "`audience`"],
        ),
        (
            "scope_map = { viewer = \"ota:reader\" }",
            &["auth.scope_map.viewer", "did you mean `ota:read`?"],
        ),
        (
            "scope_map = { viewer = [] }",
            &["auth.scope_map.viewer", "is empty"],
        ),
        (
            "max_token_bytes = 100",
            &["auth.max_token_bytes", "from 1024"],
        ),
        (
            "max_token_bytes = 65537",
            &["auth.max_token_bytes", "65536", "server.max_header_bytes"],
        ),
        (
            "jwks_allow_http = true",
            &["auth.jwks_allow_http", "only beside `jwks_url`"],
        ),
    ] {
        let error = auth(lines, &[]).unwrap_err().to_string();
        assert!(
            words.iter().all(|word| error.contains(word)),
            "{lines}: {error}"
        );
    }
}

#[test]
fn the_longest_token_fits_into_the_largest_head() {
    let most = |head: u32| {
        let text =
            format!("[server]\nmax_header_bytes = {head}\n[auth]\nhs256_secret = \"{SECRET}\"");
        load(&text, &[]).unwrap().auth.rules.max_token_bytes
    };
    assert_eq!(most(65_536), 32_768);
    assert_eq!(most(16_384), 16_384);
}

#[test]
fn a_key_set_over_http_is_taken_when_asked_for_and_warned_about() {
    let text = "[auth]\njwks_url = \"http://keycloak:8080/certs?token=hunter2\"";
    let error = load(text, &[]).unwrap_err().to_string();
    assert!(error.contains("`jwks_allow_http = true`"), "{error}");
    let config = load(&format!("{text}\njwks_allow_http = true"), &[]).unwrap();
    let [warning] = config.auth.warnings.as_slice() else {
        panic!("{:?}", config.auth.warnings);
    };
    assert!(
        warning.contains("over http") && !warning.contains("hunter2"),
        "{warning}"
    );
    let safe = text.replace("http://keycloak:8080", "https://id.example.com");
    let config = load(&format!("{safe}\njwks_allow_http = true"), &[]).unwrap();
    assert!(config.auth.warnings.is_empty());
}
