//! What every subject is built with: clocks, gates, observers.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use ota_conformance::memory::{MemoryProvider, MemoryVendor};
use ota_conformance::{GateUnderTest, Odd, Proxy, Renewal, Subject, Trouble, memory};
use ota_core::capability::Capability;
use ota_core::clock::{Clock, ManualClock};
use ota_core::context::Context;
use ota_core::drift::DriftCounter;
use ota_core::gate::{Attempt, Gate, OpenGate, VendorCall};
use ota_core::id::{JobId, ProviderName, TaskId};
use ota_core::provider::{Dependencies, Provider};
use ota_core::random::SequenceRandom;
use ota_core::{BoxFuture, Result};
use ota_guard::{AccountQuota, Guard, GuardLimits, NoObserver, QuotaLimits, QuotaScope};
use ota_sim::{Fault, FaultKind, FleetTruth, Packing, Server};
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::macros::datetime;
use tokio::sync::watch;

/// When every vendor stands still.
pub(crate) const NOW: OffsetDateTime = datetime!(2026-11-23 08:00 UTC);

/// The limit of calls for a page, as by default.
pub(crate) const MAX_CALLS: u32 = 5;

const ATTEMPT: Duration = Duration::from_secs(8);

/// How far the clock is moved at once where somebody waits for it.
const NUDGE: Duration = Duration::from_millis(50);

/// Which gate the provider gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Through {
    Open,
    Guard,
}

impl Through {
    pub(crate) const ALL: [Self; 2] = [Self::Open, Self::Guard];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Open => "open gate",
            Self::Guard => "real gate",
        }
    }

    pub(crate) fn promise(self) -> GateUnderTest {
        match self {
            Self::Open => GateUnderTest::Open,
            Self::Guard => GateUnderTest::Limiting {
                attempt_timeout: ATTEMPT,
            },
        }
    }
}

/// The real gate, with somebody who moves the clock while a caller waits for it: before a repetition, or during a pause of the account.
///
/// Only the time in which no attempt is under way is moved, so no attempt runs out of time by it. Nothing sleeps.
#[derive(Debug)]
struct Nudged {
    guard: Guard,
    under_way: watch::Sender<u32>,
    clock: ManualClock,
    vendors: ota_sim::Clock,
}

/// An attempt that is counted while it is under way.
struct Counted<'a>(&'a mut dyn Attempt, &'a watch::Sender<u32>);

struct UnderWay<'a>(&'a watch::Sender<u32>);

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count -= 1);
    }
}

impl Attempt for Counted<'_> {
    fn run(&mut self, number: u32) -> BoxFuture<'_, Result<()>> {
        self.1.send_modify(|count| *count += 1);
        let under_way = UnderWay(self.1);
        Box::pin(async move {
            let _under_way = under_way;
            self.0.run(number).await
        })
    }
}

#[async_trait::async_trait]
impl Gate for Nudged {
    async fn pass(&self, cx: &Context, call: VendorCall, attempt: &mut dyn Attempt) -> Result<()> {
        let mut counted = Counted(attempt, &self.under_way);
        let nudge = async {
            let mut under_way = self.under_way.subscribe();
            loop {
                drop(under_way.wait_for(|count| *count == 0).await);
                for _ in 0..3 {
                    tokio::task::yield_now().await;
                }
                if *under_way.borrow() == 0 {
                    self.clock.advance(NUDGE);
                    self.vendors.advance(NUDGE);
                }
            }
        };
        tokio::select! {
            biased;
            result = self.guard.pass(cx, call, &mut counted) => result,
            () = nudge => unreachable!("the clock is moved for ever"),
        }
    }
}

/// The clock, the gate and the observer of one provider.
pub(crate) struct Rig {
    pub(crate) clock: ManualClock,
    /// The vendor's clock, which shows the same time.
    pub(crate) vendors: ota_sim::Clock,
    pub(crate) drift: Arc<DriftCounter>,
    pub(crate) deps: Dependencies,
    pub(crate) through: Through,
}

