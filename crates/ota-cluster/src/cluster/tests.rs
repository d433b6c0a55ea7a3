//! Gateways over one table of leases, on clocks that are moved by hand.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ota_core::BoxFuture;
use ota_core::clock::{Clock, ManualClock};
use ota_core::id::ProviderName;
use ota_store::lease::{Claim, Fence, Fencing, Granted, Lease, Previous, SentCall, Tenure};
use ota_store::{Result, StoreError};
use proptest::prelude::*;
use time::OffsetDateTime;
use time::macros::datetime;

use super::{Account, CallWindow, Cluster, Member, Standing};
use crate::table::LeaseTable;

const WINDOW: Duration = Duration::from_secs(60);
const SECOND: Duration = Duration::from_secs(1);

/// What becomes of the next operations of a gateway.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Link {
    #[default]
    Good,
    /// They do not reach the database.
    Cut,
    /// They have their effect, and the answer is lost.
    AnswerLost,
    /// They arrive, and are answered, this many milliseconds later.
    Slow(u64),
}

/// One row, by the rules of the real table: its own tests hold it to them.
#[derive(Debug, Default)]
struct Row {
    holder: String,
    epoch: i64,
    expires: Option<OffsetDateTime>,
    address: String,
    calls: Option<Vec<SentCall>>,
    previous: Option<(OffsetDateTime, Option<Vec<SentCall>>)>,
}

/// The database as one gateway reaches it.
#[derive(Clone, Debug)]
struct Table {
    clock: ManualClock,
    row: Arc<Mutex<Row>>,
    link: Arc<Mutex<Link>>,
    refuse_claims: Arc<AtomicBool>,
}

impl Table {
    fn reach<T>(&self, operation: impl FnOnce(&mut Row, OffsetDateTime) -> T) -> Result<T> {
        let link = *self.link.lock().unwrap();
        match link {
            Link::Cut => return Err(away()),
            Link::Slow(millis) => self.clock.advance(Duration::from_millis(millis)),
            Link::Good | Link::AnswerLost => {}
        }
        let done = operation(&mut self.row.lock().unwrap(), self.clock.now());
        match link {
            Link::AnswerLost => return Err(away()),
            Link::Slow(millis) => self.clock.advance(Duration::from_millis(millis)),
            Link::Good | Link::Cut => {}
        }
        Ok(done)
    }
}

fn away() -> StoreError {
    StoreError::Unavailable {
        message: "away".to_owned(),
    }
}

fn since(now: OffsetDateTime, then: OffsetDateTime) -> Duration {
    Duration::try_from(now - then).unwrap_or_default()
}

impl LeaseTable for Table {
    fn leases(&self) -> BoxFuture<'_, Result<Vec<Lease>>> {
        let leases = self.reach(|row, now| {
            let lease = |expires: OffsetDateTime| Lease {
                tenure: Tenure {
                    account: "account".to_owned(),
                    holder: row.holder.clone(),
                    epoch: row.epoch,
                },
                address: row.address.clone(),
                left: (expires > now).then(|| since(expires, now)),
            };
            row.expires.into_iter().map(lease).collect()
        });
        Box::pin(std::future::ready(leases))
    }

    fn claim<'a>(&'a self, claim: &'a Claim) -> BoxFuture<'a, Result<Option<Granted>>> {
        if self.refuse_claims.load(Ordering::Relaxed) {
            return Box::pin(std::future::ready(Err(away())));
        }
        let granted = self.reach(|row, now| {
            let runs = row.expires.is_some_and(|expires| expires > now);
            let goes_on = runs && row.holder == claim.holder && Some(row.epoch) == claim.epoch;
            if runs && !goes_on {
                return None;
            }
            if !goes_on {
                row.epoch += 1;
                row.previous = row.expires.map(|end| (end, row.calls.take()));
                row.holder.clone_from(&claim.holder);
            }
            row.address.clone_from(&claim.address);
            row.expires = Some(now + claim.length);
            let previous = row.previous.clone();
            Some(Granted {
                epoch: row.epoch,
                previous: previous.map(|(end, calls)| Previous {
                    ended: since(now, end),
                    calls,
                }),
            })
        });
        Box::pin(std::future::ready(granted))
    }

    fn release<'a>(
        &'a self,
        tenure: &'a Tenure,
        calls: &'a [SentCall],
    ) -> BoxFuture<'a, Result<bool>> {
        let released = self.reach(|row, now| {
            let is_held = row.holder == tenure.holder
                && row.epoch == tenure.epoch
                && row.expires.is_some_and(|expires| expires > now);
            if is_held {
                row.expires = Some(now);
                row.calls = Some(calls.to_vec());
            }
            is_held
        });
        Box::pin(std::future::ready(released))
    }
}

