//! `config.example.toml` shows every key with its default.

use std::collections::BTreeSet;
use std::path::Path;

use ota_gateway::assembly;
use ota_gateway::config::Config;
use toml::{Table, Value};

const EXAMPLE: &str = include_str!("../../../../config.example.toml");

/// Keys that stand in a comment because only one of each pair may be given.
const ALTERNATIVES: &[&str] = &[
    "hs256_secret",
    "margin_ms",
    "public_key_file",
    "jwks_file",
    "jwks_url",
    "jwks_refresh_s",
    "jwks_ca_file",
    "jwks_allow_http",
    "algorithm",
    "otlp_endpoint",
    "otlp_authorization_file",
    "access_key_id_file",
    "access_key_secret",
    "security_token",
    "secret",
    "ecs_ram_role",
    "ecs_metadata_endpoint",
    "role_arn",
    "oidc_provider_arn",
    "oidc_token_file",
    "sts_endpoint",
    "credentials_command",
];

/// Writes the secret and PEM files that the example names and points the example at them.
fn runnable(folder: &Path) -> String {
    let signed = rcgen::generate_simple_self_signed(["iot.example.com".to_owned()]).unwrap();
    let mut text = EXAMPLE.to_owned();
    for (path, content) in [
        (
            "/run/secrets/jwt",
            "0123456789abcdef0123456789abcdef".to_owned(),
        ),
        ("/run/secrets/aliyun-sts", "token-value".to_owned()),
        ("/run/secrets/aliyun", "secret-value".to_owned()),
        (
            "/run/secrets/huawei-client-key",
            signed.signing_key.serialize_pem(),
        ),
        ("/run/secrets/huawei", "secret-value".to_owned()),
        (
            "/run/secrets/aliyun-client-key",
            signed.signing_key.serialize_pem(),
        ),
        ("/etc/ota-gateway/proxy-ca.pem", signed.cert.pem()),
        ("/etc/ota-gateway/aliyun-client.pem", signed.cert.pem()),
        ("/etc/ota-gateway/tls.pem", signed.cert.pem()),
        ("/run/secrets/tls-key", signed.signing_key.serialize_pem()),
        ("/etc/ota-gateway/huawei-ca.pem", signed.cert.pem()),
        ("/etc/ota-gateway/huawei-client.pem", signed.cert.pem()),
    ] {
        let file = folder.join(path.replace('/', "_"));
        std::fs::write(&file, content).unwrap();
        text = text.replace(&format!("\"{path}\""), &format!("\"{}\"", file.display()));
    }
    text
}

fn load(text: &str, folder: &Path) -> Result<ota_gateway::state::App, String> {
    let file = folder.join("gateway.toml");
    std::fs::write(&file, text).unwrap();
    let config = Config::load(Some(&file), []).map_err(|error| error.to_string())?;
    assembly::app(&config).map_err(|error| error.to_string())
}

#[test]
fn the_example_is_a_configuration() {
    let folder = tempfile::tempdir().unwrap();
    let app = load(&runnable(folder.path()), folder.path()).unwrap();
    let names: Vec<_> = app
        .fleet()
        .members()
        .map(|member| member.provider().name().to_string())
        .collect();
    assert_eq!(names, ["aliyun-prod", "huawei-nb"]);
}

/// Asks the code for the keys of a section by giving it one that no section has.
fn known_keys(section: &str, folder: &Path) -> BTreeSet<String> {
    let mut table: Table = runnable(folder).parse().unwrap();
    let mut at = &mut table;
    for name in section.split('.') {
        at = at.get_mut(name).unwrap().as_table_mut().unwrap();
    }
    at.insert("qqqqqq".to_owned(), Value::Boolean(true));
    let error = load(&toml_text(&table), folder).unwrap_err();
    let (_, keys) = error
        .split_once("known here are ")
        .unwrap_or_else(|| panic!("{error}"));
    keys.split(", ").map(str::to_owned).collect()
}

