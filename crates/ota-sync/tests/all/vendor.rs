//! A vendor in memory that can be told to misbehave.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ota_core::capability::{
    Capability, ChangeSigns, DocumentedQuota, JobFilterSupport, QuotaPer, StatsSupport, Support,
    TaskFilterSupport, TaskOrder,
};
use ota_core::clock::ManualClock;
use ota_core::fields::FieldSupport;
use ota_core::gate::{OpenGate, VendorCall, call};
use ota_core::id::{DeviceId, DeviceName, JobId, PackageId, ProviderName, TaskId};
use ota_core::job::{Detail, Job, JobStats, JobStatus};
use ota_core::provider::{
    Cursor, GetJob, JobReader, ListJobs, ListTasks, Page, PageProblem, Provider, TaskFilter,
};
use ota_core::task::{Task, TaskStage, TaskStatus};
use ota_core::vendor::VendorDetail;
use ota_core::{Context, Error, ErrorKind, Result};

pub(crate) const VENDOR: &str = "sim";

/// What kind of vendor it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Rows of the list carry counts, and jobs can be listed by status.
    Rows,
    /// One call counts each status, and tasks can be asked for by device name; rows of the list leave fields out.
    ByStatus,
    /// One call counts all; lists tell no totals.
    OneCall,
}

/// How it misbehaves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Trouble {
    #[default]
    None,
    /// Every call fails.
    Down,
    /// The call with this number, counted from the beginning, fails.
    FailCall(u64),
    /// The totals of lists are too large by this.
    Total(u64),
    /// Every page of a list is its first, and each tells of a next one.
    PageOneForEver,
    /// The second page of every list is empty and is the last one, although the total says otherwise.
    EarlyEmptyPage,
    /// Only so many tasks of a job can be reached.
    Truncated(usize),
    /// Cursors of pages are refused.
    CursorsRefused,
}

pub(crate) type Hook = Box<dyn FnMut(&mut State, u64) + Send>;

#[derive(Default)]
pub(crate) struct State {
    /// In the order of the list.
    pub(crate) jobs: Vec<Job>,
    pub(crate) tasks: BTreeMap<JobId, Vec<Task>>,
    pub(crate) trouble: Trouble,
    /// Operations of the calls so far.
    pub(crate) calls: Vec<&'static str>,
    /// Jobs of which every page of all tasks is the first one.
    pub(crate) repeating: BTreeSet<JobId>,
    /// Packages whose jobs cannot be listed.
    pub(crate) broken: BTreeSet<&'static str>,
    /// How many pages of all jobs were asked for.
    pub(crate) list_pages: usize,
    /// How many pages of all its tasks were asked for, by job.
    pub(crate) pages: BTreeMap<JobId, usize>,
    /// Is called before each call is answered, with its number.
    pub(crate) hook: Option<Hook>,
}

pub(crate) struct Vendor {
    name: ProviderName,
    pub(crate) kind: Kind,
    capability: Capability,
    gate: OpenGate,
    state: Mutex<State>,
}

impl std::fmt::Debug for Vendor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Vendor").finish_non_exhaustive()
    }
}

fn capability(kind: Kind) -> Capability {
    let status = match kind {
        Kind::Rows => Support::Native,
        _ => Support::Here,
    };
    let names = match kind {
        Kind::ByStatus => Support::Native,
        _ => Support::No,
    };
    Capability {
        job_filters: JobFilterSupport {
            status,
            outcome: Support::No,
            kind: Support::No,
            package_id: Support::No,
            product_id: Support::No,
            device_id: Support::No,
            device_name: Support::No,
            device_type: Support::No,
            model: Support::No,
            manufacturer: Support::No,
        },
        job_filter_needs: &[],
        task_filters: TaskFilterSupport {
            status: Support::Native,
            stage: if kind == Kind::ByStatus {
                Support::Native
            } else {
                Support::No
            },
            device_name: names,
            device_id: Support::No,
        },
        max_page_size: 100,
        max_device_names: if names == Support::Native { 50 } else { 0 },
        job_stats: StatsSupport {
            native: kind != Kind::ByStatus,
            calls: if kind == Kind::ByStatus { 8 } else { 1 },
        },
        change_signs: ChangeSigns {
            counts_in_rows: kind == Kind::Rows,
            counts_in_totals: kind == Kind::ByStatus,
            task_order: TaskOrder::None,
        },
        fields: FieldSupport {
            job_row: &[],
            job: &[],
            job_stats: &[],
            task: &[],
        },
        configured_fields: Vec::new(),
        actions: Vec::new(),
        quota: DocumentedQuota {
            calls: 1000,
            window_s: 1,
            per: QuotaPer::Application,
            exceptions: &[],
        },
    }
}

