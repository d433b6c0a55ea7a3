//! The order of the queue, and what choosing costs.

use std::time::Duration;

use ota_core::id::JobId;
use proptest::prelude::*;
use time::OffsetDateTime;
use time::macros::datetime;

use super::{Judged, Kind, Queue, Wish};
use crate::schedule::{Candidate, later};

const NOW: OffsetDateTime = datetime!(2026-03-01 12:00 UTC);
const LAG: Duration = Duration::from_secs(60);

fn ago(seconds: u64) -> OffsetDateTime {
    NOW - Duration::from_secs(seconds)
}

fn wish(kind: Kind, ago_s: u64, wanted_s: u64, cost: u64) -> Wish {
    let (since, wanted) = (ago(ago_s), Duration::from_secs(wanted_s));
    let due = later(since, wanted);
    Wish {
        kind,
        since,
        wanted,
        cost,
        due,
    }
}

fn judged(wishes: Vec<Wish>) -> Judged {
    Judged {
        wishes,
        running: None,
        unread: false,
        grouped: false,
    }
}

fn place(queue: &mut Queue, id: &str, wishes: Vec<Wish>) {
    queue.place(&JobId::from(id), judged(wishes), NOW);
}

fn latest(queue: &mut Queue) -> Option<(Kind, String)> {
    let latest = queue.latest(NOW, LAG, true);
    latest.map(|(kind, id, _)| (kind, id.into_string()))
}

#[test]
fn what_is_latest_comes_first_and_open_tasks_last() {
    let mut queue = Queue::default();
    place(&mut queue, "open", vec![wish(Kind::Open, 9000, 48, 1)]);
    assert_eq!(latest(&mut queue), Some((Kind::Open, "open".to_owned())));
    assert_eq!(queue.latest(NOW, LAG, false), None);
    place(&mut queue, "look", vec![wish(Kind::Look, 30, 20, 1)]);
    place(&mut queue, "read", vec![wish(Kind::Read, 20, 10, 5)]);
    place(&mut queue, "cheap", vec![wish(Kind::Read, 20, 10, 2)]);
    place(&mut queue, "later", vec![wish(Kind::Look, 10, 20, 1)]);
    for id in ["cheap", "read", "look", "open"] {
        assert_eq!(latest(&mut queue).unwrap().1, id);
        queue.remove(&JobId::from(id));
    }
    assert_eq!(latest(&mut queue), None);
    assert_eq!(queue.next_due(), Some(later(NOW, Duration::from_secs(10))));
}

#[test]
fn running_jobs_that_wait_too_long_share_the_lag() {
    let mut queue = Queue::default();
    let put = |queue: &mut Queue, id: &str, ago_s, wanted_s| {
        let judged = Judged {
            running: Some(ago(ago_s)),
            ..judged(vec![wish(Kind::Look, ago_s, wanted_s, 1)])
        };
        queue.place(&JobId::from(id), judged, NOW);
    };
    put(&mut queue, "new", 55, 10);
    put(&mut queue, "quiet", 59, 48);
    assert_eq!(queue.latest(NOW, LAG, true).unwrap().1.as_str(), "new");
    // No time is left for favourites: the one that waits longest comes first.
    put(&mut queue, "quiet", 70, 48);
    assert_eq!(queue.latest(NOW, LAG, true).unwrap().1.as_str(), "quiet");
}

#[test]
fn choosing_looks_at_few_of_many_jobs() {
    const JOBS: u64 = 100_000;
    let mut queue = Queue::default();
    for number in 0..JOBS {
        // A tenth runs, and of those every second look is due.
        let wishes = match number % 10 {
            0 => vec![
                wish(Kind::Look, 40 + number % 20, 48, 1),
                wish(Kind::Read, 100, 3600, 9),
            ],
            _ => Vec::new(),
        };
        place(&mut queue, &format!("job-{number}"), wishes);
    }
    queue.steps = 0;
    for _ in 0..1000 {
        let (_, id, _) = queue.latest(NOW, LAG, true).unwrap();
        place(&mut queue, id.as_str(), vec![wish(Kind::Look, 0, 48, 1)]);
        assert_eq!(queue.pop_due(NOW), None);
    }
    assert!(
        queue.steps <= 5 * 1000,
        "{} steps for 1000 pieces",
        queue.steps
    );
}

proptest! {
    /// The same order as a comparison of all with all.
    #[test]
    fn the_first_is_the_latest_of_all(
        wishes in proptest::collection::vec((0_u64..200, 1_u64..4, 1_u64..4, any::<bool>()), 1..40),
    ) {
        let mut queue = Queue::default();
        let mut all = Vec::new();
        for (number, (ago_s, wanted, cost, looks)) in wishes.into_iter().enumerate() {
            let kind = if looks { Kind::Look } else { Kind::Read };
            let wish = wish(kind, ago_s, wanted * 20, cost);
            place(&mut queue, &format!("job-{number}"), vec![wish]);
            if wish.due <= NOW {
                all.push(Candidate { age: Duration::from_secs(ago_s), wanted: wish.wanted, cost });
            }
        }
        let best = queue.latest(NOW, LAG, true).map(|(_, _, candidate)| candidate);
        prop_assert_eq!(best.is_some(), !all.is_empty());
        if let Some(best) = best {
            prop_assert!(!all.iter().any(|other| other.before(&best)));
        }
    }
}
