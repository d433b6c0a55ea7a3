//! `ota-gateway token`

use ota_auth::TokenIssuer;
use ota_core::clock::{Clock, SystemClock};
use ota_core::id::ProviderName;

use super::Failed;
use crate::config::{AuthMode, Config, ConfigError};

/// The longest life of a token, in seconds: ten years. A longer one would outlive every secret.
const MAX_TTL_S: u64 = 315_360_000;

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
    /// How long the token lives, in seconds; at most 315360000 (ten years)
    #[arg(long, default_value_t = 3600, value_parser = clap::value_parser!(u64).range(1..=MAX_TTL_S))]
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
        .find(|scope| !ota_auth::KNOWN_SCOPES.contains(scope))
    {
        return Err(Failed::Other(ota_auth::unknown_scope(scope)));
    }
    if options.scope.trim().is_empty() {
        return Err(Failed::Other(format!(
            "`--scope` is empty, so the token would open nothing; give {}",
            ota_auth::KNOWN_SCOPES.join(" or ")
        )));
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
        let known = match configured.as_slice() {
            [] => "the configuration has no section `[providers.NAME]`".to_owned(),
            names => format!("configured are {}", names.join(", ")),
        };
        return Err(Failed::Other(format!(
            "no provider `{name}` is configured; {known}"
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
    let mint = TokenIssuer {
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

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::{MAX_TTL_S, Options, run};
    use crate::config::Config;

    #[derive(Debug, Parser)]
    struct Arguments {
        #[command(flatten)]
        options: Options,
    }

    fn options(arguments: &[&str]) -> Result<Options, String> {
        Arguments::try_parse_from(std::iter::once(&"token").chain(arguments))
            .map(|arguments| arguments.options)
            .map_err(|error| error.to_string())
    }

    /// Signs a token by a configuration without providers.
    fn token(arguments: &[&str]) -> Result<String, String> {
        let secret = "0123456789abcdef0123456789abcdef".to_owned();
        let secret = ("OTA_GATEWAY__AUTH__HS256_SECRET".to_owned(), secret);
        let config = Config::load(None, [secret]).unwrap();
        run(&config, &options(arguments)?).map_err(|error| error.to_string())
    }

    #[test]
    fn a_token_that_opens_nothing_is_not_signed() {
        for scope in ["", "  "] {
            let error = token(&["--scope", scope]).unwrap_err();
            assert!(error.contains("give ota:read or ota:admin"), "{error}");
        }
        assert!(token(&["--scope", " ota:read  ota:admin"]).is_ok());
    }

    #[test]
    fn a_provider_is_not_looked_for_among_none() {
        let error = token(&["--provider", "nix"]).unwrap_err();
        let words = "no provider `nix` is configured; the configuration has no section";
        assert!(error.contains(words), "{error}");
    }

    #[test]
    fn a_token_lives_for_ten_years_at_most() {
        assert!(token(&["--ttl-s", &MAX_TTL_S.to_string()]).is_ok());
        for seconds in ["0", "315360001", "18446744073709551615"] {
            let error = token(&["--ttl-s", seconds]).unwrap_err();
            assert!(error.contains("1..=315360000"), "{error}");
        }
    }
}
