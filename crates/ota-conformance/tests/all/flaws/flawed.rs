//! A provider with a flaw around it.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use ota_conformance::{Subject, Trouble};
use ota_core::capability::Capability;
use ota_core::context::{Context, Priority};
use ota_core::id::{DeviceId, DeviceName, JobId, PackageId, ProductId, ProviderName, TaskId};
use ota_core::job::{Detail, Job, JobOutcome, JobStats, JobStatus};
use ota_core::provider::{
    Cursor, GetJob, JobFilter, JobReader, ListJobs, ListTasks, Page, Provider, TaskFilter,
};
use ota_core::task::{Failure, Task, TaskStatus};
use ota_core::vendor::VendorDetail;
use ota_core::{Error, ErrorKind, Result};

use super::flaw::Flaw;

/// A provider with a flaw.
pub(super) struct Flawed {
    inner: Arc<dyn Provider>,
    pub(super) flaw: Flaw,
    /// What the flaw is about: a secret, jobs, a task.
    secret: String,
    jobs: Vec<JobId>,
    unknown_job: JobId,
    task: TaskId,
    /// The first cursor of each list, and all of them.
    first_cursor: Mutex<HashMap<char, Cursor>>,
    cursors: Mutex<HashSet<(char, String)>>,
    turns: AtomicU64,
    /// How often the capability was asked for, and errors met.
    counted: AtomicU64,
    busy: AtomicBool,
    /// Whether the server turned out to be older than the setting says.
    met_older: AtomicBool,
    /// How the vendor misbehaves.
    trouble: Arc<Mutex<Trouble>>,
    other: Capability,
}

impl std::fmt::Debug for Flawed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let shown = if self.has(Flaw::LeaksInDebug) {
            self.secret.as_str()
        } else {
            "?"
        };
        write!(f, "Flawed {{ secret: {shown} }}")
    }
}

impl Flawed {
    fn has(&self, flaw: Flaw) -> bool {
        self.flaw == flaw
    }

    pub(super) fn trouble(&self) -> Trouble {
        *self.trouble.lock().unwrap()
    }

    fn reader(&self) -> &dyn JobReader {
        self.inner.jobs().unwrap()
    }

    /// The context that the inner provider sees.
    fn context(&self, cx: &Context) -> Context {
        if self.has(Flaw::IgnoresTheDeadline) {
            let later = cx.deadline + std::time::Duration::from_secs(60);
            return Context::new("flawed", later, Priority::Interactive);
        }
        if self.has(Flaw::IgnoresTheGate) {
            return Context::new("flawed", cx.deadline, Priority::Interactive);
        }
        cx.clone()
    }

    fn error(&self, error: Error) -> Error {
        let vendors = error.vendor().is_some();
        if vendors {
            self.counted.fetch_add(1, Ordering::Relaxed);
        }
        match self.flaw {
            Flaw::BlamesTheCaller if error.kind() == ErrorKind::Rejected => {
                error.as_kind(ErrorKind::InvalidArgument, "an argument is wrong")
            }
            Flaw::BlamesTheCallerForADevice if self.trouble() == Trouble::BadDevice => {
                error.as_kind(ErrorKind::InvalidArgument, "a device is wrong")
            }
            Flaw::RepeatsWholeTexts if self.trouble() == Trouble::LongRefusal => {
                error.with_context("text", "a:// ".repeat(200_000))
            }
            Flaw::ShowsWhatWasSent if self.trouble() == Trouble::EchoedRequest => {
                error.with_context("sent", self.secret.clone())
            }
            Flaw::NamesNoNeeds if error.message().contains("together with") => {
                error.as_kind(ErrorKind::Unsupported, "this filter is not answered alone")
            }
            Flaw::LeaksInError if vendors => error.with_context("signed_with", self.secret.clone()),
            Flaw::CallsSilenceUnavailable if error.kind() == ErrorKind::Timeout => {
                Error::new(ErrorKind::Unavailable, "the vendor is silent")
            }
            Flaw::BelievesEveryWait if error.kind() == ErrorKind::Throttled => {
                error.with_retry_after(std::time::Duration::from_secs(u64::MAX))
            }
            Flaw::CallsAnOlderServerBroken if self.is_older(&error) => {
                error.as_kind(ErrorKind::Unavailable, "the vendor is out of order")
            }
            Flaw::TellsWrongKind if vendors => Error::new(ErrorKind::Unexpected, "something broke"),
            _ => error,
        }
    }

