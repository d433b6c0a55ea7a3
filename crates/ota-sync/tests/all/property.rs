//! Random vendors and random kills against the vendor's truth.

use std::time::Duration;

use ota_core::id::JobId;
use ota_core::job::JobStatus;
use ota_core::task::TaskStatus;
use proptest::prelude::*;

use crate::vendor::{Kind, Trouble, task};
use crate::world::{World, name};

#[derive(Clone, Debug)]
enum Change {
    AddJob(usize),
    RemoveJob(usize),
    MoveJob(usize, usize),
    EndJob(usize),
    AddTasks(usize, usize),
    RemoveTask(usize, usize),
    MoveTask(usize, usize),
    MoveTasks(usize, usize, usize),
    Trouble(Trouble),
    Kill,
    Wait(u64),
    AskForPass,
}

fn change() -> impl Strategy<Value = Change> {
    let small = 0_usize..6;
    prop_oneof![
        2 => (0_usize..260).prop_map(Change::AddJob),
        1 => small.clone().prop_map(Change::RemoveJob),
        1 => (small.clone(), small.clone()).prop_map(|(from, to)| Change::MoveJob(from, to)),
        1 => small.clone().prop_map(Change::EndJob),
        2 => (small.clone(), 1_usize..150).prop_map(|(job, count)| Change::AddTasks(job, count)),
        1 => (small.clone(), 0_usize..100).prop_map(|(job, at)| Change::RemoveTask(job, at)),
        1 => (small.clone(), 0_usize..100).prop_map(|(job, at)| Change::MoveTask(job, at)),
        4 => (small, 0_usize..49, 1_usize..60).prop_map(|(job, how, count)| Change::MoveTasks(job, how, count)),
        2 => prop_oneof![
            Just(Trouble::None), Just(Trouble::Down), Just(Trouble::Total(3)), Just(Trouble::PageOneForEver),
            Just(Trouble::EarlyEmptyPage), Just(Trouble::CursorsRefused),
        ].prop_map(Change::Trouble),
        2 => Just(Change::Kill),
        4 => (1_u64..90).prop_map(Change::Wait),
        2 => Just(Change::AskForPass),
    ]
}

/// Changes the vendor; `number` makes identifiers.
fn apply(world: &World, change: &Change, number: usize) {
    let kind = world.vendor.kind;
    let mut state = world.vendor.lock();
    let job = |at: usize, jobs: usize| at % jobs.max(1);
    let jobs = state.jobs.len();
    // The tasks of a job that has ended are only repeated: what moves there and back between two passes shows in no count.
    let has_ended = |at: usize| {
        state
            .jobs
            .get(job(at, jobs))
            .is_some_and(|job| job.status.has_ended())
    };
    let id = |at: usize| state.jobs.get(job(at, jobs)).map(|job| job.id.clone());
    match change {
        Change::AddTasks(at, _) | Change::RemoveTask(at, _) | Change::MoveTask(at, _)
            if has_ended(*at) =>
        {
            return;
        }
        Change::MoveTasks(at, _, count) if has_ended(*at) => {
            let id = id(*at).unwrap();
            return state.advance(id.as_str(), TaskStatus::Failed, TaskStatus::Pending, *count);
        }
        _ => {}
    }
    match change {
        Change::AddJob(tasks) => {
            let tasks = [(TaskStatus::Pending, *tasks)];
            state.add(&format!("job-{number}"), JobStatus::InProgress, &tasks);
        }
        Change::RemoveJob(at) if jobs > 0 => {
            let removed = state.jobs.remove(job(*at, jobs));
            state.tasks.remove(&removed.id);
        }
        Change::MoveJob(from, to) if jobs > 0 => {
            let moved = state.jobs.remove(job(*from, jobs));
            state.jobs.insert(job(*to, jobs), moved);
        }
        Change::EndJob(at) if jobs > 0 => state.jobs[job(*at, jobs)].status = JobStatus::Completed,
        Change::AddTasks(at, count) => {
            if let Some(id) = id(*at) {
                let tasks = state.tasks.get_mut(&id).unwrap();
                for one in 0..*count {
                    tasks.insert(0, task(&id, 1000 * number + one, TaskStatus::Pending));
                }
            }
        }
        Change::RemoveTask(at, place) | Change::MoveTask(at, place) => {
            let tasks = id(*at).and_then(|id: JobId| state.tasks.get_mut(&id));
            if let Some(tasks) = tasks
                && !tasks.is_empty()
            {
                let removed = tasks.remove(place % tasks.len());
                if matches!(change, Change::MoveTask(..)) {
                    tasks.push(removed);
                }
            }
        }
        Change::MoveTasks(at, how, count) => {
            if let Some(id) = id(*at) {
                let (from, to) = (TaskStatus::ALL[how % 7], TaskStatus::ALL[how / 7]);
                // This kind has no word for it.
                let to = match (kind, to) {
                    (Kind::ByStatus, TaskStatus::Skipped) => TaskStatus::Canceled,
                    (_, to) => to,
                };
                state.advance(id.as_str(), from, to, *count);
            }
        }
        Change::Trouble(trouble) => state.trouble = *trouble,
        _ => {}
    }
}

async fn play(kind: Kind, changes: Vec<Change>) {
    let mut world = World::new(kind);
    world.start().await;
    for (number, change) in changes.iter().enumerate() {
        apply(&world, change, number);
        match change {
            Change::Kill => {
                world.kill().await;
                world.start().await;
            }
            Change::Wait(seconds) => {
                for _ in 0..*seconds {
                    world.clock.advance(Duration::from_secs(1));
                    tokio::task::yield_now().await;
                }
            }
            Change::AskForPass => drop(world.sync().request_full_pass(&name())),
            _ => tokio::task::yield_now().await,
        }
    }
    world.vendor.trouble(Trouble::None);
    world.first_pass().await;
    // The first one may be the end of one that began before the last change. Rows vanish with the second complete one, or the third.
    for _ in 0..4 {
        world.full_pass().await;
    }
    world.equals(&format!("{kind:?} after {changes:?}")).await;
    world.kill().await;
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, max_shrink_iters: 60, ..ProptestConfig::default() })]

    #[test]
    fn the_mirror_is_the_vendor_after_quiet_passes(
        kind in prop_oneof![Just(Kind::Rows), Just(Kind::ByStatus), Just(Kind::OneCall)],
        changes in proptest::collection::vec(change(), 1..40),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(play(kind, changes));
    }
}
