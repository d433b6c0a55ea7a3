//! How the simulator behaves. What the documents leave open is a switch here.

use std::fmt;
use std::time::Duration;

use crate::clock::Clock;
use crate::fleet::FleetShape;
use crate::quota::Quota;
use crate::renewed::Renewed;
use crate::setup::Setup;

/// Settings of the simulator. The defaults are a demo credential that no vendor would accept.
#[derive(Clone)]
pub struct Config {
    setup: Setup,
    /// The only token that is known.
    pub token: String,
    /// Another token that replaces it while the simulator runs.
    pub renewed_token: Renewed<String>,
    /// Calls per account; `None` switches the quota off.
    pub quota: Option<Quota>,
}

/// Token of the demo; it protects nothing.
pub const DEMO_TOKEN: &str = "demo-token";

/// What the vendor documents.
pub(super) const DOCUMENTED_QUOTA: Quota = Quota {
    calls: 100,
    window: Duration::from_secs(60),
};

impl Default for Config {
    fn default() -> Self {
        Self::of(Setup::default())
    }
}

impl Config {
    /// Returns the settings for `setup`, with the defaults of what only this simulator has.
    #[must_use]
    pub fn of(setup: Setup) -> Self {
        Self {
            token: DEMO_TOKEN.to_owned(),
            renewed_token: Renewed::default(),
            quota: setup.quota.of(Some(DOCUMENTED_QUOTA)),
            setup,
        }
    }

    /// Returns settings for tests: this fleet at this time, and no quota.
    #[must_use]
    pub fn without_quota(clock: Clock, fleet: FleetShape) -> Self {
        Self {
            quota: None,
            ..Self::of(Setup {
                clock,
                fleet,
                ..Setup::default()
            })
        }
    }

    /// Returns the part that every simulator has.
    pub(super) fn setup(&self) -> Setup {
        self.setup.clone()
    }
}

impl fmt::Debug for Config {
    /// Leaves out the secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("setup", &self.setup)
            .field("quota", &self.quota)
            .finish_non_exhaustive()
    }
}
