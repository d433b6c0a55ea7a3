//! Credentials of the machine's own: the metadata service of an instance, RRSA, a command.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use axum::response::Response;
use ota_core::ErrorKind;
use ota_core::provider::Provider as _;
use serde_json::{Value, json};

use crate::server::{Seen, Server, answer, context, json_answer};

fn page() -> Response {
    json_answer(
        json!({"Success": true, "RequestId": "r", "Total": 0, "PageSize": 10, "CurrentPage": 1, "FirmwareInfo": {}}),
    )
}

/// A credential as the metadata service and the STS write it.
fn credential(end: &str) -> Value {
    json!({
        "AccessKeyId": "STS.issued", "AccessKeySecret": "issued/secret", "SecurityToken": "issued/token==",
        "Expiration": end, "LastUpdated": "2026-01-01T00:00:00Z", "Code": "Success",
    })
}

fn header<'a>(seen: &'a Seen, name: &str) -> &'a str {
    let value = seen.headers.get(name);
    value.map_or("", |value| value.to_str().unwrap())
}

/// Vendor and metadata service in one. `hardened`: asks for a token, as instances in the hardened mode do.
fn instance(hardened: bool) -> impl Fn(&Seen) -> Response + Send + Sync {
    move |seen| {
        let token = header(seen, "x-aliyun-ecs-metadata-token");
        match seen.uri.as_str() {
            "/latest/api/token" if hardened => {
                assert!(!header(seen, "x-aliyun-ecs-metadata-token-ttl-seconds").is_empty());
                answer(200, "text/plain", "metadata-token")
            }
            uri if uri.starts_with("/latest/meta-data")
                && hardened
                && token != "metadata-token" =>
            {
                answer(403, "text/plain", "")
            }
            "/latest/meta-data/ram/security-credentials/" => {
                answer(200, "text/plain", "ota-role\n")
            }
            "/latest/meta-data/ram/security-credentials/ota-role" => {
                json_answer(credential("2099-01-01T00:00:00Z"))
            }
            uri if uri.starts_with("/latest/") => answer(404, "text/plain", ""),
            _ => page(),
        }
    }
}

fn ecs(server: &Server, role: Option<&str>) -> Value {
    json!({
        "access_key_id": null, "access_key_secret": null, "credentials": "ecs-ram-role",
        "ecs_metadata_endpoint": format!("http://{}", server.address), "ecs_ram_role": role,
    })
}

/// The calls of the vendor's API, which must be signed with the issued credential.
#[track_caller]
fn check_signed(server: &Server) {
    let seen = server.seen();
    let calls: Vec<&Seen> = seen
        .iter()
        .filter(|seen| seen.operation.starts_with("List"))
        .collect();
    assert!(!calls.is_empty(), "{seen:?}");
    for call in calls {
        assert_eq!(header(call, "x-acs-security-token"), "issued/token==");
        assert!(header(call, "authorization").contains("Credential=STS.issued,"));
    }
}

#[tokio::test]
async fn the_role_of_an_instance_is_asked_for_once_and_used() {
    for (hardened, role) in [(true, None), (false, None), (true, Some("ota-role"))] {
        let server = Server::start(instance(hardened)).await;
        let provider = server.provider_with(ecs(&server, role));
        for _ in 0..3 {
            provider.check(&context()).await.unwrap();
        }
        check_signed(&server);
        let asked = |path: &str| {
            let seen = server.seen();
            seen.iter().filter(|seen| seen.uri.ends_with(path)).count()
        };
        assert_eq!(asked("/security-credentials/ota-role"), 1);
        assert_eq!(asked("/security-credentials/"), usize::from(role.is_none()));
        assert!(!format!("{provider:?}").contains("issued"));
    }
}

#[tokio::test]
async fn an_instance_without_the_role_is_named_with_what_helps() {
    let server = Server::start(instance(true)).await;
    let provider = server.provider_with(ecs(&server, Some("other")));
    let error = provider.check(&context()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Misconfigured);
    assert!(
        error.advice().unwrap().contains("`ecs_ram_role`"),
        "{error:?}"
    );
    // No call of the vendor's API was made for it.
    assert!(
        server
            .seen()
            .iter()
            .all(|seen| seen.uri.starts_with("/latest/"))
    );

    let nowhere = json!({
        "access_key_id": null, "access_key_secret": null, "credentials": "ecs-ram-role",
        "ecs_metadata_endpoint": "http://127.0.0.1:1",
    });
    let error = server
        .provider_with(nowhere)
        .check(&context())
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(
        error.advice().unwrap().contains("ecs-ram-role"),
        "{error:?}"
    );
}

fn rrsa(server: &Server, file: &Path) -> Value {
    json!({
        "access_key_id": null, "access_key_secret": null, "credentials": "rrsa",
        "role_arn": "acs:ram::1:role/ota", "oidc_provider_arn": "acs:ram::1:oidc-provider/ack",
        "oidc_token_file": file, "sts_endpoint": format!("http://{}", server.address),
    })
}

