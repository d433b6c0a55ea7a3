//! What fails again and again is tried ever more rarely, and nothing else waits for it.

use ota_core::id::{JobId, PackageId};
use ota_core::job::JobStatus::{Completed, InProgress};
use ota_core::job::Package;
use ota_core::task::TaskStatus::{InProgress as Updating, Pending, Succeeded};
use ota_sync::{PassKind, SourceState};

use crate::vendor::{Kind, Trouble};
use crate::world::{World, name};

/// A pass whose first page is repeated takes it and three more.
const CALLS_OF_A_PASS: usize = 4;

fn passes(world: &World, job: &str) -> usize {
    let state = world.vendor.lock();
    let pages = state.pages.get(&JobId::from(job)).copied();
    let pages = pages.unwrap_or_default();
    assert_eq!(pages % CALLS_OF_A_PASS, 0, "{pages} pages of `{job}`");
    pages / CALLS_OF_A_PASS
}

#[tokio::test]
async fn a_pass_that_is_never_complete_is_repeated_after_twice_the_time_each_time() {
    for kind in [Kind::Rows, Kind::ByStatus, Kind::OneCall] {
        let mut world = World::new(kind);
        let tasks = [(Pending, 330), (Updating, 20)];
        world.vendor.add("bad", InProgress, &tasks);
        world.vendor.add("good", InProgress, &tasks);
        world.vendor.add("over", Completed, &[(Succeeded, 350)]);
        for job in ["bad", "over"] {
            world.vendor.lock().repeating.insert(JobId::from(job));
        }
        world.start().await;
        world.first_pass().await;
        world.pass(1).await;
        // The waits: 60, 120, 240, 480 and then 900 seconds.
        let mut at = 0;
        for (until, expected) in [(45, 1), (115, 2), (220, 3), (800, 4), (880, 4), (1000, 5)] {
            world.pass(until - at).await;
            at = until;
            assert_eq!(passes(&world, "bad"), expected, "{kind:?} at {until} s");
            // Until 900 s no list pass asks for a look at what has ended.
            let over = passes(&world, "over");
            assert!(
                over == 1 || until == 1000 && over == 2,
                "{over} at {until} s"
            );
            // The other one is looked at meanwhile.
            world.vendor.lock().advance("good", Pending, Updating, 3);
        }
        world.pass(2000).await;
        assert_eq!(passes(&world, "bad"), 7, "{kind:?} at 3000 s");
        let status = world.status().await;
        let problem = status.problem.unwrap_or_default();
        assert!(problem.contains("the same page"), "{problem}");
        assert_eq!(status.state, SourceState::Current, "{kind:?}");
        // A success ends the waiting.
        world.vendor.lock().repeating.clear();
        world.full_pass().await;
        world.full_pass().await;
        world.equals("after the vendor is well").await;
        assert_eq!(world.status().await.problem, None);
    }
}

#[tokio::test]
async fn a_list_pass_that_is_never_complete_is_repeated_after_twice_the_time_each_time() {
    let mut world = World::new(Kind::Rows);
    for number in 0..150 {
        let job = format!("job-{number}");
        world.vendor.add(&job, Completed, &[(Succeeded, 2)]);
    }
    world.start().await;
    world.first_pass().await;
    world.pass(1).await;
    world.vendor.trouble(Trouble::PageOneForEver);
    let ended = || {
        let passes = world.seen.passes.lock().unwrap();
        let lists = passes.iter().filter(|(kind, _)| *kind == PassKind::List);
        lists.count()
    };
    let before = ended();
    let _ = world.sync().request_full_pass(&name());
    let mut at = 0;
    for (until, expected) in [(45, 1), (115, 2), (220, 3), (800, 4), (1000, 5), (1700, 5)] {
        world.pass(until - at).await;
        at = until;
        assert_eq!(ended() - before, expected, "at {until} s");
    }
    world.vendor.trouble(Trouble::None);
    world.full_pass().await;
    world.equals("after the vendor is well").await;
}

#[tokio::test]
async fn a_vendor_that_refuses_every_cursor_is_not_asked_without_end() {
    let mut world = World::new(Kind::OneCall);
    world.vendor.add("job", InProgress, &[(Pending, 350)]);
    for number in 0..150 {
        let job = format!("job-{number}");
        world.vendor.add(&job, Completed, &[(Succeeded, 2)]);
    }
    world.vendor.trouble(Trouble::CursorsRefused);
    world.start().await;
    world.pass(300).await;
    let state = world.vendor.lock();
    let lists = state.calls.iter().filter(|call| **call == "list_jobs");
    // Two calls each: at once, once more at once, after 120 and 240 seconds at most.
    let lists = lists.count();
    assert!((4..=8).contains(&lists), "{lists} calls");
}

fn with_package(world: &World, job: &str, package: &str) {
    let mut state = world.vendor.lock();
    let job = state.jobs.iter_mut().find(|of| of.id.as_str() == job);
    job.unwrap().package = Some(Package {
        id: Some(PackageId::from(package)),
        ..Package::default()
    });
}

#[tokio::test]
async fn a_package_that_cannot_be_read_keeps_its_jobs_and_holds_up_nothing() {
    let mut world = World::new(Kind::OneCall);
    for number in 0..120 {
        let job = format!("job-{number}");
        world.vendor.add(&job, Completed, &[(Succeeded, 2)]);
        with_package(&world, &job, if number < 10 { "bad" } else { "good" });
    }
    world.start().await;
    world.first_pass().await;
    world.pass(1000).await;
    world.vendor.lock().broken.insert("bad");
    // One that has gone and one that is new, of a package that can be read; one that has gone of the other.
    let (bad, good) = {
        let mut state = world.vendor.lock();
        let good = state.jobs.remove(50);
        state.tasks.remove(&good.id);
        (state.jobs.remove(3), good)
    };
    world.vendor.add("new", Completed, &[(Succeeded, 3)]);
    with_package(&world, "new", "good");
    for _ in 0..4 {
        world.pass(900).await;
    }
    let status = world.status().await;
    assert_eq!(status.state, SourceState::Current, "{status:?}");
    let problem = status.problem.unwrap_or_default();
    assert!(problem.contains("package `bad`"), "{problem}");
    assert!(status.last_full_pass_at.is_some());
    let gone = !is_shown(&world, &good.id).await;
    assert!(gone, "what has gone of the other packages has vanished");
    assert!(
        is_shown(&world, &bad.id).await,
        "nothing is known of this one"
    );
    assert_eq!(status.rows.jobs, 120);
    world.vendor.lock().broken.clear();
    world.vendor.lock().tasks.remove(&bad.id);
    for _ in 0..2 {
        world.pass(1000).await;
    }
    world.equals("after the package can be read again").await;
    assert_eq!(world.status().await.problem, None);
}

async fn is_shown(world: &World, job: &JobId) -> bool {
    let state = world.store().job_state(&name(), job).await;
    state.unwrap().is_some()
}
