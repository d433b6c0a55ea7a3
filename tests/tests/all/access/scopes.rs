//! Tokens, their scopes and the providers that they show.

use ota_tests::token::{self, SECRET, claims, claims_with, minted, signed, signed_512, unsigned};
use ota_tests::{Gateway, contract, wire};
use serde_json::{Value, json};

use crate::setup::{ALI, HUA, World, with_required};

/// Every operation that the gateway itself says it has, with its path filled in.
async fn operations(world: &World) -> Vec<(String, String)> {
    let document = world.gateway.ask("GET", "/openapi.json").anonymous();
    let document = document.send().await.ok();
    let operations = contract::operations(&document);
    assert!(operations.len() >= 7, "{operations:?}");
    operations
        .into_iter()
        .map(|(method, path, _)| {
            let path = path
                .replace("{provider}", ALI)
                .replace("{job_id}", &world.job(ALI));
            // Whatever parameter comes later.
            let parts = path.split('/').map(|part| match part.starts_with('{') {
                true => "x",
                false => part,
            });
            (method, parts.collect::<Vec<_>>().join("/"))
        })
        .collect()
}

/// Tokens that no one may get in with.
fn refused() -> Vec<(&'static str, String)> {
    let with = |changes: Value| signed(SECRET, &claims_with(changes));
    let good = signed(SECRET, &claims());
    let (front, signature) = good.rsplit_once('.').unwrap();
    let other = signed(SECRET, &claims_with(json!({"sub": "someone else"})));
    vec![
        ("garbage", "garbage".to_owned()),
        ("dots", "a.b.c".to_owned()),
        ("three empty parts", "..".to_owned()),
        ("very long", "x".repeat(20_000)),
        ("expired", with(json!({"exp": token::now() - 120}))),
        ("not valid yet", with(json!({"nbf": token::now() + 600}))),
        ("no exp", with(json!({"exp": null}))),
        ("exp is text", with(json!({"exp": "never"}))),
        ("wrong issuer", with(json!({"iss": "https://evil.example"}))),
        ("no issuer", with(json!({"iss": null}))),
        ("wrong audience", with(json!({"aud": "another-gateway"}))),
        ("no audience", with(json!({"aud": null}))),
        ("alg none", unsigned(&claims())),
        ("no signature", format!("{front}.")),
        ("signature of another token", {
            let (_, theirs) = other.rsplit_once('.').unwrap();
            format!("{front}.{theirs}")
        }),
        ("claims of another token", {
            let (theirs, _) = other.rsplit_once('.').unwrap();
            format!("{theirs}.{signature}")
        }),
        (
            "wrong secret",
            signed("another-secret-another-secret-0123456789", &claims()),
        ),
        ("another algorithm", signed_512(SECRET, &claims())),
    ]
}

#[tokio::test]
async fn no_operation_of_the_served_document_answers_without_a_good_token() {
    let world = World::small().await;
    for (method, path) in operations(&world).await {
        let ask = || world.gateway.ask(&method, &path);
        let check = |what: &str, reply: wire::Reply| {
            let problem = reply.problem(401, "unauthenticated");
            let challenge = reply.must("www-authenticate");
            assert!(
                challenge.starts_with("Bearer"),
                "{what} {method} {path}: {challenge}"
            );
            assert!(problem.get("provider").is_none(), "{problem}");
        };
        check("no token", ask().anonymous().send().await);
        for (what, token) in refused() {
            check(what, ask().token(&token).send().await);
        }
        let good = minted("ota:read ota:admin", None);
        for header in [
            "Basic dXNlcjpwYXNz".to_owned(),
            "Bearer".to_owned(),
            "Bearer ".to_owned(),
            good.clone(),
            format!("Token {good}"),
            format!("Bearer {good} {good}"),
            format!("Bearer {good}, Bearer {good}"),
        ] {
            let reply = ask().anonymous().header("Authorization", &header);
            check(&header, reply.send().await);
        }
        let twice = ask().header("Authorization", &format!("Bearer {good}"));
        check("token twice", twice.send().await);
        let in_query = format!("{path}?access_token={good}");
        let in_query = world.gateway.ask(&method, &in_query).anonymous();
        check("token in the query", in_query.send().await);
    }
    assert_eq!(world.alibaba.counters().total_calls(), 0);
    assert_eq!(world.huawei.counters().total_calls(), 0);
}

#[tokio::test]
async fn no_operation_of_the_served_document_answers_without_its_scope() {
    let world = World::small().await;
    for (method, path) in operations(&world).await {
        for scope in [
            "",
            "ota:write",
            "ota:reader",
            "ota:read:x",
            "OTA:READ OTA:ADMIN",
            "read",
        ] {
            let ask = world.gateway.ask(&method, &path);
            let reply = ask.token(&minted(scope, None)).send().await;
            reply.problem(403, "forbidden");
            let challenge = reply.must("www-authenticate");
            assert!(challenge.contains("insufficient_scope"), "{challenge}");
        }
    }
    let no_scope = signed(SECRET, &claims_with(json!({"scope": null})));
    let reply = world.gateway.ask("GET", "/v1/providers").token(&no_scope);
    reply.send().await.problem(403, "forbidden");
    assert_eq!(world.alibaba.counters().total_calls(), 0);
}