/// What a task does first in a status.
fn stage_of(status: TaskStatus) -> Option<TaskStage> {
    match status {
        TaskStatus::Pending => Some(TaskStage::Queued),
        TaskStatus::InProgress => Some(TaskStage::Updating),
        _ => None,
    }
}

pub(crate) fn task(job: &JobId, number: usize, status: TaskStatus) -> Task {
    let detail = VendorDetail {
        name: VENDOR,
        ..VendorDetail::default()
    };
    let id = TaskId::from(format!("{job}-{number}"));
    let mut task = Task::new(ProviderName::from("p"), job.clone(), id, status, detail);
    task.stage = stage_of(status);
    task.device.id = Some(DeviceId::from(format!("id-{number}")));
    task.device.name = Some(DeviceName::from(format!("name-{number}")));
    task
}

impl Vendor {
    pub(crate) fn new(kind: Kind, clock: &ManualClock) -> Arc<Self> {
        Arc::new(Self {
            name: ProviderName::from("p"),
            kind,
            capability: capability(kind),
            gate: OpenGate::new(Arc::new(clock.clone())),
            state: Mutex::default(),
        })
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a job with so many tasks of each status.
    pub(crate) fn add(&self, id: &str, status: JobStatus, tasks: &[(TaskStatus, usize)]) {
        self.lock().add(id, status, tasks);
    }

    pub(crate) fn trouble(&self, trouble: Trouble) {
        self.lock().trouble = trouble;
    }

    pub(crate) fn calls(&self) -> usize {
        self.lock().calls.len()
    }

    async fn receive(&self, cx: &Context, operation: &'static str) -> Result<()> {
        call(&self.gate, cx, VendorCall::read(operation), |_| async {
            let mut state = self.lock();
            let number = state.calls.len() as u64;
            state.calls.push(operation);
            if let Some(mut hook) = state.hook.take() {
                hook(&mut state, number);
                state.hook = Some(hook);
            }
            match state.trouble {
                Trouble::Down => Err(Error::new(ErrorKind::Unavailable, "the vendor is down")),
                Trouble::FailCall(failing) if failing == number => {
                    Err(Error::new(ErrorKind::Unavailable, "one call failed"))
                }
                _ => Ok(()),
            }
        })
        .await
    }

    fn page<T: Clone>(&self, rows: Vec<T>, size: u32, cursor: Option<&Cursor>) -> Result<Page<T>> {
        self.page_with(self.lock().trouble, rows, size, cursor)
    }

    fn page_with<T: Clone>(
        &self,
        trouble: Trouble,
        mut rows: Vec<T>,
        size: u32,
        cursor: Option<&Cursor>,
    ) -> Result<Page<T>> {
        if cursor.is_some() && trouble == Trouble::CursorsRefused {
            return Err(Error::invalid_cursor());
        }
        let all = rows.len();
        let from: usize = cursor.map_or(0, |cursor| cursor.0.parse().unwrap_or(0));
        let size = size as usize;
        let start = match trouble {
            Trouble::PageOneForEver => 0,
            _ => from.min(all),
        };
        let end = (start + size).min(all);
        let mut next = (end < all).then(|| end.to_string());
        if trouble == Trouble::PageOneForEver {
            next = Some((from + size).to_string());
        }
        rows.truncate(end);
        rows.drain(..start);
        if trouble == Trouble::EarlyEmptyPage && from > 0 {
            rows.clear();
            next = None;
        }
        let lie = match trouble {
            Trouble::Total(more) => more,
            _ => 0,
        };
        Ok(Page {
            items: rows,
            next: next.map(Cursor),
            total: (self.kind != Kind::OneCall).then_some(all as u64 + lie),
            truncated: false,
            problems: Vec::new(),
            missing_named: false,
        })
    }

    /// What a job is like in a list, or in detail.
    pub(crate) fn shown(&self, state: &State, job: &Job, detail: Detail) -> Job {
        let mut job = job.clone();
        if self.kind == Kind::Rows {
            job.stats = Some(state.counts(&job.id));
        }
        let is_sparse = self.kind == Kind::ByStatus && detail == Detail::Summary;
        job.detail = match is_sparse {
            true => Detail::Summary,
            false => Detail::Full,
        };
        if is_sparse {
            job.description = None;
        }
        job
    }
}

impl State {
    pub(crate) fn add(&mut self, id: &str, status: JobStatus, tasks: &[(TaskStatus, usize)]) {
        let id = JobId::from(id);
        let detail = VendorDetail {
            name: VENDOR,
            ..VendorDetail::default()
        };
        let mut job = Job::new(
            ProviderName::from("p"),
            id.clone(),
            status,
            Detail::Full,
            detail,
        );
        job.description = Some(format!("about {id}"));
        let mut rows = Vec::new();
        for (status, count) in tasks {
            for _ in 0..*count {
                rows.push(task(&id, rows.len(), *status));
            }
        }
        self.jobs.push(job);
        self.tasks.insert(id, rows);
    }

