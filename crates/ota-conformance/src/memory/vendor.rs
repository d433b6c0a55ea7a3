//! The vendor of the reference provider.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use ota_core::drift::DriftKind;
use ota_core::error::VendorError;
use ota_core::id::{DeviceId, DeviceName, JobId, PackageId, ProductId, ProviderName, TaskId};
use ota_core::job::{Detail, Job, JobKind, JobOutcome, JobStatus, Package, Target};
use ota_core::paging::{Fetched, Window};
use ota_core::provider::{JobFilter, TaskFilter};
use ota_core::task::{Device, Failure, Task, TaskStage, TaskStatus};
use ota_core::vendor::VendorDetail;
use ota_core::{Error, ErrorKind, Result};
use serde_json::{Map, Value};
use time::macros::datetime;

use crate::cases::rows::HUGE_NUMBER;
use crate::subject::{Place, Trouble};

/// The vendor's name.
pub const VENDOR: &str = "memory";

/// A vendor in memory, which counts the calls that reach it and misbehaves on request.
#[derive(Debug)]
pub struct MemoryVendor {
    jobs: Vec<(Job, Vec<Task>)>,
    rows: Vec<Job>,
    calls: AtomicU64,
    trouble: Mutex<Trouble>,
    /// How many calls had arrived when the trouble began.
    before: AtomicU64,
    credential: AtomicU64,
    /// The texts that calls have filtered by.
    texts: Mutex<BTreeSet<String>>,
}

impl MemoryVendor {
    /// The job statuses that it has words for.
    pub const JOB_STATUSES: [JobStatus; 5] = [
        JobStatus::Pending,
        JobStatus::InProgress,
        JobStatus::Paused,
        JobStatus::Completed,
        JobStatus::Canceled,
    ];

    /// The task statuses that it has words for.
    pub const TASK_STATUSES: [TaskStatus; 5] = [
        TaskStatus::Pending,
        TaskStatus::InProgress,
        TaskStatus::Succeeded,
        TaskStatus::Failed,
        TaskStatus::Canceled,
    ];

    /// The stages of tasks that it has words for.
    pub const TASK_STAGES: [TaskStage; 3] =
        [TaskStage::Queued, TaskStage::Notified, TaskStage::Updating];

    /// Creates a vendor with `jobs` jobs of `tasks` tasks each, in every status.
    #[must_use]
    pub fn new(provider: &ProviderName, jobs: u32, tasks: u32) -> Self {
        let jobs: Vec<(Job, Vec<Task>)> = (0..jobs)
            .map(|number| {
                let job = job(provider, number);
                let tasks = (0..tasks).map(|place| task(provider, &job, number, place));
                let tasks = tasks.collect();
                (job, tasks)
            })
            .collect();
        Self {
            rows: jobs.iter().map(|(job, _)| job.clone()).collect(),
            jobs,
            calls: AtomicU64::new(0),
            trouble: Mutex::new(Trouble::None),
            before: AtomicU64::new(0),
            credential: AtomicU64::new(0),
            texts: Mutex::default(),
        }
    }

    /// Returns how many calls have arrived.
    #[must_use]
    pub fn calls(&self) -> u64 {
        self.calls.load(Ordering::SeqCst)
    }

    /// Breaks the vendor, or repairs it.
    pub fn set_trouble(&self, trouble: Trouble) {
        self.before.store(self.calls(), Ordering::SeqCst);
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = trouble;
    }

    /// Takes only this credential from now on; the first one is 0.
    pub fn renew_credential(&self, credential: u64) {
        self.credential.store(credential, Ordering::SeqCst);
    }

    /// Returns whether a call with this credential is taken.
    pub(super) fn takes(&self, credential: u64) -> bool {
        self.credential.load(Ordering::SeqCst) == credential
    }