impl Rig {
    pub(crate) fn new(through: Through, max_calls_per_page: u32) -> Self {
        let clock = ManualClock::new(NOW);
        let drift = Arc::new(DriftCounter::default());
        let shared: Arc<dyn Clock> = Arc::new(clock.clone());
        let vendors = ota_sim::Clock::manual(NOW);
        let random = Arc::new(SequenceRandom::new(7));
        let gate: Arc<dyn Gate> = match through {
            Through::Open => Arc::new(OpenGate::new(Arc::clone(&shared))),
            Through::Guard => {
                // Vendors of the suite have no quota, so that calls can be counted; what keeps one is tested with it.
                let quota = QuotaLimits {
                    calls: 1_000_000,
                    window: Duration::from_secs(1),
                    margin: None,
                    scope: QuotaScope::Account,
                };
                let limits = GuardLimits {
                    timeout: ATTEMPT,
                    max_attempts: 3,
                    max_concurrent: 16,
                };
                let guard = Guard::new(
                    limits,
                    Arc::new(AccountQuota::new(quota, Arc::clone(&shared))),
                    Arc::clone(&shared),
                    Arc::<SequenceRandom>::clone(&random),
                    Arc::new(NoObserver),
                );
                Arc::new(Nudged {
                    guard,
                    under_way: watch::Sender::new(0),
                    clock: clock.clone(),
                    vendors: vendors.clone(),
                })
            }
        };
        let deps = Dependencies {
            gate,
            clock: shared,
            random,
            drift: Arc::<DriftCounter>::clone(&drift),
            max_calls_per_page,
        };
        Self {
            clock,
            vendors,
            drift,
            deps,
            through,
        }
    }

    pub(crate) fn drift_count(&self) -> Box<dyn Fn() -> u64 + Send + Sync> {
        let drift = Arc::clone(&self.drift);
        Box::new(move || drift.snapshot().values().sum())
    }

    /// Moves the provider's clock and the vendor's together.
    pub(crate) fn pass_time(&self) -> Box<dyn Fn(Duration) + Send + Sync> {
        let (clock, vendors) = (self.clock.clone(), self.vendors.clone());
        Box::new(move |time| {
            clock.advance(time);
            vendors.advance(time);
        })
    }
}

pub(crate) fn provider_name() -> ProviderName {
    ProviderName::parse("under-test").unwrap()
}

/// A memory provider with something around it.
pub(crate) fn memory_subject(
    name: &str,
    capability: Capability,
    through: Through,
    wrap: impl FnOnce(MemoryProvider) -> Arc<dyn Provider>,
) -> Subject {
    memory_subject_with(name, capability, through, wrap, |provider| provider)
}

/// As [`memory_subject`], with something else about the provider whose credential is renewed.
pub(crate) fn memory_subject_with(
    name: &str,
    capability: Capability,
    through: Through,
    wrap: impl FnOnce(MemoryProvider) -> Arc<dyn Provider>,
    renewed_with: impl FnOnce(MemoryProvider) -> MemoryProvider,
) -> Subject {
    let rig = Rig::new(through, MAX_CALLS);
    let vendor = Arc::new(MemoryVendor::new(&provider_name(), 23, 60));
    let provider = MemoryProvider::new(
        provider_name(),
        capability,
        Arc::clone(&vendor),
        rig.deps.clone(),
    );
    let clock: Arc<dyn Clock> = Arc::new(rig.clock.clone());
    let mut subject = memory::subject(
        &format!("{name}, {}", through.name()),
        &vendor,
        wrap(provider),
        clock,
        rig.through.promise(),
    );
    subject.pass_time = Some(rig.pass_time());
    subject.drift = Some(rig.drift_count());
    let credential = Arc::new(AtomicU64::new(0));
    let renewed = MemoryProvider::new(
        provider_name(),
        memory::full_capability(),
        Arc::clone(&vendor),
        rig.deps.clone(),
    );
    subject.renewal = Some(Renewal {
        provider: Arc::new(renewed_with(
            renewed.with_credential(Arc::clone(&credential)),
        )),
        at_vendor: Box::new(move |new| vendor.renew_credential(new.into())),
        at_provider: Box::new(move |new| credential.store(new.into(), Ordering::SeqCst)),
    });
    subject
}

