//! The reference provider.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use ota_adapter::error::about_the_same;
use ota_adapter::token_pager::{TokenPage, TokenPagedRows, TokenPager, TokenPosition};
use ota_core::capability::Capability;
use ota_core::configured_fields::RowKind;
use ota_core::context::Context;
use ota_core::drift::DriftKind;
use ota_core::error::{Retry, VendorError};
use ota_core::gate::{VendorCall, call};
use ota_core::id::{JobId, PackageId, ProviderName, TaskId};
use ota_core::job::{Detail, Job, JobStats, JobStatus};
use ota_core::paging::{Fetched, PagedRows, Pager, Position, Window};
use ota_core::provider::{
    Cursor, Dependencies, GetJob, JobFilter, JobReader, ListJobs, ListTasks, Page, PageProblem,
    Provider,
};
use ota_core::task::{Failure, Task, TaskStage, TaskStatus};
use ota_core::{Error, ErrorKind, Result};
use serde_json::json;

use crate::memory::difference::{
    Aliases, ServerVersion, newer_job_filter, newer_task_filter, older_server,
};
use crate::memory::vendor::{
    BROKEN_PACKAGE, MemoryVendor, is_in_broken_part, leave_out_of_jobs, leave_out_of_tasks,
    spoil_job, spoil_task,
};
use crate::memory::{SECRET, VENDOR};
use crate::subject::{Place, Trouble};

/// How long a renewal of the credential is waited for after a refusal.
const MOMENT: Duration = Duration::from_millis(200);

/// How long a refused credential is not used.
const PAUSE: Duration = Duration::from_secs(10);

/// A provider that keeps every rule of the contract.
pub struct MemoryProvider {
    name: ProviderName,
    capability: Capability,
    vendor: Arc<MemoryVendor>,
    deps: Dependencies,
    secret: &'static str,
    /// The credential that calls are made with; something else renews it.
    credential: Arc<AtomicU64>,
    /// How long a refused credential is not used.
    pause: Duration,
    refused: Mutex<Option<Refused>>,
    /// Whether the vendor pages by tokens.
    by_tokens: bool,
    /// Whether the vendor answers an empty list for a job that it does not know.
    vague_lists: bool,
    aliases: Aliases,
    /// The version of the vendor's server, by the setting.
    version: ServerVersion,
    /// Whether lists are asked for in an order, which the vendor does not keep on its own.
    asks_for_order: bool,
}

/// The last refusal of a credential.
struct Refused {
    credential: u64,
    error: Error,
    /// Until when it is the answer.
    until: Instant,
}

impl MemoryProvider {
    /// Creates a provider that reads from `vendor`; `name` is the one that the vendor was made for.
    #[must_use]
    pub fn new(
        name: ProviderName,
        capability: Capability,
        vendor: Arc<MemoryVendor>,
        deps: Dependencies,
    ) -> Self {
        Self {
            name,
            capability: capability.with_configured(&deps.fields),
            vendor,
            deps,
            secret: SECRET,
            credential: Arc::default(),
            pause: PAUSE,
            refused: Mutex::default(),
            by_tokens: false,
            vague_lists: false,
            aliases: Aliases::default(),
            version: ServerVersion::default(),
            asks_for_order: true,
        }
    }

    /// Takes its credential from a place where something else renews it.
    #[must_use]
    pub fn with_credential(self, credential: Arc<AtomicU64>) -> Self {
        Self { credential, ..self }
    }

    /// Leaves a refused credential alone for so long.
    #[must_use]
    pub fn with_pause(self, pause: Duration) -> Self {
        Self { pause, ..self }
    }

    /// Reads lists that the vendor pages by tokens.
    #[must_use]
    pub fn by_tokens(mut self) -> Self {
        // A page that leads on by a token tells no total.
        self.capability.change_signs.counts_in_totals = false;
        Self {
            by_tokens: true,
            ..self
        }
    }

    /// Reads lists that are as empty for an unknown job as for a job without tasks.
    #[must_use]
    pub fn with_vague_lists(self) -> Self {
        Self {
            vague_lists: true,
            ..self
        }
    }

    /// Reads from a vendor that takes other spellings of an identifier for the same job.
    #[must_use]
    pub fn with_aliases(self, aliases: Aliases) -> Self {
        Self { aliases, ..self }
    }

    /// Reads from a server of this version; what it lacks is no longer in the capability.
    #[must_use]
    pub fn with_server_version(self, version: ServerVersion) -> Self {
        Self {
            capability: version.of(self.capability),
            version,
            ..self
        }
    }