    /// Returns how the vendor misbehaves.
    #[must_use]
    pub fn trouble(&self) -> Trouble {
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns every job.
    #[must_use]
    pub fn jobs(&self) -> &[Job] {
        &self.rows
    }

    /// Returns every task of a job.
    #[must_use]
    pub fn tasks(&self, id: &JobId) -> &[Task] {
        self.jobs
            .iter()
            .find(|(job, _)| job.id == *id)
            .map_or(&[], |(_, tasks)| tasks)
    }

    /// Returns whether a call had this text as a filter.
    #[must_use]
    pub fn received(&self, text: &str) -> bool {
        let texts = self.texts.lock().unwrap_or_else(PoisonError::into_inner);
        texts.contains(text)
    }

    /// Notes the texts that a call filters jobs by.
    pub(super) fn note_jobs(&self, filter: &JobFilter) {
        let texts = [
            filter.package_id.as_ref().map(PackageId::as_str),
            filter.product_id.as_ref().map(ProductId::as_str),
            filter.device_id.as_ref().map(DeviceId::as_str),
            filter.device_name.as_ref().map(DeviceName::as_str),
            filter.device_type.as_deref(),
            filter.model.as_deref(),
            filter.manufacturer.as_deref(),
        ];
        self.note(texts.into_iter().flatten());
    }

    /// Notes the texts that a call filters tasks by.
    pub(super) fn note_tasks(&self, filter: &TaskFilter) {
        let names = filter.device_names.iter().map(DeviceName::as_str);
        self.note(names.chain(filter.device_id.as_ref().map(DeviceId::as_str)));
    }

    fn note<'a>(&self, texts: impl Iterator<Item = &'a str>) {
        let mut noted = self.texts.lock().unwrap_or_else(PoisonError::into_inner);
        noted.extend(texts.map(str::to_owned));
    }

    /// Returns the job that an identifier reaches. A vendor that takes aliases reads identifiers as numbers and without case.
    pub(super) fn find(&self, id: &JobId, takes_aliases: bool) -> Option<&Job> {
        let asked = plain(id);
        let mut jobs = self.rows.iter();
        jobs.find(|job| job.id == *id || (takes_aliases && plain(&job.id) == asked))
    }

    /// Returns how many targets of a job have no task yet.
    #[must_use]
    pub fn not_started(&self, job: &Job) -> u64 {
        match job.status.has_ended() {
            true => 0,
            false => 7,
        }
    }

    /// Returns whether a job matches a filter.
    #[must_use]
    pub fn job_matches(&self, filter: &JobFilter, job: &Job) -> bool {
        fn is<T: PartialEq>(wanted: &Option<T>, actual: &Option<T>) -> bool {
            wanted.is_none() || wanted == actual
        }
        let package = job.package.as_ref().and_then(|package| package.id.clone());
        let device = |wanted: &dyn Fn(&Device) -> bool| {
            self.tasks(&job.id).iter().any(|task| wanted(&task.device))
        };
        (filter.status.is_empty() || filter.status.contains(&job.status))
            && (filter.outcome.is_empty()
                || job
                    .outcome
                    .is_some_and(|outcome| filter.outcome.contains(&outcome)))
            && is(&filter.kind, &job.kind)
            && is(&filter.package_id, &package)
            && is(&filter.product_id, &job.target.product_id)
            && is(&filter.device_type, &job.target.device_type)
            && is(&filter.model, &job.target.model)
            && is(&filter.manufacturer, &job.target.manufacturer)
            && (filter.device_id.is_none() || device(&|device| device.id == filter.device_id))
            && (filter.device_name.is_none() || device(&|device| device.name == filter.device_name))
    }

    /// Returns whether a task matches a filter.
    #[must_use]
    pub fn task_matches(filter: &TaskFilter, task: &Task) -> bool {
        let named = || {
            let name = task.device.name.as_ref();
            name.is_some_and(|name| filter.device_names.contains(name))
        };
        let staged = || {
            task.stage
                .is_some_and(|stage| filter.stage.contains(&stage))
        };
        (filter.status.is_empty() || filter.status.contains(&task.status))
            && (filter.stage.is_empty() || staged())
            && (filter.device_names.is_empty() || named())
            && (filter.device_id.is_none() || filter.device_id == task.device.id)
    }

