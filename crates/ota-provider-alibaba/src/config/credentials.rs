//! Where the credential of an account comes from.

use std::path::PathBuf;
use std::sync::Arc;

use ota_adapter::settings::{CredentialKeys, non_empty};
use ota_core::provider::{SettingError, SettingErrors};
use ota_http::SecretSource;
use ota_http::endpoint::Endpoint;
use ota_http::tls::{TlsOptions, TlsSettings};

use super::settings::Settings;

/// The address of the metadata service on every ECS instance.
const ECS_METADATA: &str = "http://100.100.100.200";

const KEYS: &str = "keys";
const ECS: &str = "ecs-ram-role";
const RRSA: &str = "rrsa";
const COMMAND: &str = "command";

const SECRET: CredentialKeys = CredentialKeys {
    key: "access_key_secret",
    file_key: "access_key_secret_file",
    keys: &["access_key_secret_file", "access_key_secret"],
};

const TOKEN: CredentialKeys = CredentialKeys {
    key: "security_token",
    file_key: "security_token_file",
    keys: &["security_token_file", "security_token"],
};

/// Where the credential comes from.
#[derive(Debug)]
pub enum CredentialSettings {
    /// Keys of the settings.
    Keys {
        /// The AccessKey ID. A renewed STS credential has a new one, so it may come from a file as well.
        access_key_id: Arc<SecretSource>,
        /// The AccessKey secret.
        access_key_secret: Arc<SecretSource>,
        /// The STS token of temporary credentials.
        security_token: Option<Arc<SecretSource>>,
    },
    /// The RAM role of the ECS instance on which the gateway runs.
    EcsRamRole {
        /// The role; if it is not given, the metadata service names it.
        role: Option<String>,
        /// Scheme, host and port of the metadata service.
        endpoint: String,
    },
    /// The RAM role of the pod's service account.
    Rrsa(Box<RrsaSettings>),
    /// A command that prints a credential.
    Command(Vec<String>),
}

/// What is needed to exchange the token of a pod for a credential.
#[derive(Debug)]
pub struct RrsaSettings {
    /// The role.
    pub role_arn: String,
    /// The cluster's identity provider.
    pub provider_arn: String,
    /// The file of the pod's token.
    pub token_file: PathBuf,
    /// The address of the STS.
    pub endpoint: Endpoint,
    /// TLS to it.
    pub tls: Option<TlsOptions>,
}

/// Reads the keys of the kind of credential that `credentials` names. `environment` has the variables of a pod with RRSA.
pub(super) fn read(
    settings: &mut Settings,
    environment: &dyn Fn(&str) -> Option<String>,
    errors: &mut SettingErrors,
) -> Option<CredentialSettings> {
    let kind = settings.credentials.take();
    let kind = kind.as_deref().unwrap_or(KEYS);
    if ![KEYS, ECS, RRSA, COMMAND].contains(&kind) {
        errors.add(SettingError::new(
            "credentials",
            format!(
                "`{kind}` is not known; use `{KEYS}` (the default: an AccessKey of the settings), `{ECS}`, `{RRSA}` or `{COMMAND}`"
            ),
        ));
        return None;
    }
    only_keys_of(settings, kind, errors);
    match kind {
        ECS => ecs_ram_role(settings, errors),
        RRSA => rrsa(settings, environment, errors),
        COMMAND => errors.check(command(settings)),
        _ => keys(settings, errors),
    }
}

/// Rejects keys of other kinds of credentials: they would be ignored silently.
fn only_keys_of(settings: &Settings, kind: &str, errors: &mut SettingErrors) {
    let Settings {
        access_key_id,
        access_key_id_file,
        access_key_secret,
        access_key_secret_file,
        security_token,
        security_token_file,
        ecs_ram_role,
        ecs_metadata_endpoint,
        role_arn,
        oidc_provider_arn,
        oidc_token_file,
        sts_endpoint,
        credentials_command,
        ..
    } = settings;
    let given = [
        (access_key_id.is_some(), KEYS, "access_key_id"),
        (access_key_id_file.is_some(), KEYS, "access_key_id_file"),
        (access_key_secret.is_some(), KEYS, "access_key_secret"),
        (
            access_key_secret_file.is_some(),
            KEYS,
            "access_key_secret_file",
        ),
        (security_token.is_some(), KEYS, "security_token"),
        (security_token_file.is_some(), KEYS, "security_token_file"),
        (ecs_ram_role.is_some(), ECS, "ecs_ram_role"),
        (
            ecs_metadata_endpoint.is_some(),
            ECS,
            "ecs_metadata_endpoint",
        ),
        (role_arn.is_some(), RRSA, "role_arn"),
        (oidc_provider_arn.is_some(), RRSA, "oidc_provider_arn"),
        (oidc_token_file.is_some(), RRSA, "oidc_token_file"),
        (sts_endpoint.is_some(), RRSA, "sts_endpoint"),
        (
            credentials_command.is_some(),
            COMMAND,
            "credentials_command",
        ),
    ];
    for (_, of, key) in given.into_iter().filter(|(is, of, _)| *is && *of != kind) {
        errors.add(SettingError::new(
            key,
            format!(
                "it belongs to `credentials = \"{of}\"`, and `credentials` is `{kind}`; remove it, or change `credentials`"
            ),
        ));
    }
}

