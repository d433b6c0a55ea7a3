//! List passes and deep passes: what makes one complete, and what it may conclude.

use std::collections::BTreeMap;
use std::sync::Arc;

use ota_core::configured_fields::{ConfigurableField, ConfiguredFields, FieldPath};
use ota_core::id::JobId;
use ota_core::job::JobStatus::{Completed, InProgress};
use ota_core::task::TaskStatus::{Failed, InProgress as Updating, Pending, Succeeded};
use ota_sync::{PassKind, Reason, SourceState, WriteKind};

use crate::log::Lines;
use crate::vendor::{Kind, Trouble};
use crate::world::{World, name};

const KINDS: [Kind; 3] = [Kind::Rows, Kind::ByStatus, Kind::OneCall];

/// A fleet of several pages of jobs, one of which has several pages of tasks.
fn fill(world: &World) {
    for number in 0..150 {
        let tasks = [(Succeeded, 2), (Failed, 1)];
        world
            .vendor
            .add(&format!("ended-{number:03}"), Completed, &tasks);
    }
    world.vendor.add(
        "large",
        InProgress,
        &[(Pending, 250), (Updating, 20), (Succeeded, 5)],
    );
}

async fn mirrored(kind: Kind) -> World {
    let mut world = World::new(kind);
    fill(&world);
    world.start().await;
    world.first_pass().await;
    world.settle().await;
    world
}

#[tokio::test]
async fn a_first_pass_brings_everything_exactly_once() {
    for kind in KINDS {
        let world = mirrored(kind).await;
        world.equals("after the first pass").await;
        let source = &world.sync().sources(&[name()])[0];
        assert_eq!(source.state, SourceState::Current, "{source:?}");
        assert_eq!(source.problem, None);
        let status = world.status().await;
        assert_eq!((status.rows.jobs, status.rows.tasks), (151, 725));
        assert_eq!((status.jobs_seen, status.tasks_seen), (151, 725));
        // Two pages of jobs, and one for each job but the large one, which has three.
        let details = if kind == Kind::ByStatus { 151 } else { 0 };
        assert_eq!(world.seen.calls_for(Reason::FirstPass), 2 + 150 + 3);
        assert_eq!(world.seen.calls_for(Reason::Details), details);
        // Reading them again and looking never counts more tasks than there are: an hour later the running job has been read again.
        world.pass(4000).await;
        let status = world.status().await;
        let total = status.tasks_total;
        assert!(
            total.is_some_and(|total| status.tasks_seen <= total),
            "{status:?}"
        );
    }
}

#[tokio::test]
async fn what_is_deleted_vanishes_after_two_complete_passes_and_comes_back_when_it_does() {
    for kind in KINDS {
        let world = mirrored(kind).await;
        let gone = {
            let mut state = world.vendor.lock();
            let job = state.jobs.remove(3);
            let tasks = state.tasks.remove(&job.id).unwrap();
            (job, tasks)
        };
        let before = world.complete_lists();
        assert!(world.sync().request_full_pass(&name()));
        // It is confirmed soon, not an interval later.
        world
            .until("the end of the job", |status| status.rows.jobs == 150)
            .await;
        world.settle().await;
        let passes = world.complete_lists() - before;
        assert!(passes >= 2, "{passes} passes prove nothing");
        world.equals("after two passes").await;
        {
            let mut state = world.vendor.lock();
            state.tasks.insert(gone.0.id.clone(), gone.1);
            state.jobs.push(gone.0);
        }
        world.list_pass().await;
        world
            .until("the tasks of the job", |status| status.rows.tasks == 725)
            .await;
        world.equals("after it came back").await;
    }
}

