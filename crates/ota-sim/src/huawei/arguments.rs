//! The switches that only this simulator has.

use std::time::Duration;

use clap::Args;

use super::config::{AbsentPageNo, Config, DEMO_APP_ID, DEMO_SECRET, TotalName};
use crate::setup::Setup;

#[derive(Args)]
pub(super) struct Arguments {
    /// The only application that is known.
    #[arg(long, default_value = DEMO_APP_ID)]
    app_id: String,
    /// Its secret.
    #[arg(long, default_value = DEMO_SECRET)]
    secret: String,
    /// Header that carries the application id.
    #[arg(long, default_value = "app_key")]
    app_key_header: String,
    /// Life of an access token in seconds.
    #[arg(long, default_value_t = 3600)]
    expires_in: u64,
    /// Prints `expiresIn` as a string.
    #[arg(long)]
    expires_in_as_string: bool,
    /// Calls the total of the task list `totalSize`.
    #[arg(long)]
    total_size: bool,
    /// Prints statuses in upper case, FAIL among them.
    #[arg(long)]
    uppercase_status: bool,
    /// Answers a call without `pageNo` with everything.
    #[arg(long)]
    unpaged_by_default: bool,
    /// Answers every call with all rows.
    #[arg(long)]
    ignore_paging: bool,
    /// Sends errors with HTTP 200.
    #[arg(long)]
    errors_with_200: bool,
    /// Adds `error_code: null` to good answers.
    #[arg(long)]
    null_error_code: bool,
    /// Leaves timeouts out of `staResult.fail`.
    #[arg(long)]
    timeout_beside_fail: bool,
}

impl Arguments {
    /// Returns the settings that the switches and `setup` make.
    pub(super) fn config(self, setup: Setup) -> Config {
        let defaults = Config::of(setup);
        Config {
            app_id: self.app_id,
            secret: self.secret,
            app_key_header: self.app_key_header,
            expires_in: Duration::from_secs(self.expires_in),
            expires_in_as_string: self.expires_in_as_string,
            total_name: if self.total_size {
                TotalName::TotalSize
            } else {
                TotalName::TotalCount
            },
            uppercase_status: self.uppercase_status,
            absent_page_no: if self.unpaged_by_default {
                AbsentPageNo::Unpaged
            } else {
                AbsentPageNo::ZeroDefault
            },
            ignore_paging: self.ignore_paging,
            errors_with_200: self.errors_with_200,
            null_error_code_on_success: self.null_error_code,
            timeout_in_fail: !self.timeout_beside_fail,
            ..defaults
        }
    }
}
