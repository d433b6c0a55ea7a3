//! `[auth]`

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::http::Uri;
use ota_auth::{
    Algorithms, ClaimNames, KNOWN_SCOPES, KeyKind, KeySource, Keys, Rules, unknown_scope,
};
use ota_http::endpoint::Endpoint;
use ota_http::file::{self, MAX_PEM_BYTES};
use ota_http::tls::{KeyNames, TlsOptions};
use ota_http::{Client, Options, SecretSource};
use serde::Deserialize;

use super::error::ConfigError;
use super::mistakes::Mistakes;
use super::section::{self, Section};
use super::server::ServerParts;

/// The `aud` of tokens unless configured otherwise.
const DEFAULT_AUDIENCE: &str = "ota-gateway";

/// The largest answer of a key server that is read, in bytes.
const MAX_JWKS_BYTES: usize = 256 * 1024;

/// The longest token that is read unless configured otherwise, in bytes. Entra ID puts up to 200 groups into one.
const DEFAULT_TOKEN_BYTES: usize = 32 * 1024;

/// The lowest useful limit of a token's length, in bytes.
const MIN_TOKEN_BYTES: usize = 1024;

/// What advice about the connection to a key server may name: nothing else can be set there.
const TLS_KEYS: KeyNames = KeyNames {
    ca_file: "auth.jwks_ca_file",
    client_cert_file: None,
    client_key_file: None,
    server_name: None,
    verify_hostname: None,
    endpoint: "auth.jwks_url",
};

/// Who may call.
#[derive(Debug)]
pub struct AuthConfig {
    /// How callers are identified.
    pub mode: AuthMode,
    /// The claims that tokens must have.
    pub rules: Rules,
    /// Warnings for the operator: settings that are valid but deserve attention.
    pub warnings: Vec<String>,
}

/// How callers are identified.
#[derive(Debug)]
pub enum AuthMode {
    /// By a token signed with this HS256 secret.
    Hs256(Arc<SecretSource>, Arc<Keys>),
    /// By a token signed with a private key whose public key is known.
    PublicKeys(Arc<Keys>),
    /// Not at all; on a loopback address only.
    Disabled,
}

impl AuthConfig {
    /// Returns the keys that tokens are verified with.
    #[must_use]
    pub fn keys(&self) -> Option<&Arc<Keys>> {
        match &self.mode {
            AuthMode::Hs256(_, keys) | AuthMode::PublicKeys(keys) => Some(keys),
            AuthMode::Disabled => None,
        }
    }

    /// Returns the `iss` of tokens that the gateway signs itself.
    #[must_use]
    pub fn issuer(&self) -> Option<&str> {
        self.rules.issuers.first().map(String::as_str)
    }

    /// Returns the audience of tokens that the gateway signs itself.
    #[must_use]
    pub fn audience(&self) -> Option<&str> {
        self.rules.audiences.first().map(String::as_str)
    }
}

/// One text, or a list of them.
#[derive(Clone, Debug, Deserialize)]
#[serde(
    untagged,
    expecting = "has the wrong type, expected a text or a list of texts"
)]
enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

