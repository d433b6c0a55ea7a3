//! The provider: puts filter, client and mapping together.

use std::sync::Arc;

use ota_core::capability::{
    Capability, JobFilterSupport, StatsSupport, Support, TaskFilterSupport,
};
use ota_core::drift::DriftKind;
use ota_core::id::{JobId, ProviderName};
use ota_core::job::{Job, JobStats};
use ota_core::paging::{Fetched, PageDrift, Position, Walk, Window};
use ota_core::provider::{
    Dependencies, GetJob, JobFilter, JobReader, ListJobs, ListTasks, Page, Provider, SettingError,
};
use ota_core::task::Task;
use ota_core::{Context, Error, ErrorKind, Result};
use ota_http::encode;
use ota_http::renewal::SecretGroup;

use crate::client::Client;
use crate::config::{Config, QUOTA, VENDOR};
use crate::error::{PAGE_BEYOND_LIMIT, UNKNOWN_DEVICE, UNKNOWN_OPERATION, blame, blame_task};
use crate::map::{self, JobPlan, Mapped, Met, TaskPlan, Word};
use crate::page::{List, Missing, choose, mapped, one, page};
use crate::token::TokenPool;
use crate::wire::Row;

const OPERATIONS: &str = "/iodm/northbound/v1.5.0/operations";
const LIST_JOBS: &str = "queryUpgradeTaskList";
const GET_JOB: &str = "queryUpgradeTask";
const LIST_TASKS: &str = "queryUpgradeSubTaskList";

/// "The value ranges from 1 to 100." (`pageSize` in "Querying an Upgrade Task List", page of 2022-02-24, read 2026-11-23)
const MAX_PAGE_SIZE: u32 = 100;

/// One application on one platform.
#[derive(Debug)]
pub struct HuaweiProvider {
    name: ProviderName,
    capability: Capability,
    client: Arc<Client>,
    deps: Dependencies,
}

impl HuaweiProvider {
    /// Creates the provider. `tokens` is the same for all providers of the process.
    ///
    /// # Errors
    /// When the TLS settings cannot be used.
    pub fn new(
        name: ProviderName,
        config: Config,
        deps: Dependencies,
        tokens: Arc<TokenPool>,
    ) -> Result<Self, SettingError> {
        let options = ota_http::Options {
            tls: config.tls.clone(),
            direct: config.endpoint.is_loopback(),
            ..ota_http::Options::default()
        };
        let http = ota_http::Client::new(&options)
            .map_err(|error| SettingError::new("endpoint", error.to_string()))?;
        if let Some(tls) = &config.tls {
            tls.warn(name.as_str(), deps.clock.now());
        }
        let client = Client {
            http,
            tokens: tokens.cell(config.endpoint.base(), &config.app_id),
            secret: SecretGroup::new(vec![Arc::clone(&config.secret)], Arc::clone(&deps.clock)),
            config,
            gate: Arc::clone(&deps.gate),
            clock: Arc::clone(&deps.clock),
            random: Arc::clone(&deps.random),
            drift: Arc::clone(&deps.drift),
        };
        Ok(Self {
            name,
            capability: capability(),
            client: Arc::new(client),
            deps,
        })
    }

    fn walk(&self, segments: usize, from: Position, page_size: u32, filtered: bool) -> Walk {
        Walk {
            segments: u32::try_from(segments).unwrap_or(u32::MAX),
            from,
            page_size: page_size.clamp(1, MAX_PAGE_SIZE),
            max_vendor_page: MAX_PAGE_SIZE,
            limit: None,
            max_calls: self.deps.max_calls_per_page.max(1),
            spent: 0,
            filtered,
        }
    }

    /// Reads one vendor page.
    async fn fetch<W: Row, T>(
        &self,
        cx: &Context,
        operation: &'static str,
        target: &str,
        window: Window,
        map: impl Fn(W) -> Mapped<T>,
    ) -> Result<Fetched<Option<Mapped<T>>>> {
        let body = self.client.read(cx, operation, target).await?;
        let fetched = mapped(body, map, |met| self.tell(operation, met))
            .map_err(|error| error.with_operation(operation))?;
        self.tell_page(operation, window, &fetched);
        Ok(fetched)
    }

