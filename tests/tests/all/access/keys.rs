//! Public keys: from a file, from a key set, from a key server that may be anything.

use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ota_tests::script::{Answer, Script};
use ota_tests::token::{self, claims, claims_with};
use ota_tests::{Gateway, contract, wire};
use ring::rand::SystemRandom;
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use serde_json::{Value, json};

pub(crate) const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/jwt");

/// Everything before the providers, with access by `line`.
pub(crate) fn head(line: &str) -> String {
    let (issuer, audience) = (token::ISSUER, token::AUDIENCE);
    format!(
        "[server]\nlisten = \"127.0.0.1:0\"\n[auth]\nissuer = \"{issuer}\"\naudience = \"{audience}\"\n{line}\n[metrics]\nlisten = \"127.0.0.1:0\"\n"
    )
}

/// Tokens that PyJWT has made, by what is special about them.
fn foreign() -> Vec<(String, String)> {
    let text = std::fs::read_to_string(format!("{FIXTURES}/tokens.json")).unwrap();
    let tokens: serde_json::Map<String, Value> = serde_json::from_str(&text).unwrap();
    tokens
        .into_iter()
        .map(|(name, token)| (name, token.as_str().unwrap().to_owned()))
        .collect()
}

/// Every operation that the gateway itself says it has.
async fn operations(gateway: &Gateway) -> Vec<(String, String)> {
    let document = gateway.ask("GET", "/openapi.json").anonymous();
    let operations = contract::operations(&document.send().await.ok());
    assert!(operations.len() >= 7, "{operations:?}");
    operations
        .into_iter()
        .map(|(method, path, _)| {
            let parts = path.split('/').map(|part| match part.starts_with('{') {
                true => "x",
                false => part,
            });
            (method, parts.collect::<Vec<_>>().join("/"))
        })
        .collect()
}

/// Tries all tokens of the other implementation: those whose name is in `good` get in, all others nowhere.
async fn check(line: &str, good: &[&str]) {
    let gateway = Gateway::with_file(&head(line)).await;
    for (name, token) in foreign() {
        if good.contains(&name.as_str()) {
            for _ in 0..2 {
                let reply = gateway.ask("GET", "/v1/providers").token(&token);
                reply.send().await.ok();
            }
            // One letter of its claims changed.
            let (front, signature) = token.rsplit_once('.').unwrap();
            let forged = format!("{}A.{signature}", &front[..front.len() - 1]);
            let reply = gateway.ask("GET", "/v1/providers").token(&forged);
            reply.send().await.problem(401, "unauthenticated");
            continue;
        }
        for (method, path) in operations(&gateway).await {
            let reply = gateway.ask(&method, &path).token(&token).send().await;
            reply.problem(401, "unauthenticated");
            assert!(
                reply.must("www-authenticate").starts_with("Bearer"),
                "{name}"
            );
        }
    }
}

#[tokio::test]
async fn tokens_of_another_implementation_are_verified_with_a_public_key() {
    for (file, kind) in [("rs256", "RS256"), ("es256", "ES256"), ("eddsa", "EdDSA")] {
        let line = format!("public_key_file = \"{FIXTURES}/{file}.pem\"");
        let without = format!("{kind} without kid");
        check(&line, &[kind, &without]).await;
        let pinned = format!("{line}\nalgorithm = \"{kind}\"");
        check(&pinned, &[kind, &without]).await;
    }
}

#[tokio::test]
async fn tokens_of_another_implementation_are_verified_with_a_key_set() {
    let line = format!("jwks_file = \"{FIXTURES}/jwks.json\"");
    let all = [
        "RS256",
        "RS256 without kid",
        "ES256",
        "ES256 without kid",
        "EdDSA",
        "EdDSA without kid",
    ];
    check(&line, &all).await;
    let pinned = format!("{line}\nalgorithm = \"ES256\"");
    check(&pinned, &["ES256", "ES256 without kid"]).await;
}

/// A key pair made for one test.
pub(crate) struct Signer {
    id: &'static str,
    pair: Ed25519KeyPair,
}

