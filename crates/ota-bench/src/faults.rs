//! A fifth of all calls failing, and a vendor that is dead.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use ota_core::clock::{Clock, SystemClock};
use ota_sim::{Fault, FaultKind, FleetShape, QuotaSetting, SIMULATORS, Server, Setup};

use crate::gateway::{self, Gateway, client};
use crate::report::{Goal, Report, quantile};
use crate::scenario::{Outcome, Setting};

const SCENARIO: &str = "faults";
const CLIENTS: usize = 16;

/// The share of calls that go wrong.
const SHARE: f64 = 0.2;

/// Every kind that damages a whole answer and can pass at every vendor. Left out are the answers that are refusals and final by rule, from
/// any vendor: a signature that is refused (vendors lock keys for it), an argument that is (`xml_4xx`), an error of the
/// product (`product_error`, which may be an application that does not exist); repeating them would be wrong.
const KINDS: [FaultKind; 13] = [
    FaultKind::Throttle,
    FaultKind::GatewayError,
    FaultKind::Html502,
    FaultKind::Html200,
    FaultKind::CutBody,
    FaultKind::CutJson,
    FaultKind::EmptyBody,
    FaultKind::HugeBody,
    FaultKind::WrongContentType,
    FaultKind::Drop,
    FaultKind::Hang,
    FaultKind::TokenExpired,
    FaultKind::Redirect,
];

/// Kinds that change rows, or delay answers; they come on top, on a twentieth of the calls each.
const ROW_KINDS: [FaultKind; 4] = [
    FaultKind::Delay,
    FaultKind::UnknownStatus,
    FaultKind::BadDate,
    FaultKind::UnknownField,
];

/// Room enough that the quota is not what is measured, and a time for an attempt that lets three of them fit into a request.
const LIMITS: &str =
    "calls = 400\ntimeout_ms = 1000\nmargin_ms = 10\nmax_concurrent = 64\nwindow_s = 1";

/// As [`mixed`], but none of them is a throttle.
pub(crate) fn mixed_without_throttles() -> Vec<Fault> {
    let mut faults = mixed();
    faults.retain(|fault| fault.kind != FaultKind::Throttle);
    faults
}

fn mixed() -> Vec<Fault> {
    // The first that hits decides, so that all together hit with the share.
    let each = 1.0 - (1.0 - SHARE).powf(1.0 / KINDS.len() as f64);
    let whole = KINDS.map(|kind| Fault::always(kind).rate(each).size(10_000_000));
    let rows = ROW_KINDS.map(|kind| {
        Fault::always(kind)
            .rate(0.05)
            .delay(Duration::from_millis(100))
    });
    rows.into_iter().chain(whole).collect()
}

/// The environment of a run: all simulators, one gateway and a client.
struct World {
    /// Every simulator, with the name of its provider.
    vendors: Vec<(&'static str, Server)>,
    gateway: Gateway,
    client: reqwest::Client,
    token: String,
}

impl World {
    async fn start(setting: &Setting, jobs: u32, cache: &str) -> Outcome<Self> {
        let fleet = FleetShape::uniform(jobs, 30).frozen();
        let mut sections = format!("[cache]\n{cache}\n[log]\nfilter = \"off\"\n");
        let mut vendors = Vec::new();
        for one in SIMULATORS {
            let setup = Setup {
                fleet: fleet.clone(),
                quota: QuotaSetting::Unlimited,
                ..Setup::default()
            };
            let server = one.start(setup).await?;
            sections.push_str(&gateway::section(one, one.name, &server.url(), LIMITS));
            vendors.push((one.name, server));
        }
        let gateway = Gateway::start(setting, &sections).await?;
        Ok(Self {
            token: gateway.authorization()?,
            client: client()?,
            vendors,
            gateway,
        })
    }

    /// Makes every vendor misbehave.
    fn set_faults(&self, faults: &[Fault]) {
        for (_, server) in &self.vendors {
            server.set_faults(faults.to_vec());
        }
    }

