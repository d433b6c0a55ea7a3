//! Two gateways on one database: who holds the account reads the vendor, the others show what it reports and leave requests. Time is moved by hand; only the
//! reports are as old as the database's clock says.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU32, Ordering};
use std::time::Duration;

use ota_core::clock::{Clock, ManualClock};
use ota_core::id::ProviderName;
use ota_core::job::JobStatus::{Completed, InProgress};
use ota_core::task::TaskStatus::{Pending, Succeeded};
use ota_store::lease::{Claim, Fence, Fencing, Tenure};
use ota_store::{OpenSettings, Store};
use ota_sync::{AccountLease, MirrorSync, Phase, SourceState, SyncStatus};
use tokio::task::JoinHandle;

use crate::vendor::{Kind, Vendor};
use crate::world::{World, name};

const SERVER: &str = "OTA_TEST_POSTGRES_URL";

/// What a gateway believes of its lease: the epoch, or 0.
#[derive(Debug)]
struct Belief {
    process: &'static str,
    epoch: AtomicI64,
}

impl AccountLease for Belief {
    fn epoch(&self) -> Option<i64> {
        Some(self.epoch.load(Ordering::SeqCst)).filter(|epoch| *epoch > 0)
    }
}

impl Fencing for Belief {
    fn fence(&self, _: &ProviderName) -> Fence {
        self.epoch().map_or(Fence::NotHeld, |epoch| {
            Fence::Held(Tenure {
                account: "account".to_owned(),
                holder: self.process.to_owned(),
                epoch,
            })
        })
    }
}

/// A gateway. Both have the same jobs at the vendor, so that the calls of each are counted apart.
struct Member {
    belief: Arc<Belief>,
    vendor: Arc<Vendor>,
    store: Store,
    sync: MirrorSync,
    running: JoinHandle<()>,
}

impl Drop for Member {
    fn drop(&mut self) {
        self.running.abort();
    }
}

impl Member {
    async fn start(process: &'static str, url: &str, world: &World) -> Self {
        let settings = OpenSettings {
            url: url.to_owned(),
            exclusive: false,
            create: true,
        };
        let belief = Arc::new(Belief {
            process,
            epoch: AtomicI64::default(),
        });
        let store = Store::open(&settings).await.unwrap();
        let store = store.with_fencing(Arc::<Belief>::clone(&belief));
        let vendor = Vendor::new(Kind::ByStatus, &world.clock);
        let lease = Some(Arc::<Belief>::clone(&belief) as Arc<dyn AccountLease>);
        let sync = world.sync_of(&vendor, &store, lease);
        let own = sync.clone();
        let running = tokio::spawn(async move { own.run().await });
        Self {
            belief,
            vendor,
            store,
            sync,
            running,
        }
    }

    /// Takes the free account over.
    async fn take_over(&self) {
        let claim = Claim {
            account: "account".to_owned(),
            holder: self.belief.process.to_owned(),
            address: String::new(),
            length: Duration::from_secs(3600),
            epoch: None,
        };
        let granted = self.store.claim_lease(&claim).await.unwrap().unwrap();
        self.belief.epoch.store(granted.epoch, Ordering::SeqCst);
    }

    /// Its lease ends; it does not know of that.
    async fn lease_ends(&self) {
        let Fence::Held(tenure) = self.belief.fence(&name()) else {
            panic!("it holds the account");
        };
        assert!(self.store.release_lease(&tenure, &[]).await.unwrap());
    }

    fn forget(&self) {
        self.belief.epoch.store(0, Ordering::SeqCst);
    }

    async fn status(&self) -> SyncStatus {
        self.sync.status(&name()).await.unwrap().unwrap()
    }

    fn source(&self) -> (SourceState, Option<String>) {
        let source = self.sync.sources(&[name()]).remove(0);
        (source.state, source.problem)
    }
}

/// Two gateways, of which none holds the account yet.
struct Two {
    world: World,
    a: Member,
    b: Member,
}