    /// Whether an error says that the server is older than the setting says.
    fn is_older(&self, error: &Error) -> bool {
        self.trouble() == Trouble::OlderServer && error.kind() == ErrorKind::Unsupported
    }

    /// A job that was not asked for.
    fn other_job(&self) -> Job {
        let vendor = VendorDetail {
            name: self.inner.vendor(),
            status: None,
            fields: Default::default(),
        };
        let (name, id) = (self.inner.name().clone(), self.unknown_job.clone());
        Job::new(name, id, JobStatus::Pending, Detail::Full, vendor)
    }

    fn stuck(&self) -> Result<()> {
        let unread = match self.flaw {
            Flaw::CannotUnpack => Trouble::Gzip,
            Flaw::ReadsTheFirstMemberOnly => Trouble::GzipMembers,
            _ => Trouble::None,
        };
        if unread != Trouble::None && self.trouble() == unread {
            return Err(Error::new(ErrorKind::Protocol, "it is not JSON"));
        }
        if self.has(Flaw::NeverRecovers) && self.counted.load(Ordering::Relaxed) > 0 {
            return Err(Error::new(ErrorKind::Unavailable, "still broken"));
        }
        Ok(())
    }

    /// Whether an answer is read that should be refused.
    fn reads_too_much(&self) -> bool {
        let trouble = match self.flaw {
            Flaw::IgnoresGarbage => Trouble::GzipGarbage,
            Flaw::UnpacksWithoutEnd => Trouble::GzipBomb,
            _ => return false,
        };
        self.trouble() == trouble
    }

    /// Ends a list where the vendor contradicts itself, if the flaw is that nothing says so.
    fn silenced<T>(&self, page: Result<Page<T>>) -> Result<Page<T>> {
        match page {
            Err(error)
                if self.has(Flaw::TakesAnOlderServerForAnEmptyList) && self.is_older(&error) =>
            {
                Ok(Page::empty())
            }
            Err(error)
                if self.has(Flaw::BelievesRepeatedPages)
                    && self.trouble() == Trouble::RepeatPage
                    && error.kind() == ErrorKind::Protocol =>
            {
                Ok(Page::empty())
            }
            Ok(page)
                if self.has(Flaw::DropsRowsThatMoved)
                    && self.trouble() == Trouble::MovedPages
                    && page.next.is_some() =>
            {
                Err(Error::new(ErrorKind::Protocol, "the pages do not fit"))
            }
            Err(error)
                if self.has(Flaw::EndsInSilence)
                    && error.kind() == ErrorKind::Protocol
                    && error.vendor().is_none() =>
            {
                Ok(Page::empty())
            }
            page => page,
        }
    }

