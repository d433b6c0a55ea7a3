//! The process ends at any moment, and starts again.

use ota_core::clock::Clock as _;
use ota_core::id::JobId;
use ota_core::job::JobStatus::{Completed, InProgress};
use ota_core::task::TaskStatus::{Pending, Succeeded};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use ota_sync::{PassKind, Reason, SourceState};

use crate::vendor::Kind;
use crate::world::{World, name};

/// Runs until the call with this number has been received, and so many moments more; then kills.
async fn run_and_kill(world: &mut World, call: u64, moments: u32) {
    let reached = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&reached);
    world.vendor.lock().hook = Some(Box::new(move |_, number| {
        if number >= call {
            flag.store(true, Ordering::SeqCst);
        }
    }));
    world.start().await;
    for _ in 0..3000 {
        if reached.load(Ordering::SeqCst) {
            break;
        }
        world.clock.advance(Duration::from_secs(1));
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    for _ in 0..moments {
        tokio::task::yield_now().await;
    }
    world.kill().await;
}

#[tokio::test]
async fn a_kill_at_any_step_loses_nothing_and_leaves_no_half_page() {
    for call in 0..14 {
        for moments in [0, 1, 3, 10] {
            let mut world = World::new(Kind::ByStatus);
            world.vendor.add("a", InProgress, &[(Pending, 350)]);
            world.vendor.add("b", Completed, &[(Succeeded, 150)]);
            run_and_kill(&mut world, call, moments).await;
            let began = world.clock.now();
            world.start().await;
            world.first_pass().await;
            // With what is left of it, not with another list.
            let took = world.clock.now() - began;
            assert!(took < world.settings.full_pass, "{took}");
            world.settle().await;
            world
                .equals(&format!("killed at call {call} and {moments} moments"))
                .await;
            // Two details, four pages and two; up to two calls were under way when it was killed and are made again.
            let made = world.vendor.lock().calls.clone();
            let count = |of: &str| made.iter().filter(|call| **call == of).count();
            let pages = world.seen.calls_for(Reason::FirstPass);
            // With the list itself; looks at the job that runs are no part of it.
            assert!(pages <= 6 + 2 + 1, "{pages} pages: it began again");
            assert!(count("get_job") <= 2 + 2, "{made:?}");
            world.kill().await;
        }
    }
}

#[tokio::test]
async fn a_pass_that_was_killed_behind_its_last_page_ends_without_another_call() {
    for kind in [Kind::Rows, Kind::OneCall] {
        let mut world = World::new(kind);
        let jobs = ["a", "b"].map(JobId::from);
        world.vendor.add("a", InProgress, &[(Pending, 350)]);
        world.vendor.add("b", Completed, &[(Succeeded, 150)]);
        for of in [None, Some(&jobs[0]), Some(&jobs[1])] {
            world.leave_at_end(of).await;
        }
        world.start().await;
        world.first_pass().await;
        world.equals(&format!("after the start, {kind:?}")).await;
        // Each of the three passes ends as what it was.
        let mut passes = world.seen.passes.lock().unwrap().clone();
        passes.sort_by_key(|(kind, _)| *kind == PassKind::List);
        let complete = [PassKind::Deep, PassKind::Deep, PassKind::List].map(|of| (of, true));
        assert_eq!(passes, complete, "{kind:?}");
        assert_eq!(world.seen.calls_for(Reason::FirstPass), 0, "{kind:?}");
        {
            let state = world.vendor.lock();
            assert_eq!(state.pages.len(), 0, "{:?}", state.pages);
            assert!(!state.calls.contains(&"list_jobs"), "{:?}", state.calls);
        }
        let source = world.sync().sources(&[name()]).remove(0);
        assert_eq!(source.state, SourceState::Current);
        world.kill().await;
    }
}