impl Two {
    async fn start(url: &str) -> Self {
        let world = World::new(Kind::ByStatus);
        let (a, b) = (
            Member::start("a", url, &world).await,
            Member::start("b", url, &world).await,
        );
        for member in [&a, &b] {
            member.vendor.add("one", InProgress, &[(Pending, 350)]);
            member.vendor.add("two", Completed, &[(Succeeded, 150)]);
        }
        Self { world, a, b }
    }

    fn clock(&self) -> &ManualClock {
        &self.world.clock
    }

    /// Lets time pass until something holds.
    async fn until(&self, what: &str, mut holds: impl AsyncFnMut() -> bool) {
        for _ in 0..5_000 {
            if holds().await {
                return;
            }
            self.clock().advance(Duration::from_secs(1));
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        panic!(
            "{what} never came: {:?} {:?}",
            self.a.status().await,
            self.b.status().await
        );
    }

    async fn current(&self, member: &Member) {
        self.until("a current mirror", async || {
            member.source().0 == SourceState::Current
        })
        .await;
    }
}

/// Runs a test on SQLite, and on PostgreSQL where a server is named.
async fn on_both(test: impl AsyncFn(&str)) {
    let folder = tempfile::tempdir().unwrap();
    test(&format!(
        "sqlite:{}",
        folder.path().join("mirror.db").display()
    ))
    .await;
    let Ok(server) = std::env::var(SERVER) else {
        println!("left out on PostgreSQL, because {SERVER} is not set");
        return;
    };
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let schema = format!("sync_{}_{number}", std::process::id());
    execute(&server, &format!("CREATE SCHEMA {schema}")).await;
    let separator = if server.contains('?') { '&' } else { '?' };
    test(&format!(
        "{server}{separator}options=-csearch_path%3D{schema}%2Cpublic"
    ))
    .await;
    execute(&server, &format!("DROP SCHEMA {schema} CASCADE")).await;
}

/// Runs statements past the store.
async fn execute(url: &str, statements: &str) {
    if let Some(path) = url.strip_prefix("sqlite:") {
        let connection = rusqlite::Connection::open(path).unwrap();
        return connection.execute_batch(statements).unwrap();
    }
    let connected = tokio_postgres::connect(url, tokio_postgres::NoTls).await;
    let (client, connection) = connected.unwrap();
    tokio::spawn(connection);
    client.batch_execute(statements).await.unwrap();
}

#[tokio::test]
async fn the_others_show_what_the_holder_reports_and_call_nothing() {
    on_both(async |url| {
        let two = Two::start(url).await;
        assert_eq!(two.b.source(), (SourceState::Syncing, None));
        two.a.take_over().await;
        two.current(&two.a).await;
        two.current(&two.b).await;
        two.until("the same figures", async || {
            let (own, shown) = (two.a.status().await, two.b.status().await);
            let figures = |of: &SyncStatus| (of.rows, of.jobs_seen, of.tasks_seen, of.calls);
            figures(&own) == figures(&shown) && shown.phase == Some(Phase::Idle)
        })
        .await;
        assert_eq!(two.b.status().await.rows.tasks, 500);
        assert!(two.a.vendor.calls() > 0);
        assert_eq!(two.b.vendor.calls(), 0);
    })
    .await;
}

#[tokio::test]
async fn a_pass_that_is_asked_for_anywhere_is_made_by_the_holder() {
    on_both(async |url| {
        let two = Two::start(url).await;
        two.a.take_over().await;
        two.current(&two.b).await;
        let before = two.a.status().await.last_full_pass_at.unwrap();
        two.clock().advance(Duration::from_secs(5));
        assert!(!two.b.sync.request_full_pass(&name()));
        assert!(two.b.sync.ask_full_pass(&name()).await.unwrap());
        two.until("the pass that was asked for", async || {
            let shown = two.b.status().await.last_full_pass_at;
            shown.is_some_and(|at| at > before + Duration::from_secs(1))
        })
        .await;
        // Once.
        two.until("the end of the request", async || {
            two.a.store.shared_syncs().await.unwrap()[0]
                .requested
                .is_none()
        })
        .await;
        assert_eq!(two.b.vendor.calls(), 0);
    })
    .await;
}

#[tokio::test]
async fn a_pass_that_was_asked_for_while_nobody_held_the_account_is_made_by_the_next_holder() {
    on_both(async |url| {
        let two = Two::start(url).await;
        two.a.take_over().await;
        two.current(&two.b).await;
        two.a.lease_ends().await;
        two.a.forget();
        let before = two.b.status().await.last_full_pass_at.unwrap();
        two.clock().advance(Duration::from_secs(5));
        assert!(two.a.sync.ask_full_pass(&name()).await.unwrap());
        let calls = two.a.vendor.calls();
        two.b.take_over().await;
        two.until("the pass that was asked for", async || {
            let made = two.b.status().await.last_full_pass_at;
            made.is_some_and(|at| at > before + Duration::from_secs(1))
        })
        .await;
        assert_eq!(two.a.vendor.calls(), calls);
    })
    .await;
}

#[tokio::test]
async fn what_is_left_of_a_first_pass_is_what_the_next_holder_makes() {
    on_both(async |url| {
        let two = Two::start(url).await;
        let began = two.clock().now();
        two.a.take_over().await;
        two.until("some of the tasks", async || {
            two.a.status().await.rows.tasks > 0
        })
        .await;
        two.a.lease_ends().await;
        two.a.forget();
        two.b.take_over().await;
        two.current(&two.b).await;
        assert_eq!(two.b.status().await.rows.tasks, 500);
        // Not with the next list.
        let took = two.clock().now() - began;
        assert!(took < two.world.settings.full_pass, "{took}");
        assert_eq!(two.b.store.verify().await.unwrap(), Vec::<String>::new());
    })
    .await;
}

#[tokio::test]
async fn who_does_not_know_yet_that_its_lease_is_another_s_writes_nothing_and_does_not_fail() {
    on_both(async |url| {
        let two = Two::start(url).await;
        two.a.take_over().await;
        two.current(&two.b).await;
        two.a.lease_ends().await;
        two.b.take_over().await;
        // Only the one that was superseded can see this job. Both take a request up.
        two.a.vendor.add("three", InProgress, &[(Pending, 10)]);
        for _ in 0..3 {
            let before = two.b.status().await.last_full_pass_at.unwrap();
            two.clock().advance(Duration::from_secs(5));
            assert!(two.b.sync.ask_full_pass(&name()).await.unwrap());
            two.until("the pass of the holder", async || {
                let made = two.b.status().await.last_full_pass_at;
                made.is_some_and(|at| at > before + Duration::from_secs(1))
            })
            .await;
        }
        two.current(&two.b).await;
        assert_eq!(two.b.status().await.rows.jobs, 2);
        assert_eq!(two.a.status().await.problem, None);
        // It comes to know, and shows what the other one reports.
        two.a.forget();
        two.current(&two.a).await;
        assert_eq!(two.a.source(), (SourceState::Current, None));
        assert_eq!(two.a.status().await.rows.jobs, 2);
    })
    .await;
}

#[tokio::test]
async fn when_nobody_reports_the_others_say_so() {
    on_both(async |url| {
        let two = Two::start(url).await;
        two.a.take_over().await;
        two.current(&two.b).await;
        two.a.lease_ends().await;
        two.a.forget();
        two.until("a look after the last report", async || {
            two.a.source().0 == SourceState::Current
        })
        .await;
        execute(
            url,
            "UPDATE sync_reports SET reported_at = reported_at - 90000",
        )
        .await;
        two.until("the word about it", async || {
            let (state, problem) = two.b.source();
            let says =
                problem.is_some_and(|problem| problem.contains("none holds its vendor account"));
            state == SourceState::Behind && says
        })
        .await;
    })
    .await;
}