/// A quota that notes what it is told.
#[derive(Debug, Default)]
struct Window {
    counted: Mutex<Vec<SentCall>>,
    restored: Mutex<Vec<SentCall>>,
    paused: Mutex<Vec<Duration>>,
}

impl CallWindow for Window {
    fn length(&self) -> Duration {
        WINDOW
    }

    fn counted(&self) -> Vec<SentCall> {
        self.counted.lock().unwrap().clone()
    }

    fn restore(&self, call: &SentCall) {
        self.restored.lock().unwrap().push(call.clone());
    }

    fn pause(&self, wait: Duration) {
        self.paused.lock().unwrap().push(wait);
    }
}

/// A gateway.
struct Gateway {
    cluster: Cluster,
    table: Table,
    window: Arc<Window>,
}

impl Gateway {
    fn holds(&self) -> bool {
        self.standing() == Standing::Holder
    }

    fn standing(&self) -> Standing {
        self.cluster.standing(&provider())
    }

    async fn turn(&self) {
        self.cluster.turn(&self.table).await;
    }

    fn link(&self, link: Link) {
        *self.table.link.lock().unwrap() = link;
    }

    fn paused(&self) -> Vec<Duration> {
        self.window.paused.lock().unwrap().clone()
    }
}

fn provider() -> ProviderName {
    ProviderName::from("x")
}

fn gateways<const N: usize>() -> (ManualClock, [Gateway; N]) {
    let clock = ManualClock::new(datetime!(2026-01-01 00:00 UTC));
    let row: Arc<Mutex<Row>> = Arc::default();
    let gateways = std::array::from_fn(|number| {
        let window: Arc<Window> = Arc::default();
        let account = Account {
            name: "account".to_owned(),
            providers: vec![provider()],
            window: Arc::<Window>::clone(&window),
        };
        let member = Member {
            id: format!("process-{number}"),
            address: format!("http://gateway-{number}:8080"),
        };
        Gateway {
            cluster: Cluster::new(member, vec![account], Arc::new(clock.clone())),
            table: Table {
                clock: clock.clone(),
                row: Arc::clone(&row),
                link: Arc::default(),
                refuse_claims: Arc::default(),
            },
            window,
        }
    });
    (clock, gateways)
}

/// Lets time pass, with a turn of these gateways each second.
async fn pass(clock: &ManualClock, seconds: u32, gateways: &[&Gateway]) {
    for _ in 0..seconds {
        clock.advance(SECOND);
        for gateway in gateways {
            gateway.turn().await;
        }
    }
}

#[tokio::test]
async fn one_holds_the_account_and_the_other_knows_where_it_is() {
    let (clock, [a, b]) = gateways();
    assert!(!a.holds() && !b.holds());
    for _ in 0..100 {
        pass(&clock, 1, &[&a, &b]).await;
        assert!(a.holds());
        let address = Some("http://gateway-0:8080".to_owned());
        assert_eq!(b.standing(), Standing::NotHolder { address });
    }
    // The first holder of all has nothing to wait for.
    assert_eq!((a.paused(), b.paused()), (vec![], vec![]));
    assert_eq!(a.table.row.lock().unwrap().epoch, 1);
    let other = Standing::NotHolder { address: None };
    assert_eq!(a.cluster.standing(&ProviderName::from("other")), other);
}

