//! Settings of one Alibaba Cloud account.

use ota_adapter::settings::{non_empty, one_of};
use ota_adapter::{Connection, ConnectionSettings};
use ota_core::capability::{DocumentedQuota, QuotaPer};
use ota_core::provider::{SettingError, SettingErrors};

mod credentials;
mod settings;

pub use credentials::{CredentialSettings, RrsaSettings};
pub use settings::Settings;

/// The vendor as configuration names it.
pub const VENDOR: &str = "alibaba-iot";

/// "Each Alibaba Cloud account can run up to 10 queries per second" on each operation's page, with another number on a few of them
/// (read 2026-11-23). Operations that nothing here calls yet are in it too, so that their quota is known when one is added.
pub const QUOTA: DocumentedQuota = DocumentedQuota {
    calls: 10,
    window_s: 1,
    per: QuotaPer::AccountAndOperation,
    exceptions: &[
        ("CancelOTATaskByJob", 5),
        ("ConfirmOTATask", 20),
        ("CreateOTADynamicUpgradeJob", 20),
        ("CreateOTAStaticUpgradeJob", 20),
        ("QueryOTAFirmware", 20),
        ("ReupgradeOTATask", 20),
    ],
};

/// How many calls of one operation are made in a window unless configured otherwise.
pub const DEFAULT_CALLS: u32 = 10;

/// Regions that have an IoT Platform endpoint, from the vendor's API metadata (read 2026-11-23).
pub const REGIONS: &[&str] = &[
    "ap-northeast-1",
    "ap-southeast-1",
    "cn-beijing",
    "cn-shanghai",
    "cn-shenzhen",
    "eu-central-1",
    "us-east-1",
    "us-west-1",
];

/// How requests are signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signature {
    /// `ACS3-HMAC-SHA256` in headers, which the vendor recommends.
    Acs3,
    /// The older `HMAC-SHA1` in parameters ("V2" in the vendor's help, "V1" in its code).
    HmacSha1,
}

/// The requested format of answers; both are read, whichever is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// JSON.
    Json,
    /// XML.
    Xml,
}

const SIGNATURES: &[(&str, Signature)] = &[
    ("acs3", Signature::Acs3),
    ("hmac-sha1", Signature::HmacSha1),
];

const FORMATS: &[(&str, Format)] = &[("json", Format::Json), ("xml", Format::Xml)];

/// Checked settings of one account.
#[derive(Debug)]
pub struct Config {
    /// How the API is reached.
    pub connection: Connection,
    /// The region, sent as `RegionId` with the older signature.
    pub region: Option<String>,
    /// Sent as `IotInstanceId`; left out when the instance has no ID.
    pub instance_id: Option<String>,
    /// Where the credential comes from.
    pub credentials: CredentialSettings,
    /// How requests are signed.
    pub signature: Signature,
    /// The requested format of answers.
    pub format: Format,
}

impl Config {
    /// Returns what identifies the vendor account: providers with the same value share one quota. It contains the present AccessKey ID, the role, or the
    /// command.
    #[must_use]
    pub fn account(&self) -> String {
        let id = match &self.credentials {
            CredentialSettings::Keys { access_key_id, .. } => access_key_id
                .read()
                .map(|id| id.expose_secret().to_owned())
                .unwrap_or_default(),
            CredentialSettings::EcsRamRole { role, .. } => {
                format!("ecs-ram-role {}", role.as_deref().unwrap_or_default())
            }
            CredentialSettings::Rrsa(rrsa) => format!("rrsa {}", rrsa.role_arn),
            CredentialSettings::Command(words) => format!("command {}", words.join(" ")),
        };
        format!("{VENDOR} {} {id}", self.connection.endpoint.base())
    }
}

impl Settings {
    /// Checks the settings and reads secret files.
    ///
    /// # Errors
    /// Names the key that is missing or wrong and says what to do.
    pub fn into_config(self) -> Result<Config, SettingErrors> {
        self.into_config_in(&|name| std::env::var(name).ok().filter(|value| !value.is_empty()))
    }

