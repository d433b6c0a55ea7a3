//! Huawei providers that share one login must agree on all that it is made with.

use std::path::Path;

use ota_gateway::assembly;
use ota_gateway::config::Config;

/// Returns what is said of a second provider with these lines beside a first one; both name one application at one platform.
fn second(folder: &Path, endpoint: &str, lines: &str) -> Result<(), String> {
    let text = format!(
        "[auth]\nhs256_secret = \"0123456789abcdef0123456789abcdef\"\n\
         [providers.first]\nvendor = \"huawei-iot\"\nendpoint = \"https://10.0.0.1:8743\"\napp_id = \"app\"\nsecret = \"first-value\"\n\
         [providers.second]\nvendor = \"huawei-iot\"\nendpoint = \"{endpoint}\"\napp_id = \"app\"\n{lines}"
    );
    let file = folder.join("config.toml");
    std::fs::write(&file, text).unwrap();
    let config = Config::load(Some(&file), []).map_err(|error| error.to_string())?;
    assembly::app(&config)
        .map(drop)
        .map_err(|error| error.to_string())
}

#[test]
fn providers_of_one_application_that_log_in_otherwise_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let signed = rcgen::generate_simple_self_signed(["iot.example".to_owned()]).unwrap();
    let ca = folder.path().join("ca.pem");
    let secret = folder.path().join("secret");
    std::fs::write(&ca, signed.cert.pem()).unwrap();
    std::fs::write(&secret, "first-value\n").unwrap();
    let same = "https://10.0.0.1:8743";
    let with = |line: &str| format!("secret = \"first-value\"\n{line}\n");
    for (key, lines) in [
        ("secret", "secret = \"other-value\"\n".to_owned()),
        (
            "secret_file",
            format!("secret_file = \"{}\"\n", secret.display()),
        ),
        ("ca_file", with(&format!("ca_file = \"{}\"", ca.display()))),
        ("server_name", with("server_name = \"iot.example\"")),
        ("verify_hostname", with("verify_hostname = false")),
        ("app_key_header", with("app_key_header = \"x-app-key\"")),
    ] {
        let error = second(folder.path(), same, &lines).unwrap_err();
        for part in [&format!("providers.second.{key}"), "provider `first`"] {
            assert!(error.contains(part), "{part}: {error}");
        }
        assert!(!error.contains("-value"), "{error}");
        // At another platform it is another application.
        second(folder.path(), "https://10.0.0.2:8743", &lines).unwrap();
    }
    second(folder.path(), same, &with("")).unwrap();
    second(folder.path(), same, &with("verify_hostname = true")).unwrap();
}
