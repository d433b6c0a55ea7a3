//! When a job is looked at, when its tasks are read, and which piece of work comes first. Pure functions of time.

use std::time::Duration;

use ota_core::job::JobStatus;
use time::OffsetDateTime;

use crate::settings::SyncSettings;

const MINUTE: Duration = Duration::from_secs(60);
pub(crate) const DAY: Duration = Duration::from_secs(24 * 3600);

/// For how long a job is new.
const NEW_FOR: Duration = Duration::from_secs(10 * 60);
/// The age at which a new job is looked at again.
const NEW_EVERY: Duration = Duration::from_secs(10);
/// For how long a job is active after a change.
const ACTIVE_FOR: Duration = Duration::from_secs(5 * 60);
/// The age at which an active job is looked at again.
const ACTIVE_EVERY: Duration = Duration::from_secs(20);
/// Tasks of an ended job that still run are left to the list passes when nothing has changed for this time.
const DRAINS_FOR: Duration = Duration::from_secs(3600);
/// All tasks of a running job are read again after this time, for changes that no count shows.
const RUNNING_READ_EVERY: Duration = Duration::from_secs(3600);
/// The age at which a job that ended today is looked at again: failed tasks can be repeated.
const ENDED_TODAY_EVERY: Duration = Duration::from_secs(15 * 60);
/// The age at which an older job is read again.
const OLDER_READ_EVERY: Duration = Duration::from_secs(30 * 24 * 3600);

/// What the schedule knows of a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobFacts {
    /// Where it is in its life.
    pub status: JobStatus,
    /// When it was created, or starts.
    pub created_at: Option<OffsetDateTime>,
    /// When it or one of its tasks last changed.
    pub changed_at: OffsetDateTime,
    /// Whether its counts come with its row in the list: then a list pass is a look at it.
    pub counts_in_rows: bool,
}

/// How a job is treated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Created or steered a short time ago.
    New,
    /// Running, and changed a short time ago.
    Active,
    /// Running, and unchanged for so long.
    Quiet(Duration),
    /// It starts at this time.
    Scheduled(OffsetDateTime),
    /// It ended within a day.
    EndedToday,
    /// It ended within a week.
    EndedThisWeek,
    /// It ended before.
    Older,
}

/// The ages at which a job is read again; none: only when something else gives a reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// A look: its counts, and the rows that can have changed.
    pub look: Option<Duration>,
    /// All its tasks.
    pub read: Duration,
    /// Whether it runs: only then does the mirror owe a look within `max_lag_s`. All other jobs are read behind a list pass, so that nothing is called between
    /// two of them.
    pub running: bool,
}

/// Returns the class of a job; `updating` says whether tasks of it run. A canceled job lets running updates go on.
#[must_use]
pub fn class(now: OffsetDateTime, job: &JobFacts, updating: bool) -> Class {
    let changed = age(now, job.changed_at);
    if job.status.has_ended() && updating && changed < DRAINS_FOR {
        return match changed {
            changed if changed < ACTIVE_FOR => Class::Active,
            _ => Class::Quiet(changed),
        };
    }
    if job.status.has_ended() {
        return match changed {
            changed if changed < DAY => Class::EndedToday,
            changed if changed < DAY * 7 => Class::EndedThisWeek,
            _ => Class::Older,
        };
    }
    match job.created_at {
        Some(at) if job.status == JobStatus::Pending && at > now => Class::Scheduled(at),
        Some(at) if age(now, at) < NEW_FOR => Class::New,
        _ if changed < ACTIVE_FOR => Class::Active,
        _ => Class::Quiet(changed),
    }
}

/// Returns the ages at which a job of this class is read again.
#[must_use]
pub fn wanted(
    now: OffsetDateTime,
    class: Class,
    job: &JobFacts,
    settings: &SyncSettings,
) -> Wanted {
    let longest = longest_look(settings);
    let running = |every: Duration| Wanted {
        look: Some(every.min(longest).max(Duration::from_secs(1))),
        read: RUNNING_READ_EVERY.max(settings.full_pass),
        running: true,
    };
    match class {
        Class::New => running(NEW_EVERY),
        Class::Active => running(ACTIVE_EVERY),
        Class::Quiet(quiet) => running(doubled(quiet, longest)),
        Class::Scheduled(at) => running(longest.max(age(at, now))).until(at, now),
        Class::EndedToday => Wanted {
            look: (!job.counts_in_rows).then(|| ENDED_TODAY_EVERY.max(settings.full_pass)),
            read: DAY,
            running: false,
        },
        Class::EndedThisWeek => Wanted {
            look: None,
            read: DAY,
            running: false,
        },
        Class::Older => Wanted {
            look: None,
            read: OLDER_READ_EVERY,
            running: false,
        },
    }
}

