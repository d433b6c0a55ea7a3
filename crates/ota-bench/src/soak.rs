//! Ten minutes of everything at once: a fifth of all calls failing, and vendors whose travel time changes all the time.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use ota_sim::{FleetShape, QuotaSetting, Refusal, SIMULATORS, Server, Setup};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::delayed_link::DelayedLink;
use crate::faults;
use crate::gateway::{self, Gateway, client};
use crate::report::{Goal, Report};
use crate::scenario::{Outcome, Setting};

const SCENARIO: &str = "soak";

/// How many readers go through all questions.
const READERS: usize = 16;

/// How many readers ask a few questions again and again.
const POLLERS: usize = 8;

/// How many questions these are.
const POPULAR: usize = 40;

/// The quotas of the vendors in turn, calls and seconds: a short window and a long one. The gateway is given the same.
const QUOTAS: [(u32, u64); 2] = [(10, 1), (90, 60)];

/// What a reader waits between two questions.
const PAUSE: Duration = Duration::from_millis(50);

/// The size of the response cache in bytes: so small that it is full long before a third of the time is over. What grows after that is not the cache.
const KEPT: u32 = 8 << 20;

/// How often the travel time changes.
const CHANGE: Duration = Duration::from_millis(500);

/// The travel times of a round trip, in milliseconds, in an order without a rule that a gateway could follow.
const ROUND_TRIPS: [u64; 12] = [1, 400, 7, 120, 33, 400, 250, 2, 60, 310, 15, 180];

/// How often memory is looked at.
const LOOK: Duration = Duration::from_secs(5);

