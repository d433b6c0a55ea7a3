use std::collections::BTreeSet;
use std::path::Path;

use ota_api::provider::Capabilities;
use ota_auth::{Algorithms, KeySource, Keys};
use ota_core::ErrorKind;

use super::{Options, advice, run, tokens};
use crate::config::Config;
use crate::vendors::{ADAPTERS, Vendor};

/// The keys that a vendor's settings know, as their own refusal of an unknown key lists them, and those that every provider has.
fn keys(vendor: &'static dyn Vendor) -> BTreeSet<String> {
    let section = toml::Table::from_iter([("no-such-key".to_owned(), true.into())]);
    let error = vendor.settings(section, &vendor.shared()).err();
    let text = error.expect("an unknown key is refused").to_string();
    let (_, known) = text.split_once("expected one of ").unwrap();
    let known = known.split('`').skip(1).step_by(2).map(str::to_owned);
    let limits = [
        "vendor",
        "limits.calls",
        "limits.timeout_ms",
        "limits.account",
    ];
    known.chain(limits.map(str::to_owned)).collect()
}

/// The Rust files below a folder.
fn sources(folder: &Path, found: &mut Vec<String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.file_name().is_some_and(|name| name != "tests.rs") {
            found.push(std::fs::read_to_string(path).unwrap());
        }
    }
}

/// The words in backticks that look like a key of a section.
fn named(text: &str) -> BTreeSet<String> {
    let words = text.split('`').skip(1).step_by(2);
    let key = |word: &str| {
        // `verify_hostname = false` names the key before the sign.
        let word = word.split(" = ").next()?.trim();
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "_.".contains(c);
        (word.contains(char::is_alphabetic) && word.chars().all(plain)).then(|| word.to_owned())
    };
    words.filter_map(key).collect()
}

/// Words in backticks of messages that are no keys: values, names of other programs, words of the vendor.
const NO_KEYS: &[&str] = &["acs3", "app_key", "command", "json", "keys", "rrsa", "xml"];

#[track_caller]
fn check(vendor: &str, keys: &BTreeSet<String>, text: &str) {
    for key in named(text) {
        let known = keys.contains(&key) || NO_KEYS.contains(&key.as_str());
        assert!(known, "`{key}` is no key of {vendor}: {text}");
    }
}

/// The texts of a source file, without its tests.
fn texts(source: &str) -> Vec<String> {
    let source = source.split("#[cfg(test)]").next().unwrap_or_default();
    let mut texts = Vec::new();
    for line in source
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"))
    {
        let mut rest = line;
        while let Some((_, after)) = rest.split_once('"') {
            let mut end = 0;
            let bytes = after.as_bytes();
            while end < bytes.len() && bytes[end] != b'"' {
                end += if bytes[end] == b'\\' { 2 } else { 1 };
            }
            texts.push(after[..end.min(after.len())].to_owned());
            rest = after.get(end + 1..).unwrap_or_default();
        }
    }
    texts
}

#[test]
fn every_key_that_an_advice_names_is_a_key_of_that_vendor() {
    let crates = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
    // The code that all adapters share: the connection, TLS, proxies, secrets.
    let shared = [
        include_str!("../../../../ota-http/src/client.rs"),
        include_str!("../../../../ota-http/src/proxy.rs"),
        include_str!("../../../../ota-http/src/endpoint.rs"),
        include_str!("../../../../ota-http/src/tls/mod.rs"),
        include_str!("../../../../ota-http/src/tls/settings.rs"),
        include_str!("../../../../ota-http/src/tls/identity.rs"),
    ];
    let names = ota_http::tls::KeyNames::PROVIDER;
    let names = [
        Some(names.ca_file),
        names.client_cert_file,
        names.client_key_file,
        names.server_name,
        names.verify_hostname,
        Some(names.endpoint),
    ];
    for adapter in ADAPTERS {
        let vendor = adapter.descriptor();
        let mut keys = keys(*adapter);
        for kind in ErrorKind::ALL {
            check(vendor.name, &keys, advice(*kind, vendor.name));
        }
        for name in names.into_iter().flatten() {
            assert!(keys.contains(name), "{}: {name}", vendor.name);
        }
        // Adapters name filters of requests too.
        let capabilities = Capabilities::from(&(vendor.capability)());
        let filters = capabilities.job_filters.into_keys();
        let filters = filters.chain(capabilities.task_filters.into_keys());
        keys.extend(filters.map(str::to_owned));
        let mut own = Vec::new();
        sources(&crates.join(vendor.crate_name).join("src"), &mut own);
        assert!(own.len() > 1, "{}", vendor.crate_name);
        for source in shared.into_iter().chain(own.iter().map(String::as_str)) {
            for text in texts(source) {
                check(vendor.name, &keys, &text);
            }
        }
    }
}