/// Returns the longest age at which a running job is looked at again: a look that begins then has ended before `max_lag` is over.
#[must_use]
pub fn longest_look(settings: &SyncSettings) -> Duration {
    settings.max_lag.mul_f64(0.8)
}

impl Wanted {
    /// Puts the look off to the start of the job.
    fn until(self, starts_at: OffsetDateTime, now: OffsetDateTime) -> Self {
        Self {
            look: Some(age(starts_at, now)),
            running: false,
            ..self
        }
    }
}

/// The longer nothing changes the rarer a job is looked at: the age doubles with each doubling of the quiet time.
fn doubled(quiet: Duration, longest: Duration) -> Duration {
    let mut every = ACTIVE_EVERY * 2;
    let mut reached = ACTIVE_FOR * 2;
    while reached <= quiet && every < longest {
        every *= 2;
        reached *= 2;
    }
    every.min(longest)
}

/// How long ago a time is; zero for one to come.
#[must_use]
pub fn age(now: OffsetDateTime, then: OffsetDateTime) -> Duration {
    Duration::try_from(now - then).unwrap_or(Duration::ZERO)
}

/// Returns the time `wait` after a time, or the latest that can be written.
#[must_use]
pub fn later(at: OffsetDateTime, wait: Duration) -> OffsetDateTime {
    time::Duration::try_from(wait)
        .ok()
        .and_then(|wait| at.checked_add(wait))
        .unwrap_or(at)
}

/// Returns a part of a duration from nothing to a quarter of it, by an identifier: what was read together is not read together for ever.
#[must_use]
pub fn spread(id: &str, every: Duration) -> Duration {
    // FNV-1a: the same in every process.
    let hash = id.bytes().fold(0x811c_9dc5_u32, |hash, byte| {
        (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
    });
    every.mul_f64(f64::from(hash % 1000) / 4000.0)
}

/// A piece of work that is due.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Candidate {
    /// How long ago it was done.
    pub age: Duration,
    /// The age at which it is to be done again.
    pub wanted: Duration,
    /// The vendor calls that it is expected to take.
    pub cost: u64,
}

impl Candidate {
    /// Returns its age in units of the wanted one.
    fn lateness(&self) -> f64 {
        self.age.as_secs_f64() / self.wanted.as_secs_f64().max(0.001)
    }

    /// Whether this one comes before the other: the later one, and of equally late ones the cheaper.
    #[must_use]
    pub fn before(&self, other: &Self) -> bool {
        let (own, others) = (self.lateness(), other.lateness());
        own > others || (own >= others && self.cost < other.cost)
    }
}

/// Returns how long the next attempt is put off after this many failures in a row: doubling from `first`, at most `most`.
#[must_use]
pub fn backoff(failures: u32, first: Duration, most: Duration) -> Duration {
    first
        .saturating_mul(1 << failures.saturating_sub(1).min(16))
        .min(most)
}

/// A job that has never been read is wanted at this age, and so is what a sign asks for.
pub(crate) const FIRST_READ: Duration = Duration::from_secs(10);

/// The longest time that the queue sleeps: wall time may step.
pub(crate) const LONGEST_SLEEP: Duration = MINUTE;

#[cfg(test)]
mod tests {
    use super::{Candidate, Class, JobFacts, backoff, class, spread, wanted};
    use crate::settings::SyncSettings;
    use ota_core::job::JobStatus;
    use proptest::prelude::*;
    use std::time::Duration;
    use time::OffsetDateTime;
    use time::macros::datetime;

    const NOW: OffsetDateTime = datetime!(2026-03-01 12:00 UTC);
    const SETTINGS: SyncSettings = SyncSettings {
        max_lag: Duration::from_secs(60),
        full_pass: Duration::from_secs(900),
        keep: Duration::from_secs(365 * 24 * 3600),
    };

