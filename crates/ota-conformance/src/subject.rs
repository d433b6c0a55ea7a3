//! What the suite must know about the provider that it tests.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use ota_core::capability::Capability;
use ota_core::clock::Clock;
use ota_core::configured_fields::{ConfigurableField, ConfiguredFields, FieldPath, RowKind};
use ota_core::context::{Context, Priority};
use ota_core::error::ErrorKind;
use ota_core::id::{JobId, TaskId};
use ota_core::job::{JobOutcome, JobStatus};
use ota_core::provider::{JobFilter, JobReader, Provider, TaskFilter};
use ota_core::task::TaskStatus;

/// How long the context of one request lasts; longer than any case.
const REQUEST_TIME: Duration = Duration::from_secs(60);

/// One provider under test, with the vendor behind it.
///
/// The vendor stands still while the suite runs and has no quota. The cases of one subject run one after the other.
pub struct Subject {
    /// A name for reports.
    pub name: String,
    /// The provider.
    pub provider: Arc<dyn Provider>,
    /// The clock that the provider and its gate were built with.
    pub clock: Arc<dyn Clock>,
    /// Advances that clock, if it does not advance automatically.
    pub pass_time: Option<Box<dyn Fn(Duration) + Send + Sync>>,
    /// What the gate promises that the provider was built with.
    pub gate: GateUnderTest,
    /// What the vendor really holds.
    pub truth: Truth,
    /// Counts the calls that have reached the vendor, of every operation.
    pub calls: Box<dyn Fn() -> u64 + Send + Sync>,
    /// The limit that the provider was built with.
    pub max_calls_per_page: u32,
    /// How many calls the first page of a listing may cost beyond that limit; zero unless the provider documents a look-ahead.
    pub first_page_extra_calls: u32,
    /// Returns whether a call has reached the vendor that had this text as the whole value of a parameter, if the subject knows.
    pub received: Option<Received>,
    /// Breaks the vendor until [`Trouble::None`] repairs it. Returns `false` for a trouble that it cannot make.
    pub make_trouble: Option<Box<dyn Fn(Trouble) -> bool + Send + Sync>>,
    /// A second provider of the same vendor, whose credential can be renewed.
    pub renewal: Option<Renewal>,
    /// A second provider of the same vendor, for which the place of every configurable field is configured: where a row has its identifier, see [`fields_at_ids`]. May be
    /// left out where the vendor reports all these fields.
    pub configured: Option<Arc<dyn Provider>>,
    /// Counts the reports to the drift observer, if the subject watches it.
    pub drift: Option<Box<dyn Fn() -> u64 + Send + Sync>>,
    /// Texts that must never be shown: secrets of the settings, tokens.
    pub secrets: Vec<String>,
}

/// Returns places for all fields of which a capability has none: those of jobs where the vendor's rows of jobs have their identifier, those of tasks where rows of
/// tasks have theirs.
///
/// # Panics
/// When a name is no path.
#[must_use]
pub fn fields_at_ids(capability: &Capability, job_id: &str, task_id: &str) -> ConfiguredFields {
    let fields = ConfigurableField::missing_from(capability.fields);
    ConfiguredFields::new(fields.map(|field| {
        let path = match field.row() {
            RowKind::Job => job_id,
            RowKind::Task => task_id,
        };
        let path = FieldPath::parse(path).expect("the name of a field is a path");
        (field, path)
    }))
}

/// Tells whether a call had a text as the whole value of a parameter.
pub type Received = Box<dyn Fn(&str) -> bool + Send + Sync>;

/// A provider whose credential can be renewed, as something beside the gateway does it.
pub struct Renewal {
    /// The provider.
    pub provider: Arc<dyn Provider>,
    /// Makes the vendor take only the new credential, or with `false` the first one again.
    pub at_vendor: Box<dyn Fn(bool) + Send + Sync>,
    /// Writes the new credential where the provider reads it, or with `false` the first one again.
    pub at_provider: Box<dyn Fn(bool) + Send + Sync>,
}

/// What a gate promises.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GateUnderTest {
    /// Lets everything through.
    Open,
    /// Sends nothing after the deadline and ends an attempt after this time.
    Limiting {
        /// The time that one attempt has.
        attempt_timeout: Duration,
    },
}

