//! `config.example.toml` shows every key with its default.

use std::collections::BTreeSet;
use std::path::Path;

use ota_gateway::config::{Config, example};
use ota_gateway::{assembly, vendors};
use toml::{Table, Value};

const EXAMPLE: &str = include_str!("../../../../config.example.toml");

/// Writes the secret and PEM files that the example names and points the example at them. What a file holds is told by its key.
fn runnable(folder: &Path) -> String {
    let signed = rcgen::generate_simple_self_signed(["iot.example.com".to_owned()]).unwrap();
    let mut text = String::new();
    for (number, line) in EXAMPLE.lines().enumerate() {
        let named = line
            .split_once("_file = \"")
            .filter(|_| !line.starts_with('#'));
        let path = named.and_then(|(key, rest)| Some((key, rest.split_once('"')?.0)));
        let Some((key, path)) = path else {
            text.push_str(line);
            text.push('\n');
            continue;
        };
        let content = match key {
            _ if key.ends_with("_cert") || key == "ca" => signed.cert.pem(),
            _ if key.ends_with("_key") => signed.signing_key.serialize_pem(),
            _ => "0123456789abcdef0123456789abcdef".to_owned(),
        };
        let file = folder.join(number.to_string());
        std::fs::write(&file, content).unwrap();
        text.push_str(&line.replacen(path, &file.display().to_string(), 1));
        text.push('\n');
    }
    text
}

fn load(text: &str, folder: &Path) -> Result<ota_gateway::state::App, String> {
    let file = folder.join("gateway.toml");
    std::fs::write(&file, text).unwrap();
    let config = Config::load(Some(&file), []).map_err(|error| error.to_string())?;
    assembly::app(&config).map_err(|error| error.to_string())
}

/// The sections of providers that the example has.
fn providers() -> Table {
    let example: Table = EXAMPLE.parse().unwrap();
    example["providers"].as_table().unwrap().clone()
}

#[test]
fn the_example_is_what_the_code_generates() {
    assert!(EXAMPLE == example(), "run `cargo xtask config`");
}

#[test]
fn the_example_is_a_configuration_with_one_provider_of_each_vendor() {
    let folder = tempfile::tempdir().unwrap();
    let app = load(&runnable(folder.path()), folder.path()).unwrap();
    let built: Vec<_> = app
        .fleet()
        .members()
        .map(|member| member.provider().name().to_string())
        .collect();
    let shown = providers();
    assert_eq!(built, shown.keys().cloned().collect::<Vec<_>>());
    let shown: BTreeSet<&str> = shown
        .values()
        .map(|section| section["vendor"].as_str().unwrap())
        .collect();
    assert_eq!(shown, vendors::names().into_iter().collect());
    assert_eq!(shown.len(), vendors::ADAPTERS.len());
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

/// Returns the text of a section of the example, comments included.
fn text_of(section: &str) -> &'static str {
    let (_, text) = EXAMPLE.split_once(&format!("\n[{section}]")).unwrap();
    text.split_once("\n[").map_or(text, |(text, _)| text)
}

#[test]
fn the_example_shows_every_key_and_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let example: Table = EXAMPLE.parse().unwrap();
    let own = [
        "server",
        "auth",
        "cache",
        "mirror",
        "metrics",
        "log",
        "telemetry",
    ]
    .map(str::to_owned);
    let of_providers = providers();
    let of_providers = of_providers.iter().flat_map(|(name, section)| {
        // A vendor that reports all of them has no such section.
        let fields = section.get("fields");
        let fields = fields.map(|_| format!("providers.{name}.fields"));
        [
            format!("providers.{name}"),
            format!("providers.{name}.limits"),
        ]
        .into_iter()
        .chain(fields)
    });
    for section in own.into_iter().chain(of_providers) {
        let table = section
            .split('.')
            .fold(&example, |table, name| table[name].as_table().unwrap());
        let shown: BTreeSet<String> = table
            .keys()
            .filter(|key| !["vendor", "limits", "mirror", "fields"].contains(&key.as_str()))
            .cloned()
            .collect();
        let mut known = known_keys(&section, folder.path());
        // One that another one excludes, or that has no default, is in a comment of its section.
        let text = text_of(&section);
        known.retain(|key| {
            shown.contains(key)
                || !(text.contains(&format!("Or: {key} = "))
                    || text.contains(&format!("\n# {key} = ")))
        });
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
            "{:?} {:?} {:?} {:?} {:?} {:?} {:?}",
            config.server,
            (
                config.auth.audience(),
                &config.auth.rules.names,
                &config.auth.rules.scope_map,
                config.auth.rules.requires_providers,
                config.auth.rules.max_token_bytes,
            ),
            config.cache,
            (&config.mirror, config.mirror.database_url.expose_secret()),
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
