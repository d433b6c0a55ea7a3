//! The requests that have made a call and are not over, and how many calls they still make.
//!
//! A request that has begun and is refused at its fifth call has wasted four. So who asks for a first call is let in only if there is room for the calls
//! that those before it still make, and for its own. How many a request makes shows when it is over; requests are told apart by their first operation.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Weak};
use std::time::Instant;

use ota_core::context::CallLog;

use crate::ask::Ask;

/// The requests of each kind whose number of calls is remembered.
const REMEMBERED: usize = 16;

/// The requests that have begun.
#[derive(Debug, Default)]
pub(crate) struct Begun {
    running: Vec<Request>,
    /// How many calls the last requests made that began with an operation.
    made: HashMap<&'static str, VecDeque<usize>>,
}

/// A request that has made a call. It is over when nobody holds its log any more.
#[derive(Debug)]
struct Request {
    log: Weak<CallLog>,
    /// The ticket of its first call.
    since: u64,
    first: &'static str,
    made: usize,
    /// Whether one of its calls had to wait for the quota or a slot.
    waited: bool,
    /// Whether it was refused a call, so that it was to make more.
    cut: bool,
    deadline: Instant,
}

impl Begun {
    /// Notes a call that leaves now. `since` is the ticket of its request's first call, `waited` whether it had to wait.
    pub(crate) fn note(&mut self, ask: &Ask<'_>, since: u64, waited: bool, now: Instant) {
        self.forget_ended(now);
        let deadline = ask.deadline;
        match self
            .running
            .iter_mut()
            .find(|request| request.is(ask.request))
        {
            Some(request) => {
                request.made = request.made.saturating_add(1);
                request.waited |= waited;
                request.deadline = request.deadline.max(deadline);
            }
            None => self.running.push(Request {
                log: Arc::downgrade(ask.request),
                since,
                first: ask.operation,
                made: 1,
                waited,
                cut: false,
                deadline,
            }),
        }
    }

    /// Returns the ticket of a request's first call.
    pub(crate) fn since(&self, log: &Arc<CallLog>) -> Option<u64> {
        let mut running = self.running.iter();
        running
            .find(|request| request.is(log))
            .map(|request| request.since)
    }

    /// Whether a request has waited, so that it is not only the vendor who has taken its time.
    pub(crate) fn has_waited(&self, log: &Arc<CallLog>) -> bool {
        let mut running = self.running.iter();
        running.any(|request| request.is(log) && request.waited)
    }

    /// Notes that a request is refused a call.
    pub(crate) fn cut(&mut self, log: &Arc<CallLog>) {
        if let Some(request) = self.running.iter_mut().find(|request| request.is(log)) {
            request.cut = true;
        }
    }

    /// Whether no request is under way.
    pub(crate) fn is_empty(&mut self, now: Instant) -> bool {
        self.forget_ended(now);
        self.running.is_empty()
    }

    /// Returns how many calls the requests that have begun still make, as far as that can be known.
    pub(crate) fn owed(&mut self, now: Instant) -> usize {
        self.forget_ended(now);
        let owed = self.running.iter().map(|request| {
            let all = self.expected(request.first);
            all.saturating_sub(request.made)
        });
        owed.fold(0, usize::saturating_add)
    }

    /// Returns how many calls a request makes that begins with this operation: the average of the last ones, rounded up.
    pub(crate) fn expected(&self, first: &'static str) -> usize {
        match self.made.get(first) {
            Some(made) => {
                let sum = made.iter().copied().fold(0, usize::saturating_add);
                sum.div_ceil(made.len().max(1)).max(1)
            }
            None => {
                let running = self.running.iter().filter(|request| request.first == first);
                match running.map(|request| request.made).max() {
                    // None is over yet, and there are such as make more calls than one.
                    Some(made) if made > 1 => at_least(made),
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
                true => at_least(made).max(self.expected(first)),
                false => made,
            };
            let last = self.made.entry(first).or_default();
            if last.len() >= REMEMBERED {
                last.pop_front();
            }
            last.push_back(made);
        }
    }
}

/// How many calls a request is taken to make that has made so many and is not at its end. A guess that is too small would have the
/// next ones cut too; one that is too large is corrected by the first that come to their end.
fn at_least(made: usize) -> usize {
    made.saturating_mul(2)
}

impl Request {
    fn is(&self, log: &Arc<CallLog>) -> bool {
        std::ptr::eq(Weak::as_ptr(&self.log), Arc::as_ptr(log))
    }

    /// A log that is kept for longer than its request was to take holds nobody up.
    fn runs(&self, now: Instant) -> bool {
        self.log.strong_count() > 0 && now < self.deadline
    }
}

#[cfg(test)]
mod tests {
    use super::Begun;
    use crate::ask::Ask;
    use crate::pace::Takes;
    use crate::slots::Slots;
    use ota_core::clock::{Clock, SystemClock};
    use ota_core::context::{CallLog, Priority};
    use std::sync::Arc;
    use std::time::{Duration, Instant};

    fn begin(begun: &mut Begun, now: Instant, request: &Arc<CallLog>, calls: usize) {
        for _ in 0..calls {
            let ask = Ask {
                caller: None,
                operation: "list",
                slots: &Slots::new(1),
                priority: Priority::Interactive,
                request,
                deadline: now + Duration::from_secs(10),
                takes: Takes {
                    usual: Duration::ZERO,
                    careful: Duration::ZERO,
                    longest: Duration::ZERO,
                    trial: false,
                },
            };
            begun.note(&ask, 7, false, now);
        }
    }

    #[test]
    fn what_requests_still_make_is_learnt_from_those_that_are_over() {
        let (mut begun, now) = (Begun::default(), SystemClock.monotonic());
        assert!(begun.is_empty(now));
        assert_eq!((begun.expected("list"), begun.owed(now)), (1, 0));
        let [first, second, third] = [(); 3].map(|()| Arc::<CallLog>::default());
        begin(&mut begun, now, &first, 1);
        assert_eq!((begun.expected("list"), begun.owed(now)), (1, 0));
        begin(&mut begun, now, &first, 3);
        assert_eq!(begun.expected("list"), 8, "it is not over");
        assert_eq!(begun.since(&first), Some(7));
        drop(first);
        assert!(begun.is_empty(now));
        assert_eq!((begun.expected("list"), begun.owed(now)), (4, 0));
        begin(&mut begun, now, &second, 1);
        begin(&mut begun, now, &third, 3);
        assert_eq!(begun.owed(now), 3 + 1);
        drop(third);
        assert_eq!((begun.expected("list"), begun.owed(now)), (4, 3));
        assert_eq!(
            (begun.expected("another"), begun.since(&second)),
            (1, Some(7))
        );
        // A log that is held for longer than its request was to take.
        assert!(begun.is_empty(now + Duration::from_secs(10)));
        drop(second);
        assert_eq!(begun.expected("list"), 3);
    }

    #[test]
    fn a_request_that_was_refused_a_call_would_have_made_more() {
        let (mut begun, now) = (Begun::default(), SystemClock.monotonic());
        for (made, expected) in [(2, 4), (3, 5), (2, 5)] {
            let request = Arc::<CallLog>::default();
            begin(&mut begun, now, &request, made);
            begun.cut(&request);
            drop(request);
            assert!(begun.is_empty(now));
            assert_eq!(begun.expected("list"), expected, "{made}");
        }
    }
}
