//! The suite catches what it is there for: each flaw, put around the reference provider, fails the case that is meant for it.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ota_conformance::memory::{MemoryProvider, SECRET, full_capability, small_capability};
use ota_conformance::{CASES, Case, Subject, Trouble, run_all, run_case};
use ota_core::capability::Capability;
use ota_core::context::{Context, Priority};
use ota_core::id::{JobId, ProviderName, TaskId};
use ota_core::job::{Detail, Job, JobOutcome, JobStats, JobStatus};
use ota_core::paging::Position;
use ota_core::provider::{
    Cursor, GetJob, JobReader, ListJobs, ListTasks, Page, Provider, TaskFilter,
};
use ota_core::task::{Failure, Task, TaskStatus};
use ota_core::{Error, ErrorKind, Result};

use crate::memory::subject_with;
use crate::rig::Through;

mod caught;
mod partial;
mod unwritten;

use caught::CAUGHT;
pub(crate) use unwritten::Unwritten;

/// What is wrong with a provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flaw {
    AcceptsAnyCursor,
    AcceptsTheOtherListsCursor,
    AnswersAnotherJob,
    AnswersAnUnsupportedFilter,
    AnswersWithoutWhatAFilterNeeds,
    AsksBeforeItRefuses,
    AsksForUnusedWords,
    AsksWithARefusedCredential,
    BelievesRepeatedPages,
    BlamesTheCaller,
    BlocksBehindABrokenPart,
    CallsTheRestUnknown,
    BelievesAnyDate,
    BelievesEveryWait,
    BlamesTheCallerForADevice,
    BuildsEveryRow,
    CannotUnpack,
    CapabilityBeforeCursor,
    ChangesItsCapability,
    CallsSilenceUnavailable,
    CheckSendsNothing,
    CheckSendsTwo,
    CountsWrongTotal,
    CursorAfterTheEnd,
    CursorForever,
    DropsRowAtPageBorder,
    DropsRowsBeforeAnError,
    CountsRepeatedRows,
    CountsTargetsAsTasks,
    DropsOddRows,
    EmptyVendorWord,
    EndsInSilence,
    FailsOnUnknownJob,
    FillsUndeclaredFields,
    FindsHostileIds,
    ForgetsDetail,
    GuessesFailure,
    GuessesOutcome,
    HidesBrokenParts,
    HidesLostRows,
    HidesWhatAFilterNeeds,
    IgnoresGarbage,
    KeepsItsFirstCredential,
    IgnoresDevice,
    IgnoresKind,
    IgnoresStatus,
    IgnoresTheDeadline,
    IgnoresTheGate,
    LeaksInDebug,
    LeaksInEndpoint,
    LeaksInError,
    KeepsATotalThatDoesNotFit,
    LongPage,
    LosesTaskOfPage,
    LosesTheCursorOfAnError,
    MovesStatsTotal,
    NeverRecovers,
    NamesNoNeeds,
    None,
    OtherProviderName,
    PassesARefusalOver,
    ProvesByPresentCounts,
    ReadsTheFirstMemberOnly,
    RepeatsRow,
    RepeatsWholeTexts,
    ShortPages,
    SillyCapability,
    SpendsTooMuch,
    StatsCostMore,
    StaysBusy,
    SwallowsDrift,
    SwapsOutcome,
    TakesACappedPageForTheLast,
    TakesAnythingForAnEmptyList,
    TakesAProxyForTheVendor,
    TellsWrongKind,
    UnknownIsDropped,
    UnpacksWithoutEnd,
    WrongFailure,
    WrongJobInRow,
    WrongStats,
}

/// The reference provider with a flaw.
struct Flawed {
    inner: MemoryProvider,
    flaw: Flaw,
    /// How often the capability was asked for, and errors met.
    counted: AtomicU64,
    busy: AtomicBool,
    /// How the vendor misbehaves.
    trouble: Arc<Mutex<Trouble>>,
    other: Capability,
}

impl std::fmt::Debug for Flawed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let shown = if self.has(Flaw::LeaksInDebug) {
            SECRET
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

    fn trouble(&self) -> Trouble {
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
            Flaw::NamesNoNeeds if error.message().contains("together with") => {
                error.as_kind(ErrorKind::Unsupported, "this filter is not answered alone")
            }
            Flaw::LeaksInError if vendors => error.with_context("signed_with", SECRET),
            Flaw::CallsSilenceUnavailable if error.kind() == ErrorKind::Timeout => {
                Error::new(ErrorKind::Unavailable, "the vendor is silent")
            }
            Flaw::BelievesEveryWait if error.kind() == ErrorKind::Throttled => {
                error.with_retry_after(std::time::Duration::from_secs(u64::MAX))
            }
            Flaw::TellsWrongKind if vendors => Error::new(ErrorKind::Unexpected, "something broke"),
            _ => error,
        }
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
            Flaw::CountsWrongTotal => page.total = page.total.map(|total| total + 1),
            Flaw::CursorForever => {
                let last = page
                    .next
                    .take()
                    .unwrap_or_else(|| Cursor("j0.0".to_owned()));
                page.next = Some(last);
            }
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
            Flaw::TakesACappedPageForTheLast
                if self.inner.memory_vendor().trouble() == Trouble::CapPageSize =>
            {
                page.next = None;
            }
            _ => {}
        }
    }
}