#[tokio::test]
async fn a_pass_that_misses_more_than_half_waits_for_a_third() {
    let world = mirrored(Kind::Rows).await;
    world.vendor.lock().jobs.truncate(20);
    let before = world.complete_lists();
    let doubted = |problem: &Option<String>| {
        let text = problem.as_ref();
        text.is_some_and(|text| text.contains("more than half"))
    };
    world.list_pass().await;
    world
        .until("the doubt", |status| doubted(&status.problem))
        .await;
    assert_eq!(world.status().await.rows.jobs, 151, "not believed yet");
    world
        .until("the third pass", |status| status.rows.jobs == 20)
        .await;
    world.settle().await;
    let passes = world.complete_lists() - before;
    assert!(passes >= 3, "{passes} passes");
    let is_well = |status: &ota_sync::SyncStatus| status.problem.is_none();
    world.until("the end of the doubt", is_well).await;
}

#[tokio::test]
async fn rows_that_move_between_pages_are_found_by_the_next_pass() {
    for forward in [true, false] {
        let world = mirrored(Kind::Rows).await;
        // Behind the first page of the list a row moves over its border.
        world.vendor.lock().hook = Some(Box::new(move |state, _| {
            if state.calls.last() == Some(&"list_jobs") && state.jobs.len() > 120 {
                if forward {
                    let row = state.jobs.remove(120);
                    state.jobs.insert(0, row);
                } else {
                    let row = state.jobs.remove(0);
                    state.jobs.insert(130, row);
                }
            }
        }));
        world.vendor.add("new", InProgress, &[(Pending, 3)]);
        for _ in 0..4 {
            world.list_pass().await;
            assert!(world.status().await.rows.jobs >= 151, "nothing vanishes");
        }
        world.vendor.lock().hook = None;
        world.full_pass().await;
        world.equals("after a quiet pass").await;
    }
}

#[tokio::test]
async fn a_total_that_lies_proves_nothing() {
    let world = mirrored(Kind::Rows).await;
    world.vendor.trouble(Trouble::Total(7));
    world.vendor.lock().jobs.remove(3);
    for _ in 0..3 {
        let _ = world.sync().request_full_pass(&name());
        world.pass(120).await;
    }
    let status = world.status().await;
    assert_eq!(status.rows.jobs, 151);
    assert!(
        status
            .problem
            .is_some_and(|text| text.contains("the vendor counts")),
        "it is told"
    );
    let passes = world.seen.passes.lock().unwrap();
    let last = passes.iter().rfind(|(kind, _)| *kind == PassKind::List);
    assert_eq!(last, Some(&(PassKind::List, false)));
}

#[tokio::test]
async fn page_one_for_ever_ends_the_pass_and_deletes_nothing() {
    for kind in KINDS {
        let world = mirrored(kind).await;
        world.vendor.trouble(Trouble::PageOneForEver);
        let _ = world.sync().request_full_pass(&name());
        let pages = || {
            let state = world.vendor.lock();
            (state.list_pages, state.pages.values().sum::<usize>())
        };
        let before = pages();
        world.pass(300).await;
        assert_eq!(world.status().await.rows.jobs, 151);
        // One page that brings rows, and three without a new one: then a pass ends, incomplete. One of the list and four of tasks can be on their way.
        let (list_pages, task_pages) = {
            let (lists, tasks) = pages();
            (lists - before.0, tasks - before.1)
        };
        let ended = |of| {
            let passes = world.seen.passes.lock().unwrap();
            passes.iter().filter(|pass| **pass == (of, false)).count()
        };
        let (lists, deep) = (ended(PassKind::List), ended(PassKind::Deep));
        assert!(lists > 0);
        assert!(list_pages <= 4 * (lists + 1), "{lists} passes");
        assert!(task_pages <= 4 * (deep + 4), "{deep} passes");
        // At 0, 60 and 180 seconds; of a job that has ended once.
        assert!(lists <= 3 && deep <= 150 + 3, "{lists}, {deep} passes");
        world.vendor.trouble(Trouble::None);
        world.full_pass().await;
        world.full_pass().await;
        world.equals("after the vendor is well").await;
    }
}