/// What the vendor really holds, in neutral words.
#[derive(Clone, Debug)]
pub struct Truth {
    /// Every job.
    pub jobs: Vec<JobTruth>,
    /// An identifier in the vendor's form that no job has.
    pub unknown_job_id: JobId,
    /// The job statuses that this vendor has words for.
    pub job_statuses: Vec<JobStatus>,
    /// The task statuses that this vendor has words for.
    pub task_statuses: Vec<TaskStatus>,
    /// The fields that the vendor's documents have for each kind of row.
    pub documented: Documented,
    /// Whether the rows of failed tasks say why they failed.
    pub reports_failures: bool,
    /// What servers lack that are older than the setting says; nothing where the vendor's servers do not differ, or the setting names the oldest one.
    pub newer: Newer,
    /// Whether the vendor promises an order of rows only to whom asks for one. Where it is `false`, none can be asked for.
    pub takes_an_order: bool,
    /// Filters of the job list other than `status`, and what they find. Each filter that the capability has should be in one.
    pub job_examples: Vec<Example>,
    /// The same for the task list.
    pub task_examples: Vec<TaskExample>,
}

/// The fields that a vendor documents, by the vendor's names; dots lead into objects. What only repeats the question is left out.
#[derive(Clone, Debug, Default)]
pub struct Documented {
    /// Of a row of the job list.
    pub job_rows: &'static [&'static str],
    /// Of a job alone.
    pub jobs: &'static [&'static str],
    /// Of a row of the task list.
    pub task_rows: &'static [&'static str],
}

/// What came with the version that the setting names: a server that is older does not have it.
#[derive(Clone, Debug, Default)]
pub struct Newer {
    /// Filters of the job list, by the names of their fields.
    pub job_filters: Vec<&'static str>,
    /// Filters of the task list.
    pub task_filters: Vec<&'static str>,
}

/// Where a field stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Place {
    /// In a row of the job list.
    JobRow,
    /// In a job alone.
    Job,
    /// In a row of the task list.
    TaskRow,
}

/// One job as it really is.
#[derive(Clone, Debug)]
pub struct JobTruth {
    /// Its identifier.
    pub id: JobId,
    /// Its status in neutral words.
    pub status: JobStatus,
    /// The identifiers of its tasks.
    pub tasks: BTreeSet<TaskId>,
    /// How many of its tasks are in each status.
    pub counts: BTreeMap<TaskStatus, u64>,
    /// How many of its targets have no task yet, if the vendor counts them.
    pub not_started: Option<u64>,
    /// How many of the failed ones ran out of time, if the vendor counts them.
    pub timed_out: Option<u64>,
}

/// A filter of the job list and what it finds.
#[derive(Clone, Debug)]
pub struct Example {
    /// The filter.
    pub filter: JobFilter,
    /// The jobs that match.
    pub jobs: BTreeSet<JobId>,
}

/// A filter of the task list and what it finds.
#[derive(Clone, Debug)]
pub struct TaskExample {
    /// Whose tasks.
    pub job_id: JobId,
    /// The filter.
    pub filter: TaskFilter,
    /// The tasks that match.
    pub tasks: BTreeSet<TaskId>,
}

/// Whose words a proxy's "not found" is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Proxy {
    /// Kong.
    Kong,
    /// Apache APISIX.
    Apisix,
    /// A Kubernetes API or ingress.
    Kubernetes,
    /// An application framework (Spring Boot).
    Framework,
}

/// What can replace a row or a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Odd {
    /// Nothing; an empty list where a list belongs.
    Null,
    /// A number.
    Number,
    /// A text.
    Text,
    /// A list that has no rows in it.
    List,
    /// An object of something else.
    Object,
}

