//! `[auth]`

use std::path::PathBuf;

use ota_http::SecretSource;
use serde::Deserialize;

use super::{ConfigError, Section, ServerConfig};

/// The shortest HS256 secret, in bytes: RFC 7518 asks for as many bits as the hash has.
const MIN_SECRET_BYTES: usize = 32;

/// Who may call.
#[derive(Debug)]
pub struct AuthConfig {
    /// How callers are known.
    pub mode: AuthMode,
    /// The `iss` that tokens must have; any when absent.
    pub issuer: Option<String>,
    /// The `aud` that tokens must have.
    pub audience: Option<String>,
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
    audience: String,
    hs256_secret: Option<String>,
    hs256_secret_file: Option<PathBuf>,
}

impl Default for Raw {
    fn default() -> Self {
        Self {
            mode: "jwt".to_owned(),
            issuer: None,
            audience: "ota-gateway".to_owned(),
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
        ("audience", raw.audience.is_empty()),
    ] {
        if empty {
            return Err(section.error(key, "is empty; give a value or leave the key out"));
        }
    }
    Ok(AuthConfig {
        mode,
        issuer: raw.issuer,
        audience: Some(raw.audience),
    })
}