    /// What is wrong with any page. `at` is where it starts.
    fn page<T: Clone>(&self, page: &mut Page<T>, first: bool, size: u32) {
        match self.flaw {
            Flaw::DropsRowsInAnotherOrder if self.trouble() == Trouble::UnstableOrder => {
                page.items.pop();
            }
            Flaw::OrdersRowsAnew if self.turns.fetch_add(1, Ordering::Relaxed) % 2 == 1 => {
                page.items.reverse();
            }
            Flaw::LosesRowsWithNull if self.trouble() == Trouble::NullObjectRow => {
                page.items = page.items.split_off(page.items.len().min(1));
            }
            Flaw::DropsRowAtPageBorder if page.next.is_some() => drop(page.items.pop()),
            Flaw::RepeatsRow => {
                if let (Some(row), true) = (page.items.first().cloned(), page.items.len() > 1) {
                    page.items.pop();
                    page.items.push(row);
                }
            }
            Flaw::LongPage => {
                if let (Some(row), Some(_)) = (page.items.last().cloned(), &page.next) {
                    page.items.push(row);
                }
            }
            Flaw::CountsThePage => page.total = page.total.map(|_| page.items.len() as u64),
            Flaw::CountsWrongTotal => page.total = page.total.map(|total| total + 1),
            Flaw::CursorAfterTheEnd if page.next.is_none() && !page.items.is_empty() => {
                page.next = Some(Cursor("end".to_owned()));
            }
            Flaw::ShortPages if first && size > 1 => page.items.truncate(size as usize / 2),
            Flaw::EndsInSilence => page.truncated = false,
            Flaw::HidesLostRows if matches!(self.trouble(), Trouble::NoRow(_)) => {
                page.truncated = false;
            }
            Flaw::CountsRepeatedRows if self.trouble() == Trouble::RowTwice => {
                page.total = Some(page.items.len() as u64 + 1);
            }
            Flaw::TakesACappedPageForTheLast if self.trouble() == Trouble::CapPageSize => {
                page.next = None;
            }
            _ => {}
        }
    }
}

impl Flawed {
    /// Whether a cursor that the provider refuses is taken for none.
    fn accepts(&self, list: char, given: Option<&Cursor>, error: Option<&Error>) -> bool {
        let Some(cursor) = given.filter(|_| error.is_some_and(Error::is_invalid_cursor)) else {
            return false;
        };
        match self.flaw {
            Flaw::AcceptsAnyCursor => true,
            Flaw::AcceptsTheOtherListsCursor => {
                let cursors = self.cursors.lock().unwrap();
                let mut others = cursors.iter().filter(|(of, _)| *of != list);
                others.any(|(_, text)| *text == cursor.0)
            }
            _ => false,
        }
    }

    /// Asks again what was refused.
    async fn repeat(&self, cx: &Context, error: Option<&Error>) {
        let older = error.is_some_and(|error| self.is_older(error));
        if self.has(Flaw::AsksAnOlderServerAgain) && older {
            let _refused_again = self.inner.check(cx).await;
        }
        if older {
            self.met_older.store(true, Ordering::Relaxed);
        }
        let refused = error.is_some_and(|error| error.kind() == ErrorKind::Rejected);
        if self.has(Flaw::RepeatsARefusal) && refused && self.trouble() == Trouble::BadArgument {
            let _refused_again = self.inner.check(cx).await;
        }
    }

    /// Notes where a list goes on, and lets one that has ended go on if that is the flaw.
    fn note_cursor<T>(&self, list: char, page: &mut Page<T>) {
        let mut first = self.first_cursor.lock().unwrap();
        match &page.next {
            Some(next) => {
                let mut cursors = self.cursors.lock().unwrap();
                cursors.insert((list, next.0.clone()));
                first.entry(list).or_insert_with(|| next.clone());
            }
            None if self.has(Flaw::CursorForever) && list == 'j' => {
                page.next = first.get(&list).cloned();
            }
            None => {}
        }
    }
}

/// An identifier as a vendor reads it that takes it for a number, or knows no case.
fn plain(id: &str) -> String {
    id.trim_start_matches(['0', '+', ' ']).to_ascii_lowercase()
}

/// A value as far as a careless query understands it.
fn cut(value: &str) -> Option<String> {
    let special = ['"', '\'', '*', '%', ',', '#', ';', '\\', '+'];
    let value = value.trim_matches(special);
    let value = value.split(special).next().unwrap_or_default();
    (!value.is_empty()).then(|| value.to_owned())
}