/// A way to break a vendor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Trouble {
    /// None: the vendor is repaired.
    None,
    /// Refuses as if its quota were used up.
    Throttle,
    /// Answers with a status of 5xx and an error in its own words.
    ServerError,
    /// Answers with HTTP 200 and an error in its own words.
    ErrorUnder200,
    /// Refuses the credential, with whatever it repeats of the request.
    CredentialRefused,
    /// Serves pages of a few rows, answers three calls, and refuses those behind them as if its quota were used up.
    LaterThrottle,
    /// As [`Trouble::LaterThrottle`], and refuses the credential.
    LaterRefusal,
    /// Fails lastingly, under a code of its own, for one part of the list of jobs, such as one package.
    BrokenPart,
    /// Answers 200 with a page for people.
    Html,
    /// Answers 502 with a page for people.
    HtmlError,
    /// Ends the text of the answer in the middle, with a good end of the message.
    CutJson,
    /// Ends the connection in the middle of the answer.
    CutBody,
    /// Answers with no body.
    EmptyBody,
    /// Ends the connection without an answer.
    Drop,
    /// Never answers.
    Hang,
    /// Gives one row of each answer a status word that no one knows.
    UnknownStatusRow,
    /// Gives one row of each answer a date that no one can read.
    BadDateRow,
    /// Gives rows a field that no document mentions.
    UnknownField,
    /// Leaves a documented field out of every row.
    LeftOut(Place, &'static str),
    /// Gives one row of each answer `null` in the place of each of its objects.
    NullObjectRow,
    /// Begins every page behind the first one row early, as when a row was added in front of the list.
    MovedPages,
    /// Refuses a request and repeats all of it, its credentials among it.
    EchoedRequest,
    /// Gives one row of each answer a text with bytes that are not UTF-8.
    BadUtf8Row,
    /// Gives one row of each answer a text with one half of a surrogate pair.
    HalfSurrogateRow,
    /// Gives one row of each answer a field twice, with two values.
    DoubleNameRow,
    /// Gives one row of each answer a number that no type holds.
    HugeNumberRow,
    /// Gives one row of each answer a value that nests very deep.
    DeepValueRow,
    /// Answers lists with millions of rows, within what is read of one answer.
    ManyRows,
    /// Puts something else in the place of one row of each list.
    NoRow(Odd),
    /// Puts something else in the place of each list.
    NoList(Odd),
    /// Repeats a row of each page in the place of the one behind it.
    RowTwice,
    /// Gives one row of each answer a text of a million bytes that is hard to search.
    LongText,
    /// Refuses with such a text.
    LongRefusal,
    /// Compresses every answer with gzip.
    Gzip,
    /// As [`Trouble::Gzip`], in several members.
    GzipMembers,
    /// As [`Trouble::Gzip`], with bytes behind it that are no gzip.
    GzipGarbage,
    /// As [`Trouble::Gzip`], with more in it than is read of one answer.
    GzipBomb,
    /// Answers with a content coding that no one asked for.
    OtherCoding,
    /// Refuses as if its quota were used up, with a word of an API gateway that the vendor's documents do not have.
    SlowerWord,
    /// Refuses as if its quota were used up, with the longest wait that a number can hold.
    EndlessWait,
    /// Returns the first page for every page.
    RepeatPage,
    /// Serves pages of a few rows for every requested size, and reports that size.
    CapPageSize,
    /// As [`Trouble::CapPageSize`], with all numbers as text.
    CapPageSizeAsText,
    /// As [`Trouble::CapPageSize`], without saying so.
    CapPageSizeSilently,
    /// Leaves the first page empty, beside a total.
    EmptyFirstPage,
    /// Leaves the second page empty, beside the same total.
    EmptyPage,
    /// Gives each page that does not end the list a row less than belongs into it.
    ShortPages,
    /// Reports another total on each page behind the first.
    ChangingTotals,
    /// Refuses an argument without saying which.
    BadArgument,
    /// Refuses a device, whether one was named or not.
    BadDevice,
    /// Says a `Date` that is years away, and refuses the time of requests that have one.
    FalseDate,
    /// Counts tasks in two statuses while statistics are read for the first time.
    CountedTwice,
    /// Counts tasks in no status while statistics are read for the first time.
    NotCounted,
    /// As [`Trouble::NotCounted`], however often statistics are read.
    NeverCounted,
    /// Reports every job as running, regardless of its tasks.
    StillRunning,
    /// Gives every failed task a text that names much and says no reason.
    VagueText,
    /// Is not reached: a proxy answers that it knows nothing of the path.
    ForeignNotFound(Proxy),
    /// Turns out to be older than the setting says: it refuses the filters of [`Truth::newer`] in its own words, and answers everything else.
    OlderServer,
    /// Answers a lookup of one job with another job, which is not asked for under this identifier.
    AnotherJob,
    /// Gives the rows in another order in every second answer, unless it is asked for an order.
    UnstableOrder,
}

