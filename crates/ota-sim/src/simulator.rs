//! What a vendor's module exports: one descriptor, from which program, sandbox and tests learn everything about it.

use std::fmt;
use std::io;
use std::pin::Pin;

use crate::server::Server;
use crate::setup::Setup;

/// A simulator that is being started.
pub type Starting = Pin<Box<dyn Future<Output = io::Result<Server>> + Send>>;

/// A vendor's simulator.
#[derive(Clone, Copy)]
pub struct Simulator {
    /// Its name on the command line and, with `-sim` behind it, in the composed sandbox: `a-z`, `0-9` and `-`.
    pub name: &'static str,
    /// The vendor's name for people.
    pub title: &'static str,
    /// The port that the program listens on by default. Each simulator has its own.
    pub port: u16,
    /// The account that it knows by default.
    pub account: Account,
    /// Adds the switches that only this simulator has.
    pub arguments: fn(clap::Command) -> clap::Command,
    /// Starts it with these switches, all of which have defaults.
    pub start: fn(Setup, &clap::ArgMatches) -> Starting,
}

/// An account for demonstration, as a gateway's configuration names it. No vendor knows it.
#[derive(Clone, Copy, Debug)]
pub struct Account {
    /// The name of the provider in a sandbox.
    pub provider: &'static str,
    /// `vendor` of the section.
    pub vendor: &'static str,
    /// Other settings but `endpoint` and secrets: key, with a dot within a section of its own, and value.
    pub settings: &'static [(&'static str, &'static str)],
    /// Secrets: key and value. Each may also be given as a file, under the key with `_file` behind it.
    pub secrets: &'static [(&'static str, &'static str)],
}

impl Simulator {
    /// Starts the simulator as it is without any switch of its own.
    ///
    /// # Errors
    /// When the address cannot be bound, or the setup has something that the vendor does not have.
    pub async fn start(&self, setup: Setup) -> io::Result<Server> {
        let command = (self.arguments)(clap::Command::new(self.name));
        let matches = command
            .try_get_matches_from([self.name])
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
        (self.start)(setup, &matches).await
    }
}

impl Account {
    /// Returns the settings of a provider at `endpoint`: key and value, `vendor` first.
    #[must_use]
    pub fn settings_at(&self, endpoint: &str) -> Vec<(&'static str, String)> {
        let mut all = vec![
            ("vendor", self.vendor.to_owned()),
            ("endpoint", endpoint.to_owned()),
        ];
        let others = self.settings.iter().chain(self.secrets);
        all.extend(others.map(|(key, value)| (*key, (*value).to_owned())));
        all
    }

    /// Returns `[providers.NAME]` of a configuration file for a provider at `endpoint`.
    #[must_use]
    pub fn section(&self, name: &str, endpoint: &str) -> String {
        let lines = self.settings_at(endpoint).into_iter();
        let lines: String = lines
            .map(|(key, value)| format!("{key} = \"{value}\"\n"))
            .collect();
        format!("[providers.{name}]\n{lines}")
    }
}

impl fmt::Debug for Simulator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Simulator")
            .field("name", &self.name)
            .field("title", &self.title)
            .finish_non_exhaustive()
    }
}
