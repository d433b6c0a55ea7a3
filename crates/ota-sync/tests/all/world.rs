//! One gateway's sync with its vendor, database and clock.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ota_core::clock::{Clock, ManualClock};
use ota_core::configured_fields::ConfiguredFields;
use ota_core::id::{JobId, ProviderName};
use ota_core::job::{Detail, Job};
use ota_core::task::Task;
use ota_fleet::{ConfiguredProvider, Quota};
use ota_guard::{AccountQuota, QuotaLimits, QuotaScope};
use ota_store::Store;
use ota_store::fleet::{JobQuery, JobSort, TaskQuery, TaskSort};
use ota_store::pass::PassOf;
use ota_store::record::{JobPage, Progress, TaskPage};
use ota_store::store::OpenSettings;
use ota_sync::{
    AccountLease, MirrorSync, MirroredProvider, Observer, PassKind, Phase, Reason, Render,
    SourceState, SyncSettings, SyncStatus, WriteKind, job_record, task_record,
};
use time::macros::datetime;
use tokio::task::JoinHandle;

use crate::vendor::{Kind, VENDOR, Vendor};

#[derive(Debug)]
struct Rendered;

impl Render for Rendered {
    fn job(&self, job: Job) -> String {
        // A field that is not told is left out.
        let about = job
            .description
            .map(|about| format!(r#","description":"{about}""#));
        let about = about.unwrap_or_default();
        format!(r#"{{"id":"{}","status":"{}"{about}}}"#, job.id, job.status)
    }

    fn task(&self, task: Task) -> String {
        let progress = task.progress_percent.unwrap_or_default();
        let stage = task.stage.map_or("", ota_core::task::TaskStage::as_str);
        format!(
            r#"{{"id":"{}","job_id":"{}","status":"{}","stage":"{stage}","progress_percent":{progress}}}"#,
            task.id, task.job_id, task.status
        )
    }
}

#[derive(Debug)]
struct Plenty;

impl Quota for Plenty {
    fn limit(&self) -> u32 {
        1000
    }

    fn window_s(&self) -> u32 {
        1
    }

    fn remaining(&self) -> u32 {
        1000
    }
}

/// Calls by reason, passes, writes, and the last state.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    pub(crate) calls: Mutex<Vec<(Reason, u32)>>,
    pub(crate) passes: Mutex<Vec<(PassKind, bool)>>,
    pub(crate) writes: Mutex<Vec<WriteKind>>,
    pub(crate) state: Mutex<Option<(SourceState, bool)>>,
}

impl Observer for Seen {
    fn calls(&self, _: &ProviderName, reason: Reason, calls: u32) {
        self.calls.lock().unwrap().push((reason, calls));
    }

    fn pass_ended(&self, _: &ProviderName, kind: PassKind, complete: bool) {
        self.passes.lock().unwrap().push((kind, complete));
    }

    fn lag(&self, _: &ProviderName, _: Duration) {}

    fn state(&self, _: &ProviderName, state: SourceState, stuck: bool) {
        *self.state.lock().unwrap() = Some((state, stuck));
    }

    fn wrote(&self, kind: WriteKind, _: Duration) {
        self.writes.lock().unwrap().push(kind);
    }

    fn database(&self, _: bool) {}
}

impl Seen {
    pub(crate) fn calls_for(&self, reason: Reason) -> u32 {
        let calls = self.calls.lock().unwrap();
        calls
            .iter()
            .filter(|(of, _)| *of == reason)
            .map(|(_, calls)| calls)
            .sum()
    }
}

pub(crate) struct World {
    pub(crate) clock: ManualClock,
    pub(crate) vendor: Arc<Vendor>,
    pub(crate) seen: Arc<Seen>,
    pub(crate) settings: SyncSettings,
    pub(crate) quota: Arc<AccountQuota>,
    /// The fields whose place is configured.
    pub(crate) fields: Arc<ConfiguredFields>,
    folder: tempfile::TempDir,
    running: Option<(Store, MirrorSync, JoinHandle<()>)>,
}

pub(crate) fn name() -> ProviderName {
    ProviderName::from("p")
}

fn quota(clock: &ManualClock) -> Arc<AccountQuota> {
    let limits = QuotaLimits {
        calls: 90,
        window: Duration::from_secs(60),
        margin: None,
        scope: QuotaScope::Account,
    };
    Arc::new(AccountQuota::new(limits, Arc::new(clock.clone())))
}

impl World {
    pub(crate) fn new(kind: Kind) -> Self {
        let clock = ManualClock::new(datetime!(2026-03-01 12:00 UTC));
        Self {
            vendor: Vendor::new(kind, &clock),
            seen: Arc::default(),
            settings: SyncSettings {
                max_lag: Duration::from_secs(60),
                full_pass: Duration::from_secs(900),
                keep: Duration::from_secs(365 * 24 * 3600),
            },
            quota: quota(&clock),
            clock,
            fields: Arc::default(),
            folder: tempfile::tempdir().unwrap(),
            running: None,
        }
    }

    /// Opens the database, in place of a process.
    pub(crate) async fn open(&self) -> Store {
        let path = self.folder.path().join("mirror.db");
        let settings = OpenSettings {
            url: format!("sqlite:{}", path.display()),
            exclusive: true,
            create: true,
        };
        Store::open(&settings).await.unwrap()
    }

    /// Writes what a process leaves that is killed between the last page of a pass and its end: of the list pass, or of the pass over all tasks of a job.
    pub(crate) async fn leave_at_end(&self, job: Option<&JobId>) {
        let store = self.open().await;
        let sent_at = self.clock.now();
        let of = match job {
            None => PassOf::Jobs(name()),
            Some(job) => PassOf::Tasks(name(), job.clone()),
        };
        let pass = store.begin_pass(&of, sent_at).await.unwrap();
        let pass = Some((pass.id, Progress::default()));
        let (jobs, tasks) = {
            let state = self.vendor.lock();
            let jobs = state.jobs.iter();
            let jobs = jobs.map(|job| self.vendor.shown(&state, job, Detail::Full));
            let jobs = jobs.map(|job| job_record(&Rendered, job)).collect();
            let tasks = state.tasks.iter().filter(|(id, _)| job == Some(*id));
            let tasks = tasks.flat_map(|(_, tasks)| tasks.clone());
            let tasks = tasks.map(|task| task_record(&Rendered, task)).collect();
            (jobs, tasks)
        };
        match job {
            None => {
                let page = JobPage {
                    provider: name(),
                    vendor: VENDOR,
                    sent_at,
                    full: true,
                    rows: jobs,
                    pass,
                };
                store.write_jobs(&page).await.unwrap();
            }
            Some(job) => {
                let page = TaskPage {
                    provider: name(),
                    vendor: VENDOR,
                    job_id: job.clone(),
                    sent_at,
                    rows: tasks,
                    pass,
                };
                store.write_tasks(&page).await.unwrap();
            }
        }
    }

    /// Starts a process.
    pub(crate) async fn start(&mut self) {
        let store = self.open().await;
        self.quota = quota(&self.clock);
        let sync = self.sync_of(&self.vendor, &store, None);
        sync.restore_calls().await.unwrap();
        let own = sync.clone();
        let task = tokio::spawn(async move { own.run().await });
        self.running = Some((store, sync, task));
    }

    /// Makes the sync of a process that reads this vendor.
    pub(crate) fn sync_of(
        &self,
        vendor: &Arc<Vendor>,
        store: &Store,
        lease: Option<Arc<dyn AccountLease>>,
    ) -> MirrorSync {
        let clock: Arc<dyn Clock> = Arc::new(self.clock.clone());
        let provider = ConfiguredProvider::new(
            Arc::<Vendor>::clone(vendor),
            Arc::new(Plenty),
            Duration::from_secs(10),
            Arc::clone(&clock),
        );
        let provider = MirroredProvider {
            provider: Arc::new(provider.with_fields(Arc::clone(&self.fields))),
            account: "account".to_owned(),
            quota: Arc::clone(&self.quota),
            enabled: true,
            lease,
        };
        MirrorSync::new(
            store.clone(),
            vec![provider],
            self.settings,
            clock,
            Arc::new(Rendered),
            self.seen.clone(),
        )
    }

    /// Ends the process without a warning.
    pub(crate) async fn kill(&mut self) {
        if let Some((store, sync, task)) = self.running.take() {
            task.abort();
            let _ = task.await;
            drop((store, sync));
        }
    }

    pub(crate) fn store(&self) -> &Store {
        &self.running.as_ref().unwrap().0
    }

    pub(crate) fn sync(&self) -> &MirrorSync {
        &self.running.as_ref().unwrap().1
    }

    pub(crate) async fn status(&self) -> SyncStatus {
        self.sync().status(&name()).await.unwrap().unwrap()
    }

    /// Lets everything happen that needs no time.
    pub(crate) async fn settle(&self) {
        let mut quiet = 0;
        let mut before = usize::MAX;
        // Work that waits for its time is no work: it is waited for a little longer only.
        while quiet < 200 {
            // The database answers from threads of its own.
            tokio::time::sleep(Duration::from_millis(2)).await;
            let calls = self.vendor.calls();
            let phase = self.status().await.phase;
            let busy = calls != before || phase == Some(Phase::Jobs);
            before = calls;
            quiet = match (busy, phase) {
                (true, _) => 0,
                (false, Some(Phase::Idle)) => quiet + 67,
                (false, _) => quiet + 1,
            };
        }
    }

    /// Lets time pass, in steps of a second.
    pub(crate) async fn pass(&self, seconds: u64) {
        for _ in 0..seconds {
            self.clock.advance(Duration::from_secs(1));
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        self.settle().await;
    }

    /// Lets time pass until something holds.
    #[track_caller]
    pub(crate) fn until<'a>(
        &'a self,
        what: &'a str,
        holds: impl Fn(&SyncStatus) -> bool + 'a,
    ) -> impl Future<Output = ()> + 'a {
        let caller = std::panic::Location::caller();
        async move {
            for _ in 0..20_000 {
                let status = self.status().await;
                if holds(&status) {
                    return;
                }
                self.clock.advance(Duration::from_secs(1));
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            panic!("{what} never came ({caller}): {:?}", self.status().await);
        }
    }

    /// Waits for the end of the first pass.
    pub(crate) async fn first_pass(&self) {
        let of = [name()];
        self.until("the first pass", |_| {
            let source = &self.sync().sources(&of)[0];
            source.lag_s.is_some()
        })
        .await;
    }

    /// Runs a full pass now, to its end.
    pub(crate) async fn full_pass(&self) {
        let asked = self.clock.now();
        self.clock.advance(Duration::from_secs(1));
        assert!(self.sync().request_full_pass(&name()));
        self.until("the end of the pass", |status| {
            status.last_full_pass_at.is_some_and(|at| at > asked)
                && status.phase == Some(Phase::Idle)
        })
        .await;
    }

    /// Asks for a list pass and waits until it has ended, complete or not; what follows from it goes on.
    pub(crate) async fn list_pass(&self) {
        let ended = || {
            let passes = self.seen.passes.lock().unwrap();
            passes
                .iter()
                .filter(|(kind, _)| *kind == PassKind::List)
                .count()
        };
        let before = ended();
        self.clock.advance(Duration::from_secs(1));
        assert!(self.sync().request_full_pass(&name()));
        self.until("the end of the list pass", |_| ended() > before)
            .await;
    }

    /// How many list passes were complete.
    pub(crate) fn complete_lists(&self) -> usize {
        let passes = self.seen.passes.lock().unwrap();
        passes
            .iter()
            .filter(|pass| **pass == (PassKind::List, true))
            .count()
    }

    /// What the mirror shows.
    pub(crate) async fn shown(&self) -> (BTreeSet<String>, BTreeSet<String>) {
        let mut jobs = BTreeSet::new();
        let query = JobQuery {
            providers: vec![name()],
            ..JobQuery::default()
        };
        let mut after: Option<String> = None;
        loop {
            let page = self
                .store()
                .jobs(&query, JobSort::default(), after.as_deref(), 500)
                .await
                .unwrap();
            for job in page.items {
                assert!(jobs.insert(normal(&job.document)), "a job is shown twice");
            }
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        let mut tasks = BTreeSet::new();
        let query = TaskQuery {
            providers: vec![name()],
            ..TaskQuery::default()
        };
        loop {
            let page = self
                .store()
                .tasks(&query, TaskSort::default(), after.as_deref(), 500)
                .await
                .unwrap();
            for task in page.items {
                assert!(
                    tasks.insert(normal(&task.document)),
                    "a task is shown twice"
                );
            }
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        (jobs, tasks)
    }

    /// What the vendor has.
    pub(crate) fn truth(&self) -> (BTreeSet<String>, BTreeSet<String>) {
        let state = self.vendor.lock();
        let jobs = state.jobs.iter().map(|job| {
            let shown = self.vendor.shown(&state, job, Detail::Full);
            normal(&Rendered.job(shown))
        });
        let tasks = state.tasks.values().flatten();
        let tasks = tasks.map(|task| normal(&Rendered.task(task.clone())));
        (jobs.collect(), tasks.collect())
    }

    #[track_caller]
    pub(crate) fn equals<'a>(&'a self, what: &'a str) -> impl Future<Output = ()> + 'a {
        let caller = std::panic::Location::caller();
        async move {
            let (shown, truth) = (self.shown().await, self.truth());
            let differs = |one: &BTreeSet<String>, other: &BTreeSet<String>| {
                one.difference(other).take(5).cloned().collect::<Vec<_>>()
            };
            let wrong = [
                differs(&shown.0, &truth.0),
                differs(&truth.0, &shown.0),
                differs(&shown.1, &truth.1),
                differs(&truth.1, &shown.1),
            ];
            assert!(
                shown == truth,
                "{what} ({caller}): jobs only here {:?}, only there {:?}, tasks only here {:?}, only there {:?}; {:?}",
                wrong[0],
                wrong[1],
                wrong[2],
                wrong[3],
                self.status().await
            );
            assert_eq!(self.store().verify().await.unwrap(), Vec::<String>::new());
        }
    }
}

/// The same fields in the same order, whoever wrote them.
fn normal(document: &str) -> String {
    let value: serde_json::Value = serde_json::from_str(document).unwrap();
    value.to_string()
}