fn keys(settings: &mut Settings, errors: &mut SettingErrors) -> Option<CredentialSettings> {
    let id = access_key_id(
        settings.access_key_id.take(),
        settings.access_key_id_file.take(),
    );
    let id = errors.check(id);
    let secret = errors.check(SECRET.required(
        settings.access_key_secret.take(),
        settings.access_key_secret_file.take(),
    ));
    let token = errors.check(TOKEN.optional(
        settings.security_token.take(),
        settings.security_token_file.take(),
    ));
    Some(CredentialSettings::Keys {
        access_key_id: Arc::new(id?),
        access_key_secret: Arc::new(secret?),
        security_token: token?.map(Arc::new),
    })
}

fn access_key_id(
    value: Option<String>,
    file: Option<PathBuf>,
) -> Result<SecretSource, SettingError> {
    let key = match file {
        Some(_) => "access_key_id_file",
        None => "access_key_id",
    };
    let source = SecretSource::credential("access_key_id", value, "access_key_id_file", file)?
        .ok_or_else(|| {
            SettingError::missing(
                "access_key_id",
                &["access_key_id", "access_key_id_file"],
                "it is missing; give the ID of an AccessKey that may read OTA jobs, or set `credentials` to `ecs-ram-role`, `rrsa` or `command`",
            )
        })?;
    let present_id = source
        .read()
        .map_err(|error| SettingError::new("access_key_id_file", error.to_string()))?;
    if present_id.expose_secret().contains(',') {
        return Err(SettingError::new(
            key,
            "it has characters that no AccessKey ID has",
        ));
    }
    Ok(source)
}

fn ecs_ram_role(settings: &mut Settings, errors: &mut SettingErrors) -> Option<CredentialSettings> {
    let address = settings.ecs_metadata_endpoint.take();
    // The service uses plain HTTP; it is on the same physical machine.
    let endpoint = Endpoint::parse(address.as_deref().unwrap_or(ECS_METADATA), true)
        .and_then(|endpoint| match endpoint.is_https() {
            true => Err("the metadata service speaks http only".to_owned()),
            false => Ok(endpoint),
        })
        .map_err(|message| SettingError::new("ecs_metadata_endpoint", message));
    let endpoint = errors.check(endpoint)?;
    Some(CredentialSettings::EcsRamRole {
        role: non_empty(settings.ecs_ram_role.take()),
        endpoint: endpoint.base().to_owned(),
    })
}

fn rrsa(
    settings: &mut Settings,
    environment: &dyn Fn(&str) -> Option<String>,
    errors: &mut SettingErrors,
) -> Option<CredentialSettings> {
    let given = |value: Option<String>, key: &'static str, variable: &str| {
        non_empty(value).or_else(|| environment(variable)).ok_or_else(|| {
            SettingError::missing(
                key,
                &[],
                format!(
                    "it is missing, and so is the environment variable {variable}, which a pod with RRSA has; give one of them"
                ),
            )
        })
    };
    let role_arn = given(
        settings.role_arn.take(),
        "role_arn",
        "ALIBABA_CLOUD_ROLE_ARN",
    );
    let provider_arn = given(
        settings.oidc_provider_arn.take(),
        "oidc_provider_arn",
        "ALIBABA_CLOUD_OIDC_PROVIDER_ARN",
    );
    let file = settings.oidc_token_file.take();
    let file = file.map(|path| path.to_string_lossy().into_owned());
    let token_file = given(file, "oidc_token_file", "ALIBABA_CLOUD_OIDC_TOKEN_FILE")
        .map(PathBuf::from)
        .and_then(|path| {
            ota_http::file::read_text(&path, SecretSource::MAX_FILE_BYTES)
                .map_err(|error| SettingError::new("oidc_token_file", error.to_string()))?;
            Ok(path)
        });
    let address = match (non_empty(settings.sts_endpoint.take()), &settings.region) {
        (Some(address), _) => address,
        (None, Some(region)) => format!("https://sts.{region}.aliyuncs.com"),
        (None, None) => "https://sts.aliyuncs.com".to_owned(),
    };
    let endpoint = Endpoint::parse(&address, settings.allow_http.unwrap_or(false))
        .map_err(|message| SettingError::new("sts_endpoint", message));
    let (role_arn, provider_arn) = (errors.check(role_arn), errors.check(provider_arn));
    let (token_file, endpoint) = (errors.check(token_file), errors.check(endpoint));
    // Mistakes in `ca_file` have already been reported, for the endpoint of the API.
    let tls = TlsSettings {
        ca_file: settings.ca_file.take(),
        ..TlsSettings::default()
    }
    .into_options(endpoint.as_ref(), &mut SettingErrors::default());
    Some(CredentialSettings::Rrsa(Box::new(RrsaSettings {
        role_arn: role_arn?,
        provider_arn: provider_arn?,
        token_file: token_file?,
        endpoint: endpoint?,
        tls,
    })))
}

