//! Random writes, passes and their ends against a model in memory.

use std::collections::BTreeMap;

use ota_core::id::JobId;
use ota_core::task::TaskStatus;
use ota_store::Store;
use ota_store::fleet::{TaskKey, TaskQuery, TaskSort};
use ota_store::pass::{PassEnd, PassOf};
use ota_store::record::{Progress, TaskRecord};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use crate::harness::{Database, at, job, job_page, on_both, provider, task, task_page};

const STATUS: [TaskStatus; 4] = [
    TaskStatus::Pending,
    TaskStatus::InProgress,
    TaskStatus::Succeeded,
    TaskStatus::Failed,
];

/// How a pass of the test ends.
#[derive(Clone, Copy, Debug, PartialEq)]
enum End {
    Complete,
    /// The vendor told more rows than it showed.
    WrongTotal,
    Truncated,
    Failed,
}

#[derive(Clone, Debug)]
enum Step {
    /// Tasks of a job outside a pass.
    Look(u8, Vec<(u8, u8)>, u8),
    /// All tasks of a job.
    Deep(u8, Vec<(u8, u8)>, u8, End),
    /// All jobs.
    List(Vec<u8>, u8, End),
}

fn step() -> impl Strategy<Value = Step> {
    let end = || {
        prop_oneof![
            4 => Just(End::Complete),
            1 => Just(End::WrongTotal),
            1 => Just(End::Truncated),
            1 => Just(End::Failed),
        ]
    };
    let tasks = || proptest::collection::vec((0..6_u8, 0..4_u8), 0..8);
    prop_oneof![
        2 => (0..3_u8, tasks(), 0..3_u8).prop_map(|(j, t, age)| Step::Look(j, t, age)),
        4 => (0..3_u8, tasks(), 0..3_u8, end()).prop_map(|(j, t, age, e)| Step::Deep(j, t, age, e)),
        4 => (proptest::collection::vec(0..4_u8, 0..6), 0..3_u8, end())
            .prop_map(|(j, age, e)| Step::List(j, age, e)),
    ]
}

/// What passes know of a row.
#[derive(Clone, Debug, Default)]
struct Mark {
    as_of: i64,
    seen: i64,
    missed: u32,
    vanished_at: Option<i64>,
}

impl Mark {
    /// Sees the row in an answer; returns whether the answer is newer than what is known.
    fn see(&mut self, sent: i64, pass: Option<i64>) -> bool {
        self.seen = pass.unwrap_or(self.seen);
        self.missed = 0;
        if self.as_of > sent {
            return false;
        }
        self.as_of = sent;
        true
    }
}

#[derive(Clone, Debug, Default)]
struct Job {
    mark: Mark,
    tasks: BTreeMap<u8, (TaskStatus, Mark)>,
}

#[derive(Clone, Debug, Default)]
struct Model {
    jobs: BTreeMap<u8, Job>,
}

/// Judges the misses of a complete pass and returns what vanished.
fn judge<'a>(
    marks: impl Iterator<Item = &'a mut Mark>,
    pass: i64,
    began: i64,
    at: i64,
) -> Vec<usize> {
    let mut marks: Vec<_> = marks
        .enumerate()
        .filter(|(_, mark)| mark.vanished_at.is_none())
        .collect();
    for (_, mark) in &mut marks {
        if mark.seen != pass && mark.as_of < began {
            mark.missed += 1;
        }
    }
    let would = marks.iter().filter(|(_, mark)| mark.missed >= 2).count();
    let needed = if would * 2 > marks.len() { 3 } else { 2 };
    let mut vanished = Vec::new();
    for (place, mark) in marks {
        if mark.missed >= needed {
            mark.vanished_at = Some(at);
            vanished.push(place);
        }
    }
    vanished
}

impl Model {
    fn write_tasks(&mut self, j: u8, tasks: &[(u8, u8)], sent: i64, pass: Option<i64>) {
        // Tasks of a job that has vanished come back with it, not without.
        let job = self.jobs.get_mut(&j);
        let Some(job) = job.filter(|job| job.mark.vanished_at.is_none()) else {
            return;
        };
        for (id, status) in tasks {
            let known = job.tasks.contains_key(id);
            let (now, mark) = job
                .tasks
                .entry(*id)
                .or_insert((TaskStatus::Unknown, Mark::default()));
            if mark.see(sent, pass) || !known {
                *now = STATUS[usize::from(*status)];
                mark.as_of = sent;
                mark.vanished_at = None;
            }
        }
    }

    fn write_jobs(&mut self, jobs: &[u8], sent: i64, pass: Option<i64>) {
        for id in jobs {
            let job = self.jobs.entry(*id).or_default();
            if !job.mark.see(sent, pass) {
                continue;
            }
            if let Some(gone) = job.mark.vanished_at.take() {
                for (_, mark) in job.tasks.values_mut() {
                    if mark.vanished_at == Some(gone) {
                        mark.vanished_at = None;
                        mark.missed = 0;
                    }
                }
            }
        }
    }

    fn end_tasks(&mut self, j: u8, pass: i64, began: i64, at: i64) {
        if let Some(job) = self.jobs.get_mut(&j) {
            judge(
                job.tasks.values_mut().map(|(_, mark)| mark),
                pass,
                began,
                at,
            );
        }
    }

    fn end_jobs(&mut self, pass: i64, began: i64, at: i64) {
        let vanished = judge(
            self.jobs.values_mut().map(|job| &mut job.mark),
            pass,
            began,
            at,
        );
        for (place, job) in self.jobs.values_mut().enumerate() {
            if vanished.contains(&place) {
                for (_, mark) in job.tasks.values_mut() {
                    mark.vanished_at.get_or_insert(at);
                }
            }
        }
    }