pub(crate) async fn run(setting: &Setting, report: &mut Report) -> Outcome<()> {
    let time = Duration::from_secs(if setting.quick { 60 } else { 600 });
    let fleet = FleetShape::uniform(200, 300).frozen();
    let (mut vendors, mut lines) = (Vec::new(), Vec::new());
    let mut sections = format!("[cache]\nmax_bytes = {KEPT}\n[log]\nfilter = \"off\"\n");
    for (one, (calls, seconds)) in SIMULATORS.iter().zip(QUOTAS.into_iter().cycle()) {
        let setup = Setup {
            fleet: fleet.clone(),
            quota: QuotaSetting::Changed {
                calls: Some(calls),
                window: Some(Duration::from_secs(seconds)),
            },
            ..Setup::default()
        };
        let server = one.start(setup).await?;
        // A throttle that is played would hide one that the gateway has earned.
        server.set_faults(faults::mixed_without_throttles());
        let link = DelayedLink::start(server.addr(), Duration::from_millis(ROUND_TRIPS[0])).await?;
        let limits = format!("calls = {calls}\nwindow_s = {seconds}\ntimeout_ms = 2000");
        sections.push_str(&gateway::section(one, one.name, &link.url(), &limits));
        lines.push(Arc::new(link));
        vendors.push((*one, server));
    }
    let metrics = gateway::free_address()?;
    let gateway = Gateway::start_with_metrics(setting, metrics, &sections).await?;
    let idle = gateway.resident_bytes().unwrap_or(f64::NAN) / 1e6;
    let named = vendors.iter().map(|(one, server)| (one.name, server));
    let urls = Arc::new(urls(&gateway, named));
    let (client, token) = (client()?, gateway.authorization()?);
    let (good, refused) = (Arc::<AtomicU64>::default(), Arc::<AtomicU64>::default());
    let mut running = JoinSet::new();
    for reader in 0..READERS + POLLERS {
        let (client, token, urls) = (client.clone(), token.clone(), Arc::clone(&urls));
        let (good, refused) = (Arc::clone(&good), Arc::clone(&refused));
        running.spawn(async move {
            let mut at = reader * 37;
            loop {
                // Steps of each reader's own, so that they meet at some questions and not at others.
                let all = if reader < READERS {
                    urls.len()
                } else {
                    POPULAR
                };
                at = (at + 1 + reader * 2) % all;
                let request = client.get(&urls[at]).header("Authorization", &token);
                let answered = match request.send().await {
                    Ok(answer) => answer.status().is_success() && answer.bytes().await.is_ok(),
                    Err(_) => false,
                };
                match answered {
                    true => good.fetch_add(1, Ordering::Relaxed),
                    false => refused.fetch_add(1, Ordering::Relaxed),
                };
                tokio::time::sleep(PAUSE).await;
            }
        });
    }
    let changing = lines.clone();
    running.spawn(async move {
        for at in 0.. {
            for (line, shift) in changing.iter().zip([0, 5].into_iter().cycle()) {
                let milliseconds = ROUND_TRIPS[(at + shift) % ROUND_TRIPS.len()];
                line.set(Duration::from_millis(milliseconds));
            }
            tokio::time::sleep(CHANGE).await;
        }
    });
    let begin = Instant::now();
    let mut resident = Vec::new();
    while begin.elapsed() < time {
        tokio::time::sleep(LOOK).await;
        resident.push(gateway.resident_bytes().unwrap_or(f64::NAN) / 1e6);
    }
    let cached = cached_bytes(&client, metrics).await? / 1e6;
    drop(running);
    // The cache fills up first.
    let third = resident.len() / 3;
    let most = |part: &[f64]| part.iter().copied().fold(0.0, f64::max);
    let (middle, last) = (
        most(&resident[third..2 * third]),
        most(&resident[2 * third..]),
    );
    let seconds = time.as_secs();
    report.row(
        SCENARIO,
        &format!("{seconds} s: most memory in the last third"),
        last,
        " MB",
        Goal::None,
    );
    let now = resident.last().copied().unwrap_or(f64::NAN);
    for (what, value) in [
        ("of it before the first question", idle),
        ("of it cached responses, as counted", cached),
        ("of it the rest", now - idle - cached),
    ] {
        report.row(SCENARIO, what, value, " MB", Goal::None);
    }
    report.row(
        SCENARIO,
        "most memory in the last third, against the third before",
        last / middle,
        "",
        Goal::AtMost(1.1),
    );
    report.row(
        SCENARIO,
        "good answers",
        good.load(Ordering::Relaxed) as f64,
        "",
        Goal::None,
    );
    report.row(
        SCENARIO,
        "refusals",
        refused.load(Ordering::Relaxed) as f64,
        "",
        Goal::None,
    );
    for (one, server) in &vendors {
        let name = one.title;
        let counters = server.counters();
        report.row(
            SCENARIO,
            &format!("calls to {name}"),
            counters.total_calls() as f64,
            "",
            Goal::None,
        );
        report.row(
            SCENARIO,
            &format!("throttled at {name}"),
            counters.refused_for(Refusal::Throttled) as f64,
            "",
            Goal::AtMost(0.0),
        );
    }
    Ok(())
}

/// Asks how much memory the cached responses take.
async fn cached_bytes(client: &reqwest::Client, metrics: SocketAddr) -> Outcome<f64> {
    let url = format!("http://{metrics}/metrics");
    let text = client.get(url).send().await?.text().await?;
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("ota_cache_bytes "));
    Ok(line
        .ok_or("the metrics do not report the size of the cache")?
        .trim()
        .parse()?)
}

/// Every kind of question about every job, of all providers.
fn urls<'a>(
    gateway: &Gateway,
    servers: impl Iterator<Item = (&'a str, &'a Server)>,
) -> Vec<String> {
    let mut urls = Vec::new();
    for (provider, server) in servers {
        for (number, job) in server.fleet().jobs.into_iter().enumerate() {
            let path = format!("{provider}/jobs/{}", job.id);
            let size = number % 100 + 1;
            urls.push(gateway.url(&path));
            urls.push(gateway.url(&format!("{path}/tasks?page_size={size}")));
            urls.push(gateway.url(&format!("{path}/stats")));
            urls.push(gateway.url(&format!("{provider}/jobs?page_size={size}")));
        }
    }
    urls
}
