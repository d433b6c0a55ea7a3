//! A large fleet, written by the store's own operations as a first pass writes it.

use ota_core::clock::{Clock, SystemClock};
use ota_core::id::{JobId, ProviderName};
use ota_core::job::{JobKind, JobStatus};
use ota_core::task::{Failure, TaskStage, TaskStatus};
use ota_store::Store;
use ota_store::pass::{PassEnd, PassOf};
use ota_store::record::{JobPage, JobRecord, Progress, TaskPage, TaskRecord};
use serde_json::json;
use time::format_description::well_known::Rfc3339;
use time::{Duration, OffsetDateTime};

use crate::scenario::Outcome;

/// The providers that the jobs belong to, in turns. None of them is in the gateway's configuration, so nothing is read for them meanwhile.
pub(crate) const PROVIDERS: [&str; 4] = ["plant-a", "plant-b", "plant-c", "plant-d"];

pub(crate) const TASKS_OF_A_JOB: u32 = 1_000;
pub(crate) const PRODUCTS: u32 = 10;

/// The rows of a page, as the vendors have them.
pub(crate) const PAGE: u32 = 100;

const VENDOR: &str = "bench-iot";

/// Jobs that still run; the older ones have ended.
const RUNNING: u32 = 50;

/// A fleet of jobs, the newest created a moment ago.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rows {
    pub(crate) jobs: u32,
    now: OffsetDateTime,
}

impl Rows {
    pub(crate) fn new(jobs: u32) -> Self {
        let now = SystemClock.now();
        Self { jobs, now }
    }

    pub(crate) fn tasks(&self) -> f64 {
        f64::from(self.jobs) * f64::from(TASKS_OF_A_JOB)
    }

    /// Writes all of it: for each provider a pass over its jobs, then one over the tasks of each.
    pub(crate) async fn fill(&self, store: &Store) -> Outcome<()> {
        for (place, name) in PROVIDERS.iter().enumerate() {
            let provider = ProviderName::parse(name)?;
            store.see_provider(&provider, VENDOR, self.now).await?;
            let jobs = (0..self.jobs).filter(|job| *job as usize % PROVIDERS.len() == place);
            let jobs: Vec<u32> = jobs.collect();
            self.fill_jobs(store, &provider, &jobs).await?;
            for job in jobs {
                self.fill_tasks(store, &provider, job).await?;
            }
            store.first_pass_ended(&provider, SystemClock.now()).await?;
        }
        Ok(())
    }

    async fn fill_jobs(&self, store: &Store, provider: &ProviderName, jobs: &[u32]) -> Outcome<()> {
        let of = PassOf::Jobs(provider.clone());
        let pass = store.begin_pass(&of, SystemClock.now()).await?;
        for rows in jobs.chunks(PAGE as usize) {
            let page = JobPage {
                provider: provider.clone(),
                vendor: VENDOR,
                sent_at: SystemClock.now(),
                full: true,
                rows: rows.iter().map(|job| self.job(*job)).collect(),
                pass: Some((pass.id, Progress::default())),
            };
            store.write_jobs(&page).await?;
        }
        store
            .end_pass(pass.id, &PassEnd::Complete, SystemClock.now())
            .await?;
        Ok(())
    }

    async fn fill_tasks(&self, store: &Store, provider: &ProviderName, job: u32) -> Outcome<()> {
        let of = PassOf::Tasks(provider.clone(), id(job));
        let pass = store.begin_pass(&of, SystemClock.now()).await?;
        for first in (0..TASKS_OF_A_JOB).step_by(PAGE as usize) {
            let last = first + PAGE == TASKS_OF_A_JOB;
            let progress = Progress {
                cursor: (!last).then(|| first.to_string()),
                total: Some(u64::from(TASKS_OF_A_JOB)),
                calls: 1,
                ..Progress::default()
            };
            let mut page = self.page(job, first, 0)?;
            page.pass = Some((pass.id, progress));
            store.write_tasks(&page).await?;
        }
        store
            .end_pass(pass.id, &PassEnd::Complete, SystemClock.now())
            .await?;
        Ok(())
    }

    /// A page of tasks of a job as they are in a round: in each round all of them differ from the round before.
    pub(crate) fn page(&self, job: u32, first: u32, round: u32) -> Outcome<TaskPage> {
        let provider = PROVIDERS[job as usize % PROVIDERS.len()];
        let rows = first..first + PAGE;
        Ok(TaskPage {
            provider: ProviderName::parse(provider)?,
            vendor: VENDOR,
            job_id: id(job),
            sent_at: SystemClock.now(),
            rows: rows.map(|task| self.task(job, task, round)).collect(),
            pass: None,
        })
    }

