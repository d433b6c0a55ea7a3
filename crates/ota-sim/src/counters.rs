//! Counters of a simulator, and the requests that it has recorded.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde::Serialize;
use time::OffsetDateTime;

use crate::fault::FaultKind;
use crate::quota::Window;

/// Requests that the ring keeps.
const KEPT_REQUESTS: usize = 10_000;

/// Why a call was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Refusal {
    /// Unknown operation, version, method or path.
    Request,
    /// Unknown key or application, wrong secret, missing or wrong security token.
    Credential,
    /// Time stamp malformed or outside the window.
    Clock,
    /// Wrong or incomplete signature.
    Signature,
    /// Nonce used before.
    Nonce,
    /// Access token missing, malformed, expired or replaced.
    Token,
    /// Quota used up.
    Throttled,
    /// Parameter missing or wrong, page beyond the limit.
    Parameter,
    /// No such job, package or task.
    NotFound,
    /// Instance id wrong, missing or not wanted.
    Instance,
    /// An error that a fault asked for.
    Fault,
}

/// Numbers since the start or the last reset.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Counters {
    /// Arrivals per operation, refused or not.
    pub calls: BTreeMap<String, u64>,
    /// Calls per operation that got a good answer.
    pub answered: BTreeMap<String, u64>,
    /// Refused calls by reason.
    pub refused: BTreeMap<Refusal, u64>,
    /// Successful logins, at vendors that hand out tokens.
    pub logins: u64,
    /// Successful refreshes of such tokens.
    pub refreshes: u64,
    /// Most arrivals per operation seen in any sliding window of the quota's length.
    pub max_in_window: BTreeMap<String, u64>,
    /// Most arrivals of all operations together seen in any such window.
    pub max_in_window_total: u64,
    /// Injected faults by kind.
    pub faults: BTreeMap<FaultKind, u64>,
}

impl Counters {
    /// Returns the arrivals of one operation.
    #[must_use]
    pub fn calls_of(&self, operation: &str) -> u64 {
        self.calls.get(operation).copied().unwrap_or(0)
    }

    /// Returns the arrivals of all operations.
    #[must_use]
    pub fn total_calls(&self) -> u64 {
        self.calls.values().sum()
    }

    /// Returns the calls of all operations that got a good answer.
    #[must_use]
    pub fn total_answered(&self) -> u64 {
        self.answered.values().sum()
    }

    /// Returns the calls refused for one reason.
    #[must_use]
    pub fn refused_for(&self, reason: Refusal) -> u64 {
        self.refused.get(&reason).copied().unwrap_or(0)
    }

    /// Returns the calls refused for any reason.
    #[must_use]
    pub fn total_refused(&self) -> u64 {
        self.refused.values().sum()
    }

    /// Returns the most arrivals of one operation in any window.
    #[must_use]
    pub fn max_in_window_of(&self, operation: &str) -> u64 {
        self.max_in_window.get(operation).copied().unwrap_or(0)
    }

    /// Returns how often one kind of fault was injected.
    #[must_use]
    pub fn faults_of(&self, kind: FaultKind) -> u64 {
        self.faults.get(&kind).copied().unwrap_or(0)
    }
}

/// One request as it arrived.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct RecordedRequest {
    /// Operation name, or `unknown`.
    pub operation: String,
    /// HTTP method.
    pub method: String,
    /// Path and query exactly as received, including a signature.
    pub target: String,
    /// Decoded parameters of query and form body; signatures, secrets and tokens are left out.
    pub params: Vec<(String, String)>,
    /// `Content-Type` as received.
    pub content_type: Option<String>,
    /// Headers of interest, names in lower case: no credentials and no signature.
    pub headers: Vec<(String, String)>,
    /// Time of arrival since the start, by the simulator's clock.
    pub at: Duration,
}

#[derive(Debug, Default)]
struct Records {
    counters: Counters,
    windows: BTreeMap<String, Window>,
    all: Window,
    requests: VecDeque<RecordedRequest>,
}

/// Records what happens in a server.
#[derive(Debug)]
pub(crate) struct Recorder {
    window: Duration,
    records: Mutex<Records>,
}

impl Recorder {
    pub(crate) fn new(window: Duration) -> Self {
        Self {
            window,
            records: Mutex::default(),
        }
    }

    pub(crate) fn arrived(&self, now: OffsetDateTime, request: RecordedRequest) {
        let mut records = self.lock();
        let Records {
            counters,
            windows,
            all,
            requests,
        } = &mut *records;
        let operation = request.operation.clone();
        *counters.calls.entry(operation.clone()).or_default() += 1;

        let window = windows.entry(operation.clone()).or_default();
        window.push(now);
        let seen = window.count(now, self.window) as u64;
        let most = counters.max_in_window.entry(operation).or_default();
        *most = seen.max(*most);
        all.push(now);
        let seen = all.count(now, self.window) as u64;
        counters.max_in_window_total = seen.max(counters.max_in_window_total);

        if requests.len() == KEPT_REQUESTS {
            requests.pop_front();
        }
        requests.push_back(request);
    }

    pub(crate) fn answered(&self, operation: &str) {
        let mut records = self.lock();
        *records
            .counters
            .answered
            .entry(operation.to_owned())
            .or_default() += 1;
    }

    pub(crate) fn refused(&self, reason: Refusal) {
        *self.lock().counters.refused.entry(reason).or_default() += 1;
    }

    pub(crate) fn injected(&self, kinds: impl Iterator<Item = FaultKind>) {
        let mut records = self.lock();
        for kind in kinds {
            *records.counters.faults.entry(kind).or_default() += 1;
        }
    }

    pub(crate) fn logged_in(&self) {
        self.lock().counters.logins += 1;
    }

    pub(crate) fn refreshed(&self) {
        self.lock().counters.refreshes += 1;
    }

    pub(crate) fn counters(&self) -> Counters {
        self.lock().counters.clone()
    }

    pub(crate) fn requests(&self) -> Vec<RecordedRequest> {
        self.lock().requests.iter().cloned().collect()
    }

    pub(crate) fn reset(&self) {
        *self.lock() = Records::default();
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Records> {
        self.records.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