#[tokio::test]
async fn the_token_of_a_pod_is_changed_for_a_credential() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    std::fs::write(&file, "pod.jwt.token\n").unwrap();
    let server = Server::start(|seen| match seen.operation.as_str() {
        "AssumeRoleWithOIDC" => {
            for (name, value) in [
                ("Version", "2015-04-01"),
                ("Format", "JSON"),
                ("RoleArn", "acs:ram::1:role/ota"),
                ("OIDCProviderArn", "acs:ram::1:oidc-provider/ack"),
                ("OIDCToken", "pod.jwt.token"),
            ] {
                assert_eq!(seen.param(name), value);
            }
            assert!(!seen.param("RoleSessionName").is_empty());
            // In seconds; the service takes a quarter of an hour to the longest session of the role, an hour by default.
            let life: u32 = seen.param("DurationSeconds").parse().unwrap();
            assert!((900..=3600).contains(&life), "{life}");
            assert!(
                !seen.uri.contains("pod.jwt"),
                "the token stands in the body"
            );
            let body = json!({"RequestId": "r", "Credentials": credential("2099-01-01T00:00:00Z")});
            json_answer(body)
        }
        _ => page(),
    })
    .await;
    let provider = server.provider_with(rrsa(&server, &file));
    provider.check(&context()).await.unwrap();
    provider.check(&context()).await.unwrap();
    check_signed(&server);
    let seen = server.seen();
    let changed = seen
        .iter()
        .filter(|seen| seen.operation == "AssumeRoleWithOIDC");
    assert_eq!(changed.count(), 1);
}

#[tokio::test]
async fn a_refused_token_shows_no_secret() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    std::fs::write(&file, "pod.jwt.token").unwrap();
    let server = Server::start(|_| {
        let body = json!({"RequestId": "r", "Code": "AuthenticationFail.OIDCToken.Invalid", "Message": "bad token pod.jwt.token"});
        answer(400, "application/json", body.to_string())
    })
    .await;
    let provider = server.provider_with(rrsa(&server, &file));
    let error = provider.check(&context()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Auth);
    let text = format!("{error:?}");
    assert!(
        text.contains("AuthenticationFail.OIDCToken.Invalid"),
        "{text}"
    );
    assert!(
        text.contains("`role_arn`") && !text.contains("pod.jwt"),
        "{text}"
    );
    // The failure is shared: the STS is not asked again at once.
    provider.check(&context()).await.unwrap_err();
    assert_eq!(server.seen().len(), 1);
}

/// Writes a program of the operator's.
fn program(folder: &Path, text: &str) -> String {
    let path = folder.join("program");
    std::fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    path.display().to_string()
}

fn command(words: &[&str]) -> Value {
    json!({
        "access_key_id": null, "access_key_secret": null, "credentials": "command", "credentials_command": words,
    })
}

#[tokio::test]
async fn a_command_gives_a_credential() {
    let folder = tempfile::tempdir().unwrap();
    let path = program(
        folder.path(),
        "echo run >> \"$1\"; echo 'no matter: hunter2' >&2\n\
         echo '{\"mode\":\"StsToken\",\"access_key_id\":\"STS.issued\",\"access_key_secret\":\"issued/secret\",\"sts_token\":\"issued/token==\"}'",
    );
    let log = folder.path().join("log");
    let server = Server::start(|_| page()).await;
    let provider = server.provider_with(command(&[&path, &log.display().to_string()]));
    provider.check(&context()).await.unwrap();
    provider.check(&context()).await.unwrap();
    check_signed(&server);
    assert_eq!(std::fs::read_to_string(&log).unwrap(), "run\n");
}

#[tokio::test]
async fn a_command_that_gives_none_is_named_without_its_output() {
    let folder = tempfile::tempdir().unwrap();
    for (text, kind, words) in [
        (
            "echo hunter2; exit 3",
            ErrorKind::Unavailable,
            "exit status: 3",
        ),
        ("echo hunter2", ErrorKind::Protocol, "no JSON object"),
        (
            "echo '{\"access_key_id\":\"hunter2\"}'",
            ErrorKind::Protocol,
            "no key secret",
        ),
        (
            "head -c 100000 /dev/zero",
            ErrorKind::Protocol,
            "larger than 64 KiB",
        ),
    ] {
        let path = program(folder.path(), text);
        let server = Server::start(|_| page()).await;
        let error = server
            .provider_with(command(&[&path]))
            .check(&context())
            .await;
        let error = error.unwrap_err();
        assert_eq!(error.kind(), kind, "{error:?}");
        let text = format!("{error:?}");
        assert!(text.contains(words) && !text.contains("hunter2"), "{text}");
        assert!(
            error.advice().unwrap().contains("`credentials_command`"),
            "{text}"
        );
        assert_eq!(server.seen().len(), 0);
    }
    let server = Server::start(|_| page()).await;
    let error = server
        .provider_with(command(&["/no/such/program"]))
        .check(&context())
        .await;
    assert_eq!(error.unwrap_err().kind(), ErrorKind::Misconfigured);
}
