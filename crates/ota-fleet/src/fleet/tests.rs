use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ota_core::capability::{
    Capability, ChangeSigns, DocumentedQuota, JobFilterSupport, QuotaPer, StatsSupport, Support,
    TaskFilterSupport, TaskOrder,
};
use ota_core::clock::{Clock, ManualClock};
use ota_core::context::{Context, Priority};
use ota_core::gate::{OpenGate, VendorCall, call};
use ota_core::id::{JobId, ProviderName};
use ota_core::job::{Job, JobStats};
use ota_core::provider::{GetJob, JobFilter, JobReader, ListJobs, ListTasks, Page, Provider};
use ota_core::task::Task;
use ota_core::{Error, ErrorKind, Result};
use time::macros::datetime;
use tokio::sync::Semaphore;

use super::{ConfiguredProvider, Fleet, Quota};
use crate::HealthState;
use crate::health_tracker::ISOLATED_FAILURE_WINDOW;

#[derive(Debug)]
struct NoQuota;

impl Quota for NoQuota {
    fn limit(&self) -> u32 {
        1
    }

    fn window_s(&self) -> u32 {
        1
    }

    fn remaining(&self) -> u32 {
        1
    }
}

/// How a check ends: without a call, or after a call that lasts until it is released.
#[derive(Clone)]
enum Check {
    NotSent(Error),
    Sent(Arc<Semaphore>, Result<()>),
    /// A call is answered, and the next one is not sent.
    HalfWay(Error),
}

/// A provider whose checks end as the test specifies, one after the other.
struct Scripted {
    name: ProviderName,
    capability: Capability,
    gate: OpenGate,
    checks: Mutex<Vec<Check>>,
    begun: AtomicUsize,
}

impl std::fmt::Debug for Scripted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Scripted")
    }
}

#[async_trait::async_trait]
impl Provider for Scripted {
    fn name(&self) -> &ProviderName {
        &self.name
    }

    fn vendor(&self) -> &'static str {
        "scripted"
    }

    fn endpoint(&self) -> &str {
        "memory://vendor"
    }

    fn capability(&self) -> &Capability {
        &self.capability
    }

    async fn check(&self, cx: &Context) -> Result<()> {
        self.next(cx).await
    }

    fn jobs(&self) -> Option<&dyn JobReader> {
        Some(self)
    }
}

impl Scripted {
    async fn next(&self, cx: &Context) -> Result<()> {
        let check = self.checks.lock().unwrap().remove(0);
        self.begun.fetch_add(1, Ordering::Relaxed);
        let (end, result) = match check {
            Check::NotSent(error) => return Err(error),
            Check::Sent(end, result) => (end, result),
            Check::HalfWay(error) => {
                call(&self.gate, cx, VendorCall::read("Read"), |_| async {
                    Ok(())
                })
                .await?;
                return Err(error);
            }
        };
        let (end, result) = (&end, &result);
        call(&self.gate, cx, VendorCall::read("Read"), |_| async move {
            let _place = end.acquire().await;
            result.clone()
        })
        .await
    }
}

#[async_trait::async_trait]
impl JobReader for Scripted {
    async fn list_jobs(&self, cx: &Context, _: ListJobs) -> Result<Page<Job>> {
        self.next(cx).await.map(|()| Page::empty())
    }

    async fn get_job(&self, cx: &Context, _: GetJob) -> Result<Option<Job>> {
        self.next(cx).await.map(|()| None)
    }

    async fn job_stats(&self, cx: &Context, _: GetJob) -> Result<Option<JobStats>> {
        self.next(cx).await.map(|()| Some(JobStats::default()))
    }

    async fn list_tasks(&self, cx: &Context, _: ListTasks) -> Result<Option<Page<Task>>> {
        self.next(cx).await.map(|()| Some(Page::empty()))
    }
}

struct Bench {
    clock: ManualClock,
    provider: Arc<Scripted>,
    fleet: Fleet,
}

