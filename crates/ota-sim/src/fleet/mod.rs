//! The fleet that a simulator shows: products, packages, jobs and tasks.
//!
//! Nothing is stored per task. A row is computed from the seed, its number and the time, so that the same seed and the
//! same time since the start give the same answer, and a job of 130,000 tasks costs as little as one of twenty.

mod demo;
mod life;
mod plan;
mod seed;
mod truth;

use std::io;

use time::OffsetDateTime;

pub(crate) use life::{FAILURES, Phase, Tally, Task};
pub(crate) use plan::{Job, Package, Product, Scope, Stage};
pub(crate) use seed::Stream;
pub(crate) use truth::IdsOf;
pub use truth::{DeviceTruth, FleetTruth, JobTruth};

/// What a simulator is seeded with.
#[derive(Clone, Debug, PartialEq)]
pub struct FleetShape {
    /// The fleet does not move: every answer shows the moment of the start.
    pub frozen: bool,
    kind: Kind,
}

#[derive(Clone, Debug, PartialEq)]
enum Kind {
    Demo,
    Uniform { jobs: u32, tasks: u32 },
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
            ("FAILED", share(5)),
            ("IN_PROGRESS", share(2)),
            ("NOTIFIED", share(1)),
            ("QUEUED", share(1)),
            ("CANCELED", share(1)),
        ];
        let done = tasks - rest.iter().map(|(_, count)| count).sum::<u32>();
        let mut counts = vec![("SUCCEEDED", done)];
        counts.extend(rest);
        Self::huge_with(&counts)
    }

    /// One running job whose tasks stand still, with a number of tasks per status.
    ///
    /// Statuses are words of the vendor, in any case (Alibaba `SUCCEEDED`, Huawei `success`); an unknown one is an error
    /// when the server starts.
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

    fn of(kind: Kind) -> Self {
        Self {
            frozen: false,
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
#[derive(Debug)]
pub(crate) struct Fleet {
    pub(crate) seed: u64,
    pub(crate) products: Vec<Product>,
    pub(crate) packages: Vec<Package>,
    jobs: Vec<Job>,
    frozen: bool,
    start: OffsetDateTime,
    /// The start in whole seconds, so that times look like the vendor's.
    calendar: OffsetDateTime,
}

impl Fleet {
    pub(crate) fn new(shape: &FleetShape, seed: u64, start: OffsetDateTime) -> io::Result<Self> {
        let (packages, jobs) = match &shape.kind {
            Kind::Demo => (demo::demo_packages(seed), demo::demo_jobs(seed)),
            Kind::Uniform { jobs, tasks } => {
                let packages = demo::uniform_packages(seed, *jobs);
                let jobs = demo::uniform_jobs(seed, *jobs, *tasks, packages.len());
                (packages, jobs)
            }
            Kind::Huge(counts) => (
                demo::uniform_packages(seed, 1),
                vec![demo::huge_job(seed, counts_by_stage(counts)?)],
            ),
        };
        Ok(Self {
            seed,
            products: demo::products(seed),
            packages,
            jobs,
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

    /// Jobs that exist at `age`, newest first.
    pub(crate) fn jobs(&self, age: i64) -> Vec<&Job> {
        let mut jobs: Vec<&Job> = self.jobs.iter().filter(|job| job.created <= age).collect();
        jobs.sort_by_key(|job| (std::cmp::Reverse(job.created), job.index));
        jobs
    }

    pub(crate) fn product_of(&self, package: &Package) -> &Product {
        &self.products[package.product % self.products.len()]
    }

    pub(crate) fn package_of(&self, job: &Job) -> &Package {
        &self.packages[job.package % self.packages.len()]
    }

    /// Name of the device that task `index` of `job` is for.
    pub(crate) fn device_name(&self, job: &Job, index: u32) -> String {
        let product = self.product_of(self.package_of(job));
        let number = job.first_device.wrapping_add(index);
        format!("{}-{number:05}", product.device_prefix)
    }

    /// Number of the task of `job` that is for the device of this name.
    pub(crate) fn task_of_device(&self, job: &Job, device_name: &str) -> Option<u32> {
        let number: u32 = device_name.rsplit_once('-')?.1.parse().ok()?;
        let index = number.wrapping_sub(job.first_device);
        (index < job.tasks && self.device_name(job, index) == device_name).then_some(index)
    }

    fn device_stream(&self, job: &Job, index: u32, purpose: u64) -> Stream {
        let product = self.package_of(job).product as u64;
        let number = job.first_device.wrapping_add(index);
        Stream::of(self.seed, &[purpose, product, u64::from(number)])
    }

    /// Alibaba: `IotId`, letters and digits.
    pub(crate) fn iot_id(&self, job: &Job, index: u32) -> String {
        format!(
            "{}000100",
            self.device_stream(job, index, 0xDE01).letters(20)
        )
    }

    /// Huawei: `deviceId`, a UUID.
    pub(crate) fn device_id(&self, job: &Job, index: u32) -> String {
        self.device_stream(job, index, 0xDE02).uuid()
    }

    /// Alibaba: `TaskId`, 26 letters and digits that end in 0100.
    pub(crate) fn task_id(&self, job: &Job, index: u32) -> String {
        let mut stream = Stream::of(self.seed, &[0x7A51, u64::from(job.index), u64::from(index)]);
        format!("{}0100", stream.letters(22))
    }

    /// Huawei: `subOperationId`, a UUID.
    pub(crate) fn sub_operation_id(&self, job: &Job, index: u32) -> String {
        Stream::of(self.seed, &[0x7A52, u64::from(job.index), u64::from(index)]).uuid()
    }
}

fn counts_by_stage(counts: &[(String, u32)]) -> io::Result<[u32; 7]> {
    let mut by_stage = [0_u32; 7];
    for (status, count) in counts {
        let stage = match status.to_ascii_uppercase().as_str() {
            "CONFIRM" => Stage::Confirm,
            "QUEUED" | "WAIT" => Stage::Queued,
            "NOTIFIED" => Stage::Notified,
            "IN_PROGRESS" | "PROCESSING" => Stage::InProgress,
            "SUCCEEDED" | "SUCCESS" => Stage::Succeeded,
            "FAILED" | "FAIL" => Stage::Failed,
            "CANCELED" | "STOP" => Stage::Canceled,
            _ => {
                return Err(io::Error::new(
                    io::ErrorKind::InvalidInput,
                    format!("no task status is called `{status}`"),
                ));
            }
        };
        by_stage[stage as usize] = by_stage[stage as usize].saturating_add(*count);
    }
    Ok(by_stage)
}