    /// As [`Settings::into_config`], with the variables that a pod with RRSA has.
    fn into_config_in(
        mut self,
        environment: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Config, SettingErrors> {
        let mut errors = SettingErrors::default();
        let connection = ConnectionSettings {
            endpoint: self.endpoint.take(),
            allow_http: self.allow_http,
            // It is used for the services that issue credentials as well.
            ca_file: self.ca_file.clone(),
            client_cert_file: self.client_cert_file.take(),
            client_key_file: self.client_key_file.take(),
            server_name: self.server_name.take(),
            verify_hostname: self.verify_hostname,
        }
        .into_connection_at(
            |endpoint| address(endpoint, self.region.as_deref()),
            &mut errors,
        );
        let credentials = credentials::read(&mut self, environment, &mut errors);
        let signature = errors.check(one_of("signature", self.signature.as_deref(), SIGNATURES));
        let format = errors.check(one_of("format", self.format.as_deref(), FORMATS));
        errors.finish(|| {
            Some(Config {
                connection: connection?,
                region: self.region,
                // Neither signature sends an empty `IotInstanceId`: an instance without an ID must leave the parameter out.
                instance_id: non_empty(self.instance_id),
                credentials: credentials?,
                signature: signature?,
                format: format?,
            })
        })
    }
}

fn address(endpoint: Option<String>, region: Option<&str>) -> Result<String, SettingError> {
    match (endpoint, region) {
        (_, Some(region)) if !REGIONS.contains(&region) => Err(SettingError::new(
            "region",
            format!(
                "`{region}` has no IoT Platform endpoint; known regions are {} (for any other, leave `region` out and give `endpoint`)",
                REGIONS.join(", ")
            ),
        )),
        (Some(endpoint), _) => Ok(endpoint),
        (None, Some(region)) => Ok(format!("https://iot.{region}.aliyuncs.com")),
        (None, None) => Err(SettingError::missing(
            "region",
            &["region", "endpoint"],
            "it is missing; give `region` (for instance cn-shanghai) or `endpoint`",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::{Config, SettingErrors, Settings, Signature};
    use serde_json::{Value, json};

    fn config(mut change: Value) -> Result<Config, SettingErrors> {
        let mut settings = json!({"region": "cn-shanghai", "access_key_id": "id", "access_key_secret": "s3cret-value"});
        settings
            .as_object_mut()
            .unwrap()
            .append(change.as_object_mut().unwrap());
        serde_json::from_value::<Settings>(settings)
            .unwrap()
            .into_config()
    }

    #[test]
    fn the_endpoint_comes_from_the_region() {
        let config = config(json!({})).unwrap();
        assert_eq!(
            config.connection.endpoint.base(),
            "https://iot.cn-shanghai.aliyuncs.com"
        );
        assert_eq!(config.signature, Signature::Acs3);
        assert!(!format!("{config:?}").contains("s3cret-value"));
    }

    #[track_caller]
    fn check(change: Value, key: &str) {
        let error = config(change).unwrap_err();
        let keys: Vec<&str> = error.iter().map(|error| error.key).collect();
        assert_eq!(keys, [key]);
        assert!(!error.to_string().contains("s3cret-value"), "{error}");
    }

    #[test]
    fn all_wrong_settings_are_named_at_once() {
        let error = config(json!({
            "region": "mars-1", "access_key_id": "a b", "access_key_secret": null, "signature": "md5", "format": "yaml",
        }))
        .unwrap_err();
        let keys: Vec<&str> = error.iter().map(|error| error.key).collect();
        assert_eq!(
            keys,
            [
                "region",
                "access_key_id",
                "access_key_secret_file",
                "signature",
                "format"
            ]
        );
    }

    #[test]
    fn a_wrong_setting_is_named() {
        check(json!({"region": "mars-1"}), "region");
        check(json!({"region": null}), "region");
        check(json!({"endpoint": "http://example.com"}), "endpoint");
        check(
            json!({"endpoint": "https://s3cret-value@example.com"}),
            "endpoint",
        );
        check(json!({"access_key_id": " "}), "access_key_id");
        check(json!({"access_key_id": "a\nb"}), "access_key_id");
        check(json!({"access_key_secret": null}), "access_key_secret_file");
        check(json!({"access_key_secret_file": "/x"}), "access_key_secret");
        check(
            json!({"access_key_secret": null, "access_key_secret_file": "/no/such"}),
            "access_key_secret_file",
        );
        check(json!({"signature": "md5"}), "signature");
        check(json!({"format": "yaml"}), "format");
    }
}