    fn job(status: JobStatus, created_s: i64, changed_s: i64) -> JobFacts {
        JobFacts {
            status,
            created_at: Some(NOW - time::Duration::seconds(created_s)),
            changed_at: NOW - time::Duration::seconds(changed_s),
            counts_in_rows: false,
        }
    }

    #[track_caller]
    fn check(job: &JobFacts, expected: Class, look_s: Option<u64>) {
        let class = class(NOW, job, false);
        assert_eq!(class, expected);
        let look = wanted(NOW, class, job, &SETTINGS).look;
        assert_eq!(look, look_s.map(Duration::from_secs));
    }

    #[test]
    fn each_kind_of_job_has_its_age() {
        let quiet = |s| Class::Quiet(Duration::from_secs(s));
        let running = JobStatus::InProgress;
        check(&job(running, 500, 500), Class::New, Some(10));
        check(&job(running, 5000, 100), Class::Active, Some(20));
        check(&job(running, 5000, 400), quiet(400), Some(40));
        check(&job(running, 5000, 700), quiet(700), Some(48));
        check(&job(JobStatus::Unknown, 5000, 4000), quiet(4000), Some(48));
        let ended = JobStatus::Completed;
        check(&job(ended, 5000, 4000), Class::EndedToday, Some(900));
        check(&job(ended, 500_000, 200_000), Class::EndedThisWeek, None);
        check(&job(ended, 5_000_000, 2_000_000), Class::Older, None);
        let starts = NOW + time::Duration::hours(1);
        check(
            &job(JobStatus::Pending, -3600, 4000),
            Class::Scheduled(starts),
            Some(3600),
        );
        check(&job(JobStatus::Pending, 5000, 4000), quiet(4000), Some(48));
    }

    #[test]
    fn a_list_with_counts_is_a_look_at_all_that_ended() {
        let mut job = job(JobStatus::Completed, 5000, 4000);
        job.counts_in_rows = true;
        check(&job, Class::EndedToday, None);
    }

    #[test]
    fn a_canceled_job_is_looked_at_while_tasks_of_it_move() {
        let canceled = |changed_s| job(JobStatus::Canceled, 90_000, changed_s);
        let of = |changed_s, updating| class(NOW, &canceled(changed_s), updating);
        assert_eq!(of(200, true), Class::Active);
        assert_eq!(of(3000, true), Class::Quiet(Duration::from_secs(3000)));
        assert_eq!(of(3600, true), Class::EndedToday);
        assert_eq!(of(200, false), Class::EndedToday);
    }

    #[test]
    fn the_later_one_comes_first_and_of_equals_the_cheaper() {
        let one = |age, wanted, cost| Candidate {
            age: Duration::from_secs(age),
            wanted: Duration::from_secs(wanted),
            cost,
        };
        assert!(one(30, 10, 9).before(&one(200, 100, 1)));
        assert!(!one(200, 100, 1).before(&one(30, 10, 9)));
        assert!(one(20, 10, 1).before(&one(200, 100, 2)));
        assert!(!one(20, 10, 2).before(&one(200, 100, 2)));
    }

    #[test]
    fn failures_double_the_wait_up_to_the_longest() {
        let wait =
            |failures| backoff(failures, Duration::from_secs(5), Duration::from_secs(60)).as_secs();
        let waits: Vec<u64> = (1..7).map(wait).collect();
        assert_eq!(waits, [5, 10, 20, 40, 60, 60]);
        assert_eq!(wait(u32::MAX), 60);
    }

    proptest! {
        #[test]
        fn a_running_job_never_waits_longer_than_the_lag(created in 0_i64..10_000_000, changed in 0_i64..10_000_000, lag in 1_u64..100_000, id: String) {
            let settings = SyncSettings { max_lag: Duration::from_secs(lag), ..SETTINGS };
            let job = job(JobStatus::InProgress, created, changed);
            let wanted = wanted(NOW, class(NOW, &job, false), &job, &settings);
            let look = wanted.look.unwrap();
            prop_assert!(wanted.running && look <= settings.max_lag);
            prop_assert!(spread(&id, look) * 4 <= look);
        }
    }
}
