//! Configurations that cannot be used: a clear message, exit code 78, no panic.

use std::path::PathBuf;

use ota_tests::Section;
use ota_tests::gateway::head;
use ota_tests::program::{command, run, run_command, stderr, stdout};
use ota_tests::token::SECRET;
use ota_tests::vendors::{ACCESS_KEY_SECRET, APP_SECRET};
use tempfile::TempDir;

use crate::setup::{ALI, HUA};

/// A configuration file in a folder of its own.
pub(crate) struct File {
    pub(crate) folder: TempDir,
    path: PathBuf,
}

impl File {
    pub(crate) fn new(text: &str) -> Self {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("gateway.toml");
        std::fs::write(&path, text).unwrap();
        Self { folder, path }
    }

    pub(crate) fn path(&self) -> &str {
        self.path.to_str().unwrap()
    }
}

fn line_of(text: &str, part: &str) -> usize {
    let line = text.lines().position(|line| line.contains(part));
    line.unwrap_or_else(|| panic!("`{part}` is not in {text}")) + 1
}

/// The program refuses the file with 78, names the place, and says nothing that it should not.
async fn refused(text: &str, at: Option<&str>, words: &[&str]) {
    let file = File::new(text);
    for arguments in [
        &["--config", file.path()][..],
        &["serve", "--config", file.path()],
        &["check", "--config", file.path()],
    ] {
        let output = run(arguments).await;
        let error = stderr(&output);
        assert_eq!(output.status.code(), Some(78), "{error}\n{text}");
        assert!(stdout(&output).is_empty());
        assert!(error.contains(file.path()), "{error}");
        if let Some(at) = at {
            let place = format!("{}:{}:", file.path(), line_of(text, at));
            assert!(error.contains(&place), "no `{place}` in: {error}");
        }
        for word in words {
            assert!(error.contains(word), "no `{word}` in: {error}");
        }
        for never in [
            "panicked",
            "RUST_BACKTRACE",
            "thread '",
            SECRET,
            ACCESS_KEY_SECRET,
            APP_SECRET,
            "hunter2",
        ] {
            assert!(!error.contains(never), "`{never}` in: {error}");
        }
        assert!(error.lines().count() <= 3, "{error}");
    }
}

pub(crate) fn alibaba() -> String {
    head() + &Section::alibaba(ALI, "https://iot.cn-shanghai.aliyuncs.com").to_toml()
}

pub(crate) fn huawei() -> String {
    head() + &Section::huawei(HUA, "https://10.0.0.1:8743").to_toml()
}

/// The configuration with one line changed.
pub(crate) fn changed(text: String, key: &str, line: &str) -> String {
    assert!(text.contains(&format!("{key} = ")), "{key}");
    let lines = text
        .lines()
        .map(|old| match old.starts_with(&format!("{key} = ")) {
            true => line,
            false => old,
        });
    lines
        .filter(|line| !line.is_empty())
        .map(|line| format!("{line}\n"))
        .collect()
}

#[tokio::test]
async fn an_unknown_key_is_refused_with_the_nearest_valid_one() {
    let text = changed(alibaba(), "access_key_id", "acces_key_id = \"LTAIx\"");
    refused(
        &text,
        Some("acces_key_id"),
        &["acces_key_id", "did you mean `access_key_id`"],
    )
    .await;
    let text = changed(alibaba(), "max_age_s", "max_age = 5");
    refused(
        &text,
        Some("max_age = 5"),
        &["cache.max_age", "did you mean `max_age_s`"],
    )
    .await;
    let text = changed(alibaba(), "max_concurrent", "max_concurent = 3");
    refused(
        &text,
        Some("max_concurent"),
        &["limits.max_concurent", "did you mean `max_concurrent`"],
    )
    .await;
    refused(
        &(alibaba() + "[metrcis]\nenabled = true\n"),
        Some("[metrcis]"),
        &["did you mean `metrics`"],
    )
    .await;
}