#[tokio::test]
async fn the_documented_scope_of_an_operation_is_the_one_that_opens_it() {
    let world = World::mirrored().await;
    for (method, path, operation) in contract::operations(contract::document()) {
        let path = path
            .replace("{provider}", ALI)
            .replace("{job_id}", &world.job(ALI));
        let path = with_required(path, &operation);
        let scope = operation["security"][0]["bearer"][0].as_str().unwrap();
        let other = if scope == "ota:read" {
            "ota:admin"
        } else {
            "ota:read"
        };
        let ask = |scope: &str| {
            world
                .gateway
                .ask(&method, &path)
                .token(&minted(scope, None))
        };
        let reply = ask(scope).send().await;
        assert!((200..300).contains(&reply.status), "{}", reply.shown());
        ask(other).send().await.problem(403, "forbidden");
    }
}

#[tokio::test]
async fn a_token_may_differ_where_the_rules_allow_it() {
    let world = World::small().await;
    let accepted = |token: String| {
        let ask = world.gateway.ask("GET", "/v1/providers").token(&token);
        async move { ask.send().await.ok() }
    };
    let with = |changes: Value| signed(SECRET, &claims_with(changes));
    accepted(with(json!({"exp": token::now() - 20}))).await;
    accepted(with(json!({"nbf": token::now() + 20}))).await;
    accepted(with(json!({"aud": ["someone", token::AUDIENCE]}))).await;
    accepted(with(json!({"exp": token::now() as f64 + 60.5}))).await;
    accepted(with(
        json!({"sub": null, "scope": "openid ota:read email", "more": {"a": 1}}),
    ))
    .await;
    let good = minted("ota:read", None);
    let reply = world.gateway.ask("GET", "/v1/providers").anonymous();
    let reply = reply.header("authorization", &format!("bEARER {good}"));
    reply.send().await.ok();
}

#[tokio::test]
async fn a_token_for_some_providers_sees_no_others() {
    let world = World::small().await;
    let names = [HUA.to_owned(), "not-configured".to_owned()];
    let token = minted("ota:read ota:admin", Some(&names));
    let ask = |method: &str, path: &str| world.gateway.ask(method, path).token(&token);
    let list = ask("GET", "/v1/providers").send().await.ok();
    let seen: Vec<_> = list["items"].as_array().unwrap().iter().collect();
    assert_eq!(seen.len(), 1);
    assert_eq!(seen[0]["name"], HUA);
    for (method, path) in operations(&world).await {
        if !path.contains(&format!("/{ALI}")) {
            // It names no provider, so no provider can be hidden in its path; `routes/fleet/access.rs` holds what questions about all providers hide.
            continue;
        }
        let hidden = ask(&method, &path).send().await.problem(404, "not_found");
        let unknown = path.replace(&format!("/{ALI}"), "/no-such-provider");
        let unknown = ask(&method, &unknown)
            .send()
            .await
            .problem(404, "not_found");
        // One that is hidden cannot be distinguished from one that is not there.
        assert_eq!(hidden["detail"], unknown["detail"]);
        assert_eq!(hidden["field"], unknown["field"]);
    }
    assert_eq!(world.alibaba.counters().total_calls(), 0);
    ask("GET", &World::jobs_path(HUA)).send().await.ok();

    let nobody = minted("ota:read", Some(&[]));
    let list = world.gateway.ask("GET", "/v1/providers").token(&nobody);
    assert_eq!(list.send().await.ok()["items"], json!([]));
}

#[tokio::test]
async fn a_cursor_opens_nothing_to_a_token_that_does_not_see_the_provider() {
    let world = World::small().await;
    let first = format!("{}?page_size=1", World::jobs_path(ALI));
    let first = world.gateway.get(&first).await.ok();
    let cursor = first["next_cursor"].as_str().unwrap();
    let path = format!("{}?page_size=1&cursor={cursor}", World::jobs_path(ALI));
    let token = minted("ota:read", Some(&[HUA.to_owned()]));
    let reply = world.gateway.ask("GET", &path).token(&token).send().await;
    reply.problem(404, "not_found");
}

#[tokio::test]
async fn two_gateways_with_different_secrets_do_not_take_each_others_tokens() {
    let text =
        ota_tests::gateway::head().replace(SECRET, "quite-another-secret-of-enough-bytes-000");
    let other = Gateway::with_file(&text).await;
    let reply = other.get("/v1/providers").await;
    reply.problem(401, "unauthenticated");
}