impl From<OneOrMany> for Vec<String> {
    fn from(given: OneOrMany) -> Self {
        match given {
            OneOrMany::One(text) => vec![text],
            OneOrMany::Many(texts) => texts,
        }
    }
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Raw {
    mode: Option<String>,
    issuer: Option<OneOrMany>,
    audience: Option<OneOrMany>,
    audience_claim: Option<String>,
    scope_claims: Option<OneOrMany>,
    scope_map: BTreeMap<String, OneOrMany>,
    providers_claim: Option<String>,
    require_providers_claim: bool,
    max_token_bytes: Option<usize>,
    algorithm: Option<OneOrMany>,
    hs256_secret: Option<String>,
    hs256_secret_file: Option<PathBuf>,
    public_key_file: Option<PathBuf>,
    jwks_file: Option<PathBuf>,
    jwks_url: Option<String>,
    jwks_refresh_s: Option<u64>,
    jwks_ca_file: Option<PathBuf>,
    jwks_allow_http: bool,
}

/// The keys that say where keys come from.
const SOURCES: &str = "`hs256_secret_file`, `public_key_file`, `jwks_file`, `jwks_url`";

/// All keys that decide whether a source of keys is missing.
const SOURCE_KEYS: &[&str] = &[
    "mode",
    "hs256_secret",
    "hs256_secret_file",
    "public_key_file",
    "jwks_file",
    "jwks_url",
];

pub(super) fn keys() -> Vec<String> {
    section::keys_of::<Raw>()
}

/// Reads the section. `server` determines whether access may be disabled and how long a token may be; checks of missing parts are skipped.
pub(super) fn read(section: Section, server: &ServerParts) -> Result<AuthConfig, ConfigError> {
    let (raw, mut mistakes): (Raw, _) = section.clone().read()?;
    let secret = SecretSource::from_settings(
        "hs256_secret",
        raw.hs256_secret.clone(),
        "hs256_secret_file",
        raw.hs256_secret_file.clone(),
    )
    .unwrap_or_else(|error| {
        mistakes.setting(&error);
        None
    });
    let mode = mode(&section, &raw, secret, server, &mut mistakes);
    let rules = rules(&section, &raw, server, &mut mistakes);
    mistakes.finish(|| {
        let mode = mode?;
        Some(AuthConfig {
            warnings: warnings(&mode, &raw),
            mode,
            rules: rules?,
        })
    })
}

fn warnings(mode: &AuthMode, raw: &Raw) -> Vec<String> {
    let mut warnings = Vec::new();
    if let AuthMode::PublicKeys(keys) = mode
        && raw.jwks_allow_http
        && let Some(address) = keys.address()
        && address.starts_with("http://")
        && !keys.on_this_machine()
    {
        warnings.push(format!(
            "the keys that tokens are verified with come over http (auth.jwks_allow_http): anyone who can change the response of {address} on the network can grant access"
        ));
    }
    warnings
}

/// Returns the texts of a key that takes one or a list; in a variable of the environment they have commas between them.
///
/// An unset variable often results in an empty value; it must not disable a check.
fn several(
    section: &Section,
    key: &str,
    given: Option<&OneOrMany>,
    mistakes: &mut Mistakes,
) -> Option<Vec<String>> {
    let variable = section.origin.variable(&format!("auth.{key}"));
    let texts: Vec<String> = match given.cloned()? {
        OneOrMany::One(text) if variable.is_some() => {
            text.split(',').map(|part| part.trim().to_owned()).collect()
        }
        given => given.into(),
    };
    if texts.is_empty() || texts.iter().any(|text| text.trim().is_empty()) {
        mistakes.add(key, "is empty; give a value or leave the key out");
        return None;
    }
    Some(texts)
}

/// Reads the claims that tokens must have.
fn rules(
    section: &Section,
    raw: &Raw,
    server: &ServerParts,
    mistakes: &mut Mistakes,
) -> Option<Rules> {
    let usual = ClaimNames::default();
    let issuers = several(section, "issuer", raw.issuer.as_ref(), mistakes);
    let audiences = several(section, "audience", raw.audience.as_ref(), mistakes);
    let scopes = several(section, "scope_claims", raw.scope_claims.as_ref(), mistakes);
    for (key, given) in [
        ("audience_claim", &raw.audience_claim),
        ("providers_claim", &raw.providers_claim),
    ] {
        if given.as_ref().is_some_and(|name| name.trim().is_empty()) {
            mistakes.add(key, "is empty; give a value or leave the key out");
        }
    }
    if raw.audience_claim.is_some() && raw.audience.is_none() {
        mistakes.add(
            "audience_claim",
            "needs `audience` beside it: the values of this claim that are taken",
        );
    }
    let scope_map = scope_map(raw, mistakes);
    let max_token_bytes = max_token_bytes(raw, server, mistakes);
    let name = |given: &Option<String>| given.as_deref().map(|name| name.trim().to_owned());
    Some(Rules {
        issuers: issuers.unwrap_or_default(),
        requires_audience: audiences.is_some(),
        audiences: audiences.unwrap_or_else(|| vec![DEFAULT_AUDIENCE.to_owned()]),
        names: ClaimNames {
            scopes: scopes.unwrap_or(usual.scopes),
            providers: name(&raw.providers_claim).unwrap_or(usual.providers),
            audience: name(&raw.audience_claim).unwrap_or(usual.audience),
        },
        scope_map,
        requires_providers: raw.require_providers_claim,
        max_token_bytes: max_token_bytes?,
    })
}

/// Reads the mapping from names of the identity provider to scopes.
fn scope_map(raw: &Raw, mistakes: &mut Mistakes) -> BTreeMap<String, Vec<String>> {
    let mut map = BTreeMap::new();
    for (name, scopes) in &raw.scope_map {
        let scopes: Vec<String> = Vec::from(scopes.clone())
            .iter()
            .flat_map(|text| text.split_whitespace())
            .map(str::to_owned)
            .collect();
        let key = format!("scope_map.{name}");
        let known = |scope: &&String| !KNOWN_SCOPES.contains(&scope.as_str());
        if let Some(unknown) = scopes.iter().find(known) {
            mistakes.add(&key, unknown_scope(unknown));
        } else if scopes.is_empty() {
            let known = KNOWN_SCOPES.join(" or ");
            mistakes.add(&key, format_args!("is empty; give {known}"));
        }
        map.insert(name.clone(), scopes);
    }
    map
}

fn max_token_bytes(raw: &Raw, server: &ServerParts, mistakes: &mut Mistakes) -> Option<usize> {
    let head = server.max_header_bytes.unwrap_or(usize::MAX);
    match raw.max_token_bytes {
        None => return Some(DEFAULT_TOKEN_BYTES.min(head)),
        Some(bytes) if bytes > head => mistakes.add(
            "max_token_bytes",
            format_args!(
                "is {bytes}, and a whole head may have {head} bytes (`server.max_header_bytes`); lower it or raise that"
            ),
        ),
        Some(bytes) if bytes < MIN_TOKEN_BYTES => mistakes.add(
            "max_token_bytes",
            format_args!("is a number of bytes from {MIN_TOKEN_BYTES} to `server.max_header_bytes`"),
        ),
        Some(bytes) => return Some(bytes),
    }
    None
}

/// Reads the algorithms that public keys may be used with.
fn algorithms(section: &Section, raw: &Raw, mistakes: &mut Mistakes) -> Algorithms {
    let names = several(section, "algorithm", raw.algorithm.as_ref(), mistakes);
    let mut kinds = Vec::new();
    for name in names.into_iter().flatten() {
        match KeyKind::public_by_name(&name) {
            Some(kind) => kinds.push(kind),
            None => mistakes.add(
                "algorithm",
                format_args!(
                    "`{name}` is not taken with public keys; use one or several of {}",
                    KeyKind::names(&KeyKind::PUBLIC)
                ),
            ),
        }
    }
    Algorithms::only(kinds)
}

fn has_secret(raw: &Raw) -> bool {
    raw.hs256_secret.is_some() || raw.hs256_secret_file.is_some()
}

/// Returns the key by which a secret is given.
fn secret_key(raw: &Raw) -> &'static str {
    match raw.hs256_secret {
        Some(_) => "hs256_secret",
        None => "hs256_secret_file",
    }
}

