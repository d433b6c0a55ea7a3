//! Credentials that are renewed while requests are answered, files as others write them, proxies, and the certificate of the gateway.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use ota_sim::alibaba::Credential;
use ota_sim::{FleetShape, Renewed};
use ota_tests::gateway::{head, keeping_head};
use ota_tests::program::{command, run, run_command, stderr, stdout};
use ota_tests::vendors::{
    ACCESS_KEY_ID, ACCESS_KEY_SECRET, APP_ID, APP_SECRET, alibaba_config, alibaba_sim,
    huawei_config,
};
use ota_tests::{Gateway, Section, wire};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::program::configuration::File;
use crate::setup::{ALI, HUA, World};

/// Replaces a file, as those who renew credentials do.
fn replace(folder: &Path, name: &str, text: &str) {
    let new = folder.join("new");
    std::fs::write(&new, text).unwrap();
    std::fs::rename(new, folder.join(name)).unwrap();
}

/// Answers are kept for no time, so that each poll asks the vendor.
fn polled_head() -> String {
    keeping_head()
        + "[cache]\nmax_age_s = 0\nmin_age_s = 0\nstats_max_age_s = 0\nstale_if_error_s = 0\n"
}

/// Polls from six sides while `work` goes on; every answer must be good. Returns how many there were.
async fn polled(gateway: &Gateway, path: &str, work: impl Future<Output = ()>) -> u64 {
    let (done, count) = (AtomicBool::new(false), AtomicU64::new(0));
    let pollers = (0..6).map(async |_| {
        while !done.load(Ordering::Relaxed) {
            gateway.get(path).await.ok();
            count.fetch_add(1, Ordering::Relaxed);
        }
    });
    let work = async {
        work.await;
        done.store(true, Ordering::Relaxed);
    };
    futures_util::future::join(join_all(pollers), work).await;
    count.into_inner()
}

