//! Logs, traces and readiness; no secret is in any output, with all logs on and vendors that echo.

use std::sync::{Arc, Mutex};

use ota_tests::gateway::FOLDER;
use ota_tests::script::{Answer, Script, Seen};
use ota_tests::token::{SECRET, minted};
use ota_tests::vendors::{ACCESS_KEY_SECRET, APP_SECRET, SECURITY_TOKEN};
use ota_tests::{Section, contract, program, wire};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};

use crate::setup::{ALI, HUA};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

/// The gateway's program with everything that it prints.
pub(crate) struct Running {
    child: tokio::process::Child,
    log: Arc<Mutex<String>>,
    pub(crate) address: std::net::SocketAddr,
    metrics: std::net::SocketAddr,
    _folder: tempfile::TempDir,
}

impl Running {
    pub(crate) async fn start(text: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("gateway.toml");
        let text = text.replace(FOLDER, &folder.path().display().to_string());
        std::fs::write(&path, &text).unwrap();
        let mut command = program::command(&["serve", "--config", &path.display().to_string()]);
        if text.contains("[mirror]") {
            command.env_remove("OTA_GATEWAY__MIRROR__ENABLED");
        }
        command
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::piped());
        let mut child = command.spawn().unwrap();
        let log = Arc::<Mutex<String>>::default();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let written = Arc::clone(&log);
        tokio::spawn(async move {
            while let Ok(Some(line)) = lines.next_line().await {
                let mut log = written.lock().unwrap();
                log.push_str(&line);
                log.push('\n');
            }
        });
        let told = |what: &str| {
            let log = log.lock().unwrap();
            let at = log.find(what)? + what.len();
            let rest = &log[at..];
            let end = rest.find(|c: char| !c.is_ascii_digit() && !".:".contains(c))?;
            rest[..end].parse().ok()
        };
        wire::until(async || {
            told("metrics on http://").is_some() && told("listening on http://").is_some()
        })
        .await;
        let (address, metrics) = (
            told("listening on http://").unwrap(),
            told("metrics on http://").unwrap(),
        );
        Self {
            child,
            log,
            address,
            metrics,
            _folder: folder,
        }
    }

    pub(crate) async fn ask(
        &self,
        method: &str,
        path: &str,
        token: &str,
        more: &[(&str, &str)],
    ) -> wire::Reply {
        let mut headers = vec![
            ("Host".to_owned(), self.address.to_string()),
            ("Authorization".to_owned(), format!("Bearer {token}")),
        ];
        for (name, value) in more {
            headers.push(((*name).to_owned(), (*value).to_owned()));
        }
        let request = wire::request(method, path, &headers, b"");
        wire::exchange(self.address, &request).await
    }

    async fn metrics(&self) -> String {
        let headers = [("Host".to_owned(), self.metrics.to_string())];
        let request = wire::request("GET", "/metrics", &headers, b"");
        wire::exchange(self.metrics, &request).await.text()
    }

    /// Waits for a line of the log and returns it.
    pub(crate) async fn line(&self, holds: impl Fn(&str) -> bool) -> String {
        let found = || {
            let log = self.log.lock().unwrap();
            log.lines().find(|line| holds(line)).map(str::to_owned)
        };
        wire::until(async || found().is_some()).await;
        found().unwrap()
    }

    /// Ends it and returns everything that it printed.
    pub(crate) async fn end(mut self) -> String {
        let id = self.child.id().unwrap().to_string();
        let kill = tokio::process::Command::new("sh")
            .args(["-c", &format!("kill -TERM {id}")])
            .status();
        assert!(kill.await.unwrap().success());
        let mut out = String::new();
        let mut stdout = self.child.stdout.take().unwrap();
        stdout.read_to_string(&mut out).await.unwrap();
        let ended = tokio::time::timeout(wire::PATIENCE, self.child.wait());
        assert_eq!(ended.await.unwrap().unwrap().code(), Some(0));
        let log = self.log.lock().unwrap().clone();
        out + &log
    }
}

/// Everything that a vendor was sent, written into its answer, as some vendors do.
fn echo(seen: &Seen) -> String {
    let headers: Vec<String> = seen
        .headers
        .iter()
        .map(|(name, value)| format!("{name}:{value}"))
        .collect();
    format!(
        "specified signature is not matched with our calculation. server string to sign is:{} {}\n{}\n\n{}",
        seen.method,
        seen.target,
        headers.join("\n"),
        seen.body
    )
}