    /// Every read of every job of all providers, by kind of read.
    fn reads(&self) -> Vec<(&'static str, String)> {
        let mut reads = Vec::new();
        for (provider, server) in &self.vendors {
            for (number, job) in server.fleet().jobs.into_iter().enumerate() {
                let path = format!("{provider}/jobs/{}", job.id);
                let sizes = number % 100 + 1;
                reads.push(("job", self.gateway.url(&path)));
                reads.push(("tasks", self.gateway.url(&format!("{path}/tasks"))));
                reads.push(("statistics", self.gateway.url(&format!("{path}/stats"))));
                let jobs = format!("{provider}/jobs?page_size={sizes}");
                reads.push(("jobs", self.gateway.url(&jobs)));
            }
        }
        reads
    }

    /// Sends reads from several clients and returns for each kind how many were sent and how many answered.
    async fn send(
        &self,
        reads: Vec<(&'static str, String)>,
    ) -> Outcome<BTreeMap<&'static str, (f64, f64)>> {
        let (reads, next) = (Arc::new(reads), Arc::new(AtomicUsize::new(0)));
        let clients: Vec<_> = (0..CLIENTS)
            .map(|_| {
                let (client, token) = (self.client.clone(), self.token.clone());
                let (reads, next) = (Arc::clone(&reads), Arc::clone(&next));
                tokio::spawn(async move {
                    let mut counts = BTreeMap::<&'static str, (f64, f64)>::new();
                    while let Some((kind, url)) = reads.get(next.fetch_add(1, Ordering::Relaxed)) {
                        let request = client.get(url).header("Authorization", &token);
                        let good = match request.send().await {
                            Ok(answer) => {
                                answer.status().is_success() && answer.bytes().await.is_ok()
                            }
                            Err(_) => false,
                        };
                        let count = counts.entry(kind).or_default();
                        count.0 += 1.0;
                        count.1 += f64::from(u8::from(good));
                    }
                    counts
                })
            })
            .collect();
        let mut all = BTreeMap::<&'static str, (f64, f64)>::new();
        for client in clients {
            for (kind, (sent, good)) in client.await? {
                let count = all.entry(kind).or_default();
                count.0 += sent;
                count.1 += good;
            }
        }
        Ok(all)
    }

