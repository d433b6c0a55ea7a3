use std::io::Write as _;

use super::{AuthMode, Config, ConfigError};

const SECRET: &str = "0123456789abcdef0123456789abcdef";

fn load(text: &str, environment: &[(&str, &str)]) -> Result<Config, ConfigError> {
    let mut file = tempfile::Builder::new().suffix(".toml").tempfile().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    let environment = environment
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    Config::load(Some(file.path()), environment)
}

#[track_caller]
fn check(text: &str, expected: &[&str]) {
    let error = load(text, &[]).unwrap_err().to_string();
    for part in expected {
        assert!(error.contains(part), "{error:?} has no {part:?}");
    }
    assert!(!error.contains("hunter2"), "{error}");
}

#[test]
fn everything_but_the_secret_has_a_default() {
    let config = load(&format!("[auth]\nhs256_secret = \"{SECRET}\""), &[]).unwrap();
    assert_eq!(config.server.listen.to_string(), "127.0.0.1:8080");
    assert_eq!(config.server.request_timeout.as_millis(), 30_000);
    assert!(matches!(config.auth.mode, AuthMode::Hs256(..)));
    assert_eq!(config.auth.audience.as_deref(), Some("ota-gateway"));
    assert!(!format!("{config:?}").contains(SECRET));
    let with_provider = format!(
        "[auth]\nhs256_secret = \"{SECRET}\"\n[providers.a]\naccess_key_secret = \"hunter2\""
    );
    let shown = format!("{:?}", load(&with_provider, &[]).unwrap());
    assert!(
        !shown.contains(SECRET) && !shown.contains("hunter2"),
        "{shown}"
    );
}

#[test]
fn an_unknown_key_is_named_with_line_and_nearest_key() {
    check(
        "[server]\nlisten = \"127.0.0.1:1\"\nrequest_timeout = 5",
        &[":3: server.request_timeout", "`request_timeout_ms`"],
    );
    check("[servers]\n", &[":1: servers", "`server`"]);
    check(
        "[auth]\nmode = \"disabled\"\n[cache]\n\n# max_age = 1\nmax_age = 1",
        &[":6: cache.max_age", "`max_age_s`"],
    );
    check("[log]\nzzz = 1", &[":2: log.zzz", "format, filter"]);
}

#[test]
fn a_wrong_type_or_value_is_named_without_the_value() {
    check(
        "[server]\nrequest_timeout_ms = \"hunter2\"",
        &[":2: server.request_timeout_ms", "expected u64"],
    );
    check(
        "[server]\nlisten = 5",
        &[":2: server.listen", "expected a string"],
    );
    check("[server]\nlisten = \"nowhere\"", &[":2: server.listen"]);
    check(
        "[server]\nrequest_timeout_ms = 0",
        &["server.request_timeout_ms"],
    );
    check("[auth]\nhs256_secret = 5", &["auth.hs256_secret"]);
    check("server = 5", &["server"]);
    check("[server\n", &[":1: is not valid TOML"]);
    check("[providers]\naliyun = 5", &["providers.aliyun"]);
    check("[providers.Aliyun]\n", &["providers.Aliyun", "a-z"]);
    check("[log]\nformat = \"xml\"", &["log.format"]);
    check("[cache]\nmax_age_s = 99999999", &["cache.max_age_s"]);
}

#[test]
fn secrets_are_given_once_and_long_enough() {
    check(
        "[auth]\nhs256_secret = \"hunter2\"",
        &["auth.hs256_secret", "at least 8"],
    );
    check(
        "[auth]\nhs256_secret_file = \"/no/such/file\"",
        &[":2: auth.hs256_secret_file", "/no/such/file"],
    );
    check(
        "[auth]\nhs256_secret = \"hunter2\"\nhs256_secret_file = \"/x\"",
        &["both given"],
    );
    check("[auth]\n", &["auth.hs256_secret_file"]);
    check("", &["auth.hs256_secret_file"]);
}