    /// Asks for lists without an order, which no provider may; the suite is tested with it.
    #[must_use]
    pub fn without_order(self) -> Self {
        Self {
            asks_for_order: false,
            ..self
        }
    }

    fn refused(&self) -> MutexGuard<'_, Option<Refused>> {
        self.refused.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the refusal while it lasts; after that, the first call tries the credential for all.
    fn refusal(&self, credential: u64, is_call: bool) -> Option<Error> {
        let mut refused = self.refused();
        let refused = refused
            .as_mut()
            .filter(|refused| refused.credential == credential)?;
        let now = self.deps.clock.monotonic();
        if now < refused.until {
            return Some(refused.error.clone());
        }
        if is_call {
            refused.until = now + self.pause;
        }
        None
    }

    /// Makes one attempt of a call that uses a filter of newer servers, or none of them.
    async fn attempt(&self, newer: Option<&'static str>) -> Result<Trouble> {
        let credential = self.credential.load(Ordering::SeqCst);
        if let Some(refusal) = self.refusal(credential, true) {
            return Err(refusal.with_unsent());
        }
        let received = self.vendor.receive().await?;
        if self.vendor.takes(credential) {
            *self.refused() = None;
            return match newer {
                Some(field) if received == Trouble::OlderServer => Err(older_server(field)),
                _ => Ok(received),
            };
        }
        let refused = Error::new(ErrorKind::Auth, "the vendor refused the credential");
        // A renewal that the vendor knows of already may be written here in a moment.
        let clock = &self.deps.clock;
        let end = clock.monotonic() + MOMENT;
        while clock.monotonic() < end {
            if self.credential.load(Ordering::SeqCst) != credential {
                return Err(refused.with_superseded().with_retry(Retry::Once));
            }
            clock.sleep_until(clock.monotonic() + MOMENT / 10).await;
        }
        *self.refused() = Some(Refused {
            credential,
            error: refused.clone(),
            until: clock.monotonic() + self.pause,
        });
        Err(refused)
    }

    /// Makes one call; returns how the vendor changes its rows.
    async fn send(&self, cx: &Context, operation: &'static str) -> Result<Trouble> {
        self.send_with(cx, operation, None).await
    }

    /// As [`MemoryProvider::send`], with a filter that only newer servers have.
    async fn send_with(
        &self,
        cx: &Context,
        operation: &'static str,
        newer: Option<&'static str>,
    ) -> Result<Trouble> {
        debug_assert!(!self.secret.is_empty(), "a call is signed with the secret");
        // Before the gate: what is known already is no call.
        if let Some(refusal) = self.refusal(self.credential.load(Ordering::SeqCst), false) {
            return Err(refusal);
        }
        let gate = Arc::clone(&self.deps.gate);
        call(&*gate, cx, VendorCall::read(operation), |_| {
            self.attempt(newer)
        })
        .await
    }

    fn tell(&self, operation: &'static str, met: Option<(DriftKind, &'static str)>) {
        if let Some((kind, field)) = met {
            self.deps.drift.observe(kind, operation, field);
        }
    }
}

impl std::fmt::Debug for MemoryProvider {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MemoryProvider")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// Reads a cursor: the letter of its list, the number of rows passed, and how the page before began.
fn position(list: char, cursor: Option<&Cursor>) -> Result<Position> {
    let Some(cursor) = cursor else {
        return Ok(Position::default());
    };
    let position = cursor.0.strip_prefix(list).map(str::to_owned);
    let position = position.ok_or_else(Error::invalid_cursor)?;
    Position::from_cursor(Some(&Cursor(position)), 1)
}

/// Where a list goes on.
enum From {
    Number(Position),
    Token(TokenPosition),
}

/// Makes a job run that has ended.
fn keep_running(trouble: Trouble, job: &mut Job) {
    if trouble == Trouble::StillRunning {
        job.status = JobStatus::InProgress;
        job.outcome = None;
    }
}

/// Refuses an answer that is not a list, or has more rows than any page has.
fn is_list(trouble: Trouble) -> Result<()> {
    match trouble {
        Trouble::NoList(_) => Err(Error::new(
            ErrorKind::Protocol,
            "the vendor's answer is no list",
        )),
        Trouble::ManyRows => Err(Error::new(
            ErrorKind::Protocol,
            "the vendor's answer has more rows than are read of one answer",
        )),
        _ => Ok(()),
    }
}

/// What the pages of one listing held beside rows that can be given.
#[derive(Default)]
struct Losses {
    no_row: AtomicBool,
    part: AtomicBool,
    twice: AtomicBool,
}

impl Losses {
    /// Puts something else in the place of the second row, and notes it. What is not a row has an empty identifier.
    fn make<T: Clone>(&self, trouble: Trouble, rows: &mut [T], no_row: impl Fn(&mut T)) {
        let [first, second, ..] = rows else { return };
        match trouble {
            Trouble::NoRow(_) => {
                no_row(second);
                self.no_row.store(true, Ordering::SeqCst);
            }
            Trouble::RowTwice => {
                *second = first.clone();
                self.twice.store(true, Ordering::SeqCst);
            }
            _ => {}
        }
    }

