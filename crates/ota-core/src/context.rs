//! What travels with a request.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use time::OffsetDateTime;

/// Who waits for the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Priority {
    /// A person or a dashboard.
    Interactive,
    /// Nobody: a sync, a probe.
    Background,
}

/// What travels with a request from the edge to the vendor call.
#[derive(Clone, Debug)]
pub struct Context {
    /// The identifier that logs, problems and vendor support cases share.
    pub request_id: Arc<str>,
    /// When the caller stops waiting; no vendor call starts after it.
    pub deadline: Instant,
    /// Who waits.
    pub priority: Priority,
    /// The vendor calls made for this request so far; clones share it.
    pub calls: Arc<CallLog>,
}

impl Context {
    /// Creates the context of a new request.
    #[must_use]
    pub fn new(request_id: impl Into<Arc<str>>, deadline: Instant, priority: Priority) -> Self {
        Self {
            request_id: request_id.into(),
            deadline,
            priority,
            calls: Arc::new(CallLog::default()),
        }
    }
}

/// The vendor calls behind one answer.
#[derive(Debug, Default)]
pub struct CallLog(Mutex<CallSummary>);

/// How many vendor calls an answer took, how long, and since when it is true.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CallSummary {
    /// Number of calls (attempts) that were sent.
    pub count: u32,
    /// The sum of their durations; calls side by side count each.
    pub time: Duration,
    /// When the earliest one that was answered was sent: the answer is as of this time.
    pub earliest: Option<OffsetDateTime>,
}

impl CallLog {
    /// Notes one attempt; the gate does this.
    pub fn record(&self, sent_at: OffsetDateTime, took: Duration, answered: bool) {
        let mut summary = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        summary.count = summary.count.saturating_add(1);
        summary.time = summary.time.saturating_add(took);
        if answered {
            summary.earliest = Some(
                summary
                    .earliest
                    .map_or(sent_at, |earliest| earliest.min(sent_at)),
            );
        }
    }

    /// Returns the summary so far.
    #[must_use]
    pub fn summary(&self) -> CallSummary {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