impl Signer {
    pub(crate) fn new(id: &'static str) -> Self {
        let random = SystemRandom::new();
        let document = Ed25519KeyPair::generate_pkcs8(&random).unwrap();
        let pair = Ed25519KeyPair::from_pkcs8(document.as_ref()).unwrap();
        Self { id, pair }
    }

    pub(crate) fn jwk(&self) -> Value {
        let x = URL_SAFE_NO_PAD.encode(self.pair.public_key().as_ref());
        json!({"kty": "OKP", "crv": "Ed25519", "kid": self.id, "x": x})
    }

    pub(crate) fn token(&self, claims: &Value) -> String {
        let header = json!({"alg": "EdDSA", "kid": self.id});
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let content = format!("{}.{}", part(&header), part(claims));
        let signature = self.pair.sign(content.as_bytes());
        format!("{content}.{}", URL_SAFE_NO_PAD.encode(signature))
    }
}

pub(crate) fn set(signers: &[&Signer]) -> String {
    let keys: Vec<Value> = signers.iter().map(|signer| signer.jwk()).collect();
    json!({"keys": keys}).to_string()
}

/// A key server whose answer a test changes.
pub(crate) struct KeyServer {
    pub(crate) server: Script,
    answer: Arc<Mutex<Answer>>,
}

impl KeyServer {
    pub(crate) async fn start(answer: Answer) -> Self {
        let answer = Arc::new(Mutex::new(answer));
        let told = Arc::clone(&answer);
        let server = Script::start(move |_| told.lock().unwrap().clone()).await;
        Self { server, answer }
    }

    pub(crate) fn answers(&self, answer: Answer) {
        *self.answer.lock().unwrap() = answer;
    }

    pub(crate) fn line(&self) -> String {
        format!(
            "jwks_url = \"{}/keys?tenant=1\"\njwks_refresh_s = 1",
            self.server.url()
        )
    }

    /// Waits until the server was asked twice more: the first of them may have been in progress.
    async fn asked_again(&self) {
        let before = self.server.seen().len();
        wire::until(async || self.server.seen().len() >= before + 2).await;
    }
}

pub(crate) async fn status(gateway: &Gateway, token: &str) -> u16 {
    let ask = gateway.ask("GET", "/v1/providers").token(token);
    ask.send().await.status
}

#[tokio::test]
async fn keys_of_a_server_are_rotated_without_a_restart() {
    let (old, new) = (Signer::new("old"), Signer::new("new"));
    let keys = KeyServer::start(Answer::json(set(&[&old]))).await;
    // Asked for once in a day: what follows is because of the token.
    let line = keys
        .line()
        .replace("jwks_refresh_s = 1", "jwks_refresh_s = 86400");
    let gateway = Gateway::with_file(&head(&line)).await;
    wire::until(async || status(&gateway, &old.token(&claims())).await == 200).await;
    let reply = gateway.ask("GET", "/readyz").anonymous().send().await;
    assert_eq!(reply.ok()["status"], "ready");

    keys.answers(Answer::json(set(&[&old, &new])));
    let before = keys.server.seen().len();
    assert_eq!(status(&gateway, &new.token(&claims())).await, 200);
    assert_eq!(keys.server.seen().len(), before + 1);
    assert_eq!(status(&gateway, &old.token(&claims())).await, 200);

    // Tokens of keys that no one knows do not make the server be asked each time.
    let stranger = Signer::new("stranger");
    for _ in 0..5 {
        let reply = gateway.ask("GET", "/v1/providers");
        let reply = reply.token(&stranger.token(&claims())).send().await;
        let problem = reply.problem(401, "unauthenticated");
        assert!(problem["detail"].as_str().unwrap().contains("`kid`"));
    }
    assert_eq!(keys.server.seen().len(), before + 1);
    let expired = claims_with(json!({"exp": token::now() - 120}));
    assert_eq!(status(&gateway, &old.token(&expired)).await, 401);
}