/// Secrets in files, as a provider reads them that something beside the gateway renews.
pub(crate) struct SecretFiles(tempfile::TempDir);

impl SecretFiles {
    pub(crate) fn new(files: &[(&str, &str)]) -> Self {
        let folder = Self(tempfile::tempdir().unwrap());
        for (name, text) in files {
            folder.write(name, text);
        }
        folder
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Replaces a file by another one.
    pub(crate) fn write(&self, name: &str, text: &str) {
        let new = self.path("new");
        std::fs::write(&new, text).unwrap();
        std::fs::rename(new, self.path(name)).unwrap();
    }
}

/// The date of a device that has lost its clock.
const FALSE_DATE: &str = "Thu, 01 Jan 1970 00:00:00 GMT";

/// The answers of proxies and frameworks, as their sources and documents have them.
fn not_found_of(proxy: Proxy) -> Value {
    match proxy {
        Proxy::Kong => json!({"message": "no Route matched with those values", "request_id": "5a"}),
        Proxy::Apisix => json!({"error_msg": "404 Route Not Found"}),
        Proxy::Kubernetes => json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "message": "the server could not find the requested resource", "reason": "NotFound", "details": {}, "code": 404,
        }),
        Proxy::Framework => json!({
            "timestamp": "2026-11-23T08:00:00.000+00:00", "status": 404, "error": "Not Found", "path": "/operations",
        }),
    }
}

fn odd_value(odd: Odd) -> Value {
    match odd {
        Odd::Null => Value::Null,
        Odd::Number => json!(7),
        Odd::Text => json!("text"),
        Odd::List => json!([1]),
        Odd::Object => json!({"note": "something else"}),
    }
}

