//! Alibaba Cloud IoT Platform, version 2018-01-20: the reading half of the OTA API.
//!
//! Calls are checked in this order: method, action and version, common parameters, key, security token, time stamp,
//! signature, nonce, quota, parameters (errors of the gateway), then instance, pages and ids (errors of the product).
//!
//! Sources: IoT Platform help, pages of the six operations, "Common parameters", "Signature method", "Error codes".

mod arguments;
mod config;
mod errors;
mod gateway;
mod operations;
mod rows;
mod sign;
mod vocabulary;
mod wire;
mod xml;

use std::io;

use clap::{Args, FromArgMatches};

use config::DOCUMENTED_QUOTA;
pub use config::{
    Config, Credential, DEMO_ACCESS_KEY_ID, DEMO_ACCESS_KEY_SECRET, ThrottleStatus, ThrottleStyle,
    UnknownJob,
};

use crate::server::Server;
use crate::simulator::{Account, Simulator};
use arguments::Arguments;
use gateway::Alibaba;
use vocabulary::Words;

/// The simulator as the registry lists it.
pub const SIMULATOR: Simulator = Simulator {
    name: "alibaba",
    title: TITLE,
    port: 9001,
    account: Account {
        provider: "aliyun",
        vendor: "alibaba-iot",
        settings: &[
            ("region", "cn-shanghai"),
            ("access_key_id", DEMO_ACCESS_KEY_ID),
        ],
        secrets: &[("access_key_secret", DEMO_ACCESS_KEY_SECRET)],
    },
    arguments: Arguments::augment_args,
    start: |setup, matches| {
        let arguments = Arguments::from_arg_matches(matches);
        Box::pin(async move { start(arguments.map_err(io::Error::other)?.config(setup)).await })
    },
};

const TITLE: &str = "Alibaba Cloud IoT";

/// Starts the simulator on `config.listen`.
///
/// # Errors
///
/// When the address cannot be bound or the fleet names a status that the vendor does not have.
pub async fn start(config: Config) -> io::Result<Server> {
    let setup = config.setup();
    let fleet = setup.fleet(&Words)?;
    let window = config.quota.unwrap_or(DOCUMENTED_QUOTA).window;
    let vendor = Box::new(Alibaba::new(config, fleet));
    Server::start(TITLE, setup, window, vendor).await
}
