//! Gateways that run as programs on one database, and what must hold whatever becomes of them.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use ota_sim::{FleetShape, Quota, Refusal, Server, huawei};
use ota_tests::postgres::Schema;
use ota_tests::token::minted;
use ota_tests::vendors::huawei_config;
use ota_tests::wire::{self, Reply, until};
use ota_tests::{Relay, Section, gateway};
use serde_json::Value;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::process::Child;
use tokio::task::JoinSet;

use crate::program::commands::{listening, signal};
use crate::program::configuration::File;
use crate::program::database::{get, program, told};
use crate::routes::jobs::get_stats;
use crate::setup::{HUA, World, with};

/// How long a gateway that only looks up what it knows may take to say whether it holds the account. One that is stopped never does.
const LONGEST_LOOK: Duration = Duration::from_secs(2);

/// The pause between two looks at all gateways.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// What the gateways share.
pub(super) struct Site {
    pub(super) schema: Schema,
    pub(super) sim: Server,
    quota: Quota,
}

impl Site {
    /// None, with a word about it, where there is no PostgreSQL. The vendor and the gateways have the same quota.
    pub(super) async fn new(fleet: FleetShape, quota: Quota) -> Option<Self> {
        let schema = Schema::make().await?;
        let config = huawei::Config {
            quota: Some(quota),
            ..huawei_config(fleet.frozen())
        };
        let sim = huawei::start(config).await.unwrap();
        Some(Self { schema, sim, quota })
    }

    /// Starts a gateway. It has to itself: the line to the vendor, so that its calls are told from those of the others; the line to the database; and the line
    /// by which the others reach it.
    pub(super) async fn gateway(&self) -> Member {
        let vendor = Relay::to(self.sim.addr()).await;
        let database = Relay::to(self.schema.address()).await;
        let public = Relay::start().await;
        // A read is made anew each time; an older answer stands in for one that fails.
        let head = gateway::head()
            .replace("stale_if_error_s = 0", "stale_if_error_s = 3600")
            .replace("[server]\n", "[server]\nrequest_timeout_ms = 8000\n");
        let section = Section::huawei(HUA, &format!("http://{}", vendor.address()))
            .limit("account = \"fleet\"")
            .limit(&format!("calls = {}", self.quota.calls))
            .limit(&format!("window_s = {}", self.quota.window.as_secs()));
        let file = File::new(&format!(
            "{head}{}[mirror]\nquota_share = 1.0\ndatabase_url = \"{}\"\n[cluster]\nadvertise_url = \"http://{}\"\n",
            section.to_toml(),
            self.schema.url(Some(&database.address().to_string())),
            public.address(),
        ));
        let (child, mut lines, address) = listening(program(&file, &["serve"])).await;
        public.lead_to(address);
        let mut log = JoinSet::new();
        // Nobody may leave its pipe full. The lines help where a test fails.
        log.spawn(async move {
            while let Ok(Some(line)) = lines.next_line().await {
                // It asks much.
                if !line.contains(" answered GET ") {
                    println!("{address}: {line}");
                }
            }
        });
        Member {
            child,
            address,
            file,
            vendor,
            database,
            _public: public,
            _log: log,
        }
    }

    /// The times at which calls of a gateway came to the vendor.
    pub(super) fn calls_of(&self, member: &Member) -> Vec<Duration> {
        let host = member.vendor.address().to_string();
        let is_its = |(name, value): &(String, String)| name == "host" && *value == host;
        let requests = self.sim.requests().into_iter();
        requests
            .filter(|request| request.headers.iter().any(is_its))
            .map(|request| request.at)
            .collect()
    }

    /// `after` called nothing until a whole window had passed since the last call of `before`.
    pub(super) fn a_window_lies_between(&self, before: &Member, after: &Member) {
        let (last, first) = (self.calls_of(before), self.calls_of(after));
        let (last, first) = (last.last().unwrap(), first.first().unwrap());
        assert!(*first >= *last + self.quota.window, "{last:?}, {first:?}");
    }

    /// The vendor refused nothing for its quota.
    pub(super) fn no_throttle(&self) {
        let counters = self.sim.counters();
        assert_eq!(counters.refused_for(Refusal::Throttled), 0, "{counters:?}");
    }

    /// The number of the latest tenure, and the process that has it.
    pub(super) async fn tenure(&self) -> (i64, String) {
        let rows = self.schema.connect().await;
        let rows = rows.query("SELECT epoch, holder FROM leases", &[]).await;
        let rows = rows.unwrap();
        assert_eq!(rows.len(), 1);
        (rows[0].get(0), rows[0].get(1))
    }

    /// The mirror is what the vendor has, as this gateway shows it: no row is missing or there twice, no count is wrong, and no point of the history is there
    /// twice.
    pub(super) async fn is_mirrored_exactly(&self, member: &Member) {
        let truth = self.sim.fleet();
        let listed = member.all("/v1/jobs?page_size=100").await;
        let ids: BTreeSet<&str> = listed.iter().map(|job| text(job, "id")).collect();
        let wanted: BTreeSet<&str> = truth.jobs.iter().map(|job| job.id.as_str()).collect();
        assert_eq!((listed.len(), ids), (truth.jobs.len(), wanted));
        let tasks = member.all("/v1/tasks?page_size=500").await;
        let total: u64 = truth.jobs.iter().map(|job| job.total).sum();
        assert_eq!(tasks.len() as u64, total);
        for job in &truth.jobs {
            let of = |task: &&Value| task["job_id"] == *job.id;
            let own: Vec<&Value> = tasks.iter().filter(of).collect();
            let mut ids: Vec<&str> = own.iter().map(|task| text(task, "id")).collect();
            ids.sort_unstable();
            let mut wanted = truth.task_ids(&job.id);
            wanted.sort_unstable();
            assert_eq!(ids, wanted, "{}", job.id);
            for (word, count) in &job.tasks {
                let of = |task: &&&Value| task["vendor"]["status"] == **word;
                assert_eq!(own.iter().filter(of).count() as u64, *count, "{word}");
            }
            let shown = listed.iter().find(|shown| shown["id"] == *job.id).unwrap();
            get_stats::check(HUA, job, &shown["stats"]);
            let path = format!("{}/{}/history", World::jobs_path(HUA), job.id);
            let history = member.get(&path).await.ok();
            let points = history["points"].as_array().unwrap();
            for pair in points.windows(2) {
                assert!(text(&pair[0], "at") < text(&pair[1], "at"), "{history}");
                assert_ne!(pair[0]["counts"], pair[1]["counts"], "{history}");
            }
            get_stats::check(HUA, job, &points.last().unwrap()["counts"]);
        }
        let whole = "all counts are those of the rows\n".to_owned();
        let verified = told(&member.file, &["mirror", "verify"]).await;
        assert_eq!(verified, (Some(0), whole, String::new()));
    }

