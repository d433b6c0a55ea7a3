//! The fleet that a simulator shows: products, packages, jobs and tasks.
//!
//! Nothing is stored per task. A row is computed from the seed, its number and the time, so that the same seed and the
//! same time since the start give the same answer, and a job of 130,000 tasks costs as little as one of twenty.

mod demo;
mod life;
mod nasty;
mod plan;
mod seed;
mod truth;
mod vocabulary;

use std::collections::BTreeSet;
use std::io;
use std::sync::{Mutex, PoisonError};

use time::OffsetDateTime;

pub(crate) use life::{Failure, Phase, Tally, Task};
pub(crate) use plan::{Job, Package, Product, Scope, Stage};
pub(crate) use seed::Stream;
pub use truth::{DeviceTruth, FleetTruth, JobTruth, TaskTruth};
pub(crate) use vocabulary::Vocabulary;

/// What a simulator is seeded with.
#[derive(Clone, Debug, PartialEq)]
pub struct FleetShape {
    /// The fleet does not move: every answer shows the moment of the start.
    pub frozen: bool,
    /// Lists of jobs begin with the oldest, lists of tasks with the last one.
    pub reversed: bool,
    kind: Kind,
}

#[derive(Clone, Debug, PartialEq)]
enum Kind {
    Demo,
    Uniform {
        jobs: u32,
        tasks: u32,
    },
    /// Tasks per status.
    Huge(Vec<(String, u32)>),
}

impl FleetShape {
    /// Several packages of three products and jobs of every kind, living: jobs start and end, and new ones appear.
    #[must_use]
    pub fn demo() -> Self {
        Self::of(Kind::Demo)
    }

    /// `jobs` alike jobs of `tasks_per_job` tasks in every phase of life, spread over several packages.
    #[must_use]
    pub fn uniform(jobs: u32, tasks_per_job: u32) -> Self {
        Self::of(Kind::Uniform {
            jobs,
            tasks: tasks_per_job,
        })
    }

    /// One running job of `tasks` tasks that stand still, nine in ten of them succeeded.
    #[must_use]
    pub fn huge(tasks: u32) -> Self {
        let share = |percent: u64| u32::try_from(u64::from(tasks) * percent / 100).unwrap_or(0);
        let rest = [
            ("failed", share(5)),
            ("in_progress", share(2)),
            ("notified", share(1)),
            ("queued", share(1)),
            ("canceled", share(1)),
        ];
        let done = tasks - rest.iter().map(|(_, count)| count).sum::<u32>();
        let mut counts = vec![("succeeded", done)];
        counts.extend(rest);
        Self::huge_with(&counts)
    }

    /// One running job whose tasks stand still, with a number of tasks per status.
    ///
    /// Statuses are values of the vendor, in any case, or `confirm`, `queued`, `notified`, `in_progress`, `succeeded`,
    /// `failed` and `canceled`; an unknown one is an error when the server starts.
    #[must_use]
    pub fn huge_with(counts: &[(&str, u32)]) -> Self {
        Self::of(Kind::Huge(
            counts
                .iter()
                .map(|(status, count)| ((*status).to_owned(), *count))
                .collect(),
        ))
    }

    /// Stops the life of the fleet at the moment of the start.
    #[must_use]
    pub fn frozen(mut self) -> Self {
        self.frozen = true;
        self
    }

    /// Lists everything in the opposite order.
    #[must_use]
    pub fn reversed(mut self) -> Self {
        self.reversed = true;
        self
    }

    fn of(kind: Kind) -> Self {
        Self {
            frozen: false,
            reversed: false,
            kind,
        }
    }
}

impl Default for FleetShape {
    fn default() -> Self {
        Self::demo()
    }
}

/// A planned fleet with the time it started at.
pub(crate) struct Fleet {
    words: &'static dyn Vocabulary,
    pub(crate) seed: u64,
    pub(crate) products: Vec<Product>,
    pub(crate) packages: Vec<Package>,
    jobs: Vec<Job>,
    /// Identifiers of jobs that are not shown.
    hidden: Mutex<BTreeSet<String>>,
    reversed: bool,
    frozen: bool,
    start: OffsetDateTime,
    /// The start in whole seconds, so that times look like the vendor's.
    calendar: OffsetDateTime,
}