#[test]
fn an_empty_value_does_not_switch_a_check_off() {
    let file = format!("[auth]\nhs256_secret = \"{SECRET}\"");
    for (variable, key) in [
        ("OTA_GATEWAY__AUTH__ISSUER", "auth.issuer"),
        ("OTA_GATEWAY__AUTH__AUDIENCE", "auth.audience"),
    ] {
        let error = load(&file, &[(variable, "")]).unwrap_err().to_string();
        assert!(error.contains(key) && error.contains("is empty"), "{error}");
    }
}

#[test]
fn a_short_secret_is_warned_about() {
    let warning = |secret: &str| {
        load(&format!("[auth]\nhs256_secret = \"{secret}\""), &[])
            .unwrap()
            .auth
            .warning
    };
    assert!(warning("0123456789abcdef").unwrap().contains("16 bytes"));
    assert_eq!(warning(SECRET), None);
}

#[test]
fn access_control_is_disabled_on_loopback_only() {
    assert!(load("[auth]\nmode = \"disabled\"", &[]).is_ok());
    assert!(
        load(
            "[server]\nlisten = \"[::1]:0\"\n[auth]\nmode = \"disabled\"",
            &[]
        )
        .is_ok()
    );
    check(
        "[server]\nlisten = \"0.0.0.0:8080\"\n[auth]\nmode = \"disabled\"",
        &[":4: auth.mode", "loopback"],
    );
    check(
        "[auth]\nmode = \"none\"",
        &["auth.mode", "`jwt` or `disabled`"],
    );
}

#[test]
fn the_environment_goes_over_the_file() {
    let file = "[auth]\nmode = \"disabled\"\n[providers.aliyun-prod]\nvendor = \"alibaba-iot\"";
    let config = load(
        file,
        &[
            ("OTA_GATEWAY__SERVER__LISTEN", "127.0.0.1:9"),
            ("OTA_GATEWAY__CACHE__MAX_AGE_S", "7"),
            (
                "OTA_GATEWAY__PROVIDERS__ALIYUN_PROD__ACCESS_KEY_ID",
                "123456",
            ),
            ("OTA_GATEWAY__PROVIDERS__ALIYUN_PROD__LIMITS__CALLS", "3"),
            ("OTA_GATEWAY_CONFIG", "ignored here"),
            ("PATH", "/bin"),
        ],
    )
    .unwrap();
    assert_eq!(config.server.listen.port(), 9);
    assert_eq!(config.cache.max_age.as_secs(), 7);
    let mut section = config.providers.into_values().next().unwrap();
    assert_eq!(
        section.take_text("access_key_id").unwrap().as_deref(),
        Some("123456")
    );
    assert!(section.take_section("limits").unwrap().is_some());

    for (name, value, expected) in [
        (
            "OTA_GATEWAY__SERVER__LISTEM",
            "x",
            "environment variable OTA_GATEWAY__SERVER__LISTEM: server.listem",
        ),
        ("OTA_GATEWAY__CACHE__MAX_AGE_S", "soon", "a whole number"),
        ("OTA_GATEWAY__METRICS__ENABLED", "yes", "`true` or `false`"),
        ("OTA_GATEWAY__SERVER", "x", "SECTION__KEY"),
        ("OTA_GATEWAY__AUTH__MODE__X", "x", "not a section"),
    ] {
        let error = load(file, &[(name, value)]).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let error = Config::load(Some("/no/such.toml".as_ref()), [])
        .unwrap_err()
        .to_string();
    assert!(
        error.starts_with("/no/such.toml: cannot be read"),
        "{error}"
    );
}

#[test]
fn a_public_address_that_no_client_could_use_is_refused() {
    for wrong in [
        "",
        "/ota",
        "iot.example.com/ota",
        "ftp://iot.example.com",
        "https://",
        "https://user@iot.example.com",
        "https://iot.example.com/?a=b",
        "https://iot.example.com/#top",
        "https://iot.example.com/{ota}",
    ] {
        check(
            &format!("[server]\npublic_url = \"{wrong}\""),
            &[":2: server.public_url", "https://iot.example.com/ota"],
        );
    }
}