#[tokio::test]
async fn an_early_empty_page_is_no_end() {
    for kind in [Kind::Rows, Kind::ByStatus] {
        let world = mirrored(kind).await;
        world.vendor.trouble(Trouble::EarlyEmptyPage);
        for _ in 0..3 {
            let _ = world.sync().request_full_pass(&name());
            world.pass(120).await;
        }
        let status = world.status().await;
        assert_eq!((status.rows.jobs, status.rows.tasks), (151, 725));
        world.vendor.trouble(Trouble::None);
        world.full_pass().await;
        world.full_pass().await;
        world.equals("after the vendor is well").await;
    }
}

#[tokio::test]
async fn a_batch_that_is_not_shown_in_full_is_said_and_read_once() {
    let mut world = World::new(Kind::ByStatus);
    world.vendor.add("huge", InProgress, &[(Pending, 500)]);
    world.vendor.trouble(Trouble::Truncated(250));
    world.start().await;
    world.first_pass().await;
    world.settle().await;
    let state = world.store().job_state(&name(), &JobId::from("huge")).await;
    assert_eq!(state.unwrap().unwrap().own_counts.pending, Some(250));
    let query = ota_store::fleet::JobQuery {
        providers: vec![name()],
        ..Default::default()
    };
    let page = world
        .store()
        .jobs(&query, Default::default(), None, 10)
        .await
        .unwrap();
    assert!(page.items[0].truncated);
    let source = &world.sync().sources(&[name()])[0];
    let problem = source.problem.clone().unwrap_or_default();
    assert!(problem.contains("huge"), "{problem}");
    let before = world.vendor.calls();
    world.pass(600).await;
    let calls = world.vendor.calls() - before;
    assert!(
        calls < 600,
        "{calls} calls: what cannot be reached is not read again and again"
    );
}

#[tokio::test]
async fn a_pass_goes_on_where_a_call_failed() {
    // Every call of the first pass fails once.
    for failing in 0..12 {
        let mut world = World::new(Kind::ByStatus);
        world.vendor.add("a", InProgress, &[(Pending, 350)]);
        world.vendor.add("b", Completed, &[(Succeeded, 10)]);
        world.vendor.trouble(Trouble::FailCall(failing));
        world.start().await;
        world.first_pass().await;
        world.equals("after one failed call").await;
        // One page of jobs, two details, four pages and one: only the failed one was made twice.
        let calls = world.seen.calls_for(Reason::FirstPass) + world.seen.calls_for(Reason::Details);
        assert!(calls <= 9 + 1, "{calls} calls with call {failing} failing");
    }
}

#[tokio::test]
async fn a_cursor_that_is_refused_begins_the_pass_again() {
    let mut world = World::new(Kind::OneCall);
    fill(&world);
    world.vendor.lock().hook = Some(Box::new(|state, number| {
        state.trouble = match number {
            3..8 => Trouble::CursorsRefused,
            _ => Trouble::None,
        };
    }));
    world.start().await;
    world.first_pass().await;
    world.full_pass().await;
    world.equals("after cursors were refused").await;
}

#[tokio::test]
async fn a_vendor_that_fails_for_an_hour_is_unavailable_and_loses_nothing() {
    let world = mirrored(Kind::ByStatus).await;
    let before = world.shown().await;
    world.vendor.trouble(Trouble::Down);
    world.pass(120).await;
    let source = world.sync().sources(&[name()]).remove(0);
    assert_eq!(source.state, SourceState::Unavailable);
    assert!(source.problem.is_some());
    let calls = world.vendor.calls();
    world.pass(3600).await;
    assert!(world.vendor.calls() - calls < 200, "it is asked rarely");
    assert_eq!(world.shown().await, before);
    world
        .vendor
        .lock()
        .advance("large", Pending, Succeeded, 100);
    world.vendor.trouble(Trouble::None);
    world.pass(180).await;
    world.full_pass().await;
    world.equals("after the hour").await;
    assert_eq!(
        world.sync().sources(&[name()])[0].state,
        SourceState::Current
    );
}

