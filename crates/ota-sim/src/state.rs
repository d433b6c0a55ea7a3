//! What the requests of one simulator share.

use time::OffsetDateTime;

use crate::clock::Clock;
use crate::counters::Recorder;
use crate::exchange::Vendor;
use crate::faults::Faults;

pub(crate) struct Shared {
    /// The vendor's name for people.
    pub(crate) title: &'static str,
    pub(crate) vendor: Box<dyn Vendor>,
    pub(crate) faults: Faults,
    pub(crate) recorder: Recorder,
    pub(crate) clock: Clock,
    pub(crate) clock_offset: time::Duration,
    pub(crate) started: OffsetDateTime,
}

impl Shared {
    /// The server's own time, which the `Date` header shows.
    pub(crate) fn now(&self) -> OffsetDateTime {
        let now = self.clock.now();
        now.checked_add(self.clock_offset).unwrap_or(now)
    }
}
