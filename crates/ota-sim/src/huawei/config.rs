//! How the Huawei simulator behaves.

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

/// What the total of the task list is called.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TotalName {
    /// `totalCount`, as in the documents and the Python SDK.
    #[default]
    TotalCount,
    /// `totalSize`, as in the Java and PHP SDK (for the task list only).
    TotalSize,
}

/// What a call without `pageNo` means; the documents say both.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AbsentPageNo {
    /// The first page.
    #[default]
    ZeroDefault,
    /// Everything in one answer.
    Unpaged,
}

/// The answer to a token that is expired, replaced, malformed or missing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BadToken {
    /// 403 with 1010005, the documented one.
    #[default]
    Forbidden1010005,
    /// 403 with 1005, as older platforms answer.
    Forbidden1005,
    /// 401 with 100002, as some platforms answer.
    Unauthorized100002,
}

/// Settings of the Huawei simulator. The defaults are demo credentials that no vendor would accept.
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
    /// The only application that is known.
    pub app_id: String,
    /// Its secret.
    pub secret: String,
    /// Another secret that replaces it while the simulator runs.
    pub renewed_secret: Renewed<String>,
    /// The operator has frozen the application: logins and refreshes are refused with 100247.
    pub app_frozen: bool,
    /// Header that carries the application id.
    pub app_key_header: String,
    /// Calls per application, logins and refreshes left out; `None` switches the quota off.
    pub quota: Option<Quota>,
    /// Life of an access token.
    pub expires_in: Duration,
    /// Prints `expiresIn` as a string, as one example of the documents does.
    pub expires_in_as_string: bool,
    /// Life of a refresh token: 24 hours or a month, depending on the document.
    pub refresh_expires_in: Duration,
    /// `tokenType`; the documents print it with a trailing space.
    pub token_type: String,
    /// The answer to a bad token.
    pub bad_token: BadToken,
    /// What the total of the task list is called.
    pub total_name: TotalName,
    /// Prints statuses in upper case and `failed` as `FAIL`, as the vendor's example does.
    pub uppercase_status: bool,
    /// What a call without `pageNo` means.
    pub absent_page_no: AbsentPageNo,
    /// Answers every call with all rows and ignores paging.
    pub ignore_paging: bool,
    /// Sends errors with HTTP 200.
    pub errors_with_200: bool,
    /// Adds `error_code: null` and `error_desc: null` to good answers.
    pub null_error_code_on_success: bool,
    /// Counts timeouts in `staResult.fail` as well; otherwise in `staResult.timeout` only.
    pub timeout_in_fail: bool,
    /// Faults from the start.
    pub faults: Vec<Fault>,
}

/// Application id of the demo; no vendor knows it.
pub const DEMO_APP_ID: &str = "demo-app-id";
/// Secret of the demo; it protects nothing.
pub const DEMO_SECRET: &str = "demo-app-secret";

/// Documented: a hundred calls a minute.
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
            listen: setup.listen,
            tls: setup.tls,
            clock: setup.clock,
            clock_offset: setup.clock_offset,
            seed: setup.seed,
            fleet: setup.fleet,
            app_id: DEMO_APP_ID.to_owned(),
            secret: DEMO_SECRET.to_owned(),
            renewed_secret: Renewed::default(),
            app_frozen: false,
            app_key_header: "app_key".to_owned(),
            quota: setup.quota.of(Some(DOCUMENTED_QUOTA)),
            expires_in: Duration::from_secs(3600),
            expires_in_as_string: false,
            refresh_expires_in: Duration::from_secs(24 * 3600),
            token_type: "Bearer ".to_owned(),
            bad_token: BadToken::default(),
            total_name: TotalName::default(),
            uppercase_status: false,
            absent_page_no: AbsentPageNo::default(),
            ignore_paging: false,
            errors_with_200: false,
            null_error_code_on_success: false,
            timeout_in_fail: true,
            faults: setup.faults,
        }
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
            .field("app_id", &self.app_id)
            .field("quota", &self.quota)
            .finish_non_exhaustive()
    }
}