    /// Ends everything that is left, and forgets the rows.
    pub(super) async fn close(self, members: Vec<Member>) {
        for mut member in members {
            // One that has ended already cannot be ended.
            let _ended = member.child.kill().await;
        }
        self.schema.remove().await;
    }
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap()
}

/// A gateway that runs as a program. It is killed when it is dropped.
pub(super) struct Member {
    pub(super) child: Child,
    pub(super) address: SocketAddr,
    file: File,
    vendor: Relay,
    pub(super) database: Relay,
    _public: Relay,
    _log: JoinSet<()>,
}

impl Member {
    pub(super) async fn get(&self, path: &str) -> Reply {
        get(self.address, path).await
    }

    /// All rows of a list of the fleet.
    async fn all(&self, path: &str) -> Vec<Value> {
        let mut rows = Vec::new();
        let mut next = path.to_owned();
        loop {
            let page = self.get(&next).await.ok();
            rows.extend(page["items"].as_array().unwrap().iter().cloned());
            match page["next_cursor"].as_str() {
                Some(cursor) => next = with(path, "cursor", cursor),
                None => return rows,
            }
        }
    }

    /// Says whether it holds the account.
    pub(super) async fn holds(&self) -> bool {
        holds(self.address).await
    }

    /// Waits until it holds the account.
    pub(super) async fn takes_over(&self) {
        until(async || self.holds().await).await;
    }

    /// Its progress, as it shows it.
    pub(super) async fn progress(&self) -> Value {
        self.get(&sync()).await.ok()
    }

    /// Waits until the mirror is current.
    pub(super) async fn is_current(&self) {
        until(async || self.progress().await["state"] == "current").await;
    }

    /// When the last full pass began, as it shows it.
    pub(super) async fn last_pass(&self) -> Option<OffsetDateTime> {
        let progress = self.progress().await;
        let at = progress["last_full_pass_at"].as_str()?;
        Some(OffsetDateTime::parse(at, &Rfc3339).unwrap())
    }

    /// Asks for a full pass.
    pub(super) async fn ask_pass(&self) {
        let request = request(self.address, "POST", &sync());
        let reply = wire::exchange(self.address, &request).await;
        assert_eq!(reply.status, 202, "{}", reply.shown());
    }

    /// Waits until it shows a later pass. In memory a time is finer than in the database.
    pub(super) async fn shows_a_pass_after(&self, before: Option<OffsetDateTime>) {
        let later = before.unwrap() + Duration::from_millis(2);
        until(async || self.last_pass().await > Some(later)).await;
    }

    pub(super) async fn signal(&self, name: &str) {
        signal(&self.child, name).await;
    }
}

fn sync() -> String {
    format!("/v1/providers/{HUA}/sync")
}

fn request(address: SocketAddr, method: &str, path: &str) -> Vec<u8> {
    let headers = [
        ("Host".to_owned(), address.to_string()),
        (
            "Authorization".to_owned(),
            format!("Bearer {}", minted("ota:read ota:admin", None)),
        ),
    ];
    wire::request(method, path, &headers, b"")
}

/// Whether a gateway says that it holds the account. One that does not answer does not say so.
async fn holds(address: SocketAddr) -> bool {
    let asked = async {
        let mut stream = TcpStream::connect(address).await.ok()?;
        let path = format!("/v1/providers/{HUA}");
        stream
            .write_all(&request(address, "GET", &path))
            .await
            .ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.ok()?;
        Some(answer.contains("\"holder\":true"))
    };
    let said = tokio::time::timeout(LONGEST_LOOK, asked).await;
    said.ok().flatten().unwrap_or(false)
}

async fn holders(addresses: &[SocketAddr]) -> usize {
    let mut count = 0;
    for address in addresses {
        count += usize::from(holds(*address).await);
    }
    count
}

/// Looks all the time whether two gateways say that they hold the account.
pub(super) struct Watch(JoinSet<()>);

impl Watch {
    pub(super) fn over(members: &[&Member]) -> Self {
        let addresses: Vec<SocketAddr> = members.iter().map(|member| member.address).collect();
        let mut task = JoinSet::new();
        task.spawn(async move {
            loop {
                // In one look the account may move behind the first that is asked. Who still has it in the next one did not give it up.
                let twice = holders(&addresses).await > 1 && holders(&addresses).await > 1;
                assert!(!twice, "two gateways hold the account");
                tokio::time::sleep(LOOK_EVERY).await;
            }
        });
        Self(task)
    }

    /// There never were two.
    pub(super) fn end(mut self) {
        let ended = self.0.try_join_next();
        assert!(ended.is_none(), "{ended:?}");
    }
}