/// Writes a table of the kinds of values that the example has.
fn toml_text(table: &Table) -> String {
    fn write(path: &str, table: &Table, text: &mut String) {
        if !path.is_empty() {
            text.push_str(&format!("[{path}]\n"));
        }
        for (key, value) in table.iter().filter(|(_, value)| !value.is_table()) {
            let value = match value {
                Value::String(content) => format!("'{content}'"),
                Value::Integer(number) => number.to_string(),
                Value::Boolean(flag) => flag.to_string(),
                Value::Float(number) => format!("{number:?}"),
                Value::Array(items) => {
                    let texts = items
                        .iter()
                        .map(|item| format!("'{}'", item.as_str().unwrap()));
                    format!("[{}]", texts.collect::<Vec<_>>().join(", "))
                }
                other => panic!("{key}: {other:?}"),
            };
            text.push_str(&format!("{key} = {value}\n"));
        }
        for (key, value) in table {
            if let Value::Table(inner) = value {
                let path = if path.is_empty() {
                    key.clone()
                } else {
                    format!("{path}.{key}")
                };
                write(&path, inner, text);
            }
        }
    }
    let mut text = String::new();
    write("", table, &mut text);
    text
}

#[test]
fn the_example_shows_every_key_and_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let example: Table = EXAMPLE.parse().unwrap();
    for section in [
        "server",
        "auth",
        "cache",
        "metrics",
        "log",
        "telemetry",
        "providers.aliyun-prod",
        "providers.aliyun-prod.limits",
        "providers.huawei-nb",
        "providers.huawei-nb.limits",
    ] {
        let table = section
            .split('.')
            .fold(&example, |table, name| table[name].as_table().unwrap());
        let shown: BTreeSet<String> = table
            .keys()
            .filter(|key| !["vendor", "limits"].contains(&key.as_str()))
            .cloned()
            .collect();
        let mut known = known_keys(section, folder.path());
        for key in ALTERNATIVES {
            assert!(
                !known.remove(*key)
                    || EXAMPLE.contains(&format!("Or: {key} = "))
                    || EXAMPLE.contains(&format!("\n# {key} = ")),
                "{key}"
            );
        }
        assert_eq!(shown, known, "[{section}]");
    }
}

#[test]
fn the_example_shows_the_defaults() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("gateway.toml");
    std::fs::write(&file, runnable(folder.path())).unwrap();
    let mut example = Config::load(Some(&file), []).unwrap();
    // Files that it names have no default.
    assert!(example.server.tls.take().is_some());
    assert!(example.server.public_url.take().is_some());
    let default = Config::load(
        None,
        [(
            "OTA_GATEWAY__AUTH__HS256_SECRET".to_owned(),
            "0123456789abcdef0123456789abcdef".to_owned(),
        )],
    )
    .unwrap();
    let shown = |config: &Config| {
        format!(
            "{:?} {:?} {:?} {:?} {:?} {:?}",
            config.server,
            (
                config.auth.audience(),
                &config.auth.rules.names,
                &config.auth.rules.scope_map,
                config.auth.rules.requires_providers,
                config.auth.rules.max_token_bytes,
            ),
            config.cache,
            config.metrics,
            config.log,
            config.telemetry
        )
    };
    assert_eq!(shown(&example), shown(&default));
}

#[test]
fn each_place_of_keys_in_a_comment_can_be_used_in_place_of_the_secret() {
    let folder = tempfile::tempdir().unwrap();
    let fixtures = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/fixtures/jwt");
    let text = runnable(folder.path());
    let without_secret: String = text
        .lines()
        .filter(|line| !line.starts_with("hs256_secret_file"))
        .map(|line| format!("{line}\n"))
        .collect();
    for keys in [
        &["public_key_file", "algorithm"][..],
        &["jwks_file"],
        &["jwks_url", "jwks_refresh_s"],
    ] {
        let mut text = without_secret.clone();
        for key in keys {
            let (before, after) = text.split_once(&format!("\n# {key} = ")).unwrap();
            text = format!("{before}\n{key} = {after}");
        }
        let text = text
            .replace(
                "/etc/ota-gateway/issuer.pem",
                &format!("{fixtures}/rs256.pem"),
            )
            .replace(
                "/etc/ota-gateway/jwks.json",
                &format!("{fixtures}/jwks.json"),
            );
        load(&text, folder.path()).unwrap_or_else(|error| panic!("{keys:?}: {error}"));
    }
}