#[tokio::test]
async fn all_who_come_with_a_new_key_get_in_while_it_is_fetched() {
    let (old, new) = (Signer::new("old"), Signer::new("new"));
    let keys = KeyServer::start(Answer::json(set(&[&old]))).await;
    let line = keys
        .line()
        .replace("jwks_refresh_s = 1", "jwks_refresh_s = 86400");
    let gateway = Gateway::with_file(&head(&line)).await;
    wire::until(async || status(&gateway, &old.token(&claims())).await == 200).await;
    keys.answers(Answer::json(set(&[&old, &new])));
    let token = new.token(&claims());
    let all = (0..20).map(|_| status(&gateway, &token));
    let all = futures_util::future::join_all(all).await;
    assert_eq!(all, [200; 20]);
}

#[tokio::test]
async fn a_new_key_without_identifier_is_looked_for_as_well() {
    let nameless = |signer: &Signer| {
        let mut key = signer.jwk();
        key.as_object_mut().unwrap().remove("kid");
        json!({"keys": [key]}).to_string()
    };
    let (old, new) = (Signer::new("old"), Signer::new("new"));
    let keys = KeyServer::start(Answer::json(nameless(&old))).await;
    let line = keys
        .line()
        .replace("jwks_refresh_s = 1", "jwks_refresh_s = 86400");
    let gateway = Gateway::with_file(&head(&line)).await;
    wire::until(async || status(&gateway, &old.token(&claims())).await == 200).await;
    keys.answers(Answer::json(nameless(&new)));
    assert_eq!(status(&gateway, &new.token(&claims())).await, 200);
    assert_eq!(status(&gateway, &old.token(&claims())).await, 401);
}

#[tokio::test]
async fn a_key_that_was_taken_back_opens_nothing_any_more() {
    let (old, new) = (Signer::new("old"), Signer::new("new"));
    let keys = KeyServer::start(Answer::json(set(&[&old, &new]))).await;
    let gateway = Gateway::with_file(&head(&keys.line())).await;
    let token = old.token(&claims());
    wire::until(async || status(&gateway, &token).await == 200).await;
    keys.answers(Answer::json(set(&[&new])));
    wire::until(async || status(&gateway, &token).await == 401).await;
    assert_eq!(status(&gateway, &new.token(&claims())).await, 200);
}

#[tokio::test]
async fn the_last_good_keys_stay_when_the_server_answers_nonsense() {
    let (signer, other) = (Signer::new("one"), Signer::new("one"));
    let keys = KeyServer::start(Answer::json(set(&[&signer]))).await;
    let gateway = Gateway::with_file(&head(&keys.line())).await;
    let token = signer.token(&claims());
    wire::until(async || status(&gateway, &token).await == 200).await;
    let huge = format!("{{\"keys\":[], \"x\":\"{}\"}}", "x".repeat(1 << 20));
    for answer in [
        Answer::Whole(200, "text/html", "<html>sign in</html>".into()),
        Answer::json(""),
        Answer::json("{}"),
        Answer::json("[1]"),
        Answer::json("{\"keys\":[]}"),
        Answer::json("{\"keys\":[{\"kty\":\"oct\",\"k\":\"c2VjcmV0\"}]}"),
        Answer::json(crate::access::key_sets::weak("one")),
        Answer::json(huge),
        Answer::Whole(500, "application/json", set(&[&other])),
        Answer::Whole(302, "application/json", set(&[&other])),
        Answer::Endless,
    ] {
        keys.answers(answer.clone());
        keys.asked_again().await;
        assert_eq!(status(&gateway, &token).await, 200, "{answer:?}");
        assert_eq!(status(&gateway, &other.token(&claims())).await, 401);
    }
    let failed = "ota_auth_key_refreshes_total{result=\"failed\"}";
    assert!(gateway.metric(failed).await >= 10.0);
    // And when it is itself again, its new keys count.
    keys.answers(Answer::json(set(&[&other])));
    wire::until(async || status(&gateway, &other.token(&claims())).await == 200).await;
}

