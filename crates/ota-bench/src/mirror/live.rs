//! What a mirror costs those who read one provider: a cached page and an uncached one with a mirror that is kept true beside it, and without.

use std::time::Duration;

use ota_core::clock::{Clock as _, SystemClock};
use ota_sim::{FleetShape, QuotaSetting, Server};

use super::passes::Mirrored;
use super::questions::SCENARIO;
use crate::gateway::{self, Gateway, PROVIDER};
use crate::load::{answers_a_second, installed};
use crate::processor::seconds_of;
use crate::report::{Goal, Report, median};
use crate::scenario::{Outcome, Setting};

const ROOM: &str = "calls = 1000000";

/// A page is cached for long, and read anew for who wants that.
const CACHE: &str = "[cache]\nmax_age_s = 3600\nmin_age_s = 0\n";

/// Of the mirror: running jobs are looked at all the time.
const BUSY: &str = "max_lag_s = 5";

/// One of the two that are compared: with a mirror, and without.
struct Side {
    _sim: Server,
    url: String,
    token: String,
    process: u32,
}

pub(super) async fn run(setting: &Setting, report: &mut Report) -> Outcome<()> {
    let (with_sim, without_sim) = (simulated().await?, simulated().await?);
    let sections = |sim: &Server| -> Outcome<String> {
        Ok(format!(
            "{CACHE}{}",
            gateway::one_section(&sim.url(), ROOM)?
        ))
    };
    let with = Mirrored::start(setting, BUSY, &sections(&with_sim)?).await?;
    let text = format!("[log]\nfilter = \"warn\"\n{}", sections(&without_sim)?);
    let without = Gateway::start(setting, &text).await?;
    with.is_current(Duration::from_secs(120)).await?;
    let sides = [
        Side::new(with_sim, &with.gateway)?,
        Side::new(without_sim, &without)?,
    ];
    uncached(setting, &sides, report).await?;
    cached(setting, &sides, report).await
}

async fn simulated() -> Outcome<Server> {
    let fleet = FleetShape::uniform(20, 100).frozen();
    gateway::simulated(fleet, QuotaSetting::Unlimited).await
}

impl Side {
    fn new(sim: Server, gateway: &Gateway) -> Outcome<Self> {
        let job = &sim.fleet().jobs[0].id;
        Ok(Self {
            url: gateway.url(&format!("{PROVIDER}/jobs/{job}/tasks?page_size=100")),
            token: gateway.authorization()?,
            process: gateway.process(),
            _sim: sim,
        })
    }
}

async fn uncached(setting: &Setting, sides: &[Side; 2], report: &mut Report) -> Outcome<()> {
    let client = gateway::client()?;
    let rounds = if setting.quick { 100 } else { 1_500 };
    let mut times = [Vec::new(), Vec::new()];
    for round in 0..rounds + 50 {
        for place in [round % 2, 1 - round % 2] {
            let side = &sides[place];
            let sent = SystemClock.monotonic();
            let request = client.get(&side.url).header("Authorization", &side.token);
            let answer = request.header("Cache-Control", "no-cache").send().await?;
            answer.error_for_status()?.bytes().await?;
            // The first ones warm up.
            if round >= 50 {
                times[place].push(sent.elapsed().as_secs_f64() * 1000.0);
            }
        }
    }
    let [mut with, mut without] = times;
    let (with, without) = (median(&mut with), median(&mut without));
    let figure = "uncached page of 100 tasks, median";
    for (name, half) in [("with a mirror", with), ("without", without)] {
        report.row(
            SCENARIO,
            &format!("{figure}: {name}"),
            half,
            " ms",
            Goal::None,
        );
    }
    let ratio = format!("{figure}: with a mirror, of that without");
    report.row(SCENARIO, &ratio, with / without, "", Goal::AtMost(1.1));
    Ok(())
}

async fn cached(setting: &Setting, sides: &[Side; 2], report: &mut Report) -> Outcome<()> {
    let figure = "cached page of 100 tasks";
    if !installed("wrk", "--version").await {
        report.note(
            SCENARIO,
            &format!("{figure}: left out, `wrk` is not installed"),
        );
        return Ok(());
    }
    let rounds = if setting.quick { 2 } else { 21 };
    let (mut rates, mut costs) = (Vec::new(), Vec::new());
    for round in 0..=rounds {
        let (mut rate, mut cost) = ([0.0; 2], [0.0; 2]);
        for place in [round % 2, 1 - round % 2] {
            let side = &sides[place];
            let header = [format!("Authorization: {}", side.token)];
            let before = seconds_of(side.process);
            let load = answers_a_second(&side.url, &header, Duration::from_secs(1)).await?;
            rate[place] = load.a_second;
            cost[place] = (seconds_of(side.process) - before) / load.answers;
        }
        // The first one warms up.
        if round > 0 {
            rates.push(rate[0] / rate[1]);
            costs.push(cost[0] / cost[1]);
        }
    }
    let ratio = format!("{figure}: answers a second with a mirror, of those without");
    report.row(
        SCENARIO,
        &ratio,
        median(&mut rates),
        "",
        Goal::AtLeast(0.95),
    );
    let ratio = format!("{figure}: processor time of an answer with a mirror, of that without");
    report.row(SCENARIO, &ratio, median(&mut costs), "", Goal::None);
    Ok(())
}