/// What of a request must never be seen again: the signature, the nonce that makes it, tokens, passwords.
fn secrets_of(seen: &Seen) -> Vec<String> {
    let mut secrets = Vec::new();
    for name in [
        "authorization",
        "x-acs-signature-nonce",
        "x-acs-security-token",
    ] {
        if let Some(value) = seen.header(name) {
            secrets.push(value.to_owned());
            secrets.extend(value.split_once("Signature=").map(|(_, of)| of.to_owned()));
            secrets.extend(value.strip_prefix("Bearer ").map(str::to_owned));
        }
    }
    for pairs in [
        seen.target.split_once('?').map_or("", |(_, query)| query),
        &seen.body,
    ] {
        for (name, value) in pairs.split('&').filter_map(|pair| pair.split_once('=')) {
            if ["Signature", "SignatureNonce", "SecurityToken", "secret"].contains(&name) {
                secrets.push(value.to_owned());
            }
        }
    }
    secrets
}

#[tokio::test]
async fn nothing_secret_is_in_any_output_though_vendors_echo_and_all_is_logged() {
    let refusing = |code: &'static str| {
        Script::start(move |seen| {
            let body = json!({"RequestId": "R", "Code": code, "Success": false, "Message": echo(seen), "ErrorMessage": echo(seen)});
            match seen.header("x-acs-action").is_some() {
                true => Answer::Whole(400, "application/json", body.to_string()),
                false => Answer::json(body.to_string()),
            }
        })
    };
    // A refused credential is not used for a while; one that lacks a permission is used each time.
    let alibaba = refusing("SignatureDoesNotMatch").await;
    let forbidding = refusing("Forbidden.RAM").await;
    let huawei = Script::start(|seen| match seen.path().ends_with("/login") {
        true => Answer::json(
            json!({"accessToken": "access-token-of-the-platform-1", "refreshToken": "refresh-token-of-the-platform-1", "tokenType": "bearer", "expiresIn": 3600})
                .to_string(),
        ),
        false => Answer::Whole(
            403,
            "application/json",
            json!({"error_code": "1010005", "error_desc": echo(seen).replace("string to sign is", "request was")}).to_string(),
        ),
    })
    .await;
    for format in ["text", "json"] {
        let head = ota_tests::gateway::keeping_head();
        let account = |name: &str, vendor: &Script, signature: &str| {
            Section::alibaba(name, &vendor.url())
                .set(&format!("security_token = \"{SECURITY_TOKEN}\""))
                .set(&format!("signature = \"{signature}\""))
                .limit(&format!("account = \"{name}\""))
                .to_toml()
        };
        let text = format!(
            "{head}[log]\nfilter = \"trace\"\nformat = \"{format}\"\n{}{}{}{}",
            account(ALI, &alibaba, "acs3"),
            account("ali-v2", &alibaba, "hmac-sha1"),
            account("ali-no-right", &forbidding, "acs3"),
            Section::huawei(HUA, &huawei.url()).to_toml(),
        );
        let running = Running::start(&text).await;
        let token = minted("ota:read ota:admin", None);
        let (content, signature) = token.rsplit_once('.').unwrap();
        let forged = format!("{content}.{}", signature.chars().rev().collect::<String>());
        let mut output = String::new();
        for name in [ALI, "ali-v2", "ali-no-right", HUA] {
            for (method, path) in [
                ("GET", format!("/v1/providers/{name}/jobs")),
                ("GET", format!("/v1/providers/{name}/jobs?package_id=p")),
                ("GET", format!("/v1/providers/{name}/jobs/j1")),
                ("GET", format!("/v1/providers/{name}/jobs/j1/stats")),
                ("GET", format!("/v1/providers/{name}/jobs/j1/tasks")),
                ("POST", format!("/v1/providers/{name}/check")),
                ("GET", format!("/v1/providers/{name}")),
                ("GET", "/v1/providers".to_owned()),
                ("GET", "/openapi.json".to_owned()),
                ("GET", "/readyz".to_owned()),
            ] {
                for token in [&token, &forged, "garbage-token-garbage-token"] {
                    let reply = running.ask(method, &path, token, &[]).await;
                    contract::check(method, &path, &reply);
                    output.push_str(&format!("{:?}\n{}\n", reply.headers, reply.text()));
                }
            }
        }
        let garbage = format!("GET / HTTP/1.1\r\nAuthorization: Bearer {token}\r\nbad\r\n\r\n");
        let reply = wire::exchange(running.address, garbage.as_bytes()).await;
        output.push_str(&reply.text());
        output.push_str(&running.metrics().await);
        let log = running.end().await;
        assert!(
            log.contains("TRACE") || log.contains("DEBUG"),
            "logs are on: {log}"
        );
        assert!(log.contains("answered GET"), "{log}");
        output.push_str(&log);

        let checked = {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("gateway.toml");
            std::fs::write(&path, &text).unwrap();
            program::run(&["check", "--config", &path.display().to_string()]).await
        };
        assert_eq!(checked.status.code(), Some(1));
        output.push_str(&program::stdout(&checked));
        output.push_str(&program::stderr(&checked));

        let mut secrets: Vec<String> = [
            SECRET,
            ACCESS_KEY_SECRET,
            SECURITY_TOKEN,
            APP_SECRET,
            &token,
            signature,
            &forged,
            "garbage-token-garbage-token",
            "access-token-of-the-platform-1",
            "refresh-token-of-the-platform-1",
        ]
        .map(str::to_owned)
        .into();
        let seen = [alibaba.seen(), forbidding.seen(), huawei.seen()].concat();
        assert!(seen.len() > 12, "{}", seen.len());
        let sent: Vec<String> = seen.iter().flat_map(secrets_of).collect();
        assert!(sent.len() > 20, "{sent:?}");
        secrets.extend(sent);
        for secret in secrets.iter().filter(|secret| secret.len() >= 6) {
            let encoded = secret
                .replace('%', "%25")
                .replace('/', "%2F")
                .replace('+', "%2B")
                .replace('=', "%3D");
            for form in [secret, &encoded] {
                if let Some(at) = output.find(form.as_str()) {
                    let mut start = at.saturating_sub(200);
                    while !output.is_char_boundary(start) {
                        start -= 1;
                    }
                    panic!("`{form}` is shown: {}", &output[start..at + form.len()]);
                }
            }
        }
        for mark in ["string to sign is", "PRIVATE KEY"] {
            assert!(!output.contains(mark), "`{mark}` is shown");
        }
    }
}

