//! `[auth]`

use std::path::PathBuf;

use ota_http::SecretSource;
use serde::Deserialize;

use super::{ConfigError, Section, ServerConfig};

/// The shortest HS256 secret that is taken, in bytes.
const MIN_SECRET_BYTES: usize = 8;

/// The shortest HS256 secret that is not warned about: RFC 7518 asks for as many bits as the hash has.
const GOOD_SECRET_BYTES: usize = 32;

/// The `aud` of tokens unless configured otherwise.
const DEFAULT_AUDIENCE: &str = "ota-gateway";

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
    Hs256(SecretSource),
    /// Not at all; on a loopback address only.
    Disabled,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Raw {
    mode: String,
    issuer: Option<String>,
    audience: Option<String>,
    hs256_secret: Option<String>,
    hs256_secret_file: Option<PathBuf>,
}

impl Default for Raw {
    fn default() -> Self {
        Self {
            mode: "jwt".to_owned(),
            issuer: None,
            audience: None,
            hs256_secret: None,
            hs256_secret_file: None,
        }
    }
}

pub(super) fn read(section: Section, server: &ServerConfig) -> Result<AuthConfig, ConfigError> {
    let raw: Raw = section.clone().read()?;
    let secret = SecretSource::from_settings(
        "hs256_secret",
        raw.hs256_secret,
        "hs256_secret_file",
        raw.hs256_secret_file,
    )
    .map_err(|error| section.error(error.key, &error.message))?;
    let mut warning = None;
    let mode = match (raw.mode.as_str(), secret) {
        ("jwt", Some(secret)) => {
            let bytes = secret
                .read()
                .map_err(|error| section.error("hs256_secret_file", error))?
                .expose_secret()
                .len();
            if bytes < MIN_SECRET_BYTES {
                return Err(section.error(
                    "hs256_secret",
                    format_args!(
                        "the secret has {bytes} bytes; HS256 needs at least {MIN_SECRET_BYTES} (for instance `openssl rand -hex 32`)"
                    ),
                ));
            }
            if bytes < GOOD_SECRET_BYTES {
                warning = Some(format!(
                    "the HS256 secret has {bytes} bytes and can be guessed from a token; use {GOOD_SECRET_BYTES} or more (for instance `openssl rand -hex 32`)"
                ));
            }
            AuthMode::Hs256(secret)
        }
        ("jwt", None) => {
            return Err(section.error(
                "hs256_secret_file",
                "is missing; give `hs256_secret_file` or `hs256_secret`, or set `mode = \"disabled\"` on a loopback address",
            ));
        }
        ("disabled", None) if server.listen.ip().is_loopback() => AuthMode::Disabled,
        ("disabled", None) => {
            return Err(section.error(
                "mode",
                format_args!(
                    "`disabled` is allowed on a loopback address only, and server.listen is {}; use `jwt`",
                    server.listen
                ),
            ));
        }
        ("disabled", Some(_)) => {
            return Err(section.error(
                "mode",
                "is `disabled`, yet a secret is given; remove one of them",
            ));
        }
        (other, _) => {
            return Err(section.error(
                "mode",
                format_args!("`{other}` is not known; use `jwt` or `disabled`"),
            ));
        }
    };
    // An empty value is what an unset variable leaves behind; it must not switch a check off.
    for (key, empty) in [
        ("issuer", raw.issuer.as_deref() == Some("")),
        ("audience", raw.audience.as_deref() == Some("")),
    ] {
        if empty {
            return Err(section.error(key, "is empty; give a value or leave the key out"));
        }
    }
    Ok(AuthConfig {
        mode,
        issuer: raw.issuer,
        requires_audience: raw.audience.is_some(),
        audience: Some(raw.audience.unwrap_or_else(|| DEFAULT_AUDIENCE.to_owned())),
        warning,
    })
}