    /// Receives one call; returns how rows are changed.
    pub(super) async fn receive(&self) -> Result<Trouble> {
        let calls = self.calls.fetch_add(1, Ordering::SeqCst);
        let trouble = self.trouble();
        let later = calls.saturating_sub(self.before.load(Ordering::SeqCst)) >= ANSWERED;
        let error = match trouble {
            Trouble::LaterThrottle | Trouble::LaterRefusal if !later => return Ok(trouble),
            Trouble::None
            | Trouble::BrokenPart
            | Trouble::UnknownStatusRow
            | Trouble::BadDateRow
            | Trouble::UnknownField
            | Trouble::LeftOut(..)
            | Trouble::NullObjectRow
            | Trouble::MovedPages
            | Trouble::BadUtf8Row
            | Trouble::HalfSurrogateRow
            | Trouble::DoubleNameRow
            | Trouble::HugeNumberRow
            | Trouble::DeepValueRow
            | Trouble::ManyRows
            | Trouble::NoRow(_)
            | Trouble::NoList(_)
            | Trouble::RowTwice
            | Trouble::LongText
            | Trouble::Gzip
            | Trouble::GzipMembers
            | Trouble::RepeatPage
            | Trouble::CapPageSize
            | Trouble::CapPageSizeAsText
            | Trouble::CapPageSizeSilently
            | Trouble::EmptyFirstPage
            | Trouble::EmptyPage
            | Trouble::ShortPages
            | Trouble::ChangingTotals
            | Trouble::CountedTwice
            | Trouble::NotCounted
            | Trouble::NeverCounted
            | Trouble::StillRunning
            | Trouble::VagueText
            | Trouble::OlderServer
            | Trouble::UnstableOrder
            | Trouble::AnotherJob => return Ok(trouble),
            Trouble::Hang => std::future::pending().await,
            Trouble::Throttle | Trouble::LaterThrottle | Trouble::SlowerWord => {
                Error::new(ErrorKind::Throttled, "the vendor asked to slow down")
                    .with_retry_after(Duration::from_secs(1))
            }
            Trouble::EndlessWait => {
                Error::new(ErrorKind::Throttled, "the vendor asked to slow down")
                    .with_retry_after(Duration::from_secs(60))
            }
            Trouble::ServerError | Trouble::HtmlError | Trouble::CutBody | Trouble::Drop => {
                Error::new(ErrorKind::Unavailable, "the vendor is out of order")
            }
            Trouble::BadArgument | Trouble::BadDevice | Trouble::EchoedRequest => Error::new(
                ErrorKind::Rejected,
                "the vendor refused something that the gateway sent on its own",
            ),
            Trouble::ErrorUnder200 | Trouble::LongRefusal => {
                Error::new(ErrorKind::Rejected, "the vendor refused")
            }
            Trouble::CredentialRefused | Trouble::LaterRefusal | Trouble::FalseDate => {
                Error::new(ErrorKind::Auth, "the vendor refused the credential")
            }
            Trouble::Html
            | Trouble::CutJson
            | Trouble::EmptyBody
            | Trouble::OtherCoding
            | Trouble::GzipGarbage
            | Trouble::GzipBomb
            | Trouble::ForeignNotFound(_) => {
                Error::new(ErrorKind::Protocol, "the vendor's answer cannot be read")
            }
        };
        Err(error.with_vendor(VendorError {
            code: Some(format!("{trouble:?}")),
            ..VendorError::default()
        }))
    }
}

/// The page size in force where the vendor caps it.
const CAP: u32 = 4;

/// How many calls are answered before the later ones fail.
const ANSWERED: u64 = 3;

/// The package whose jobs cannot be read where a part of the list is broken.
pub(super) const BROKEN_PACKAGE: &str = "package-1";

/// Whether a job is of the package that is broken.
pub(super) fn is_in_broken_part(job: &Job) -> bool {
    let package = job.package.as_ref().and_then(|package| package.id.as_ref());
    package.is_some_and(|id| id.as_str() == BROKEN_PACKAGE)
}

impl MemoryVendor {
    /// Cuts the page of a window out of all matching rows, as the trouble says.
    pub(super) fn page<T>(&self, trouble: Trouble, mut rows: Vec<T>, window: Window) -> Fetched<T> {
        let all = rows.len() as u64;
        let size = if is_capped(trouble) {
            window.size.min(CAP)
        } else {
            window.size
        };
        let index = match trouble {
            Trouble::RepeatPage => 0,
            _ => window.index,
        };
        let start = index.saturating_mul(u64::from(size)).min(all);
        let start = match (trouble, index) {
            (Trouble::MovedPages, 1..) => start.saturating_sub(1),
            _ => start,
        };
        let end = start.saturating_add(u64::from(size)).min(all);
        let place = |row: u64| usize::try_from(row).unwrap_or(usize::MAX);
        rows.truncate(place(end));
        rows.drain(..place(start));
        match (trouble, index) {
            (Trouble::EmptyFirstPage, 0) | (Trouble::EmptyPage, 1) => rows.clear(),
            (Trouble::ShortPages, _) if end < all && rows.len() > 1 => drop(rows.pop()),
            _ => {}
        }
        let total = match (trouble, index) {
            (Trouble::ChangingTotals, 1..) if index % 2 == 1 => all / 2,
            (Trouble::ChangingTotals, 1..) => all + 7,
            // The row that was added in front.
            (Trouble::MovedPages, 1..) => all + 1,
            _ => all,
        };
        Fetched {
            rows,
            total: Some(total),
            size: (trouble != Trouble::CapPageSizeSilently).then_some(size),
        }
    }
}