    /// Reports a page that is not the one that was asked for.
    fn tell_page<R>(&self, operation: &'static str, window: Window, fetched: &Fetched<R>) {
        let field = match fetched.drift(window) {
            None => return,
            Some(PageDrift::Size) => "pageSize",
            Some(PageDrift::Rows) => "data",
            Some(PageDrift::Total) => "totalCount",
        };
        self.deps.drift.observe(DriftKind::Page, operation, field);
        tracing::debug!(
            vendor.operation = operation,
            vendor.field = field,
            page.index = window.index,
            page.size = window.size,
            vendor.rows = fetched.rows.len(),
            vendor.total = fetched.total,
            vendor.page_size = fetched.size,
            "the vendor answered with another page than was asked for"
        );
    }

    async fn fetch_jobs(
        &self,
        cx: &Context,
        request: &ListJobs,
        word: Option<Word>,
        window: Window,
    ) -> Result<Fetched<Option<Mapped<Job>>>> {
        let query = map::job_query(&request.filter, word, window);
        let target = format!("{OPERATIONS}?{query}");
        let filter = &request.filter;
        let nothing = |total| Ok(Fetched::nothing(total));
        match self
            .fetch(cx, LIST_JOBS, &target, window, |row| {
                map::job(&self.name, row)
            })
            .await
        {
            Err(error) if is_behind_the_end(&error, window) => nothing(None),
            // Documented for this call too, where it can only mean that no task matches.
            Err(error) if has_code(&error, UNKNOWN_OPERATION) => nothing(Some(0)),
            Err(error) if filter.device_id.is_some() && has_code(&error, UNKNOWN_DEVICE) => {
                nothing(Some(0))
            }
            // What else the vendor does not find is nothing that a filter names.
            Err(error) => {
                let named = error.kind() == ErrorKind::InvalidArgument && has_text(filter);
                Err(blame(error, named))
            }
            fetched => fetched,
        }
    }

    fn tell(&self, operation: &'static str, met: &Met) {
        self.deps.drift.observe(met.kind, operation, &met.field);
    }
}

/// Reads "pageNo beyond the limit" behind the end of a list as what it means: a list that does not tell its total ends with it.
fn is_behind_the_end(error: &Error, window: Window) -> bool {
    window.index > 0 && has_code(error, PAGE_BEYOND_LIMIT)
}

fn has_code(error: &Error, code: &str) -> bool {
    let vendor = error.vendor();
    vendor.and_then(|vendor| vendor.code.as_deref()) == Some(code)
}

/// Whether a filter carries text of the caller's; words of enumerations are the gateway's.
fn has_text(filter: &JobFilter) -> bool {
    filter.device_id.is_some()
        || [&filter.device_type, &filter.model, &filter.manufacturer]
            .iter()
            .any(|text| text.is_some())
}

pub(crate) fn capability() -> Capability {
    Capability {
        job_filters: JobFilterSupport {
            status: Support::Native,
            // The vendor has one word for `failed` and `partial`.
            outcome: Support::Here,
            kind: Support::Native,
            package_id: Support::No,
            product_id: Support::No,
            device_id: Support::Native,
            device_name: Support::No,
            device_type: Support::Native,
            model: Support::Native,
            manufacturer: Support::Native,
        },
        job_filter_needs: &[],
        task_filters: TaskFilterSupport {
            status: Support::Native,
            device_name: Support::No,
            device_id: Support::Here,
        },
        max_page_size: MAX_PAGE_SIZE,
        max_device_names: 0,
        job_stats: StatsSupport {
            native: true,
            calls: 1,
        },
        actions: Vec::new(),
        quota: QUOTA,
    }
}

#[async_trait::async_trait]
impl Provider for HuaweiProvider {
    fn name(&self) -> &ProviderName {
        &self.name
    }

    fn vendor(&self) -> &'static str {
        VENDOR
    }

    fn endpoint(&self) -> &str {
        self.client.config.endpoint.base()
    }

    fn capability(&self) -> &Capability {
        &self.capability
    }

    async fn check(&self, cx: &Context) -> Result<()> {
        let request = ListJobs {
            filter: Default::default(),
            page_size: 1,
            cursor: None,
        };
        let first = Window {
            index: 0,
            size: 1,
            skip: 0,
        };
        self.fetch_jobs(cx, &request, None, first).await.map(drop)
    }

    fn jobs(&self) -> Option<&dyn JobReader> {
        Some(self)
    }
}