#[tokio::test]
async fn after_a_death_another_takes_over_within_15_seconds_and_waits_a_window() {
    for before in 0..4 {
        let (clock, [a, b]) = gateways();
        pass(&clock, 10 + before, &[&a, &b]).await;
        let mut took = 0;
        while !b.holds() {
            pass(&clock, 1, &[&b]).await;
            took += 1;
        }
        assert!((9..=13).contains(&took), "{took} s");
        let [wait] = b.paused()[..] else {
            panic!("{:?}", b.paused());
        };
        assert!(wait > WINDOW - SECOND * 2 && wait <= WINDOW, "{wait:?}");
        assert_eq!(*b.window.restored.lock().unwrap(), []);
    }
}

#[tokio::test]
async fn what_is_given_back_moves_at_once_with_its_calls() {
    let (clock, [a, b]) = gateways();
    pass(&clock, 5, &[&a, &b]).await;
    let call = |ago| SentCall {
        bucket: "op".to_owned(),
        ago: Duration::from_millis(ago),
    };
    *a.window.counted.lock().unwrap() = vec![call(500), call(40_000)];
    a.cluster.give_back(&a.table).await;
    assert!(!a.holds());
    assert_eq!(a.cluster.fence(&provider()), Fence::NotHeld);
    pass(&clock, 1, &[&a, &b]).await;
    assert!(b.holds() && !a.holds());
    assert!(b.paused().is_empty());
    assert_eq!(
        *b.window.restored.lock().unwrap(),
        [call(1500), call(41_000)]
    );
    // One that has given back does not begin again.
    b.cluster.give_back(&b.table).await;
    pass(&clock, 60, &[&a, &b]).await;
    assert!(!a.holds() && !b.holds());
}

#[tokio::test]
async fn without_the_database_a_holder_stops_before_its_lease_ends() {
    let (clock, [a, b]) = gateways();
    pass(&clock, 1, &[&a, &b]).await;
    a.link(Link::Cut);
    pass(&clock, 8, &[&a, &b]).await;
    assert!(a.holds());
    pass(&clock, 1, &[&a, &b]).await;
    assert!(!a.holds() && !b.holds());
    pass(&clock, 3, &[&a, &b]).await;
    assert!(b.holds());
    a.link(Link::Good);
    pass(&clock, 30, &[&a, &b]).await;
    assert!(b.holds() && !a.holds());
}

#[tokio::test]
async fn while_a_machine_is_suspended_its_lease_ends_all_the_same() {
    let (clock, [a]) = gateways();
    pass(&clock, 2, &[&a]).await;
    assert_eq!(a.cluster.standing(&provider()), Standing::Holder);
    // The monotonic clock of a suspended machine stands still.
    clock.set_wall(clock.now() + 60 * SECOND);
    assert!(matches!(
        a.cluster.standing(&provider()),
        Standing::NotHolder { .. }
    ));
    assert_eq!(a.cluster.call_until(&provider()), None);
    assert_eq!(a.cluster.fence(&provider()), Fence::NotHeld);
}

#[tokio::test]
async fn a_step_of_the_wall_clock_costs_trust_until_the_next_renewal() {
    let (clock, [a]) = gateways();
    pass(&clock, 2, &[&a]).await;
    let epoch = a.cluster.epoch(&provider());
    clock.set_wall(clock.now() + 10 * SECOND);
    assert_eq!(a.cluster.epoch(&provider()), None);
    // The database's clock is another one, and the lease runs there.
    a.table.row.lock().unwrap().expires = Some(clock.now() + 9 * SECOND);
    pass(&clock, 4, &[&a]).await;
    assert_eq!(a.cluster.epoch(&provider()), epoch);
}

