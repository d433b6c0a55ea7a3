//! `ota-gateway token`

use ota_core::clock::{Clock, SystemClock};
use ota_core::id::ProviderName;

use super::Failed;
use crate::auth::{self, Mint};
use crate::config::{AuthMode, Config, ConfigError};

/// What the token says.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// Who the token is for
    #[arg(long, default_value = "operator")]
    pub subject: String,
    /// Scopes, separated by spaces
    #[arg(long, default_value = "ota:read")]
    pub scope: String,
    /// A provider that the caller may see; repeat it. All when left out
    #[arg(long = "provider")]
    pub providers: Vec<String>,
    /// How long the token lives, in seconds
    #[arg(long, default_value_t = 3600, value_parser = clap::value_parser!(u64).range(1..))]
    pub ttl_s: u64,
}

/// Signs a token with the configured HS256 secret.
///
/// # Errors
/// When the configuration has no such secret.
pub fn run(config: &Config, options: &Options) -> Result<String, Failed> {
    if let Some(scope) = options
        .scope
        .split_whitespace()
        .find(|scope| !auth::KNOWN_SCOPES.contains(scope))
    {
        return Err(Failed::Other(auth::unknown_scope(scope)));
    }
    let rules = &config.auth.rules;
    if rules.requires_providers && options.providers.is_empty() {
        return Err(Failed::Other(
            "auth.require_providers_claim is set, so a token without providers is refused; give `--provider NAME`".to_owned(),
        ));
    }
    let configured: Vec<&str> = config.providers.keys().map(ProviderName::as_str).collect();
    if let Some(name) = options
        .providers
        .iter()
        .find(|name| !configured.contains(&name.as_str()))
    {
        return Err(Failed::Other(format!(
            "no provider `{name}` is configured; there are {}",
            configured.join(", ")
        )));
    }
    let source = match &config.auth.mode {
        AuthMode::Hs256(source, _) => source,
        AuthMode::PublicKeys(_) => {
            return Err(ConfigError::new(
                "auth: tokens are made by the issuer whose public keys are configured; only with `hs256_secret_file` can the gateway make one",
            )
            .into());
        }
        AuthMode::Disabled => {
            return Err(ConfigError::new("auth.mode: is `disabled`, so no token is needed").into());
        }
    };
    let secret = source
        .read()
        .map_err(|error| ConfigError::new(error.to_string()))?;
    let mint = Mint {
        secret: &secret,
        issuer: config.auth.issuer(),
        audience: config.auth.audience(),
        subject: &options.subject,
        scope: &options.scope,
        providers: (!options.providers.is_empty()).then_some(options.providers.as_slice()),
        ttl_s: options.ttl_s,
        names: &rules.names,
    };
    mint.token(SystemClock.now())
        .map_err(|error| Failed::Other(format!("the token could not be written: {error}")))
}