/// The sum of all samples of a metric whose line has this text.
async fn counted(gateway: &Gateway, metric: &str, part: &str) -> f64 {
    let text = gateway.metrics().await;
    let lines = text
        .lines()
        .filter(|line| line.starts_with(metric) && line.contains(part));
    lines
        .map(|line| line.rsplit_once(' ').unwrap().1.parse::<f64>().unwrap())
        .sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn six_pollers_notice_nothing_of_three_files_that_are_renamed_one_after_the_other() {
    let credential = |round: u32| Credential {
        access_key_id: format!("STS.id-{round}"),
        access_key_secret: format!("secret-{round}"),
        security_token: Some(format!("token-{round}")),
    };
    let renewed = Renewed::default();
    renewed.set(credential(0));
    let mut config = alibaba_config(FleetShape::uniform(2, 5).frozen());
    config.renewed = renewed.clone();
    let sim = ota_sim::alibaba::start(config).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| replace(folder.path(), name, text);
    let first = credential(0);
    write("id", &first.access_key_id);
    write("secret", &first.access_key_secret);
    write("token", first.security_token.as_deref().unwrap());
    let section = format!(
        "[providers.{ALI}]\nvendor = \"alibaba-iot\"\nendpoint = \"{}\"\naccess_key_id_file = \"{1}/id\"\n\
         access_key_secret_file = \"{1}/secret\"\nsecurity_token_file = \"{1}/token\"\n\
         [providers.{ALI}.limits]\ncalls = 1000000\nmax_attempts = 1\n",
        sim.url(),
        folder.path().display()
    );
    let gateway = Gateway::with_file(&(polled_head() + &section)).await;
    let path = World::jobs_path(ALI);
    let renewing = async {
        for round in 1..=3 {
            let next = credential(round);
            renewed.set(next.clone());
            write("id", &next.access_key_id);
            tokio::time::sleep(Duration::from_millis(20)).await;
            write("secret", &next.access_key_secret);
            tokio::time::sleep(Duration::from_millis(20)).await;
            write("token", next.security_token.as_deref().unwrap());
            // The next renewal comes when calls with this one have been answered.
            let answered =
                async || counted(&gateway, "ota_vendor_attempts_total", "outcome=\"ok\"").await;
            let before = answered().await;
            wire::until(async || answered().await > before + 12.0).await;
        }
    };
    assert!(polled(&gateway, &path, renewing).await > 18);
    for metric in ["ota_vendor_attempts_total", "ota_vendor_calls_total"] {
        assert_eq!(counted(&gateway, metric, "outcome=\"auth\"").await, 0.0);
    }
    let superseded = counted(
        &gateway,
        "ota_vendor_attempts_total",
        "outcome=\"superseded\"",
    );
    assert!(superseded.await > 0.0, "no call met a renewal");
    let provider = gateway.get(&format!("/v1/providers/{ALI}")).await.ok();
    assert_eq!(provider["health"]["state"], "ok", "{provider}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_notices_that_the_secret_of_an_application_is_renewed() {
    let renewed = Renewed::default();
    let mut config = huawei_config(FleetShape::uniform(2, 5).frozen());
    config.renewed_secret = renewed.clone();
    config.expires_in = Duration::from_secs(1);
    let sim = ota_sim::huawei::start(config).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    replace(folder.path(), "secret", APP_SECRET);
    let section = format!(
        "[providers.{HUA}]\nvendor = \"huawei-iot\"\nendpoint = \"{}\"\napp_id = \"{APP_ID}\"\nsecret_file = \"{}/secret\"\n\
         [providers.{HUA}.limits]\ncalls = 1000000\nmax_attempts = 1\n",
        sim.url(),
        folder.path().display()
    );
    let gateway = Gateway::with_file(&(polled_head() + &section)).await;
    let path = World::jobs_path(HUA);
    let renewing = async {
        wire::until(async || {
            counted(&gateway, "ota_vendor_attempts_total", "outcome=\"ok\"").await > 5.0
        })
        .await;
        // The platform refuses the old secret from now on; the file follows when it has done so.
        renewed.set("renewed/secret".to_owned());
        let refused = "operation=\"refreshToken\",outcome=\"superseded\"";
        wire::until(async || counted(&gateway, "ota_vendor_attempts_total", refused).await > 0.0)
            .await;
        replace(folder.path(), "secret", "renewed/secret");
        let logins = "operation=\"login\",outcome=\"ok\"";
        wire::until(async || counted(&gateway, "ota_vendor_attempts_total", logins).await > 1.0)
            .await;
    };
    assert!(polled(&gateway, &path, renewing).await > 5);
    for metric in ["ota_vendor_attempts_total", "ota_vendor_calls_total"] {
        assert_eq!(counted(&gateway, metric, "outcome=\"auth\"").await, 0.0);
    }
}

#[tokio::test]
async fn a_byte_order_mark_is_cut_off_wherever_a_file_is_read() {
    let sim = alibaba_sim(FleetShape::uniform(1, 3).frozen()).await;
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let write = |name: &str, text: &str| {
        std::fs::write(folder.path().join(name), format!("\u{feff}{text}")).unwrap();
    };
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    write("secret", ACCESS_KEY_SECRET);
    write("cert.pem", &made.cert.pem());
    write("key.pem", &made.signing_key.serialize_pem());
    let keys = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/jwt/jwks.json");
    write("jwks.json", &std::fs::read_to_string(keys).unwrap());
    let text = format!(
        "[server]\nlisten = \"127.0.0.1:0\"\ntls_cert_file = \"{}\"\ntls_key_file = \"{}\"\n[auth]\njwks_file = \"{}\"\n\
         [metrics]\nenabled = false\n",
        path("cert.pem"),
        path("key.pem"),
        path("jwks.json")
    );
    let section = Section::alibaba(ALI, &sim.url()).to_toml();
    let secret = format!("access_key_secret = \"{ACCESS_KEY_SECRET}\"");
    let section = section.replace(
        &secret,
        &format!("access_key_secret_file = \"{}\"", path("secret")),
    );
    let file = File::new(&format!("\u{feff}{text}{section}"));
    let output = run(&["check", "--config", file.path()]).await;
    assert_eq!(
        output.status.code(),
        Some(0),
        "{}{}",
        stdout(&output),
        stderr(&output)
    );

    // What no credential has is named at the start, and not shown.
    write("secret", "e2e/access key");
    let output = run(&["check", "--config", file.path()]).await;
    let text = stderr(&output);
    assert_eq!(output.status.code(), Some(78), "{text}");
    assert!(
        text.contains("access_key_secret_file") && text.contains("a blank at character 11"),
        "{text}"
    );
    assert!(!text.contains("e2e/access key"), "{text}");
}

fn pipe(folder: &Path) -> PathBuf {
    let path = folder.join("pipe");
    let made = std::process::Command::new("mkfifo").arg(&path).status();
    assert!(made.unwrap().success());
    path
}

#[tokio::test]
async fn a_pipe_among_the_files_ends_the_start_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let pipe = pipe(folder.path()).display().to_string();
    for line in ["tls_cert_file", "tls_key_file"] {
        let text = head().replacen(
            "[server]\n",
            &format!("[server]\ntls_cert_file = \"{pipe}\"\ntls_key_file = \"{pipe}\"\n"),
            1,
        );
        let output = run(&["serve", "--config", File::new(&text).path()]).await;
        let text = stderr(&output);
        assert_eq!(output.status.code(), Some(78), "{text}");
        assert!(text.contains(line) && text.contains("is a pipe"), "{text}");
    }
    for key in ["ca_file", "access_key_secret_file"] {
        let section = Section::alibaba(ALI, "https://127.0.0.1:1").to_toml();
        let secret = format!("access_key_secret = \"{ACCESS_KEY_SECRET}\"");
        let section = match key {
            "ca_file" => section.replace(&secret, &format!("{secret}\nca_file = \"{pipe}\"")),
            _ => section.replace(&secret, &format!("{key} = \"{pipe}\"")),
        };
        let output = run(&["serve", "--config", File::new(&(head() + &section)).path()]).await;
        let text = stderr(&output);
        assert_eq!(output.status.code(), Some(78), "{text}");
        assert!(text.contains(key) && text.contains("is a pipe"), "{text}");
    }
}

/// A proxy that answers whatever it is asked with this head.
async fn proxy(answer: &'static str) -> (String, tokio::task::JoinHandle<()>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let task = tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let mut asked = [0; 4096];
            let _ = socket.read(&mut asked).await;
            let _ = socket.write_all(answer.as_bytes()).await;
            let _ = socket.shutdown().await;
        }
    });
    (address, task)
}

