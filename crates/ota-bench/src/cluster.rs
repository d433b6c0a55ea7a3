//! Two gateways on one PostgreSQL database: what passing a read on costs, the quota that both use together, and what is noticed when the holder of the account ends.

mod readers;
mod schema;

use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use ota_core::clock::{Clock as _, SystemClock};
use ota_sim::{FleetShape, QuotaSetting, Refusal, Server};
use reqwest::Client;
use serde_json::Value;

use self::readers::{Answer, Kind, Readers, longest_gap};
use self::schema::{SERVER, Schema};
use crate::gateway::{self, Gateway, PROVIDER};
use crate::load::installed;
use crate::nginx::Nginx;
use crate::report::{Goal, Report, median, quantile};
use crate::scenario::{Outcome, Setting};

const SCENARIO: &str = "cluster";

/// A second account, at a vendor without a limit.
const UNLIMITED: &str = "unlimited";

const ROOM: &str = "calls = 1000000";
const CALLS_A_SECOND: u32 = 10;

/// What the readers ask for.
const OPERATION: &str = "QueryOTAJob";
const READERS: usize = 24;
const JOBS: u32 = 96;

/// Nothing is cached, so every read needs a call.
const UNCACHED: &str =
    "[cache]\nmax_age_s = 0\nmin_age_s = 0\nstale_if_error_s = 0\nerror_age_s = 0\n";

/// How long another gateway may take until it calls.
const TAKEOVER: f64 = 15.0;

/// How long what was sent may be on its way to the simulator.
const ARRIVED: Duration = Duration::from_millis(100);

/// How long readers are watched once another gateway calls, longer than nginx leaves one alone that has failed.
const AFTERWARDS: Duration = Duration::from_secs(4);

/// How long a gateway that was paused is left to itself.
const AWAKE: Duration = Duration::from_secs(3);

const LOOK: Duration = Duration::from_millis(5);

/// How the holder ends.
#[derive(Clone, Copy, Debug)]
enum Ending {
    Killed,
    Terminated,
    Paused,
}

/// What both gateways use.
struct Shared<'a> {
    setting: &'a Setting,
    schema: &'a Schema,
    limited: Server,
    unlimited: Server,
    /// Where the two listen.
    addresses: [SocketAddr; 2],
    client: Client,
    token: String,
}

pub(crate) async fn run(setting: &Setting, report: &mut Report) -> Outcome<()> {
    let Some(schema) = Schema::make().await? else {
        report.note(SCENARIO, &format!("left out: {SERVER} is not set"));
        return Ok(());
    };
    let ended = measure(setting, &schema, report).await;
    let removed = schema.remove().await;
    ended.and(removed)
}

async fn measure(setting: &Setting, schema: &Schema, report: &mut Report) -> Outcome<()> {
    let quota = QuotaSetting::Changed {
        calls: Some(CALLS_A_SECOND),
        window: Some(Duration::from_secs(1)),
    };
    let limited = gateway::simulated(FleetShape::uniform(JOBS, 3).frozen(), quota).await?;
    let fleet = FleetShape::uniform(1, 100).frozen();
    let unlimited = gateway::simulated(fleet, QuotaSetting::Unlimited).await?;
    let addresses = [gateway::free_address()?, gateway::free_address()?];
    let mut shared = Shared {
        setting,
        schema,
        limited,
        unlimited,
        addresses,
        client: gateway::client()?,
        token: String::new(),
    };
    // The first one takes the accounts, because it is alone.
    let holder = shared.start(0).await?;
    shared.token = holder.authorization()?;
    shared.until_holder(0).await?;
    let mut gateways = [Some(holder), Some(shared.start(1).await?)];
    hop(&shared, report).await?;
    let folder = tempfile::TempDir::new()?;
    let (nginx, entrances) = entrances(&shared, folder.path(), report).await?;
    let live = shared.readers(&entrances);
    live.begin().await?;
    quota_used(&shared, report).await?;
    killed(&shared, &mut gateways, &entrances, &live, report).await?;
    if !setting.quick {
        for ending in [Ending::Terminated, Ending::Paused] {
            let taken = take_over(&shared, &mut gateways, ending).await?;
            let (what, goal) = match ending {
                Ending::Terminated => ("is asked to end (SIGTERM)", Goal::None),
                _ => ("is paused (SIGSTOP)", Goal::AtMost(TAKEOVER)),
            };
            let figure = format!("the holder {what}: first vendor call of the other one after");
            report.row(SCENARIO, &figure, taken.as_secs_f64(), " s", goal);
        }
    }
    drop((live, nginx));
    let counters = shared.limited.counters();
    report.row(
        SCENARIO,
        &format!(
            "most calls of an operation in any second, as the vendor counts, of {} calls",
            counters.total_calls()
        ),
        counters.max_in_window_of(OPERATION) as f64,
        "",
        Goal::AtMost(f64::from(CALLS_A_SECOND)),
    );
    report.row(
        SCENARIO,
        "throttled at the vendor, during all of it",
        counters.refused_for(Refusal::Throttled) as f64,
        "",
        Goal::AtMost(0.0),
    );
    Ok(())
}

