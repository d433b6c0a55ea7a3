//! How the Alibaba Cloud simulator behaves.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::clock::Clock;
use crate::fault::Fault;
use crate::fleet::FleetShape;
use crate::quota::Quota;
use crate::renewed::Renewed;
use crate::setup::{QuotaSetting, Setup};

/// A key, and the token that belongs to it where it is temporary.
#[derive(Clone)]
pub struct Credential {
    /// The access key id.
    pub access_key_id: String,
    /// Its secret.
    pub access_key_secret: String,
    /// The token of temporary credentials (STS).
    pub security_token: Option<String>,
}

/// How a call over quota is refused. Which of them the IoT product uses is not known; others behind the same gateway use all three.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ThrottleStatus {
    /// HTTP 400, the documented one.
    #[default]
    BadRequest,
    /// HTTP 429.
    TooManyRequests,
    /// HTTP 503.
    ServiceUnavailable,
}

/// The refusal `Throttling.User`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ThrottleStyle {
    /// HTTP status.
    pub status: ThrottleStatus,
    /// Value of `x-acs-retry-after` in milliseconds; no header when `None`.
    pub retry_after_ms: Option<u64>,
}

/// The answer to a job id that does not exist, for which no public code is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UnknownJob {
    /// HTTP 200 with `Success: false` and this `Code`.
    ProductError(String),
    /// An error of the gateway with this HTTP status and `Code`.
    GatewayError(u16, String),
    /// Success: a job without fields, or an empty list.
    EmptyData,
}

impl Default for UnknownJob {
    fn default() -> Self {
        Self::ProductError("iot.ota.JobNotFound".to_owned())
    }
}

/// Settings of the Alibaba Cloud simulator. The defaults are demo credentials that no vendor would accept.
#[derive(Clone)]
pub struct Config {
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
    /// The only access key id that is known.
    pub access_key_id: String,
    /// Its secret.
    pub access_key_secret: String,
    /// When set, the key belongs to temporary credentials (STS) and calls need this token.
    pub security_token: Option<String>,
    /// Another credential that replaces these three while the simulator runs.
    pub renewed: Renewed<Credential>,
    /// When set, `IotInstanceId` is mandatory and must be this; when not, it must be left out.
    pub instance_id: Option<String>,
    /// `HostId` in errors of the gateway.
    pub host_id: String,
    /// Calls per account **and operation**; `None` switches the quota off.
    pub quota: Option<Quota>,
    /// How a call over quota is refused.
    pub throttle_style: ThrottleStyle,
    /// How far a time stamp may be off in either direction.
    pub skew_limit: Duration,
    /// Spells the end state `COMPLETE`, as older English documents do, instead of `COMPLETED`.
    pub complete_spelling: bool,
    /// Spells the job type `VERFIY_FIRMWARE`, as every English document does, instead of `VERIFY_FIRMWARE`.
    pub verfiy_spelling: bool,
    /// Behaves like the oldest documents: no CONFIRM, no `Timeout`, no newer job fields.
    pub old_edition: bool,
    /// The answer to an unknown job id.
    pub unknown_job: UnknownJob,
    /// Faults from the start.
    pub faults: Vec<Fault>,
}

/// Access key id of the demo; no vendor knows it.
pub const DEMO_ACCESS_KEY_ID: &str = "demo-access-key-id";
/// Secret of the demo; it protects nothing.
pub const DEMO_ACCESS_KEY_SECRET: &str = "demo-access-key-secret";

/// Documented: ten queries a second.
pub(super) const DOCUMENTED_QUOTA: Quota = Quota {
    calls: 10,
    window: Duration::from_secs(1),
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
            listen: setup.listen,
            tls: setup.tls,
            clock: setup.clock,
            clock_offset: setup.clock_offset,
            seed: setup.seed,
            fleet: setup.fleet,
            access_key_id: DEMO_ACCESS_KEY_ID.to_owned(),
            access_key_secret: DEMO_ACCESS_KEY_SECRET.to_owned(),
            security_token: None,
            renewed: Renewed::default(),
            instance_id: None,
            host_id: "iot.cn-shanghai.aliyuncs.com".to_owned(),
            quota: setup.quota.of(Some(DOCUMENTED_QUOTA)),
            throttle_style: ThrottleStyle::default(),
            skew_limit: Duration::from_secs(15 * 60),
            complete_spelling: false,
            verfiy_spelling: false,
            old_edition: false,
            unknown_job: UnknownJob::default(),
            faults: setup.faults,
        }
    }

    /// Returns the credential in force.
    pub(crate) fn credential(&self) -> Credential {
        self.renewed.get().unwrap_or_else(|| Credential {
            access_key_id: self.access_key_id.clone(),
            access_key_secret: self.access_key_secret.clone(),
            security_token: self.security_token.clone(),
        })
    }

    /// Returns the part that every simulator has; the quota is this module's own affair.
    pub(super) fn setup(&self) -> Setup {
        Setup {
            listen: self.listen,
            tls: self.tls.clone(),
            clock: self.clock.clone(),
            clock_offset: self.clock_offset,
            seed: self.seed,
            fleet: self.fleet.clone(),
            quota: QuotaSetting::Documented,
            faults: self.faults.clone(),
        }
    }
}

impl fmt::Debug for Config {
    /// Leaves out the secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("listen", &self.listen)
            .field("tls", &self.tls.is_some())
            .field("clock", &self.clock)
            .field("seed", &self.seed)
            .field("fleet", &self.fleet)
            .field("instance_id", &self.instance_id)
            .field("quota", &self.quota)
            .finish_non_exhaustive()
    }
}