    pub(crate) fn counts(&self, job: &JobId) -> JobStats {
        let mut stats = JobStats {
            total: Some(0),
            pending: Some(0),
            in_progress: Some(0),
            succeeded: Some(0),
            failed: Some(0),
            canceled: Some(0),
            skipped: Some(0),
            unknown: Some(0),
            ..JobStats::default()
        };
        let add = |count: &mut Option<u64>| *count = count.map(|count| count + 1);
        for task in self.tasks.get(job).into_iter().flatten() {
            add(&mut stats.total);
            add(match task.status {
                TaskStatus::Pending => &mut stats.pending,
                TaskStatus::InProgress => &mut stats.in_progress,
                TaskStatus::Succeeded => &mut stats.succeeded,
                TaskStatus::Failed => &mut stats.failed,
                TaskStatus::Canceled => &mut stats.canceled,
                TaskStatus::Skipped => &mut stats.skipped,
                TaskStatus::Unknown => &mut stats.unknown,
            });
        }
        stats
    }

    /// Changes a task of a job, by its number.
    pub(crate) fn change(&mut self, job: &str, number: usize, change: impl FnOnce(&mut Task)) {
        let tasks = self.tasks.get_mut(&JobId::from(job)).unwrap();
        change(&mut tasks[number]);
    }

    /// Moves so many tasks of a job from one status to another.
    pub(crate) fn advance(&mut self, job: &str, from: TaskStatus, to: TaskStatus, count: usize) {
        let tasks = self.tasks.get_mut(&JobId::from(job)).unwrap();
        let moved = tasks.iter_mut().filter(|task| task.status == from);
        moved.take(count).for_each(|task| {
            task.status = to;
            task.stage = stage_of(to);
        });
    }
}

fn matches(filter: &TaskFilter, task: &Task) -> bool {
    let named = || {
        task.device
            .name
            .as_ref()
            .is_some_and(|name| filter.device_names.contains(name))
    };
    let staged = || {
        task.stage
            .is_some_and(|stage| filter.stage.contains(&stage))
    };
    (filter.status.is_empty() || filter.status.contains(&task.status))
        && (filter.stage.is_empty() || staged())
        && (filter.device_names.is_empty() || named())
}

fn skipped(package: &str) -> PageProblem {
    PageProblem {
        package_id: PackageId::from(package),
        product_id: None,
        kind: ErrorKind::Rejected,
        message: "the vendor refused the request".to_owned(),
        vendor: None,
    }
}

#[async_trait::async_trait]
impl Provider for Vendor {
    fn name(&self) -> &ProviderName {
        &self.name
    }

