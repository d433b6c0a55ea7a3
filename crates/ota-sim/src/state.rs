//! What the requests of one simulator share.

use std::sync::{Mutex, PoisonError};

use time::OffsetDateTime;

use crate::clock::Clock;
use crate::counters::Recorder;
use crate::exchange::{Answer, Vendor};
use crate::faults::Faults;
use crate::liberty::Liberty;

pub(crate) struct Shared {
    /// The vendor's name for people.
    pub(crate) title: &'static str,
    pub(crate) vendor: Box<dyn Vendor>,
    pub(crate) faults: Faults,
    /// Liberties that every good answer takes, in this order.
    pub(crate) liberties: Mutex<Vec<Liberty>>,
    pub(crate) recorder: Recorder,
    pub(crate) clock: Clock,
    pub(crate) clock_offset: time::Duration,
    pub(crate) started: OffsetDateTime,
}

impl Shared {
    /// Takes the liberties in a good answer, where it is JSON.
    pub(crate) fn take_liberties(&self, mut answer: Answer) -> Answer {
        let liberties = self.liberties.lock();
        let liberties = liberties.unwrap_or_else(PoisonError::into_inner).clone();
        if liberties.is_empty() {
            return answer;
        }
        if let Ok(body) = serde_json::from_slice(&answer.body) {
            let taken = liberties.iter().fold(body, |body, one| one.take(body));
            answer.body = taken.to_string().into_bytes();
        }
        answer
    }

    /// The server's own time, which the `Date` header shows.
    pub(crate) fn now(&self) -> OffsetDateTime {
        let now = self.clock.now();
        now.checked_add(self.clock_offset).unwrap_or(now)
    }
}
