//! Tokens in the forms of identity providers, made with PyJWT (`tests/fixtures/jwt/issuers`), on the clock that they were made for.

use std::sync::Arc;

use ota_core::clock::{Clock, ManualClock};
use ota_tests::token::{SECRET, claims_with, signed};
use ota_tests::{Gateway, Section};
use serde_json::{Value, json};
use time::macros::datetime;

use crate::access::keys::FIXTURES;
use crate::program::logs_and_traces::Running;
use crate::setup::{ALI, HUA, World};

/// Ten minutes after the tokens were issued.
pub(crate) fn clock() -> Arc<dyn Clock> {
    Arc::new(ManualClock::new(datetime!(2026-11-27 12:10 UTC)))
}

struct Issuer {
    tokens: Value,
    gateway: Gateway,
}

impl Issuer {
    /// Starts a gateway that takes the tokens of a provider by these lines of `[auth]`.
    async fn new(name: &str, lines: &str) -> Self {
        let path = format!("{FIXTURES}/issuers/{name}.json");
        let fixture: Value =
            serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
        let mut text = format!(
            "[server]\nlisten = \"127.0.0.1:0\"\n[auth]\njwks_file = \"{path}\"\n{lines}\n[metrics]\nenabled = false\n"
        );
        for section in [
            Section::alibaba("ali", "http://127.0.0.1:1"),
            Section::huawei("hua", "http://127.0.0.1:1"),
        ] {
            text.push_str(&section.to_toml());
        }
        Self {
            tokens: fixture["tokens"].clone(),
            gateway: Gateway::on_clock(&text, clock()).await,
        }
    }

    fn token(&self, name: &str) -> &str {
        self.tokens[name].as_str().unwrap()
    }

    /// The providers that a token sees; none when it may not read.
    async fn sees(&self, name: &str) -> Option<Vec<String>> {
        let ask = self.gateway.ask("GET", "/v1/providers");
        let reply = ask.token(self.token(name)).send().await;
        if reply.status == 403 {
            return None;
        }
        let items = reply.ok()["items"].as_array().unwrap().clone();
        let names = items
            .iter()
            .map(|item| item["name"].as_str().unwrap().to_owned());
        Some(names.collect())
    }

    async fn is_admin(&self, name: &str) -> bool {
        let ask = self.gateway.ask("POST", "/v1/providers/none/check");
        let reply = ask.token(self.token(name)).send().await;
        match reply.status {
            404 => true,
            403 => false,
            other => panic!("{other}"),
        }
    }

    /// The detail of a refused token's problem.
    async fn detail(&self, name: &str) -> String {
        let ask = self.gateway.ask("GET", "/v1/providers");
        let reply = ask.token(self.token(name)).send().await;
        let problem = reply.problem(401, "unauthenticated");
        problem["detail"].as_str().unwrap().to_owned()
    }
}

#[tokio::test]
async fn keycloak_realm_and_client_roles_in_objects() {
    let issuer = Issuer::new(
        "keycloak",
        r#"issuer = "https://keycloak.example.com/realms/fleet"
audience = "ota-gateway"
scope_claims = ["scope", "realm_access.roles", "resource_access.ota.gateway.roles"]
scope_map = { "fleet-viewer" = "ota:read" }
providers_claim = "ota.providers"
require_providers_claim = true"#,
    )
    .await;
    for name in ["access", "exp as text"] {
        assert_eq!(issuer.sees(name).await, Some(vec!["ali".to_owned()]));
        assert!(issuer.is_admin(name).await);
    }
    let detail = issuer.detail("without audience mapper").await;
    assert!(
        detail.contains("`aud`") && !detail.contains("account"),
        "{detail}"
    );
    let detail = issuer.detail("roles of a wrong type").await;
    assert!(
        detail.contains("`realm_access`") && detail.contains("a list, expected an object"),
        "{detail}"
    );
}

#[tokio::test]
async fn entra_id_of_both_versions() {
    let tenant = "7f0f9c1e-55a4-4f2c-9a0e-1b2c3d4e5f60";
    let api = "11111111-2222-4333-8444-555555555555";
    let issuers = format!(
        "issuer = [\"https://login.microsoftonline.com/{tenant}/v2.0\", \"https://sts.windows.net/{tenant}/\"]"
    );
    let lines = format!(
        "{issuers}\naudience = [\"{api}\", \"api://{api}\"]\nscope_claims = [\"scp\", \"roles\"]\nscope_map = {{ \"Ota.Admin\" = [\"ota:read\", \"ota:admin\"] }}"
    );
    let issuer = Issuer::new("entra", &lines).await;
    let both = Some(vec!["ali".to_owned(), "hua".to_owned()]);
    for (name, admin) in [
        ("v2 user", false),
        ("v1 user", false),
        ("v2 application", true),
    ] {
        assert_eq!(issuer.sees(name).await, both, "{name}");
        assert_eq!(issuer.is_admin(name).await, admin, "{name}");
    }
    // One audience only, so tokens of the other version are for others.
    let one = lines.replace(
        &format!("[\"{api}\", \"api://{api}\"]"),
        &format!("\"{api}\""),
    );
    let issuer = Issuer::new("entra", &one).await;
    assert_eq!(issuer.sees("v2 user").await, both);
    assert!(issuer.detail("v1 user").await.contains("`aud`"));
}