fn mode(
    section: &Section,
    raw: &Raw,
    secret: Option<SecretSource>,
    server: &ServerParts,
    mistakes: &mut Mistakes,
) -> Option<AuthMode> {
    let given: Vec<&str> = [
        (secret_key(raw), has_secret(raw)),
        ("public_key_file", raw.public_key_file.is_some()),
        ("jwks_file", raw.jwks_file.is_some()),
        ("jwks_url", raw.jwks_url.is_some()),
    ]
    .into_iter()
    .filter_map(|(key, given)| given.then_some(key))
    .collect();
    match (raw.mode.as_deref().unwrap_or("jwt"), given.as_slice()) {
        ("jwt", []) => mistakes.missing(
            "hs256_secret_file",
            SOURCE_KEYS,
            format_args!("is missing; give one of {SOURCES}, or set `mode = \"disabled\"` on a loopback address"),
        ),
        ("jwt", [_]) => return jwt(section, raw, secret, mistakes),
        ("jwt", [_, second, ..]) => mistakes.add(
            second,
            format_args!("is given beside `{}`; give one of {SOURCES}", given[0]),
        ),
        ("disabled", []) => match server.listen {
            Some(listen) if !listen.ip().is_loopback() => mistakes.add(
                "mode",
                format_args!(
                    "`disabled` is allowed on a loopback address only, and server.listen is {listen}{}; use `jwt`",
                    section.origin.hint("server.listen")
                ),
            ),
            _ => return Some(AuthMode::Disabled),
        },
        ("disabled", _) => mistakes.add(
            "mode",
            "is `disabled`, yet a secret or a key is given; remove one of them",
        ),
        (other, _) => mistakes.add(
            "mode",
            format_args!("`{other}` is not known; use `jwt` or `disabled`"),
        ),
    }
    None
}