#[tokio::test]
async fn a_vendor_that_fails_is_logged_when_it_begins_and_when_it_ends() {
    let lines = Lines::default();
    // Where there is only one subscriber, a line that another thread logs first is switched off for all threads.
    let _second = tracing::Dispatch::new(Lines::default());
    let _logging = tracing::subscriber::set_default(lines.clone());
    let world = mirrored(Kind::ByStatus).await;
    let (begins, ends) = (
        "is not renewed while its vendor fails",
        "answers the mirror again",
    );
    assert_eq!(lines.with("vendor"), Vec::<String>::new());
    for times in 1..=2 {
        world.vendor.trouble(Trouble::Down);
        world.pass(1800).await;
        let begun = lines.with(begins);
        assert_eq!(begun.len(), times, "{begun:?}");
        assert!(begun[0].starts_with("WARN"), "{begun:?}");
        assert!(begun[0].ends_with("the vendor is down"), "{begun:?}");
        assert_eq!(lines.with(ends).len(), times - 1);
        world.vendor.trouble(Trouble::None);
        world.pass(600).await;
        assert_eq!(lines.with(begins).len(), times);
        assert_eq!(lines.with(ends).len(), times);
    }
}

#[tokio::test]
async fn without_progress_for_five_minutes_there_is_a_problem() {
    let mut world = World::new(Kind::Rows);
    fill(&world);
    world.vendor.trouble(Trouble::Down);
    world.start().await;
    world.pass(400).await;
    let source = world.sync().sources(&[name()]).remove(0);
    assert_eq!(source.state, SourceState::Unavailable);
    assert!(
        source
            .problem
            .unwrap()
            .contains("no progress for five minutes")
    );
    let told = || *world.seen.state.lock().unwrap();
    assert_eq!(told(), Some((SourceState::Unavailable, true)));
    world.vendor.trouble(Trouble::None);
    world.first_pass().await;
    world.equals("in the end").await;
    world.pass(10).await;
    assert_eq!(told(), Some((SourceState::Current, false)));
    let writes = world.seen.writes.lock().unwrap();
    for kind in [WriteKind::Jobs, WriteKind::Tasks, WriteKind::EndPass] {
        assert!(writes.contains(&kind), "{kind:?} in {writes:?}");
    }
}

#[tokio::test]
async fn fields_that_stand_elsewhere_are_read_again_behind_what_is_late() {
    for kind in KINDS {
        let mut world = World::new(kind);
        fill(&world);
        world.start().await;
        world.first_pass().await;
        world.pass(1000).await;
        // What follows from the settings changes in jobs that ended long ago too, and no count tells of it.
        {
            let mut state = world.vendor.lock();
            for tasks in state.tasks.values_mut() {
                tasks
                    .iter_mut()
                    .for_each(|task| task.progress_percent = Some(7.0));
            }
        }
        let pages = |world: &World| world.vendor.lock().pages.clone();
        for (paths, again) in [("a.b", true), ("a.b", false), ("a.c", true)] {
            world.kill().await;
            let path = FieldPath::parse(paths).unwrap();
            let fields = [(ConfigurableField::PackageVersion, path)];
            world.fields = Arc::new(ConfiguredFields::new(fields));
            let before = pages(&world);
            world.start().await;
            world.pass(300).await;
            let after = pages(&world);
            let read = |job: &str| {
                let of = |pages: &BTreeMap<JobId, usize>| {
                    pages.get(&JobId::from(job)).copied().unwrap_or_default()
                };
                of(&after) - of(&before)
            };
            // Each job that has ended is read once, or not at all; how often the running one is looked at meanwhile is another matter.
            for number in 0..150 {
                let job = format!("ended-{number:03}");
                let expected = usize::from(again);
                assert_eq!(read(&job), expected, "{job} for {paths} at {kind:?}");
            }
            if again {
                assert!(read("large") >= 3, "for {paths} at {kind:?}");
                world.equals(&format!("after the change to {paths}")).await;
            }
            let status = world.status().await;
            assert_eq!(status.state, SourceState::Current, "{status:?}");
        }
    }
}
