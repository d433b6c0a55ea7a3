//! What it costs the vendor to keep the mirror true: first passes, looks at running jobs, and passes over jobs of which none runs.

use std::net::SocketAddr;
use std::time::Duration;

use ota_core::clock::{Clock as _, SystemClock};
use ota_sim::{
    Clock, FleetShape, QuotaSetting, RecordedRequest, Refusal, SIMULATORS, Server, Setup, Simulator,
};
use serde_json::Value;

use super::questions::SCENARIO;
use crate::gateway::{self, Gateway, PROVIDER};
use crate::report::{Goal, Report};
use crate::scenario::{Outcome, Setting};

const ROOM: &str = "calls = 1000000";

/// Calls of one look follow each other; between two looks there is more time than this.
const PAUSE: Duration = Duration::from_millis(1_500);

/// A look begins at most every four fifths of it.
const MAX_LAG: Duration = Duration::from_secs(5);

/// The shortest time between two passes over all jobs.
const FULL_PASS: Duration = Duration::from_secs(10);

pub(crate) async fn run(setting: &Setting, report: &mut Report) -> Outcome<()> {
    first_pass_without_limit(setting, report).await?;
    first_pass_at_the_quota(setting, report).await?;
    looks(setting, report).await?;
    quiet_jobs(setting, report).await
}

/// A gateway that mirrors one vendor.
pub(super) struct Mirrored {
    pub(super) gateway: Gateway,
    _folder: tempfile::TempDir,
}

impl Mirrored {
    /// Starts it with these settings of the mirror, on a file of its own, and these sections.
    pub(super) async fn start(setting: &Setting, mirror: &str, section: &str) -> Outcome<Self> {
        let folder = tempfile::TempDir::new()?;
        let path = folder.path().join("mirror.db");
        let mirror = format!(
            "database_url = \"sqlite:{}\"\nquota_share = 1.0\n{mirror}",
            path.display()
        );
        let sections = format!("[log]\nfilter = \"warn\"\n{section}");
        let gateway = Gateway::start_with_mirror(setting, &mirror, &sections).await?;
        Ok(Self {
            gateway,
            _folder: folder,
        })
    }