impl MemoryVendor {
    /// As [`MemoryVendor::page`], for a vendor whose pages name the next one. A token is the number of a row, so nothing moves; one with [`AFTER`] behind it
    /// comes from an empty page.
    pub(super) fn token_page<T>(
        trouble: Trouble,
        mut rows: Vec<T>,
        token: Option<&str>,
        size: u32,
    ) -> Result<(Vec<T>, Option<String>)> {
        let all = rows.len();
        let size = match is_capped(trouble) {
            true => size.min(CAP),
            false => size,
        };
        let number = token.map(|token| token.trim_end_matches(AFTER).parse());
        let start: usize = number
            .transpose()
            .map_err(|_| Error::invalid_cursor())?
            .unwrap_or(0);
        let after_empty = token.is_some_and(|token| token.ends_with(AFTER));
        match (trouble, token) {
            (Trouble::EmptyFirstPage, None) => return Ok((Vec::new(), Some(format!("0{AFTER}")))),
            (Trouble::EmptyPage, Some(_)) if !after_empty => {
                return Ok((Vec::new(), Some(format!("{start}{AFTER}"))));
            }
            _ => {}
        }
        let start = match trouble {
            Trouble::RepeatPage => 0,
            _ => start.min(all),
        };
        let mut end = start.saturating_add(size as usize).min(all);
        if trouble == Trouble::ShortPages && end < all && end > start + 1 {
            end -= 1;
        }
        rows.truncate(end);
        rows.drain(..start);
        Ok((rows, (end < all).then(|| end.to_string())))
    }
}

/// Ends a token that comes from an empty page.
const AFTER: char = 'e';

/// Whether pages have fewer rows than are asked for.
fn is_capped(trouble: Trouble) -> bool {
    matches!(
        trouble,
        Trouble::CapPageSize
            | Trouble::CapPageSizeAsText
            | Trouble::CapPageSizeSilently
            | Trouble::LaterThrottle
            | Trouble::LaterRefusal
    )
}

const BAD_DATE: &str = "2019-13-45";

/// Changes the first row as the trouble says; returns what must be reported to the observer.
pub(super) fn spoil_job(trouble: Trouble, row: &mut Job) -> Option<(DriftKind, &'static str)> {
    match trouble {
        Trouble::UnknownStatusRow => row.status = JobStatus::Unknown,
        Trouble::BadDateRow => row.created_at = None,
        Trouble::NullObjectRow => row.target = Target::default(),
        _ => {}
    }
    spoil(trouble, &mut row.vendor)
}

/// Leaves a field out of every row of a place.
pub(super) fn leave_out_of_jobs(trouble: Trouble, place: Place, rows: &mut [Job]) {
    let Trouble::LeftOut(of, field) = trouble else {
        return;
    };
    for row in rows.iter_mut().filter(|_| of == place) {
        match field {
            "name" => row.name = None,
            "description" => row.description = None,
            "created_at" => row.created_at = None,
            "target.model" => row.target.model = None,
            "package.version" => {
                if let Some(package) = &mut row.package {
                    package.version = None;
                }
            }
            _ => {}
        }
    }
}

/// As [`leave_out_of_jobs`].
pub(super) fn leave_out_of_tasks(trouble: Trouble, rows: &mut [Task]) {
    for row in rows {
        match trouble {
            Trouble::LeftOut(Place::TaskRow, "progress") => row.progress_percent = None,
            Trouble::LeftOut(Place::TaskRow, "created_at") => row.created_at = None,
            Trouble::LeftOut(Place::TaskRow, "device.name") => row.device.name = None,
            _ => {}
        }
    }
}

/// As [`spoil_job`].
pub(super) fn spoil_task(trouble: Trouble, row: &mut Task) -> Option<(DriftKind, &'static str)> {
    match trouble {
        Trouble::UnknownStatusRow => {
            row.status = TaskStatus::Unknown;
            row.failure = None;
        }
        Trouble::BadDateRow => row.created_at = None,
        _ => {}
    }
    spoil(trouble, &mut row.vendor)
}