fn cut_jobs(filter: &mut JobFilter) {
    fn id<T: From<String>>(one: &mut Option<T>, text: impl Fn(&T) -> &str) {
        *one = one.as_ref().and_then(|one| cut(text(one))).map(T::from);
    }
    id(&mut filter.package_id, PackageId::as_str);
    id(&mut filter.product_id, ProductId::as_str);
    id(&mut filter.device_id, DeviceId::as_str);
    id(&mut filter.device_name, DeviceName::as_str);
    for text in [
        &mut filter.device_type,
        &mut filter.model,
        &mut filter.manufacturer,
    ] {
        id(text, String::as_str);
    }
}

fn cut_tasks(filter: &mut TaskFilter) {
    let names = filter.device_names.iter().map(DeviceName::as_str);
    filter.device_names = names.filter_map(cut).map(DeviceName::from).collect();
    let id = filter.device_id.as_ref().map(DeviceId::as_str);
    filter.device_id = id.and_then(cut).map(DeviceId::from);
}

/// Puts a flaw around the provider of a subject.
pub(super) fn plant(mut subject: Subject, flaw: Flaw) -> Subject {
    let mut other = subject.provider.capability().clone();
    match flaw {
        Flaw::SillyCapability => other.max_page_size = 0,
        Flaw::HidesWhatAFilterNeeds => other.job_filter_needs = &[],
        Flaw::FillsUndeclaredFields => other.fields.task = &["device.name", "failure"],
        _ => other.max_page_size -= 1,
    }
    let largest = subject.truth.jobs.iter().max_by_key(|job| job.tasks.len());
    let trouble = Arc::new(Mutex::new(Trouble::None));
    let made = Arc::clone(&trouble);
    subject.provider = Arc::new(Flawed {
        inner: subject.provider,
        flaw,
        secret: subject.secrets.first().cloned().unwrap_or_default(),
        jobs: subject
            .truth
            .jobs
            .iter()
            .map(|job| job.id.clone())
            .collect(),
        unknown_job: subject.truth.unknown_job_id.clone(),
        task: largest
            .and_then(|job| job.tasks.iter().nth(7))
            .unwrap()
            .clone(),
        first_cursor: Mutex::default(),
        cursors: Mutex::default(),
        turns: AtomicU64::new(0),
        counted: AtomicU64::new(0),
        busy: AtomicBool::new(false),
        met_older: AtomicBool::new(false),
        trouble,
        other,
    });
    if let Some(make) = subject.make_trouble.take() {
        subject.make_trouble = Some(Box::new(move |trouble| {
            *made.lock().unwrap() = trouble;
            make(trouble)
        }));
    }
    if let (Flaw::KeepsItsFirstCredential, Some(renewal)) = (flaw, &mut subject.renewal) {
        renewal.at_provider = Box::new(|_| {});
    }
    if flaw == Flaw::IgnoresConfiguredFields {
        subject.configured = Some(Arc::clone(&subject.provider));
    }
    if flaw == Flaw::SwallowsDrift {
        subject.drift = Some(Box::new(|| 0));
    }
    subject
}

#[async_trait::async_trait]
impl Provider for Flawed {
    fn name(&self) -> &ProviderName {
        self.inner.name()
    }