    /// Makes the page of a single list. The vendor's total counts rows that are not given.
    fn page<T>(&self, list: char, paged: PagedRows<T>) -> Page<T> {
        let part = self.part.load(Ordering::SeqCst);
        let truncated = paged.gap || part || self.no_row.load(Ordering::SeqCst);
        let whole = !truncated && !self.twice.load(Ordering::SeqCst);
        Page {
            total: paged.fitting_total(None).filter(|_| whole),
            truncated,
            problems: part.then(problem).into_iter().collect(),
            missing_named: false,
            next: paged.next.map(|mut next| {
                next.gap |= truncated;
                Cursor(format!("{list}{}", next.encode()))
            }),
            items: paged.rows,
        }
    }

    /// As [`Losses::page`], for a listing by tokens.
    fn token_page<T>(&self, list: char, mut paged: TokenPagedRows<T>) -> Result<Page<T>> {
        let part = self.part.load(Ordering::SeqCst);
        paged.gap |= part;
        if let Some(next) = &mut paged.next {
            next.gap |= paged.gap;
        }
        let mut page = paged.into_page(list)?;
        page.problems.extend(part.then(problem));
        Ok(page)
    }
}

/// What is said of the part of the list that cannot be read.
fn problem() -> PageProblem {
    PageProblem {
        package_id: PackageId::from(BROKEN_PACKAGE),
        product_id: None,
        kind: ErrorKind::Rejected,
        message: "the vendor cannot read the jobs of this package".to_owned(),
        vendor: Some(VendorError {
            code: Some("BrokenPackage".to_owned()),
            ..VendorError::default()
        }),
    }
}

impl MemoryProvider {
    /// Returns the vendor that is read from.
    #[must_use]
    pub fn memory_vendor(&self) -> &MemoryVendor {
        &self.vendor
    }

    fn pager(&self, from: Position, page_size: u32) -> Pager {
        Pager {
            segments: 1,
            from,
            page_size,
            max_vendor_page: self.capability.max_page_size,
            limit: None,
            max_calls: self.deps.max_calls_per_page,
            spent: 0,
            filtered: false,
        }
    }

    fn tell_row(&self, operation: &'static str, trouble: Trouble) {
        if matches!(trouble, Trouble::NoRow(_)) {
            self.tell(operation, Some((DriftKind::Value, "row")));
        }
    }

    fn tell_page<T>(&self, operation: &'static str, window: Window, fetched: &Fetched<T>) {
        if fetched.drift(window).is_some() {
            self.tell(operation, Some((DriftKind::Page, "page")));
        }
    }

    fn token_pager(&self, from: TokenPosition, page_size: u32) -> TokenPager {
        TokenPager {
            segments: 1,
            from,
            page_size,
            max_vendor_page: self.capability.max_page_size,
            max_calls: self.deps.max_calls_per_page,
            filtered: false,
        }
    }

    /// Asks for jobs; returns all that match, of which the vendor answers a page.
    async fn ask_for_jobs(
        &self,
        cx: &Context,
        filter: &JobFilter,
        losses: &Losses,
    ) -> Result<(Trouble, Vec<Job>)> {
        let newer = newer_job_filter(&self.capability, filter);
        let trouble = self.send_with(cx, "ListJobs", newer).await?;
        is_list(trouble)?;
        let mut rows = self.vendor.jobs().to_vec();
        if let Some(first) = rows.first_mut() {
            self.tell("ListJobs", spoil_job(trouble, first));
        }
        rows.iter_mut().for_each(|row| keep_running(trouble, row));
        self.vendor.note_jobs(filter);
        rows.retain(|job| self.vendor.job_matches(filter, job));
        if trouble == Trouble::BrokenPart {
            rows.retain(|job| !is_in_broken_part(job));
            losses.part.store(true, Ordering::SeqCst);
        }
        for row in &mut rows {
            row.detail = Detail::Summary;
            row.description = None;
            self.name_package(row);
        }
        leave_out_of_jobs(trouble, Place::JobRow, &mut rows);
        self.order(trouble, &mut rows);
        Ok((trouble, rows))
    }