/// Turns a cursor that should be refused into none, if the flaw is that it is not.
fn cursor(flaw: Flaw, list: char, cursor: Option<Cursor>) -> Option<Cursor> {
    let text = cursor?.0;
    let good = text
        .strip_prefix(list)
        .is_some_and(|rest| Position::decode(rest).is_some());
    match flaw {
        Flaw::AcceptsAnyCursor if !good => None,
        Flaw::AcceptsTheOtherListsCursor if !good && text.get(1..).is_some() => {
            let rest = &text[1..];
            match Position::decode(rest) {
                Some(_) => Some(Cursor(format!("{list}{rest}"))),
                None => Some(Cursor(text)),
            }
        }
        // Without its mark a page that comes again is not known.
        Flaw::BelievesRepeatedPages => {
            let unmarked = text.split('~').next().unwrap_or_default();
            Some(Cursor(unmarked.to_owned()))
        }
        _ => Some(Cursor(text)),
    }
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
        if self.has(Flaw::SillyCapability) || self.has(Flaw::HidesWhatAFilterNeeds) {
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
            Flaw::AnswersAnUnsupportedFilter => request.filter.outcome.clear(),
            Flaw::AnswersWithoutWhatAFilterNeeds if request.filter.device_type.is_none() => {
                request.filter.model = None;
            }
            Flaw::IgnoresStatus => request.filter.status.clear(),
            Flaw::IgnoresKind => request.filter.kind = None,
            Flaw::ShortPages if size > 1 => request.page_size = size.div_ceil(2),
            Flaw::CursorAfterTheEnd if request.cursor == Some(Cursor("end".to_owned())) => {
                return Ok(Page::empty());
            }
            _ => {}
        }
        request.cursor = cursor(self.flaw, 'j', request.cursor);
        let page = self.reader().list_jobs(&self.context(cx), request).await;
        let page = self.partial(page);
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
                Flaw::WrongJobInRow => job.target.model = Some("another".to_owned()),
                _ => {}
            }
        }
        match self.flaw {
            Flaw::UnknownIsDropped => page.items.retain(|job| job.status != JobStatus::Unknown),
            Flaw::DropsOddRows => page.items.retain(|job| job.vendor.fields.is_empty()),
            _ => {}
        }
        self.page(&mut page, first, size);
        Ok(page)
    }

    async fn get_job(&self, cx: &Context, mut request: GetJob) -> Result<Option<Job>> {
        self.stuck()?;
        match self.flaw {
            Flaw::AnswersAnotherJob if request.job_id.as_str().contains("404") => {
                request.job_id = JobId::from("job-1");
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
            self.inner.check(cx).await?;
        }
        let stats = self.reader().job_stats(&self.context(cx), request).await;
        let mut stats = stats.map_err(|error| self.error(error))?;
        if let Some(stats) = &mut stats {
            match self.flaw {
                Flaw::CountsTargetsAsTasks => {
                    let targets = stats.not_started.unwrap_or(0);
                    stats.total = stats.total.map(|total| total + targets);
                }
                Flaw::WrongStats => stats.succeeded = stats.failed,
                Flaw::CallsTheRestUnknown => {
                    let rest = stats.total.map(|total| total - stats.counted());
                    stats.unknown = stats.unknown.zip(rest).map(|(known, rest)| known + rest);
                }
                Flaw::KeepsATotalThatDoesNotFit if stats.total.is_none() => {
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
            Flaw::AnswersAnUnsupportedFilter => request.filter.device_names.clear(),
            Flaw::IgnoresStatus => request.filter.status.clear(),
            Flaw::IgnoresDevice => {
                request.filter = TaskFilter {
                    status: request.filter.status,
                    ..TaskFilter::default()
                };
            }
            _ => {}
        }
        request.cursor = cursor(self.flaw, 't', request.cursor);
        let page = self.reader().list_tasks(&self.context(cx), request).await;
        let page = match page.transpose() {
            Some(page) => Some(self.silenced(page)).transpose(),
            None => Ok(None),
        };
        let mut page = page.map_err(|error| self.error(error))?;
        if let Some(page) = &mut page {
            for task in &mut page.items {
                match self.flaw {
                    Flaw::GuessesFailure if self.trouble() == Trouble::VagueText => {
                        task.failure = task.failure.map(|_| Failure::Storage);
                    }
                    Flaw::WrongFailure => task.failure = Some(Failure::Other),
                    Flaw::OtherProviderName => task.provider = ProviderName::from("another"),
                    _ => {}
                }
            }
            match self.flaw {
                Flaw::LosesTaskOfPage => page
                    .items
                    .retain(|task| task.id != TaskId::from("task-1-7")),
                Flaw::UnknownIsDropped => {
                    page.items.retain(|task| task.status != TaskStatus::Unknown)
                }
                Flaw::DropsOddRows => page.items.retain(|task| task.vendor.fields.is_empty()),
                _ => {}
            }
            if !self.has(Flaw::CursorForever) && !self.has(Flaw::CursorAfterTheEnd) {
                self.page(page, first, size);
            }
        }
        Ok(page)
    }
}

fn flawed(flaw: Flaw) -> Subject {
    let small = matches!(
        flaw,
        Flaw::AnswersAnUnsupportedFilter
            | Flaw::AnswersWithoutWhatAFilterNeeds
            | Flaw::AsksBeforeItRefuses
            | Flaw::CapabilityBeforeCursor
            | Flaw::HidesWhatAFilterNeeds
            | Flaw::NamesNoNeeds
    );
    let capability = if small {
        small_capability()
    } else {
        full_capability()
    };
    let mut capability = capability;
    if flaw == Flaw::FillsUndeclaredFields {
        capability.fields.task = &["failure"];
    }
    let mut other = small_capability();
    if flaw == Flaw::SillyCapability {
        other.max_page_size = 0;
    }
    if flaw == Flaw::HidesWhatAFilterNeeds {
        other.job_filter_needs = &[];
    }
    let through = Through::Guard;
    let trouble = Arc::new(Mutex::new(Trouble::None));
    let made = Arc::clone(&trouble);
    let wrap = move |inner| {
        Arc::new(Flawed {
            inner,
            flaw,
            counted: AtomicU64::new(0),
            busy: AtomicBool::new(false),
            trouble,
            other,
        }) as Arc<dyn Provider>
    };
    let mut subject = subject_with("flawed", capability, through, wrap, |renewed| match flaw {
        Flaw::AsksWithARefusedCredential => renewed.with_pause(Duration::ZERO),
        _ => renewed,
    });
    if let Some(make) = subject.make_trouble.take() {
        subject.make_trouble = Some(Box::new(move |trouble| {
            *made.lock().unwrap() = trouble;
            make(trouble)
        }));
    }
    if flaw == Flaw::KeepsItsFirstCredential
        && let Some(renewal) = &mut subject.renewal
    {
        renewal.at_provider = Box::new(|_| {});
    }
    if flaw == Flaw::SwallowsDrift {
        subject.drift = Some(Box::new(|| 0));
    }
    subject
}

pub(crate) async fn every_flaw_is_caught_by_its_cases() {
    let mut missed = Vec::new();
    for (flaw, rules) in CAUGHT {
        for rule in *rules {
            let mut caught = false;
            let meant = |case: &&Case| case.rule == *rule || case.name == *rule;
            for case in CASES.iter().filter(meant) {
                caught |= run_case(*case, &flawed(*flaw)).await.is_err();
            }
            if !caught {
                missed.push(format!("{flaw:?} by {rule}"));
            }
        }
    }
    assert!(missed.is_empty(), "not caught: {missed:#?}");
}

/// A flaw that is listed with names of cases is so small that nothing else sees it.
pub(crate) async fn a_flaw_of_one_case_fails_no_other() {
    for (flaw, names) in CAUGHT {
        if !names.iter().all(|name| name.contains('_')) {
            continue;
        }
        let report = run_all(&flawed(*flaw)).await;
        let failed: Vec<&str> = report.failures().map(|line| line.case.name).collect();
        assert_eq!(failed, *names, "{flaw:?}");
    }
}

pub(crate) async fn every_rule_with_a_case_has_a_flaw() {
    for case in CASES {
        let named = |rules: &[&str]| rules.contains(&case.rule) || rules.contains(&case.name);
        let has_one = CAUGHT.iter().any(|(_, rules)| named(rules));
        assert!(has_one, "nothing shows that {case:?} can fail");
    }
}

/// Without its flaw the wrapper is a good provider, so it is the flaw that is caught.
pub(crate) async fn no_flaw_no_failure() {
    let report = run_all(&flawed(Flaw::None)).await;
    assert!(report.is_ok(), "{report}");
}

/// A subject that gives nothing to look at fails instead of passing.
pub(crate) async fn a_subject_without_examples_fails() {
    let mut subject = flawed(Flaw::None);
    subject.truth.job_examples.clear();
    subject.truth.jobs.clear();
    for rule in ["C21", "C42", "C60", "C62"] {
        let case = CASES.iter().find(|case| case.rule == rule).unwrap();
        assert!(run_case(*case, &subject).await.is_err(), "{case:?}");
    }
}

pub(crate) async fn a_panic_is_a_failure() {
    let case = Case {
        rule: "C00",
        name: "panics",
        run: |_| {
            Box::pin(async {
                // Without the hook, which would print it.
                std::panic::resume_unwind(Box::new("on purpose"))
            })
        },
    };
    let verdict = run_case(case, &flawed(Flaw::None)).await;
    assert_eq!(verdict, Err("it panicked".to_owned()));
}