    fn vendor(&self) -> &'static str {
        self.inner.vendor()
    }

    fn endpoint(&self) -> &str {
        if self.has(Flaw::LeaksInEndpoint) {
            return "https://user:password@vendor.example/api?key=value";
        }
        self.inner.endpoint()
    }

    fn capability(&self) -> &Capability {
        let count = self.counted.fetch_add(1, Ordering::Relaxed);
        if self.has(Flaw::ChangesItsCapability) && count % 2 == 1 {
            return &self.other;
        }
        let always = matches!(
            self.flaw,
            Flaw::SillyCapability | Flaw::HidesWhatAFilterNeeds | Flaw::FillsUndeclaredFields
        );
        let learned = self.has(Flaw::LearnsTheServersVersion)
            && self.trouble() == Trouble::OlderServer
            && self.met_older.load(Ordering::Relaxed);
        if always || learned {
            return &self.other;
        }
        self.inner.capability()
    }

    async fn check(&self, cx: &Context) -> Result<()> {
        if self.has(Flaw::CheckSendsNothing) {
            return Ok(());
        }
        self.stuck()?;
        if self.reads_too_much() {
            return Ok(());
        }
        let dated = self.has(Flaw::BelievesAnyDate) && self.trouble() == Trouble::FalseDate;
        // Signed with the wrong time, the call is refused and made once more.
        let signed_wrong =
            self.has(Flaw::BelievesAnyDate) && self.busy.swap(dated, Ordering::Relaxed);
        if self.has(Flaw::CheckSendsTwo) || (signed_wrong && !dated) {
            self.inner.check(cx).await?;
        }
        let cx = self.context(cx);
        self.inner
            .check(&cx)
            .await
            .map_err(|error| self.error(error))
    }

    fn jobs(&self) -> Option<&dyn JobReader> {
        Some(self)
    }
}

#[async_trait::async_trait]
impl JobReader for Flawed {
    async fn list_jobs(&self, cx: &Context, mut request: ListJobs) -> Result<Page<Job>> {
        self.stuck()?;
        let (first, size) = (request.cursor.is_none(), request.page_size);
        match self.flaw {
            Flaw::CapabilityBeforeCursor => self.inner.capability().check_jobs(&request.filter)?,
            Flaw::AsksBeforeItRefuses | Flaw::AsksForUnusedWords => self.inner.check(cx).await?,
            Flaw::SpendsTooMuch => {
                for _ in 0..5 {
                    self.inner.check(cx).await?;
                }
            }
            Flaw::AnswersAnUnsupportedFilter | Flaw::AnswersWithoutWhatAFilterNeeds => {
                let refused = self.inner.capability().check_jobs(&request.filter).err();
                let needs = refused.is_some_and(|error| error.message().contains("together with"));
                let other = self.has(Flaw::AnswersWithoutWhatAFilterNeeds);
                let wrong = self.inner.capability().check_jobs(&request.filter).is_err();
                if wrong && needs == other {
                    request.filter = JobFilter::default();
                }
            }
            Flaw::CutsFilterValues => cut_jobs(&mut request.filter),
            Flaw::IgnoresStatus => request.filter.status.clear(),
            Flaw::IgnoresKind => request.filter.kind = None,
            Flaw::ShortPages if size > 1 => request.page_size = size.div_ceil(2),
            Flaw::CursorAfterTheEnd if request.cursor == Some(Cursor("end".to_owned())) => {
                return Ok(Page::empty());
            }
            _ => {}
        }
        let again = ListJobs {
            cursor: None,
            ..request.clone()
        };
        let given = request.cursor.clone();
        let mut page = self.reader().list_jobs(&self.context(cx), request).await;
        if self.accepts('j', given.as_ref(), page.as_ref().err()) {
            page = self.reader().list_jobs(&self.context(cx), again).await;
        }
        self.repeat(cx, page.as_ref().err()).await;
        let page = self.silenced(self.partial(page));
        let mut page = match page {
            Err(error) if self.has(Flaw::BuildsEveryRow) && error.message().contains("rows") => {
                Page::empty()
            }
            Err(_)
                if self.has(Flaw::TakesAnythingForAnEmptyList)
                    && matches!(self.trouble(), Trouble::NoList(_)) =>
            {
                Page::empty()
            }
            page => page.map_err(|error| self.error(error))?,
        };
        for job in &mut page.items {
            match self.flaw {
                Flaw::OtherProviderName => job.provider = ProviderName::from("another"),
                Flaw::EmptyVendorWord => job.vendor.status = None,
                Flaw::GuessesOutcome => job.outcome = Some(JobOutcome::Succeeded),
                Flaw::WrongJobInRow => {
                    let later = |at| at + std::time::Duration::from_secs(1);
                    job.created_at = job.created_at.map(later);
                }
                Flaw::DropsAField => job.created_at = None,
                Flaw::DropsTheVendorsFields => job.vendor.fields.clear(),
                Flaw::EndsStoppedJobs if job.status == JobStatus::Canceled => {
                    job.outcome = Some(JobOutcome::Succeeded);
                }
                _ => {}
            }
        }
        match self.flaw {
            Flaw::UnknownIsDropped => page.items.retain(|job| job.status != JobStatus::Unknown),
            Flaw::DropsOddRows => page.items.retain(|job| job.vendor.fields.is_empty()),
            _ => {}
        }
        self.page(&mut page, first, size);
        self.note_cursor('j', &mut page);
        Ok(page)
    }