impl Bench {
    fn new(checks: impl IntoIterator<Item = Check>) -> Arc<Self> {
        let clock = ManualClock::new(datetime!(2026-01-01 00:00 UTC));
        let no = Support::No;
        let provider = Arc::new(Scripted {
            name: ProviderName::from("one"),
            capability: Capability {
                job_filters: JobFilterSupport {
                    status: no,
                    outcome: no,
                    kind: no,
                    package_id: no,
                    product_id: no,
                    device_id: no,
                    device_name: no,
                    device_type: no,
                    model: no,
                    manufacturer: no,
                },
                job_filter_needs: &[],
                task_filters: TaskFilterSupport {
                    stage: Support::No,
                    status: no,
                    device_name: no,
                    device_id: no,
                },
                max_page_size: 1,
                max_device_names: 0,
                job_stats: StatsSupport {
                    native: true,
                    calls: 1,
                },
                change_signs: ChangeSigns {
                    counts_in_rows: false,
                    counts_in_totals: false,
                    task_order: TaskOrder::None,
                },
                fields: ota_core::fields::FieldSupport::default(),
                configured_fields: Vec::new(),
                actions: Vec::new(),
                quota: DocumentedQuota {
                    calls: 1,
                    window_s: 1,
                    per: QuotaPer::Application,
                    exceptions: &[],
                },
            },
            gate: OpenGate::new(Arc::new(clock.clone())),
            checks: Mutex::new(checks.into_iter().collect()),
            begun: AtomicUsize::new(0),
        });
        let member = ConfiguredProvider::new(
            Arc::<Scripted>::clone(&provider),
            Arc::new(NoQuota),
            Duration::from_secs(8),
            Arc::new(clock.clone()),
        );
        let fleet = Fleet::new([member]);
        Arc::new(Self {
            clock,
            provider,
            fleet,
        })
    }

    async fn check(&self) -> HealthState {
        let deadline = self.clock.monotonic() + Duration::from_secs(30);
        let cx = Context::new("test", deadline, Priority::Interactive);
        self.member().check(&cx).await.state
    }

    /// Asks for the list of jobs, or for the statistics of a job.
    async fn read(&self, about: &str) {
        let deadline = self.clock.monotonic() + Duration::from_secs(30);
        let cx = Context::new("test", deadline, Priority::Interactive);
        if about == "list" {
            let request = ListJobs {
                filter: JobFilter::default(),
                page_size: 1,
                cursor: None,
            };
            self.member().list_jobs(&cx, request).await.ok();
        } else {
            let job_id = JobId::from(about);
            let request = GetJob { job_id };
            self.member().job_stats(&cx, request).await.ok();
        }
    }

    /// Starts a check, and returns when it is in flight.
    async fn begin(self: &Arc<Self>) -> tokio::task::JoinHandle<HealthState> {
        let before = self.provider.begun.load(Ordering::Relaxed);
        let bench = Arc::clone(self);
        let check = tokio::spawn(async move { bench.check().await });
        while self.provider.begun.load(Ordering::Relaxed) == before {
            tokio::task::yield_now().await;
        }
        check
    }

    fn member(&self) -> &ConfiguredProvider {
        self.fleet.member("one").unwrap()
    }

    fn health(&self) -> (HealthState, Option<ErrorKind>) {
        let health = self.member().health();
        (health.state, health.problem.map(|(kind, _)| kind))
    }
}

fn failing(kind: ErrorKind) -> Error {
    Error::new(kind, "x")
}

fn open() -> Arc<Semaphore> {
    Arc::new(Semaphore::new(1))
}

#[tokio::test]
async fn an_old_slow_failure_does_not_overwrite_a_newer_success_nor_the_other_way_round() {
    for (slow, quick, expected) in [
        (
            Err(failing(ErrorKind::Timeout)),
            Ok(()),
            (HealthState::Ok, None),
        ),
        (
            Ok(()),
            Err(failing(ErrorKind::Unavailable)),
            (HealthState::Down, Some(ErrorKind::Unavailable)),
        ),
    ] {
        let late = Arc::new(Semaphore::new(0));
        let bench = Bench::new([
            Check::Sent(Arc::clone(&late), slow),
            Check::Sent(open(), quick),
        ]);
        let old = bench.begin().await;
        bench.clock.advance(Duration::from_secs(1));
        bench.check().await;
        assert_eq!(bench.health(), expected);
        bench.clock.advance(Duration::from_secs(7));
        late.add_permits(1);
        old.await.unwrap();
        assert_eq!(bench.health(), expected);
    }
}

#[tokio::test]
async fn what_was_not_sent_says_nothing_about_the_vendor() {
    let local = |kind| failing(kind).with_local();
    let after = |check| async move {
        let bench = Bench::new([Check::Sent(open(), Ok(())), check]);
        bench.check().await;
        bench.clock.advance(Duration::from_secs(1));
        bench.check().await;
        bench.health()
    };
    let well = (HealthState::Ok, None);
    for kind in [
        ErrorKind::Throttled,
        ErrorKind::Timeout,
        ErrorKind::Unavailable,
    ] {
        assert_eq!(after(Check::NotSent(failing(kind))).await, well, "{kind}");
        assert_eq!(after(Check::NotSent(local(kind))).await, well, "{kind}");
        // The quota was used up, or the time limit reached, during a read.
        assert_eq!(after(Check::HalfWay(local(kind))).await, well, "{kind}");
        let cut = Check::Sent(open(), Err(local(kind)));
        assert_eq!(after(cut).await, well, "{kind}");
    }
    // A cached refusal comes from the vendor.
    for kind in [
        ErrorKind::Auth,
        ErrorKind::Misconfigured,
        ErrorKind::Rejected,
    ] {
        let known = after(Check::NotSent(failing(kind))).await;
        assert_eq!(known, (HealthState::Down, Some(kind)));
    }
}