impl Shared<'_> {
    async fn start(&self, place: usize) -> Outcome<Gateway> {
        let mirror = format!(
            "database_url = \"{}\"\nquota_share = 1.0\nmax_lag_s = 5",
            self.schema.url()
        );
        let simulator = gateway::simulator()?;
        let sections = format!(
            "{UNCACHED}[log]\nfilter = \"warn\"\n{}{}",
            gateway::section(simulator, PROVIDER, &self.limited.url(), ""),
            gateway::section(simulator, UNLIMITED, &self.unlimited.url(), ROOM)
        );
        Gateway::start_at(self.setting, self.addresses[place], &mirror, &sections).await
    }

    fn url(&self, place: usize, path: &str) -> String {
        format!("http://{}/v1/providers/{path}", self.addresses[place])
    }

    /// Returns whether a gateway holds the account with the quota.
    async fn holds(&self, place: usize) -> Outcome<bool> {
        let url = format!("http://{}/v1/providers", self.addresses[place]);
        let request = self.client.get(url).header("Authorization", &self.token);
        let text = request.send().await?.error_for_status()?.text().await?;
        let list: Value = serde_json::from_str(&text)?;
        let items = list["items"].as_array().ok_or("no providers")?;
        Ok(items
            .iter()
            .any(|one| one["name"] == PROVIDER && one["holder"] == true))
    }

    async fn until_holder(&self, place: usize) -> Outcome<()> {
        let begin = SystemClock.monotonic();
        while !self.holds(place).await? {
            if begin.elapsed() > Duration::from_secs(60) {
                return Err("no gateway takes the account over".into());
            }
            tokio::time::sleep(LOOK).await;
        }
        Ok(())
    }

    /// Waits until the vendor has got more calls than these.
    async fn until_more_calls(&self, calls: u64) -> Outcome<()> {
        let begin = SystemClock.monotonic();
        while self.limited.counters().total_calls() <= calls {
            if begin.elapsed() > Duration::from_secs(60) {
                return Err("nobody calls the vendor".into());
            }
            tokio::time::sleep(LOOK).await;
        }
        Ok(())
    }

    /// Readers of single jobs, who need a call each.
    fn readers(&self, entrances: &[SocketAddr]) -> Readers {
        let urls = self.job_urls(entrances);
        Readers::start(&self.client, &self.token, urls, READERS, Duration::ZERO)
    }

    /// A reader of single jobs at one gateway, who waits for a second at most.
    fn impatient_reader(&self, place: usize) -> Outcome<Readers> {
        let client = Client::builder().no_proxy().timeout(Duration::from_secs(1));
        let urls = self.job_urls(&[self.addresses[place]]);
        let (client, every) = (client.build()?, Duration::from_millis(100));
        Ok(Readers::start(&client, &self.token, urls, 1, every))
    }

    fn job_urls(&self, entrances: &[SocketAddr]) -> Vec<String> {
        let fleet = self.limited.fleet();
        let urls = fleet.jobs.iter().enumerate().map(|(place, job)| {
            let entrance = entrances[place % entrances.len()];
            format!("http://{entrance}/v1/providers/{PROVIDER}/jobs/{}", job.id)
        });
        urls.collect()
    }

    /// A reader of the fleet.
    fn fleet_readers(&self, entrances: &[SocketAddr]) -> Readers {
        let urls = entrances
            .iter()
            .map(|entrance| format!("http://{entrance}/v1/tasks?page_size=10"));
        let every = Duration::from_millis(50);
        Readers::start(&self.client, &self.token, urls.collect(), 1, every)
    }
}