    async fn get_job(&self, cx: &Context, mut request: GetJob) -> Result<Option<Job>> {
        self.stuck()?;
        match self.flaw {
            Flaw::AnswersAnotherJob if request.job_id == self.unknown_job => {
                request.job_id = self.jobs[0].clone();
            }
            Flaw::FindsAliases => {
                let asked = plain(request.job_id.as_str());
                let meant = self.jobs.iter().find(|job| plain(job.as_str()) == asked);
                request.job_id = meant.unwrap_or(&request.job_id).clone();
            }
            Flaw::StaysBusy if self.busy.swap(true, Ordering::Relaxed) => {
                return Err(Error::new(ErrorKind::Unexpected, "busy"));
            }
            Flaw::FindsHostileIds => {
                let real = request.job_id.as_str().trim_end_matches(['/', ' ']);
                request.job_id = JobId::from(real.rsplit('/').next().unwrap_or(real));
            }
            _ => {}
        }
        let job = self.reader().get_job(&self.context(cx), request).await;
        let foreign = matches!(self.trouble(), Trouble::ForeignNotFound(_));
        let job = match job {
            Err(error)
                if self.has(Flaw::BelievesAnotherJob)
                    && self.trouble() == Trouble::AnotherJob
                    && error.kind() == ErrorKind::Protocol =>
            {
                Some(self.other_job())
            }
            Err(_) if foreign && self.has(Flaw::TakesAProxyForTheVendor) => None,
            job => job.map_err(|error| self.error(error))?,
        };
        self.busy.store(false, Ordering::Relaxed);
        match (self.flaw, job) {
            (Flaw::FailsOnUnknownJob, None) => {
                Err(Error::new(ErrorKind::NotFound, "there is no such job"))
            }
            (Flaw::ForgetsDetail, Some(mut job)) => {
                job.detail = Detail::Summary;
                Ok(Some(job))
            }
            (_, job) => Ok(job),
        }
    }

    async fn job_stats(&self, cx: &Context, request: GetJob) -> Result<Option<JobStats>> {
        self.stuck()?;
        if self.has(Flaw::StatsCostMore) {
            for _ in 0..self.inner.capability().job_stats.calls {
                self.inner.check(cx).await?;
            }
        }
        let stats = self.reader().job_stats(&self.context(cx), request).await;
        let mut stats = stats.map_err(|error| self.error(error))?;
        if let Some(stats) = &mut stats {
            match self.flaw {
                Flaw::CountsTargetsAsTasks => {
                    let targets = stats.not_started.unwrap_or(1);
                    stats.total = stats.total.map(|total| total + targets);
                }
                Flaw::WrongStats => stats.succeeded = stats.failed,
                Flaw::CallsTheRestUnknown
                    if matches!(self.trouble(), Trouble::NotCounted | Trouble::NeverCounted) =>
                {
                    stats.unknown = Some(stats.unknown.unwrap_or(0) + 1);
                }
                Flaw::KeepsATotalThatDoesNotFit if self.trouble() == Trouble::CountedTwice => {
                    stats.total = Some(stats.counted() - 1);
                }
                Flaw::SwapsOutcome => {
                    stats.outcome = stats.outcome.map(|_| JobOutcome::Failed);
                }
                Flaw::ProvesByPresentCounts if self.trouble() == Trouble::StillRunning => {
                    stats.outcome = Some(JobOutcome::Partial);
                }
                Flaw::MovesStatsTotal => stats.timed_out = stats.failed.map(|failed| failed + 1),
                _ => {}
            }
        }
        Ok(stats)
    }

