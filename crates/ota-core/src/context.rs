//! The context of a request.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use time::OffsetDateTime;

use crate::clock::Clock;
use crate::trace::TraceParent;

/// Who waits for the response.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Priority {
    /// A person or a dashboard.
    Interactive,
    /// Background work, such as a probe.
    Background,
}

/// The context of a request, passed from the API to the vendor call.
#[derive(Clone, Debug)]
pub struct Context {
    /// The identifier that logs, problems and vendor support cases share.
    pub request_id: Arc<str>,
    /// The time limit of the caller; no vendor call starts after it.
    pub deadline: Instant,
    /// Who waits.
    pub priority: Priority,
    /// The caller that the work is done for, if there is one: callers share a vendor's quota.
    pub caller: Option<Arc<str>>,
    /// A hash of what the request is about, such as a job: failures that all concern one job say little about the vendor's health.
    pub subject: Option<u64>,
    /// The vendor calls made for this request so far; clones share it.
    pub calls: Arc<CallLog>,
    /// The trace that the request belongs to, and the span that vendor calls are made from.
    pub trace: Option<TraceParent>,
}

impl Context {
    /// Creates the context of a new request.
    #[must_use]
    pub fn new(request_id: impl Into<Arc<str>>, deadline: Instant, priority: Priority) -> Self {
        Self {
            request_id: request_id.into(),
            deadline,
            priority,
            caller: None,
            subject: None,
            calls: Arc::new(CallLog::default()),
            trace: None,
        }
    }

    /// Sets the caller that the work is done for.
    #[must_use]
    pub fn with_caller(mut self, caller: Option<Arc<str>>) -> Self {
        self.caller = caller;
        self
    }

    /// Sets what the request is about.
    #[must_use]
    pub fn about(mut self, what: &impl Hash) -> Self {
        let mut hasher = DefaultHasher::new();
        what.hash(&mut hasher);
        self.subject = Some(hasher.finish());
        self
    }

    /// Sets the trace that the request belongs to.
    #[must_use]
    pub fn with_trace(mut self, trace: Option<TraceParent>) -> Self {
        self.trace = trace;
        self
    }
}

/// The vendor calls made for one response.
#[derive(Debug, Default)]
pub struct CallLog(Mutex<Calls>);

#[derive(Debug, Default)]
struct Calls {
    summary: CallSummary,
    operations: Vec<&'static str>,
}

/// Maximum number of operations that are stored by name.
const NAMED: usize = 16;

/// Number, duration and time of the vendor calls made for a response.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CallSummary {
    /// Number of calls (attempts) that were sent, including those in flight.
    pub count: u32,
    /// The sum of the durations of those that have ended; concurrent calls count separately.
    pub time: Duration,
    /// When the earliest answered call was sent: the `as_of` time of the response.
    pub earliest: Option<Moment>,
    /// When the latest call that has ended was sent: the vendor's state at this time is known.
    pub latest: Option<Moment>,
}

/// One moment on both clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// The wall time, to be shown.
    pub wall: OffsetDateTime,
    /// The monotonic time, to count an age from: wall time may step.
    pub monotonic: Instant,
}

impl Moment {
    /// Returns the current moment of a clock.
    #[must_use]
    pub fn now(clock: &dyn Clock) -> Self {
        Self {
            wall: clock.now(),
            monotonic: clock.monotonic(),
        }
    }
}

impl CallLog {
    /// Records that an attempt is sent now; called by the gate. The attempt counts from here, even if its caller goes away.
    pub fn begin(&self, operation: &'static str) {
        let mut calls = self.lock();
        calls.summary.count = calls.summary.count.saturating_add(1);
        if calls.operations.len() < NAMED && !calls.operations.contains(&operation) {
            calls.operations.push(operation);
        }
    }

    /// Records the result of an attempt; called by the gate.
    pub fn end(&self, sent: Moment, took: Duration, answered: bool) {
        let summary = &mut self.lock().summary;
        summary.time = summary.time.saturating_add(took);
        let earlier = summary
            .earliest
            .is_none_or(|earliest| sent.monotonic < earliest.monotonic);
        if answered && earlier {
            summary.earliest = Some(sent);
        }
        let later = summary
            .latest
            .is_none_or(|latest| sent.monotonic > latest.monotonic);
        if later {
            summary.latest = Some(sent);
        }
    }

    /// Adds calls that another gateway made for the same request, and the sum of their durations.
    pub fn add(&self, count: u32, time: Duration) {
        let summary = &mut self.lock().summary;
        summary.count = summary.count.saturating_add(count);
        summary.time = summary.time.saturating_add(time);
    }

    /// Returns the summary so far.
    #[must_use]
    pub fn summary(&self) -> CallSummary {
        self.lock().summary
    }

    /// Returns the vendor operations that were called so far, each once, in the order of their first call; at most 16.
    #[must_use]
    pub fn operations(&self) -> Vec<&'static str> {
        self.lock().operations.clone()
    }

    fn lock(&self) -> MutexGuard<'_, Calls> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
