//! The requests that have made a vendor call and have not ended, and how many calls they will still make.
//!
//! A request that is refused at its fifth call has wasted four calls. So the first call of a request is admitted only if the quota has room for the
//! remaining calls of the requests in progress and for its own. The number of calls is learned when a request ends; requests are grouped by their first
//! operation.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Weak};
use std::time::Instant;

use ota_core::context::CallLog;

use crate::permit_request::PermitRequest;

/// How many ended requests per operation the expected number of calls is computed from.
const SAMPLES: usize = 16;

/// The requests in progress.
#[derive(Debug, Default)]
pub(crate) struct RequestsInProgress {
    running: Vec<Request>,
    /// The number of calls of the last requests, by their first operation.
    made: HashMap<&'static str, VecDeque<usize>>,
}

/// A request that has made a call. It has ended when its log has been dropped.
#[derive(Debug)]
struct Request {
    log: Weak<CallLog>,
    /// The ticket of its first call.
    since: u64,
    first: &'static str,
    made: usize,
    /// Whether one of its calls had to wait for the quota or a slot.
    waited: bool,
    /// Whether a call of it was refused, so that it would have made more calls.
    cut: bool,
    deadline: Instant,
}

impl RequestsInProgress {
    /// Records a call that is sent now. `since` is the ticket of the request's first call, `waited` whether the call had to wait.
    pub(crate) fn record(
        &mut self,
        wanted: &PermitRequest<'_>,
        since: u64,
        waited: bool,
        now: Instant,
    ) {
        self.forget_ended(now);
        let deadline = wanted.deadline;
        match self
            .running
            .iter_mut()
            .find(|request| request.is(wanted.log))
        {
            Some(request) => {
                request.made = request.made.saturating_add(1);
                request.waited |= waited;
                request.deadline = request.deadline.max(deadline);
            }
            None => self.running.push(Request {
                log: Arc::downgrade(wanted.log),
                since,
                first: wanted.operation,
                made: 1,
                waited,
                cut: false,
                deadline,
            }),
        }
    }

    /// Returns the ticket of a request's first call.
    pub(crate) fn first_ticket(&self, log: &Arc<CallLog>) -> Option<u64> {
        let mut running = self.running.iter();
        running
            .find(|request| request.is(log))
            .map(|request| request.since)
    }

    /// Whether a request has waited for the quota or a slot, so that the vendor is not the only cause of its duration.
    pub(crate) fn has_waited(&self, log: &Arc<CallLog>) -> bool {
        let mut running = self.running.iter();
        running.any(|request| request.is(log) && request.waited)
    }

    /// Records that a call of a request is refused.
    pub(crate) fn mark_refused(&mut self, log: &Arc<CallLog>) {
        if let Some(request) = self.running.iter_mut().find(|request| request.is(log)) {
            request.cut = true;
        }
    }

    /// Whether no request is in progress.
    pub(crate) fn is_empty(&mut self, now: Instant) -> bool {
        self.forget_ended(now);
        self.running.is_empty()
    }

    /// Estimates how many calls the requests in progress will still make.
    pub(crate) fn remaining_calls(&mut self, now: Instant) -> usize {
        self.forget_ended(now);
        let remaining = self.running.iter().map(|request| {
            let all = self.expected(request.first);
            all.saturating_sub(request.made)
        });
        remaining.fold(0, usize::saturating_add)
    }

    /// Estimates the number of calls of a request whose first operation is this one: the average of the last requests, rounded up.
    pub(crate) fn expected(&self, first: &'static str) -> usize {
        match self.made.get(first) {
            Some(made) => {
                let sum = made.iter().copied().fold(0, usize::saturating_add);
                sum.div_ceil(made.len().max(1)).max(1)
            }
            None => {
                let running = self.running.iter().filter(|request| request.first == first);
                match running.map(|request| request.made).max() {
                    // None has ended yet, and some make more than one call.
                    Some(made) if made > 1 => estimated_total(made),
                    _ => 1,
                }
            }
        }
    }

