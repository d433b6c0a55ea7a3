//! Key sets as servers write them: odd entries, keys of one identifier, weak keys, and a server that hangs.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ota_tests::script::Answer;
use ota_tests::token::{self, claims};
use ota_tests::{Gateway, wire};
use serde_json::{Value, json};

use crate::access::keys::{FIXTURES, KeyServer, Signer, head, set, status};
use crate::program::logs_and_traces::Running;

/// The keys and tokens of PyJWT, by algorithm.
fn fixture() -> Value {
    let text = std::fs::read_to_string(format!("{FIXTURES}/issuers/algorithms.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

/// An RSA key that names no algorithm, and a token that it has signed.
pub(crate) fn plain() -> (Value, String) {
    let fixture = fixture();
    let keys = fixture["keys"].as_array().unwrap();
    let key = keys.iter().find(|key| key["kid"] == "plain").unwrap();
    let token = fixture["tokens"]["plain RS256"].as_str().unwrap();
    (key.clone(), token.to_owned())
}

/// A key set whose one key, an RSA key with the exponent 1, takes every text for a signature.
pub(crate) fn weak(id: &str) -> String {
    let (mut key, _) = plain();
    key["kid"] = json!(id);
    key["e"] = json!("AQ");
    json!({"keys": [key]}).to_string()
}

/// Writes keys into a file and returns the folder and the line that names it.
fn file(keys: &[Value]) -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("jwks.json");
    std::fs::write(&path, json!({"keys": keys}).to_string()).unwrap();
    let line = format!("jwks_file = \"{}\"", path.display());
    (folder, line)
}

/// A gateway on the clock of the fixtures.
async fn gateway(line: &str) -> Gateway {
    Gateway::on_clock(&head(line), crate::access::issuers::clock()).await
}

#[tokio::test]
async fn numbers_are_read_with_leading_zeros_and_in_plain_base64() {
    let (key, token) = plain();
    let n = URL_SAFE_NO_PAD.decode(key["n"].as_str().unwrap()).unwrap();
    let with = |n: String, e: &str| {
        let mut key = key.clone();
        key["n"] = json!(n);
        key["e"] = json!(e);
        key
    };
    let zero = [&[0], &n[..]].concat();
    for key in [
        with(URL_SAFE_NO_PAD.encode(&zero), "AQAB"),
        with(URL_SAFE_NO_PAD.encode(&zero), "AAEAAQ"),
        with(STANDARD.encode(&n), "AQAB"),
        with(STANDARD.encode(&zero), "AAEAAQ=="),
    ] {
        let (_folder, line) = file(std::slice::from_ref(&key));
        let gateway = gateway(&line).await;
        assert_eq!(status(&gateway, &token).await, 200, "{key}");
    }
}

#[tokio::test]
async fn keys_of_one_identifier_are_told_by_algorithm_and_else_tried_in_turn() {
    // RSA under six algorithms, P-384 and P-256, all of one `kid`; each twice.
    let fixture = fixture();
    let keys = fixture["keys"].as_array().unwrap();
    let (_folder, line) = file(&[&keys[..], &keys[..]].concat());
    let gateway = gateway(&line).await;
    for (name, token) in fixture["tokens"].as_object().unwrap() {
        let good = !name.starts_with("plain") || name == "plain RS256";
        let expected = if good { 200 } else { 401 };
        let token = token.as_str().unwrap();
        assert_eq!(status(&gateway, token).await, expected, "{name}");
        let (front, signature) = token.rsplit_once('.').unwrap();
        let forged = format!("{}A.{signature}", &front[..front.len() - 1]);
        assert_eq!(status(&gateway, &forged).await, 401, "{name}");
    }
    drop(gateway);

    // Two different keys of one type, algorithm and identifier.
    let (one, two, stranger) = (Signer::new("one"), Signer::new("one"), Signer::new("one"));
    let (_folder, line) = file(&[one.jwk(), two.jwk(), one.jwk()]);
    let gateway = Gateway::with_file(&head(&line)).await;
    assert_eq!(status(&gateway, &one.token(&claims())).await, 200);
    assert_eq!(status(&gateway, &two.token(&claims())).await, 200);
    assert_eq!(status(&gateway, &stranger.token(&claims())).await, 401);
}

#[tokio::test]
async fn a_key_without_algorithm_is_used_with_those_of_the_configuration() {
    let fixture = fixture();
    let path = format!("{FIXTURES}/issuers/algorithms.json");
    let token = |name: &str| fixture["tokens"][name].as_str().unwrap().to_owned();
    for (algorithm, good) in [
        ("\"PS256\"", &["plain PS256", "PS256"][..]),
        (
            "[\"RS384\", \"PS256\"]",
            &["plain RS384", "plain PS256", "RS384", "PS256"],
        ),
        ("\"ES384\"", &["ES384"]),
        ("[\"ES256\", \"RS512\"]", &["ES256", "RS512"]),
    ] {
        let line = format!("jwks_file = \"{path}\"\nalgorithm = {algorithm}");
        let gateway = gateway(&line).await;
        for name in fixture["tokens"].as_object().unwrap().keys() {
            let expected = if good.contains(&name.as_str()) {
                200
            } else {
                401
            };
            let got = status(&gateway, &token(name)).await;
            assert_eq!(got, expected, "{algorithm} {name}");
        }
    }
}

#[tokio::test]
async fn an_odd_entry_takes_no_other_with_it_and_is_named_in_the_log() {
    let good = Signer::new("good");
    let (rsa, _) = plain();
    let weak = |name: &str, member: &str, value: Value| {
        let mut key = rsa.clone();
        key["kid"] = json!(name);
        key[member] = value;
        key
    };
    let forged = "x\n2026-01-01T00:00:00.000000Z  INFO ota_gateway: forged";
    let mut many: Vec<Value> = (0..40)
        .map(|number| {
            let mut key = Signer::new("many").jwk();
            key["kid"] = json!(format!("many-{number}"));
            key
        })
        .collect();
    let mut keys = vec![
        good.jwk(),
        weak("exponent-1", "e", json!("AQ")),
        weak("even", "n", json!(URL_SAFE_NO_PAD.encode([0x80; 256]))),
        weak("not-base64", "n", json!("%%%")),
        weak("number", "n", json!(5)),
        weak("other-algorithm", "alg", json!("ES256")),
        weak("unknown-algorithm", "alg", json!("RS1")),
        weak("encrypts", "use", json!("enc")),
        json!({"kty": "EC", "crv": "P-521", "kid": forged, "x": "AA", "y": "AA"}),
        json!({"kty": "oct", "k": "c2VjcmV0", "kid": "shared"}),
        json!("text"),
        json!({"kty": "RSA", "kid": 5, "n": "AA", "e": "AQAB"}),
    ];
    keys.append(&mut many);
    let (_folder, line) = file(&keys);
    let running = Running::start(&head(&line)).await;
    let reply = running
        .ask("GET", "/v1/providers", &good.token(&claims()), &[])
        .await;
    reply.ok();
    for (name, reason, level) in [
        ("`exponent-1`", "its exponent is 1", "WARN"),
        ("`even`", "can be divided by 2", "WARN"),
        ("`not-base64`", "`n` is not in base64url", "WARN"),
        ("`number`", "`n` is not text", "WARN"),
        (
            "`other-algorithm`",
            "is ES256, and it is an RSA key",
            "WARN",
        ),
        ("`unknown-algorithm`", "`RS1` is not supported", "WARN"),
        ("`encrypts`", "`use` is `enc`", "INFO"),
        ("ota_gateway: forged", "`P-521` is not supported", "WARN"),
        ("`shared`", "a shared secret has no place", "WARN"),
        ("key 11", "not an object", "WARN"),
        ("key 12", "`kid` is not text", "WARN"),
        ("`many-39` (EdDSA)", "at most 32 are taken", "WARN"),
    ] {
        let line = running
            .line(|line| line.contains(name) && line.contains(reason))
            .await;
        assert!(line.contains(level), "{line}");
    }
    let log = running.end().await;
    let forged = |line: &&str| line.starts_with("2026-01-01");
    assert_eq!(log.lines().find(forged), None);
    assert!(!log.contains("`good`"), "{log}");
}

#[tokio::test]
async fn check_names_the_left_out_keys_and_a_set_over_http() {
    let good = Signer::new("good");
    let p521 = json!({"kty": "EC", "crv": "P-521", "kid": "p521", "x": "AA", "y": "AA"});
    let keys = json!({"keys": [good.jwk(), p521]}).to_string();
    let server = KeyServer::start(Answer::json(keys)).await;
    // Reached on this machine, but not by an address that is known to be of this machine.
    let line = server.line().replace("127.0.0.1", "0.0.0.0");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("gateway.toml");
    let check = async |line: &str| {
        std::fs::write(&path, head(line)).unwrap();
        let path = path.display().to_string();
        ota_tests::program::run(&["check", "--config", &path]).await
    };
    let output = check(&line).await;
    let text = ota_tests::program::stderr(&output);
    assert_eq!(output.status.code(), Some(78), "{text}");
    assert!(text.contains("jwks_allow_http = true"), "{text}");

    let allowed = format!("{line}\njwks_allow_http = true");
    let output = check(&allowed).await;
    let text = ota_tests::program::stderr(&output);
    assert!(text.contains("over http (auth.jwks_allow_http)"), "{text}");
    assert!(text.contains("`p521`: its curve `P-521`"), "{text}");
    let table = ota_tests::program::stdout(&output);
    assert!(table.contains("(tokens)  jwks_url  ok"), "{table}");

    let running = Running::start(&head(&allowed)).await;
    running
        .line(|line| line.contains("WARN") && line.contains("over http"))
        .await;
    running
        .line(|line| line.contains("keys for tokens have been read"))
        .await;
    let reply = running
        .ask("GET", "/v1/providers", &good.token(&claims()), &[])
        .await;
    reply.ok();
    running.end().await;
}

#[tokio::test]
async fn a_change_of_keys_is_in_the_log_with_what_came_and_went() {
    let (old, stays, new) = (Signer::new("old"), Signer::new("stays"), Signer::new("new"));
    let (folder, line) = file(&[old.jwk(), stays.jwk()]);
    let running = Running::start(&head(&line)).await;
    let path = folder.path().join("jwks.json");
    std::fs::write(&path, format!("{}\n", set(&[&stays, &new]))).unwrap();
    let line = running
        .line(|line| line.contains("keys for tokens have changed"))
        .await;
    assert!(line.contains("INFO"), "{line}");
    assert!(line.contains("keys.added=\"`new` (EdDSA)\""), "{line}");
    assert!(line.contains("keys.removed=\"`old` (EdDSA)\""), "{line}");
    running.end().await;

    let secret = folder.path().join("secret");
    std::fs::write(&secret, token::SECRET).unwrap();
    let line = format!("hs256_secret_file = \"{}\"", secret.display());
    let running = Running::start(&head(&line)).await;
    std::fs::write(&secret, "another-secret-another-secret-0123456789").unwrap();
    running
        .line(|line| line.contains("the HS256 secret has changed"))
        .await;
    let log = running.end().await;
    assert!(!log.contains("another-secret") && !log.contains(token::SECRET));
}

#[tokio::test]
async fn a_key_server_that_hangs_holds_few_requests_and_harms_no_good_ones() {
    let (known, unknown) = (Signer::new("known"), Signer::new("unknown"));
    let keys = KeyServer::start(Answer::json(set(&[&known]))).await;
    let line = keys
        .line()
        .replace("jwks_refresh_s = 1", "jwks_refresh_s = 86400");
    let text = head(&line).replace(
        "[auth]",
        "max_connections = 100\nmax_requests_per_caller = 1\n[auth]",
    );
    let gateway = Gateway::with_file(&text).await;
    let good = known.token(&claims());
    wire::until(async || status(&gateway, &good).await == 200).await;
    keys.answers(Answer::Silent);
    let before = keys.server.seen().len();

    let token = unknown.token(&claims());
    let address = gateway.address();
    let start = |count: usize| -> Vec<_> {
        let ask = |_| {
            let headers = [
                ("Host".to_owned(), address.to_string()),
                ("Authorization".to_owned(), format!("Bearer {token}")),
            ];
            let request = wire::request("GET", "/v1/providers", &headers, b"");
            tokio::spawn(async move { wire::exchange(address, &request).await })
        };
        (0..count).map(ask).collect()
    };
    // 64 may wait, whatever the limit of one caller is: who they are is not known. All others have their answer at once, so that there are connections left.
    let mut strangers = start(90);
    for wave in 1..=4 {
        let ended = || strangers.iter().filter(|task| task.is_finished()).count();
        wire::until(async || ended() >= wave * 26).await;
        for _ in 0..5 {
            assert_eq!(status(&gateway, &good).await, 200);
        }
        strangers.append(&mut start(26));
    }
    assert_eq!(keys.server.seen().len(), before + 1);
    // Nothing is said about a token whose key may be good.
    for task in strangers {
        let reply = task.await.unwrap();
        reply.problem(503, "keys_unavailable");
        assert!(reply.header("retry-after").is_some());
    }
}
