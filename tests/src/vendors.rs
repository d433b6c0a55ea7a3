//! The simulators, and the sections of a configuration that point at a vendor.

use ota_sim::{FleetShape, Server, alibaba, huawei};

/// AccessKey ID of the tests.
pub const ACCESS_KEY_ID: &str = "LTAI5tE2eKeyIdentifier";
/// AccessKey secret of the tests.
pub const ACCESS_KEY_SECRET: &str = "e2e/access+key=secret7Qx";
/// STS token of the tests.
pub const SECURITY_TOKEN: &str = "CAISe2e/security+token==Zz9";
/// Application of the tests.
pub const APP_ID: &str = "e2e-application";
/// Secret of the application.
pub const APP_SECRET: &str = "e2e/app+secret=Kj4";

/// Returns settings of the Alibaba simulator without quota, with the credentials of the tests.
#[must_use]
pub fn alibaba_config(fleet: FleetShape) -> alibaba::Config {
    alibaba::Config {
        fleet,
        access_key_id: ACCESS_KEY_ID.to_owned(),
        access_key_secret: ACCESS_KEY_SECRET.to_owned(),
        quota: None,
        ..alibaba::Config::default()
    }
}

/// Returns settings of the Huawei simulator without quota, with the credentials of the tests.
#[must_use]
pub fn huawei_config(fleet: FleetShape) -> huawei::Config {
    huawei::Config {
        fleet,
        app_id: APP_ID.to_owned(),
        secret: APP_SECRET.to_owned(),
        quota: None,
        ..huawei::Config::default()
    }
}

/// Starts the Alibaba simulator.
///
/// # Panics
/// When no port is free.
pub async fn alibaba_sim(fleet: FleetShape) -> Server {
    alibaba::start(alibaba_config(fleet))
        .await
        .expect("simulator starts")
}

/// Starts the Huawei simulator.
///
/// # Panics
/// When no port is free.
pub async fn huawei_sim(fleet: FleetShape) -> Server {
    huawei::start(huawei_config(fleet))
        .await
        .expect("simulator starts")
}

/// `[providers.NAME]` of a configuration.
#[derive(Clone, Debug)]
pub struct Section {
    name: String,
    lines: Vec<String>,
    limits: Vec<String>,
    fields: Vec<String>,
}

impl Section {
    /// An Alibaba account at `url`.
    #[must_use]
    pub fn alibaba(name: &str, url: &str) -> Self {
        Self::new(name)
            .set("vendor = \"alibaba-iot\"")
            .set(&format!("endpoint = \"{url}\""))
            .set(&format!("access_key_id = \"{ACCESS_KEY_ID}\""))
            .set(&format!("access_key_secret = \"{ACCESS_KEY_SECRET}\""))
    }

    /// A Huawei application at `url`.
    #[must_use]
    pub fn huawei(name: &str, url: &str) -> Self {
        Self::new(name)
            .set("vendor = \"huawei-iot\"")
            .set(&format!("endpoint = \"{url}\""))
            .set(&format!("app_id = \"{APP_ID}\""))
            .set(&format!("secret = \"{APP_SECRET}\""))
    }

    /// One attempt for each call and no quota worth mentioning, so that what is counted is what a request costs.
    fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            lines: Vec::new(),
            limits: Vec::new(),
            fields: Vec::new(),
        }
        .limit("calls = 1000000")
        .limit("max_attempts = 1")
        .limit("max_concurrent = 64")
    }

    /// Adds a line.
    #[must_use]
    pub fn set(mut self, line: &str) -> Self {
        self.lines.push(line.to_owned());
        self
    }

    /// Adds a line to its limits, in the place of one for the same key.
    #[must_use]
    pub fn limit(mut self, line: &str) -> Self {
        let key = |line: &str| line.split('=').next().map(|key| key.trim().to_owned());
        self.limits.retain(|other| key(other) != key(line));
        self.limits.push(line.to_owned());
        self
    }

    /// Says where the vendor's rows hold a field.
    #[must_use]
    pub fn field(mut self, field: &str, path: &str) -> Self {
        self.fields.push(format!("{field} = \"{path}\""));
        self
    }

    /// Writes the section.
    #[must_use]
    pub fn to_toml(&self) -> String {
        let mut text = format!(
            "[providers.{name}]\n{}\n[providers.{name}.limits]\n{}\n",
            self.lines.join("\n"),
            self.limits.join("\n"),
            name = self.name,
        );
        if !self.fields.is_empty() {
            let fields = self.fields.join("\n");
            text.push_str(&format!("[providers.{}.fields]\n{fields}\n", self.name));
        }
        text
    }
}