impl Trouble {
    /// Returns the kind of error that it must lead to; `None` when rows are changed, or when any error of the vendor's is right.
    #[must_use]
    pub const fn expected(self) -> Option<ErrorKind> {
        match self {
            Self::Throttle | Self::SlowerWord | Self::EndlessWait => Some(ErrorKind::Throttled),
            Self::ServerError | Self::HtmlError | Self::CutBody | Self::Drop => {
                Some(ErrorKind::Unavailable)
            }
            Self::CredentialRefused => Some(ErrorKind::Auth),
            Self::Html
            | Self::CutJson
            | Self::EmptyBody
            | Self::OtherCoding
            | Self::GzipGarbage
            | Self::GzipBomb => Some(ErrorKind::Protocol),
            Self::BadDevice => Some(ErrorKind::Rejected),
            Self::Hang => Some(ErrorKind::Timeout),
            Self::None
            | Self::LaterThrottle
            | Self::LaterRefusal
            | Self::BrokenPart
            | Self::ErrorUnder200
            | Self::UnknownStatusRow
            | Self::BadDateRow
            | Self::UnknownField
            | Self::LeftOut(..)
            | Self::NullObjectRow
            | Self::MovedPages
            | Self::EchoedRequest
            | Self::BadUtf8Row
            | Self::HalfSurrogateRow
            | Self::DoubleNameRow
            | Self::HugeNumberRow
            | Self::DeepValueRow
            | Self::ManyRows
            | Self::NoRow(_)
            | Self::NoList(_)
            | Self::RowTwice
            | Self::LongText
            | Self::LongRefusal
            | Self::Gzip
            | Self::GzipMembers
            | Self::FalseDate
            | Self::RepeatPage
            | Self::CapPageSize
            | Self::CapPageSizeAsText
            | Self::CapPageSizeSilently
            | Self::EmptyFirstPage
            | Self::EmptyPage
            | Self::ShortPages
            | Self::ChangingTotals
            | Self::BadArgument
            | Self::CountedTwice
            | Self::NotCounted
            | Self::NeverCounted
            | Self::StillRunning
            | Self::VagueText
            | Self::ForeignNotFound(_)
            | Self::OlderServer
            | Self::UnstableOrder
            | Self::AnotherJob => None,
        }
    }
}

impl Subject {
    /// Returns the context of a new request.
    pub(crate) fn context(&self) -> Context {
        Context::new(
            "conformance",
            self.clock.monotonic() + REQUEST_TIME,
            Priority::Interactive,
        )
    }

    pub(crate) fn reader(&self) -> Result<&dyn JobReader, String> {
        self.provider
            .jobs()
            .ok_or_else(|| "the provider reads no jobs".to_owned())
    }

    pub(crate) fn calls(&self) -> u64 {
        (self.calls)()
    }

    /// Breaks the vendor; the guard repairs it. `None` when the subject cannot.
    pub(crate) fn break_vendor(&self, trouble: Trouble) -> Option<Broken<'_>> {
        let make = self.make_trouble.as_deref()?;
        make(trouble).then(|| Broken(self))
    }

    /// Lets time pass where the clock allows it, so that pauses after failures are over.
    pub(crate) fn let_time_pass(&self, time: Duration) {
        if let Some(pass) = &self.pass_time {
            pass(time);
        }
    }

    /// Makes a call that leaves tokens and connections ready, so that later calls can be counted.
    pub(crate) async fn warm_up(&self) -> Result<(), String> {
        self.provider
            .check(&self.context())
            .await
            .map_err(|error| format!("`check` failed: {error:?}"))
    }
}

impl std::fmt::Debug for Subject {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Subject")
            .field("name", &self.name)
            .field("gate", &self.gate)
            .finish_non_exhaustive()
    }
}

/// Repairs the vendor when dropped.
pub(crate) struct Broken<'a>(&'a Subject);

impl Drop for Broken<'_> {
    fn drop(&mut self) {
        if let Some(make) = &self.0.make_trouble {
            make(Trouble::None);
        }
    }
}

impl JobTruth {
    /// Returns how the job ended, from what is really there; none while it runs, while a task is open, and when no task succeeded or failed.
    pub(crate) fn outcome(&self) -> Option<JobOutcome> {
        let ended = matches!(self.status, JobStatus::Completed | JobStatus::Canceled);
        let open = |status: &TaskStatus| {
            matches!(
                status,
                TaskStatus::Pending | TaskStatus::InProgress | TaskStatus::Unknown
            )
        };
        let count = |status: TaskStatus| self.counts.get(&status).copied().unwrap_or(0);
        let still_open = self
            .counts
            .iter()
            .any(|(one, count)| open(one) && *count > 0)
            || self.not_started.is_some_and(|count| count > 0);
        if !ended || still_open {
            return None;
        }
        match (count(TaskStatus::Succeeded), count(TaskStatus::Failed)) {
            (0, 0) => None,
            (0, _) => Some(JobOutcome::Failed),
            (all, _) if all == self.tasks.len() as u64 => Some(JobOutcome::Succeeded),
            _ => Some(JobOutcome::Partial),
        }
    }
}

impl Truth {
    /// Returns the job with the most tasks in different statuses, which shows the most.
    pub(crate) fn richest_job(&self) -> Result<&JobTruth, String> {
        self.jobs
            .iter()
            .max_by_key(|job| {
                let statuses = job.counts.values().filter(|count| **count > 0).count();
                (statuses, job.tasks.len())
            })
            .ok_or_else(|| "the truth has no job".to_owned())
    }
}