#[test]
fn the_check_of_advice_can_fail() {
    assert_eq!(
        named("set `ca_file`, or `verify_hostname = false`; run `curl -v` and `HTTPS_PROXY`"),
        BTreeSet::from(["ca_file".to_owned(), "verify_hostname".to_owned()])
    );
    let texts = texts("    \"set `nonsense_key` \\\"now\\\"\", other(\"x\")\n// \"`comment`\"");
    assert_eq!(texts, ["set `nonsense_key` \\\"now\\\"", "x"]);
    for adapter in ADAPTERS {
        assert!(!keys(*adapter).contains("nonsense_key"));
    }
}

/// Answers each request with this head and no body.
async fn answering(head: &'static str) -> String {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/keys", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = [0; 4096];
            let _ = stream.read(&mut request).await;
            let answer =
                format!("HTTP/1.1 {head}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
            let _ = stream.write_all(answer.as_bytes()).await;
            let _ = stream.shutdown().await;
        }
    });
    url
}

#[tokio::test]
async fn the_advice_about_keys_fits_what_is_wrong_with_them() {
    for (url, problem, advice) in [
        (
            answering("404 Not Found").await,
            "answered with status 404",
            "`jwks_uri`",
        ),
        (
            answering("302 Found\r\nlocation: http://127.0.0.1:1/").await,
            "check `auth.jwks_url`",
            "`jwks_uri`",
        ),
        (answering("200 OK").await, "the key set at", "`jwks_uri`"),
        (
            "http://127.0.0.1:1/keys".to_owned(),
            "cannot be reached",
            "DNS and firewall",
        ),
    ] {
        let client = ota_http::Client::new(&ota_http::Options {
            tls: None,
            max_body_bytes: 1024,
            connect_timeout: std::time::Duration::from_secs(5),
            direct: true,
        });
        let source = KeySource::JwksUrl {
            client: client.unwrap(),
            url,
            refresh: std::time::Duration::from_secs(300),
        };
        let keys = Keys::new(source, Algorithms::default()).unwrap();
        let address = keys.address().unwrap();
        let row = tokens(&keys, address, &ota_core::clock::SystemClock).await;
        let (found, given) = (row.problem.unwrap(), row.advice.unwrap());
        assert!(found.contains(problem), "{found}");
        assert!(
            !found.contains("vendor") && !given.contains("vendor"),
            "{found} {given}"
        );
        // The table contains only the problem; the advice is below it.
        assert!(
            !found.contains("curl") && given.contains(advice),
            "{found} {given}"
        );
        assert!(given.starts_with("no token can be verified: "), "{given}");
        assert!(!given.contains("jwks_ca_file"), "{given}");
    }
}

#[tokio::test]
async fn an_offline_check_without_providers_succeeds_as_a_start_does() {
    let mut file = tempfile::NamedTempFile::with_suffix(".toml").unwrap();
    let text = "[server]\nlisten = \"127.0.0.1:0\"\n[auth]\nmode = \"disabled\"\n";
    std::io::Write::write_all(&mut file, text.as_bytes()).unwrap();
    let config = Config::load(Some(file.path()), []).unwrap();
    for offline in [true, false] {
        let (table, ok) = run(&config, &Options { offline }).await.unwrap();
        assert_eq!(ok, offline);
        assert!(table.contains("(no providers are configured)"), "{table}");
    }
}
