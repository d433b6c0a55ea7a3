use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::join_all;
use ota_core::clock::{Clock, ManualClock};
use ota_core::context::{Context, Priority};
use ota_core::{Error, ErrorKind, Result};
use time::OffsetDateTime;
use time::macros::datetime;
use tokio::sync::Semaphore;

use super::{Cell, Fetch, Fetched};
use crate::credentials::Secrets;

const NOW: OffsetDateTime = datetime!(2026-01-01 00:00 UTC);

/// A credential with its AccessKey ID and end, or a failure.
type Answer = Option<(&'static str, Option<OffsetDateTime>)>;

/// Gives out what a test scripts, one answer for each permit.
#[derive(Debug)]
struct Script {
    answers: Mutex<VecDeque<Answer>>,
    permits: Semaphore,
    asked: Mutex<u32>,
}

#[async_trait::async_trait]
impl Fetch for Script {
    async fn fetch(&self, _cx: &Context) -> Result<Fetched> {
        *self.asked.lock().unwrap() += 1;
        self.permits.acquire().await.unwrap().forget();
        match self.answers.lock().unwrap().pop_front().flatten() {
            Some((id, expires)) => Ok(Fetched {
                secrets: Secrets {
                    access_key_id: id.into(),
                    access_key_secret: "secret".into(),
                    security_token: None,
                },
                expires,
            }),
            None => Err(Error::new(ErrorKind::Unavailable, "no answer")),
        }
    }
}

struct Rig {
    script: Arc<Script>,
    cell: Arc<Cell>,
    clock: ManualClock,
}

impl Rig {
    fn new(answers: &[Answer]) -> Self {
        let script = Arc::new(Script {
            answers: Mutex::new(answers.iter().copied().collect()),
            permits: Semaphore::new(0),
            asked: Mutex::new(0),
        });
        let clock = ManualClock::new(NOW);
        let fetch: Arc<dyn Fetch> = Arc::<Script>::clone(&script);
        Self {
            cell: Arc::new(Cell::new(fetch, Arc::new(clock.clone()))),
            script,
            clock,
        }
    }

    fn cx(&self) -> Context {
        let deadline = self.clock.monotonic() + Duration::from_secs(30);
        Context::new("test", deadline, Priority::Interactive)
    }

    async fn id(&self) -> Result<String> {
        let secrets = self.cell.current(&self.cx()).await?;
        Ok(secrets.access_key_id.expose_secret().to_owned())
    }

    fn permit(&self) {
        self.script.permits.add_permits(1);
    }

    fn asked(&self) -> u32 {
        *self.script.asked.lock().unwrap()
    }

    /// Lets a renewal that runs beside come to its end.
    async fn store(&self) {
        while self.cell.state().renewal.is_some() {
            tokio::task::yield_now().await;
        }
    }
}

fn hour() -> Option<OffsetDateTime> {
    Some(NOW + Duration::from_secs(3600))
}

#[tokio::test]
async fn callers_share_one_fetch() {
    let rig = Rig::new(&[Some(("a", hour()))]);
    rig.permit();
    for id in join_all((0..6).map(|_| rig.id())).await {
        assert_eq!(id.unwrap(), "a");
    }
    assert_eq!(rig.asked(), 1);
}

#[tokio::test]
async fn a_credential_is_renewed_ahead_of_time_while_the_old_one_is_used() {
    let rig = Rig::new(&[Some(("a", hour())), Some(("b", None))]);
    rig.permit();
    assert_eq!(rig.id().await.unwrap(), "a");
    rig.clock.advance(Duration::from_secs(3600 - 301));
    assert_eq!(rig.id().await.unwrap(), "a");
    assert_eq!(rig.asked(), 1);
    rig.clock.advance(Duration::from_secs(2));
    // No caller waits for the renewal, which has not been answered yet.
    assert_eq!(rig.id().await.unwrap(), "a");
    assert_eq!(rig.id().await.unwrap(), "a");
    rig.permit();
    rig.store().await;
    assert_eq!(rig.id().await.unwrap(), "b");
    assert_eq!(rig.asked(), 2);
}

#[tokio::test]
async fn the_last_good_one_is_used_until_it_ends_and_a_failure_is_shared() {
    let rig = Rig::new(&[Some(("a", hour())), None, None, Some(("b", None))]);
    rig.script.permits.add_permits(4);
    assert_eq!(rig.id().await.unwrap(), "a");
    rig.clock.advance(Duration::from_secs(3400));
    assert_eq!(rig.id().await.unwrap(), "a");
    rig.store().await;
    // The renewal has failed; it is not begun again at once.
    assert_eq!(rig.id().await.unwrap(), "a");
    assert_eq!(rig.asked(), 2);
    rig.clock.advance(Duration::from_secs(201));
    for id in join_all((0..6).map(|_| rig.id())).await {
        assert_eq!(id.unwrap_err().kind(), ErrorKind::Unavailable);
    }
    assert_eq!(rig.asked(), 3);
    // Not asked again while the failure is fresh.
    assert!(rig.id().await.is_err());
    assert_eq!(rig.asked(), 3);
    rig.clock.advance(Duration::from_secs(6));
    assert_eq!(rig.id().await.unwrap(), "b");
}

#[tokio::test]
async fn a_refused_credential_is_asked_for_again_once() {
    let rig = Rig::new(&[
        Some(("a", hour())),
        Some(("b", hour())),
        Some(("b", hour())),
    ]);
    rig.script.permits.add_permits(3);
    let first = rig.cell.current(&rig.cx()).await.unwrap();
    assert!(rig.cell.replaced(&rig.cx(), &first).await);
    // Another caller whose call was signed with the old one needs no further fetch.
    assert!(rig.cell.replaced(&rig.cx(), &first).await);
    assert_eq!(rig.asked(), 2);
    let second = rig.cell.current(&rig.cx()).await.unwrap();
    assert!(!rig.cell.replaced(&rig.cx(), &second).await);
    assert!(!rig.cell.replaced(&rig.cx(), &second).await);
    assert_eq!(rig.asked(), 3);
}

/// A renewal is in progress, and the vendor refuses the credential that it is to replace. `begun_before` is what that renewal comes to.
async fn refused_during_a_renewal(begun_before: Answer, begun_after: Answer) -> (bool, u32) {
    let replaced = refused_during(begun_before, begun_after, false).await;
    // A refusal that is remembered is judged alike.
    assert_eq!(
        refused_during(begun_before, begun_after, true).await,
        replaced
    );
    replaced
}

async fn refused_during(begun_before: Answer, begun_after: Answer, later: bool) -> (bool, u32) {
    let rig = Rig::new(&[Some(("a", hour())), begun_before, begun_after]);
    rig.permit();
    let first = rig.cell.current(&rig.cx()).await.unwrap();
    rig.clock.advance(Duration::from_secs(3600 - 299));
    assert_eq!(rig.id().await.unwrap(), "a");
    while rig.asked() < 2 {
        tokio::task::yield_now().await;
    }
    let (cell, cx) = (Arc::clone(&rig.cell), rig.cx());
    let permits = async {
        // Only now, so that the refusal comes before the renewal's end.
        rig.script.permits.add_permits(2);
    };
    let replaced = async {
        match later {
            true => cell.newer(&cx, &first).await.is_some(),
            false => cell.replaced(&cx, &first).await,
        }
    };
    let (replaced, ()) = tokio::join!(replaced, permits);
    rig.store().await;
    (replaced, rig.asked())
}

#[tokio::test]
async fn a_refused_credential_is_judged_by_a_renewal_that_began_after_the_refusal() {
    let (old, new) = (Some(("a", hour())), Some(("b", hour())));
    // What was asked for before the refusal may be the refused one, or have failed; that says nothing about the source now.
    assert_eq!(refused_during_a_renewal(old, new).await, (true, 3));
    assert_eq!(refused_during_a_renewal(None, new).await, (true, 3));
    assert_eq!(refused_during_a_renewal(new, None).await, (true, 2));
    // It is asked once, whatever it answers.
    assert_eq!(refused_during_a_renewal(old, old).await, (false, 3));
    assert_eq!(refused_during_a_renewal(old, None).await, (false, 3));
    assert_eq!(refused_during_a_renewal(None, None).await, (false, 3));
}

#[tokio::test]
async fn a_source_that_hangs_is_a_timeout_and_the_next_call_asks_again() {
    let rig = Rig::new(&[Some(("a", hour()))]);
    let (cell, cx) = (Arc::clone(&rig.cell), rig.cx());
    let waiting = tokio::spawn(async move { cell.current(&cx).await.map(drop) });
    while rig.asked() == 0 {
        tokio::task::yield_now().await;
    }
    rig.clock.advance(Duration::from_secs(16));
    let error = waiting.await.unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout);
    rig.clock.advance(Duration::from_secs(6));
    rig.permit();
    assert_eq!(rig.id().await.unwrap(), "a");
}

#[tokio::test]
async fn a_credential_that_seems_to_have_ended_is_used_for_a_minute() {
    // The clock of this machine is wrong; the vendor judges by its own.
    let rig = Rig::new(&[
        Some(("a", Some(NOW - Duration::from_secs(60)))),
        Some(("b", None)),
    ]);
    rig.script.permits.add_permits(2);
    assert_eq!(rig.id().await.unwrap(), "a");
    rig.clock.advance(Duration::from_secs(29));
    assert_eq!(rig.id().await.unwrap(), "a");
    assert_eq!(rig.asked(), 1);
    rig.clock.advance(Duration::from_secs(31));
    assert_eq!(rig.id().await.unwrap(), "b");
}