#[tokio::test]
async fn a_wrong_type_is_refused_without_its_value() {
    let text = changed(alibaba(), "max_age_s", "max_age_s = \"hunter2\"");
    refused(&text, Some("hunter2"), &["cache.max_age_s", "wrong type"]).await;
    let text = changed(alibaba(), "access_key_secret", "access_key_secret = 12345");
    refused(&text, Some("access_key_secret"), &["access_key_secret"]).await;
    let text = changed(alibaba(), "calls", "calls = -1");
    refused(&text, Some("calls = -1"), &["limits.calls"]).await;
    let text = changed(alibaba(), "calls", "calls = 0");
    refused(&text, Some("calls = 0"), &["limits.calls"]).await;
}

#[tokio::test]
async fn a_secret_is_given_once_and_can_be_read() {
    let missing = "access_key_secret_file = \"/no/such/secret\"";
    let text = changed(alibaba(), "access_key_secret", missing);
    refused(
        &text,
        Some(missing),
        &["access_key_secret_file", "/no/such/secret"],
    )
    .await;
    let text = changed(alibaba(), "access_key_secret", "");
    refused(&text, None, &["providers.ali", "access_key_secret"]).await;
    let both = format!("access_key_secret = \"hunter2\"\n{missing}");
    let text = changed(alibaba(), "access_key_secret", &both);
    refused(
        &text,
        None,
        &["access_key_secret", "access_key_secret_file"],
    )
    .await;
    let missing = "secret_file = \"/no/such/secret\"";
    refused(
        &changed(huawei(), "secret", missing),
        Some(missing),
        &["providers.hua.secret_file"],
    )
    .await;
    let both = format!("secret = \"hunter2\"\n{missing}");
    refused(&changed(huawei(), "secret", &both), None, &["secret_file"]).await;
    let text = changed(
        alibaba(),
        "hs256_secret",
        "hs256_secret_file = \"/no/such/secret\"",
    );
    refused(
        &text,
        Some("hs256_secret_file"),
        &["auth.hs256_secret_file"],
    )
    .await;
    let text = changed(alibaba(), "hs256_secret", "hs256_secret = \"hunter2\"");
    refused(&text, Some("hs256_secret"), &["auth.hs256_secret", "32"]).await;
    let text = changed(alibaba(), "hs256_secret", "");
    refused(&text, None, &["auth.hs256_secret_file"]).await;
}

#[tokio::test]
async fn a_region_or_an_address_that_cannot_be_right_is_refused() {
    let text = changed(alibaba(), "endpoint", "region = \"cn-atlantis\"");
    refused(
        &text,
        Some("cn-atlantis"),
        &["providers.ali.region", "cn-shanghai"],
    )
    .await;
    for (text, key) in [
        (alibaba(), "providers.ali.endpoint"),
        (huawei(), "providers.hua.endpoint"),
    ] {
        for address in [
            "http://iot.example.com",
            "http://10.0.0.1:8743",
            "ftp://x",
            "not a url",
            "https://u:hunter2@x",
            "",
        ] {
            let line = format!("endpoint = \"{address}\"");
            refused(
                &changed(text.clone(), "endpoint", &line),
                Some(&line),
                &[key],
            )
            .await;
        }
    }
}

#[tokio::test]
async fn an_open_gateway_listens_on_loopback_only() {
    let open = changed(alibaba(), "hs256_secret", "mode = \"disabled\"");
    for listen in ["0.0.0.0:8080", "[::]:8080", "192.0.2.1:80"] {
        let text = changed(open.clone(), "listen", &format!("listen = \"{listen}\""));
        refused(
            &text,
            Some("mode = \"disabled\""),
            &["auth.mode", "loopback"],
        )
        .await;
    }
}