    /// Waits until the first pass has ended; returns the tasks that it brought.
    pub(super) async fn is_current(&self, at_most: Duration) -> Outcome<f64> {
        let (client, token) = (gateway::client()?, self.gateway.authorization()?);
        let url = self.gateway.url(&format!("{PROVIDER}/sync"));
        let begin = SystemClock.monotonic();
        loop {
            let request = client.get(&url).header("Authorization", &token);
            let text = request.send().await?.text().await?;
            let progress: Value = serde_json::from_str(&text)?;
            if progress["state"] == "current" {
                let tasks = progress["rows"]["tasks"].as_f64();
                return tasks.ok_or_else(|| "the number of tasks is not told".into());
            }
            if begin.elapsed() > at_most {
                return Err(format!("the first pass does not end: {text}").into());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

async fn first_pass_without_limit(setting: &Setting, report: &mut Report) -> Outcome<()> {
    let jobs = if setting.quick { 20 } else { 100 };
    let fleet = FleetShape::uniform(jobs, 1_000).frozen();
    let sim = gateway::simulated(fleet, QuotaSetting::Unlimited).await?;
    let mirrored = Mirrored::start(setting, "", &gateway::one_section(&sim.url(), ROOM)?).await?;
    let tasks = mirrored.is_current(Duration::from_secs(120)).await?;
    let requests = sim.requests();
    report.row(
        SCENARIO,
        &format!("first pass of {tasks} tasks at a vendor without a limit, tasks a second"),
        tasks / span(&requests),
        "",
        Goal::AtLeast(20_000.0),
    );
    report.row(
        SCENARIO,
        "first pass at a vendor without a limit: vendor calls",
        requests.len() as f64,
        "",
        Goal::None,
    );
    Ok(())
}

/// Returns the seconds between the first request and the last.
fn span(requests: &[RecordedRequest]) -> f64 {
    let first = requests.first().map(|request| request.at);
    let last = requests.last().map(|request| request.at);
    match (first, last) {
        (Some(first), Some(last)) => last.saturating_sub(first).as_secs_f64(),
        _ => f64::NAN,
    }
}

async fn first_pass_at_the_quota(setting: &Setting, report: &mut Report) -> Outcome<()> {
    let jobs = if setting.quick { 10 } else { 100 };
    let fleet = FleetShape::uniform(jobs, 1_000).frozen();
    let sim = gateway::simulated(fleet, QuotaSetting::Documented).await?;
    let mirrored = Mirrored::start(setting, "", &gateway::one_section(&sim.url(), "")?).await?;
    let tasks = mirrored.is_current(Duration::from_secs(400)).await?;
    let requests = sim.requests();
    // Ten calls a second, as the vendor documents it.
    let shortest = requests.len() as f64 / 10.0;
    report.row(
        SCENARIO,
        &format!("first pass of {tasks} tasks at 10 calls a second: time, of calls ÷ quota"),
        span(&requests) / shortest,
        "",
        Goal::AtMost(1.1),
    );
    report.row(
        SCENARIO,
        "first pass at 10 calls a second: vendor calls",
        requests.len() as f64,
        "",
        Goal::None,
    );
    report.row(
        SCENARIO,
        "first pass at 10 calls a second: throttled at the vendor",
        sim.counters().refused_for(Refusal::Throttled) as f64,
        "",
        Goal::AtMost(0.0),
    );
    Ok(())
}

async fn looks(setting: &Setting, report: &mut Report) -> Outcome<()> {
    let before = running(100, SocketAddr::from(([127, 0, 0, 1], 0))).await?;
    let address = before.addr();
    let mirror = format!("max_lag_s = {}", MAX_LAG.as_secs());
    let section = gateway::one_section(&before.url(), "")?;
    let mirrored = Mirrored::start(setting, &mirror, &section).await?;
    mirrored.is_current(Duration::from_secs(120)).await?;
    tokio::time::sleep(MAX_LAG).await;
    before.reset_counters();
    tokio::time::sleep(MAX_LAG * 3).await;
    let quiet = calls_of_looks(&before.requests());
    report.row(
        SCENARIO,
        "a look at a running job of 10000 tasks of which none changed: most calls",
        quiet.iter().max().map_or(f64::NAN, |calls| *calls as f64),
        "",
        Goal::AtMost(8.0),
    );
    before.stop().await;
    // The same job, of which 100 tasks have ended meanwhile.
    let after = running(0, address).await?;
    tokio::time::sleep(MAX_LAG * 4).await;
    let changed = calls_of_looks(&after.requests());
    report.row(
        SCENARIO,
        "a look at a running job of 10000 tasks of which 100 changed: calls",
        changed.iter().max().map_or(f64::NAN, |calls| *calls as f64),
        "",
        Goal::AtMost(20.0),
    );
    Ok(())
}

/// One running job of 10,000 tasks that stand still; this many of a hundred are still in progress.
async fn running(left: u32, listen: SocketAddr) -> Outcome<Server> {
    let counts = [
        ("queued", 300),
        ("notified", 200),
        ("in_progress", 200 + left),
        ("succeeded", 9_000 + 100 - left),
        ("failed", 200),
    ];
    let setup = Setup {
        listen,
        fleet: FleetShape::huge_with(&counts).frozen(),
        ..Setup::default()
    };
    Ok(gateway::simulator()?.start(setup).await?)
}

/// Returns how many calls each look took.
fn calls_of_looks(requests: &[RecordedRequest]) -> Vec<usize> {
    let close =
        |one: &RecordedRequest, next: &RecordedRequest| next.at.saturating_sub(one.at) < PAUSE;
    requests.chunk_by(close).map(<[_]>::len).collect()
}

/// A vendor whose list tells the counts of all jobs, which have all ended.
async fn quiet_jobs(setting: &Setting, report: &mut Report) -> Outcome<()> {
    let simulator = second()?;
    let jobs = if setting.quick { 100 } else { 500 };
    let now = SystemClock.now();
    // A day of the fleet's life goes by at once, then time stands still.
    let clock = Clock::manual(now - Duration::from_secs(24 * 3600));
    let setup = Setup {
        clock: clock.clone(),
        fleet: FleetShape::uniform(jobs, 3),
        quota: QuotaSetting::Unlimited,
        ..Setup::default()
    };
    let sim = simulator.start(setup).await?;
    clock.set(now);
    let section = gateway::section(simulator, PROVIDER, &sim.url(), ROOM);
    let mirror = format!("full_pass_s = {}", FULL_PASS.as_secs());
    let mirrored = Mirrored::start(setting, &mirror, &section).await?;
    mirrored.is_current(Duration::from_secs(120)).await?;
    // What the first pass leaves behind.
    tokio::time::sleep(FULL_PASS).await;
    sim.reset_counters();
    let passes = if setting.quick { 1 } else { 3 };
    tokio::time::sleep(FULL_PASS * passes).await;
    report.row(
        SCENARIO,
        &format!("{jobs} jobs of which none runs, at {}: calls for each full pass and the time until the next", simulator.title),
        sim.counters().total_calls() as f64 / f64::from(passes),
        "",
        Goal::AtMost(6.0),
    );
    Ok(())
}

fn second() -> Outcome<&'static Simulator> {
    let second = SIMULATORS.get(1).copied();
    second.ok_or_else(|| "there is no second simulator".into())
}