fn spoil(trouble: Trouble, vendor: &mut VendorDetail) -> Option<(DriftKind, &'static str)> {
    let text = |text: &str| Value::String(text.to_owned());
    match trouble {
        Trouble::UnknownStatusRow => {
            vendor.status = Some("ROLLED_BACK".to_owned());
            Some((DriftKind::Word, "status"))
        }
        Trouble::BadDateRow => {
            vendor.fields.insert("created".to_owned(), text(BAD_DATE));
            Some((DriftKind::Value, "created"))
        }
        Trouble::UnknownField => {
            vendor.fields.insert("ring".to_owned(), text("new"));
            Some((DriftKind::Field, "ring"))
        }
        Trouble::BadUtf8Row
        | Trouble::HalfSurrogateRow
        | Trouble::DoubleNameRow
        | Trouble::DeepValueRow => {
            vendor.fields.insert("note".to_owned(), text("\u{fffd}"));
            Some((DriftKind::Value, "note"))
        }
        Trouble::LongText => {
            vendor
                .fields
                .insert("note".to_owned(), text(&"a:// ".repeat(1000)));
            None
        }
        Trouble::HugeNumberRow => {
            vendor.fields.insert("note".to_owned(), text(HUGE_NUMBER));
            Some((DriftKind::Value, "note"))
        }
        _ => None,
    }
}

/// An identifier as a vendor reads it that takes it for a number, and knows no case.
fn plain(id: &JobId) -> String {
    let id = id.as_str().trim_start_matches(['0', '+', ' ']);
    id.to_ascii_lowercase()
}

fn pick<T: Copy>(words: &[T], number: u32) -> T {
    words[number as usize % words.len()]
}

fn detail(word: &str) -> VendorDetail {
    VendorDetail {
        name: VENDOR,
        status: Some(word.to_ascii_uppercase()),
        fields: Map::new(),
    }
}

fn job(provider: &ProviderName, number: u32) -> Job {
    let status = pick(&MemoryVendor::JOB_STATUSES, number);
    let product = ProductId::from(format!("product-{}", number % 3));
    let mut job = Job::new(
        provider.clone(),
        JobId::from(format!("job-{number}")),
        status,
        Detail::Full,
        detail(status.as_str()),
    );
    job.outcome = (status == JobStatus::Completed)
        .then(|| pick(&[JobOutcome::Succeeded, JobOutcome::Partial], number / 5));
    job.kind = Some(pick(
        &[JobKind::Firmware, JobKind::Software, JobKind::Other],
        number,
    ));
    job.name = Some(format!("rollout {number}"));
    job.description = Some(format!("job number {number}"));
    job.package = Some(Package {
        id: Some(PackageId::from(format!("package-{}", number % 4))),
        name: Some("firmware".to_owned()),
        version: Some(format!("1.{number}.0")),
        product_id: Some(product.clone()),
    });
    job.target = Target {
        product_id: Some(product),
        device_type: Some(pick(&["Gateway", "Meter", "Logger"], number).to_owned()),
        model: Some(pick(&["M1", "M2"], number).to_owned()),
        manufacturer: Some(pick(&["Example & Co", "示例"], number).to_owned()),
        ..Target::default()
    };
    job.created_at = Some(datetime!(2026-01-01 00:00 UTC) + Duration::from_secs(number.into()));
    job
}

fn task(provider: &ProviderName, job: &Job, number: u32, place: u32) -> Task {
    let status = match job.outcome {
        Some(JobOutcome::Succeeded) => TaskStatus::Succeeded,
        Some(_) => pick(&[TaskStatus::Succeeded, TaskStatus::Failed], place),
        None => pick(&MemoryVendor::TASK_STATUSES, place),
    };
    let device = number * 2 + place;
    let mut task = Task::new(
        provider.clone(),
        job.id.clone(),
        TaskId::from(format!("task-{number}-{place}")),
        status,
        detail(status.as_str()),
    );
    task.device = Device {
        id: Some(DeviceId::from(format!("device-{device}"))),
        name: Some(DeviceName::from(format!("name-{device}"))),
        product_id: job.target.product_id.clone(),
        product_name: None,
    };
    task.stage = match status {
        TaskStatus::Pending => Some(pick(&[TaskStage::Queued, TaskStage::Notified], place / 5)),
        TaskStatus::InProgress => Some(TaskStage::Updating),
        _ => None,
    };
    task.failure = (status == TaskStatus::Failed)
        .then(|| pick(&[Failure::Timeout, Failure::Download], place / 2));
    task.progress_percent = Some(f64::from(place % 101));
    task.created_at = job.created_at;
    task
}