    fn forget_ended(&mut self, now: Instant) {
        let mut ended = Vec::new();
        self.running.retain(|request| {
            let runs = request.runs(now);
            if !runs {
                ended.push((request.first, request.made, request.cut));
            }
            runs
        });
        for (first, made, cut) in ended {
            let made = match cut {
                true => estimated_total(made).max(self.expected(first)),
                false => made,
            };
            let last = self.made.entry(first).or_default();
            if last.len() >= SAMPLES {
                last.pop_front();
            }
            last.push_back(made);
        }
    }
}

/// Estimates the number of calls of a request that has made so many and has not ended. An estimate that is too low would have the calls of further
/// requests refused too; one that is too high is corrected by the first requests that end.
fn estimated_total(made: usize) -> usize {
    made.saturating_mul(2)
}

impl Request {
    fn is(&self, log: &Arc<CallLog>) -> bool {
        std::ptr::eq(Weak::as_ptr(&self.log), Arc::as_ptr(log))
    }

    /// A log that is held beyond the deadline of its request does not delay others.
    fn runs(&self, now: Instant) -> bool {
        self.log.strong_count() > 0 && now < self.deadline
    }
}

#[cfg(test)]
mod tests {
    use super::RequestsInProgress;
    use crate::latency::LatencyEstimate;
    use crate::permit_request::PermitRequest;
    use crate::slots::Slots;
    use ota_core::clock::{Clock, SystemClock};
    use ota_core::context::{CallLog, Priority};
    use std::sync::Arc;
    use std::time::{Duration, Instant};

    fn begin(
        requests: &mut RequestsInProgress,
        now: Instant,
        request: &Arc<CallLog>,
        calls: usize,
    ) {
        for _ in 0..calls {
            let wanted = PermitRequest {
                caller: None,
                operation: "list",
                slots: &Slots::new(1),
                priority: Priority::Interactive,
                log: request,
                deadline: now + Duration::from_secs(10),
                estimate: LatencyEstimate {
                    median: Duration::ZERO,
                    p90: Duration::ZERO,
                    timeout: Duration::ZERO,
                    probe: false,
                },
            };
            requests.record(&wanted, 7, false, now);
        }
    }

    #[test]
    fn what_requests_still_make_is_learnt_from_those_that_are_over() {
        let (mut requests, now) = (RequestsInProgress::default(), SystemClock.monotonic());
        assert!(requests.is_empty(now));
        assert_eq!(
            (requests.expected("list"), requests.remaining_calls(now)),
            (1, 0)
        );
        let [first, second, third] = [(); 3].map(|()| Arc::<CallLog>::default());
        begin(&mut requests, now, &first, 1);
        assert_eq!(
            (requests.expected("list"), requests.remaining_calls(now)),
            (1, 0)
        );
        begin(&mut requests, now, &first, 3);
        assert_eq!(requests.expected("list"), 8, "the request has not ended");
        assert_eq!(requests.first_ticket(&first), Some(7));
        drop(first);
        assert!(requests.is_empty(now));
        assert_eq!(
            (requests.expected("list"), requests.remaining_calls(now)),
            (4, 0)
        );
        begin(&mut requests, now, &second, 1);
        begin(&mut requests, now, &third, 3);
        assert_eq!(requests.remaining_calls(now), 3 + 1);
        drop(third);
        assert_eq!(
            (requests.expected("list"), requests.remaining_calls(now)),
            (4, 3)
        );
        assert_eq!(
            (requests.expected("another"), requests.first_ticket(&second)),
            (1, Some(7))
        );
        // A log that is held beyond the deadline of its request.
        assert!(requests.is_empty(now + Duration::from_secs(10)));
        drop(second);
        assert_eq!(requests.expected("list"), 3);
    }

    #[test]
    fn a_request_that_was_refused_a_call_would_have_made_more() {
        let (mut requests, now) = (RequestsInProgress::default(), SystemClock.monotonic());
        for (made, expected) in [(2, 4), (3, 5), (2, 5)] {
            let request = Arc::<CallLog>::default();
            begin(&mut requests, now, &request, made);
            requests.mark_refused(&request);
            drop(request);
            assert!(requests.is_empty(now));
            assert_eq!(requests.expected("list"), expected, "{made}");
        }
    }
}