#[tokio::test]
async fn before_the_database_was_ever_reached_calls_need_no_lease() {
    let (clock, [a, b, c]) = gateways();
    a.link(Link::Cut);
    b.link(Link::Cut);
    pass(&clock, 30, &[&a, &b]).await;
    for gateway in [&a, &b] {
        assert_eq!(gateway.standing(), Standing::Undecided);
        let until = gateway.cluster.call_until(&provider()).unwrap();
        assert_eq!(until, clock.monotonic() + SECOND);
        // Nothing may be written, so the sync does nothing.
        assert_eq!(gateway.cluster.epoch(&provider()), None);
        assert_eq!(gateway.cluster.fence(&provider()), Fence::NotHeld);
    }
    // A call that began so is awaited as long as nothing is decided.
    clock.advance(Duration::from_millis(900));
    assert!(a.cluster.call_until(&provider()).unwrap() > clock.monotonic());

    // Another gateway holds the account by now: what it does not know of may not go on.
    pass(&clock, 1, &[&c]).await;
    a.link(Link::Good);
    a.turn().await;
    let address = Some("http://gateway-2:8080".to_owned());
    assert_eq!(a.standing(), Standing::NotHolder { address });
    assert_eq!(a.cluster.call_until(&provider()), None);
    // From then on a database that is away again stops calls, as ever.
    a.link(Link::Cut);
    pass(&clock, 60, &[&a, &c]).await;
    assert_eq!(a.cluster.call_until(&provider()), None);
    assert_eq!(b.standing(), Standing::Undecided);
    // The gateway has reached it by another way than its leases.
    b.cluster.reached();
    assert_eq!(b.standing(), Standing::NotHolder { address: None });
    assert_eq!(b.cluster.call_until(&provider()), None);
}

#[tokio::test]
async fn who_takes_an_account_over_on_first_reaching_the_database_waits_as_ever() {
    let (clock, [a, b]) = gateways();
    b.link(Link::Cut);
    pass(&clock, 2, &[&a, &b]).await;
    // The holder dies; the other one has called without a lease all the time, and is never without one or the other from here on.
    pass(&clock, 12, &[&b]).await;
    assert_eq!(b.standing(), Standing::Undecided);
    b.link(Link::Good);
    b.turn().await;
    assert!(b.holds());
    assert_eq!(b.paused().len(), 1);
}

#[tokio::test]
async fn a_claim_that_fails_decides_too() {
    let (clock, [a]) = gateways();
    clock.advance(SECOND);
    a.table.refuse_claims.store(true, Ordering::Relaxed);
    a.turn().await;
    assert_eq!(a.standing(), Standing::NotHolder { address: None });
}

#[tokio::test]
async fn after_the_database_was_away_for_all_the_holder_goes_on_without_a_wait() {
    let (clock, [a]) = gateways();
    pass(&clock, 1, &[&a]).await;
    a.link(Link::Cut);
    pass(&clock, 30, &[&a]).await;
    assert!(!a.holds());
    a.link(Link::Good);
    pass(&clock, 1, &[&a]).await;
    assert!(a.holds());
    assert!(a.paused().is_empty());
    assert_eq!(a.table.row.lock().unwrap().epoch, 2);
}

#[tokio::test]
async fn a_process_that_was_stopped_and_wakes_up_neither_calls_nor_writes() {
    let (clock, [a, b]) = gateways();
    pass(&clock, 2, &[&a, &b]).await;
    let tenure = Tenure {
        account: "account".to_owned(),
        holder: "process-0".to_owned(),
        epoch: 1,
    };
    assert_eq!(a.cluster.fence(&provider()), Fence::Held(tenure));
    pass(&clock, 20, &[&b]).await;
    // Before its keeper has had a turn.
    assert!(b.holds() && !a.holds());
    assert_eq!(a.cluster.call_until(&provider()), None);
    assert_eq!(a.cluster.fence(&provider()), Fence::NotHeld);
    a.turn().await;
    let address = Some("http://gateway-1:8080".to_owned());
    assert_eq!(a.standing(), Standing::NotHolder { address });
}