/// Where clients ask: nginx before both gateways, or the gateways themselves where there is no nginx.
async fn entrances(
    shared: &Shared<'_>,
    folder: &Path,
    report: &Report,
) -> Outcome<(Option<Nginx>, Vec<SocketAddr>)> {
    if !installed("nginx", "-v").await {
        report.note(SCENARIO, "without nginx: it is not installed");
        return Ok((None, shared.addresses.to_vec()));
    }
    let listen = gateway::free_address()?;
    let nginx = Nginx::before_two(folder, listen, shared.addresses).await?;
    let begin = SystemClock.monotonic();
    while tokio::net::TcpStream::connect(listen).await.is_err() {
        if begin.elapsed() > Duration::from_secs(10) {
            return Err("nginx does not start".into());
        }
        tokio::time::sleep(LOOK).await;
    }
    Ok((Some(nginx), vec![listen]))
}

/// The same uncached read at the holder and at the other gateway, in turns.
async fn hop(shared: &Shared<'_>, report: &mut Report) -> Outcome<()> {
    let job = shared.unlimited.fleet().jobs[0].id.clone();
    let path = format!("{UNLIMITED}/jobs/{job}/tasks?page_size=100");
    let rounds = if shared.setting.quick { 50 } else { 1_000 };
    let warm = rounds / 10;
    let mut times = [Vec::new(), Vec::new()];
    for round in 0..rounds + warm {
        for (place, times) in times.iter_mut().enumerate() {
            let sent = SystemClock.monotonic();
            let request = shared.client.get(shared.url(place, &path));
            let answer = request.header("Authorization", &shared.token).send();
            answer.await?.error_for_status()?.bytes().await?;
            if round >= warm {
                times.push(sent.elapsed().as_secs_f64() * 1000.0);
            }
        }
    }
    let mut medians = Vec::new();
    for (name, times) in ["at the holder", "passed on to it"].iter().zip(&mut times) {
        let figure = format!("uncached page of 100 tasks, {name}");
        let half = median(times);
        report.row(
            SCENARIO,
            &format!("{figure}: median"),
            half,
            " ms",
            Goal::None,
        );
        let most = quantile(times, 0.99);
        report.row(
            SCENARIO,
            &format!("{figure}: 99 %"),
            most,
            " ms",
            Goal::None,
        );
        medians.push(half);
    }
    let added = medians[1] - medians[0];
    let figure = "uncached page of 100 tasks: added by passing it on, median";
    report.row(SCENARIO, figure, added, " ms", Goal::None);
    Ok(())
}

/// The quota while readers at both gateways ask for more than it allows.
async fn quota_used(shared: &Shared<'_>, report: &mut Report) -> Outcome<()> {
    let time = Duration::from_secs(if shared.setting.quick { 8 } else { 60 });
    // So that the time does not begin with a full window.
    tokio::time::sleep(Duration::from_secs(2)).await;
    let calls = || shared.limited.counters().calls_of(OPERATION);
    let (begin, before) = (SystemClock.monotonic(), calls());
    tokio::time::sleep(time).await;
    let (spent, made) = (begin.elapsed(), calls() - before);
    let room = f64::from(CALLS_A_SECOND) * spent.as_secs_f64();
    report.row(
        SCENARIO,
        &format!(
            "quota used by {READERS} readers at two gateways, in {} s",
            time.as_secs()
        ),
        100.0 * made as f64 / room,
        " %",
        Goal::AtLeast(95.0),
    );
    Ok(())
}