#[tokio::test]
async fn auth0_permissions_and_claims_whose_names_are_urls() {
    let lines = r#"issuer = "https://fleet.eu.auth0.com/"
audience = "https://ota.example.com/api"
scope_claims = ["permissions", "https://ota.example.com/roles"]
scope_map = { viewer = "ota:read" }
providers_claim = "https://ota.example.com/providers""#;
    let issuer = Issuer::new("auth0", lines).await;
    assert_eq!(issuer.sees("permissions").await.unwrap().len(), 2);
    assert!(issuer.is_admin("permissions").await);
    let name = "claims of an action";
    assert_eq!(issuer.sees(name).await, Some(vec!["hua".to_owned()]));
    assert!(!issuer.is_admin(name).await);
    let detail = issuer.detail("permissions of a wrong type").await;
    assert!(
        detail.contains("`permissions`") && detail.contains("an object, expected a text or a list"),
        "{detail}"
    );
}

#[tokio::test]
async fn okta_scopes_in_a_list() {
    let lines =
        "issuer = \"https://fleet.okta.com/oauth2/aus9o8wvkhockw9TL0h7\"\naudience = \"api://ota\"";
    let issuer = Issuer::new("okta", lines).await;
    assert_eq!(issuer.sees("access").await.unwrap().len(), 2);
    assert!(!issuer.is_admin("access").await);
}

#[tokio::test]
async fn cognito_without_aud() {
    let lines = r#"issuer = "https://cognito-idp.eu-central-1.amazonaws.com/eu-central-1_Example01"
audience = "1example23456789exampleclien"
audience_claim = "client_id"
scope_claims = ["scope", "cognito:groups"]
scope_map = { "ota/read" = "ota:read", "fleet-viewers" = "ota:admin" }"#;
    let issuer = Issuer::new("cognito", lines).await;
    assert_eq!(issuer.sees("access").await.unwrap().len(), 2);
    assert!(issuer.is_admin("access").await);
    issuer.detail("of another client").await;
    // A token that names its audience is held to it (RFC 7519, section 4.1.3).
    assert!(
        issuer
            .detail("bound to another resource")
            .await
            .contains("`aud`")
    );
    let without = lines.replace("audience_claim = \"client_id\"\n", "");
    let issuer = Issuer::new("cognito", &without).await;
    assert!(
        issuer
            .detail("access")
            .await
            .contains("lacks the claim `aud`")
    );
}

#[tokio::test]
async fn the_log_and_not_the_answer_says_which_issuer_or_audience_came() {
    let running = Running::start(&ota_tests::gateway::keeping_head()).await;
    let forged = "https://evil.example/\n2026-01-01T00:00:00Z  INFO forged";
    for (claims, came) in [
        (json!({"iss": forged}), "`iss` is \"https://evil.example/"),
        (json!({"aud": ["one", "two"]}), "`aud` is [\"one\",\"two\"]"),
    ] {
        let token = signed(SECRET, &claims_with(claims));
        let more = [("X-Request-Id", "find-me")];
        let reply = running.ask("GET", "/v1/providers", &token, &more).await;
        let problem = reply.problem(401, "unauthenticated").to_string();
        assert!(
            !problem.contains("evil") && !problem.contains("two"),
            "{problem}"
        );
        let line = running.line(|line| line.contains(came)).await;
        assert!(line.contains("find-me") && line.contains("INFO"), "{line}");
    }
    let log = running.end().await;
    assert!(
        !log.lines().any(|line| line.starts_with("2026-01-01")),
        "{log}"
    );
}