#[tokio::test]
async fn a_slow_renewal_is_trusted_from_before_it_was_sent() {
    let (clock, [a]) = gateways();
    pass(&clock, 3, &[&a]).await;
    a.link(Link::Slow(900));
    let before = clock.monotonic();
    pass(&clock, 1, &[&a]).await;
    let until = a.cluster.call_until(&provider()).unwrap();
    // A second of time, then the list of leases, then the claim.
    let sent = before + SECOND + Duration::from_millis(1800);
    assert_eq!(until, sent + Duration::from_secs(9));
}

#[tokio::test]
async fn a_claim_whose_answer_was_lost_is_not_believed() {
    let (clock, [a, b]) = gateways();
    // The list of leases is answered, the claim is not: done by hand, because a link is good or bad for both.
    clock.advance(SECOND);
    let claim = Claim {
        account: "account".to_owned(),
        holder: "process-0".to_owned(),
        address: String::new(),
        length: Duration::from_secs(12),
        epoch: None,
    };
    a.table.claim(&claim).await.unwrap().unwrap();
    pass(&clock, 11, &[&a, &b]).await;
    assert!(!a.holds() && !b.holds());
    pass(&clock, 1, &[&a, &b]).await;
    assert!(a.holds());
    assert_eq!(a.table.row.lock().unwrap().epoch, 2);
    assert_eq!(a.paused().len(), 1);
}

/// What happens to two gateways.
#[derive(Clone, Debug)]
enum Event {
    Pass(u64),
    Turn(usize),
    Link(usize, Link),
    GiveBack(usize),
}

fn event() -> impl Strategy<Value = Event> {
    let link = prop_oneof![
        3 => Just(Link::Good),
        1 => Just(Link::Cut),
        1 => Just(Link::AnswerLost),
        1 => (1_u64..6000).prop_map(Link::Slow),
    ];
    prop_oneof![
        6 => (1_u64..4000).prop_map(Event::Pass),
        10 => (0_usize..3).prop_map(Event::Turn),
        2 => (0_usize..3, link).prop_map(|(of, link)| Event::Link(of, link)),
        1 => (0_usize..2).prop_map(Event::GiveBack),
    ]
}

proptest! {
    #[test]
    fn never_two_hold_an_account(events in proptest::collection::vec(event(), 1..200)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let (clock, gateways) = gateways::<3>();
            let mut epochs = 0;
            for event in events {
                match event {
                    Event::Pass(millis) => clock.advance(Duration::from_millis(millis)),
                    Event::Turn(of) => gateways[of].turn().await,
                    Event::Link(of, link) => gateways[of].link(link),
                    Event::GiveBack(of) => {
                        gateways[of].cluster.give_back(&gateways[of].table).await;
                    }
                }
                let holders: Vec<usize> = (0..3).filter(|of| gateways[*of].holds()).collect();
                prop_assert!(holders.len() <= 1, "{holders:?} hold the account");
                let row = gateways[0].table.row.lock().unwrap();
                prop_assert!(row.epoch >= epochs);
                epochs = row.epoch;
                // Who believes to hold it has it in the database too, and for three seconds more than it trusts.
                if let [of] = holders[..] {
                    prop_assert_eq!(&row.holder, &format!("process-{of}"));
                    let until = gateways[of].cluster.call_until(&provider()).unwrap();
                    let trusted = until - clock.monotonic();
                    let runs = since(row.expires.unwrap(), clock.now());
                    prop_assert!(runs >= trusted + Duration::from_secs(3), "{runs:?} {trusted:?}");
                }
            }
            Ok(())
        })?;
    }
}
