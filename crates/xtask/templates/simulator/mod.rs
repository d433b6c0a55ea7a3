//! __Name__: write here which API this is, and from which documents it was written. It is never written from the adapter.

mod config;
mod front;
mod vocabulary;

use std::io;

pub use config::{Config, DEMO_TOKEN};
pub use front::operation;

use crate::server::Server;
use crate::simulator::{Account, Simulator};
use config::DOCUMENTED_QUOTA;
use front::Front;
use vocabulary::Words;

/// The simulator as the registry lists it.
pub const SIMULATOR: Simulator = Simulator {
    name: "__name__",
    title: TITLE,
    port: __port__,
    account: Account {
        provider: "__name__",
        vendor: "__name__",
        settings: &[],
        secrets: &[("token", DEMO_TOKEN)],
    },
    arguments: |command| command,
    start: |setup, _| Box::pin(start(Config::of(setup))),
};

const TITLE: &str = "__Name__";

/// Starts the simulator on `config.listen`.
///
/// # Errors
/// When the address cannot be bound, or the fleet names a status that the vendor does not have.
pub async fn start(config: Config) -> io::Result<Server> {
    let setup = config.setup();
    let fleet = setup.fleet(&Words)?;
    let window = config.quota.unwrap_or(DOCUMENTED_QUOTA).window;
    let vendor = Box::new(Front::new(config, fleet));
    Server::start(TITLE, setup, window, vendor).await
}