#[tokio::test]
async fn a_vendor_a_name_or_a_value_that_is_not_known_is_refused() {
    let text = changed(alibaba(), "vendor", "vendor = \"alibaba\"");
    refused(
        &text,
        Some("vendor = \"alibaba\""),
        &["providers.ali.vendor", "alibaba-iot"],
    )
    .await;
    let text = changed(alibaba(), "vendor", "vendor = \"sputnik\"");
    refused(&text, Some("sputnik"), &["alibaba-iot", "huawei-iot"]).await;
    refused(
        &changed(alibaba(), "vendor", ""),
        None,
        &["providers.ali.vendor"],
    )
    .await;
    let text = changed(
        alibaba(),
        "access_key_id",
        "access_key_id = \"x\"\nsignature = \"md5\"",
    );
    refused(
        &text,
        Some("md5"),
        &["providers.ali.signature", "hmac-sha1"],
    )
    .await;
    let text = alibaba().replace("providers.ali", "providers.Ali_1");
    refused(&text, None, &["Ali_1"]).await;
    let text = changed(alibaba(), "listen", "listen = \"here\"");
    refused(&text, Some("here"), &["server.listen"]).await;
}

#[tokio::test]
async fn a_file_that_is_no_configuration_is_refused() {
    refused("[server\nlisten = 1\n", Some("[server"), &["TOML"]).await;
    refused("a = \n", Some("a = "), &["TOML"]).await;
    refused("listen = \"127.0.0.1:1\"\n", Some("listen"), &["listen"]).await;
    // An empty file lacks the secret; that the gateway would serve no one is no reason to start it open.
    for text in ["", "# nothing\n", "[server]\n"] {
        refused(text, None, &["auth.hs256_secret_file"]).await;
    }
    let output = run(&["--config", "/no/such/file.toml"]).await;
    assert_eq!(output.status.code(), Some(78));
    assert!(stderr(&output).contains("/no/such/file.toml"));
    let folder = TempDir::new().unwrap();
    let output = run(&["--config", folder.path().to_str().unwrap()]).await;
    assert_eq!(output.status.code(), Some(78), "{}", stderr(&output));
}

#[tokio::test]
async fn a_wrong_variable_is_named() {
    let file = File::new(&alibaba());
    for (name, value, words) in [
        (
            "OTA_GATEWAY__CACHE__MAX_AGE_S",
            "soon",
            "OTA_GATEWAY__CACHE__MAX_AGE_S",
        ),
        (
            "OTA_GATEWAY__CACHE__MAXAGE",
            "5",
            "OTA_GATEWAY__CACHE__MAXAGE",
        ),
        (
            "OTA_GATEWAY__PROVIDERS__ALI__REGION",
            "hunter3",
            "OTA_GATEWAY__PROVIDERS__ALI__REGION",
        ),
        ("OTA_GATEWAY__X", "5", "OTA_GATEWAY__X"),
    ] {
        let mut command = command(&["check", "--config", file.path()]);
        command.env(name, value);
        let output = run_command(command).await;
        assert_eq!(output.status.code(), Some(78), "{name}");
        assert!(stderr(&output).contains(words), "{}", stderr(&output));
    }
}

/// Runs the program and returns the places and keys of the mistakes that it names, such as `3: server.listen`.
async fn mistakes(file: &File, command: &str) -> Vec<String> {
    let output = run(&[command, "--config", file.path()]).await;
    let error = stderr(&output);
    assert_eq!(output.status.code(), Some(78), "{error}");
    assert!(!error.contains("panicked"), "{error}");
    let place = format!("  {}:", file.path());
    let mistakes: Vec<String> = error
        .lines()
        .filter_map(|line| line.strip_prefix(&place))
        .map(|rest| {
            let parts: Vec<&str> = rest.splitn(3, ": ").collect();
            parts[..2].join(": ")
        })
        .collect();
    let first = error.lines().next().unwrap_or_default();
    assert_eq!(
        first,
        format!("configuration error: {} mistakes:", mistakes.len()),
        "{error}"
    );
    mistakes
}