/// Breaks a simulator. `credential` is its way to refuse a credential.
pub(crate) fn faults_of(server: &Server, trouble: Trouble, credential: FaultKind) -> bool {
    let kind = match trouble {
        Trouble::None => {
            server.set_faults(Vec::new());
            return true;
        }
        Trouble::Throttle | Trouble::LaterThrottle => FaultKind::Throttle,
        // Which part there is, only the vendor's own module knows.
        Trouble::BrokenPart => return false,
        Trouble::ServerError => FaultKind::GatewayError,
        Trouble::ErrorUnder200 => FaultKind::ProductError,
        Trouble::CredentialRefused | Trouble::LaterRefusal => credential,
        Trouble::Html => FaultKind::Html200,
        Trouble::HtmlError => FaultKind::Html502,
        Trouble::CutJson => FaultKind::CutJson,
        Trouble::CutBody => FaultKind::CutBody,
        Trouble::EmptyBody => FaultKind::EmptyBody,
        Trouble::Drop => FaultKind::Drop,
        Trouble::Hang => FaultKind::Hang,
        Trouble::UnknownStatusRow => FaultKind::UnknownStatus,
        Trouble::BadDateRow => FaultKind::BadDate,
        Trouble::UnknownField => FaultKind::UnknownField,
        Trouble::RepeatPage => FaultKind::RepeatPage,
        Trouble::BadUtf8Row => FaultKind::BadUtf8,
        Trouble::HalfSurrogateRow => FaultKind::HalfSurrogate,
        Trouble::DoubleNameRow => FaultKind::DoubleName,
        Trouble::HugeNumberRow => FaultKind::HugeNumber,
        Trouble::DeepValueRow => FaultKind::DeepValue,
        Trouble::ManyRows => FaultKind::ManyRows,
        Trouble::NoRow(_) => FaultKind::NoRow,
        Trouble::NoList(_) => FaultKind::NoList,
        Trouble::RowTwice => FaultKind::RowTwice,
        Trouble::LongText => FaultKind::LongText,
        Trouble::LongRefusal => FaultKind::LongRefusal,
        Trouble::Gzip
        | Trouble::GzipMembers
        | Trouble::GzipGarbage
        | Trouble::GzipBomb
        | Trouble::OtherCoding => FaultKind::Compress,
        Trouble::SlowerWord | Trouble::EndlessWait => FaultKind::Throttle,
        Trouble::CapPageSize | Trouble::CapPageSizeAsText | Trouble::CapPageSizeSilently => {
            FaultKind::CapPageSize
        }
        Trouble::EmptyFirstPage | Trouble::EmptyPage => FaultKind::EmptyPage,
        Trouble::ShortPages => FaultKind::ShortPage,
        Trouble::ChangingTotals => FaultKind::ChangingTotal,
        Trouble::BadArgument => FaultKind::BadArgument,
        Trouble::BadDevice => FaultKind::BadDevice,
        Trouble::FalseDate => FaultKind::IllegalTimestamp,
        Trouble::CountedTwice => FaultKind::CountedTwice,
        Trouble::NotCounted | Trouble::NeverCounted => FaultKind::NotCounted,
        Trouble::StillRunning => FaultKind::StillRunning,
        Trouble::VagueText => FaultKind::VagueText,
        Trouble::ForeignNotFound(_) => FaultKind::Foreign404,
    };
    let fault = Fault::always(kind);
    let beside = match trouble {
        Trouble::CapPageSizeAsText => Some(FaultKind::PageEchoAsText),
        Trouble::LaterThrottle | Trouble::LaterRefusal => Some(FaultKind::CapPageSize),
        Trouble::CapPageSizeSilently => Some(FaultKind::NoPageEcho),
        // For the vendor whose requests carry no time: it answers as ever, with that date.
        Trouble::FalseDate => Some(FaultKind::Delay),
        _ => None,
    };
    let mut faults = vec![match trouble {
        Trouble::OtherCoding => fault.coding("br"),
        Trouble::GzipMembers => fault.packing(Packing::Members),
        Trouble::GzipGarbage => fault.packing(Packing::Garbage),
        Trouble::GzipBomb => fault.packing(Packing::Bomb),
        Trouble::ForeignNotFound(proxy) => fault.value(not_found_of(proxy)),
        Trouble::NoRow(odd) | Trouble::NoList(odd) => fault.value(odd_value(odd)),
        Trouble::SlowerWord => fault.code("SystemBusy"),
        Trouble::EndlessWait => fault.retry_after(u64::MAX.to_string()),
        Trouble::EmptyFirstPage => fault.page(1),
        Trouble::LaterThrottle | Trouble::LaterRefusal => fault.after(3),
        // The calls of one reading at a vendor that is asked for each status.
        Trouble::CountedTwice | Trouble::NotCounted => fault.times(8),
        _ => fault,
    }];
    faults.extend(beside.map(Fault::always));
    if matches!(trouble, Trouble::LaterThrottle | Trouble::LaterRefusal) {
        // So that three calls are not the whole list.
        faults = faults.into_iter().map(|fault| fault.rows(3)).collect();
    }
    if trouble == Trouble::FalseDate {
        let dated = |fault: Fault| fault.delay(Duration::ZERO).date(FALSE_DATE);
        faults = faults.into_iter().map(dated).collect();
    }
    server.set_faults(faults);
    true
}

pub(crate) fn ids(ids: Vec<String>) -> BTreeSet<TaskId> {
    ids.into_iter().map(TaskId::from).collect()
}

/// The jobs of a fleet that a condition holds for.
pub(crate) fn jobs_where(
    fleet: &FleetTruth,
    wanted: impl Fn(&ota_sim::JobTruth) -> bool,
) -> BTreeSet<JobId> {
    let jobs = fleet.jobs.iter().filter(|job| wanted(job));
    jobs.map(|job| JobId::from(job.id.as_str())).collect()
}

/// The tasks of a job for the devices that a condition holds for.
pub(crate) fn tasks_where(
    fleet: &FleetTruth,
    job_id: &str,
    wanted: impl Fn(&ota_sim::DeviceTruth) -> bool,
) -> BTreeSet<TaskId> {
    let devices = fleet.devices(job_id);
    let tasks = fleet.task_ids(job_id).into_iter().zip(devices);
    let tasks = tasks.filter(|(_, device)| wanted(device));
    tasks.map(|(id, _)| TaskId::from(id)).collect()
}
