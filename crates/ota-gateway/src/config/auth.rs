//! `[auth]`

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::http::Uri;
use ota_http::endpoint::Endpoint;
use ota_http::tls::TlsOptions;
use ota_http::{Client, Options, SecretSource};
use serde::Deserialize;

use super::{ConfigError, Mistakes, Section, ServerConfig};
use crate::auth::{KeyKind, KeySource, Keys, Rules};

/// The shortest HS256 secret that is not warned about: RFC 7518 asks for as many bits as the hash has.
const GOOD_SECRET_BYTES: usize = 32;

/// The `aud` of tokens unless configured otherwise.
const DEFAULT_AUDIENCE: &str = "ota-gateway";

/// The largest answer of a key server that is read, in bytes.
const MAX_JWKS_BYTES: usize = 256 * 1024;

/// Who may call.
#[derive(Debug)]
pub struct AuthConfig {
    /// How callers are known.
    pub mode: AuthMode,
    /// The `iss` that tokens must have; any when absent.
    pub issuer: Option<String>,
    /// The `aud` of tokens for this gateway; a token for somebody else is refused.
    pub audience: Option<String>,
    /// Whether a token must have an `aud`: when it was configured, and not only a default.
    pub requires_audience: bool,
    /// What an operator should know, though it is no mistake.
    pub warning: Option<String>,
}

/// How callers are known.
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

    /// Returns what tokens must say.
    #[must_use]
    pub fn rules(&self) -> Rules {
        Rules {
            issuer: self.issuer.clone(),
            audience: self.audience.clone(),
            requires_audience: self.requires_audience,
        }
    }
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Raw {
    mode: Option<String>,
    issuer: Option<String>,
    audience: Option<String>,
    algorithm: Option<String>,
    hs256_secret: Option<String>,
    hs256_secret_file: Option<PathBuf>,
    public_key_file: Option<PathBuf>,
    jwks_file: Option<PathBuf>,
    jwks_url: Option<String>,
    jwks_refresh_s: Option<u64>,
    jwks_ca_file: Option<PathBuf>,
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

/// Reads the section. `server` is there to know whether access may be disabled; without it, that is not judged.
pub(super) fn read(
    section: Section,
    server: Option<&ServerConfig>,
) -> Result<AuthConfig, ConfigError> {
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
    // An empty value is what an unset variable leaves behind; it must not switch a check off.
    for (key, empty) in [
        ("issuer", raw.issuer.as_deref() == Some("")),
        ("audience", raw.audience.as_deref() == Some("")),
    ] {
        if empty {
            mistakes.add(key, "is empty; give a value or leave the key out");
        }
    }
    let mode = mode(&section, &raw, secret, server, &mut mistakes);
    mistakes.finish(|| {
        let mode = mode?;
        Some(AuthConfig {
            warning: warning(&mode),
            mode,
            issuer: raw.issuer,
            requires_audience: raw.audience.is_some(),
            audience: Some(raw.audience.unwrap_or_else(|| DEFAULT_AUDIENCE.to_owned())),
        })
    })
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
    server: Option<&ServerConfig>,
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
        ("jwt", [_]) => return jwt(raw, secret, mistakes),
        ("jwt", [_, second, ..]) => mistakes.add(
            second,
            format_args!("is given beside `{}`; give one of {SOURCES}", given[0]),
        ),
        ("disabled", []) => match server.map(|server| server.listen) {
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

fn warning(mode: &AuthMode) -> Option<String> {
    let AuthMode::Hs256(secret, _) = mode else {
        return None;
    };
    let bytes = secret.read().ok()?.expose_secret().len();
    (bytes < GOOD_SECRET_BYTES).then(|| {
        format!("the HS256 secret has {bytes} bytes and can be guessed from a token; use {GOOD_SECRET_BYTES} or more (for instance `openssl rand -hex 32`)")
    })
}

fn jwt(raw: &Raw, secret: Option<SecretSource>, mistakes: &mut Mistakes) -> Option<AuthMode> {
    if raw.jwks_url.is_none() {
        for (key, given) in [
            ("jwks_refresh_s", raw.jwks_refresh_s.is_some()),
            ("jwks_ca_file", raw.jwks_ca_file.is_some()),
        ] {
            if given {
                mistakes.add(key, "means something only beside `jwks_url`; remove it");
            }
        }
    }
    if has_secret(raw) {
        if raw.algorithm.as_deref().is_some_and(|name| name != "HS256") {
            mistakes.add("algorithm", "a secret is for `HS256` only");
        }
        let secret = Arc::new(secret?);
        let keys = Keys::new(KeySource::Secret(Arc::clone(&secret)), None)
            .map_err(|error| mistakes.add(secret_key(raw), error))
            .ok()?;
        return Some(AuthMode::Hs256(secret, Arc::new(keys)));
    }
    let pinned = raw.algorithm.as_deref().and_then(|name| {
        let kind = KeyKind::public_by_name(name);
        if kind.is_none() {
            mistakes.add(
                "algorithm",
                format_args!(
                    "`{name}` is not taken with public keys; use `RS256`, `ES256` or `EdDSA`"
                ),
            );
        }
        kind
    });
    let (key, source) = if let Some(path) = &raw.public_key_file {
        ("public_key_file", KeySource::PemFile(path.clone()))
    } else if let Some(path) = &raw.jwks_file {
        ("jwks_file", KeySource::JwksFile(path.clone()))
    } else {
        ("jwks_url", jwks_url(raw, mistakes)?)
    };
    let keys = Keys::new(source, pinned)
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
        std::fs::read(path)
            .map_err(|error| {
                let path = path.display();
                mistakes.add(
                    "jwks_ca_file",
                    format_args!("`{path}` cannot be read: {error}"),
                );
            })
            .ok()
    });
    // Who can change the answer on its way can let anybody in.
    let parsed: Option<Uri> = url.parse().ok();
    let origin = parsed.as_ref().and_then(|uri| {
        let (scheme, host) = (uri.scheme_str()?, uri.authority()?);
        Some(format!("{scheme}://{host}"))
    });
    let endpoint = origin
        .ok_or_else(|| "is not a URL such as https://id.example.com/jwks.json".to_owned())
        .and_then(|origin| {
            Endpoint::parse(&origin, false).map_err(|error| match error.contains("is not encrypted") {
                true => "is not encrypted; use https: who can change the keys on their way can let anybody in".to_owned(),
                false => error,
            })
        })
        .map_err(|error| mistakes.add("jwks_url", error))
        .ok()?;
    let options = Options {
        tls: endpoint.is_https().then(|| TlsOptions {
            ca_pem,
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