fn command(settings: &mut Settings) -> Result<CredentialSettings, SettingError> {
    let words = settings.credentials_command.take().unwrap_or_default();
    match words.first().map(|word| word.trim()) {
        Some(program) if !program.is_empty() => Ok(CredentialSettings::Command(words)),
        _ => Err(SettingError::new(
            "credentials_command",
            "it is missing; give the program and its arguments as a list, for instance [\"/usr/local/bin/ota-credential\", \"prod\"]",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::{CredentialSettings, Settings};
    use ota_core::provider::SettingErrors;
    use serde_json::{Value, json};

    fn read(
        change: Value,
        variables: &[(&str, &str)],
    ) -> Result<CredentialSettings, SettingErrors> {
        let mut settings = json!({"region": "cn-shanghai"});
        let change = change.as_object().unwrap().clone();
        settings.as_object_mut().unwrap().extend(change);
        let settings: Settings = serde_json::from_value(settings).unwrap();
        let environment = |name: &str| {
            let found = variables.iter().find(|(variable, _)| *variable == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        let config = settings.into_config_in(&environment)?;
        assert!(
            !config.account().ends_with(' ')
                || matches!(config.credentials, CredentialSettings::EcsRamRole { .. })
        );
        Ok(config.credentials)
    }

    #[track_caller]
    fn refused(change: Value, variables: &[(&str, &str)], expected: &[&str]) {
        let error = read(change, variables).unwrap_err();
        let keys: Vec<&str> = error.iter().map(|error| error.key).collect();
        assert_eq!(keys, expected, "{error}");
    }

    #[test]
    fn every_kind_of_credential_is_read() {
        let ecs = read(json!({"credentials": "ecs-ram-role"}), &[]).unwrap();
        assert!(
            matches!(ecs, CredentialSettings::EcsRamRole { role: None, endpoint } if endpoint == "http://100.100.100.200")
        );
        let words = json!({"credentials": "command", "credentials_command": ["/bin/x", "y"]});
        let command = read(words, &[]).unwrap();
        assert!(matches!(command, CredentialSettings::Command(words) if words == ["/bin/x", "y"]));
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("token");
        std::fs::write(&file, "token").unwrap();
        let file = file.display().to_string();
        let variables = [
            ("ALIBABA_CLOUD_ROLE_ARN", "acs:ram::1:role/ota"),
            (
                "ALIBABA_CLOUD_OIDC_PROVIDER_ARN",
                "acs:ram::1:oidc-provider/ack",
            ),
            ("ALIBABA_CLOUD_OIDC_TOKEN_FILE", &file),
        ];
        let rrsa = read(json!({"credentials": "rrsa"}), &variables).unwrap();
        let CredentialSettings::Rrsa(rrsa) = rrsa else {
            panic!("{rrsa:?}")
        };
        assert_eq!(rrsa.endpoint.base(), "https://sts.cn-shanghai.aliyuncs.com");
        assert_eq!(rrsa.role_arn, "acs:ram::1:role/ota");
        refused(
            json!({"credentials": "rrsa", "oidc_token_file": "/no/such"}),
            &variables[..2],
            &["oidc_token_file"],
        );
    }

    #[test]
    fn what_is_missing_or_belongs_elsewhere_is_named() {
        refused(json!({"credentials": "magic"}), &[], &["credentials"]);
        refused(
            json!({"credentials": "ecs-ram-role", "access_key_id": "x"}),
            &[],
            &["access_key_id"],
        );
        refused(
            json!({"credentials": "ecs-ram-role", "ecs_metadata_endpoint": "https://10.0.0.1"}),
            &[],
            &["ecs_metadata_endpoint"],
        );
        refused(
            json!({"credentials": "rrsa"}),
            &[],
            &["role_arn", "oidc_provider_arn", "oidc_token_file"],
        );
        refused(
            json!({"credentials": "command"}),
            &[],
            &["credentials_command"],
        );
        refused(
            json!({"credentials": "command", "credentials_command": [" "]}),
            &[],
            &["credentials_command"],
        );
    }
}