    async fn fetch_jobs(
        &self,
        cx: &Context,
        filter: &JobFilter,
        window: Window,
        losses: &Losses,
    ) -> Result<Fetched<Job>> {
        let (trouble, rows) = self.ask_for_jobs(cx, filter, losses).await?;
        let mut fetched = self.vendor.page(trouble, rows, window);
        losses.make(trouble, &mut fetched.rows, |job| job.id = JobId::from(""));
        self.tell_row("ListJobs", trouble);
        self.tell_page("ListJobs", window, &fetched);
        Ok(fetched)
    }

    async fn fetch_jobs_by_token(
        &self,
        cx: &Context,
        filter: &JobFilter,
        (token, size): (Option<String>, u32),
        losses: &Losses,
    ) -> Result<TokenPage<Job>> {
        let (trouble, rows) = self.ask_for_jobs(cx, filter, losses).await?;
        let (mut rows, next) = MemoryVendor::token_page(trouble, rows, token.as_deref(), size)?;
        losses.make(trouble, &mut rows, |job| job.id = JobId::from(""));
        self.tell_row("ListJobs", trouble);
        let row = |job: Job| Some(job).filter(|job| !job.id.as_str().is_empty());
        let rows = rows.into_iter().map(row).collect();
        Ok(TokenPage { rows, next })
    }

    /// As [`MemoryProvider::ask_for_jobs`].
    async fn ask_for_tasks(
        &self,
        cx: &Context,
        request: &ListTasks,
    ) -> Result<(Trouble, Vec<Task>)> {
        let newer = newer_task_filter(&self.capability, &request.filter);
        let trouble = self.send_with(cx, "ListTasks", newer).await?;
        is_list(trouble)?;
        let job = self.answered(&request.job_id);
        if !self.vague_lists && job.is_none() {
            return Err(Error::new(ErrorKind::NotFound, "there is no such job"));
        }
        let tasks = job.map(|job| self.vendor.tasks(&job.id));
        let mut rows = tasks.unwrap_or_default().to_vec();
        if let Some(first) = rows.first_mut() {
            self.tell("ListTasks", spoil_task(trouble, first));
        }
        if trouble == Trouble::VagueText {
            let failed = rows.iter_mut().filter(|task| task.failure.is_some());
            failed.for_each(|task| task.failure = Some(Failure::Other));
        }
        if !self.capability.fields.task.contains(&"failure") {
            rows.iter_mut().for_each(|task| task.failure = None);
        }
        self.vendor.note_tasks(&request.filter);
        rows.iter_mut().for_each(|task| self.name_device(task));
        rows.retain(|task| MemoryVendor::task_matches(&request.filter, task));
        leave_out_of_tasks(trouble, &mut rows);
        self.order(trouble, &mut rows);
        Ok((trouble, rows))
    }

    async fn fetch_tasks(
        &self,
        cx: &Context,
        request: &ListTasks,
        window: Window,
        losses: &Losses,
    ) -> Result<Fetched<Task>> {
        let (trouble, rows) = self.ask_for_tasks(cx, request).await?;
        let mut fetched = self.vendor.page(trouble, rows, window);
        losses.make(trouble, &mut fetched.rows, |task| {
            task.id = TaskId::from("")
        });
        self.tell_row("ListTasks", trouble);
        self.tell_page("ListTasks", window, &fetched);
        Ok(fetched)
    }

    async fn fetch_tasks_by_token(
        &self,
        cx: &Context,
        request: &ListTasks,
        (token, size): (Option<String>, u32),
        losses: &Losses,
    ) -> Result<TokenPage<Task>> {
        let (trouble, rows) = self.ask_for_tasks(cx, request).await?;
        let (mut rows, next) = MemoryVendor::token_page(trouble, rows, token.as_deref(), size)?;
        losses.make(trouble, &mut rows, |task| task.id = TaskId::from(""));
        self.tell_row("ListTasks", trouble);
        let row = |task: Task| Some(task).filter(|task| !task.id.as_str().is_empty());
        let rows = rows.into_iter().map(row).collect();
        Ok(TokenPage { rows, next })
    }

