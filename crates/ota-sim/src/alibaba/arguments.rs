//! The switches that only this simulator has.

use clap::{Args, ValueEnum};

use super::config::{
    Config, DEMO_ACCESS_KEY_ID, DEMO_ACCESS_KEY_SECRET, ThrottleStatus, ThrottleStyle,
};
use crate::setup::Setup;

#[derive(Clone, Copy, ValueEnum)]
enum ThrottleWith {
    #[value(name = "400")]
    BadRequest,
    #[value(name = "429")]
    TooManyRequests,
    #[value(name = "503")]
    ServiceUnavailable,
}

#[derive(Args)]
pub(super) struct Arguments {
    /// The only access key id that is known.
    #[arg(long, default_value = DEMO_ACCESS_KEY_ID)]
    access_key_id: String,
    /// Its secret.
    #[arg(long, default_value = DEMO_ACCESS_KEY_SECRET)]
    access_key_secret: String,
    /// Makes the key a temporary one that needs this token.
    #[arg(long)]
    security_token: Option<String>,
    /// Makes this `IotInstanceId` mandatory; without it none may be sent.
    #[arg(long)]
    instance_id: Option<String>,
    /// HTTP status of `Throttling.User`.
    #[arg(long, value_enum, default_value = "400")]
    throttle_status: ThrottleWith,
    /// Sends `x-acs-retry-after` with `Throttling.User`.
    #[arg(long)]
    retry_after_ms: Option<u64>,
    /// Spells the end state of jobs COMPLETE.
    #[arg(long)]
    complete_spelling: bool,
    /// Spells verification jobs `VERFIY_FIRMWARE`.
    #[arg(long)]
    verfiy_spelling: bool,
    /// Behaves like the oldest documents: no CONFIRM, no Timeout, no newer job fields.
    #[arg(long)]
    old_edition: bool,
}

impl Arguments {
    /// Returns the settings that the switches and `setup` make.
    pub(super) fn config(self, setup: Setup) -> Config {
        let defaults = Config::of(setup);
        Config {
            access_key_id: self.access_key_id,
            access_key_secret: self.access_key_secret,
            security_token: self.security_token,
            instance_id: self.instance_id,
            throttle_style: ThrottleStyle {
                status: match self.throttle_status {
                    ThrottleWith::BadRequest => ThrottleStatus::BadRequest,
                    ThrottleWith::TooManyRequests => ThrottleStatus::TooManyRequests,
                    ThrottleWith::ServiceUnavailable => ThrottleStatus::ServiceUnavailable,
                },
                retry_after_ms: self.retry_after_ms,
            },
            complete_spelling: self.complete_spelling,
            verfiy_spelling: self.verfiy_spelling,
            old_edition: self.old_edition,
            ..defaults
        }
    }
}