#[tokio::test]
async fn without_any_keys_nothing_is_said_about_the_callers_token() {
    let signer = Signer::new("one");
    let keys = KeyServer::start(Answer::Whole(503, "text/plain", "later".into())).await;
    let gateway = Gateway::with_file(&head(&keys.line())).await;
    let ask = gateway.ask("GET", "/v1/providers");
    let reply = ask.token(&signer.token(&claims())).send().await;
    reply.problem(503, "keys_unavailable");
    assert!(reply.header("retry-after").is_some());
    assert!(reply.header("www-authenticate").is_none());
    // A request without a token is still answered as such.
    let reply = gateway.ask("GET", "/v1/providers").anonymous().send().await;
    reply.problem(401, "unauthenticated");
    let ready = gateway.ask("GET", "/readyz").anonymous().send().await;
    ready.problem(503, "keys_unavailable");
    let health = gateway.ask("GET", "/healthz").anonymous().send().await;
    health.ok();
    keys.answers(Answer::json(set(&[&signer])));
    wire::until(async || status(&gateway, &signer.token(&claims())).await == 200).await;
}

#[tokio::test]
async fn a_changed_file_of_keys_or_of_the_secret_is_read_again() {
    let folder = tempfile::tempdir().unwrap();
    let (old, new) = (Signer::new("old"), Signer::new("new"));
    let path = folder.path().join("jwks.json");
    std::fs::write(&path, set(&[&old])).unwrap();
    let line = format!("jwks_file = \"{}\"", path.display());
    let gateway = Gateway::with_file(&head(&line)).await;
    assert_eq!(status(&gateway, &old.token(&claims())).await, 200);
    assert_eq!(status(&gateway, &new.token(&claims())).await, 401);
    std::fs::write(&path, "half a fi").unwrap();
    std::fs::write(&path, format!("{} ", set(&[&new]))).unwrap();
    wire::until(async || status(&gateway, &new.token(&claims())).await == 200).await;
    assert_eq!(status(&gateway, &old.token(&claims())).await, 401);

    let path = folder.path().join("secret");
    std::fs::write(&path, token::SECRET).unwrap();
    let line = format!("hs256_secret_file = \"{}\"", path.display());
    let gateway = Gateway::with_file(&head(&line)).await;
    let token = token::signed(token::SECRET, &claims());
    assert_eq!(status(&gateway, &token).await, 200);
    let other = "another-secret-another-secret-0123456789";
    std::fs::write(&path, other).unwrap();
    wire::until(async || status(&gateway, &token).await == 401).await;
    let token = token::signed(other, &claims());
    assert_eq!(status(&gateway, &token).await, 200);
}