    fn vendor(&self) -> &'static str {
        VENDOR
    }

    fn endpoint(&self) -> &str {
        "memory"
    }

    fn capability(&self) -> &Capability {
        &self.capability
    }

    async fn check(&self, cx: &Context) -> Result<()> {
        self.receive(cx, "check").await
    }

    fn jobs(&self) -> Option<&dyn JobReader> {
        Some(self)
    }
}

#[async_trait::async_trait]
impl JobReader for Vendor {
    async fn list_jobs(&self, cx: &Context, request: ListJobs) -> Result<Page<Job>> {
        self.receive(cx, "list_jobs").await?;
        let (rows, problems) = {
            let mut state = self.lock();
            let statuses = &request.filter.status;
            state.list_pages += usize::from(statuses.is_empty());
            let is_broken = |job: &Job| {
                let package = job.package.as_ref().and_then(|package| package.id.as_ref());
                package.is_some_and(|id| state.broken.contains(id.as_str()))
            };
            let jobs = state.jobs.iter();
            let rows: Vec<Job> = jobs
                .filter(|job| statuses.is_empty() || statuses.contains(&job.status))
                .filter(|job| !is_broken(job))
                .map(|job| self.shown(&state, job, Detail::Summary))
                .collect();
            // A list that leaves packages out tells no total that could be right.
            (
                rows,
                state
                    .broken
                    .iter()
                    .map(|id| skipped(id))
                    .collect::<Vec<_>>(),
            )
        };
        let page = self.page(rows, request.page_size, request.cursor.as_ref())?;
        let some = !problems.is_empty();
        Ok(Page {
            total: page.total.filter(|_| !some),
            truncated: some,
            missing_named: some,
            // Only the page that has met them tells of them.
            problems: match request.cursor {
                None => problems,
                Some(_) => Vec::new(),
            },
            ..page
        })
    }

    async fn get_job(&self, cx: &Context, request: GetJob) -> Result<Option<Job>> {
        self.receive(cx, "get_job").await?;
        let state = self.lock();
        let found = state.jobs.iter().find(|job| job.id == request.job_id);
        Ok(found.map(|job| self.shown(&state, job, Detail::Full)))
    }

    async fn job_stats(&self, cx: &Context, request: GetJob) -> Result<Option<JobStats>> {
        for _ in 0..self.capability.job_stats.calls {
            self.receive(cx, "job_stats").await?;
        }
        let state = self.lock();
        let known = state.tasks.contains_key(&request.job_id);
        Ok(known.then(|| state.counts(&request.job_id)))
    }

    async fn list_tasks(&self, cx: &Context, request: ListTasks) -> Result<Option<Page<Task>>> {
        // A status that it has no word for.
        if self.kind == Kind::ByStatus && request.filter.status == [TaskStatus::Skipped] {
            return Ok(Some(Page::empty()));
        }
        self.receive(cx, "list_tasks").await?;
        let (rows, truncated, trouble) = {
            let mut state = self.lock();
            let mut trouble = state.trouble;
            if request.filter == TaskFilter::default() && request.page_size > 1 {
                *state.pages.entry(request.job_id.clone()).or_default() += 1;
                if state.repeating.contains(&request.job_id) {
                    trouble = Trouble::PageOneForEver;
                }
            }
            let Some(tasks) = state.tasks.get(&request.job_id) else {
                return Ok(None);
            };
            let rows = tasks.iter().filter(|task| matches(&request.filter, task));
            let mut rows: Vec<Task> = rows.cloned().collect();
            let truncated = match state.trouble {
                Trouble::Truncated(most) if rows.len() > most => {
                    rows.truncate(most);
                    true
                }
                _ => false,
            };
            (rows, truncated, trouble)
        };
        let page = self.page_with(trouble, rows, request.page_size, request.cursor.as_ref())?;
        Ok(Some(Page {
            total: page.total.filter(|_| !truncated),
            truncated,
            ..page
        }))
    }
}