    /// The tasks that are shown: job, task, status.
    fn shown(&self) -> Vec<String> {
        let mut rows = Vec::new();
        for (j, job) in &self.jobs {
            for (id, (status, mark)) in &job.tasks {
                if mark.vanished_at.is_none() {
                    rows.push(format!(r#"{{"id":"{id}","job":{j},"status":"{status}"}}"#));
                }
            }
        }
        rows.sort();
        rows
    }
}

/// The rows of an answer, of each id the last one.
fn rows(j: u8, tasks: &[(u8, u8)]) -> Vec<TaskRecord> {
    tasks
        .iter()
        .map(|(id, status)| {
            let status = STATUS[usize::from(*status)];
            let mut row = task(&id.to_string(), status);
            row.document = format!(r#"{{"id":"{id}","job":{j},"status":"{status}"}}"#);
            row
        })
        .collect()
}

/// Does a step in both, at a time of its own.
async fn run(store: &Store, model: &mut Model, step: &Step, now: i64) {
    match step {
        Step::Look(j, tasks, age) => {
            let sent = now - i64::from(*age) * 150;
            let page = task_page("a", &j.to_string(), sent, rows(*j, tasks));
            store.write_tasks(&page).await.expect("tasks");
            model.write_tasks(*j, tasks, sent, None);
        }
        Step::Deep(j, tasks, age, end) => {
            let began = now - i64::from(*age) * 150;
            let of = PassOf::Tasks(provider("a"), JobId::from(j.to_string()));
            let pass = store.begin_pass(&of, at(began)).await.expect("a pass");
            let pages: Vec<_> = tasks.chunks(4).collect();
            let different: std::collections::BTreeSet<_> =
                tasks.iter().map(|(id, _)| *id).collect();
            for (n, part) in pages.iter().enumerate() {
                let sent = began + i64::try_from(n).expect("small");
                let mut page = task_page("a", &j.to_string(), sent, rows(*j, part));
                page.pass = Some((
                    pass.id,
                    progress(n + 1 == pages.len(), different.len(), *end),
                ));
                store.write_tasks(&page).await.expect("tasks");
                model.write_tasks(*j, part, sent, Some(now));
            }
            finish(store, pass.id, *end, now + 1).await;
            if *end == End::Complete && !pages.is_empty() {
                model.end_tasks(*j, now, began, now + 1);
            }
        }
        Step::List(jobs, age, end) => {
            let began = now - i64::from(*age) * 150;
            let of = PassOf::Jobs(provider("a"));
            let pass = store.begin_pass(&of, at(began)).await.expect("a pass");
            let different: std::collections::BTreeSet<_> = jobs.iter().collect();
            let records = jobs.iter().map(|id| job(&id.to_string())).collect();
            let mut page = job_page("a", began, records);
            page.pass = Some((pass.id, progress(true, different.len(), *end)));
            store.write_jobs(&page).await.expect("jobs");
            model.write_jobs(jobs, began, Some(now));
            finish(store, pass.id, *end, now + 1).await;
            if *end == End::Complete {
                model.end_jobs(now, began, now + 1);
            }
        }
    }
}

fn progress(is_last: bool, rows: usize, end: End) -> Progress {
    let total = rows as u64 + u64::from(end == End::WrongTotal);
    Progress {
        cursor: (!is_last).then(|| "more".to_owned()),
        total: Some(total),
        calls: 1,
        ..Progress::default()
    }
}

async fn finish(store: &Store, pass: ota_store::pass::PassId, end: End, now: i64) {
    let end = match end {
        End::Complete | End::WrongTotal => PassEnd::Complete,
        End::Truncated => PassEnd::Truncated,
        End::Failed => PassEnd::Incomplete {
            problem: Some("a call failed".to_owned()),
        },
    };
    store.end_pass(pass, &end, at(now)).await.expect("an end");
}

async fn check(database: &Database, steps: Vec<Step>) {
    let store = database.open().await;
    let mut model = Model::default();
    for (n, step) in steps.iter().enumerate() {
        let now = 10_000 + i64::try_from(n).expect("small") * 100;
        run(&store, &mut model, step, now).await;
    }
    let query = TaskQuery {
        providers: vec![provider("a")],
        ..TaskQuery::default()
    };
    let page = store
        .tasks(&query, TaskSort::DeviceName, None, 500)
        .await
        .expect("a page");
    let mut shown: Vec<_> = page.items.into_iter().map(|item| item.document).collect();
    shown.sort();
    assert_eq!(shown, model.shown());
    let groups = store
        .task_groups(&query, &[TaskKey::JobId, TaskKey::Status], 100)
        .await
        .expect("groups");
    assert_eq!(groups.total, shown.len() as u64);
    let states = store.providers().await.expect("providers");
    let jobs = model
        .jobs
        .values()
        .filter(|job| job.mark.vanished_at.is_none());
    let jobs = jobs.count() as u64;
    assert_eq!(states.iter().map(|state| state.jobs).sum::<u64>(), jobs);
    assert_eq!(store.verify().await, Ok(Vec::new()));
}

#[test]
fn random_passes_leave_what_the_model_says() {
    on_both(|database| async move {
        let cases = if database.is_sqlite() { 60 } else { 12 };
        let config = Config {
            cases,
            failure_persistence: None,
            ..Config::default()
        };
        let handle = tokio::runtime::Handle::current();
        let run = move || {
            let mut runner = TestRunner::new(config);
            let steps = proptest::collection::vec(step(), 1..24);
            let result = runner.run(&steps, |steps| {
                handle.block_on(async {
                    database.clear().await;
                    check(&database, steps).await;
                });
                Ok(())
            });
            result.expect("the store is as the model");
        };
        tokio::task::spawn_blocking(run).await.expect("no panic");
    });
}
