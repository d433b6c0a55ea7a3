//! The keys of a provider section.

use std::path::PathBuf;

use serde::Deserialize;

/// The keys of a provider section, as written in the configuration file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    pub(super) region: Option<String>,
    pub(super) endpoint: Option<String>,
    pub(super) instance_id: Option<String>,
    pub(super) access_key_id: Option<String>,
    pub(super) access_key_id_file: Option<PathBuf>,
    pub(super) access_key_secret: Option<String>,
    pub(super) access_key_secret_file: Option<PathBuf>,
    pub(super) security_token: Option<String>,
    pub(super) security_token_file: Option<PathBuf>,
    pub(super) credentials: Option<String>,
    pub(super) ecs_ram_role: Option<String>,
    pub(super) ecs_metadata_endpoint: Option<String>,
    pub(super) role_arn: Option<String>,
    pub(super) oidc_provider_arn: Option<String>,
    pub(super) oidc_token_file: Option<PathBuf>,
    pub(super) sts_endpoint: Option<String>,
    pub(super) credentials_command: Option<Vec<String>>,
    pub(super) ca_file: Option<PathBuf>,
    pub(super) client_cert_file: Option<PathBuf>,
    pub(super) client_key_file: Option<PathBuf>,
    pub(super) server_name: Option<String>,
    pub(super) verify_hostname: Option<bool>,
    pub(super) signature: Option<String>,
    pub(super) format: Option<String>,
    pub(super) allow_http: Option<bool>,
}
