use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ota_core::capability::{
    Capability, DocumentedQuota, JobFilterSupport, QuotaPer, StatsSupport, Support,
    TaskFilterSupport,
};
use ota_core::clock::{Clock, ManualClock};
use ota_core::context::{Context, Priority};
use ota_core::gate::{OpenGate, VendorCall, call};
use ota_core::id::ProviderName;
use ota_core::provider::{JobReader, Provider};
use ota_core::{Error, ErrorKind, Result};
use time::macros::datetime;
use tokio::sync::Semaphore;

use super::{Fleet, Member, Quota};
use crate::HealthState;

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

/// How a check ends: without a call, or after one that lasts until it is let go.
#[derive(Clone)]
enum Check {
    NotSent(Error),
    Sent(Arc<Semaphore>, Result<()>),
    /// A call is answered, and the next one is not sent.
    HalfWay(Error),
}

/// A provider whose checks end as a test says, one after the other.
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

    fn jobs(&self) -> Option<&dyn JobReader> {
        None
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
        let member = Member::new(
            Arc::<Scripted>::clone(&provider),
            Arc::new(NoQuota),
            Duration::from_secs(8),
        );
        let fleet = Fleet::new([member], Arc::new(clock.clone()));
        Arc::new(Self {
            clock,
            provider,
            fleet,
        })
    }

    async fn check(&self) -> HealthState {
        let deadline = self.clock.monotonic() + Duration::from_secs(30);
        let cx = Context::new("test", deadline, Priority::Interactive);
        self.fleet.check(&cx, "one").await.unwrap().state
    }

    /// Begins a check, and returns when it is under way.
    async fn begin(self: &Arc<Self>) -> tokio::task::JoinHandle<HealthState> {
        let before = self.provider.begun.load(Ordering::Relaxed);
        let bench = Arc::clone(self);
        let check = tokio::spawn(async move { bench.check().await });
        while self.provider.begun.load(Ordering::Relaxed) == before {
            tokio::task::yield_now().await;
        }
        check
    }

    fn health(&self) -> (HealthState, Option<ErrorKind>) {
        let health = self.fleet.member("one").unwrap().health();
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
        // The quota was used up, or the time over, in the middle of a read.
        assert_eq!(after(Check::HalfWay(local(kind))).await, well, "{kind}");
        let cut = Check::Sent(open(), Err(local(kind)));
        assert_eq!(after(cut).await, well, "{kind}");
    }
    // A refusal that is remembered was the vendor's, whoever met it.
    for kind in [
        ErrorKind::Auth,
        ErrorKind::Misconfigured,
        ErrorKind::Rejected,
    ] {
        let known = after(Check::NotSent(failing(kind))).await;
        assert_eq!(known, (HealthState::Down, Some(kind)));
    }
}