#[tokio::test]
async fn a_proxy_that_refuses_is_named() {
    let section = Section::alibaba(ALI, "https://iot.example.invalid").to_toml();
    let file = File::new(&(head() + &section));
    let check = async |proxy: &str, words: &str| {
        let mut command = command(&["check", "--config", file.path()]);
        command
            .env("HTTPS_PROXY", format!("http://user:hunter2@{proxy}"))
            .env_remove("NO_PROXY")
            .env_remove("no_proxy");
        let output = run_command(command).await;
        let table = stdout(&output);
        assert_eq!(output.status.code(), Some(1), "{table}{}", stderr(&output));
        assert!(
            table.contains(&format!("the proxy `{proxy}` {words}")),
            "{table}"
        );
        assert!(
            table.contains("HTTPS_PROXY") && !table.contains("hunter2"),
            "{table}"
        );
    };
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let nobody = closed.local_addr().unwrap().to_string();
    drop(closed);
    check(&nobody, "cannot be reached").await;
    for (answer, words) in [
        (
            "HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 0\r\n\r\n",
            "asks for a user name",
        ),
        (
            "HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n",
            "refuses to connect",
        ),
    ] {
        let (address, task) = proxy(answer).await;
        check(&address, words).await;
        task.abort();
    }
}

#[tokio::test]
async fn a_command_for_a_credential_sees_none_of_the_gateways_settings() {
    let sim = alibaba_sim(FleetShape::uniform(1, 1).frozen()).await;
    let folder = tempfile::tempdir().unwrap();
    let seen = folder.path().join("seen");
    let script = format!(
        "env > '{}'; echo '{{\"access_key_id\": \"{ACCESS_KEY_ID}\", \"access_key_secret\": \"{ACCESS_KEY_SECRET}\"}}'",
        seen.display()
    );
    let text = head()
        + &format!(
            "[providers.{ALI}]\nvendor = \"alibaba-iot\"\nendpoint = \"{}\"\ncredentials = \"command\"\ncredentials_command = [\"sh\", \"-c\", '''{script}''']\n",
            sim.url()
        );
    let file = File::new(&text);
    let mut command = command(&["check", "--config", file.path()]);
    command
        .env("OTA_GATEWAY__LOG__FILTER", "warn")
        .env("OF_THE_MACHINE", "1");
    let output = run_command(command).await;
    assert!(
        output.status.success(),
        "{}{}",
        stdout(&output),
        stderr(&output)
    );
    let seen = std::fs::read_to_string(seen).unwrap();
    assert!(seen.contains("OF_THE_MACHINE=1"), "{seen}");
    assert!(!seen.contains("OTA_GATEWAY__"), "{seen}");
}

/// A configuration with a certificate of the gateway's own that ends after this time.
pub(crate) fn with_certificate(folder: &Path, days: i64) -> (String, i64) {
    let key = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::new(["localhost".to_owned()]).unwrap();
    let now = ota_core::clock::Clock::now(&ota_core::clock::SystemClock);
    params.not_before = now - time::Duration::days(400);
    params.not_after = now + time::Duration::days(days);
    let end = params.not_after.unix_timestamp();
    std::fs::write(
        folder.join("cert.pem"),
        params.self_signed(&key).unwrap().pem(),
    )
    .unwrap();
    std::fs::write(folder.join("key.pem"), key.serialize_pem()).unwrap();
    let lines = format!(
        "[server]\ntls_cert_file = \"{0}/cert.pem\"\ntls_key_file = \"{0}/key.pem\"\n",
        folder.display()
    );
    (keeping_head().replacen("[server]\n", &lines, 1), end)
}

#[tokio::test]
async fn the_end_of_the_gateways_own_certificate_is_warned_of_and_counted() {
    let sim = Arc::new(alibaba_sim(FleetShape::uniform(1, 3).frozen()).await);
    for (days, warning, code) in [
        (40, None, 0),
        (5, Some("ends on"), 0),
        (-1, Some("has expired on"), 1),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let (text, end) = with_certificate(folder.path(), days);
        let gateway = Gateway::with_file(&text).await;
        assert_eq!(
            gateway.metric("ota_tls_certificate_expiry_seconds").await,
            end as f64
        );
        let text = text + &Section::alibaba(ALI, &sim.url()).to_toml();
        let output = run(&["check", "--config", File::new(&text).path()]).await;
        let table = stdout(&output);
        assert_eq!(
            output.status.code(),
            Some(code),
            "{table}{}",
            stderr(&output)
        );
        match warning {
            None => assert!(!table.contains("Warning"), "{table}"),
            Some(words) => {
                assert!(
                    table.contains("Warning: the gateway's own certificate"),
                    "{table}"
                );
                assert!(
                    table.contains(words) && table.contains("cert.pem"),
                    "{table}"
                );
            }
        }
    }
}