impl Fleet {
    /// Plans a fleet that starts at `start`, in the words of one vendor.
    pub(crate) fn new(
        shape: &FleetShape,
        seed: u64,
        start: OffsetDateTime,
        words: &'static dyn Vocabulary,
    ) -> io::Result<Self> {
        let (packages, mut jobs) = match &shape.kind {
            Kind::Demo => (
                demo::demo_packages(seed, words),
                demo::demo_jobs(seed, words),
            ),
            Kind::Uniform { jobs, tasks } => {
                let packages = demo::uniform_packages(seed, words, *jobs);
                let jobs = demo::uniform_jobs(seed, words, *jobs, *tasks, packages.len());
                (packages, jobs)
            }
            Kind::Huge(counts) => {
                let counts = counts_by_stage(words, counts)?;
                (
                    demo::uniform_packages(seed, words, 1),
                    vec![demo::huge_job(seed, words, counts)],
                )
            }
        };
        for job in &mut jobs {
            job.reversed = shape.reversed;
        }
        Ok(Self {
            words,
            seed,
            products: demo::products(seed, words),
            packages,
            jobs,
            hidden: Mutex::default(),
            reversed: shape.reversed,
            frozen: shape.frozen,
            start,
            calendar: start.replace_nanosecond(0).unwrap_or(start),
        })
    }

    /// Milliseconds of fleet life at `now`.
    pub(crate) fn age(&self, now: OffsetDateTime) -> i64 {
        if self.frozen {
            return 0;
        }
        i64::try_from((now - self.start).whole_milliseconds())
            .unwrap_or(0)
            .max(0)
    }

    /// Turns a time of the plan into a time of the calendar.
    pub(crate) fn time(&self, millis: i64) -> OffsetDateTime {
        self.calendar
            .checked_add(time::Duration::milliseconds(millis))
            .unwrap_or(self.calendar)
    }

    /// Jobs that exist at `age`, newest first unless the lists are reversed.
    pub(crate) fn jobs(&self, age: i64) -> Vec<&Job> {
        let hidden = self.hidden.lock().unwrap_or_else(PoisonError::into_inner);
        let exists = |job: &&Job| job.created <= age && !hidden.contains(&job.id);
        let mut jobs: Vec<&Job> = self.jobs.iter().filter(exists).collect();
        jobs.sort_by_key(|job| (std::cmp::Reverse(job.created), job.index));
        if self.reversed {
            jobs.reverse();
        }
        jobs
    }

    /// Hides these jobs, and shows all others.
    pub(crate) fn hide(&self, jobs: &[&str]) {
        let mut hidden = self.hidden.lock().unwrap_or_else(PoisonError::into_inner);
        *hidden = jobs.iter().map(|id| (*id).to_owned()).collect();
    }

    pub(crate) fn product_of(&self, package: &Package) -> &Product {
        &self.products[package.product % self.products.len()]
    }

    pub(crate) fn package_of(&self, job: &Job) -> &Package {
        &self.packages[job.package % self.packages.len()]
    }

    /// Name of the device that task `index` of `job` is for.
    pub(crate) fn device_name(&self, job: &Job, index: u32) -> String {
        let given = job.names.get(index as usize);
        if let Some(name) = given.filter(|name| self.words.takes_device_name(name)) {
            return (*name).to_owned();
        }
        let product = self.product_of(self.package_of(job));
        let number = job.first_device.wrapping_add(index);
        format!("{}-{number:05}", product.device_prefix)
    }

    /// Number of the task of `job` that is for the device of this name.
    pub(crate) fn task_of_device(&self, job: &Job, device_name: &str) -> Option<u32> {
        let by_number = || {
            let number: u32 = device_name.rsplit_once('-')?.1.parse().ok()?;
            Some(number.wrapping_sub(job.first_device))
        };
        let given = job.names.iter().position(|name| *name == device_name);
        let index = given.map_or_else(by_number, |place| u32::try_from(place).ok())?;
        (index < job.tasks && self.device_name(job, index) == device_name).then_some(index)
    }

    /// Identifier of the device that task `index` of `job` is for.
    pub(crate) fn device_id(&self, job: &Job, index: u32) -> String {
        let product = self.package_of(job).product as u64;
        let number = job.first_device.wrapping_add(index);
        self.words.device_id(self.seed, product, u64::from(number))
    }

    /// Identifier of task `index` of `job`.
    pub(crate) fn task_id(&self, job: &Job, index: u32) -> String {
        self.words
            .task_id(self.seed, u64::from(job.index), u64::from(index))
    }
}

fn counts_by_stage(words: &dyn Vocabulary, counts: &[(String, u32)]) -> io::Result<[u32; 7]> {
    let mut by_stage = [0_u32; 7];
    for (status, count) in counts {
        let named = words.stage(status).or_else(|| Stage::named(status));
        let stage = named.ok_or_else(|| {
            let message = format!("no task status is called `{status}`");
            io::Error::new(io::ErrorKind::InvalidInput, message)
        })?;
        by_stage[stage as usize] = by_stage[stage as usize].saturating_add(*count);
    }
    Ok(by_stage)
}