    async fn jobs_page(&self, cx: &Context, request: &ListJobs, from: From) -> Result<Page<Job>> {
        let (filter, losses) = (&request.filter, &Losses::default());
        match from {
            From::Token(from) => {
                let pager = self.token_pager(from, request.page_size).run(
                    |_, token, size| {
                        Box::pin(self.fetch_jobs_by_token(cx, filter, (token, size), losses))
                    },
                    |job| job.id.as_str(),
                    |_, _| true,
                );
                losses.token_page('j', pager.await?)
            }
            From::Number(from) => {
                let pager = self.pager(from, request.page_size).run(
                    |_, window| Box::pin(self.fetch_jobs(cx, filter, window, losses)),
                    |job| job.id.as_str(),
                    |job| !job.id.as_str().is_empty(),
                );
                Ok(losses.page('j', pager.await?))
            }
        }
    }

    async fn tasks_page(
        &self,
        cx: &Context,
        request: &ListTasks,
        from: From,
    ) -> Result<Page<Task>> {
        let losses = &Losses::default();
        // The lookup behind an empty first page is one of the page's calls.
        let kept = u32::from(self.vague_lists && request.cursor.is_none());
        match from {
            From::Token(from) => {
                let mut pager = self.token_pager(from, request.page_size);
                pager.max_calls = pager.max_calls.saturating_sub(kept);
                let pager = pager.run(
                    |_, token, size| {
                        Box::pin(self.fetch_tasks_by_token(cx, request, (token, size), losses))
                    },
                    |task| task.id.as_str(),
                    |_, _| true,
                );
                losses.token_page('t', pager.await?)
            }
            From::Number(from) => {
                let mut pager = self.pager(from, request.page_size);
                pager.max_calls = pager.max_calls.saturating_sub(kept);
                let pager = pager.run(
                    |_, window| Box::pin(self.fetch_tasks(cx, request, window, losses)),
                    |task| task.id.as_str(),
                    |task| !task.id.as_str().is_empty(),
                );
                Ok(losses.page('t', pager.await?))
            }
        }
    }

    /// Takes the names of the package out where the vendor does not report them, and fills in what stands at the configured places.
    fn name_package(&self, job: &mut Job) {
        let reported = self.capability.fields.job.contains(&"package.version");
        if let Some(package) = job.package.as_mut().filter(|_| !reported) {
            (package.name, package.version) = (None, None);
        }
        let row = json!({"id": job.id.as_str()});
        self.deps.fields.read(RowKind::Job, &row).fill_job(job);
    }

    /// As [`MemoryProvider::name_package`], for the name of a device.
    fn name_device(&self, task: &mut Task) {
        if !self.capability.fields.task.contains(&"device.name") {
            task.device.name = None;
        }
        let row = json!({"id": task.id.as_str()});
        self.deps.fields.read(RowKind::Task, &row).fill_task(task);
    }

    /// Returns the job that the vendor answers with, if it is the one that was asked for.
    fn answered(&self, id: &JobId) -> Option<&Job> {
        let job = self.vendor.find(id, self.aliases.are_taken())?;
        Some(job).filter(|job| self.aliases.believes(id, &job.id))
    }

    /// Puts rows into the order of the vendor's answer.
    fn order<T>(&self, trouble: Trouble, rows: &mut [T]) {
        let other = self.vendor.calls() % 2 == 1;
        if trouble == Trouble::UnstableOrder && !self.asks_for_order && other {
            rows.reverse();
        }
    }

    /// Reads where a list goes on.
    fn from(&self, list: char, cursor: Option<&Cursor>) -> Result<From> {
        match self.by_tokens {
            true => TokenPosition::read(cursor, list, 1).map(From::Token),
            false => position(list, cursor).map(From::Number),
        }
    }
}

#[async_trait::async_trait]
impl Provider for MemoryProvider {
    fn name(&self) -> &ProviderName {
        &self.name
    }

    fn vendor(&self) -> &'static str {
        VENDOR
    }

    fn endpoint(&self) -> &str {
        "memory://vendor"
    }

    fn capability(&self) -> &Capability {
        &self.capability
    }

    async fn check(&self, cx: &Context) -> Result<()> {
        self.send(cx, "Check").await.map(drop)
    }

    fn jobs(&self) -> Option<&dyn JobReader> {
        Some(self)
    }
}

