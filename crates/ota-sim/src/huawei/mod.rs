//! Huawei IoT platform (OceanConnect), classic northbound API: authentication and the reading half of upgrade tasks.
//!
//! Calls are checked in this order: path, `app_key`, token, quota, parameters, ids.
//!
//! Sources: Northbound API Reference of 2022-02-24 and the error tables of the SDK references.

mod arguments;
mod config;
mod errors;
mod northbound;
pub mod operation;
mod operations;
mod rows;
mod tokens;
mod vocabulary;
mod wire;

use std::io;

use clap::{Args, FromArgMatches};

use config::DOCUMENTED_QUOTA;
pub use config::{AbsentPageNo, BadToken, Config, DEMO_APP_ID, DEMO_SECRET, TotalName};

use crate::server::Server;
use crate::simulator::{Account, Simulator};
use arguments::Arguments;
use northbound::Huawei;
use vocabulary::Words;

/// The simulator as the registry lists it.
pub const SIMULATOR: Simulator = Simulator {
    name: "huawei",
    title: TITLE,
    port: 9002,
    account: Account {
        provider: "huawei",
        vendor: "huawei-iot",
        settings: &[
            ("app_id", DEMO_APP_ID),
            // Where its upgrade tasks say which version the package brings; groups by version then span the vendors.
            ("fields.package_version", "extendPara.fileVersion"),
        ],
        secrets: &[("secret", DEMO_SECRET)],
    },
    arguments: Arguments::augment_args,
    start: |setup, matches| {
        let arguments = Arguments::from_arg_matches(matches);
        Box::pin(async move { start(arguments.map_err(io::Error::other)?.config(setup)).await })
    },
};

const TITLE: &str = "Huawei IoT northbound";

/// Starts the simulator on `config.listen`.
///
/// # Errors
///
/// When the address cannot be bound, the fleet names a status that the vendor does not have, or the name of the
/// `app_key` header is no header name.
pub async fn start(config: Config) -> io::Result<Server> {
    let setup = config.setup();
    let fleet = setup.fleet(&Words)?;
    let window = config.quota.unwrap_or(DOCUMENTED_QUOTA).window;
    let vendor = Box::new(Huawei::new(config, fleet)?);
    Server::start(TITLE, setup, window, vendor).await
}