#[tokio::test]
async fn a_claim_that_is_nearly_the_one_of_providers_is_warned_about_or_refused() {
    let text = ota_tests::gateway::keeping_head();
    let running = Running::start(&text).await;
    let with = |claims: Value| signed(SECRET, &claims_with(claims));
    // A broker's claim has the word in it and another meaning.
    let other = with(json!({"identity_provider": "google", "sub": "quiet"}));
    running.ask("GET", "/v1/providers", &other, &[]).await.ok();
    let near = with(json!({"provider": ["ali"], "sub": "near"}));
    for _ in 0..3 {
        running.ask("GET", "/v1/providers", &near, &[]).await.ok();
    }
    let warned =
        |line: &str| line.contains("WARN") && line.contains("the claim `provider` and not");
    let line = running.line(warned).await;
    assert!(
        line.contains("caller=\"near\"") && line.contains("require_providers_claim"),
        "{line}"
    );
    let log = running.end().await;
    assert_eq!(log.lines().filter(|line| warned(line)).count(), 1, "{log}");

    let text = text.replace("[auth]\n", "[auth]\nrequire_providers_claim = true\n");
    let gateway = Gateway::with_file(&text).await;
    let reply = gateway
        .ask("GET", "/v1/providers")
        .token(&near)
        .send()
        .await;
    let problem = reply.problem(401, "unauthenticated");
    let detail = problem["detail"].as_str().unwrap();
    assert!(
        detail.contains("lacks the claim `providers`") && detail.contains("`provider`"),
        "{detail}"
    );
    let good = with(json!({"providers": "ali hua"}));
    gateway
        .ask("GET", "/v1/providers")
        .token(&good)
        .send()
        .await
        .ok();
}

#[tokio::test]
async fn a_claim_of_the_wrong_type_is_named() {
    let world = World::small().await;
    for (claims, name, kind) in [
        (json!({"scope": 5}), "scope", "a number"),
        (json!({"scp": {"a": 1}}), "scp", "an object"),
        (
            json!({"scp": ["ota:read", 5]}),
            "scp",
            "a list of other things",
        ),
        (json!({"exp": "soon"}), "exp", "a text"),
        (json!({"exp": "NaN"}), "exp", "a text"),
        (json!({"exp": true}), "exp", "true or false"),
        (json!({"nbf": [1]}), "nbf", "a list"),
        (json!({"sub": 5}), "sub", "a number"),
        (json!({"iss": ["https://id.e2e.example"]}), "iss", "a list"),
        (json!({"aud": 5}), "aud", "a number"),
        (json!({"providers": 5}), "providers", "a number"),
        (
            json!({"providers": [null]}),
            "providers",
            "a list of other things",
        ),
    ] {
        let token = signed(SECRET, &claims_with(claims));
        let ask = world.gateway.ask("GET", "/v1/providers").token(&token);
        let problem = ask.send().await.problem(401, "unauthenticated");
        let detail = problem["detail"].as_str().unwrap();
        let words = format!("claim `{name}` has the wrong type: {kind}");
        assert!(detail.contains(&words), "{detail}");
    }
    // What identity providers write, and RFC 7519 or OAuth allow.
    let end = ota_tests::token::now() + 600;
    for claims in [
        json!({"scope": ["ota:read"]}),
        json!({"scope": "", "scp": "openid ota:read"}),
        json!({"exp": end.to_string(), "nbf": " 0 ", "iat": "0"}),
        json!({"exp": format!("{end}.5")}),
        json!({"providers": format!("{ALI} {HUA}")}),
    ] {
        let token = signed(SECRET, &claims_with(claims));
        let ask = world.gateway.ask("GET", "/v1/providers").token(&token);
        ask.send().await.ok();
    }
    let encrypted = world.gateway.ask("GET", "/v1/providers").token("a.b.c.d.e");
    let problem = encrypted.send().await.problem(401, "unauthenticated");
    assert!(
        problem["detail"].as_str().unwrap().contains("encrypted"),
        "{problem}"
    );
}

#[tokio::test]
async fn a_token_of_many_groups_is_taken_and_one_of_too_many_says_so() {
    let world = World::small().await;
    let with = |groups: usize| {
        let groups: Vec<String> = (0..groups)
            .map(|number| format!("{number:08x}-0000-4000-8000-000000000000"))
            .collect();
        signed(SECRET, &claims_with(json!({"groups": groups})))
    };
    for groups in [157, 200, 320, 580] {
        let token = with(groups);
        assert!(token.len() > groups * 50, "{}", token.len());
        for _ in 0..2 {
            let ask = world.gateway.ask("GET", "/v1/providers").token(&token);
            ask.send().await.ok();
        }
    }
    let token = with(700);
    let ask = world.gateway.ask("GET", "/v1/providers").token(&token);
    let problem = ask.send().await.problem(401, "unauthenticated");
    let detail = problem["detail"].as_str().unwrap();
    for words in [&format!("{} bytes", token.len()), "32768", "`groups` ("] {
        assert!(detail.contains(words), "{detail}");
    }
    let text = ota_tests::gateway::head().replace("[auth]\n", "[auth]\nmax_token_bytes = 40000\n");
    let gateway = Gateway::with_file(&text).await;
    gateway
        .ask("GET", "/v1/providers")
        .token(&token)
        .send()
        .await
        .ok();
}