#[async_trait::async_trait]
impl JobReader for MemoryProvider {
    async fn list_jobs(&self, cx: &Context, request: ListJobs) -> Result<Page<Job>> {
        let filter = &request.filter;
        let from = self.from('j', request.cursor.as_ref())?;
        self.capability.check_jobs(filter)?;
        let used = |status: &JobStatus| {
            *status == JobStatus::Unknown || MemoryVendor::JOB_STATUSES.contains(status)
        };
        if !filter.status.is_empty() && !filter.status.iter().any(used) {
            return Ok(Page::empty());
        }
        self.jobs_page(cx, &request, from).await
    }

    async fn get_job(&self, cx: &Context, request: GetJob) -> Result<Option<Job>> {
        if self.aliases.refuses(&request.job_id) {
            return Ok(None);
        }
        let trouble = self.send(cx, "GetJob").await?;
        let mut job = self.answered(&request.job_id).cloned();
        if trouble == Trouble::AnotherJob {
            let mut others = self.vendor.jobs().iter();
            job = others.find(|job| job.id != request.job_id).cloned();
        }
        if let Some(job) = &mut job {
            self.tell("GetJob", spoil_job(trouble, job));
            keep_running(trouble, job);
            self.name_package(job);
            leave_out_of_jobs(trouble, Place::Job, std::slice::from_mut(job));
            about_the_same("GetJob", &request.job_id, &job.id)?;
        }
        Ok(job)
    }

    async fn job_stats(&self, cx: &Context, request: GetJob) -> Result<Option<JobStats>> {
        if self.aliases.refuses(&request.job_id) {
            return Ok(None);
        }
        let trouble = self.send(cx, "GetStats").await?;
        let Some(job) = self.answered(&request.job_id) else {
            return Ok(None);
        };
        let mut job = job.clone();
        keep_running(trouble, &mut job);
        let tasks = self.vendor.tasks(&job.id);
        let count = |status: TaskStatus| {
            let matching = tasks.iter().filter(|task| task.status == status);
            let count = matching.count() as u64;
            // A task that moves while it is counted.
            Some(match (trouble, status) {
                (Trouble::CountedTwice, TaskStatus::Succeeded) => count + 1,
                (Trouble::NotCounted | Trouble::NeverCounted, TaskStatus::Succeeded) => {
                    count.saturating_sub(1)
                }
                _ => count,
            })
        };
        let timed_out = tasks
            .iter()
            .filter(|task| task.failure == Some(Failure::Timeout));
        // A count that an older server does not have is left out; the rest of its answer is true.
        let counts_timeouts = self.version == ServerVersion::Two && trouble != Trouble::OlderServer;
        let mut stats = JobStats {
            not_started: Some(self.vendor.not_started(&job)),
            total: Some(tasks.len() as u64),
            pending: count(TaskStatus::Pending),
            in_progress: count(TaskStatus::InProgress),
            succeeded: count(TaskStatus::Succeeded),
            failed: count(TaskStatus::Failed),
            canceled: count(TaskStatus::Canceled),
            skipped: None,
            unknown: count(TaskStatus::Unknown),
            timed_out: counts_timeouts.then(|| timed_out.count() as u64),
            outcome: None,
        };
        if stats.total.is_some_and(|total| total < stats.counted()) {
            stats.total = None;
        }
        stats.outcome = stats.proven_outcome(job.status);
        Ok(Some(stats))
    }

    async fn list_tasks(&self, cx: &Context, request: ListTasks) -> Result<Option<Page<Task>>> {
        let filter = &request.filter;
        let from = self.from('t', request.cursor.as_ref())?;
        self.capability.check_tasks(filter)?;
        let used = |status: &TaskStatus| {
            *status == TaskStatus::Unknown || MemoryVendor::TASK_STATUSES.contains(status)
        };
        let staged = |stage: &TaskStage| MemoryVendor::TASK_STAGES.contains(stage);
        let no_status = !filter.status.is_empty() && !filter.status.iter().any(used);
        let no_stage = !filter.stage.is_empty() && !filter.stage.iter().any(staged);
        if no_status || no_stage {
            return Ok(Some(Page::empty()));
        }
        if self.aliases.refuses(&request.job_id) {
            return Ok(None);
        }
        match self.tasks_page(cx, &request, from).await {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Ok(page) if self.vague_lists && request.cursor.is_none() && page.items.is_empty() => {
                let job_id = request.job_id;
                let job = self.get_job(cx, GetJob { job_id }).await?;
                Ok(job.map(|_| page))
            }
            page => page.map(Some),
        }
    }
}
