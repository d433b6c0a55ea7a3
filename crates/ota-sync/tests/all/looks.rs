//! Looks at running jobs: how often, at what cost, and what they find.

use ota_core::job::JobStatus::{Canceled as JobCanceled, Completed, InProgress};
use ota_core::task::TaskStage::{Notified, Queued};
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

/// Changes that no count shows: how far a device is, that one was told of the update, two that change places.
fn change_in_silence(world: &World) {
    let mut state = world.vendor.lock();
    // Of 10,000 tasks the first 9,700 are pending, then come 100 in progress.
    state.change("job", 9_750, |task| task.progress_percent = Some(40.0));
    state.change("job", 17, |task| task.stage = Some(Notified));
    let status = |state: &mut crate::vendor::State, number, status, stage| {
        state.change("job", number, |task| {
            task.status = status;
            task.stage = stage;
        });
    };
    status(&mut state, 9_760, Succeeded, None);
    status(
        &mut state,
        9_850,
        Updating,
        Some(ota_core::task::TaskStage::Updating),
    );
}

#[tokio::test]
async fn a_change_that_no_count_shows_is_seen_within_the_lag() {
    for kind in [Kind::ByStatus, Kind::Rows, Kind::OneCall] {
        let world = running(kind, 10_000).await;
        let before = looks(&world);
        change_in_silence(&world);
        if kind != Kind::ByStatus {
            // A vendor without stages: the pending tasks are not read for one of them.
            let mut state = world.vendor.lock();
            state.change("job", 17, |task| task.stage = Some(Queued));
        }
        let passes = world.seen.calls_for(Reason::FullPass);
        world.pass(60).await;
        world
            .equals(&format!("after a silent change at {kind:?}"))
            .await;
        let after = looks(&world);
        let calls = after.0 - before.0 + after.1 - before.1;
        let most = if kind == Kind::ByStatus {
            5 * 8 + 12
        } else {
            30
        };
        assert!(calls <= most, "{calls} calls at {kind:?}");
        assert_eq!(world.seen.calls_for(Reason::FullPass), passes, "{kind:?}");
    }
}

#[tokio::test]
async fn many_open_tasks_are_read_in_turn_while_nothing_moves_and_all_at_once_when_something_does()
{
    let mut world = World::new(Kind::ByStatus);
    let tasks = [(Pending, 9_000), (Updating, 500), (Succeeded, 500)];
    world.vendor.add("job", InProgress, &tasks);
    world.start().await;
    world.first_pass().await;
    world.pass(1000).await;
    let before = looks(&world);
    world.pass(96).await;
    let quiet = looks(&world);
    let calls = (quiet.0 - before.0) + (quiet.1 - before.1);
    // Two or three looks: seven counts, and one page more of the open tasks.
    assert!(
        calls <= 3 * 8 && calls.is_multiple_of(8),
        "{calls} calls of quiet looks"
    );
    {
        let mut state = world.vendor.lock();
        for number in 9_000..9_500 {
            state.change("job", number, |task| task.progress_percent = Some(7.0));
        }
    }
    world.pass(60).await;
    world.equals("after all open tasks changed").await;
}

#[tokio::test]
async fn a_job_of_few_tasks_is_read_whole_in_place_of_being_counted() {
    let mut world = World::new(Kind::ByStatus);
    let tasks = [(Pending, 100), (Updating, 100), (Succeeded, 300)];
    world.vendor.add("job", InProgress, &tasks);
    world.start().await;
    world.first_pass().await;
    world.pass(1000).await;
    let before = looks(&world);
    {
        let mut state = world.vendor.lock();
        // Not even an open task: a text of one that has ended, and two of those that change places.
        state.change("job", 300, |task| task.progress_percent = Some(99.0));
        state.change("job", 301, |task| task.status = Failed);
    }
    world.pass(60).await;
    world.equals("after a look at all tasks").await;
    let after = looks(&world);
    let calls = (after.0 - before.0) + (after.1 - before.1);
    assert!(calls <= 5 * 5, "{calls} calls of five pages each");
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
async fn tasks_that_still_run_when_their_job_was_canceled_are_looked_at() {
    for kind in [Kind::Rows, Kind::ByStatus] {
        let world = running(kind, 1000).await;
        {
            let mut state = world.vendor.lock();
            state.advance("job", Pending, Canceled, 1000);
            state.jobs[0].status = JobCanceled;
        }
        world.pass(1000).await;
        world.equals("after the end").await;
        world.vendor.lock().advance("job", Updating, Succeeded, 40);
        world.pass(130).await;
        world.equals(&format!("while it drains, at {kind:?}")).await;
        world.vendor.lock().advance("job", Updating, Failed, 60);
        world.pass(130).await;
        world.equals(&format!("drained, at {kind:?}")).await;
        let before = world.vendor.calls();
        world.pass(600).await;
        let calls = world.vendor.calls() - before;
        assert!(calls <= 12, "one list pass at most, then: {calls} calls");
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