fn jwt(
    section: &Section,
    raw: &Raw,
    secret: Option<SecretSource>,
    mistakes: &mut Mistakes,
) -> Option<AuthMode> {
    if raw.jwks_url.is_none() {
        for (key, given) in [
            ("jwks_refresh_s", raw.jwks_refresh_s.is_some()),
            ("jwks_ca_file", raw.jwks_ca_file.is_some()),
            ("jwks_allow_http", raw.jwks_allow_http),
        ] {
            if given {
                mistakes.add(key, "means something only beside `jwks_url`; remove it");
            }
        }
    }
    if has_secret(raw) {
        let named = several(section, "algorithm", raw.algorithm.as_ref(), mistakes);
        if named.into_iter().flatten().any(|name| name != "HS256") {
            mistakes.add("algorithm", "a secret is for `HS256` only");
        }
        let secret = Arc::new(secret?);
        let keys = Keys::new(
            KeySource::Secret(Arc::clone(&secret)),
            Algorithms::default(),
        )
        .map_err(|error| mistakes.add(secret_key(raw), error))
        .ok()?;
        return Some(AuthMode::Hs256(secret, Arc::new(keys)));
    }
    let allowed = algorithms(section, raw, mistakes);
    let (key, source) = if let Some(path) = &raw.public_key_file {
        ("public_key_file", KeySource::PemFile(path.clone()))
    } else if let Some(path) = &raw.jwks_file {
        ("jwks_file", KeySource::JwksFile(path.clone()))
    } else {
        ("jwks_url", jwks_url(raw, mistakes)?)
    };
    let keys = Keys::new(source, allowed)
        .map_err(|error| mistakes.add(key, error))
        .ok()?;
    Some(AuthMode::PublicKeys(Arc::new(keys)))
}

fn jwks_url(raw: &Raw, mistakes: &mut Mistakes) -> Option<KeySource> {
    let url = raw.jwks_url.clone()?;
    let seconds = mistakes.range(
        "jwks_refresh_s",
        "seconds",
        raw.jwks_refresh_s.unwrap_or(300),
        1..=86_400,
    );
    let ca_pem = raw.jwks_ca_file.as_ref().and_then(|path| {
        file::read(path, MAX_PEM_BYTES)
            .map(|pem| pem.to_vec())
            .map_err(|error| mistakes.add("jwks_ca_file", error))
            .ok()
    });
    // An attacker who can change the response in transit can grant access to anyone.
    let parsed: Option<Uri> = url.parse().ok();
    let origin = parsed.as_ref().and_then(|uri| {
        let (scheme, host) = (uri.scheme_str()?, uri.authority()?);
        Some(format!("{scheme}://{host}"))
    });
    let endpoint = origin
        .ok_or_else(|| "is not a URL such as https://id.example.com/jwks.json".to_owned())
        .and_then(|origin| {
            Endpoint::parse(&origin, raw.jwks_allow_http).map_err(|error| match error.contains("is not encrypted") {
                true => "is not encrypted: anyone who can change the keys on the network can grant access; use https, or set `jwks_allow_http = true` if the network is trusted (the same cluster)".to_owned(),
                false => error,
            })
        })
        .map_err(|error| mistakes.add("jwks_url", error))
        .ok()?;
    let options = Options {
        tls: endpoint.is_https().then(|| TlsOptions {
            ca_pem,
            keys: TLS_KEYS,
            ..TlsOptions::default()
        }),
        max_body_bytes: MAX_JWKS_BYTES,
        connect_timeout: Duration::from_secs(5),
        direct: endpoint.is_loopback(),
    };
    let client = Client::new(&options)
        .map_err(|error| mistakes.add("jwks_ca_file", error))
        .ok()?;
    Some(KeySource::JwksUrl {
        client,
        url,
        refresh: Duration::from_secs(seconds?),
    })
}