    fn created(&self, job: u32) -> OffsetDateTime {
        self.now - Duration::minutes(10 * i64::from(job) + 90)
    }

    fn job(&self, job: u32) -> JobRecord {
        let runs = job < RUNNING;
        let status = if runs {
            JobStatus::InProgress
        } else {
            JobStatus::Completed
        };
        let (package, version) = (package(job), to_version(job));
        let created = self.created(job);
        let description = format!("rollout {job} of {version} to the east region");
        let document = json!({
            "provider": PROVIDERS[job as usize % PROVIDERS.len()],
            "id": id(job).as_str(),
            "status": status.as_str(),
            "kind": "firmware",
            "detail": "full",
            "description": description,
            "package": {"id": package, "name": "controller", "version": version, "product_id": product(job)},
            "target": {"product_id": product(job), "selection": "devices"},
            "created_at": text(created),
            "started_at": text(created),
            "vendor": {"name": VENDOR, "status": "IN_PROGRESS", "fields": {"JobType": "VERIFY_FIRMWARE", "FirmwareId": package}},
        });
        JobRecord {
            id: id(job),
            status,
            outcome: None,
            kind: Some(JobKind::Firmware),
            package_id: Some(package),
            package_name: Some("controller".to_owned()),
            package_version: Some(version),
            product_id: Some(product(job)),
            name: None,
            description: Some(description),
            created_at: Some(created),
            updated_at: Some(created),
            started_at: Some(created),
            stats: None,
            truncated: false,
            document: document.to_string(),
        }
    }

    fn task(&self, job: u32, task: u32, round: u32) -> TaskRecord {
        let status = status(job, task, round);
        let failure = (status == TaskStatus::Failed)
            .then(|| Failure::ALL[task as usize % Failure::ALL.len()]);
        let id_text = format!("{job:012x}{task:010x}");
        let device = format!("sensor-{:07}", (job * 131 + task) % 200_000);
        let (from, to) = (format!("1.{}.0", job % 7), to_version(job));
        let message = failure.map(|failure| match failure {
            Failure::Offline => "设备离线".to_owned(),
            failure => format!("the device reported: {}", failure.as_str()),
        });
        let created = self.created(job);
        let updated = match round {
            0 => created + Duration::seconds(i64::from(task)),
            _ => SystemClock.now(),
        };
        let mut document = json!({
            "provider": PROVIDERS[job as usize % PROVIDERS.len()],
            "job_id": id(job).as_str(),
            "id": id_text,
            "device": {"id": format!("iot{id_text}"), "name": device, "product_id": product(job)},
            "status": status.as_str(),
            "progress_percent": (task + round) % 100,
            "package_id": package(job),
            "from_version": from,
            "to_version": to,
            "created_at": text(created),
            "updated_at": text(updated),
            "started_at": text(created),
            "vendor": {"name": VENDOR, "status": "SUCCEEDED", "fields": {"UtcModified": text(updated)}},
        });
        if let Some(message) = &message {
            document["message"] = json!(message);
            document["failure"] = json!(failure.map(Failure::as_str));
        }
        TaskRecord {
            id: id_text.clone(),
            status,
            stage: (status == TaskStatus::InProgress).then_some(TaskStage::Updating),
            failure,
            device_id: Some(format!("iot{id_text}")),
            device_name: Some(device),
            product_id: Some(product(job)),
            from_version: Some(from),
            to_version: Some(to),
            message,
            created_at: Some(created),
            updated_at: Some(updated),
            started_at: Some(created),
            document: document.to_string(),
        }
    }
}

/// Of twenty tasks 12 succeed, 2 fail, 1 is canceled and 5 are open.
fn status(job: u32, task: u32, round: u32) -> TaskStatus {
    match (job * 7 + task + round) % 20 {
        0..12 => TaskStatus::Succeeded,
        12..14 => TaskStatus::Failed,
        14..17 => TaskStatus::InProgress,
        17..19 => TaskStatus::Pending,
        _ => TaskStatus::Canceled,
    }
}

fn id(job: u32) -> JobId {
    JobId::from(format!("job-{job:06}").as_str())
}

fn product(job: u32) -> String {
    format!("product-{}", job % PRODUCTS)
}

fn package(job: u32) -> String {
    format!("package-{:03}", job % 50)
}

/// One of fifteen.
pub(crate) fn to_version(job: u32) -> String {
    format!("2.{}.{}", job % 5, job % 3)
}

fn text(time: OffsetDateTime) -> String {
    let whole = time.replace_nanosecond(0).unwrap_or(time);
    whole.format(&Rfc3339).unwrap_or_default()
}