    /// Returns the milliseconds of one read, its status, and whether it was stale.
    async fn timed(&self, path: &str) -> Outcome<(f64, u16, bool)> {
        let begin = SystemClock.monotonic();
        let request = self.client.get(self.gateway.url(path));
        let answer = request.header("Authorization", &self.token).send().await?;
        let status = answer.status().as_u16();
        let stale = answer
            .headers()
            .get("ota-stale")
            .is_some_and(|value| value == "true");
        answer.bytes().await?;
        Ok((begin.elapsed().as_secs_f64() * 1000.0, status, stale))
    }
}

pub(crate) async fn run(setting: &Setting, report: &mut Report) -> Outcome<()> {
    many_faults(setting, report).await?;
    dead_vendor(setting, report).await
}

fn share(counts: &BTreeMap<&'static str, (f64, f64)>) -> f64 {
    let sum = |pick: fn(&(f64, f64)) -> f64| counts.values().map(pick).sum::<f64>();
    100.0 * sum(|count| count.1) / sum(|count| count.0)
}

async fn many_faults(setting: &Setting, report: &mut Report) -> Outcome<()> {
    let jobs = if setting.quick { 20 } else { 150 };
    // Nothing older to fall back on: every read is the first of its kind.
    let world = World::start(
        setting,
        jobs,
        "max_age_s = 0\nmin_age_s = 0\nstats_max_age_s = 0\nstale_if_error_s = 0\nerror_age_s = 0",
    )
    .await?;
    world.set_faults(&mixed());
    let counts = world.send(world.reads()).await?;
    for (kind, (sent, good)) in &counts {
        report.row(
            SCENARIO,
            &format!("20 % faults of all kinds, first reads: {kind} answered"),
            100.0 * good / sent,
            " %",
            Goal::None,
        );
    }
    report.row(
        SCENARIO,
        "20 % faults of all kinds, first reads: answered",
        share(&counts),
        " %",
        Goal::AtLeast(97.0),
    );
    // As dashboards do: the same reads again and again, with an older answer to fall back on.
    let world = World::start(
        setting,
        5,
        "max_age_s = 0\nmin_age_s = 0\nstats_max_age_s = 0",
    )
    .await?;
    world.send(world.reads()).await?;
    world.set_faults(&mixed());
    let rounds = if setting.quick { 5 } else { 20 };
    let polls = (0..rounds).flat_map(|_| world.reads()).collect();
    let counts = world.send(polls).await?;
    report.row(
        SCENARIO,
        "20 % faults of all kinds, polled reads: answered",
        share(&counts),
        " %",
        Goal::AtLeast(97.0),
    );
    Ok(())
}

async fn dead_vendor(setting: &Setting, report: &mut Report) -> Outcome<()> {
    for kind in [FaultKind::Hang, FaultKind::Drop] {
        let name = format!(
            "dead vendor ({})",
            serde_json::to_string(&kind)?.trim_matches('"')
        );
        let world = World::start(setting, 20, "max_age_s = 0\nmin_age_s = 0").await?;
        let jobs = |server: &Server| {
            server
                .fleet()
                .jobs
                .into_iter()
                .map(|job| job.id)
                .collect::<Vec<_>>()
        };
        let [(dead, dead_server), (other_name, other_server), ..] = &world.vendors[..] else {
            return Err("a dead vendor and another one take two simulators".into());
        };
        let (dead_jobs, other_jobs) = (jobs(dead_server), jobs(other_server));
        // Half of the jobs have been read before, and so has the other vendor's.
        for job in dead_jobs.iter().take(10) {
            world.timed(&format!("{dead}/jobs/{job}")).await?;
        }
        let mut other_before = Vec::new();
        for job in other_jobs.iter().cycle().take(200) {
            other_before.push(world.timed(&format!("{other_name}/jobs/{job}")).await?.0);
        }
        dead_server.set_faults(vec![Fault::always(kind)]);
        // Reads until the circuit is open.
        for job in &dead_jobs {
            let path = format!("{dead}/jobs/{job}/tasks");
            if world.timed(&path).await?.0 < 20.0 {
                break;
            }
        }
        let (mut stale, mut refused, mut other) = (Vec::new(), Vec::new(), Vec::new());
        let calls = dead_server.counters().total_calls();
        for round in 0..50 {
            let job = &dead_jobs[round % dead_jobs.len()];
            let (took, status, is_stale) = world.timed(&format!("{dead}/jobs/{job}")).await?;
            match (status, is_stale) {
                (200, true) => stale.push(took),
                (503, _) => refused.push(took),
                _ => report.note(SCENARIO, &format!("{name}: an unexpected {status}")),
            }
            for job in other_jobs.iter().cycle().skip(round).take(4) {
                other.push(world.timed(&format!("{other_name}/jobs/{job}")).await?.0);
            }
        }
        report.row(
            SCENARIO,
            &format!("{name}: {} stale answers, slowest", stale.len()),
            quantile(&mut stale, 1.0),
            " ms",
            Goal::AtMost(50.0),
        );
        report.row(
            SCENARIO,
            &format!("{name}: {} answers 503, slowest", refused.len()),
            quantile(&mut refused, 1.0),
            " ms",
            Goal::AtMost(50.0),
        );
        report.row(
            SCENARIO,
            &format!("{name}: calls sent to it meanwhile"),
            (dead_server.counters().total_calls() - calls) as f64,
            "",
            Goal::AtMost(3.0),
        );
        report.row(
            SCENARIO,
            &format!("{name}: the other vendor's median, against before"),
            quantile(&mut other, 0.5) / quantile(&mut other_before, 0.5),
            "",
            Goal::AtMost(1.5),
        );
    }
    Ok(())
}
