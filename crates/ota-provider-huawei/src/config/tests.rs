use ota_core::provider::SettingErrors;
use serde_json::{Value, json};

use super::{Config, Settings};

fn config(mut change: Value) -> Result<Config, SettingErrors> {
    let mut settings = json!({
        "endpoint": "https://10.0.0.1:8743/", "app_id": "app-1", "secret": "s3cret-value",
        "ca_file": null,
    });
    settings
        .as_object_mut()
        .unwrap()
        .append(change.as_object_mut().unwrap());
    serde_json::from_value::<Settings>(settings)
        .unwrap()
        .into_config()
}

#[track_caller]
fn check(change: Value, key: &str, word: &str) {
    check_all(change, &[key], word);
}

#[track_caller]
fn check_all(change: Value, expected: &[&str], word: &str) {
    let error = config(change).unwrap_err();
    let keys: Vec<&str> = error.iter().map(|error| error.key).collect();
    assert_eq!(keys, expected, "{error}");
    assert!(error.to_string().contains(word), "{error}");
    assert!(!error.to_string().contains("s3cret-value"), "{error}");
}

#[test]
fn defaults_are_those_of_the_vendor() {
    let config = config(json!({})).unwrap();
    assert_eq!(config.connection.endpoint.base(), "https://10.0.0.1:8743");
    assert_eq!(config.app_key_header, "app_key");
    assert_eq!(config.account(), "huawei-iot https://10.0.0.1:8743 app-1");
    let tls = config.connection.tls.as_ref().unwrap();
    assert!(!tls.skip_hostname_verification);
    assert!(!format!("{config:?}").contains("s3cret-value"));
}

#[test]
fn the_platform_can_be_below_a_path() {
    let config = config(json!({"endpoint": "https://proxy.example.com/iot/"})).unwrap();
    let base = "https://proxy.example.com/iot";
    assert_eq!(config.connection.endpoint.base(), base);
    assert_eq!(config.account(), format!("huawei-iot {base} app-1"));
}

#[test]
fn plain_http_has_no_tls_and_is_for_loopback_only() {
    let config = config(json!({"endpoint": "http://127.0.0.1:9000"})).unwrap();
    assert!(config.connection.tls.is_none());
    check(
        json!({"endpoint": "http://10.0.0.1:9000"}),
        "endpoint",
        "allow_http",
    );
    let allowed = json!({"endpoint": "http://10.0.0.1:9000", "allow_http": true});
    assert!(
        super::tests::config(allowed)
            .unwrap()
            .connection
            .tls
            .is_none()
    );
}

#[test]
fn a_wrong_setting_is_named() {
    check(json!({"endpoint": null}), "endpoint", "missing");
    check(
        json!({"endpoint": "https://s3cret-value@h"}),
        "endpoint",
        "user info",
    );
    check(json!({"endpoint": "https://h//iocm"}), "endpoint", "path");
    check(json!({"endpoint": "https://h/?a=b"}), "endpoint", "query");
    check(json!({"endpoint": "https://h/#a"}), "endpoint", "fragment");
    check(json!({"app_id": null}), "app_id", "missing");
    check(json!({"app_id": "  "}), "app_id", "missing");
    check(json!({"app_id": "a\r\nb"}), "app_id", "characters");
    check(json!({"app_id": "a".repeat(257)}), "app_id", "256");
    check(
        json!({"secret": null}),
        "secret_file",
        "`secret_file` or `secret`",
    );
    check(json!({"secret_file": "/x"}), "secret", "both given");
    check(
        json!({"secret": null, "secret_file": "/no/such"}),
        "secret_file",
        "/no/such",
    );
    check(json!({"ca_file": "/no/such"}), "ca_file", "/no/such");
    check_all(
        json!({"client_cert_file": "/x"}),
        &["client_cert_file", "client_key_file"],
        "missing",
    );
    check_all(
        json!({"client_key_file": "/x"}),
        &["client_key_file", "client_cert_file"],
        "missing",
    );
    check_all(
        json!({"client_cert_file": "/no/such", "client_key_file": "/x", "app_id": null, "endpoint": "ftp://x"}),
        &["endpoint", "client_cert_file", "client_key_file", "app_id"],
        "/no/such",
    );
    check(
        json!({"server_name": "not a name"}),
        "server_name",
        "host name",
    );
    check(
        json!({"app_key_header": "app key"}),
        "app_key_header",
        "name of a header",
    );
    check(
        json!({"app_key_header": "Authorization"}),
        "app_key_header",
        "another meaning",
    );
}

#[test]
fn a_file_that_is_no_pem_is_named_without_its_content() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ca.pem");
    std::fs::write(&path, "s3cret-value").unwrap();
    check(json!({"ca_file": path}), "ca_file", "certificate");
    // Both files are of no use, and both are named in one run.
    let both = json!({"client_cert_file": path, "client_key_file": path});
    let error = config(both).unwrap_err();
    let keys: Vec<&str> = error.iter().map(|error| error.key).collect();
    assert_eq!(keys, ["client_cert_file", "client_key_file"]);
    assert!(!error.to_string().contains("s3cret-value"), "{error}");
}

#[test]
fn unknown_keys_are_refused() {
    let settings = serde_json::from_value::<Settings>(json!({"app_key": "x"}));
    assert!(
        settings
            .err()
            .unwrap()
            .to_string()
            .contains("app_key_header")
    );
}