    async fn list_tasks(&self, cx: &Context, mut request: ListTasks) -> Result<Option<Page<Task>>> {
        self.stuck()?;
        let (first, size) = (request.cursor.is_none(), request.page_size);
        match self.flaw {
            Flaw::CapabilityBeforeCursor => {
                self.inner.capability().check_tasks(&request.filter)?;
            }
            Flaw::AsksBeforeItRefuses | Flaw::AsksForUnusedWords => self.inner.check(cx).await?,
            Flaw::AnswersAnUnsupportedFilter
                if self
                    .inner
                    .capability()
                    .check_tasks(&request.filter)
                    .is_err() =>
            {
                request.filter = TaskFilter::default();
            }
            Flaw::CursorAfterTheEnd if request.cursor == Some(Cursor("end".to_owned())) => {
                return Ok(Some(Page::empty()));
            }
            Flaw::CutsFilterValues => cut_tasks(&mut request.filter),
            Flaw::IgnoresStatus => request.filter.status.clear(),
            Flaw::IgnoresStage => request.filter.stage.clear(),
            Flaw::IgnoresDevice => {
                request.filter = TaskFilter {
                    status: request.filter.status,
                    stage: request.filter.stage,
                    ..TaskFilter::default()
                };
            }
            _ => {}
        }
        let asked_for_unknown = request.job_id == self.unknown_job;
        let again = ListTasks {
            cursor: None,
            ..request.clone()
        };
        let given = request.cursor.clone();
        let mut page = self.reader().list_tasks(&self.context(cx), request).await;
        if self.accepts('t', given.as_ref(), page.as_ref().err()) {
            page = self.reader().list_tasks(&self.context(cx), again).await;
        }
        self.repeat(cx, page.as_ref().err()).await;
        let page = match page.transpose() {
            Some(Err(error))
                if self.has(Flaw::MissesAJobAtAnOlderServer) && self.is_older(&error) =>
            {
                return Ok(None);
            }
            Some(page) => Some(self.silenced(page)).transpose(),
            None => Ok(None),
        };
        let mut page = page.map_err(|error| self.error(error))?;
        if self.has(Flaw::MissesTheJobOfUnusedWords) && asked_for_unknown {
            return Ok(None);
        }
        if self.has(Flaw::BelievesAnEmptyList) && page.is_none() {
            page = Some(Page::empty());
        }
        if let Some(page) = &mut page {
            for task in &mut page.items {
                match self.flaw {
                    Flaw::GuessesFailure if self.trouble() == Trouble::VagueText => {
                        task.failure = task.failure.map(|_| Failure::Storage);
                    }
                    Flaw::HidesFailures => task.failure = None,
                    Flaw::DropsTheVendorsFields => task.vendor.fields.clear(),
                    Flaw::WrongFailure => task.failure = Some(Failure::Other),
                    Flaw::OtherProviderName => task.provider = ProviderName::from("another"),
                    _ => {}
                }
            }
            match self.flaw {
                Flaw::LosesTaskOfPage => page.items.retain(|task| task.id != self.task),
                Flaw::UnknownIsDropped => {
                    page.items.retain(|task| task.status != TaskStatus::Unknown)
                }
                Flaw::DropsOddRows => page.items.retain(|task| task.vendor.fields.is_empty()),
                _ => {}
            }
            self.page(page, first, size);
            self.note_cursor('t', page);
        }
        Ok(page)
    }
}
