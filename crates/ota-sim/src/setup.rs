//! The settings that all simulators have.

use std::fmt;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use crate::clock::Clock;
use crate::fault::Fault;
use crate::fleet::{Fleet, FleetShape, Vocabulary};
use crate::quota::Quota;

/// The settings that all simulators have.
#[derive(Clone)]
pub struct Setup {
    /// Address to listen on; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Serves TLS when set; mutual TLS is a matter of this configuration.
    pub tls: Option<Arc<rustls::ServerConfig>>,
    /// Time that drives everything.
    pub clock: Clock,
    /// How far the server's clock is off; the `Date` header shows the server's time.
    pub clock_offset: time::Duration,
    /// Source of everything random.
    pub seed: u64,
    /// What the simulator holds.
    pub fleet: FleetShape,
    /// How many calls it admits.
    pub quota: QuotaSetting,
    /// Faults from the start.
    pub faults: Vec<Fault>,
}

/// How many calls a simulator admits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum QuotaSetting {
    /// As many as the vendor documents.
    #[default]
    Documented,
    /// As many as the vendor documents, but for these parts.
    Changed {
        /// Calls admitted in a window.
        calls: Option<u32>,
        /// Length of the window.
        window: Option<Duration>,
    },
    /// Any number.
    Unlimited,
}

impl QuotaSetting {
    /// Returns the quota in force where the vendor documents this one; `None` admits any number of calls.
    #[must_use]
    pub fn of(self, documented: Option<Quota>) -> Option<Quota> {
        let quota = documented?;
        match self {
            Self::Documented => Some(quota),
            Self::Changed { calls, window } => Some(Quota {
                calls: calls.unwrap_or(quota.calls),
                window: window.unwrap_or(quota.window),
            }),
            Self::Unlimited => None,
        }
    }
}

impl Setup {
    /// Plans the fleet, which starts at this moment, with the values of one vendor.
    pub(crate) fn fleet(&self, words: &'static dyn Vocabulary) -> io::Result<Arc<Fleet>> {
        let now = self.clock.now();
        let start = now.checked_add(self.clock_offset).unwrap_or(now);
        Fleet::new(&self.fleet, self.seed, start, words).map(Arc::new)
    }
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            tls: None,
            clock: Clock::system(),
            clock_offset: time::Duration::ZERO,
            seed: 1,
            fleet: FleetShape::demo(),
            quota: QuotaSetting::Documented,
            faults: Vec::new(),
        }
    }
}

impl fmt::Debug for Setup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Setup")
            .field("listen", &self.listen)
            .field("tls", &self.tls.is_some())
            .field("clock", &self.clock)
            .field("seed", &self.seed)
            .field("fleet", &self.fleet)
            .field("quota", &self.quota)
            .finish_non_exhaustive()
    }
}
