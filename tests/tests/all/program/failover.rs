//! Several gateways as programs on one PostgreSQL database: the holder of the vendor account ends, is killed, is stopped, or loses the database. Leases last for
//! seconds, and so do these tests: what one start of the gateways can show is in one test.

use std::collections::BTreeSet;
use std::time::Duration;

use ota_sim::{Fault, FaultKind, FleetShape, Quota};
use ota_tests::wire::{self, Reply, until};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::program::database::get;
use crate::program::members::{Member, Site, Watch};
use crate::setup::{HUA, World};

fn quota(calls: u32, seconds: u64) -> Quota {
    Quota {
        calls,
        window: Duration::from_secs(seconds),
    }
}

fn jobs() -> String {
    World::jobs_path(HUA)
}

/// Whether a live read was made anew.
fn is_fresh(reply: &Reply) -> bool {
    reply.status == 200 && reply.header("ota-stale") == Some("false")
}

/// Live reads at a gateway, one after the other, until it is dropped.
fn reading(member: &Member) -> JoinSet<()> {
    let address = member.address;
    let mut reads = JoinSet::new();
    reads.spawn(async move {
        loop {
            let reply = get(address, &jobs()).await;
            let known = [200, 429, 503].contains(&reply.status);
            assert!(known, "{}", reply.shown());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
    reads
}

/// Two gateways that are current; the first one holds the account.
async fn pair(site: &Site) -> (Member, Member, Watch) {
    let first = site.gateway().await;
    first.takes_over().await;
    let second = site.gateway().await;
    let watch = Watch::over(&[&first, &second]);
    second.is_current().await;
    (first, second, watch)
}

/// A fleet question is answered the same by all, whoever reads the vendor.
async fn all_answer_the_same(members: &[&Member]) {
    for path in [
        "/v1/jobs?page_size=100&sort=-failed",
        "/v1/tasks?page_size=200&status=failed&sort=device_name",
        "/v1/stats/tasks?group_by=status,failure",
        "/v1/stats/jobs?group_by=status",
    ] {
        // A live read that was written through a moment ago may be in one answer and not yet in the one before.
        until(async || {
            let mut answers = BTreeSet::new();
            for member in members {
                answers.insert(rows(&member.get(path).await.ok()).to_string());
            }
            answers.len() == 1
        })
        .await;
    }
}

/// An answer without what differs from one moment to the next: how old it is, and its cursor.
fn rows(answer: &Value) -> Value {
    let names = ["items", "groups", "total", "truncated"];
    let rows: Value = names.iter().map(|name| answer[*name].clone()).collect();
    assert_ne!(rows, json!([null, null, null, null]), "{answer}");
    rows
}

/// The one of these that holds the account; there is exactly one.
async fn holder(members: &[&Member]) -> usize {
    let mut holders = Vec::new();
    for (index, member) in members.iter().enumerate() {
        if member.holds().await {
            holders.push(index);
        }
    }
    assert_eq!(holders.len(), 1, "{holders:?}");
    holders[0]
}

#[tokio::test]
async fn one_of_three_holds_the_account_and_hands_it_over_when_it_ends() {
    // A window that no test outlasts: whoever waits for it never calls.
    let quota = quota(60, 3600);
    let Some(site) = Site::new(FleetShape::uniform(5, 30), quota).await else {
        return;
    };
    let first = site.gateway().await;
    first.takes_over().await;
    let (second, third) = (site.gateway().await, site.gateway().await);
    let watch = Watch::over(&[&first, &second, &third]);
    for member in [&first, &second, &third] {
        member.is_current().await;
    }
    assert_eq!(holder(&[&first, &second, &third]).await, 0);
    all_answer_the_same(&[&first, &second, &third]).await;
    site.is_mirrored_exactly(&third).await;

    // A full pass that is asked for anywhere is made by the holder, and all see it.
    let before = second.last_pass().await;
    second.ask_pass().await;
    for member in [&first, &second, &third] {
        member.shows_a_pass_after(before).await;
    }
    assert_eq!(
        site.calls_of(&second).len() + site.calls_of(&third).len(),
        0
    );

    // The holder has used most of the window when it ends.
    while site.calls_of(&first).len() < 50 {
        third.get(&jobs()).await.ok();
    }
    first.signal("TERM").await;
    let mut first = first;
    let ended = tokio::time::timeout(wire::PATIENCE, first.child.wait()).await;
    assert_eq!(ended.unwrap().unwrap().code(), Some(0));
    until(async || second.holds().await || third.holds().await).await;
    let (next, other) = match holder(&[&second, &third]).await {
        0 => (&second, &third),
        _ => (&third, &second),
    };
    assert_eq!(site.tenure().await.0, 2);
    // It goes on at once, and knows what is left of the window.
    until(async || {
        let reply = other.get(&jobs()).await;
        assert!([200, 429, 503].contains(&reply.status), "{}", reply.shown());
        // An older answer stands in for the one that the quota does not allow.
        !site.calls_of(next).is_empty() && !is_fresh(&reply)
    })
    .await;
    site.no_throttle();
    assert!(!site.calls_of(next).is_empty());
    assert!(site.calls_of(other).is_empty());
    all_answer_the_same(&[&second, &third]).await;
    site.is_mirrored_exactly(other).await;
    watch.end();
    site.close(vec![second, third]).await;
}

#[tokio::test]
async fn a_killed_holder_is_replaced_and_the_mirror_goes_on() {
    // Longer than a lease, so that a successor that does not wait is seen.
    let Some(site) = Site::new(FleetShape::uniform(100, 20), quota(240, 16)).await else {
        return;
    };
    // The first pass takes a few seconds.
    let mut slow = Fault::always(FaultKind::Delay);
    slow.delay_ms = Some(150);
    site.sim.set_faults(vec![slow]);
    let first = site.gateway().await;
    first.takes_over().await;
    let second = site.gateway().await;
    let watch = Watch::over(&[&first, &second]);
    // What the survivor has read once it can show again.
    until(async || second.get(&jobs()).await.status == 200).await;
    until(async || site.calls_of(&first).len() > 20).await;

    // Reads that are passed on and in flight when the holder dies.
    site.sim.set_faults(vec![Fault::always(FaultKind::Hang)]);
    let other = format!("{}?page_size=7", jobs());
    let usual = jobs();
    let (known, unknown) = tokio::join!(get(second.address, &usual), async {
        let asked = tokio::spawn({
            let (address, other) = (second.address, other.clone());
            async move { get(address, &other).await }
        });
        let is_there = |request: &ota_sim::RecordedRequest| {
            let size = ("pageSize".to_owned(), "7".to_owned());
            request.params.contains(&size)
        };
        until(async || site.sim.requests().iter().any(is_there)).await;
        first.signal("KILL").await;
        asked.await.unwrap()
    });
    assert_eq!(known.status, 200, "{}", known.shown());
    assert_eq!(known.must("ota-stale"), "true");
    let seconds: u64 = unknown.must("retry-after").parse().unwrap();
    assert!(seconds > 0);
    unknown.problem(503, "provider_unavailable");
    let died_with = second.progress().await["rows"]["tasks"].as_u64().unwrap();
    assert!(died_with < 2000, "the first pass was over before the kill");
    site.sim.set_faults(Vec::new());

    second.takes_over().await;
    assert_eq!(site.tenure().await.0, 2);
    second.is_current().await;
    site.a_window_lies_between(&first, &second);
    site.is_mirrored_exactly(&second).await;
    let live = second.get(&jobs()).await;
    assert!(is_fresh(&live), "{}", live.shown());
    site.no_throttle();
    watch.end();
    site.close(vec![first, second]).await;
}

#[tokio::test]
async fn a_holder_that_was_stopped_in_a_transaction_wakes_up_as_one_of_the_others() {
    let Some(site) = Site::new(FleetShape::uniform(8, 20), quota(400, 3)).await else {
        return;
    };
    let (first, second, watch) = pair(&site).await;
    let tenure = site.tenure().await;
    assert_eq!(tenure.0, 1);

    // It is stopped while it writes: what it has locked stays locked.
    let mut blocking = site.schema.connect().await;
    let locks = blocking.transaction().await.unwrap();
    locks
        .execute("SELECT pk FROM providers FOR UPDATE", &[])
        .await
        .unwrap();
    let before = second.last_pass().await;
    first.ask_pass().await;
    let waiting =
        "SELECT count(*) FROM pg_stat_activity WHERE pg_backend_pid() = ANY(pg_blocking_pids(pid))";
    until(async || {
        let row = locks.query_one(waiting, &[]).await.unwrap();
        row.get::<_, i64>(0) > 0
    })
    .await;
    first.signal("STOP").await;
    locks.rollback().await.unwrap();

    second.takes_over().await;
    // The successor writes, and makes the pass that was asked for.
    second.shows_a_pass_after(before).await;
    second.is_current().await;
    let later = site.tenure().await;
    assert_eq!(later.0, 2);
    assert_ne!(later.1, tenure.1);
    site.a_window_lies_between(&first, &second);

    // Requests wait for it, and its own work does. Its clock alone says that its lease is over: the database is not there when it wakes up.
    first.database.cut();
    let calls = site.calls_of(&first).len();
    let address = first.address;
    let mut asked = JoinSet::new();
    for _ in 0..10 {
        asked.spawn(async move { get(address, &jobs()).await });
    }
    first.signal("CONT").await;
    for reply in asked.join_all().await {
        assert!(!is_fresh(&reply), "{}", reply.shown());
    }
    assert_eq!(site.calls_of(&first).len(), calls);
    first.database.mend();
    until(async || {
        let passed_on = site.calls_of(&second).len();
        let reply = first.get(&jobs()).await;
        is_fresh(&reply) && site.calls_of(&second).len() > passed_on
    })
    .await;
    // It asks for a pass as any other gateway does.
    let before = first.last_pass().await;
    first.ask_pass().await;
    first.shows_a_pass_after(before).await;
    assert_eq!(site.calls_of(&first).len(), calls);
    assert_eq!(site.tenure().await, later);
    assert!(second.holds().await && !first.holds().await);
    all_answer_the_same(&[&first, &second]).await;
    site.is_mirrored_exactly(&first).await;
    site.no_throttle();
    watch.end();
    site.close(vec![first, second]).await;
}

#[tokio::test]
async fn a_holder_without_its_database_stops_calling_and_comes_back_as_one_of_the_others() {
    let Some(site) = Site::new(FleetShape::uniform(8, 20), quota(400, 3)).await else {
        return;
    };
    let (first, second, watch) = pair(&site).await;
    // It would call all the time if it could.
    let mut reads = reading(&first);
    first.database.cut();
    let before = site.calls_of(&first).len();
    second.takes_over().await;
    // It goes on as long as its lease is good for sure.
    let calls = site.calls_of(&first).len();
    assert!(calls > before);
    let reply = first.get(&jobs()).await;
    // What it has read itself it can still show.
    assert_eq!(reply.must("ota-stale"), "true");
    let reply = first.get(&format!("{}?page_size=7", jobs())).await;
    assert!(reply.must("retry-after").parse::<u64>().unwrap() > 0);
    reply.problem(503, "provider_unavailable");
    until(async || first.get("/v1/jobs").await.status == 503).await;
    second.ask_pass().await;
    until(async || !site.calls_of(&second).is_empty()).await;
    site.a_window_lies_between(&first, &second);

    first.database.mend();
    until(async || first.get("/v1/jobs").await.status == 200).await;
    until(async || {
        let passed_on = site.calls_of(&second).len();
        let reply = first.get(&jobs()).await;
        is_fresh(&reply) && site.calls_of(&second).len() > passed_on
    })
    .await;
    assert!(reads.try_join_next().is_none(), "a read failed");
    reads.shutdown().await;
    let before = first.last_pass().await;
    first.ask_pass().await;
    first.shows_a_pass_after(before).await;
    assert!(second.holds().await && !first.holds().await);
    assert_eq!(site.calls_of(&first).len(), calls);
    assert_eq!(site.tenure().await.0, 2);
    all_answer_the_same(&[&first, &second]).await;
    site.is_mirrored_exactly(&first).await;
    site.no_throttle();
    watch.end();
    site.close(vec![first, second]).await;
}