#[tokio::test]
async fn a_key_source_that_cannot_be_used_ends_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let good = format!("{FIXTURES}/jwks.json");
    let huge = format!("{{\"keys\":[],\"x\":\"{}\"}}", "x".repeat(300_000));
    let jwks = |name: &str, text: &str| format!("jwks_file = \"{}\"", file(name, text));
    let pem = |name: &str, text: &str| format!("public_key_file = \"{}\"", file(name, text));
    for (line, words) in [
        (jwks("html", "<!doctype html><html></html>"), "is a page"),
        (jwks("nothing", " \n"), "is empty"),
        (jwks("none", "{\"keys\":[]}"), "no key that can be used"),
        (jwks("huge", &huge), "is larger than"),
        (jwks("cut", "{\"keys\":[{"), "is not a JSON Web Key Set"),
        (
            jwks("weak", &crate::access::key_sets::weak("one")),
            "`one`: its exponent is 1",
        ),
        (
            jwks(
                "forged",
                "{\"keys\":[{\"kty\":\"EC\",\"crv\":\"P-521\",\"kid\":\"a\\nok\"}]}",
            ),
            "`a\\nok`: its curve `P-521` is not supported",
        ),
        (
            jwks(
                "oct",
                "{\"keys\":[{\"kty\":\"oct\",\"k\":\"c2VjcmV0\",\"kid\":\"s\"}]}",
            ),
            "shared secret",
        ),
        (
            jwks(
                "enc",
                "{\"keys\":[{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"AA\",\"use\":\"enc\"}]}",
            ),
            "not for verifying",
        ),
        (
            jwks(
                "short",
                "{\"keys\":[{\"kty\":\"RSA\",\"n\":\"AQAB\",\"e\":\"AQAB\"}]}",
            ),
            "its modulus has 17 bits",
        ),
        ("jwks_file = \"/no/such/file\"".to_owned(), "cannot be read"),
        (
            format!("jwks_file = \"{}\"", folder.path().display()),
            "is a folder; name a file in it",
        ),
        (
            format!("public_key_file = \"{FIXTURES}/rsa-1024.pem\""),
            "less than 2048 bits",
        ),
        (pem("empty.pem", ""), "BEGIN PUBLIC KEY"),
        (
            pem(
                "cert.pem",
                "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
            ),
            "openssl x509",
        ),
        (
            pem(
                "private.pem",
                "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
            ),
            "private key, which must not lie here",
        ),
        (
            pem(
                "broken.pem",
                "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n",
            ),
            "cannot be read",
        ),
        (
            format!("public_key_file = \"{FIXTURES}/es256.pem\"\nalgorithm = \"RS256\""),
            "holds no key for RS256",
        ),
        (
            format!("jwks_file = \"{good}\"\nalgorithm = \"HS256\""),
            "use one or several of RS256, RS384",
        ),
        (
            format!("jwks_file = \"{good}\"\nalgorithm = \"none\""),
            "use one or several of RS256, RS384",
        ),
        (
            format!("jwks_file = \"{good}\"\nhs256_secret = \"0123456789\""),
            "is given beside",
        ),
        (
            format!("jwks_file = \"{good}\"\npublic_key_file = \"{FIXTURES}/es256.pem\""),
            "is given beside",
        ),
        (
            format!("jwks_file = \"{good}\"\njwks_refresh_s = 5"),
            "only beside `jwks_url`",
        ),
        (
            "jwks_url = \"http://id.example.com/keys\"".to_owned(),
            "is not encrypted",
        ),
        (
            "jwks_url = \"https://user:pass@id.example.com/keys\"".to_owned(),
            "user info",
        ),
        ("jwks_url = \"keys.json\"".to_owned(), "is not a URL"),
        (
            "jwks_url = \"https://id.example.com/keys\"\njwks_refresh_s = 0".to_owned(),
            "from 1 to 86400",
        ),
        (
            "jwks_url = \"https://id.example.com/keys\"\njwks_ca_file = \"/no/such\"".to_owned(),
            "cannot be read",
        ),
        (String::new(), "is missing; give one of"),
        (
            format!("mode = \"disabled\"\njwks_file = \"{good}\""),
            "remove one of them",
        ),
    ] {
        let path = file("gateway.toml", &head(&line));
        let output = ota_tests::program::run(&["check", "--config", &path]).await;
        let text = ota_tests::program::stderr(&output);
        assert_eq!(output.status.code(), Some(78), "{line}: {text}");
        assert!(text.contains(words), "{line}: {text}");
        assert!(text.contains("gateway.toml"), "{line}: {text}");
        assert!(!text.contains("pass@"), "{text}");
    }
}

#[tokio::test]
async fn a_secret_that_was_mended_counts_as_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("secret");
    std::fs::write(&path, token::SECRET).unwrap();
    let line = format!("hs256_secret_file = \"{}\"", path.display());
    let gateway = Gateway::with_file(&head(&line)).await;
    let refreshes = async |result: &str| {
        let name = format!("ota_auth_key_refreshes_total{{result=\"{result}\"}}");
        gateway.metric(&name).await
    };
    let old = token::signed(token::SECRET, &claims());
    // One byte less than the least: the last good one stays.
    std::fs::write(&path, &token::SECRET[..31]).unwrap();
    wire::until(async || refreshes("failed").await >= 1.0).await;
    assert_eq!(refreshes("ok").await, 0.0);
    assert_eq!(status(&gateway, &old).await, 200);
    // The same secret as before, and then another one.
    std::fs::write(&path, format!("{}\n", token::SECRET)).unwrap();
    wire::until(async || refreshes("ok").await >= 1.0).await;
    let other = "another-secret-another-secret-0123456789";
    std::fs::write(&path, other).unwrap();
    wire::until(async || refreshes("ok").await >= 2.0).await;
    assert_eq!(status(&gateway, &old).await, 401);
    assert_eq!(
        status(&gateway, &token::signed(other, &claims())).await,
        200
    );
}