/// Kills the holder, in a full run three times, and tells what readers notice.
async fn killed(
    shared: &Shared<'_>,
    gateways: &mut [Option<Gateway>; 2],
    entrances: &[SocketAddr],
    live: &Readers,
    report: &mut Report,
) -> Outcome<()> {
    let fleet = shared.fleet_readers(entrances);
    fleet.begin().await?;
    live.forget();
    let times = if shared.setting.quick { 1 } else { 3 };
    let (mut taken, mut gaps) = (Vec::new(), Vec::new());
    for _ in 0..times {
        let begin = SystemClock.monotonic();
        taken.push(
            take_over(shared, gateways, Ending::Killed)
                .await?
                .as_secs_f64(),
        );
        // Until readers have answers again.
        tokio::time::sleep(AFTERWARDS).await;
        gaps.push(longest_gap(begin, &live.answers()));
    }
    let kill = "kill -9 of the holder";
    let first = format!("{kill}: first vendor call of the other one after, longest of {times}");
    let longest = quantile(&mut taken, 1.0);
    report.row(SCENARIO, &first, longest, " s", Goal::AtMost(TAKEOVER));
    let gap = format!("{kill}: longest time without a good answer to reads that need a call");
    report.row(SCENARIO, &gap, quantile(&mut gaps, 1.0), " s", Goal::None);
    // Without a proxy, half of the clients ask a gateway that is gone.
    let none = match entrances.len() {
        1 => Goal::AtMost(0.0),
        _ => Goal::None,
    };
    let (live, fleet) = (live.answers(), fleet.answers());
    let count = |answers: &[Answer], kinds: &[Kind]| {
        let counted = answers.iter().filter(|one| kinds.contains(&one.kind));
        counted.count() as f64
    };
    let bad = format!(
        "{kill}: of {} answers to such reads neither good nor 503 with Retry-After",
        live.len()
    );
    report.row(SCENARIO, &bad, count(&live, &[Kind::Bad]), "", none);
    let bad = format!(
        "{kill}: of {} answers to a question about the fleet not good",
        fleet.len()
    );
    let counted = count(&fleet, &[Kind::Bad, Kind::Later]);
    report.row(SCENARIO, &bad, counted, "", none);
    let slowest = fleet.iter().map(|one| one.took).max().unwrap_or_default();
    let slow = format!("{kill}: slowest answer to a question about the fleet");
    let millis = slowest.as_secs_f64() * 1000.0;
    report.row(SCENARIO, &slow, millis, " ms", Goal::None);
    Ok(())
}

/// Ends the holder, waits for the first call of the other one, and starts the first one again. Returns the time from the end to the call.
async fn take_over(
    shared: &Shared<'_>,
    gateways: &mut [Option<Gateway>; 2],
    ending: Ending,
) -> Outcome<Duration> {
    let place = usize::from(!shared.holds(0).await?);
    let other = 1 - place;
    let holder = gateways[place].take().ok_or("the holder does not run")?;
    let begin = SystemClock.monotonic();
    let taken = match ending {
        Ending::Killed => {
            drop(holder);
            first_call(shared, begin).await?
        }
        Ending::Paused => {
            // All others may wait for the one that is paused.
            let _asking = shared.impatient_reader(other)?;
            holder.signal("STOP").await?;
            let taken = first_call(shared, begin).await?;
            holder.signal("CONT").await?;
            // It wakes up, and must not call: the vendor would throttle.
            tokio::time::sleep(AWAKE).await;
            drop(holder);
            taken
        }
        Ending::Terminated => {
            holder.signal("TERM").await?;
            shared.until_holder(other).await?;
            let calls = shared.limited.counters().total_calls();
            shared.until_more_calls(calls).await?;
            let taken = begin.elapsed();
            drop(holder);
            taken
        }
    };
    gateways[place] = Some(shared.start(place).await?);
    Ok(taken)
}

/// Waits for a call of the gateway that is left; returns the time since `begin`.
async fn first_call(shared: &Shared<'_>, begin: Instant) -> Outcome<Duration> {
    // What the one that has ended sent last has arrived by then.
    tokio::time::sleep(ARRIVED).await;
    let calls = shared.limited.counters().total_calls();
    shared.until_more_calls(calls).await?;
    Ok(begin.elapsed())
}