/// Sends one request per second as the test specifies: the list or a named job, and how its call ends. Returns the health after each request.
async fn requests(story: &[(&'static str, Result<()>)]) -> Vec<(HealthState, Option<ErrorKind>)> {
    let ends = story
        .iter()
        .map(|(_, end)| Check::Sent(open(), end.clone()));
    let bench = Bench::new(ends);
    let mut seen = Vec::new();
    for (about, _) in story {
        bench.read(about).await;
        seen.push(bench.health());
        bench.clock.advance(Duration::from_secs(1));
    }
    seen
}

/// Errors that may concern one job only, or the vendor as a whole.
const DOUBTFUL: [ErrorKind; 4] = [
    ErrorKind::Timeout,
    ErrorKind::Unavailable,
    ErrorKind::Rejected,
    ErrorKind::Protocol,
];

#[tokio::test]
async fn one_broken_job_does_not_change_the_health() {
    let well = (HealthState::Ok, None);
    for kind in DOUBTFUL {
        let bad = || Err(failing(kind));
        let story = [
            ("list", Ok(())),
            ("a", bad()),
            ("b", Ok(())),
            ("a", bad()),
            ("a", bad()),
            ("a", bad()),
            ("list", Ok(())),
            ("a", bad()),
        ];
        let seen = requests(&story).await;
        assert!(seen.iter().all(|one| *one == well), "{kind}: {seen:?}");
        // Nor do two jobs, after a response to another read has shown that only these jobs fail.
        let story = [
            ("list", Ok(())),
            ("a", bad()),
            ("b", Ok(())),
            ("c", bad()),
            ("b", Ok(())),
            ("a", bad()),
            ("c", bad()),
            ("a", bad()),
        ];
        let seen = requests(&story).await;
        assert!(seen.iter().all(|one| *one == well), "{kind}: {seen:?}");
    }
}

#[tokio::test]
async fn failures_of_more_than_one_job_change_the_health() {
    for kind in DOUBTFUL {
        let bad = || Err(failing(kind));
        let ill = Some(kind);
        // Two jobs fail with no response in between.
        let seen = requests(&[("list", Ok(())), ("a", bad()), ("b", bad())]).await;
        assert_eq!((seen[1].1, seen[2].1), (None, ill), "{kind}");
        // The failed request concerns no job.
        let seen = requests(&[("list", Ok(())), ("list", bad())]).await;
        assert_eq!(seen[1].1, ill, "{kind}");
        // Nothing has been answered yet.
        assert_eq!(requests(&[("a", bad())]).await[0].1, ill, "{kind}");
        // The vendor is already unhealthy: the most recent error is reported.
        let throttled = Err(failing(ErrorKind::Throttled));
        let seen = requests(&[("list", Ok(())), ("list", throttled), ("a", bad())]).await;
        assert_eq!(seen[2].1, ill, "{kind}");
        // A job whose read was answered no longer counts as failing.
        let story = [
            ("list", Ok(())),
            ("a", bad()),
            ("b", Ok(())),
            ("a", Ok(())),
            ("a", bad()),
            ("b", bad()),
        ];
        let seen = requests(&story).await;
        assert_eq!((seen[4].1, seen[5].1), (None, ill), "{kind}");
    }
    // An error about the account, or of a call that was not sent, does not concern one job.
    for error in [
        failing(ErrorKind::Auth),
        failing(ErrorKind::Throttled),
        failing(ErrorKind::Misconfigured),
        failing(ErrorKind::Unavailable).with_unsent(),
    ] {
        let kind = error.kind();
        let seen = requests(&[("list", Ok(())), ("a", Err(error))]).await;
        assert_eq!(seen[1].1, Some(kind));
    }
}

#[tokio::test]
async fn a_single_failing_job_changes_the_health_without_a_response_for_a_while() {
    let bad = Err(failing(ErrorKind::Timeout));
    let story = vec![("a", bad); 90];
    let story: Vec<_> = std::iter::once(("list", Ok(()))).chain(story).collect();
    let seen = requests(&story).await;
    assert_eq!(
        seen[ISOLATED_FAILURE_WINDOW.as_secs() as usize].0,
        HealthState::Ok
    );
    assert_eq!(
        seen[ISOLATED_FAILURE_WINDOW.as_secs() as usize + 1],
        (HealthState::Down, Some(ErrorKind::Timeout))
    );
}
