//! Looks at running jobs: how often, at what cost, and what they find.

use ota_core::job::JobStatus::{Completed, InProgress};
use ota_core::task::TaskStatus::{Canceled, Failed, InProgress as Updating, Pending, Succeeded};
use ota_sync::Reason;

use crate::vendor::Kind;
use crate::world::{World, name};

async fn running(kind: Kind, tasks: usize) -> World {
    let mut world = World::new(kind);
    let tasks = [(Pending, tasks - 300), (Updating, 100), (Succeeded, 200)];
    world.vendor.add("job", InProgress, &tasks);
    world.start().await;
    world.first_pass().await;
    // Quiet: nothing has changed for a while, and the list pass has just been.
    world.pass(1000).await;
    world
}

fn looks(world: &World) -> (u32, u32) {
    let count = |reason| world.seen.calls_for(reason);
    (count(Reason::RunningJob), count(Reason::ChangedRows))
}

#[tokio::test]
async fn a_quiet_running_job_costs_its_counts() {
    let world = running(Kind::ByStatus, 10_000).await;
    let before = looks(&world);
    world.pass(90).await;
    let after = looks(&world);
    // A look each 48 s, of eight calls each.
    assert_eq!(after.1, before.1, "no rows are read");
    let calls = after.0 - before.0;
    assert!([8, 16].contains(&calls), "{calls} calls");
}

#[tokio::test]
async fn a_hundred_changed_tasks_cost_at_most_twelve_calls_more() {
    let world = running(Kind::ByStatus, 10_000).await;
    let before = looks(&world);
    {
        let mut state = world.vendor.lock();
        state.advance("job", Updating, Succeeded, 30);
        state.advance("job", Updating, Failed, 20);
        state.advance("job", Pending, Updating, 50);
    }
    let changed = world.seen.calls_for(Reason::FullPass);
    world
        .until("the look", |_| looks(&world).1 > before.1)
        .await;
    world.settle().await;
    let after = looks(&world);
    assert!(after.0 - before.0 <= 8, "{before:?} {after:?}");
    assert!(after.1 - before.1 <= 12, "{before:?} {after:?}");
    assert_eq!(
        world.seen.calls_for(Reason::FullPass),
        changed,
        "no pass over all tasks"
    );
    world.equals("after the look").await;
}

#[tokio::test]
async fn a_change_is_seen_within_the_lag_by_every_kind_of_vendor() {
    for kind in [Kind::Rows, Kind::ByStatus, Kind::OneCall] {
        let world = running(kind, 1000).await;
        for (from, to) in [(Pending, Updating), (Updating, Failed), (Pending, Canceled)] {
            world.vendor.lock().advance("job", from, to, 40);
            world.pass(70).await;
            world.equals(&format!("{from} to {to} at {kind:?}")).await;
        }
    }
}

#[tokio::test]
async fn a_job_that_ends_is_read_once_more_and_then_left_alone() {
    for kind in [Kind::Rows, Kind::ByStatus] {
        let world = running(kind, 1000).await;
        {
            let mut state = world.vendor.lock();
            state.advance("job", Updating, Succeeded, 1000);
            state.advance("job", Pending, Succeeded, 1000);
            state.jobs[0].status = Completed;
        }
        world.pass(120).await;
        world.equals("after its end").await;
        let before = world.vendor.calls();
        world.pass(600).await;
        assert!(
            world.vendor.calls() - before <= 12,
            "one list pass at most: {:?}",
            &world.vendor.lock().calls[before..]
        );
    }
}

#[tokio::test]
async fn with_nothing_running_there_is_one_list_pass_and_nothing_between() {
    let mut world = World::new(Kind::Rows);
    for number in 0..500 {
        world
            .vendor
            .add(&format!("job-{number}"), Completed, &[(Succeeded, 3)]);
    }
    world.start().await;
    world.first_pass().await;
    world.pass(1000).await;
    let before = world.vendor.calls();
    world.pass(900 * 4).await;
    let state = world.vendor.lock();
    let calls = &state.calls[before..];
    assert_eq!(calls.len(), 4 * 5, "{calls:?}");
    assert!(calls.iter().all(|call| *call == "list_jobs"));
}

#[tokio::test]
async fn a_list_with_counts_looks_at_all_running_jobs_at_once() {
    let mut world = World::new(Kind::Rows);
    for number in 0..80 {
        world
            .vendor
            .add(&format!("job-{number}"), InProgress, &[(Pending, 3)]);
    }
    world.start().await;
    world.first_pass().await;
    world.pass(1000).await;
    let before = looks(&world);
    world.pass(96).await;
    let calls = looks(&world).0 - before.0;
    assert!(calls <= 12, "{calls} calls for two looks at 80 jobs");
    assert!(calls >= 2);
}

#[tokio::test]
async fn calls_of_the_running_window_outlive_a_kill() {
    let mut world = World::new(Kind::Rows);
    world.start().await;
    let slots = ota_guard::Slots::new(100);
    for _ in 0..50 {
        let wanted = ota_guard::PermitRequest {
            caller: None,
            operation: "op",
            slots: &slots,
            priority: ota_core::context::Priority::Interactive,
            log: &std::sync::Arc::default(),
            deadline: ota_core::clock::Clock::monotonic(&world.clock)
                + std::time::Duration::from_secs(5),
            estimate: ota_guard::LatencyEstimate {
                median: std::time::Duration::ZERO,
                p90: std::time::Duration::ZERO,
                timeout: std::time::Duration::from_secs(10),
                probe: false,
            },
        };
        world.quota.acquire(&wanted).await.unwrap().answered(true);
    }
    assert_eq!(world.quota.remaining(), 40);
    world.pass(5).await;
    world.kill().await;
    world.start().await;
    assert_eq!(world.quota.remaining(), 40);
    world.pass(53).await;
    assert_eq!(world.quota.remaining(), 40);
    world.pass(3).await;
    assert_eq!(world.quota.remaining(), 90);
    assert!(world.sync().request_full_pass(&name()));
}