#[async_trait::async_trait]
impl JobReader for HuaweiProvider {
    async fn list_jobs(&self, cx: &Context, request: ListJobs) -> Result<Page<Job>> {
        let plan = JobPlan::of(&request.filter);
        let from = List::Jobs.position(request.cursor.as_ref(), plan.words.len())?;
        self.capability.check_jobs(&request.filter)?;
        if plan.words.is_empty() {
            return Ok(Page::empty());
        }
        let missing = Missing::new(plan.filters_here());
        let (plan, request, seen) = (&plan, &request, &missing);
        let segments = plan.words.len();
        let walked = self
            .walk(segments, from, request.page_size, plan.filters_here())
            .run(
                |segment, window| {
                    Box::pin(async move {
                        let word = plan.words.get(segment as usize).copied().flatten();
                        let fetched = self.fetch_jobs(cx, request, word, window).await?;
                        let wants = |row: &Mapped<Job>| plan.wants(&request.filter, word, row);
                        Ok(choose(fetched, seen, |job: &Job| job.id.as_str(), wants))
                    })
                },
                |row| row.key(|job| job.id.as_str()),
                |row| row.wanted,
            )
            .await?;
        Ok(page(List::Jobs, walked, segments, &missing))
    }

    async fn get_job(&self, cx: &Context, request: GetJob) -> Result<Option<Job>> {
        let Some(target) = operation_path(&request.job_id) else {
            return Ok(None);
        };
        let body = self.client.read(cx, GET_JOB, &target).await;
        let Some(body) = known(body.map_err(blame_task))? else {
            return Ok(None);
        };
        let row = one(body).map_err(|error| error.with_operation(GET_JOB))?;
        let job = map::job(&self.name, row);
        job.met.iter().for_each(|met| self.tell(GET_JOB, met));
        Ok(Some(job.item))
    }

    async fn job_stats(&self, cx: &Context, request: GetJob) -> Result<Option<JobStats>> {
        let job = self.get_job(cx, request).await?;
        Ok(job.map(|job| {
            job.stats.unwrap_or(JobStats {
                outcome: job.outcome,
                ..JobStats::default()
            })
        }))
    }

    async fn list_tasks(&self, cx: &Context, request: ListTasks) -> Result<Option<Page<Task>>> {
        let plan = TaskPlan::of(&request.filter);
        let from = List::Tasks.position(request.cursor.as_ref(), plan.words.len())?;
        self.capability.check_tasks(&request.filter)?;
        let Some(path) = operation_path(&request.job_id) else {
            return Ok(None);
        };
        if plan.words.is_empty() {
            return Ok(Some(Page::empty()));
        }
        let filtered = request.filter.device_id.is_some() || plan.statuses_here;
        let missing = Missing::new(filtered);
        let (plan, request, path, seen) = (&plan, &request, &path, &missing);
        let segments = plan.words.len();
        let walked = self
            .walk(segments, from, request.page_size, filtered)
            .run(
                |segment, window| {
                    Box::pin(async move {
                        let word = plan.words.get(segment as usize).copied().flatten();
                        let query = map::task_query(word, window);
                        let target = format!("{path}/subOperations?{query}");
                        let fetched = self
                            .fetch(cx, LIST_TASKS, &target, window, |row| {
                                map::task(&self.name, &request.job_id, row)
                            })
                            .await
                            .or_else(|error| match is_behind_the_end(&error, window) {
                                true => Ok(Fetched::nothing(None)),
                                false => Err(blame_task(error)),
                            })?;
                        let wants = |row: &Mapped<Task>| plan.wants(&request.filter, word, row);
                        Ok(choose(fetched, seen, |task: &Task| task.id.as_str(), wants))
                    })
                },
                |row| row.key(|task| task.id.as_str()),
                |row| row.wanted,
            )
            .await;
        Ok(known(walked)?.map(|walked| page(List::Tasks, walked, segments, &missing)))
    }
}

/// Returns the path of one task, or `None` for an identifier that no path can carry and hence no task has.
fn operation_path(id: &JobId) -> Option<String> {
    encode::path_segment(id.as_str()).map(|segment| format!("{OPERATIONS}/{segment}"))
}

/// Turns "the vendor does not know it" into `None`.
fn known<T>(result: Result<T>) -> Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}