#[tokio::test]
async fn each_request_has_one_line_with_everything_to_find_it_by() {
    let alibaba =
        ota_tests::vendors::alibaba_sim(ota_sim::FleetShape::uniform(2, 3).frozen()).await;
    let head = ota_tests::gateway::keeping_head();
    let section = Section::alibaba(ALI, &alibaba.url()).to_toml();
    let running = Running::start(&format!("{head}[log]\nformat = \"json\"\n{section}")).await;
    let token = minted("ota:read", None);
    let path = format!("/v1/providers/{ALI}/jobs");
    let parent = format!("00-{TRACE}-00f067aa0ba902b7-01");
    for (id, calls) in [("first", true), ("second", false)] {
        let more = [("X-Request-Id", id), ("traceparent", parent.as_str())];
        let reply = running.ask("GET", &path, &token, &more).await;
        reply.ok();
        assert_eq!(reply.must("x-request-id"), id);
        let line = running.line(|line| line.contains(id)).await;
        let line: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(line["request.id"], id);
        assert_eq!(line["caller"], "e2e");
        assert_eq!(line["http.route"], "/v1/providers/{provider}/jobs");
        assert_eq!(line["http.method"], "GET");
        assert_eq!(line["http.status"], 200);
        assert_eq!(line["trace.id"], TRACE);
        assert!(line["took_ms"].as_f64().is_some(), "{line}");
        assert_eq!(line["vendor.calls"].as_u64().unwrap() > 0, calls, "{line}");
        assert_eq!(line.get("vendor.ms").is_some(), calls, "{line}");
    }
    // A failure too, and a request that no one is known for.
    let more = [("X-Request-Id", "third")];
    running
        .ask("GET", "/v1/providers", "x", &more)
        .await
        .problem(401, "unauthenticated");
    let line = running.line(|line| line.contains("third")).await;
    let line: Value = serde_json::from_str(&line).unwrap();
    assert_eq!(
        (&line["http.status"], line.get("caller")),
        (&json!(401), None)
    );
    assert_eq!(line["trace.id"].as_str().unwrap().len(), 32);
    let log = running.end().await;
    for id in ["\"first\"", "\"second\"", "\"third\""] {
        assert_eq!(
            log.lines().filter(|line| line.contains(id)).count(),
            1,
            "{id}"
        );
    }
}