#[tokio::test]
async fn all_mistakes_are_named_in_one_run_also_those_of_providers_and_certificates() {
    let text = "[server]\n\
        listen = \"127.0.0.1:0\"\n\
        request_timeout_ms = \"long\"\n\
        [auth]\n\
        hs256_secret = \"0123456789abcdef0123456789abcdef\"\n\
        [cache]\n\
        max_age = 5\n\
        [providers.one]\n\
        vendor = \"alibaba-iot\"\n\
        region = \"cn-atlantis\"\n\
        acces_key_id = \"x\"\n\
        access_key_secret_file = \"/no/such/secret\"\n\
        signature = \"md5\"\n\
        [providers.one.limits]\n\
        calls = 0\n\
        [providers.two]\n\
        vendor = \"huawei-iot\"\n\
        endpoint = \"ftp://x\"\n\
        app_id = \"a\"\n\
        ca_file = \"/no/such/ca.pem\"\n\
        [providers.three]\n\
        vendor = \"aws-iot\"\n\
        [log]\n\
        filter = \"inof\"\n";
    let expected = [
        "3: server.request_timeout_ms",
        "7: cache.max_age",
        "10: providers.one.region",
        "11: providers.one.acces_key_id",
        "12: providers.one.access_key_secret_file",
        "13: providers.one.signature",
        "15: providers.one.limits.calls",
        "16: providers.two.secret_file",
        "18: providers.two.endpoint",
        "20: providers.two.ca_file",
        "22: providers.three.vendor",
        "24: log.filter",
    ];
    let file = File::new(text);
    for command in ["serve", "check", "token"] {
        assert_eq!(mistakes(&file, command).await, expected, "{command}");
    }
    // The same where the sections alone are right, and only what is put together is not.
    let account = "[providers.NAME.limits]\naccount = \"a\"\ncalls = ";
    let provider = |name: &str, calls: u32| {
        let account = account.replace("NAME", name);
        format!(
            "[providers.{name}]\nvendor = \"alibaba-iot\"\nregion = \"cn-shanghai\"\naccess_key_id = \"x\"\naccess_key_secret = \"y\"\n{account}{calls}\n"
        )
    };
    let text = format!(
        "{}[server]\nlisten = \"127.0.0.1:0\"\ntls_cert_file = \"/no/such/cert.pem\"\ntls_key_file = \"/dev/null\"\n[auth]\nhs256_secret = \"0123456789abcdef0123456789abcdef\"\n{}",
        provider("a", 1),
        provider("b", 2),
    );
    let file = File::new(&text);
    assert_eq!(
        mistakes(&file, "check").await,
        [
            "11: server.tls_cert_file",
            "12: server.tls_key_file",
            "21: providers.b.limits.account"
        ]
    );
}

#[tokio::test]
async fn two_providers_of_one_account_with_different_quotas_are_refused() {
    let section = |name: &str, limits: &[&str]| {
        let section = Section::alibaba(name, "https://iot.cn-shanghai.aliyuncs.com")
            .limit("account = \"shared\"");
        limits
            .iter()
            .fold(section, |section, limit| section.limit(limit))
            .to_toml()
    };
    for (limit, shown) in [
        ("calls = 9", "calls = 1000000"),
        ("window_s = 2", "window_s = 1"),
        ("margin_ms = 7", "margin_ms not set"),
    ] {
        let file = File::new(&(head() + &section("first", &[]) + &section("second", &[limit])));
        for command in ["serve", "check"] {
            let output = run(&[command, "--config", file.path()]).await;
            let error = stderr(&output);
            assert_eq!(output.status.code(), Some(78), "{error}");
            for part in [
                "providers.second.limits.account",
                "`shared`",
                "provider `first`",
                shown,
            ] {
                assert!(error.contains(part), "{part} in {error}");
            }
        }
    }
    // Two vendors never count together.
    let other = Section::huawei(HUA, "https://10.0.0.1:8743").limit("account = \"shared\"");
    let file =
        File::new(&(head() + &section("first", &[]) + &other.limit("window_s = 1").to_toml()));
    let output = run(&["check", "--config", file.path()]).await;
    assert_eq!(output.status.code(), Some(78), "{}", stderr(&output));
}