#[tokio::test]
async fn a_renewed_temporary_credential_is_used_without_a_restart() {
    let vendor =
        Script::start(|_| Answer::json(json!({"Success": true, "Data": null}).to_string())).await;
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name);
    let write = |which: &str| {
        for name in ["id", "secret", "token"] {
            std::fs::write(file(name), format!("{name}-of-the-{which}-credential\n")).unwrap();
        }
    };
    write("first");
    let text = format!(
        "{}[providers.{ALI}]\nvendor = \"alibaba-iot\"\nendpoint = \"{}\"\naccess_key_id_file = \"{}\"\naccess_key_secret_file = \"{}\"\nsecurity_token_file = \"{}\"\n",
        ota_tests::gateway::head(),
        vendor.url(),
        file("id").display(),
        file("secret").display(),
        file("token").display(),
    );
    let gateway = ota_tests::Gateway::with_file(&text).await;
    let path = format!("/v1/providers/{ALI}/jobs/j1");
    for which in ["first", "renewed"] {
        write(which);
        gateway.get(&path).await.problem(404, "not_found");
        let seen = vendor.seen().pop().unwrap();
        assert_eq!(
            seen.header("x-acs-accesskey-id").unwrap(),
            format!("id-of-the-{which}-credential")
        );
        assert_eq!(
            seen.header("x-acs-security-token").unwrap(),
            format!("token-of-the-{which}-credential")
        );
    }
}

#[tokio::test]
async fn the_trace_of_a_request_goes_on_to_the_vendor() {
    let alibaba =
        Script::start(|_| Answer::json(json!({"Success": true, "Data": null}).to_string())).await;
    let huawei = Script::start(|_| Answer::json("{}")).await;
    let gateway = ota_tests::Gateway::start(&[
        Section::alibaba(ALI, &alibaba.url()),
        Section::huawei(HUA, &huawei.url()),
    ])
    .await;
    let ids = |server: &Script| -> Vec<String> {
        let seen = server.seen();
        let parents = seen
            .iter()
            .map(|seen| seen.header("traceparent").unwrap_or_default());
        parents
            .map(|parent| {
                let parts: Vec<&str> = parent.split('-').collect();
                assert_eq!(
                    (parts.len(), parts[0], parts[2].len()),
                    (4, "00", 16),
                    "{parent}"
                );
                assert_ne!(
                    parts[2], "00f067aa0ba902b7",
                    "the caller's span is not ours"
                );
                parts[1].to_owned()
            })
            .collect()
    };
    for (provider, server) in [(ALI, &alibaba), (HUA, &huawei)] {
        let path = format!("/v1/providers/{provider}/jobs/j1");
        let parent = format!("00-{TRACE}-00f067aa0ba902b7-01");
        let ask = gateway.ask("GET", &path).header("traceparent", &parent);
        ask.header("tracestate", "tenant=acme").send().await;
        assert!(!ids(server).is_empty());
        assert!(ids(server).iter().all(|id| id == TRACE));
        assert!(
            server
                .seen()
                .iter()
                .all(|seen| seen.header("tracestate").is_none())
        );
        // Without a trace, or with one that is none, a new one begins.
        for parent in [None, Some("00-nonsense-01")] {
            let before = server.seen().len();
            let mut ask = gateway.ask("GET", &path);
            if let Some(parent) = parent {
                ask = ask.header("traceparent", parent);
            }
            ask.send().await;
            let new = ids(server).split_off(before);
            assert!(!new.is_empty() && new.iter().all(|id| id != TRACE && id.len() == 32));
        }
    }
}

#[tokio::test]
async fn readiness_counts_and_names_nobody_and_dead_vendors_do_not_change_it() {
    let gateway = ota_tests::Gateway::start(&[
        Section::alibaba(ALI, "http://127.0.0.1:1"),
        Section::huawei(HUA, "http://127.0.0.1:1"),
    ])
    .await;
    let ready = async || gateway.ask("GET", "/readyz").anonymous().send().await;
    let before = ready().await.ok();
    assert_eq!(
        before["providers"],
        json!({"ok": 0, "degraded": 0, "down": 0, "unknown": 2})
    );
    for provider in [ALI, HUA] {
        let reply = gateway.get(&format!("/v1/providers/{provider}/jobs")).await;
        reply.problem(503, "provider_unavailable");
    }
    let reply = ready().await;
    let after = reply.ok();
    assert_eq!(
        after["providers"],
        json!({"ok": 0, "degraded": 0, "down": 2, "unknown": 0})
    );
    assert_eq!(after["status"], "ready");
    for name in [ALI, HUA, "alibaba", "huawei", "127.0.0.1"] {
        assert!(!reply.text().contains(name), "{}", reply.text());
    }
    let health = gateway.ask("GET", "/healthz").anonymous().send().await;
    assert_eq!(health.ok(), json!({"status": "ok"}));
    let listed = gateway.get("/v1/providers").await.ok();
    for item in listed["items"].as_array().unwrap() {
        assert_eq!(item["health"]["state"], "down");
    }
}
